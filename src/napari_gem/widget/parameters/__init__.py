"""Parameters and what is remembered of them."""
