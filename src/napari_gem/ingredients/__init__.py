"""Training-free additions to GEM, one file each, all off by default."""
