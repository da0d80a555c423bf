"""Sample images with the prompts that suit them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from napari_gem.core.errors import GemError
from napari_gem.core.napari_version import check_napari
from napari_gem.images.files import read_image
from napari_gem.images.scene import Scene, scene_of

SAMPLES = ("fluorescence", "histology", "aerial")

_HERE = Path(__file__).parent

LayerDataTuple = tuple[Any, dict[str, Any], str]


def check_sample(name: str) -> None:
    """Refuse a name that is no sample.

    Raises
    ------
    GemError
        With the names that there are.
    """
    if name not in SAMPLES:
        raise GemError(
            f"There is no sample '{name}'; choose one of {', '.join(SAMPLES)}."
        )


def read_sample(name: str) -> tuple[Scene, tuple[str, ...]]:
    """Read a sample image.

    Parameters
    ----------
    name
        One of `SAMPLES`.

    Returns
    -------
    tuple[Scene, tuple[str, ...]]
        The image with its pixel size, and prompts, one class an item.

    Raises
    ------
    GemError
        If there is no such sample.
    """
    check_sample(name)
    entry = _catalogue()[name]
    pixels = read_image(_HERE / f"{name}.png").pixels
    scale = entry["scale"]
    size = (scale, scale) if isinstance(scale, int | float) else tuple(scale)
    prompts = entry["prompts"]
    lines = prompts.splitlines() if isinstance(prompts, str) else prompts
    return scene_of(pixels, size, entry["unit"]), tuple(lines)


def load_fluorescence() -> list[LayerDataTuple]:
    """Cells in fluorescence, as layer data."""
    return [_layer("fluorescence")]


def load_histology() -> list[LayerDataTuple]:
    """Stained tissue, as layer data."""
    return [_layer("histology")]


def load_aerial() -> list[LayerDataTuple]:
    """Land and water from above, as layer data."""
    return [_layer("aerial")]


def _layer(name: str) -> LayerDataTuple:
    check_napari()
    image, prompts = read_sample(name)
    title = _catalogue()[name]["title"]
    # In a viewer that shows µm a pixel is the step of the sliders: layers of metres
    # beside such of µm make more steps than Qt can count, and the viewer fails.
    kwargs = {
        "name": name.capitalize(),
        "rgb": image.pixels.ndim == 3,
        "scale": image.pixel_size,
        "units": None if image.unit == "m" else (image.unit, image.unit),
        "metadata": {"napari_gem": {"title": title, "prompts": list(prompts)}},
    }
    return image.pixels, kwargs, "image"


@cache
def _catalogue() -> dict[str, dict[str, Any]]:
    text = (_HERE / "samples.json").read_text(encoding="utf-8")
    catalogue: dict[str, dict[str, Any]] = json.loads(text)
    return catalogue
