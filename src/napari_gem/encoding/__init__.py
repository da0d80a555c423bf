"""An image to features on the patch grid: the costly half of the line.

`encode` is its way: `tiles` are planned, `batches` run through the image tower, and
`blending` joins what overlaps. `scheduling` says who encodes which tile, and
`feature_cache` keeps features on disk for the next time.
"""
