"""Where an image is encoded: in this process, or by the workers of a dask cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.cluster import connection as clusters

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_gem.cluster.connection import Cluster
    from napari_gem.core.progress import Progress
    from napari_gem.encoding.scheduling import Schedule
    from napari_gem.images.references import ImageReference
    from napari_gem.models.find import Model
    from napari_gem.segmentation.writing import Filling


def is_cluster(device: str) -> bool:
    """Tell whether a device is the address of a dask scheduler."""
    return "://" in device


def connect_steps(address: str) -> Generator[Progress, None, Cluster | None]:
    """Connect to a cluster; None if the address is none, such as ``auto``.

    Yields
    ------
    Progress
        While the scheduler is asked.

    Raises
    ------
    GemError
        As `napari_gem.cluster.connection.Cluster`.
    """
    if not is_cluster(address):
        return None
    return (yield from clusters.connect_steps(address))


def place_steps(
    cluster: Cluster | None,
    model: Model,
    precision: str,
    image: Callable[[], ImageReference | None],
) -> Generator[Progress, None, tuple[Model, Schedule | None]]:
    """Give the model and the schedule for `napari_gem.encoding.encode.encode_steps`.

    Parameters
    ----------
    cluster
        A connection; None for this process.
    model
        Loaded here.
    precision
        As of `Cluster.model_steps`.
    image
        Tells where workers may find the image.

    Yields
    ------
    Progress
        As `Cluster.model_steps`.
    """
    if cluster is None:
        return model, None
    from napari_gem.cluster.schedule import OnCluster

    there = yield from cluster.model_steps(model, precision)
    return there, OnCluster(cluster, there, image())


def who_fills(cluster: Cluster | None, image: ImageReference | None) -> Filling:
    """Say who writes the results of large images.

    Parameters
    ----------
    cluster
        A connection; None for this process.
    image
        Where workers may find the image; None if they cannot.
    """
    if cluster is None:
        from napari_gem.segmentation.writing import fill_here

        return fill_here
    from napari_gem.cluster.writing import FillOnCluster

    return FillOnCluster(cluster, image)
