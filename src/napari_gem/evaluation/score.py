"""One image of a data set through the model: labels, and values of its maps."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.appearance import Appearance
from napari_gem.core.results import Job
from napari_gem.evaluation.controls import Control, change_image
from napari_gem.evaluation.metrics import IGNORED
from napari_gem.evaluation.protocols import (
    encoding_of,
    resize,
    scale_of,
    templates_of,
)
from napari_gem.images.files import read_image
from napari_gem.images.rendering import render, stretch
from napari_gem.scoring.cosines import group_scores, min_max, softmax
from napari_gem.scoring.text import embed_words
from napari_gem.scoring.upsampling import upsample
from napari_gem.segmentation.pipeline import encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gem.core.parameters import GemParameters
    from napari_gem.evaluation.datasets import Points
    from napari_gem.evaluation.protocols import Protocol
    from napari_gem.evaluation.question import Question
    from napari_gem.models.model import Model

    Maps = NDArray[np.float32]

SAMPLED = 1 << 16
"""Largest number of pixels of an image whose map values count; all labels count."""

STRIP = 1 << 24
"""Values of all maps in memory at once."""

POINT_THRESHOLD = 0.5
"""A point shows a class if its heat map is above this there (arXiv 2404.03214)."""

RGB = Appearance(rgb=True, limits=(0.0, 1.0))


@dataclass(frozen=True)
class Method:
    """All that decides the maps of an image.

    Attributes
    ----------
    name
        Name of the protocol.
    protocol, control
        How the image is shown, and what is changed before.
    gem
        How features are taken from the model.
    short_side
        Pixels, for protocols that resize by it.
    preset
        Parameters that replace the model's own; empty for none.
    """

    name: str
    protocol: Protocol
    control: Control
    gem: GemParameters
    short_side: int = 336
    preset: str = ""


@dataclass(frozen=True, eq=False)
class ImageScores:
    """Scores of an image on the patch grid.

    Attributes
    ----------
    scores
        (groups, rows, columns), cosines.
    patch
        Image pixels per patch along rows and along columns.
    shape
        (height, width) of the image.
    question
        What the groups are.
    """

    scores: Maps
    patch: tuple[float, float]
    shape: tuple[int, int]
    question: Question

    def strips(self) -> Iterator[tuple[slice, Maps]]:
        """Yield rows of pixels and the cosines there, (groups, those rows, width)."""
        height, width = self.shape
        step = max(1, STRIP // (width * len(self.scores)))
        for start in range(0, height, step):
            rows = slice(start, min(start + step, height))
            yield rows, upsample(self.scores, self.patch, width, rows)

    def limits(self) -> tuple[Maps, Maps]:
        """Smallest and largest value of each map at full size, (groups,) each."""
        low = np.full(len(self.scores), np.inf, np.float32)
        high = -low
        for _, cosines in self.strips():
            low = np.minimum(low, cosines.min(axis=(1, 2)))
            high = np.maximum(high, cosines.max(axis=(1, 2)))
        return low, high


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is counted of one image with a mask.

    Attributes
    ----------
    predicted
        (height, width) int16: class numbers, or `metrics.OTHER`.
    places
        (pixels,): indices of the sampled pixels in the flattened image.
    values
        (groups, pixels) of the maps there, 0 to 1: probabilities or heat maps.
    probabilities
        (groups, pixels), softmax over the groups.
    question
        What the groups are.
    """

    predicted: NDArray[np.int16]
    places: NDArray[np.intp]
    values: Maps
    probabilities: Maps
    question: Question


def read_picture(path: Path) -> Maps:
    """Read an image as it is shown: (height, width, 3), 0 to 1."""
    pixels = read_image(path).pixels
    return render(pixels, stretch(pixels, brighten=False))


def picture_job(
    model: Model, picture: Maps, method: Method, name: str
) -> tuple[Maps, Job]:
    """Change and resize an image, and say how; its name decides what is random."""
    changed = change_image(picture, method.control, name)
    shown = resize(changed, method.protocol, method.short_side)
    encoding = encoding_of(method.protocol, model, method.gem, shown.shape[:2])
    return shown, Job(prompts=(), appearance=RGB, encode=encoding)


