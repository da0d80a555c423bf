"""The ablation: what each part of GEM and each ingredient is worth on drawn scenes.

``python -m training.ablation --write docs/ablation.md`` measures the embedded model and
replaces the tables of that page; without ``--write`` it prints them. ``--quick`` takes
few scenes and few settings, to see whether it runs.

1. `tune`: every rival starts from the model's own parameters and tries `BUDGET` changes
   of what it has, on validation scenes; a change that helps stays (`worth`). Then the
   score scale of each is fitted to the calibration error (`calibrate`).
2. `measure`: every row of the table once on the test scenes.
3. `training.withheld`: three clicks on a class that the training never had.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from hashlib import sha256
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from napari_gem._version import __version__
from napari_gem.core.parameters import EncodeParameters, GemParameters, ScoreParameters
from napari_gem.models.model import Model
from napari_gem.scoring.cache import ScoreCache
from training.context import CONTEXT
from training.counts import (
    FIGURES,
    SMALLER_IS_BETTER,
    Counts,
    count_scene,
    draw_scenes,
    figures,
    interval,
)
from training.evaluate import load_run, plain_card
from training.left_out import EXTRAS, INSTEAD
from training.make_test_scenes import hard_scenes, load_scenes
from training.scenes import DOMAINS
from training.shifted import SETS, WITHHELD, Asked, ask_all, draw_set
from training.withheld import HEAD, Ranked, rank_scene, summary

BUDGET = 12
HELD_OUT = "held-out"
EVERY = 99
VALIDATION, CALIBRATION, TEST, FEW = (4, 3), (8, 4), (20, 4), (1, 1)
"""Held-out scenes of each domain, and scenes of each shifted set."""
FITTED = (5.0, 6.0, 8.0, 9.0, 9.5, 10.0, 10.5, 12.0)
"""Score scales of which every method takes the best calibrated one."""


@dataclass(frozen=True)
class Setting:
    """How scenes are encoded and scored; ``extra`` is a name of `training.left_out`."""

    encode: EncodeParameters
    score: ScoreParameters
    extra: str = ""

    def but(self, **change: Any) -> Setting:
        """Change parameters by their names, whichever record they are in."""
        gem = {k: v for k, v in change.items() if hasattr(self.encode.gem, k)}
        encode = {k: v for k, v in change.items() if hasattr(self.encode, k)}
        score = {k: v for k, v in change.items() if hasattr(self.score, k)}
        assert len(gem) + len(encode) + len(score) == len(change), change
        changed = replace(self.encode, gem=replace(self.encode.gem, **gem), **encode)
        return replace(self, encode=changed, score=replace(self.score, **score))


@dataclass(frozen=True)
class Rival:
    """A method, and what is tried to make it better.

    Attributes
    ----------
    start : dict
        What it changes of the model's own parameters.
    tries : dict
        Parameter to the values that are tried, `BUDGET` in all. A value that is a dict
        changes several parameters at once.
    """

    start: dict[str, Any]
    tries: dict[str, tuple[Any, ...]]


_SCALES = (5.0, 15.0, 20.0, 30.0)
_WEIGHTS = (0.25, 0.5, 2.0, 4.0)
RIVALS = {
    "plain tokens": Rival(
        {"method": "plain"},
        {
            "scale": (*_SCALES, 40.0),
            "background_weight": _WEIGHTS,
            "present": (-1.0, 0.0, 0.2),
        },
    ),
    "MaskCLIP": Rival(
        {"method": "maskclip"},
        {
            "residual": (True,),
            "scale": _SCALES,
            "background_weight": _WEIGHTS,
            "present": (-1.0, 0.0, 0.2),
        },
    ),
    "v-v": Rival(
        {"method": "vv", "depth": EVERY},
        {
            "depth": (5, 7, 8),
            "residual": (True,),
            "scale": _SCALES,
            "background_weight": (0.5, 2.0),
            "present": (0.0, 0.2),
        },
    ),
    "GEM": Rival(
        {},
        {
            "temperature_scale": (4.0, 12.0, 16.0),
            "depth": (7, 8),
            "iterations": (0, 2),
            "residual": (True,),
            "scale": (5.0, 15.0),
            "background_weight": (0.5, 2.0),
        },
    ),
}
FULL = "full"
INGREDIENTS = Rival(
    {},
    {
        "refinement": (5, 10),
        "absent_weight": (2.0, 4.0),
        "presence": (
            {"presence": "tile", "present": 0.15},
            {"presence": "tile", "present": 0.25},
        ),
        "prototype_weight": (0.2, 0.4),
        "background_weight": (0.5,),
        "scale": (9.5,),
        "temperature_scale": (12.0,),
        "iterations": (0,),
    },
)
"""What is chosen of these is shipped with the embedded model (`models.toml`)."""

ALONE: dict[str, dict[str, Any]] = {
    "refinement 10": {"refinement": 10},
    "absent weight 2": {"absent_weight": 2.0},
    "the same by tiles, from 0.25": {
        "absent_weight": 2.0,
        "presence": "tile",
        "present": 0.25,
    },
    "prototypes 0.4": {"prototype_weight": 0.4},
    "background weight 0.5": {"background_weight": 0.5},
    "image weight 0.1": {"image_weight": 0.1},
    "image weight -0.1": {"image_weight": -0.1},
    "neighbours 4, width 2": {"neighbours": 4.0, "neighbour_width": 2.0},
    "middle blocks 0.1": {"middle": 0.1},
    "outliers from 2": {"repair": 2.0},
    "initial residual": {"residual": True},
    "smoothing 2": {"smoothing": 2.0},
    "one template": {"templates": ("a photo of {}",)},
    "no background words left out": {"present": -1.0},
}
CURVES: dict[str, tuple[dict[str, Any], ...]] = {
    "depth": tuple({"depth": depth} for depth in (3, 5, 7, 8)),
    "iterations": ({"iterations": 0}, {"iterations": 2}),
    "temperature": tuple({"temperature_scale": t} for t in (1.0, 4.0, 16.0)),
}


def plain_gem(model: Model) -> Setting:
    """Return what every method starts from: GEM as `training.choose` found it."""
    card = plain_card(model.card)
    return Setting(card.encode, card.score)


# Scenes ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Scenes:
    """Scenes, each with the set and the domain that it is of."""

    asked: tuple[Asked, ...]
    sets: tuple[str, ...]

    def of(self, names: Iterable[str]) -> list[int]:
        """Return the places of the scenes of some sets."""
        wanted = set(names)
        return [place for place, name in enumerate(self.sets) if name in wanted]


def gather(split: str, held_out: int, shifted: int) -> Scenes:
    """Return scenes of a split: so many of each domain, and so many of each set."""
    kept = load_scenes() if split == "test" else hard_scenes(split, held_out)
    first = [
        ask_all(scene, scene.domain)
        for domain in DOMAINS
        for scene in [scene for scene in kept if scene.domain == domain][:held_out]
    ]
    others = {name: draw_set(name, split, shifted) for name in SETS}
    asked = [*first, *(one for several in others.values() for one in several)]
    sets = [HELD_OUT] * len(first)
    sets += [name for name, several in others.items() for _ in several]
    return Scenes(tuple(asked), tuple(sets))


# Measuring -------------------------------------------------------------------------


@cache
def _model(name: str) -> Model:
    import torch

    torch.set_num_threads(1)
    return load_run(name)


def _count(name: str, asked: Asked, settings: Sequence[Setting]) -> list[Counts]:
    """Count a scene for settings that all encode it alike."""
    model = _model(name)
    extra = {**EXTRAS, **INSTEAD, **CONTEXT}[settings[0].extra]
    features = extra.features(model, asked.scene, settings[0].encode)
    kept = ScoreCache()
    return [count_scene(model, features, asked, s.score, kept, extra) for s in settings]


def _encoding(setting: Setting) -> tuple[str, str]:
    return repr(setting.encode), setting.extra


def _differences(record: Any) -> list[Any]:
    """List what a record has that is not as by default."""
    return [
        (field.name, _differences(value) if is_dataclass(value) else value)
        for field in fields(record)
        if (value := getattr(record, field.name)) != field.default
    ]


def _rank(name: str, domain: str, number: int, setting: Setting) -> Ranked:
    return rank_scene(_model(name), domain, number, setting.encode, setting.score)


class Bench:
    """Measures settings on scenes, in several processes; each setting once.

    Parameters
    ----------
    name : str
        Id of the model, or an exported folder.
    processes : int
        How many.
    kept : Path, optional
        Folder in which counts are kept, so that a run that was stopped goes on. It is
        for one state of the code and one model.
    """

    def __init__(self, name: str, processes: int, kept: Path | None = None) -> None:
        self.name = name
        self._kept = kept
        self._started = time.monotonic()
        self._pool = ProcessPoolExecutor(processes, get_context("spawn"))
        self._known: dict[tuple[str, Setting], list[Counts]] = {}

    def measure(
        self, split: str, scenes: Scenes, settings: Sequence[Setting]
    ) -> list[list[Counts]]:
        """Return the counts of each setting, a list over the scenes each."""
        for setting in settings:
            self._read(split, setting, len(scenes.asked))
        new = [s for s in dict.fromkeys(settings) if (split, s) not in self._known]
        new.sort(key=_encoding)
        for _, alike in groupby(new, key=_encoding):
            several = list(alike)
            jobs = [
                self._pool.submit(_count, self.name, asked, several)
                for asked in scenes.asked
            ]
            found = [job.result() for job in jobs]
            for place, setting in enumerate(several):
                self._known[split, setting] = [counts[place] for counts in found]
                self._write(split, setting)
            _tell(f"{len(several)} settings on {split} scenes", self._started)
        return [self._known[split, setting] for setting in settings]

    def _path(self, split: str, setting: Setting, scenes: int) -> Path | None:
        # what is as by default is left out: a new parameter that is off changes nothing
        told = _differences(setting.encode) + _differences(setting.score)
        told += [setting.extra] if setting.extra else []
        name = sha256(f"{self.name} {told}".encode()).hexdigest()[:20]
        return self._kept and self._kept / f"{split}-{scenes}-{name}.npz"

    def _read(self, split: str, setting: Setting, scenes: int) -> None:
        path = self._path(split, setting, scenes)
        if path and path.is_file() and (split, setting) not in self._known:
            with np.load(path) as stored:
                whole = {key: stored[key] for key in stored.files}
            self._known[split, setting] = [
                {key: values[place] for key, values in whole.items()}
                for place in range(scenes)
            ]

    def _write(self, split: str, setting: Setting) -> None:
        counts = self._known[split, setting]
        path = self._path(split, setting, len(counts))
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = {key: np.stack([one[key] for one in counts]) for key in counts[0]}
            np.savez_compressed(path, **whole)

    def rank(self, setting: Setting, scenes: int) -> list[Ranked]:
        """Click on a withheld class, in so many test scenes of each domain."""
        jobs = [
            self._pool.submit(_rank, self.name, domain, number, setting)
            for domain in WITHHELD
            for number in range(scenes)
        ]
        return [job.result() for job in jobs]

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)


def tune(bench: Bench, scenes: Scenes, base: Setting, rival: Rival) -> Setting:
    """Try what a rival has, one parameter after the other; what helps stays."""
    best = base.but(**rival.start)
    most = _worth(bench, scenes, [best])[0]
    for name, values in rival.tries.items():
        tried = [best.but(**_change(name, value)) for value in values]
        found = _worth(bench, scenes, tried)
        place = int(np.argmax(found))
        if found[place] > most:
            best, most = tried[place], found[place]
    return best


def calibrate(bench: Bench, scenes: Scenes, setting: Setting) -> Setting:
    """Take the score scale with the least calibration error.

    That is the mean of those of held-out and of shifted scenes: joined, too sure in one
    and too unsure in the other would make up for each other.
    """
    tried = [setting.but(scale=scale) for scale in FITTED]
    groups = (scenes.of([HELD_OUT]), scenes.of(SETS))
    column = FIGURES.index("calibration error")
    errors = [
        np.mean([figures([counts[i] for i in g])[0, column] for g in groups if g])
        for counts in bench.measure("calibration", scenes, tried)
    ]
    return tried[int(np.argmin(errors))]


def _change(name: str, value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {name: value}


def _worth(bench: Bench, scenes: Scenes, settings: list[Setting]) -> list[float]:
    counts = bench.measure("validation", scenes, settings)
    return [worth(figures(one)[0]) for one in counts]


def worth(found: np.ndarray) -> float:
    """Join figures to one: outlines first, and a tenth of what should be small."""
    return float(found[:2].mean() - found[4:].sum() / 10)


def added_up(base: Setting, full: Setting, rival: Rival) -> dict[str, Setting]:
    """Return settings that go from one to the other, a step of the tuning at a time."""
    found: dict[str, Setting] = {}
    now = base
    for name, values in rival.tries.items():
        change = {one: _value(full, one) for one in _change(name, values[0])}
        if any(value != _value(now, one) for one, value in change.items()):
            now = now.but(**change)
            told = (f"{_spelled(one)} {value}" for one, value in change.items())
            found[f"+ {', '.join(told)}"] = now
    return found


def _value(setting: Setting, name: str) -> Any:
    for record in (setting.encode.gem, setting.encode, setting.score):
        if hasattr(record, name):
            return getattr(record, name)
    raise KeyError(name)


def _spelled(name: str) -> str:
    return name.replace("_", " ")


# The tables ------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A line of a table."""

    name: str
    setting: Setting
    part: str


