"""Readers of image files, a file each.

A reader gives the `Content` of a file, all of its planes; `napari_gem.images.files`
asks the one whose kind of file it is and chooses a plane of what it gives.
"""
