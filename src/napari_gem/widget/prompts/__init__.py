"""The table of classes and their examples."""