def rows_of(
    model: Model, chosen: dict[str, Setting], *, quick: bool = False
) -> list[Row]:
    """Return everything that is measured on the test scenes.

    Parameters
    ----------
    model : Model
        The model.
    chosen : dict
        What `tune` found for each rival, and for `FULL`.
    quick : bool
        Whether to leave out all but the rivals.
    """
    base = plain_gem(model)
    rows = []
    for name, rival in RIVALS.items():
        own = base.but(**rival.start)
        rows.append(Row(f"{name}, the model's own parameters", own, "rivals"))
        rows.append(Row(f"{name}, tuned", chosen[name], "rivals"))
    rows.append(Row(f"{FULL} preset", chosen[FULL], "rivals"))
    if quick:
        return rows
    released = replace(base.encode, gem=GemParameters())
    rows.append(Row("GEM, released parameters", Setting(released, base.score), "GEM"))
    for changes in CURVES.values():
        for change in changes:
            (name, value) = next(iter(change.items()))
            rows.append(
                Row(f"GEM, {_spelled(name)} {value:g}", base.but(**change), "GEM")
            )
    rows += [Row(f"GEM, {name}", base.but(**c), "alone") for name, c in ALONE.items()]
    path = added_up(base, chosen[FULL], INGREDIENTS)
    return rows + [Row(name, setting, "added up") for name, setting in path.items()]


