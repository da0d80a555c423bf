"""One file a data set: ``KINDS`` (kind to a line about its folder) and ``read``."""
