"""How good the maps are: data sets in, figures out.

`metrics` counts, `readers` knows the data sets' folders, `protocols.toml` how others
measure, `score` takes one image through the model, and `run` goes through all of them
and keeps what is done.
"""
