"""NuInsSeg, nuclei in stained sections of 31 organs (kaggle.com/ipateam/nuinsseg).

The binary masks count; the ambiguous areas, which have masks of their own, are not
left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError
from napari_gem.evaluation.class_lists import read_classes
from napari_gem.evaluation.datasets import Dataset, Sample
from napari_gem.evaluation.listing import pair_files

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {"nuinsseg": "a folder an organ, with 'tissue images/' and 'mask binary/'"}


def read(kind: str, root: Path, split: str) -> Dataset:
    """List all organs, or the one that is named as split."""
    organs = sorted(path.parent for path in root.glob(f"{split or '*'}/tissue images"))
    if not organs:
        raise GemError(
            f"'{root}' is not laid out as this data set, which has a folder for each "
            "organ with 'tissue images' and 'mask binary'. Choose its folder."
        )
    samples = tuple(
        Sample(f"{organ.name}/{pair.name}", pair.image, pair.mask)
        for organ in organs
        for pair in pair_files(organ / "tissue images", organ / "mask binary")
    )
    classes = read_classes("nuinsseg")
    form = replace(classes.format, nonzero=True)
    return Dataset(kind, classes.title, classes.classes, samples, form)
