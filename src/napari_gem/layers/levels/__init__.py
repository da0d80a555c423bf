"""Results on disk, read where napari looks."""
