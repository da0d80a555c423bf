"""Measure what each ingredient adds, on validation scenes only.

Prints a line for each setting: the figures of `training.counts` over the validation
scenes of `training.ablation`, held-out and shifted, and what mIoU and boundary IoU gain
over the first line of the part, with 95 % intervals over draws of scenes. Parts:

- GEM: one change of GEM as `training.choose` found it.
- shipped: one change of what the embedded model is shipped with.
- left-out: what was tried beside that and left out (`training.left_out`).
- pixels: what was tried in the place of refinement.
- context: what may tell a tile of the others (`training.context`).
- there: as GEM, where only the classes of the scene are asked for.

``--part`` and ``--name`` print some of them.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from napari_gem.models.model import Model
from training.ablation import VALIDATION, Bench, Scenes, Setting, gather, plain_gem
from training.context import CONTEXT, TILES
from training.counts import FIGURES, draw_scenes, figures, interval
from training.evaluate import load_run
from training.left_out import EXTRAS, INSTEAD
from training.shifted import Asked

GEM_CHANGES: dict[str, dict[str, object]] = {
    "residual": {"residual": True},
    **{f"temperature {t:g}": {"temperature_scale": t} for t in (4.0, 12.0, 16.0)},
    **{f"iterations {n}": {"iterations": n} for n in (0, 2)},
    **{
        f"neighbours {n:g}, width {w:g}": {"neighbours": n, "neighbour_width": w}
        for n, w in ((1.0, 2.0), (4.0, 2.0), (1.0, 5.0), (4.0, 5.0))
    },
    **{f"middle {m}": {"middle": m} for m in (0.1, 0.3, 0.5)},
    **{f"repair {r}": {"repair": r} for r in (1.5, 2.0, 3.0)},
    **{f"image weight {w}": {"image_weight": w} for w in (-0.3, -0.1, 0.1, 0.3)},
    **{f"absent weight {w:g}": {"absent_weight": w} for w in (1.0, 2.0, 4.0)},
    **{
        f"absent weight 4 by tiles, present {p}": {
            "absent_weight": 4.0,
            "presence": "tile",
            "present": p,
        }
        for p in (0.1, 0.2, 0.25, 0.3)
    },
    **{f"prototype weight {w}": {"prototype_weight": w} for w in (0.2, 0.4, 0.6)},
    **{f"background weight {w}": {"background_weight": w} for w in (0.35, 0.5, 2.0)},
    **{f"refinement {r}": {"refinement": r} for r in (5, 10, 20)},
    **{f"zoom {z:g}": {"zoom": z} for z in (1.0, 1.5, 2.5, 3.0)},
}
SHIPPED_CHANGES: dict[str, dict[str, object]] = {
    **{f"temperature {t:g}": {"temperature_scale": t} for t in (4.0, 12.0)},
    "neighbours 1, width 5": {"neighbours": 1.0},
    "middle 0.1": {"middle": 0.1},
    "repair 2": {"repair": 2.0},
    **{f"image weight {w}": {"image_weight": w} for w in (-0.1, 0.1)},
    "presence by image": {"presence": "image"},
    **{f"present {p}": {"present": p} for p in (0.1, 0.15, 0.2, 0.3)},
    **{f"prototype weight {w}": {"prototype_weight": w} for w in (0.0, 0.2, 0.5, 0.6)},
    **{f"background weight {w}": {"background_weight": w} for w in (0.35, 0.7, 1.0)},
    **{f"scale {s:g}": {"scale": s} for s in (8.0, 9.0, 10.0, 11.0)},
    **{f"refinement {r}": {"refinement": r} for r in (0, 5, 20)},
    **{f"zoom {z:g}": {"zoom": z} for z in (1.0, 3.0)},
}
THERE = (
    "residual",
    "image weight -0.3",
    "image weight -0.1",
    "image weight 0.1",
    "prototype weight 0.4",
    "refinement 10",
)


def parts(model: Model) -> dict[str, dict[str, Setting]]:
    """Return the settings of each part by their names; the first is the base."""
    gem = plain_gem(model)
    shipped = Setting(model.card.encode, model.card.score)
    coarse = shipped.but(refinement=0)
    by_gem = {name: gem.but(**change) for name, change in GEM_CHANGES.items()}
    by_shipped = {n: shipped.but(**change) for n, change in SHIPPED_CHANGES.items()}
    return {
        "GEM": {"GEM": gem, **by_gem},
        "shipped": {"as shipped": shipped, **by_shipped},
        "left-out": {
            name or "as shipped": replace(shipped, extra=name) for name in EXTRAS
        },
        "pixels": {
            "as shipped, refinement 0": coarse,
            "refinement 10": shipped,
            **{name: replace(coarse, extra=name) for name in INSTEAD},
        },
        "context": {
            "as shipped": shipped,
            **{name: shipped.but(**change) for name, change in TILES.items()},
            **{name: replace(shipped, extra=name) for name in CONTEXT},
        },
        "there": {"GEM": gem, **{name: by_gem[name] for name in THERE}},
    }


def only_there(scenes: Scenes) -> Scenes:
    """Ask only for the classes that are in each scene."""

    def fewer(asked: Asked) -> Asked:
        there = set(asked.scene.labels.ravel().tolist())
        words = {number: w for number, w in asked.words.items() if number in there}
        return replace(asked, words=words)

    return replace(scenes, asked=tuple(fewer(asked) for asked in scenes.asked))


def rows(
    bench: Bench, split: str, scenes: Scenes, settings: dict[str, Setting]
) -> Iterable[str]:
    """Measure settings, and give a line for each."""
    weights = draw_scenes([asked.group for asked in scenes.asked])
    base = None
    measured = bench.measure(split, scenes, list(settings.values()))
    for name, counts in zip(settings, measured, strict=True):
        found, drawn = figures(counts)[0], figures(counts, weights)
        base = (found, drawn) if base is None else base
        low, high = interval(drawn - base[1])
        gain = found - base[0]
        cells = [f"{value:.1f}" for value in found]
        cells += [f"{gain[i]:+.1f} ({low[i]:+.1f} to {high[i]:+.1f})" for i in (0, 1)]
        yield f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="embedded", help="id or exported folder")
    parser.add_argument("--part", help="one of the parts")
    parser.add_argument("--name", default="", help="part of the names that are wanted")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="folder to go on from")
    arguments = parser.parse_args()
    several = parts(load_run(arguments.model))
    if arguments.part and arguments.part not in several:
        parser.error(f"the parts are {', '.join(several)}")
    scenes = gather("validation", *VALIDATION)
    bench = Bench(arguments.model, arguments.processes, arguments.keep)
    try:
        for part, settings in several.items():
            if arguments.part in (None, part):
                first, *names = settings
                wanted = [first, *(n for n in names if arguments.name in n)]
                asked = only_there(scenes) if part == "there" else scenes
                split = "there" if part == "there" else "validation"
                print(f"| {part} | {' | '.join(FIGURES)} | gain mIoU | gain boundary |")
                print("|---|" + "---|" * (len(FIGURES) + 2))
                some = {name: settings[name] for name in wanted}
                for line in rows(bench, split, asked, some):
                    print(line, flush=True)
                print()
    finally:
        bench.close()


if __name__ == "__main__":
    main()
