"""Image files and arrays: opened, rendered for the model, read a tile at a time.

`files` opens an image as a `scene`, with the reader of its kind in `readers`;
`rendering` makes RGB of any pixels and `tile_reading` does so for a tile.
`tiff_reading`, `bounded_zarr` and `number_arrays` refuse files that would read other
files, fill the memory or hold no numbers; `read_errors` makes sentences of what
libraries raise.
"""
