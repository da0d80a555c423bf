"""Measure what each ingredient adds to GEM, on validation scenes only.

Prints a line for each setting: figures over 30 scenes (10 of each domain), and what is
gained over the first line with its 95 % interval (draws of scenes). What they mean:

- present: the user asks for the classes in the scene; all: for every class of its
  domain, so that some are not there. mIoU and boundary IoU of labels, mean over the
  classes.
- absent: largest probability of a class that was asked for and is not there, mean.

``--name`` prints only the lines whose name has this in it, beside the first.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from napari_gem.evaluation.metrics import BoundaryTally, LabelTally
from napari_gem.models import Model
from napari_gem.pipeline import segment
from napari_gem.types import EncodeParameters, Features, ScoreParameters
from training.captions import PHRASES
from training.counts import interval
from training.evaluate import encode_scene, load_run
from training.make_test_scenes import hard_scenes
from training.scenes import CLASSES, CLASSES_OF, INDEX, Scene

SCENES = 10
DRAWS = 1000
FIGURES = ("present", "boundary", "all", "boundary of all", "absent")


@dataclass(frozen=True)
class Setting:
    """A name, and what it changes of the model's own parameters."""

    name: str
    encode: EncodeParameters
    score: ScoreParameters


class Bench:
    """Scenes, and a model whose encodings of them are kept.

    Parameters
    ----------
    model : Model
        The loaded model.
    scenes : list of Scene
        What is measured on.
    """

    def __init__(self, model: Model, scenes: list[Scene]) -> None:
        self.model = model
        self.scenes = scenes
        self.encoded = cache(self._encode)

    def _encode(self, parameters: EncodeParameters) -> list[Features]:
        return [encode_scene(self.model, s, parameters) for s in self.scenes]

    def counts(self, setting: Setting) -> np.ndarray:
        """Count each scene: ``(scenes, 5, 2, classes)``, parts and wholes."""
        pairs = zip(self.scenes, self.encoded(setting.encode), strict=True)
        return np.stack([self._count(s, f, setting.score) for s, f in pairs])

    def _count(
        self, scene: Scene, features: Features, score: ScoreParameters
    ) -> np.ndarray:
        domain = list(CLASSES_OF[scene.domain])
        there = [name for name in domain if INDEX[name] in scene.labels]
        rows = []
        absent = np.zeros((2, len(CLASSES)))
        for asked in (there, domain):
            words = [PHRASES[name][0] for name in asked]
            found = segment(features, words, self.model, parameters=score)
            numbers = np.array([0, *(INDEX[name] for name in asked)], np.int16)
            labels, edges = LabelTally(len(CLASSES)), BoundaryTally(len(CLASSES))
            predicted, truth = numbers[found.labels], scene.labels.astype(np.int16)
            labels.add(predicted, truth)
            edges.add(predicted, truth)
            counts = labels.counts[:, : len(CLASSES)]
            right = np.diagonal(counts)
            rows.append((right, counts.sum(axis=0) + counts.sum(axis=1) - right))
            rows.append((edges.both, edges.either))
            for name, map_ in zip(asked, found.probabilities, strict=True):
                if name not in there:
                    absent[:, INDEX[name]] = map_.max(), 1
        return np.array([*rows, absent], float)


def figures(counts: np.ndarray) -> np.ndarray:
    """Return the five figures, in percent; the background is left out."""
    parts, wholes = counts.sum(axis=0)[:, :, 1:].transpose(1, 0, 2)
    each = np.divide(parts, wholes, out=np.full(parts.shape, np.nan), where=wholes > 0)
    each[4] = 0  # of all maps alike, see below
    overall = np.nanmean(each, axis=1)
    overall[4] = parts[4].sum() / max(1, wholes[4].sum())
    return 100 * overall


def gains(counts: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Return 2.5 and 97.5 percentiles of each figure's gain: ``(2, 5)``."""
    rng = np.random.default_rng(0)
    size = len(counts) // 3
    drawn = []
    for _ in range(DRAWS):
        picked = np.concatenate(
            [d * size + rng.integers(0, size, size) for d in range(3)]
        )
        drawn.append(figures(counts[picked]) - figures(base[picked]))
    return np.stack(interval(np.array(drawn)))


def settings(model: Model) -> list[Setting]:
    """Return what is compared: the model's GEM, then each ingredient alone."""
    encode, score = model.card.encode, model.card.score
    gem = replace(
        encode.gem, neighbours=0.0, neighbour_width=5.0, middle=0.0, repair=0.0
    )
    encode = replace(encode, gem=gem)
    score = replace(score, synonyms="max", image_weight=0.0, refinement=0)

    def encoded(name: str, **change: object) -> Setting:
        return Setting(name, replace(encode, gem=replace(gem, **change)), score)

    def zoomed(zoom: float, tile: int) -> Setting:
        wide = replace(encode, zoom=zoom, tile=tile, overlap=tile // 4)
        return Setting(f"zoom {zoom}, tile {tile}", wide, score)

    def scored(name: str, **change: object) -> Setting:
        return Setting(name, encode, replace(score, **change))

    return [
        Setting("GEM, own parameters", encode, score),
        encoded("residual", residual=not gem.residual),
        *(encoded(f"temperature {t}", temperature_scale=t) for t in (4.0, 12.0, 16.0)),
        *(encoded(f"iterations {n}", iterations=n) for n in (0, 2)),
        *(
            encoded(f"neighbours {n}, width {w}", neighbours=n, neighbour_width=w)
            for n, w in ((1.0, 2.0), (2.0, 2.0), (4.0, 2.0), (8.0, 2.0), (4.0, 5.0))
        ),
        *(encoded(f"middle {m}", middle=m) for m in (0.1, 0.3, 0.5)),
        *(encoded(f"repair {r}", repair=r) for r in (1.5, 2.0, 3.0)),
        *(
            scored(f"image weight {w}", image_weight=w)
            for w in (-0.3, -0.1, 0.1, 0.3, 0.5)
        ),
        *(scored(f"refinement {r}", refinement=r) for r in (5, 10, 20)),
        *(
            zoomed(zoom, tile)
            for zoom, tile in ((1.0, 16), (1.5, 16), (2.0, 32), (2.5, 16), (3.0, 16))
        ),
    ]


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="embedded", help="id or exported folder")
    parser.add_argument("--name", default="", help="part of the names that are wanted")
    arguments = parser.parse_args()
    model = load_run(arguments.model)
    bench = Bench(model, hard_scenes("validation", SCENES))
    first, *others = settings(model)
    print("| setting |", " | ".join(FIGURES), "| gain present | gain boundary |")
    print("|---|" + "---|" * (len(FIGURES) + 2))
    base = bench.counts(first)
    print(row(first.name, base, base), flush=True)
    for setting in others:
        if arguments.name in setting.name:
            print(row(setting.name, bench.counts(setting), base), flush=True)


def row(name: str, counts: np.ndarray, base: np.ndarray) -> str:
    """Return a line of the table."""
    cells = [f"{value:.1f}" for value in figures(counts)]
    gain, (low, high) = figures(counts) - figures(base), gains(counts, base)
    cells += [f"{gain[i]:.1f} ({low[i]:.1f} to {high[i]:.1f})" for i in (0, 1)]
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
