"""Tiles encoded, and results written, by the workers of a dask cluster.

`connection` holds the cluster, `tasks` is what a worker does, `schedule` and `writing`
deal out the work, and `placing` decides between this process and the cluster.
"""
