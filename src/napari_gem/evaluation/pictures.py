"""The best and the worst pictures: image, truth and labels side by side."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.colors import class_color
from napari_gem.evaluation.metrics import IGNORED, OTHER
from napari_gem.evaluation.store import PICTURES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gem.evaluation.datasets import Dataset, Points
    from napari_gem.evaluation.score import Maps
    from napari_gem.evaluation.store import ImageResult, Store

KEPT = 4
"""Best pictures, and worst ones."""

HEIGHT = 220
"""Pixels of a picture."""

RIGHT, WRONG = (0.0, 0.8, 0.3), (0.9, 0.1, 0.1)
"""Colours of points."""


def extremes(
    done: list[ImageResult],
) -> tuple[list[ImageResult], list[ImageResult]]:
    """Find the images with the largest score, and those with the smallest."""
    scored = sorted(
        (result for result in done if result.score is not None),
        key=lambda result: -(result.score or 0),
    )
    best = scored[:KEPT]
    return best, scored[len(best) :][::-1][:KEPT]


def picture_path(folder: Path, name: str) -> Path:
    """Where the picture of a sample is kept."""
    return folder / PICTURES / f"{sha256(name.encode()).hexdigest()[:16]}.jpg"


def _step(picture: Maps) -> int:
    return max(1, int(picture.shape[0]) // HEIGHT)


class Pictures:
    """Keeps pictures of the best and the worst images so far, and no others."""

    def __init__(self, store: Store, dataset: Dataset) -> None:
        self._store = store
        # the background is not coloured
        self._plain = {i for i, c in enumerate(dataset.classes) if c.background}
        self._scored = [result for result in store.done if result.score is not None]

    def offer(
        self,
        result: ImageResult,
        picture: Maps,
        truth: NDArray[np.int16],
        predicted: NDArray[np.int16],
    ) -> None:
        """Keep the picture of an image if it is among the best or the worst."""
        if self._keeps(result):
            step = _step(picture)
            small = picture[::step, ::step]
            maps = (labels[::step, ::step] for labels in (truth, predicted))
            panels = [small, *(self._paint(small, labels) for labels in maps)]
            self._write(result, np.concatenate(panels, axis=1))

    def offer_points(
        self, result: ImageResult, picture: Maps, points: Points, right: NDArray[Any]
    ) -> None:
        """Do the same for points; ``right`` says which answers were right."""
        if self._keeps(result):
            step = _step(picture)
            dotted = picture[::step, ::step].copy()
            height, width = dotted.shape[:2]
            for row, column, good in zip(
                points.rows, points.columns, right, strict=True
            ):
                top, left = int(row * (height - 1)), int(column * (width - 1))
                near = np.s_[max(0, top - 2) : top + 3, max(0, left - 2) : left + 3]
                dotted[near] = RIGHT if good else WRONG
            self._write(result, np.concatenate([picture[::step, ::step], dotted], 1))

    def _keeps(self, result: ImageResult) -> bool:
        """Tell whether an image is among the extremes now; drop those that are not."""
        if result.score is None:
            return False
        before = self._scored
        best, worst = extremes([*before, result])
        self._scored = [*best, *worst]
        for dropped in before:
            if dropped not in self._scored:
                path = picture_path(self._store.folder, dropped.name)
                path.unlink(missing_ok=True)
        return result in self._scored

    def _write(self, result: ImageResult, picture: Maps) -> None:
        from PIL import Image

        path = picture_path(self._store.folder, result.name)
        Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(path, quality=85)

    def _paint(self, picture: Maps, labels: NDArray[np.int16]) -> Maps:
        painted = picture * np.float32(0.45)
        for number in np.unique(labels):
            where = labels == number
            if number == OTHER or number in self._plain:
                continue
            if number == IGNORED:
                painted[where] = 1
                continue
            painted[where] += np.float32(0.55) * np.array(
                class_color(int(number)), np.float32
            )
        clipped: Maps = np.clip(painted, 0, 1)
        return clipped
