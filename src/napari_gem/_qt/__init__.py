"""The dock widget; the only package that imports Qt and napari."""
