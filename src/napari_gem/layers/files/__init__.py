"""Saved layers."""
