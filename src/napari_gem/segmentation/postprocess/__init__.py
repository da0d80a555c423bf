"""Probabilities to labels: one file a step."""
