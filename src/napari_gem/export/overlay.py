"""``overlay.png``: the image as the model saw it, labels in colour, and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_gem.colors import class_color
from napari_gem.image import render

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gem.files import ImageFile
    from napari_gem.types import Prompt, Segmentation

OPACITY = 0.55
LONGEST = 2048
"""Sides of larger images are thinned to at most this many pixels."""


def write(result: Segmentation, image: ImageFile, folder: Path) -> None:
    """Draw the overlay with a legend of the classes below it."""
    from PIL import Image

    step = -(-max(result.labels.shape) // LONGEST)
    labels = result.labels[::step, ::step]
    shown = render(image.pixels[::step, ::step], result.recipe.appearance)
    names = result.recipe.prompts
    palette = np.array(
        [(0, 0, 0), *(class_color(i) for i in range(len(names)))], np.float32
    )
    opacity = np.where(labels > 0, np.float32(OPACITY), np.float32(0))[..., None]
    blended = shown * (1 - opacity) + palette[labels] * opacity
    picture = np.round(blended * 255).astype(np.uint8)
    legend = _legend(names, max(160, picture.shape[1]))
    canvas = np.zeros((len(picture) + len(legend), legend.shape[1], 3), np.uint8)
    canvas[: len(picture), : picture.shape[1]] = picture
    canvas[len(picture) :] = legend
    Image.fromarray(canvas).save(folder / "overlay.png")


def _legend(prompts: tuple[Prompt, ...], width: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(14)
    places, x, y = [], 6, 6
    for number, prompt in enumerate(prompts):
        name = f"{number + 1} {prompt.name}"
        length = int(font.getlength(name)) + 34
        if x > 6 and x + length > width:
            x, y = 6, y + 22
        places.append((x, y, number, name))
        x += length
    legend = Image.new("RGB", (width, y + 24))
    draw = ImageDraw.Draw(legend)
    for x, y, number, name in places:
        color = tuple(round(255 * part) for part in class_color(number))
        draw.rectangle((x, y, x + 13, y + 13), fill=color)
        draw.text((x + 19, y - 2), name, fill=(255, 255, 255), font=font)
    return np.asarray(legend)
