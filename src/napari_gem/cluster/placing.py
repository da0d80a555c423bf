"""Where an image is encoded: in this process, or by the workers of a dask cluster."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from napari_gem.cluster import connection
from napari_gem.core.validation import is_cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_gem.cluster.connection import Cluster
    from napari_gem.core.progress import Progress
    from napari_gem.encoding.scheduling import Schedule
    from napari_gem.images.references import ImageReference
    from napari_gem.models.model import Model
    from napari_gem.segmentation.writing import Filling


def connect_steps(address: str) -> Generator[Progress, None, Cluster | None]:
    """Connect to a cluster, or give None for what is no address, such as ``auto``.

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
    return (yield from connection.connect_steps(address))


@dataclass(frozen=True, eq=False)
class ClusterPlace:
    """The workers of a cluster: a `napari_gem.segmentation.job.Place`.

    Attributes
    ----------
    cluster
        A connection.
    precision
        See `Cluster.model_steps`.
    find_image
        Tells where workers may find the image; None if they cannot.
    has_mask
        Whether what they find says where the image holds data.
    """

    cluster: Cluster
    precision: str
    find_image: Callable[[], ImageReference | None]
    has_mask: bool = True

    def prepare_steps(
        self, model: Model, /
    ) -> Generator[Progress, None, tuple[Model, Schedule | None]]:
        """Ask the workers how they compute with a model that is loaded here."""
        from napari_gem.cluster.schedule import OnCluster

        used = yield from self.cluster.model_steps(model, self.precision)
        return used, OnCluster(self.cluster, used, self._image)

    @property
    def filling(self) -> Filling:
        """The workers write large results."""
        from napari_gem.cluster.writing import FillOnCluster

        return FillOnCluster(self.cluster, self._image, has_mask=self.has_mask)

    @cached_property
    def _image(self) -> ImageReference | None:
        return self.find_image()
