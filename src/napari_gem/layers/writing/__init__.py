"""Results to layer data."""
