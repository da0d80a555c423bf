"""An image and prompts to labels: in memory, on disk, or made again from a recipe.

`pipeline` has what notebooks call, `segment` is the cheap half of the line, `large`
writes results of any size in bands, `replay` follows a recipe, and `postprocess` makes
labels of probabilities, a file a step.
"""