PARTS = {
    "rivals": "Methods",
    "GEM": "GEM by its parameters (own: all blocks, one iteration, temperature 8)",
    "alone": "One change of GEM's own parameters",
    "added up": "Added up to the full preset, one after the other",
}
GOALS = {"mIoU": 8.0, "boundary IoU": 10.0}
LARGEST_ABSENT = 20.0


class Measured:
    """Counts of all rows on the test scenes."""

    def __init__(
        self, scenes: Scenes, rows: list[Row], counts: list[list[Counts]]
    ) -> None:
        self.scenes = scenes
        self.rows = rows
        self._counts = {row.name: one for row, one in zip(rows, counts, strict=True)}

    def figures(self, name: str, places: list[int]) -> np.ndarray:
        """Return the figures of a row over some scenes."""
        return figures([self._counts[name][place] for place in places])[0]

    def drawn(self, name: str, places: list[int]) -> np.ndarray:
        """Return the figures of draws of scenes; the same draws for every row."""
        groups = [self.scenes.asked[place].group for place in places]
        several = [self._counts[name][place] for place in places]
        return figures(several, draw_scenes(groups))


def _cells(values: np.ndarray, drawn: np.ndarray) -> list[str]:
    low, high = interval(drawn)
    return [
        f"{v:.1f} ({a:.1f} to {b:.1f})"
        for v, a, b in zip(values, low, high, strict=True)
    ]


