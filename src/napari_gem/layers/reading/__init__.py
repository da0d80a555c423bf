"""Layers to pixels, appearance and place."""
