"""Which model computes, and where."""