def table(measured: Measured, places: list[int], part: str) -> list[str]:
    """Return a Markdown table of one part over some scenes."""
    lines = [f"| {PARTS[part]} | {' | '.join(FIGURES)} |"]
    lines += ["|---|" + "---|" * len(FIGURES)]
    for row in measured.rows:
        if row.part == part:
            values = measured.figures(row.name, places)
            cells = _cells(values, measured.drawn(row.name, places))
            lines.append(f"| {' | '.join([row.name, *cells])} |")
    return [*lines, ""]


def by_set(measured: Measured) -> list[str]:
    """Return tables of mIoU and boundary IoU of the methods on each set."""
    rows = [row for row in measured.rows if row.part == "rivals"]
    lines = []
    for figure in ("mIoU", "boundary IoU"):
        lines += [f"| {figure} | {' | '.join(SETS)} |", "|---|" + "---|" * len(SETS)]
        for row in rows:
            values = [
                measured.figures(row.name, measured.scenes.of([name])) for name in SETS
            ]
            cells = [f"{value[FIGURES.index(figure)]:.1f}" for value in values]
            lines.append(f"| {' | '.join([row.name, *cells])} |")
        lines.append("")
    return lines


def goals(measured: Measured, places: list[int], where: str) -> list[str]:
    """Tell which goals are reached, and by how much those are missed."""
    full = measured.figures(f"{FULL} preset", places)
    full_drawn = measured.drawn(f"{FULL} preset", places)
    lines = []
    for figure, goal in GOALS.items():
        column = FIGURES.index(figure)
        rivals = ("GEM, tuned", "GEM, the model's own parameters")
        name = max(rivals, key=lambda n: measured.figures(n, places)[column])
        gain = full[column] - measured.figures(name, places)[column]
        drawn = full_drawn[:, column] - measured.drawn(name, places)[:, column]
        low, high = interval(drawn)
        lines.append(
            f"- {where}: {figure} {gain:+.1f} ({low:+.1f} to {high:+.1f}) over {name}; "
            f"the goal is {goal:+.0f}: {_verdict(gain - goal)}."
        )
    column = FIGURES.index("absent: max p")
    lines.append(
        f"- {where}: largest probability of an absent class {full[column]:.1f}, mean; "
        f"the goal is {LARGEST_ABSENT:.0f}: {_verdict(LARGEST_ABSENT - full[column])}."
    )
    return [*lines, *_behind(measured, places, where, full)]


