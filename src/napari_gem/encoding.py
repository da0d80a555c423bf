"""Pixels to features on the patch grid, tile by tile: the costly half of the line."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_gem.blending import Blending
from napari_gem.checks import check_encode
from napari_gem.memory import NO_MEMORY, free_memory, is_out_of_memory, rungs
from napari_gem.models import load_model_steps
from napari_gem.reading import ahead, read_tile, zoomed_length
from napari_gem.steps import Clock
from napari_gem.tiles import grid_shape, plan_tiles, tiles_of, unit
from napari_gem.types import (
    Appearance,
    EncodeParameters,
    Features,
    GemError,
    Progress,
    Region,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, MutableMapping

    from numpy.typing import NDArray

    from napari_gem.models import Model
    from napari_gem.types import LazyArray

    TileFeatures = tuple[NDArray[np.float32], NDArray[np.float32]]
    Partial = MutableMapping[int, TileFeatures]

LARGEST_FEATURES = 8 << 30
"""Bytes that features in memory may take at most."""

MOST_BATCHED = 64
"""Tiles of one batch at most."""

BATCH_SHARE = 0.5
"""Part of a GPU's free memory that a batch may take."""


class Sink(Protocol):
    """Takes the features of an image, from its first patch row to its last.

    Attributes
    ----------
    done
        Patch rows that an earlier run, which was stopped, has left here.
    views
        (tiles, channels) float32, to be filled.
    """

    done: int
    views: NDArray[np.float32]

    def write(self, rows: slice, features: NDArray[np.float32]) -> None:
        """Take (those rows, columns, channels); rows left out are zero."""

    def finish(self) -> LazyArray:
        """Give all of it back: (rows, columns, channels)."""


class InMemory:
    """Features as one array in half precision."""

    def __init__(self, shape: tuple[int, int, int], tiles: int) -> None:
        size = 2 * prod(shape)
        if size > LARGEST_FEATURES:
            raise GemError(
                f"The features of {shape[0]} x {shape[1]} patches would take "
                f"{size / 2**30:.0f} GiB of memory. Choose a smaller zoom (a coarser "
                "detail), crop the image, or let them be kept on disk."
            )
        self.done = 0
        self.views = np.zeros((tiles, shape[-1]), np.float32)
        self._array = np.zeros(shape, np.float16)

    def write(self, rows: slice, features: NDArray[np.float32]) -> None:
        """Copy them to their rows."""
        self._array[rows] = features

    def finish(self) -> NDArray[np.float16]:
        """Give the array."""
        return self._array


def encode_steps(
    model: Model,
    pixels: LazyArray,
    appearance: Appearance,
    parameters: EncodeParameters | None = None,
    *,
    region: Region | None = None,
    partial: Partial | None = None,
    keep: Callable[[tuple[int, int, int], EncodeParameters], Sink] | None = None,
    batch: int | None = None,
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
        taken up.
    keep
        Makes what takes the features, from their shape and the parameters used; None
        keeps them in memory.
    batch
        Tiles that are encoded together; None takes one on a processor and as many as
        fit on a GPU.

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
                    model.card, device=rung.device, precision=rung.precision
                )
            same = rung.parameters == asked and used is model
            encoding = _Encoding(used, pixels, appearance, rung.parameters, region)
            features = yield from encoding.steps(partial if same else None, keep, batch)
            return replace(features, notices=(rung.notice,) if rung.notice else ())
        except GemError:
            if not rung.notice or rung.device == "cpu":
                raise
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        free_memory()
    raise GemError(NO_MEMORY)


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
        self._pixels = pixels
        self._appearance = appearance
        self._parameters = parameters
        self._region = region
        self._patch = model.backbone.patch_size
        height, width = (zoomed_length(n, parameters.zoom) for n in pixels.shape[:2])
        self._grid = grid_shape(height, width, self._patch)
        self._tiles = plan_tiles(*self._grid, parameters.tile, parameters.overlap)
        scale = self._patch / parameters.zoom
        self._wanted = tiles_of(region, pixels.shape, scale, self._tiles)

    def steps(
        self,
        partial: Partial | None,
        keep: Callable[[tuple[int, int, int], EncodeParameters], Sink] | None,
        batch: int | None,
    ) -> Generator[Progress, None, Features]:
        model, tiles, parameters = self._model, self._tiles, self._parameters
        shape = *self._grid, model.backbone.channels
        sink = keep(shape, parameters) if keep else InMemory(shape, len(tiles))
        finished = {} if partial is None else partial
        needed = [n for n in self._wanted if tiles[n].row + tiles.rows > sink.done]
        missing = [n for n in needed if n not in finished]
        skipped = done = len(self._wanted) - len(missing)
        clock = Clock(len(self._wanted), skipped)
        yield clock.progress("Encoding", done)
        blending = Blending(self._grid, parameters.overlap, sink.write)
        encoded = _encode(model, ahead(self._read, missing), parameters, batch)
        for number in needed:
            known = finished.get(number)
            found = next(encoded) if known is None else known
            blending.add(tiles[number], found[0])
            sink.views[number] = unit(found[1])
            if known is None:
                done += 1
                if partial is not None:
                    partial[number] = found
                yield clock.progress("Encoding", done)
        blending.close()
        views = sink.views
        return Features(
            array=sink.finish(),
            image_embedding=unit(views[self._wanted].mean(axis=0)),
            image_shape=(int(self._pixels.shape[0]), int(self._pixels.shape[1])),
            patch=self._patch / parameters.zoom,
            model=model.card.id,
            revision=model.revision,
            parameters=parameters,
            appearance=self._appearance,
            region=self._region,
            views=views,
            device=model.device,
            precision=model.precision,
        )

    def _read(self, number: int) -> NDArray[np.float32]:
        where = self._tiles[number].pixels(self._patch)
        zoom = self._parameters.zoom
        return read_tile(self._pixels, self._appearance, zoom, self._patch, where)


