"""Point labels of Open Images V7 (storage.googleapis.com/openimages/web).

Each point answers whether it shows a class: yes, no or unsure. As in the evaluation of
GEM's relative LeGrad (arXiv 2404.03214), an image is asked for the classes that have a
point with yes in it.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.sentences import some_of
from napari_gem.evaluation.datasets import Dataset, DatasetClass, Points, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Rows = list[tuple[float, float, str, bool]]

KINDS = {
    "openimages": "oidv7-val-annotations-point-labels.csv, "
    "oidv7-class-descriptions.csv and validation/ with the images"
}
FILE_NAMES = {"validation": "val"}
COLUMNS = ("ImageId", "X", "Y", "Label", "EstimatedYesNo")
DESCRIPTIONS = "oidv7-class-descriptions.csv"


def read(kind: str, root: Path, split: str) -> Dataset:
    """List the images of a split that have points, in the folder of its name."""
    split = split or "validation"
    short = FILE_NAMES.get(split, split)
    points = _read_points(root / f"oidv7-{short}-annotations-point-labels.csv")
    names = _read_names(root / DESCRIPTIONS)
    labels = sorted({label for rows in points.values() for *_, label, _ in rows})
    numbers = {label: number for number, label in enumerate(labels)}
    classes = tuple(
        DatasetClass(names.get(label, label), (names.get(label, label).lower(),))
        for label in labels
    )
    samples = tuple(
        Sample(image, root / split / f"{image}.jpg", points=_points(rows, numbers))
        for image, rows in sorted(points.items())
    )
    if not samples:
        raise GemError(f"No image in '{root}' has a point with yes.")
    return Dataset(kind, "Open Images V7", classes, samples, None)


def _read_points(path: Path) -> dict[str, Rows]:
    by_image: defaultdict[str, Rows] = defaultdict(list)
    for row in _rows(path, COLUMNS):
        answer = row["EstimatedYesNo"].strip().lower()
        if answer in ("yes", "no"):
            place = _part(row["Y"], path), _part(row["X"], path)
            by_image[row["ImageId"]].append((*place, row["Label"], answer == "yes"))
    return {
        image: rows for image, rows in by_image.items() if any(row[3] for row in rows)
    }


def _part(text: str, path: Path) -> float:
    try:
        part = float(text)
    except ValueError:
        part = -1.0
    if not 0 <= part <= 1:
        raise GemError(
            f"'{path.name}' holds the place '{text}', which is no number from 0 to 1."
        )
    return part


def _read_names(path: Path) -> dict[str, str]:
    rows = _rows(path, ("LabelName", "DisplayName"))
    return {row["LabelName"]: row["DisplayName"] for row in rows}


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    if not path.is_file():
        raise GemError(f"There is no file '{path}', as this data set has.")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = set(columns) - set(reader.fieldnames or ())
        if missing:
            raise GemError(
                f"'{path.name}' has no column {some_of(sorted(missing))}. This data "
                f"set has {', '.join(columns)}."
            )
        yield from reader


def _points(rows: Rows, numbers: dict[str, int]) -> Points:
    present = {label for *_, label, positive in rows if positive}
    kept = [row for row in rows if row[2] in present]
    return Points(
        np.array([row[0] for row in kept]),
        np.array([row[1] for row in kept]),
        np.array([numbers[row[2]] for row in kept]),
        np.array([row[3] for row in kept]),
    )
