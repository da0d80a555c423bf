"""Recipes opened and saved."""
