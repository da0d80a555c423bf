"""Readers of data sets: each module has ``KINDS`` and ``read``.

``KINDS`` has a line about the folder of each kind. `pairs` reads all data sets that are
no more than pairs of files.
"""
