"""Measure what examples of a class add to its words, on validation scenes.

``python -m training.measure_examples`` prints the tables of
`docs/decisions/0006-examples.md`. The choices were made on the scenes with even numbers
(``--half choose``); the tables are of those with odd numbers.

The model scores as it is shipped. Each scene is asked for the classes that are in it,
by their usual word. Examples are random pixels of a class, or, as negative ones, random
pixels that wrongly got its label, more than `FAR` pixels from where it really is. What
the numbers mean:

- IoU: of the labels, intersection and union summed over the scenes of a domain; mean
  over the classes.
- AUROC: of the class's probability map in each scene; mean over scenes, then classes.
- weak: mean over the classes in `WEAK` only.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import distance_transform_edt

from napari_gem.core.progress import run
from napari_gem.core.prompts import Example, Prompt
from napari_gem.core.results import Features
from napari_gem.models.model import Model
from napari_gem.scoring.cache import ScoreCache
from napari_gem.scoring.examples import as_vector
from napari_gem.segmentation.segment import segment_steps
from training.captions import PHRASES
from training.evaluate import encode_scene, load_run
from training.exact import ranking
from training.make_test_scenes import hard_scenes
from training.scenes import CLASSES_OF, Scene

WEAK = (
    "building",
    "road",
    "ship",
    "bacterium",
    "filament",
    "mitochondrion",
    "nucleus",
    "spot",
    "stained nucleus",
)
FAR = 4
FEWEST = 20
"""Wrong pixels of a class that are worth a click."""

Choose = Callable[["Encoded", int, np.random.Generator], tuple[Example, ...]]


@dataclass(frozen=True, eq=False)
class Encoded:
    """An encoded scene, and the classes that are in it."""

    model: Model
    scene: Scene
    features: Features
    names: tuple[str, ...]
    cache: ScoreCache

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The classes that are in the scene."""
        return tuple(Prompt((PHRASES[name][0],), title=name) for name in self.names)

    def segment(self, prompts: tuple[Prompt, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities, and the class of each pixel from 1, 0 for none."""
        steps = segment_steps(self.model, self.features, prompts, cache=self.cache)
        found = run(steps)
        return found.probabilities, found.labels


class Figures:
    """Sums of one row of a table."""

    def __init__(self) -> None:
        self._parts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
        self._aurocs: dict[str, list[float]] = defaultdict(list)
        self._wrong = np.zeros(2)

    def add(
        self, encoded: Encoded, number: int, maps: np.ndarray, labels: np.ndarray
    ) -> None:
        """Add one class of one scene."""
        name = encoded.names[number]
        truth, found = encoded.scene.mask(name), labels == number + 1
        key = f"{encoded.scene.domain}: {name}"
        self._parts[key] += (truth & found).sum(), (truth | found).sum()
        found = ranking(maps[number][::2, ::2], truth[::2, ::2])
        self._aurocs[key].append(found.auroc)

    def add_wrong(self, before: np.ndarray, after: np.ndarray) -> None:
        """Add where a class was wrongly found before and after a change."""
        self._wrong += (before & after).sum(), before.sum()

    def cells(self) -> list[str]:
        """Return IoU, IoU of the weak, AUROC, AUROC of the weak, wrong pixels left."""
        iou = {key: part[0] / part[1] for key, part in self._parts.items()}
        auroc = {key: np.mean(values) for key, values in self._aurocs.items()}
        cells = []
        for values in (iou, auroc):
            weak = [v for key, v in values.items() if key.split(": ")[1] in WEAK]
            cells += [f"{np.mean(list(values.values())):.3f}", f"{np.mean(weak):.3f}"]
        if self._wrong[1]:
            cells.append(f"{self._wrong[0] / self._wrong[1]:.2f}")
        return cells

    def classes(self) -> dict[str, float]:
        """Return the IoU of each class."""
        return {key: part[0] / part[1] for key, part in self._parts.items()}


def encode_words(model: Model, scene: Scene) -> Encoded:
    """Encode a scene."""
    features = encode_scene(model, scene, model.card.encode)
    names = tuple(n for n in CLASSES_OF[scene.domain] if n in scene.classes)
    return Encoded(model, scene, features, names, ScoreCache())


def clicks(count: int) -> Choose:
    """Return a function that draws random pixels of a class."""

    def choose(
        encoded: Encoded, number: int, rng: np.random.Generator
    ) -> tuple[Example, ...]:
        return _draw(encoded.scene.mask(encoded.names[number]), count, rng)

    return choose


def kept(others: list[Encoded], count: int) -> Choose:
    """Return a function that takes examples from other scenes, one from each."""

    def choose(
        encoded: Encoded, number: int, rng: np.random.Generator
    ) -> tuple[Example, ...]:
        name, domain = encoded.names[number], encoded.scene.domain
        of_class = [
            other
            for other in others
            if other is not encoded
            and other.scene.domain == domain
            and name in other.names
        ]
        chosen = rng.permutation(len(of_class))[:count]
        return tuple(
            as_vector(of_class[i].features, example)
            for i in chosen
            for example in _draw(of_class[i].scene.mask(name), 1, rng)
        )

    return choose


def _draw(
    mask: np.ndarray, count: int, rng: np.random.Generator, *, positive: bool = True
) -> tuple[Example, ...]:
    places = np.argwhere(mask)
    drawn = places[rng.choice(len(places), count, replace=len(places) < count)]
    return tuple(Example((float(r), float(c)), positive=positive) for r, c in drawn)


def measure(
    scenes: list[Encoded],
    choose: Choose,
    *,
    every: bool,
    words: bool = True,
    seeds: int = 2,
) -> Figures:
    """Measure positive examples.

    Parameters
    ----------
    scenes : list of Encoded
        Scenes.
    choose : Choose
        Gives the examples of a class in a scene.
    every : bool
        True: all classes of a scene have examples at once; False: one at a time, and
        only that one is measured.
    words : bool
        False: classes with examples have no words.
    seeds : int
        Draws of examples.

    Returns
    -------
    Figures
        Their figures.
    """
    figures = Figures()
    for encoded, rng in _draws(scenes, seeds):
        numbers = range(len(encoded.names))
        examples = [choose(encoded, number, rng) for number in numbers]
        for some in [numbers] if every else [[number] for number in numbers]:
            prompts = list(encoded.prompts)
            for number in some:
                said = prompts[number].words if words else ()
                prompts[number] = replace(
                    prompts[number], words=said, examples=examples[number]
                )
            maps, labels = encoded.segment(tuple(prompts))
            for number in some:
                figures.add(encoded, number, maps, labels)
    return figures


def measure_negative(
    scenes: list[Encoded], positive: int, negative: int, seeds: int = 2
) -> Figures:
    """Measure negative examples, of one class at a time.

    Only classes with at least `FEWEST` wrong pixels before count.
    """
    figures = Figures()
    for encoded, rng in _draws(scenes, seeds):
        # generators of their own, so that other counts draw the same first clicks
        for number, random in enumerate(rng.spawn(len(encoded.names))):
            mask = encoded.scene.mask(encoded.names[number])
            of_class, of_wrong = random.spawn(2)
            prompts = list(encoded.prompts)
            own = _draw(mask, positive, of_class) if positive else ()
            prompts[number] = replace(prompts[number], examples=own)
            maps, labels = encoded.segment(tuple(prompts))
            wrong = (labels == number + 1) & (distance_transform_edt(~mask) > FAR)
            if wrong.sum() < FEWEST:
                continue
            if negative:
                more = _draw(wrong, negative, of_wrong, positive=False)
                prompts[number] = replace(prompts[number], examples=(*own, *more))
                maps, labels = encoded.segment(tuple(prompts))
            figures.add(encoded, number, maps, labels)
            figures.add_wrong(wrong, labels == number + 1)
    return figures


def _draws(
    scenes: list[Encoded], seeds: int
) -> list[tuple[Encoded, np.random.Generator]]:
    return [
        (encoded, np.random.default_rng([seed, number]))
        for seed in range(seeds)
        for number, encoded in enumerate(scenes)
    ]


def _table(head: str, rows: dict[str, Figures]) -> str:
    lines = [head, "|---" * (head.count("|") - 1) + "|"]
    lines += [f"| {' | '.join([name, *row.cells()])} |" for name, row in rows.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="embedded", help="id or exported folder")
    parser.add_argument("--half", choices=("choose", "report"), default="report")
    parser.add_argument(
        "--per-domain", type=int, default=20, help="scenes, both halves"
    )
    arguments = parser.parse_args()
    model = load_run(arguments.model)
    drawn = hard_scenes("validation", arguments.per_domain)
    half = drawn[arguments.half == "report" :: 2]
    scenes = [encode_words(model, scene) for scene in half]

    rows = {}
    for every in (True, False):
        told = "every class" if every else "one class"
        rows[f"{told}: words only"] = measure(scenes, clicks(0), every=every, seeds=1)
        for count in (1, 3, 5, 20, 50):
            rows[f"{told}: + {count}"] = measure(scenes, clicks(count), every=every)
        name = f"{told}: 5, no words"
        rows[name] = measure(scenes, clicks(5), every=every, words=False)
        for count in (1, 3, 5):
            name = f"{told}: + {count} kept from other images"
            rows[name] = measure(scenes, kept(scenes, count), every=every)
    head = "| positive examples | IoU | IoU, weak | AUROC | AUROC, weak |"
    print(_table(head, rows))
    negative = {
        f"{p} positive, {n} negative": measure_negative(scenes, p, n)
        for p in (0, 1, 3)
        for n in (0, 1, 3)
    }
    print(_table(head.replace("positive ", "") + " wrong pixels left |", negative))
    columns = [f"one class: {c}" for c in ("words only", "+ 1", "+ 3", "+ 5")]
    print("| IoU |" + "|".join(columns) + "|\n" + "|---" * (len(columns) + 1) + "|")
    for key in rows[columns[0]].classes():
        cells = (f"{rows[column].classes()[key]:.2f}" for column in columns)
        print(f"| {key} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
