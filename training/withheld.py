"""A class that the training never had, by three clicks.

`WITHHELD` names a class of each domain that is in no scene and no caption of the
training, so there is no word for it. In each scene three random pixels of it are given
as examples, beside the words of all classes of the domain. What counts is how well its
map ranks the other pixels of the scene, those within `NEAR` of a click left out; it is
held against the trained classes, each by its word in the same scenes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from napari_gem.core.parameters import EncodeParameters, ScoreParameters
from napari_gem.core.progress import run
from napari_gem.core.prompts import Example, Prompt
from napari_gem.models.model import Model
from napari_gem.scoring.cache import ScoreCache
from napari_gem.segmentation.segment import segment_steps
from training.counts import interval
from training.evaluate import encode_scene
from training.exact import ranking
from training.scenes import CLASSES
from training.shifted import NEW, WITHHELD, draw_withheld

CLICKS = 3
NEAR = 4
DRAWS = 2
"""Draws of clicks for each scene."""


@dataclass(frozen=True)
class Ranked:
    """AUROC of the maps of one scene, 0 to 1.

    Attributes
    ----------
    domain : str
        Of the scene.
    known : dict
        Class name to that of its map by words.
    by_word, by_clicks : float
        Of the new class: by its name, which the model does not know, and by clicks.
    """

    domain: str
    known: dict[str, float]
    by_word: float
    by_clicks: float


def rank_scene(
    model: Model,
    domain: str,
    number: int,
    encode: EncodeParameters,
    score: ScoreParameters,
    split: str = "test",
) -> Ranked:
    """Measure one scene with the class that is new to its domain."""
    asked = draw_withheld(split, number, domain)
    features = encode_scene(model, asked.scene, encode)
    truth = asked.scene.labels
    kept = ScoreCache()

    def maps(*new: Prompt) -> np.ndarray:
        prompts = [*(Prompt((word,)) for word in asked.words.values()), *new]
        steps = segment_steps(model, features, prompts, score, cache=kept)
        return run(steps).probabilities

    by_words = maps()
    known = {
        CLASSES[place]: ranking(map_, truth == place).auroc
        for place, map_ in zip(asked.words, by_words, strict=True)
        if (truth == place).any()
    }
    by_word = maps(Prompt((WITHHELD[domain],)))[-1]
    rng = np.random.default_rng(number)
    by_clicks = [_by_clicks(maps, truth, rng) for _ in range(DRAWS)]
    return Ranked(
        domain,
        known,
        ranking(by_word, truth == NEW).auroc,
        float(np.mean(by_clicks)),
    )


def _by_clicks(
    maps: Callable[..., np.ndarray], truth: np.ndarray, rng: np.random.Generator
) -> float:
    places = np.argwhere(truth == NEW)
    clicked = places[rng.choice(len(places), CLICKS, replace=False)]
    examples = tuple(Example((float(row), float(column))) for row, column in clicked)
    map_ = maps(Prompt((), title="new", examples=examples))[-1]
    away = np.ones(truth.shape, bool)
    away[tuple(clicked.T)] = False
    counted = distance_transform_edt(away) > NEAR
    return ranking(map_[counted], truth[counted] == NEW).auroc


def summary(found: list[Ranked], name: str) -> list[str]:
    """Return lines of a Markdown table: a row for each new class, and their mean."""
    known = defaultdict(list)
    for ranked in found:
        for class_, auroc in ranked.known.items():
            known[class_].append(auroc)
    median = float(np.median([np.mean(values) for values in known.values()]))
    lines = []
    for domain, title in WITHHELD.items():
        own = [ranked for ranked in found if ranked.domain == domain]
        lines.append(_row(name, title, own, median))
    return [*lines, _row(name, "all", found, median)]


HEAD = (
    "| parameters | class | scenes | its name (unknown) | three clicks | "
    "median of the trained classes, by words |\n|---|---|---|---|---|---|"
)


def _row(name: str, title: str, found: list[Ranked], median: float) -> str:
    clicks = np.array([ranked.by_clicks for ranked in found])
    rng = np.random.default_rng(0)
    drawn = rng.choice(clicks, (1000, len(clicks))).mean(axis=1)
    low, high = interval(drawn)
    word = np.mean([ranked.by_word for ranked in found])
    told = f"{clicks.mean():.3f} ({low:.3f} to {high:.3f})"
    cells = (name, title, str(len(found)), f"{word:.3f}", told, f"{median:.3f}")
    return f"| {' | '.join(cells)} |"
