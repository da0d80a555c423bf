"""The process that computes for the dock widget, and its handle.

`client` is the viewer's end and imports no torch; `serve` and `session` are the
process; `messages` is all that they say to each other.
"""
