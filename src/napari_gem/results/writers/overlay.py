"""``overlay.png``: the image as the model saw it, labels in colour, and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.progress import Progress
from napari_gem.images.rendering import render
from napari_gem.results.classes import result_classes
from napari_gem.results.writers.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gem.core.parameters import OutlineParameters
    from napari_gem.results.classes import ResultClass
    from napari_gem.results.writers.maps import ResultMaps


NAME = "overlay.png"

OPACITY = 0.55
LONGEST = 2048
"""Sides of larger images are thinned to at most this many pixels."""

BAND_PIXELS = 1 << 22
"""Pixels that are read at once."""


def _steps(maps: ResultMaps, folder: Path, _: OutlineParameters) -> Iterator[Progress]:
    """Draw the overlay with a legend of the classes below it."""
    from PIL import Image

    picture = yield from picture_steps(maps, LONGEST)
    classes = result_classes(maps.recipe.prompts)
    legend = _legend(classes, max(160, picture.shape[1]))
    canvas = np.zeros((len(picture) + len(legend), legend.shape[1], 3), np.uint8)
    canvas[: len(picture), : picture.shape[1]] = picture
    canvas[len(picture) :] = legend
    Image.fromarray(canvas).save(folder / NAME)


def picture_steps(
    maps: ResultMaps, longest: int
) -> Generator[Progress, None, NDArray[np.uint8]]:
    """Draw the image with coloured labels.

    Parameters
    ----------
    maps
        The result and its image.
    longest
        Pixels along each side at most; larger images are thinned.

    Returns
    -------
    NDArray[np.uint8]
        (height, width, 3).
    """
    step = -(-max(maps.shape) // longest)
    pixels, labels = maps.scene.levels[0], maps.labels[0]
    thinned: list[list[NDArray[Any]]] = [[], []]
    band = max(step, BAND_PIXELS // maps.shape[1] // step * step)
    for row in range(0, maps.shape[0], band):
        yield Progress("Drawing the overlay", row, maps.shape[0])
        for kept, array in zip(thinned, (pixels, labels), strict=True):
            kept.append(np.asarray(array[row : row + band])[::step, ::step])
    thin, labels = map(np.concatenate, thinned)
    shown = render(thin, maps.recipe.appearance)
    classes = result_classes(maps.recipe.prompts)
    palette = np.zeros((max(each.label for each in classes) + 1, 3), np.float32)
    for each in classes:
        palette[each.label] = each.color
    opacity = np.where(labels > 0, np.float32(OPACITY), np.float32(0))[..., None]
    blended = shown * (1 - opacity) + palette[labels] * opacity
    picture: NDArray[np.uint8] = np.round(blended * 255).astype(np.uint8)
    return picture


def _legend(classes: Sequence[ResultClass], width: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(14)
    places, x, y = [], 6, 6
    for label, title, color in classes:
        name = f"{label} {title}"
        length = int(font.getlength(name)) + 34
        if x > 6 and x + length > width:
            x, y = 6, y + 22
        places.append((x, y, color, name))
        x += length
    legend = Image.new("RGB", (width, y + 24))
    draw = ImageDraw.Draw(legend)
    for x, y, color, name in places:
        fill = tuple(round(255 * part) for part in color)
        draw.rectangle((x, y, x + 13, y + 13), fill=fill)
        draw.text((x + 19, y - 2), name, fill=(255, 255, 255), font=font)
    return np.asarray(legend)


OVERLAY = Writer("the image with coloured labels and a legend", (NAME,), _steps)
