"""Choose the measure that orders words by how clearly each separates an image.

``python -m training.choose_separation FOLDER`` asks drawn validation scenes and real
train pictures (`training.real_kinds`) for one class, by its words one after the other
and by words of other classes that the pictures may have. Each measure picks a word
without seeing the truth, or with two clicks on the class and two beside it. Printed for
each: the mean IoU of the picked words at the default threshold, and how often the pick
is within 0.05 of the best; then the same for the words of the class alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from skimage.filters import threshold_otsu

from napari_gem.core.progress import run
from napari_gem.core.prompts import Prompt
from napari_gem.models.model import Model
from napari_gem.scoring.cache import ScoreCache
from napari_gem.scoring.separation import agreement, separation
from napari_gem.scoring.upsampling import upsample
from napari_gem.segmentation.pipeline import encode
from napari_gem.segmentation.segment import score_steps
from training.captions import PHRASES
from training.make_test_scenes import hard_scenes
from training.real_kinds import read_kind
from training.real_pictures import iou, load

CLICKS = 2

REAL = {
    "fluorescence": ("nuclei", "nucleus"),
    "stained": ("nuclei", "stained nucleus"),
    "trees": ("vegetation", "forest"),
}
"""Of each kind the word of its truth, and the class of `PHRASES` that names it."""

OTHERS = {
    "fluorescence": ("cells", "spots", "bacteria", "tissue"),
    "stained": ("tissue", "brown stain", "lumen", "cells"),
    "histology": ("tissue", "brown stain", "lumen", "cells"),
    "trees": ("grass", "road", "building", "water"),
    "aerial": ("grass", "road", "building", "water"),
}
"""Words of other classes that somebody might try."""


@dataclass(frozen=True, eq=False)
class Tried:
    """What a word gives on an image.

    Attributes
    ----------
    iou : float
        With the truth, at the default threshold.
    values : dict
        What each measure says of it.
    """

    iou: float
    values: dict[str, float]


def measures(
    scores: np.ndarray, probability: np.ndarray, cosine: float
) -> dict[str, float]:
    """Measure the map of a word.

    Parameters
    ----------
    scores : numpy.ndarray
        (2, patches): of the word and of the background.
    probability : numpy.ndarray
        (patches,), from 0 to 1.
    cosine : float
        Of the word and the whole image.
    """
    named = {
        "cosines": scores[0],
        "margins": scores[0] - scores[1],
        "probabilities": probability,
    }
    figures = {}
    for name, values in named.items():
        share, gap, separated = otsu(values)
        figures |= {
            f"share between the sides of Otsu's threshold, of {name}": share,
            f"gap of the means of both sides, of {name}": gap,
            f"share x gap, of {name}": share * gap,
            f"Ashman's D, of {name}": separated,
            f"Sarle's bimodality coefficient, of {name}": bimodality(values),
            f"standard deviation of {name}": float(values.std()),
        }
    highest = float(np.percentile(probability, 98))
    return figures | {
        "98th percentile of probabilities": highest,
        "cosine with the image": cosine,
    }


def bimodality(values: np.ndarray) -> float:
    """Sarle's coefficient: (skewness² + 1) / kurtosis."""
    deviation = values.std()
    if deviation == 0:
        return 0.0
    scaled = (values - values.mean()) / deviation
    return float(((scaled**3).mean() ** 2 + 1) / (scaled**4).mean())


def otsu(values: np.ndarray) -> tuple[float, float, float]:
    """Share of variance between the sides, gap of their means, and Ashman's D."""
    if values.min() == values.max():
        return 0.0, 0.0, 0.0
    above = values > threshold_otsu(values)
    low, high = values[~above], values[above]
    gap = float(high.mean() - low.mean())
    share = above.mean() * (1 - above.mean()) * gap**2 / values.var()
    spread = np.sqrt((low.var() + high.var()) / 2)
    return float(share), gap, float(gap / spread) if spread else 0.0


