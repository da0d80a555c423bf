"""Measure a model on real pictures, by words only: `docs/on-real-pictures.md`.

Every picture goes through napari-gem's own pipeline with one word at a time, and what
the user did not choose is as the product chooses it. What the numbers mean:

- IoU: of the labels that a user gets with the word's picture, mean over the pictures.
- best IoU: likewise, at the threshold of the probability that is best for all pictures
  of the kind together; beside it that threshold. If it is far from the default the map
  is better than its scale.
- AUROC: of the probability map, over the pixels of all pictures of the kind.
- Otsu: IoU of what a user gets without words, by Otsu's threshold.
- pointed at: in how many pictures the brightest point of the map lies on the thing.
- points inside, area: share of the tree points that lie inside the labels, and share of
  the area that the labels cover.
- absent words: share of the area that words for things take which are not there; each
  is asked for alone. The mean over pictures, of the word that takes the most.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_gem import Appearance, encode, load_model, segment
from napari_gem.core.parameters import ScoreParameters
from napari_gem.core.results import Features, Segmentation
from napari_gem.evaluation.metrics import RankingTally
from napari_gem.models.model import Model
from napari_gem.prompts.vocabulary import is_known
from training.evaluate import load_run
from training.real_kinds import KINDS, PARTS, Kind, Picture, Question, entries_of
from training.real_page import (
    PAGE,
    as_json,
    ingredient_rows,
    tables,
    write_page,
)

THRESHOLDS = np.arange(1, 100) / 100
ABSENT_PICTURES = 10
"""Absent words are asked of so many pictures of a kind, evenly among them."""

STRETCH = (0.5, 99.8)


@dataclass(frozen=True)
class Variant:
    """What is changed of the way that the product goes; nothing by default.

    Attributes
    ----------
    title : str
        For the table.
    as_is : bool
        Whether 8-bit pictures are shown from 0 to 255, however dark they are.
    card : bool
        Whether sentences and background words are those of the model's card, whatever
        the domain.
    named : bool
        Whether the user names the domain of the kind.
    change : dict
        Score parameters that are set after all others were chosen.
    """

    title: str = "as napari-gem does"
    as_is: bool = False
    card: bool = False
    named: bool = False
    change: Mapping[str, Any] = field(default_factory=dict)

    @property
    def possible(self) -> bool:
        """Whether this version of napari-gem has the parameters."""
        return set(self.change) <= {one.name for one in fields(ScoreParameters)}


PRODUCT = Variant()
INGREDIENTS = (
    PRODUCT,
    Variant("dark pictures as they are", as_is=True),
    Variant("background words of all domains", card=True),
    Variant("domain named", named=True),
    Variant("word levels taken off", change={"level_weight": 1.0}),
    Variant("neither", as_is=True, card=True),
)


@dataclass
class Answer:
    """Figures of one word on the pictures of one kind.

    Attributes
    ----------
    known : bool
        Whether the model knows the word; if not, nothing else is measured.
    pictures : int
        Number of pictures that the figures are of.
    iou, best_iou, best_threshold, auroc, otsu : float or None
        See the module; none where no outlines are known.
    pointed_at : float or None
        Share of the pictures.
    points_inside, area, otsu_points_inside, otsu_area : float or None
        Shares, where points are known.
    by_picture : dict
        Name of each picture to its IoU, or to the share of its points.
    """

    known: bool = True
    pictures: int = 0
    iou: float | None = None
    best_iou: float | None = None
    best_threshold: float | None = None
    auroc: float | None = None
    otsu: float | None = None
    pointed_at: float | None = None
    points_inside: float | None = None
    area: float | None = None
    otsu_points_inside: float | None = None
    otsu_area: float | None = None
    by_picture: dict[str, float] = field(default_factory=dict)


@dataclass
class KindFigures:
    """Figures of a kind: answers by word, and what absent words take by word."""

    answers: dict[str, Answer]
    absent: dict[str, float] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def most_absent(self) -> tuple[str, float] | None:
        """The absent word that takes the most, and its share of the area."""
        return max(self.absent.items(), key=lambda pair: pair[1], default=None)


class _Tally:
    """Counts of one word over pictures."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.ranking = RankingTally(1)
        self.rows: list[dict[str, float]] = []
        self.curves: list[np.ndarray] = []
        self.by_picture: dict[str, float] = {}

    def add(self, picture: Picture, result: Segmentation) -> None:
        word = self.question.word
        found, scores = result.labels > 0, result.probabilities[0]
        row = {}
        if word in picture.points:
            rows, columns = picture.points[word].T
            otsu = self.question.otsu(picture.image)
            row["inside"], row["area"] = found[rows, columns].sum(), found.mean()
            row["otsu_inside"], row["otsu_area"] = (
                otsu[rows, columns].sum(),
                otsu.mean(),
            )
            row["points"] = len(rows)
            if len(rows):
                self.by_picture[picture.name] = float(found[rows, columns].mean())
        if word in picture.truth:
            truth = picture.truth[word]
            row["iou"] = iou(found, truth)
            row["otsu"] = iou(self.question.otsu(picture.image), truth)
            brightest = scores == scores.max()
            row["pointed"] = float(truth[brightest].mean() > 0.5)
            self.curves.append(iou_curve(scores, truth))
            self.ranking.add(0, scores, truth)
            self.by_picture[picture.name] = row["iou"]
        if row:
            self.rows.append(row)

    def answer(self) -> Answer:
        """Put the counts together."""
        answer = Answer(pictures=len(self.rows), by_picture=self.by_picture)
        if self.curves:
            curve = np.nanmean(self.curves, axis=0)
            best = int(np.nanargmax(curve))
            answer.iou = self._mean("iou")
            answer.otsu = self._mean("otsu")
            answer.pointed_at = self._mean("pointed")
            answer.best_iou = float(curve[best])
            answer.best_threshold = float(THRESHOLDS[best])
            answer.auroc = float(self.ranking.figures()[0][0])
        if any("points" in row for row in self.rows):
            points = sum(row["points"] for row in self.rows)
            answer.points_inside = float(sum(r["inside"] for r in self.rows) / points)
            answer.otsu_points_inside = float(
                sum(row["otsu_inside"] for row in self.rows) / points
            )
            answer.area = self._mean("area")
            answer.otsu_area = self._mean("otsu_area")
        return answer

    def _mean(self, name: str) -> float:
        return float(np.nanmean([row[name] for row in self.rows]))


