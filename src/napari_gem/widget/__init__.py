"""The dock widget; the only package that imports Qt and napari.

`entry` is what napari opens, `dock` puts the views together, and `run` has what Run,
Cancel and changed settings do. The other packages are a group of views each.
"""
