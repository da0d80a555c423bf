"""Image files and arrays: opened, rendered for the model, read a tile at a time.

`files` reads a whole image and `lazy_files` opens one that is read in parts;
`rendering` makes RGB of any pixels and `tile_reading` does so for a tile. `border`,
`opening`, `bounded_zarr` and `number_arrays` keep out what a file must not do.
"""
