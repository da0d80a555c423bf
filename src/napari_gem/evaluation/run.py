"""A measurement from beginning to end: samples, scores, counts, report."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_gem._version import __version__
from napari_gem.core.errors import GemError
from napari_gem.core.progress import Progress
from napari_gem.evaluation.masks import check_size, read_mask
from napari_gem.evaluation.pictures import Pictures
from napari_gem.evaluation.protocols import templates_of
from napari_gem.evaluation.question import choose_words
from napari_gem.evaluation.report import write_report
from napari_gem.evaluation.score import (
    Method,
    point_values,
    points_right,
    predict_by_cosines,
    read_picture,
    score_image,
)
from napari_gem.evaluation.segmented import predict_as_segmented
from napari_gem.evaluation.store import ImageResult, Run, Store, write_results
from napari_gem.evaluation.tally import Tally
from napari_gem.scoring.text import embed_steps

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gem.evaluation.datasets import Dataset, Sample
    from napari_gem.evaluation.question import Question
    from napari_gem.evaluation.score import Maps
    from napari_gem.models.model import Model

SAVED = 30.0
"""Counts are saved after this many seconds; more is not lost if the process dies."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """A model, a data set, a method and a question, and where the results go.

    With ``skip_bad`` samples that cannot be read are left out, counted and named.
    """

    model: Model
    dataset: Dataset
    method: Method
    question: Question
    store: Store
    tally: Tally
    skip_bad: bool = False


def prepare(
    model: Model,
    dataset: Dataset,
    method: Method,
    folder: Path,
    *,
    resume: bool = False,
    skip_bad: bool = False,
) -> Measurement:
    """Check all that can be checked before long work, and open the folder of results.

    Parameters
    ----------
    model, dataset, method
        What is measured, on which images, and how.
    folder
        Folder of the results; it is made if it is missing.
    resume
        Whether to go on with the measurement in the folder.
    skip_bad
        Whether samples that cannot be read are left out.

    Raises
    ------
    GemError
        If files of the data set are missing, the folder holds another measurement, or
        the data set does not fit protocol or control.
    """
    question = choose_words(dataset, method.protocol, method.control, model)
    if not skip_bad:
        check_files(dataset)
    run = Run(
        kind=dataset.kind,
        title=dataset.title,
        folder=dataset.folder,
        split=dataset.split,
        classes=tuple(entry.name for entry in dataset.classes),
        images=len(dataset.samples),
        model=model.card.id,
        revision=model.revision,
        protocol=method.name,
        details=method.protocol,
        short_side=method.short_side,
        gem=method.gem,
        control=method.control,
        version=__version__,
        device=model.device,
        precision=model.precision,
        preset=method.preset,
        encode=model.card.encode if method.protocol.pipeline else None,
        score=model.card.score if method.protocol.pipeline else None,
    )
    tally = Tally(len(dataset.classes))
    store = Store(folder, run, tally, resume=resume)
    names = {sample.name for sample in dataset.samples}
    beyond = [result.name for result in store.done if result.name not in names]
    if beyond:
        raise GemError(
            f"{len(store.done)} images are measured in '{folder}', first beyond this "
            f"part of the data set '{beyond[0]}'. Give a larger --limit, or none."
        )
    return Measurement(model, dataset, method, question, store, tally, skip_bad)


def choose(dataset: Dataset, limit: int | None) -> Dataset:
    """Keep a random part of the samples: the same each time; more include fewer."""
    if limit is None or limit >= len(dataset.samples):
        return dataset
    order = np.random.default_rng(0).permutation(len(dataset.samples))
    kept = sorted(order[: max(1, limit)])
    return replace(dataset, samples=tuple(dataset.samples[i] for i in kept))


def check_files(dataset: Dataset) -> None:
    """Refuse a data set with missing files, before long work is done.

    Raises
    ------
    GemError
        If an image or a mask is missing; the message names the first.
    """
    missing = [
        path
        for sample in dataset.samples
        for path in (sample.image, sample.mask)
        if path is not None and not path.is_file()
    ]
    if missing:
        raise GemError(
            f"The file '{missing[0]}' is missing{_and_more(len(missing) - 1)}. "
            "Complete the data set, or leave such pairs out with --skip-bad."
        )


def _and_more(count: int) -> str:
    return f", and {count} more" if count else ""


def evaluate_steps(work: Measurement) -> Generator[Progress, None, None]:
    """Measure all samples that are not done, then write results and report.

    If it is closed earlier, what was counted stays in the store.

    Yields
    ------
    Progress
        While words are read, before the first image and after each image.

    Raises
    ------
    GemError
        If a sample cannot be read and bad ones are not left out.
    """
    finished = {result.name for result in work.store.done}
    left = [sample for sample in work.dataset.samples if sample.name not in finished]
    total = len(work.dataset.samples)
    pictures = Pictures(work.store, work.dataset)
    started = saved = time.monotonic()
    try:
        if left and work.dataset.format is not None:
            yield from _read_words(work)
            started = saved = time.monotonic()
        yield Progress("Evaluating", total - len(left), total)
        for number, sample in enumerate(left, start=1):
            work.store.add(_measure(work, sample, pictures))
            now = time.monotonic()
            if now - saved > SAVED:
                work.store.save()
                saved = now
            rest = (now - started) / number * (len(left) - number)
            yield Progress("Evaluating", total - len(left) + number, total, rest)
    finally:
        work.store.save()
        write_results(work.store, work.tally)
        write_report(work.store, work.tally)


def _read_words(work: Measurement) -> Generator[Progress, None, None]:
    """Read all words before the first image, so that the progress is seen."""
    words = [word for group in work.question.words for word in group]
    templates = templates_of(work.method.protocol, work.model)
    yield from embed_steps(work.model.backbone, words, templates, work.model.texts)


def _measure(work: Measurement, sample: Sample, pictures: Pictures) -> ImageResult:
    question = work.question
    try:
        picture = read_picture(sample.image)
        truth = _truth(work.dataset, sample, picture)
    except GemError as error:
        if work.skip_bad:
            return ImageResult(sample.name, error=str(error))
        raise GemError(
            f"{error} Go on without such pairs by --resume --skip-bad."
        ) from error
    if truth is None:
        return _measure_points(work, sample, picture, pictures)
    if work.method.control.name == "absent":
        question = question.absent(set(np.unique(truth).tolist()))
    as_segmented = work.method.protocol.pipeline
    predict = predict_as_segmented if as_segmented else predict_by_cosines
    prediction = predict(work.model, picture, truth, question, work.method, sample.name)
    score = work.tally.add_labels(prediction, truth)
    result = ImageResult(sample.name, _known(score))
    pictures.offer(result, picture, truth, prediction.predicted)
    return result


def _measure_points(
    work: Measurement, sample: Sample, picture: Maps, pictures: Pictures
) -> ImageResult:
    points = sample.points
    if points is None:
        raise ValueError("a sample without mask and points")
    asked = set(points.numbers.tolist())
    narrow = work.question.only(lambda number: number in asked)
    scored = score_image(work.model, picture, narrow, work.method, sample.name)
    values = point_values(scored, points)
    result = ImageResult(sample.name, _known(work.tally.add_points(values)))
    right = points_right(points, values)
    pictures.offer_points(result, picture, points, right)
    return result


def _truth(dataset: Dataset, sample: Sample, picture: Maps) -> NDArray[np.int16] | None:
    if sample.mask is None or dataset.format is None:
        return None
    shape = picture.shape[0], picture.shape[1]
    return check_size(read_mask(sample.mask, dataset.format), shape, sample.name)


def _known(score: float) -> float | None:
    return None if np.isnan(score) else score