def restrict(features: Features, region: Region | None) -> Features:
    """Look at a region of an image that is encoded as a whole.

    Returns
    -------
    Features
        The same as if only the region had been encoded, as far as it reaches.
    """
    if region is None or features.views is None:
        return features
    used = features.parameters
    rows, columns = features.array.shape[:2]
    every = plan_tiles(rows, columns, used.tile, used.overlap)
    wanted = tiles_of(region, features.image_shape, features.patch, every)
    embedding = unit(features.views[wanted].mean(axis=0))
    return replace(features, region=region, image_embedding=embedding)


def _encode(
    model: Model,
    images: Iterable[NDArray[np.float32]],
    parameters: EncodeParameters,
    batch: int | None,
) -> Iterator[TileFeatures]:
    """Encode images of one size in batches; those that do not fit are halved."""
    probed = batch is None and model.device.startswith("cuda")
    size = 1 if batch is None else batch
    waiting: list[NDArray[np.float32]] = []
    for image in images:
        waiting.append(image)
        if len(waiting) < size:
            continue
        if probed:
            size, probed = _fitting(model, waiting[0], parameters), False
            continue
        found, size = _encode_halving(model, waiting, parameters, size)
        yield from found
        waiting = []
    yield from _encode_halving(model, waiting, parameters, size)[0]


def _encode_halving(
    model: Model,
    images: list[NDArray[np.float32]],
    parameters: EncodeParameters,
    size: int,
) -> tuple[list[TileFeatures], int]:
    found: list[TileFeatures] = []
    while len(found) < len(images):
        some = images[len(found) : len(found) + size]
        try:
            found += _encode_batch(model, some, parameters)
            continue
        except (MemoryError, RuntimeError) as error:
            if size == 1 or not is_out_of_memory(error):
                raise
        size = max(1, min(size, len(some)) // 2)
        free_memory()
    return found, size


def _fitting(
    model: Model, image: NDArray[np.float32], parameters: EncodeParameters
) -> int:
    """Tell how many images of this size fit a GPU at once, by encoding one."""
    import torch

    before = torch.cuda.memory_allocated(model.device)
    torch.cuda.reset_peak_memory_stats(model.device)
    _encode_batch(model, [image], parameters)
    taken = torch.cuda.max_memory_allocated(model.device) - before
    free = torch.cuda.mem_get_info(model.device)[0]
    return int(np.clip(BATCH_SHARE * free / max(1, taken), 1, MOST_BATCHED))


def _encode_batch(
    model: Model, images: list[NDArray[np.float32]], parameters: EncodeParameters
) -> list[TileFeatures]:
    import torch

    pixels = torch.from_numpy(np.stack(images)).movedim(-1, 1)
    with torch.inference_mode():
        found = model.backbone.encode_patches(pixels, parameters.gem)
        patches, views = found.patches.float().cpu(), found.image.float().cpu()
    if not bool(torch.isfinite(patches).all()):
        raise GemError(
            f"The model {model.card.name} gave no finite numbers in "
            f"{model.precision}. Choose precision float32."
        )
    return list(zip(patches.numpy(), views.numpy(), strict=True))
