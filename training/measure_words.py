"""Measure what decides between words: presence, levels of words, background's weight.

Looked at are the validation scenes of `training.ablation`, with all words of a scene's
domains, and pictures of the training parts of `training.real_kinds`: each with the word
for what is there alone, and with it beside words for what is not there. A model that
does not know a word is not asked for it. Pictures get the domain that the product
chooses. Labels are not refined, which is quicker and the same for all words.

- presence: for each limit (`absent_spread`, and the model's own ``present``), the part
  of the words that are called absent, of those that are not there and of those that
  are: by the limit alone, and as the product says it.
- levels: IoU by `level_weight`, and its gains on drawn scenes with 95 % intervals.
- weight: IoU by `background_weight`, for one word, three, and all of a domain.

``python -m training.measure_words FOLDER --model embedded`` prints all three.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_gem.core.parameters import ScoreParameters
from napari_gem.core.progress import run
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Features, Segmentation
from napari_gem.models.domains import domain_for, with_domain
from napari_gem.models.model import Model
from napari_gem.prompts.vocabulary import is_known
from napari_gem.scoring.presence import is_absent
from napari_gem.scoring.words import word_steps
from napari_gem.segmentation.segment import segment_steps
from training.ablation import VALIDATION, gather
from training.counts import count_scene, draw_scenes, figures, interval
from training.evaluate import encode_scene
from training.real_kinds import KINDS, read_kind
from training.real_pictures import encode_picture, iou, load
from training.shifted import Asked

REAL = ("fluorescence-stretched", "stained", "blood", "trees")
PICTURES = 10
"""Of each kind."""

THERE = 0.002
"""Part of a drawn scene from which on a class counts as there."""

SPREADS = (None, 0.0, 0.25, 0.5, 0.75, 1.0, 2.0)
LEVELS = (0.0, 0.25, 0.5, 1.0)
WEIGHTS = (0.25, 0.35, 0.5, 0.7, 1.0, 2.0)
PARTS = ("presence", "levels", "weight")
SEVERAL = 3


@dataclass(frozen=True, eq=False)
class Case:
    """An encoded picture with words, and where their things are.

    Attributes
    ----------
    kind : str
        ``drawn``, or a name of `KINDS`.
    features : Features
        The picture.
    truth : dict
        Word to ``(height, width)`` bool; what is not there has no true pixel.
    score : ScoreParameters
        As the product chooses them for all the words.
    asked : Asked or None
        The drawn scene.
    """

    kind: str
    features: Features
    truth: dict[str, np.ndarray]
    score: ScoreParameters
    asked: Asked | None = None

    def there(self) -> list[str]:
        """Return the words for what is there."""
        return [word for word, true in self.truth.items() if true.mean() > THERE]

    def segment(
        self, model: Model, words: Sequence[str], **change: object
    ) -> Segmentation:
        """Ask for some words, with some parameters changed."""
        prompts = [Prompt((word,)) for word in words]
        score = replace(self.score, refinement=0, **change)
        return run(segment_steps(model, self.features, prompts, score))

    def ious(self, found: Segmentation, words: Sequence[str]) -> list[float]:
        """Return the IoU of each word that is there."""
        there = set(self.there())
        return [
            iou(found.labels == number, self.truth[word])
            for number, word in enumerate(words, start=1)
            if word in there
        ]


def cases_of(model: Model, folder: Path, pictures: int = PICTURES) -> list[Case]:
    """Encode the drawn scenes, and so many real pictures of each kind."""
    scenes = gather("validation", *VALIDATION)
    cases = []
    for asked in scenes.asked:
        features = encode_scene(model, asked.scene, model.card.encode)
        truth = {w: asked.scene.labels == number for number, w in asked.words.items()}
        cases.append(Case("drawn", features, truth, model.card.score, asked))
    for name in REAL:
        kind, known = KINDS[name], model.card.known_words
        words = [q.word for q in kind.questions if is_known(q.word, known)]
        absent = [word for word in kind.absent if is_known(word, known)]
        if not words:
            continue
        card = model.card
        decision = domain_for(card, [Prompt((word,)) for word in words])
        score = with_domain(card.score, card, decision)
        for picture in read_kind(folder, name, "train", pictures):
            truth = {w: picture.truth[w] for w in words if w in picture.truth}
            if not truth and "vegetation" in picture.truth:
                truth = {words[0]: picture.truth["vegetation"]}
            nothing = np.zeros(picture.image.shape[:2], bool)
            truth |= dict.fromkeys(absent, nothing)
            features = encode_picture(model, kind, picture.image)
            cases.append(Case(name, features, truth, score))
    return cases


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f}" if len(values) else ""


def _kinds(cases: Sequence[Case]) -> list[str]:
    return list(dict.fromkeys(case.kind for case in cases if case.asked is None))


def _header(name: str, columns: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}"


def presence(model: Model, cases: Sequence[Case]) -> Iterator[str]:
    """Yield the table of limits."""
    kinds = ["drawn", *_kinds(cases)]
    columns = [f"{kind}, {by}" for kind in kinds for by in ("limit", "called")]
    yield _header("limit", columns)
    free = {"present": -1.0, "absent_weight": 0.0}
    shares = [case.segment(model, list(case.truth), **free).shares for case in cases]
    settings: dict[str, dict[str, object]] = {
        "median" if spread is None else f"mean + {spread:g} spread": {
            **free,
            "absent_spread": spread,
        }
        for spread in SPREADS
    }
    settings[f"present {model.card.score.present:g}"] = {
        **free,
        "present": model.card.score.present,
    }
    for name, change in settings.items():
        rows = []
        for case, share in zip(cases, shares, strict=True):
            prompts = [Prompt((word,)) for word in case.truth]
            score = replace(case.score, **change)
            lacking = run(word_steps(model, case.features, prompts, score)).lacking
            there = set(case.there())
            rows += [
                (case.kind, word in there, lacks, is_absent(lacks, part))
                for word, lacks, part in zip(case.truth, lacking, share, strict=True)
            ]
        cells = []
        for kind in kinds:
            for column in (2, 3):
                called = {
                    there: [row[column] for row in rows if row[:2] == (kind, there)]
                    for there in (False, True)
                }
                cells.append(f"{_mean(called[False])[:4]}, {_mean(called[True])[:4]}")
        yield f"| {name} | {' | '.join(cells)} |"


def _drawn(model: Model, cases: Sequence[Case], **change: object) -> list[float]:
    """Return the IoU of one word, and of three words, asked in drawn scenes."""
    random = np.random.default_rng(0)
    alone: list[float] = []
    several: list[float] = []
    for case in cases:
        if case.asked is None:
            continue
        for word in case.there()[:SEVERAL]:
            alone += case.ious(case.segment(model, [word], **change), [word])
        words = [str(w) for w in random.permutation(list(case.truth))[:SEVERAL]]
        several += case.ious(case.segment(model, words, **change), words)
    return [float(np.mean(alone)), float(np.mean(several))]


def _real(model: Model, cases: Sequence[Case], **change: object) -> list[float]:
    """Return for each kind the IoU of the words alone, and beside absent words."""
    results = []
    for kind in _kinds(cases):
        alone: list[float] = []
        beside: list[float] = []
        for case in cases:
            if case.kind == kind:
                for word in case.there():
                    alone += case.ious(case.segment(model, [word], **change), [word])
                words = list(case.truth)
                beside += case.ious(case.segment(model, words, **change), words)
        results += [float(np.mean(alone)), float(np.mean(beside))]
    return results


def _columns(cases: Sequence[Case]) -> list[str]:
    drawn = ["drawn: all words, mIoU", "gain", "absent: max p", "one word", "three"]
    pairs = [(f"{kind}: alone", "beside absent words") for kind in _kinds(cases)]
    return [*drawn, *(column for pair in pairs for column in pair)]


def by_setting(
    model: Model, cases: Sequence[Case], name: str, values: Sequence[float]
) -> Iterator[str]:
    """Yield a table of IoU by a parameter; gains are over the first value."""
    yield _header(name.replace("_", " "), _columns(cases))
    drawn = [case for case in cases if case.asked is not None]
    draws = draw_scenes([case.asked.group for case in drawn if case.asked])
    base = None
    for value in values:
        change = {name: value}
        coarse = {**change, "refinement": 0}
        counts = [
            count_scene(model, case.features, case.asked, replace(case.score, **coarse))
            for case in drawn
            if case.asked
        ]
        whole, drawn_gain = figures(counts)[0], figures(counts, draws)[:, 0]
        base = (whole[0], drawn_gain) if base is None else base
        low, high = interval(drawn_gain - base[1])
        gain = f"{whole[0] - base[0]:+.1f} ({low:+.1f} to {high:+.1f})"
        cells = [f"{whole[0]:.1f}", gain, f"{whole[5]:.1f}"]
        others = _drawn(model, cases, **change) + _real(model, cases, **change)
        cells += [f"{100 * number:.1f}" for number in others]
        yield f"| {value:g} | {' | '.join(cells)} |"


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="real pictures, as laid out")
    parser.add_argument("--model", default="embedded", help="id or exported folder")
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="of each kind")
    arguments = parser.parse_args()
    model = load(arguments.model)
    cases = cases_of(model, arguments.folder, arguments.pictures)
    tables = {
        "presence": lambda: presence(model, cases),
        "levels": lambda: by_setting(model, cases, "level_weight", LEVELS),
        "weight": lambda: by_setting(model, cases, "background_weight", WEIGHTS),
    }
    for part in arguments.part or PARTS:
        for line in tables[part]():
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
