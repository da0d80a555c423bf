"""Who encodes which tile: the workers of a dask cluster."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import wait
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

from napari_gem._version import __version__
from napari_gem.cluster.connection import LONGEST, WAITING
from napari_gem.cluster.stored_tiles import make_tiles
from napari_gem.cluster.tasks import Order, encode
from napari_gem.core.progress import aside
from napari_gem.encoding.feature_cache import TILES

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from concurrent.futures import Future

    from napari_gem.cluster.connection import Cluster
    from napari_gem.cluster.stored_tiles import StoredTiles
    from napari_gem.encoding.batches import TileFeatures
    from napari_gem.encoding.scheduling import Sink, TileWork
    from napari_gem.images.references import ImageReference
    from napari_gem.models.model import Model

    Answers = list[TileFeatures | None] | None

GPU_TILES = 32
"""Tiles that a worker with a GPU gets at once."""

SENT_BYTES = 4 << 20
"""Pixels that are sent at once at most; dask warns of much more."""

LOOK_SECONDS = 2.0
"""The workers are counted this often."""


class Tasks:
    """What the workers were asked for in one stage and have not given yet."""

    def __init__(self, cluster: Cluster, stage: str) -> None:
        self._cluster = cluster
        self._stage = stage
        self._sent: dict[Event, Any] = {}
        self._slots: int | None = None
        self._looked = float("-inf")
        self._question: Future[dict[str, dict[str, Any]]] | None = None

    def send(self, function: Callable[..., Any], *arguments: Any) -> Event:
        """Ask for something; the event is set when the answer is there."""
        future, ready = self._cluster.submit(function, *arguments), Event()
        self._sent[ready] = future
        future.add_done_callback(lambda _: ready.set())
        return ready

    def receive(self, ready: Event) -> Generator[str, None, Any]:
        """Wait for an answer and yield a text now and then; see `Cluster.result`."""
        seconds = 1.0
        while True:
            if ready.wait(0.3):
                ask = partial(self._cluster.result, self._sent[ready], seconds)
                asked = aside("result", ask)
                while not asked.done():
                    wait([asked], 0.25)
                    yield self._state()
                try:
                    answer = asked.result()
                except TimeoutError:  # a slow network, or its worker is gone
                    seconds = min(2 * seconds, LONGEST)
                else:
                    del self._sent[ready]
                    return answer
            if not self.slots():
                seconds = 1.0
            yield self._state()

    def _state(self) -> str:
        """Say what is being done; nobody knows of workers before the first answer."""
        return self._stage if self.slots() or self._slots is None else WAITING

    def slots(self) -> int:
        """Count what can be done at once; the workers are asked now and then."""
        now = time.monotonic()
        if self._question is None:
            if now - self._looked <= LOOK_SECONDS:
                return self._slots or 0
            self._looked = now
            self._question = aside("workers", self._cluster.workers)
            wait([self._question], 0.25)
        if self._question.done():
            workers, self._question = self._question.result().values(), None
            slots = (w["resources"].get("GPU", w["nthreads"]) for w in workers)
            self._slots = int(sum(slots))
        elif now - self._looked > LONGEST:
            raise self._cluster.lost()
        return self._slots or 0

    def cancel(self, seconds: float = 0.0) -> None:
        """Forget what was asked for; first it gets so many seconds to end by itself."""
        until = time.monotonic() + seconds
        for ready in self._sent:
            ready.wait(max(0.0, until - time.monotonic()))
        self._cluster.cancel(list(self._sent.values()))


@dataclass(frozen=True, eq=False)
class _Sent:
    """Tiles that a worker encodes; nothing to wait for if they are on disk already."""

    numbers: Sequence[int]
    ready: Event | None = None


class OnCluster:
    """Has tiles encoded by a cluster; a `napari_gem.encoding.scheduling.Schedule`.

    Workers that see the folder of the unfinished features write tiles there, where a
    later run finds them; others send them back. The model is that of
    `Cluster.model_steps`; without a reference to the image, pixels are sent.
    """

    def __init__(
        self, cluster: Cluster, model: Model, image: ImageReference | None = None
    ) -> None:
        self._cluster = cluster
        self._model = model
        self._image = image

    def __call__(
        self, work: TileWork, numbers: Sequence[int], sink: Sink, /
    ) -> Generator[TileFeatures | str, None, None]:
        """Keep the workers busy, and hand on what they find in the order asked for."""
        model, tiles = self._model, work.tiles
        stored = None
        if sink.folder is not None:
            shape = tiles.rows, tiles.columns
            channels = model.backbone.channels
            stored = make_tiles(sink.folder / TILES, len(tiles), shape, channels)
        order = Order(
            version=__version__,
            card=model.card,
            revision=model.revision,
            precision=model.precision,
            parameters=work.parameters,
            appearance=work.appearance,
            patch_size=work.patch_size,
            image=self._image,
            tiles=str(stored.folder.absolute()) if stored else "",
            token=stored.token if stored else "",
        )
        run = _Run(self._cluster, work, order, stored)
        kept: deque[int] = deque()
        try:
            for tile in run.encode(numbers):
                yield tile
                if stored is None or isinstance(tile, str):
                    continue
                kept.append(numbers[run.done - 1])
                while kept and tiles[kept[0]].row + tiles.rows <= sink.done:
                    stored.drop(kept.popleft())
        finally:
            run.cancel()


class _Run:
    """Tiles of one image on their way."""

    def __init__(
        self, cluster: Cluster, work: TileWork, order: Order, stored: StoredTiles | None
    ) -> None:
        self.done = 0
        self._cluster = cluster
        self._work = work
        self._order = order
        self._stored = stored
        self._tasks = Tasks(cluster, "Encoding")

    def encode(self, numbers: Sequence[int]) -> Iterator[TileFeatures | str]:
        """Yield features in the order of the numbers, with texts while it waits."""
        waiting: deque[_Sent] = deque()
        next_one = 0
        while waiting or next_one < len(numbers):
            # two for each that works, so that none waits for the next
            while len(waiting) <= 2 * self._tasks.slots() and next_one < len(numbers):
                some = self._group(numbers, next_one)
                next_one += len(some)
                known = self._stored is not None and self._stored.has(some[0])
                waiting.append(_Sent(some) if known else self._send(some))
            for tile in (yield from self._receive(waiting.popleft())):
                self.done += 1
                yield tile

    def cancel(self) -> None:
        """Forget what is on its way."""
        self._tasks.cancel()

    def _group(self, numbers: Sequence[int], first: int) -> Sequence[int]:
        """Choose tiles for one worker: all are on disk, or none is."""
        some = numbers[first : first + self._count()]
        if self._stored is None:
            return some
        known = [self._stored.has(number) for number in some]
        return some[: known.index(not known[0])] if len(set(known)) > 1 else some

    def _count(self) -> int:
        most = GPU_TILES if self._cluster.gpus else 1
        tiles, patch = self._work.tiles, self._work.patch_size
        tile_bytes = 12 * tiles.rows * tiles.columns * patch**2
        return (
            most if self._order.image else max(1, min(most, SENT_BYTES // tile_bytes))
        )

    def _send(self, numbers: Sequence[int], *, back: bool = False) -> _Sent:
        order = replace(self._order, tiles="", token="") if back else self._order
        images = None if order.image else [self._work.read(n) for n in numbers]
        return _Sent(numbers, self._tasks.send(encode, order, list(numbers), images))

    def _receive(self, sent: _Sent) -> Generator[str, None, list[TileFeatures]]:
        encoded: Answers = [None] * len(sent.numbers)
        if sent.ready is not None:
            encoded = yield from self._tasks.receive(sent.ready)
        received: list[TileFeatures] = []
        if encoded is None:  # that worker does not see the image
            self._order = replace(self._order, image=None)
            step = self._count()
            for first in range(0, len(sent.numbers), step):
                again = self._send(sent.numbers[first : first + step])
                received += yield from self._receive(again)
            return received
        for number, one in zip(sent.numbers, encoded, strict=True):
            if one is None and self._stored is not None:
                one = self._stored.get(number)
            if one is None:  # what was written cannot be read here
                received += yield from self._receive(self._send([number], back=True))
            else:
                received.append(one)
        return received