def iou(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the IoU of two masks; NaN if both are empty."""
    either = np.count_nonzero(found | truth)
    return np.count_nonzero(found & truth) / either if either else float("nan")


def iou_curve(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the IoU of the pixels that reach each of `THRESHOLDS`."""
    edges = np.array([0, *THRESHOLDS, np.inf])
    hits = np.histogram(scores[truth], edges)[0][::-1].cumsum()[::-1][1:]
    others = np.histogram(scores[~truth], edges)[0][::-1].cumsum()[::-1][1:]
    either = np.count_nonzero(truth) + others
    return np.divide(hits, either, out=np.full(len(hits), np.nan), where=either > 0)


def load(name: str) -> Model:
    """Load a model of the catalogue, or the folder of a training run.

    A run has the settings of the embedded model and the words of its own training.
    """
    folder = Path(name)
    if not folder.is_dir():
        return load_model(name)
    model = load_run(name)
    card = model.card
    if (folder / "prompts.json").is_file():
        words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        described = json.loads((folder / "prompts.json").read_text(encoding="utf-8"))
        lists = described["background"].values()
        background = tuple(dict.fromkeys(word for words in lists for word in words))
        card = replace(
            card,
            # as if it came with the package: its words of each domain are read there
            weights=f"package:{folder.absolute()}",
            known_words=frozenset(words),
            score=replace(card.score, background=background),
        )
    return replace(model, card=card)


def encode_picture(
    model: Model, kind: Kind, image: np.ndarray, variant: Variant = PRODUCT
) -> Features:
    """Encode as the product does, but for what the kind or the variant says."""
    parameters = replace(model.card.encode, zoom=kind.zoom) if kind.zoom else None
    limits = None
    if kind.stretch:
        low, high = np.percentile(image, STRETCH)
        limits = (float(low), float(max(high, low + 1)))
    elif variant.as_is:
        limits = (0.0, 255.0)
    appearance = Appearance(rgb=True, limits=limits) if limits else None
    return encode(image, model, appearance=appearance, parameters=parameters)


def ask(
    model: Model, kind: Kind, features: Features, word: str, variant: Variant = PRODUCT
) -> Segmentation:
    """Ask for one word as the product does, but for what the variant says."""
    if variant.card:
        result = segment(features, [word], model, parameters=model.card.score)
    else:
        domain = kind.domain if variant.named else ""
        result = segment(features, [word], model, domain=domain)
    if variant.change:
        score = replace(result.recipe.score, **variant.change)
        result = segment(features, [word], model, parameters=score)
    return result


def measure_kind(
    model: Model,
    folder: Path,
    name: str,
    part: str = "test",
    limit: int | None = None,
    *,
    absent: bool = True,
    variant: Variant = PRODUCT,
) -> KindFigures:
    """Measure a model on pictures of a kind.

    Parameters
    ----------
    model : Model
        The loaded model.
    folder : pathlib.Path
        As for `training.real_kinds.read_kind`.
    name : str
        Key of `KINDS`.
    part : str
        One of `PARTS`.
    limit : int, optional
        How many pictures at most.
    absent : bool
        Whether words for what is not there are asked for, too.
    variant : Variant
        What is changed.

    Returns
    -------
    KindFigures
        Its figures; words that the model does not know are named.
    """
    began = time.monotonic()
    kind, known_words = KINDS[name], model.card.known_words
    known = [q for q in kind.questions if is_known(q.word, known_words)]
    tallies = [_Tally(question) for question in known]
    others = [word for word in kind.absent if is_known(word, known_words)] * absent
    entries = entries_of(folder, name, part, limit)
    step = max(1, -(-len(entries) // ABSENT_PICTURES))
    taken: dict[str, list[float]] = {word: [] for word in others}
    for number, (_, read) in enumerate(entries):
        if not tallies and not others:
            break
        picture = read()
        features = encode_picture(model, kind, picture.image, variant)
        for tally in tallies:
            tally.add(picture, ask(model, kind, features, tally.question.word, variant))
        if number % step == 0:
            for word in others:
                taken[word].append(ask(model, kind, features, word, variant).shares[0])
    measured = {tally.question.word: tally.answer() for tally in tallies}
    words = [question.word for question in kind.questions]
    return KindFigures(
        answers={word: measured.get(word, Answer(known=False)) for word in words},
        absent={word: float(np.mean(some)) for word, some in taken.items() if some},
        unknown=tuple(
            w for w in (*words, *kind.absent) if not is_known(w, known_words)
        ),
        seconds=time.monotonic() - began,
    )


def parse_arguments(arguments: Iterable[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.real_pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder of the real pictures")
    parser.add_argument("--model", default="embedded", help="id or exported folder")
    parser.add_argument("--part", choices=PARTS, default="test")
    parser.add_argument("--limit", type=int, help="pictures of a kind at most")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--no-absent", action="store_true", help="no absent words")
    parser.add_argument("--json", type=Path, help="file that gets all figures")
    parser.add_argument(
        "--ingredients",
        type=int,
        metavar="N",
        help="measure variants, too, on N pictures of a kind at most",
    )
    parser.add_argument(
        "--page", nargs="?", type=Path, const=PAGE, help=f"page to write; {PAGE.name}"
    )
    return parser.parse_args(None if arguments is None else list(arguments))


def main() -> None:
    """Measure and print."""
    options = parse_arguments()
    model = load(options.model)

    def measure(limit: int | None, variant: Variant) -> dict[str, KindFigures]:
        figures = {}
        for name in options.kinds:
            figures[name] = measure_kind(
                model,
                options.folder,
                name,
                options.part,
                limit,
                absent=not options.no_absent,
                variant=variant,
            )
            seconds = f"{figures[name].seconds:.0f} s"
            print(f"{variant.title}, {name}: {seconds}", file=sys.stderr, flush=True)
        return figures

    figures = measure(options.limit, PRODUCT)
    print(tables(figures))
    several = {}
    if options.ingredients:
        several = {
            variant.title: measure(options.ingredients, variant)
            for variant in INGREDIENTS
            if variant.possible
        }
        print("\n".join(["", *ingredient_rows(several)]))
    if options.json:
        about = {"model": options.model, "part": options.part, "limit": options.limit}
        options.json.write_text(as_json(figures, **about), encoding="utf-8")
    if options.page:
        write_page(options.page, figures, several, options)


if __name__ == "__main__":
    main()
