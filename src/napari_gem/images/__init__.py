"""Image files and arrays: opened, rendered for the model, read a tile at a time.

`files` reads a whole image and `lazy_files` opens one that is read in parts;
`rendering` makes RGB of any pixels and `tile_reading` does so for a tile.
`tiff_reading`, `bounded_zarr` and `number_arrays` refuse files that would read other
files, fill the memory or hold no numbers; `read_errors` makes sentences of what
libraries raise.
"""
