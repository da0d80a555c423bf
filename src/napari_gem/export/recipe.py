"""``recipe.json``: how the result was made, and what each label id means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.recipes.file import NAME, recipe_text
from napari_gem.types import label_ids

if TYPE_CHECKING:
    from pathlib import Path

    from napari_gem.files import ImageFile
    from napari_gem.segmenting import Scored
    from napari_gem.types import Segmentation


def write(result: Segmentation, image: ImageFile, folder: Path) -> None:
    """Write the recipe with the classes' label ids, notices and pixel size."""
    write_recipe(result, folder, image.pixel_size, image.unit)


def write_recipe(
    result: Segmentation | Scored,
    folder: Path,
    pixel_size: tuple[float, float] | None,
    unit: str,
) -> None:
    """Write the recipe of what has one; the size of a pixel is (height, width)."""
    prompts = result.recipe.prompts
    names = (prompt.name for prompt in prompts)
    ids = dict(zip(map(str, label_ids(prompts)), names, strict=True))
    more = {
        "labels": {"0": "background", **ids},
        "pixel_size": pixel_size,
        "unit": unit,
        "notices": result.notices,
    }
    (folder / NAME).write_text(recipe_text(result.recipe, more), encoding="utf-8")