def try_words(
    model: Model,
    image: np.ndarray,
    truth: np.ndarray,
    words: list[str],
    rng: np.random.Generator,
) -> list[Tried]:
    """Ask an image for a class by each word alone."""
    features = encode(image, model)
    inside, outside = np.argwhere(truth), np.argwhere(~truth)
    clicks = [
        (part[rng.integers(len(part), size=CLICKS)] / features.patch).astype(int)
        for part in (inside, outside)
    ]
    cache, tried = ScoreCache(), []
    rows, columns = features.array.shape[:2]
    for word in words:
        scored = run(score_steps(model, features, [Prompt((word,))], cache=cache))
        scores = scored.scores.rows(0, rows)
        scale = scored.parameters.scale
        fine = upsample(
            scores, features.patch, image.shape[1], slice(0, len(image)), (0, rows)
        )
        found = fine[0] >= fine[1]
        margin = scores[0] - scores[1]
        probability = 1 / (1 + np.exp(-scale * margin))
        embedding = model.texts[word, scored.parameters.templates]
        values = measures(
            scores.reshape(2, -1),
            probability.ravel(),
            float(embedding @ features.image_embedding),
        )
        yes, no = (
            probability[np.minimum(c[:, 0], rows - 1), np.minimum(c[:, 1], columns - 1)]
            for c in clicks
        )
        chosen = separation(probability)
        fits = {
            "pairs in order": float((np.sign(yes[:, None] - no) / 2 + 0.5).mean()),
            "rank of clicks on it": agreement(probability, yes, no[:0]),
            "rank of clicks beside it": agreement(probability, no[:0], no),
        }
        fits["both ranks"] = (
            fits["rank of clicks on it"] + fits["rank of clicks beside it"]
        ) / 2
        clicked = {
            f"clicks: {name} x chosen": fit * chosen for name, fit in fits.items()
        }
        clicked |= {f"clicks: {name} alone": fit for name, fit in fits.items()}
        tried.append(Tried(iou(found, truth), values | clicked))
    return tried


def questions(
    folder: Path | None, limit: int
) -> Iterator[tuple[str, np.ndarray, np.ndarray, list[str]]]:
    """Give kinds, images, masks of a class, and its words with those of others."""
    for scene in hard_scenes("validation", per_domain=limit // 3):
        for name in scene.classes:
            words = [*PHRASES[name][:6], *OTHERS[scene.domain]]
            if name not in ("spot", "filament"):
                yield f"drawn {scene.domain}", scene.image, scene.mask(name), words
    for kind, (truth, name) in REAL.items() if folder else ():
        for picture in read_kind(folder, kind, "train", limit):
            if picture.truth[truth].any() and not picture.truth[truth].all():
                words = [*PHRASES[name][:6], *OTHERS[kind]]
                yield f"real {kind}", picture.image, picture.truth[truth], words


def table(results: dict[str, list[list[Tried]]]) -> Iterator[str]:
    """Write the mean IoU of picks, for each kind of images and all.

    Of words that are equal to a measure the mean counts.
    """
    yield f"| measure | {' | '.join(results)} | mean | within .05 of the best |"
    yield "|---|" + "--:|" * (len(results) + 2)

    def pick(name: str, tried: list[Tried]) -> float:
        best = max(one.values[name] for one in tried)
        return float(np.mean([x.iou for x in tried if x.values[name] == best]))

    rules = {
        "best word": lambda tried: max(one.iou for one in tried),
        "first word": lambda tried: tried[0].iou,
        "a word by chance": lambda tried: float(np.mean([one.iou for one in tried])),
    }
    names = list(next(iter(results.values()))[0][0].values)
    rules |= {name: partial(pick, name) for name in names}
    rows = {
        name: [[rule(tried) for tried in some] for some in results.values()]
        for name, rule in rules.items()
    }
    best = np.concatenate(rows["best word"])
    order = sorted(rows, key=lambda name: -np.mean([np.mean(p) for p in rows[name]]))
    for name in order:
        means = [np.mean(part) for part in rows[name]]
        near = np.mean(np.concatenate(rows[name]) > best - 0.05)
        cells = " | ".join(f"{value:.3f}" for value in (*means, np.mean(means), near))
        yield f"| {name} | {cells} |"


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="see training.real_kinds")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--limit", type=int, default=24, help="pictures of a kind")
    arguments = parser.parse_args()
    model, rng = load(arguments.model), np.random.default_rng(0)
    results: dict[str, list[list[Tried]]] = {}
    for kind, image, truth, words in questions(arguments.folder, arguments.limit):
        results.setdefault(kind, []).append(try_words(model, image, truth, words, rng))
    print("All words:", *table(results), sep="\n")
    own = {
        kind: [tried[: -len(OTHERS[kind.split()[-1]])] for tried in some]
        for kind, some in results.items()
    }
    print("\nWords of the class alone:", *table(own), sep="\n")


if __name__ == "__main__":
    main()
