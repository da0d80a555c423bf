"""``labels.tif`` and ``probabilities.tif``, with pixel size and georeference.

Resolution is written as TIFF 6.0 tags in pixels per centimetre, georeference as the
GeoTIFF tags of the image, byte for byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_gem.core.units import UNITS

if TYPE_CHECKING:
    from pathlib import Path

    from napari_gem.core.results import Segmentation
    from napari_gem.images.scene import Scene

LABELS, PROBABILITIES = "labels.tif", "probabilities.tif"
NAMES: tuple[str, ...] = (LABELS, PROBABILITIES)

CLASSIC_BYTES = 2**32 - 2**25
"""Larger arrays are written as BigTIFF; tifffile chooses so only if uncompressed."""


def write(result: Segmentation, image: Scene, folder: Path) -> None:
    """Write the labels, and the probabilities with one page a class."""
    from tifffile import imwrite

    names = [prompt.name for prompt in result.recipe.prompts]
    common: dict[str, Any] = {
        "compression": "zlib",
        "photometric": "minisblack",
        "software": f"napari-gem {result.recipe.version}",
        "extratags": [
            (code, letter, 0 if letter == "s" else len(value), value, True)
            for code, letter, value in image.geo_tags
        ],
        **_resolution(image),
    }
    imwrite(
        folder / LABELS,
        result.labels,
        bigtiff=result.labels.nbytes > CLASSIC_BYTES,
        metadata=None,
        **common,
    )
    imwrite(
        folder / PROBABILITIES,
        result.probabilities,
        bigtiff=result.probabilities.nbytes > CLASSIC_BYTES,
        metadata={"axes": "CYX", "classes": names},
        **common,
    )


def _resolution(image: Scene) -> dict[str, Any]:
    if image.pixel_size is None or image.unit not in UNITS:
        return {}
    unit = UNITS[image.unit].centimetres
    rows, columns = (1 / (size * unit) for size in image.pixel_size)
    return {"resolution": (columns, rows), "resolutionunit": "CENTIMETER"}
