"""Pixels to features on the patch grid, tile by tile: the costly half of the line."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_gem.core.appearance import Appearance
from napari_gem.core.arrays import unit_vectors
from napari_gem.core.errors import GemError
from napari_gem.core.memory import (
    ERRORS,
    NO_MEMORY,
    NoMemoryError,
    free_memory,
    is_out_of_memory,
    rungs,
)
from napari_gem.core.parameters import EncodeParameters
from napari_gem.core.progress import Clock, Progress
from napari_gem.core.region import Region
from napari_gem.core.results import Features
from napari_gem.core.validation import check_encode
from napari_gem.encoding.blending import Blending
from napari_gem.encoding.scheduling import LocalSchedule, TileWork
from napari_gem.encoding.tiles import tiles_of, tiles_seen
from napari_gem.images.tile_reading import Picture
from napari_gem.models.find import load_model_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, MutableMapping

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.encoding.batches import TileFeatures
    from napari_gem.encoding.scheduling import Schedule, Sink
    from napari_gem.models.model import Model

    Keep = Callable[[tuple[int, int, int], EncodeParameters, str], Sink]
    Partial = MutableMapping[int, TileFeatures]
    Rows = NDArray[np.float32]

LARGEST_FEATURES = 8 << 30
"""Bytes that features in memory may take at most."""

LARGEST_PARTIAL = 1 << 29
"""Bytes of finished tiles that are kept for a run that is taken up, about."""


class Watch(Protocol):
    """Sees features while an image is encoded."""

    def begin(self, shape: tuple[int, int, int], features: Features, /) -> None:
        """Begin an image of that many rows, columns and channels.

        Of the features the array is empty, and the image embedding is to come.
        """

    def take(self, rows: slice, features: Rows, embedding: NDArray[np.float32]) -> None:
        """Take (those rows, columns, channels), and the image embedding so far."""


class InMemory:
    """Features as one array in half precision."""

    def __init__(self, shape: tuple[int, int, int], tiles: int) -> None:
        check_fits_memory(shape)
        self.done, self.folder = 0, None
        self.tile_embeddings = np.zeros((tiles, shape[-1]), np.float32)
        self._array = np.zeros(shape, np.float16)

    def write(self, rows: slice, features: NDArray[np.float32]) -> None:
        """Copy them to their rows."""
        self._array[rows] = features

    def finish(self) -> NDArray[np.float16]:
        """Give the array."""
        return self._array


def check_fits_memory(shape: tuple[int, int, int]) -> None:
    """Refuse features of that many rows, columns and channels if they are too large."""
    size = 2 * prod(shape)
    if size > LARGEST_FEATURES:
        raise GemError(
            f"The features of {shape[0]} x {shape[1]} patches would take "
            f"{size / 2**30:.0f} GiB of memory. Choose a smaller zoom (a coarser "
            "detail), crop the image, or let them be kept on disk."
        )


def encode_steps(
    model: Model,
    pixels: LazyArray,
    appearance: Appearance,
    parameters: EncodeParameters | None = None,
    *,
    region: Region | None = None,
    partial: Partial | None = None,
    keep: Keep | None = None,
    batch: int | None = None,
    schedule: Schedule | None = None,
    watch: Watch | None = None,
) -> Generator[Progress, None, Features]:
    """Encode an image tile by tile.

    If the memory does not suffice, batches are halved, then tiles, then the precision,
    and at last the processor does it; a notice of the features tells so.

    Parameters
    ----------
    model
        From `napari_gem.load_model`.
    pixels
        (height, width), or (height, width, 3 or 4) for RGB and RGBA; any number type;
        an array, or anything that is sliced like one. Only the tiles in work are read.
    appearance
        How pixel values are shown.
    parameters
        None takes those of the model's card.
    region
        Only tiles that touch its rectangle are encoded; None encodes all. Within the
        region the features are those of the whole image.
    partial
        Features of finished tiles by number, kept by the caller: tiles found there
        are not encoded again, finished ones are added, so that a cancelled run can be
        taken up; of a large image only the first ones.
    keep
        Makes what takes the features, from their shape, the parameters, and the device
        and precision in one text: those of an earlier run in another way are not taken
        up. None keeps them in memory.
    batch
        Tiles that are encoded together; None takes one on a processor and as many as
        fit on a GPU.
    schedule
        Has the tiles encoded; None encodes them in this process.
    watch
        Sees rows of features as they come; if it is used again, it begins anew.

    Yields
    ------
    Progress
        Before the first tile and after each.

    Returns
    -------
    Features
        Unit vectors on the patch grid.

    Raises
    ------
    GemError
        If a parameter or the region does not fit, if the model gives no finite
        numbers, or if the memory suffices for nothing.
    """
    asked = parameters or model.card.encode
    check_encode(asked)
    for rung in rungs(model.device, model.precision, asked):
        try:
            used = model
            if (rung.device, rung.precision) != (model.device, model.precision):
                used = yield from load_model_steps(
                    model.card,
                    device=rung.device,
                    precision=rung.precision,
                    exact=True,
                )
            same = rung.parameters == asked and used is model
            encoding = _Encoding(used, pixels, appearance, rung.parameters, region)
            who = schedule if schedule and used is model else LocalSchedule(used, batch)
            known = partial if same else None
            features = yield from encoding.steps(known, keep, who, watch)
            return replace(features, notices=(rung.notice,) if rung.notice else ())
        except NoMemoryError:
            pass  # the model alone does not fit there
        except GemError:
            if not rung.notice or rung.device == "cpu":
                raise
        except ERRORS as error:
            if not is_out_of_memory(error):
                raise
        free_memory()
    raise NoMemoryError(NO_MEMORY)


class _Encoding:
    """One image to be encoded in one way."""

    def __init__(
        self,
        model: Model,
        pixels: LazyArray,
        appearance: Appearance,
        parameters: EncodeParameters,
        region: Region | None,
    ) -> None:
        self._model = model
        self._work = TileWork(pixels, appearance, parameters, model.backbone.patch_size)
        self._region = region
        scale = self._work.patch_size / parameters.zoom
        self._wanted = tiles_of(region, pixels.shape, scale, self._work.tiles)

    def steps(
        self,
        partial: Partial | None,
        keep: Keep | None,
        schedule: Schedule,
        watch: Watch | None = None,
    ) -> Generator[Progress, None, Features]:
        model, work = self._model, self._work
        tiles, parameters = work.tiles, work.parameters
        shape = *work.grid, model.backbone.channels
        where = f"{model.device}, {model.precision}"
        sink = keep(shape, parameters, where) if keep else InMemory(shape, len(tiles))
        finished = {} if partial is None else partial
        needed = [n for n in self._wanted if tiles[n].row + tiles.rows > sink.done]
        missing = [n for n in needed if n not in finished]
        skipped = done = len(self._wanted) - len(missing)
        most = LARGEST_PARTIAL // (4 * tiles.rows * tiles.columns * shape[-1])
        clock = Clock(len(self._wanted), skipped)
        yield clock.progress("Encoding", done)
        write: Callable[[slice, Rows], None] = sink.write
        if watch is not None:
            watch.begin(shape, self._features(sink))
            write = _also_watched(sink, watch)
        blending = Blending(work.grid, parameters.overlap, write)
        with closing(schedule(work, missing, sink)) as encoded:
            for number in needed:
                known = finished.get(number)
                tile = next(encoded) if known is None else known
                while isinstance(tile, str):
                    waits = tile != "Encoding"
                    yield clock.progress(tile, done, waits=waits)
                    tile = next(encoded)
                blending.add(tiles[number], tile[0])
                sink.tile_embeddings[number] = unit_vectors(tile[1])
                if known is None:
                    done += 1
                    if partial is not None and len(partial) < most:
                        partial[number] = tile
                    yield clock.progress("Encoding", done)
        blending.close()
        return replace(self._features(sink), array=sink.finish())

    def _features(self, sink: Sink) -> Features:
        """Say what is known of the features, but for their array."""
        model, work, parameters = self._model, self._work, self._work.parameters
        embeddings = sink.tile_embeddings
        return Features(
            array=np.zeros((0, 0, embeddings.shape[-1]), np.float16),
            image_embedding=unit_vectors(embeddings[self._wanted].mean(axis=0)),
            image_shape=(int(work.pixels.shape[0]), int(work.pixels.shape[1])),
            patch=work.patch_size / parameters.zoom,
            model=model.card.id,
            revision=model.revision,
            parameters=parameters,
            appearance=work.appearance,
            region=self._region,
            tile_embeddings=embeddings,
            device=model.device,
            precision=model.precision,
            picture=Picture(work.pixels, work.appearance),
        )


def _also_watched(sink: Sink, watch: Watch) -> Callable[[slice, Rows], None]:
    def write(rows: slice, features: Rows) -> None:
        sink.write(rows, features)
        embeddings = sink.tile_embeddings
        seen = embeddings[np.any(embeddings, axis=1)]
        watch.take(rows, features, unit_vectors(seen.mean(axis=0)))

    return write


def restrict(features: Features, region: Region | None) -> Features:
    """Look at a region of an image that is encoded as a whole.

    Returns
    -------
    Features
        The same as if only the region had been encoded, as far as it reaches.
    """
    if region is None or features.tile_embeddings is None:
        return features
    grid, used = features.array.shape[:2], features.parameters
    wanted = tiles_seen(grid, used, region, features.image_shape, features.patch)
    embedding = unit_vectors(features.tile_embeddings[wanted].mean(axis=0))
    return replace(features, region=region, image_embedding=embedding)
