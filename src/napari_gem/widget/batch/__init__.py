"""A folder of images is segmented by one recipe."""
