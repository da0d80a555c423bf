"""Sample images with prompts that suit them: drawn ones, and one of scikit-image."""

from __future__ import annotations

import json
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_gem.core.errors import GemError
from napari_gem.core.napari_version import check_napari
from napari_gem.core.sentences import check_known
from napari_gem.images.files import read_image
from napari_gem.images.scene import Scene, scene_of

SAMPLES = ("fluorescence", "histology", "aerial", "immunohistochemistry")
REAL = "immunohistochemistry"
"""The sample that is a micrograph, from scikit-image; the others are drawn."""

_HERE = Path(__file__).parent

LayerDataTuple = tuple[Any, dict[str, Any], str]


def read_sample(name: str) -> tuple[Scene, tuple[str, ...]]:
    """Read a sample image.

    Parameters
    ----------
    name
        One of `SAMPLES`.

    Returns
    -------
    tuple[Scene, tuple[str, ...]]
        The image with its pixel size, where that is known, and prompts, one class an
        item.

    Raises
    ------
    GemError
        If there is no such sample, or scikit-image comes without its picture.
    """
    check_known("sample", name, SAMPLES)
    entry = _catalogue()[name]
    folder = _scikit_image_folder() if name == REAL else _HERE
    path = folder / entry["file"]
    if not path.is_file():
        raise GemError(
            f"The picture {path.name} is missing in this installation of scikit-image. "
            "Install scikit-image again, from PyPI or conda-forge."
        )
    pixels = read_image(path).pixels
    scale = entry["scale"]
    size = (scale, scale) if scale else None
    prompts = entry["prompts"]
    lines = prompts.splitlines() if isinstance(prompts, str) else prompts
    return scene_of(pixels, size, entry["unit"]), tuple(lines)


def _scikit_image_folder() -> Path:
    """Find scikit-image's pictures; its own functions may download what is missing."""
    spec = find_spec("skimage")
    return Path(spec.origin).parent / "data" if spec and spec.origin else _HERE


def _layer(name: str) -> list[LayerDataTuple]:
    check_napari()
    image, prompts = read_sample(name)
    title = _catalogue()[name]["title"]
    # In a viewer that shows µm a pixel is the step of the sliders: layers of metres
    # beside such of µm make more steps than Qt can count, and the viewer fails.
    kwargs = {
        "name": name.capitalize(),
        "rgb": image.pixels.ndim == 3,
        "scale": image.pixel_size or (1.0, 1.0),
        "units": None if image.unit in ("", "m") else (image.unit, image.unit),
        "metadata": {"napari_gem": {"title": title, "prompts": list(prompts)}},
    }
    return [(image.pixels, kwargs, "image")]


# what napari calls for its samples
load_fluorescence, load_histology, load_aerial, load_immunohistochemistry = (
    partial(_layer, name) for name in SAMPLES
)


@cache
def _catalogue() -> dict[str, dict[str, Any]]:
    text = (_HERE / "samples.json").read_text(encoding="utf-8")
    catalogue: dict[str, dict[str, Any]] = json.loads(text)
    return catalogue
