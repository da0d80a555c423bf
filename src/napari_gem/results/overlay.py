"""``overlay.png``: the image as the model saw it, labels in colour, and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.colors import class_color
from napari_gem.core.prompts import label_ids
from napari_gem.images.rendering import render

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gem.core.prompts import Prompt
    from napari_gem.core.results import Segmentation
    from napari_gem.images.scene import Scene

    Color = tuple[float, float, float]

NAME = "overlay.png"
NAMES: tuple[str, ...] = (NAME,)

OPACITY = 0.55
LONGEST = 2048
"""Sides of larger images are thinned to at most this many pixels."""


def write(result: Segmentation, image: Scene, folder: Path) -> None:
    """Draw the overlay with a legend of the classes below it."""
    from PIL import Image

    step = -(-max(result.labels.shape) // LONGEST)
    labels = result.labels[::step, ::step]
    shown = render(image.pixels[::step, ::step], result.recipe.appearance)
    classes = _classes(result.recipe.prompts)
    palette = np.zeros((max(classes) + 1, 3), np.float32)
    for label, (_, color) in classes.items():
        palette[label] = color
    opacity = np.where(labels > 0, np.float32(OPACITY), np.float32(0))[..., None]
    blended = shown * (1 - opacity) + palette[labels] * opacity
    picture = np.round(blended * 255).astype(np.uint8)
    legend = _legend(classes, max(160, picture.shape[1]))
    canvas = np.zeros((len(picture) + len(legend), legend.shape[1], 3), np.uint8)
    canvas[: len(picture), : picture.shape[1]] = picture
    canvas[len(picture) :] = legend
    Image.fromarray(canvas).save(folder / NAME)


def _classes(prompts: tuple[Prompt, ...]) -> dict[int, tuple[str, Color]]:
    """Name and colour of each label id."""
    ids = label_ids(prompts)
    return {
        label: (prompt.name, prompt.color or class_color(label - 1))
        for label, prompt in zip(ids, prompts, strict=True)
    }


def _legend(classes: dict[int, tuple[str, Color]], width: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(14)
    places, x, y = [], 6, 6
    for label, (title, color) in classes.items():
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