def score_image(
    model: Model, picture: Maps, question: Question, method: Method, name: str
) -> ImageScores:
    """Score an image, (height, width, 3) from 0 to 1, by the words of a question."""
    shown, job = picture_job(model, picture, method, name)
    features = encode(shown, model, appearance=RGB, parameters=job.encode)
    templates = templates_of(method.protocol, model)
    texts = [
        embed_words(model.backbone, words, templates, model.texts)
        for words in question.words
    ]
    height, width = picture.shape[:2]
    patch = (
        features.patch * height / features.image_shape[0],
        features.patch * width / features.image_shape[1],
    )
    scores = group_scores(features.array, texts)
    return ImageScores(scores, patch, (height, width), question)


def predict(
    scored: ImageScores,
    truth: NDArray[np.int16],
    model: Model,
    method: Method,
    name: str,
) -> Prediction:
    """Label all pixels, and sample the maps at pixels that count."""
    protocol, question = method.protocol, scored.question
    scale = scale_of(protocol, model)
    limits = scored.limits() if protocol.heat_maps else None
    numbers = np.array(question.numbers, np.int16)
    by_threshold = protocol.threshold > 0 and question.background is not None
    places = sample_pixels(truth, name)
    predicted = np.empty(scored.shape, np.int16)
    values, probabilities = [], []
    for rows, cosines in scored.strips():
        maps = cosines if limits is None else min_max(cosines, limits)
        labels = numbers[maps.argmax(axis=0)]
        if by_threshold:
            unsure = _best_probability(cosines, scale) < protocol.threshold
            labels[unsure] = question.background
        predicted[rows] = labels
        start, stop = (row * scored.shape[1] for row in (rows.start, rows.stop))
        inside = places[(places >= start) & (places < stop)] - start
        likely = softmax(cosines.reshape(len(numbers), -1)[:, inside], scale)
        probabilities.append(likely)
        if limits is None:
            values.append(likely)
        else:
            values.append(maps.reshape(len(numbers), -1)[:, inside])
    return Prediction(
        predicted,
        places,
        np.concatenate(values, axis=1),
        np.concatenate(probabilities, axis=1),
        question,
    )


def predict_by_cosines(
    model: Model,
    picture: Maps,
    truth: NDArray[np.int16],
    question: Question,
    method: Method,
    name: str,
) -> Prediction:
    """Score an image with a mask and label it; see `score_image` and `predict`."""
    scored = score_image(model, picture, question, method, name)
    return predict(scored, truth, model, method, name)


def point_values(scored: ImageScores, points: Points) -> list[tuple[int, Maps, Any]]:
    """Read each class's heat map at its points.

    Returns
    -------
    list
        For each class: its number, (points,) values from 0 to 1, and whether each
        point shows it.
    """
    height, width = scored.shape
    limits = scored.limits()
    rows = np.minimum((points.rows * height).astype(int), height - 1)
    columns = np.minimum((points.columns * width).astype(int), width - 1)
    values = np.empty((len(scored.scores), len(rows)), np.float32)
    for strip, cosines in scored.strips():
        inside = (rows >= strip.start) & (rows < strip.stop)
        values[:, inside] = cosines[:, rows[inside] - strip.start, columns[inside]]
    values = min_max(values[..., None], limits)[..., 0]
    by_class = []
    for group, number in enumerate(scored.question.numbers):
        own = points.numbers == number
        by_class.append((number, values[group, own], points.positive[own]))
    return by_class


def points_right(
    points: Points, values: list[tuple[int, Maps, Any]]
) -> NDArray[np.bool_]:
    """Find the points whose answer is right, from `point_values`."""
    right = np.zeros(len(points.rows), bool)
    for number, at_points, positive in values:
        right[points.numbers == number] = (at_points > POINT_THRESHOLD) == positive
    return right


def _best_probability(cosines: Maps, scale: float) -> Maps:
    shifted = (cosines - cosines.max(axis=0)) * scale
    best: Maps = 1 / np.exp(shifted).sum(axis=0)
    return best


def sample_pixels(truth: NDArray[np.int16], name: str) -> NDArray[np.intp]:
    """Choose at most `SAMPLED` pixels that count, in the order of the flat image."""
    known = np.flatnonzero(truth != IGNORED)
    if len(known) <= SAMPLED:
        return known
    random = np.random.default_rng(zlib.crc32(name.encode()))
    chosen: NDArray[np.intp] = np.sort(random.choice(known, SAMPLED, replace=False))
    return chosen
