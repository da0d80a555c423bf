"""One image of a data set as a user would segment it, to be counted like any other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.progress import run
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Segmentation
from napari_gem.evaluation.metrics import OTHER
from napari_gem.evaluation.protocols import scale_of
from napari_gem.evaluation.score import Prediction, picture_job, sample_pixels
from napari_gem.segmentation.job import job_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gem.evaluation.question import Question
    from napari_gem.evaluation.score import Maps, Method
    from napari_gem.models.model import Model


def predict_as_segmented(
    model: Model,
    picture: Maps,
    truth: NDArray[np.int16],
    question: Question,
    method: Method,
    name: str,
) -> Prediction:
    """Segment an image with a mask.

    Where the data set has no background, none is looked for.

    Parameters
    ----------
    model, picture, question, method, name
        See `score.score_image`.
    truth
        (height, width): class numbers, or `metrics.IGNORED`.
    """
    shown, job = picture_job(model, picture, method, name)
    # what is no class of the data set by its rest words is background too
    rest = [
        number == question.background or words == question.rest
        for words, number in zip(question.words, question.numbers, strict=True)
    ]
    background = [
        word
        for words, behind in zip(question.words, rest, strict=True)
        if behind
        for word in words
    ]
    front = [place for place, behind in enumerate(rest) if not behind]
    parameters = replace(
        model.card.score,
        scale=scale_of(method.protocol, model),
        background=tuple(background),
    )
    usual = Prompt(words=("any",)).threshold
    prompts = tuple(
        Prompt(
            question.words[place],
            label=label,
            threshold=method.protocol.threshold or usual,
        )
        for label, place in enumerate(front, start=1)
    )
    job = replace(job, prompts=prompts, score=parameters)
    result = run(job_steps(job, shown, model))
    assert isinstance(result, Segmentation)  # noqa: S101 (for the type checker)
    nothing = OTHER if question.background is None else question.background
    numbers = [nothing, *(question.numbers[place] for place in front)]
    places = sample_pixels(truth, name)
    likely = result.probabilities.reshape(len(front), -1)[:, places]
    shares, kept = [*likely], [question.numbers[place] for place in front]
    if background:
        shares.append(np.clip(1 - likely.sum(axis=0), 0, 1))
        kept.append(nothing)
    values = np.stack(shares)
    return Prediction(
        predicted=np.array(numbers, np.int16)[result.labels],
        places=places,
        values=values,
        probabilities=values,
        question=replace(question, words=(), numbers=tuple(kept)),
    )