def _behind(
    measured: Measured, places: list[int], where: str, full: np.ndarray
) -> list[str]:
    """Name the columns in which v-v or MaskCLIP is not behind."""
    ahead = []
    for row in measured.rows:
        if row.part == "rivals" and row.name.startswith(("v-v", "MaskCLIP")):
            values = measured.figures(row.name, places)
            for figure, mine, other in zip(FIGURES, full, values, strict=True):
                lead = other - mine if figure in SMALLER_IS_BETTER else mine - other
                if lead <= 0:
                    ahead.append(f"{row.name} by {-lead:.1f} in {figure}")
    told = "; ".join(ahead) if ahead else "none"
    return [f"- {where}: columns in which v-v or MaskCLIP is ahead: {told}."]


def _verdict(lead: float) -> str:
    return "reached" if lead >= 0 else f"missed by {-lead:.1f}"


def spelled(setting: Setting, base: Setting) -> str:
    """Return what a setting changes of the model's own parameters."""
    changes = [
        f"{_spelled(name)} {value}"
        for now, before in (
            (setting.encode.gem, base.encode.gem),
            (setting.encode, base.encode),
            (setting.score, base.score),
        )
        for name, value in vars(now).items()
        if value != getattr(before, name) and name not in ("gem", "templates")
    ]
    return ", ".join(changes) or "nothing"


