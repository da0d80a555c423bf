"""What is counted of one scene, and figures of many scenes with their intervals.

Counts of scenes add up, so that figures of any draw of scenes are those of a sum.
"""

from __future__ import annotations

import numpy as np

from napari_gem.core.parameters import ScoreParameters
from napari_gem.core.progress import run
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Features
from napari_gem.evaluation.metrics import BINS
from napari_gem.evaluation.question import Question
from napari_gem.evaluation.score import Prediction
from napari_gem.evaluation.tally import Tally
from napari_gem.models.model import Model
from napari_gem.scoring.cache import ScoreCache
from napari_gem.segmentation.segment import segment_steps
from training.left_out import NONE, Extra
from training.scenes import CLASSES
from training.shifted import Asked

FIGURES = ("mIoU", "boundary IoU", "AUROC", "AP", "calibration error", "absent: max p")
SMALLER_IS_BETTER = ("calibration error", "absent: max p")
JOINED = 4
"""Bins of `RankingTally` that count as one."""

DRAWS = 500
FIRST = 1
"""The background, class 0, is in no mean."""

Counts = dict[str, np.ndarray]


def count_scene(
    model: Model,
    features: Features,
    asked: Asked,
    score: ScoreParameters,
    cache: ScoreCache | None = None,
    extra: Extra = NONE,
) -> Counts:
    """Ask for all classes of a scene's domains, as a user would, and count.

    Parameters
    ----------
    model : Model
        The loaded model.
    features : Features
        The encoded scene.
    asked : Asked
        The scene and its words.
    score : ScoreParameters
        How it is scored.
    cache : ScoreCache, optional
        Of these features.
    extra : Extra
        What changes the result.

    Returns
    -------
    dict of str to numpy.ndarray
        Counts that can be added to those of other scenes.
    """
    numbers = list(asked.words)
    prompts = [Prompt((word,)) for word in asked.words.values()]
    found = run(segment_steps(model, features, prompts, score, cache=cache))
    found = extra.finished(asked.scene, found)
    truth = asked.scene.labels.astype(np.int16)
    maps = found.probabilities.reshape(len(numbers), -1)
    values = np.concatenate([maps, np.clip(1 - maps.sum(axis=0, keepdims=True), 0, 1)])
    question = Question((), (*numbers, 0), 0, ())
    predicted = np.array([0, *numbers], np.int16)[found.labels]
    tally = Tally(len(CLASSES))
    places = np.arange(truth.size)
    tally.add_labels(Prediction(predicted, places, values, values, question), truth)
    return _compact(tally.state)


def _compact(state: Counts) -> Counts:
    labels = state["labels"][:, : len(CLASSES)]
    right = np.diagonal(labels)
    hits, others = (
        state[f"ranking_{kind}"].reshape(len(CLASSES), BINS // JOINED, JOINED).sum(-1)
        for kind in ("hits", "others")
    )
    return {
        "labels": _pair(right, state["labels"].sum(1) + labels.sum(0) - right),
        "boundary": _pair(state["boundary_both"], state["boundary_either"]),
        "ranking": np.stack([hits, others])[:, FIRST:].astype(np.float32),
        "calibration": np.concatenate(
            [state["calibration_counts"].T, state["calibration_sums"][None]]
        ),
        "absent": state["absent"].T[1::-1, FIRST:],
    }


def _pair(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.stack([part, whole])[:, FIRST:]


def figures(scenes: list[Counts], weights: np.ndarray | None = None) -> np.ndarray:
    """Return the figures of scenes.

    Parameters
    ----------
    scenes : list of Counts
        From `count_scene`.
    weights : numpy.ndarray, optional
        ``(draws, scenes)``: how often each counts; once by default.

    Returns
    -------
    numpy.ndarray
        ``(draws, 6)``: `FIGURES` in percent, the first four means over the classes.
    """
    if weights is None:
        weights = np.ones((1, len(scenes)))
    weights = weights.astype(np.float32)
    sums = {
        key: np.tensordot(weights, np.stack([s[key] for s in scenes]), axes=1)
        for key in scenes[0]
    }
    iou, boundary = (_class_mean(sums[key]) for key in ("labels", "boundary"))
    ranked = [_ranking(*draw[..., ::-1]) for draw in sums["ranking"]]
    auroc, precision = np.array(ranked).T
    total, right, confidence = np.moveaxis(sums["calibration"], 1, 0)
    error = np.abs(confidence - right).sum(axis=-1) / total.sum(axis=-1)
    absent = _class_mean(sums["absent"])
    return 100 * np.stack([iou, boundary, auroc, precision, error, absent], axis=1)


def _class_mean(pairs: np.ndarray) -> np.ndarray:
    """Mean over classes of part by whole: ``(draws, 2, classes)`` to ``(draws,)``."""
    part, whole = np.moveaxis(pairs, 1, 0)
    shares = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return np.nanmean(shares, axis=-1)


def _ranking(hits: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """Return mean AUROC and average precision; ``(classes, bins)``, largest first."""
    known = (hits.sum(axis=1) > 0) & (others.sum(axis=1) > 0)
    hits, others = hits[known].astype(float), others[known].astype(float)
    found, wrong = hits.cumsum(axis=1), others.cumsum(axis=1)
    auroc = (others * (found - hits / 2)).sum(axis=1) / (found[:, -1] * wrong[:, -1])
    precision = (hits * found / np.maximum(found + wrong, 1)).sum(axis=1) / found[:, -1]
    return float(auroc.mean()), float(precision.mean())


def draw_scenes(groups: list[str], draws: int = DRAWS) -> np.ndarray:
    """Draw scenes with replacement within each group: ``(draws, scenes)`` weights."""
    rng = np.random.default_rng(0)
    names = np.array(groups)
    weights = np.zeros((draws, len(groups)))
    for name in np.unique(names):
        members = np.flatnonzero(names == name)
        picked = rng.choice(members, (draws, len(members)))
        for draw, places in enumerate(picked):
            np.add.at(weights[draw], places, 1)
    return weights


def interval(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 2.5 and 97.5 percentiles along the first axis."""
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    return low, high
