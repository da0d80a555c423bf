"""A run, from the button to the layers."""