BEGIN, END = "<!-- printed by python -m training.ablation -->", "<!-- end -->"


def write(path: Path, text: str) -> None:
    """Replace what a page has between `BEGIN` and `END`."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


def run(bench: Bench, *, quick: bool = False, methods: bool = False) -> str:
    """Tune, measure and return the tables as Markdown.

    Parameters
    ----------
    bench : Bench
        What measures.
    quick : bool
        Whether to take few scenes, and `methods` alone.
    methods : bool
        Whether to leave out all rows but the methods.
    """
    started = time.monotonic()
    model = load_run(bench.name)
    base = plain_gem(model)
    first = gather("validation", *(FEW if quick else VALIDATION))
    more = gather("validation", *(FEW if quick else CALIBRATION))
    chosen = _tune_all(bench, first, more, base)
    scenes = gather("test", *(FEW if quick else TEST))
    rows = rows_of(model, chosen, quick=quick or methods)
    # all at once: settings that encode alike share the encoding
    counts = bench.measure("test", scenes, [row.setting for row in rows])
    _tell("measured test scenes", started)
    measured = Measured(scenes, rows, counts)
    clicks = withheld(bench, {"GEM": base, FULL: chosen[FULL]}, 1 if quick else 4)
    held_out, shifted = scenes.of([HELD_OUT]), scenes.of(SETS)
    lines = [
        f"Model `{model.card.id}`, weights {model.revision}, napari-gem {__version__}. "
        f"{len(held_out)} held-out and {len(shifted)} shifted test scenes.",
        "",
        "What each method chose on validation scenes:",
        "",
        *(f"- {name}: {spelled(setting, base)}" for name, setting in chosen.items()),
        "",
        "Goals:",
        "",
        *goals(measured, held_out, HELD_OUT),
        *goals(measured, shifted, "shifted"),
        *goals(measured, scenes.of(SETS.keys() - {"mixed"}), "shifted without mixed"),
        "",
    ]
    for title, places in (("Held-out scenes", held_out), ("Shifted scenes", shifted)):
        lines += [f"### {title}", ""]
        for part in dict.fromkeys(row.part for row in rows):
            lines += table(measured, places, part)
    lines += ["### Each shifted set", "", *by_set(measured)]
    lines += ["### Three clicks on a class that was withheld", "", *clicks]
    _tell("all", started)
    return "\n".join(lines)


def _tune_all(
    bench: Bench, scenes: Scenes, more: Scenes, base: Setting
) -> dict[str, Setting]:
    started = time.monotonic()
    chosen = {}
    for name, rival in {**RIVALS, FULL: INGREDIENTS}.items():
        chosen[name] = calibrate(bench, more, tune(bench, scenes, base, rival))
        _tell(f"tuned {name}", started)
    return chosen


def _tell(what: str, started: float) -> None:
    print(f"{what}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def withheld(bench: Bench, settings: dict[str, Setting], scenes: int) -> list[str]:
    """Return the table of clicks, so many scenes of each domain."""
    lines = [HEAD]
    for name, setting in settings.items():
        lines += summary(bench.rank(setting, scenes), name)
    return lines


def main() -> None:
    """Parse the command line, measure, and print or write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="embedded", help="id or exported folder")
    parser.add_argument("--quick", action="store_true", help="few scenes and settings")
    parser.add_argument("--methods", action="store_true", help="no other rows")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="folder to go on from")
    parser.add_argument("--write", type=Path, help="page whose tables are replaced")
    arguments = parser.parse_args()
    bench = Bench(arguments.model, arguments.processes, arguments.keep)
    try:
        text = run(bench, quick=arguments.quick, methods=arguments.methods)
    finally:
        bench.close()
    if arguments.write:
        write(arguments.write, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
