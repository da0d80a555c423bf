"""``recipe.json``: how the result was made, and what each label id means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from napari_gem.records import to_dict

if TYPE_CHECKING:
    from pathlib import Path

    from napari_gem.files import ImageFile
    from napari_gem.types import Segmentation


def write(result: Segmentation, image: ImageFile, folder: Path) -> None:
    """Write the recipe with the classes' label ids, notices and pixel size."""
    ids = {str(i): p.name for i, p in enumerate(result.recipe.prompts, start=1)}
    content = {
        **to_dict(result.recipe),
        "labels": {"0": "background", **ids},
        "pixel_size": image.pixel_size,
        "unit": image.unit,
        "notices": result.notices,
    }
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (folder / "recipe.json").write_text(text + "\n", encoding="utf-8")
