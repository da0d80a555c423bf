"""Which models there are, where their weights are, and how they are loaded.

`find` leads from what the user names to a `Model`: `catalogue` and `own_list` know the
cards, `weight_sources` finds, describes, fetches and removes weights, `configurations`
is the gate for what a model says of itself, `weights` reads weights safely, and `load`
builds the backbone.
"""
