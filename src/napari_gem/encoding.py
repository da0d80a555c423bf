"""Pixels to features on the patch grid, tile by tile: the costly half of the line."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.checks import check_encode
from napari_gem.image import render
from napari_gem.steps import Clock
from napari_gem.tiles import (
    Tile,
    blend,
    grid_shape,
    pad_to_grid,
    plan_tiles,
    tiles_of,
    unit,
)
from napari_gem.types import (
    Appearance,
    EncodeParameters,
    Features,
    GemError,
    Progress,
    Region,
)

if TYPE_CHECKING:
    from collections.abc import Generator, MutableMapping

    from numpy.typing import NDArray

    from napari_gem.models import Model

    TileFeatures = tuple[NDArray[np.float32], NDArray[np.float32]]


def encode_steps(
    model: Model,
    pixels: NDArray[Any],
    appearance: Appearance,
    parameters: EncodeParameters | None = None,
    *,
    region: Region | None = None,
    partial: MutableMapping[int, TileFeatures] | None = None,
) -> Generator[Progress, None, Features]:
    """Encode an image tile by tile.

    Parameters
    ----------
    model
        From `napari_gem.load_model`.
    pixels
        (height, width), or (height, width, 3 or 4) for RGB and RGBA; any number type.
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

    Yields
    ------
    Progress
        Before the first tile and after each.

    Returns
    -------
    Features
        Unit vectors on the patch grid.
    """
    parameters = parameters or model.card.encode
    check_encode(parameters, pixels.shape)
    patch = model.backbone.patch_size
    image = _zoomed(render(pixels, appearance), parameters.zoom)
    shape = grid_shape(image.shape[0], image.shape[1], patch)
    image = pad_to_grid(image, patch)
    every = plan_tiles(*shape, parameters.tile, parameters.overlap)
    wanted = tiles_of(region, pixels.shape, patch / parameters.zoom, every)
    tiles = {number: every[number] for number in wanted}
    finished = {} if partial is None else partial
    missing = [number for number in tiles if number not in finished]
    clock = Clock(len(tiles), skipped=len(tiles) - len(missing))
    yield clock.progress("Encoding", len(tiles) - len(missing))
    for done, number in enumerate(missing, start=len(tiles) - len(missing) + 1):
        finished[number] = _encode_tile(model, image, tiles[number], parameters)
        yield clock.progress("Encoding", done)
    pieces = ((tile, finished[number][0]) for number, tile in tiles.items())
    array = blend(shape, parameters.overlap, pieces)
    views = np.zeros((len(every), array.shape[-1]), np.float32)
    for number in tiles:
        views[number] = unit(finished[number][1])
    return Features(
        array=array.astype(np.float16),
        image_embedding=unit(views[wanted].mean(axis=0)),
        image_shape=(pixels.shape[0], pixels.shape[1]),
        patch=patch / parameters.zoom,
        model=model.card.id,
        revision=model.revision,
        parameters=parameters,
        appearance=appearance,
        region=region,
        views=views,
    )


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


def _zoomed(image: NDArray[np.float32], zoom: float) -> NDArray[np.float32]:
    if zoom == 1:
        return image
    import torch

    # The exact factor, not the ratio of rounded sizes: the patch grid stays in place.
    # An axis that would vanish is repeated first.
    repeats = [int(np.ceil(1 / (size * zoom))) for size in image.shape[:2]]
    image = np.repeat(np.repeat(image, repeats[0], 0), repeats[1], 1)
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(image).movedim(-1, 0)[None],
        scale_factor=zoom,
        mode="bicubic",
        antialias=zoom < 1,
    )
    result: NDArray[np.float32] = enlarged[0].movedim(0, -1).clamp(0, 1).numpy()
    return result


def _encode_tile(
    model: Model, image: NDArray[np.float32], tile: Tile, parameters: EncodeParameters
) -> TileFeatures:
    import torch

    cut = np.ascontiguousarray(image[tile.pixels(model.backbone.patch_size)])
    with torch.inference_mode():
        found = model.backbone.encode_patches(
            torch.from_numpy(cut).movedim(-1, 0)[None], parameters.gem
        )
        patches, view = found.patches[0].float().cpu(), found.image[0].float().cpu()
    if not bool(torch.isfinite(patches).all()):
        raise GemError(
            f"The model {model.card.name} gave no finite numbers in "
            f"{model.precision}. Choose precision float32."
        )
    return patches.numpy(), view.numpy()
