"""The command line's cluster: who encodes the tiles of ``segment``."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from napari_gem.cluster.address import read_address
from napari_gem.cluster.connection import NO_WORKERS, WAITING
from napari_gem.cluster.placing import connect_steps, place_steps, who_fills
from napari_gem.core.progress import run
from napari_gem.core.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_gem.cli.image import View
    from napari_gem.cluster.connection import Cluster
    from napari_gem.core.progress import Progress
    from napari_gem.encoding.scheduling import Schedule
    from napari_gem.images.references import ImageReference
    from napari_gem.models.find import Model
    from napari_gem.segmentation.writing import Filling


class Places:
    """Where an image is encoded: here, or by the workers of a cluster.

    Parameters
    ----------
    cluster
        A connection; None for here.
    show
        Shows progress.
    """

    def __init__(
        self, cluster: Cluster | None, show: Callable[[Progress], object]
    ) -> None:
        self._cluster = cluster
        self._show = show
        self._waits = False
        self._image: ImageReference | None = None

    def show(self, progress: Progress) -> None:
        """Show progress; that there are no workers is said in a line of its own."""
        waits = progress.stage == WAITING
        if waits and not self._waits and self._cluster:
            address = self._cluster.address
            told = NO_WORKERS.format(address=address, stop="stop with Ctrl-C")
            say(told, aside=True)
        self._waits = waits
        self._show(progress)

    def prepare(
        self, model: Model, precision: str, view: View
    ) -> tuple[Model, Schedule | None]:
        """Give the model and the schedule for `encode_steps`.

        Parameters
        ----------
        model
            Loaded here.
        precision
            As of `Cluster.model_steps`.
        view
            The image, which workers may see.
        """
        self._image = view.reference if self._cluster else None
        steps = place_steps(self._cluster, model, precision, lambda: self._image)
        return run(steps, self.show)

    def filling(self) -> Filling:
        """Say who writes the results of large images."""
        return who_fills(self._cluster, self._image)


@contextmanager
def places(address: str, show: Callable[[Progress], object]) -> Iterator[Places]:
    """Connect to a cluster; an empty address stays here.

    Raises
    ------
    GemError
        If this is no address, or as `napari_gem.cluster.connection.Cluster`.
    """
    cluster = None
    if address:
        read_address(address)
        cluster = run(connect_steps(address), show)
    with cluster or nullcontext():
        yield Places(cluster, show)
