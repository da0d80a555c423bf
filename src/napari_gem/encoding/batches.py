"""Tiles through the model's image tower, in batches that the memory can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.errors import GemError, no_numbers
from napari_gem.core.memory import Portion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_gem.core.parameters import EncodeParameters
    from napari_gem.models.model import Model

    TileFeatures = tuple[NDArray[np.float32], NDArray[np.float32]]

MOST_BATCHED = 64
"""Tiles of one batch at most."""

BATCH_SHARE = 0.5
"""Part of a GPU's free memory that a batch may take."""


def encode_tiles(
    model: Model,
    images: Iterable[NDArray[np.float32]],
    parameters: EncodeParameters,
    batch: int | None,
) -> Iterator[TileFeatures]:
    """Encode images of one size in batches; those that do not fit are halved.

    Parameters
    ----------
    model
        From `napari_gem.load_model`.
    images
        (height, width, 3) float32, 0 to 1, of whole patches.
    parameters
        Of them only those of GEM count.
    batch
        Tiles that are encoded together; None takes one on a processor and as many as
        fit on a GPU.

    Yields
    ------
    tuple[NDArray[np.float32], NDArray[np.float32]]
        (rows, columns, channels) and the embedding of the tile, (channels,).

    Raises
    ------
    GemError
        If the model gives no finite numbers.
    """
    probed = batch is None and model.device.startswith("cuda")
    portion = Portion(1 if batch is None else batch)
    waiting: list[NDArray[np.float32]] = []
    for image in images:
        waiting.append(image)
        if len(waiting) < portion.size:
            continue
        if probed:
            portion.size, probed = _fitting(model, waiting[0], parameters), False
            continue
        yield from _encode_all(model, waiting, parameters, portion)
        waiting = []
    yield from _encode_all(model, waiting, parameters, portion)


def _encode_all(
    model: Model,
    images: list[NDArray[np.float32]],
    parameters: EncodeParameters,
    portion: Portion,
) -> Iterator[TileFeatures]:
    def encode(some: slice) -> list[TileFeatures]:
        return _encode_batch(model, images[some], parameters)

    for _, features in portion.over(slice(0, len(images)), encode):
        yield from features


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
        encoded = model.backbone.encode_patches(pixels, parameters.gem)
        patches, embeddings = encoded.patches.float().cpu(), encoded.image.float().cpu()
    if not bool(torch.isfinite(patches).all()):
        raise GemError(no_numbers(f"The model {model.card.name}", model.precision))
    return list(zip(patches.numpy(), embeddings.numpy(), strict=True))
