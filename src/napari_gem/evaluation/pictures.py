"""The best and the worst pictures: image, truth and labels side by side."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.colors import class_color
from napari_gem.evaluation.metrics import IGNORED, OTHER
from napari_gem.evaluation.store import PICTURES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gem.evaluation.datasets import Dataset
    from napari_gem.evaluation.score import Maps
    from napari_gem.evaluation.store import ImageResult, Store

KEPT = 4
"""Best pictures, and worst ones."""

HEIGHT = 220
"""Pixels of a picture."""


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


class Pictures:
    """Keeps pictures of the best and the worst images so far, and no others.

    Parameters
    ----------
    store
        With the folder to keep them in.
    dataset
        With the background, which is not coloured.
    """

    def __init__(self, store: Store, dataset: Dataset) -> None:
        self._store = store
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
        if result.score is None:
            return
        before = self._scored
        best, worst = extremes([*before, result])
        self._scored = [*best, *worst]
        folder = self._store.folder
        for dropped in before:
            if dropped not in self._scored:
                picture_path(folder, dropped.name).unlink(missing_ok=True)
        if result in self._scored:
            path = picture_path(folder, result.name)
            self._write(path, picture, [truth, predicted])

    def _write(
        self, path: Path, picture: Maps, labels: list[NDArray[np.int16]]
    ) -> None:
        from PIL import Image

        step = max(1, picture.shape[0] // HEIGHT)
        small = picture[::step, ::step]
        panels = [small, *(self._paint(small, map_[::step, ::step]) for map_ in labels)]
        joined = np.concatenate(panels, axis=1)
        Image.fromarray(np.rint(joined * 255).astype(np.uint8)).save(path, quality=85)

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
