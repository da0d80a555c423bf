"""Features and words to scores and probabilities on the patch grid.

`text` and `words` embed words, `patch_scores` compares them with features in bands of
rows, `cosines` makes probabilities, `shift_steps` lets labels end at edges of an image.
`examples` and `prototypes` add to the words what they look like.
"""
