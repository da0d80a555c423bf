"""The command line's cluster: who encodes the tiles of ``segment``."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from napari_gem.cluster.address import read_address
from napari_gem.cluster.connection import NO_WORKERS, WAITING
from napari_gem.cluster.placing import connect_steps
from napari_gem.core.progress import run
from napari_gem.core.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_gem.cluster.connection import Cluster
    from napari_gem.core.progress import Progress


class ShowWaiting:
    """Shows progress; that there are no workers is said once, in a line of its own."""

    def __init__(self, address: str, show: Callable[[Progress], object]) -> None:
        self._address = address
        self._show = show
        self._waits = False

    def __call__(self, progress: Progress) -> None:
        """Show a step."""
        waits = progress.stage == WAITING
        if waits and not self._waits:
            stop = "stop with Ctrl-C"
            say(NO_WORKERS.format(address=self._address, stop=stop), aside=True)
        self._waits = waits
        self._show(progress)


@contextmanager
def connected(
    address: str, show: Callable[[Progress], object]
) -> Iterator[Cluster | None]:
    """Connect to a cluster; None for an empty address.

    Raises
    ------
    GemError
        If this is no address, or as `napari_gem.cluster.connection.Cluster`.
    """
    if address:
        read_address(address)
    cluster = run(connect_steps(address), show) if address else None
    with cluster or nullcontext():
        yield cluster
