from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_gem.models.find import find_model
from training import ablation
from training.ablation import (
    BEGIN,
    BUDGET,
    CURVES,
    END,
    FULL,
    HELD_OUT,
    INGREDIENTS,
    RIVALS,
    Bench,
    Scenes,
    Setting,
    added_up,
    calibrate,
    plain_gem,
    rows_of,
    spelled,
    tune,
    write,
)
from training.counts import Counts

PAGE = Path(__file__).parents[2] / "docs" / "ablation.md"
MODEL: Any = SimpleNamespace(card=find_model("embedded"))


@pytest.fixture
def base() -> Setting:
    return plain_gem(MODEL)


class _Liked(Bench):
    """Likes one setting more than another by a plain rule; encodes nothing."""

    def __init__(self) -> None:
        self.asked: list[Setting] = []

    def measure(self, split: str, scenes: Scenes, settings: Any) -> list[list[Counts]]:
        assert split == "validation"
        self.asked += settings
        return [[self._counts(setting)] for setting in settings]

    def _counts(self, setting: Setting) -> Counts:
        liked = 50 - abs(setting.score.scale - 20) + 5 * setting.encode.gem.residual
        part = np.array([[liked], [100.0]])
        ranks = np.ones((2, 1, 4), np.float32)
        return {
            "labels": part,
            "boundary": part,
            "absent": part,
            "ranking": ranks,
            "calibration": np.ones((3, 15)),
        }


@pytest.mark.parametrize("name", [*RIVALS, FULL])
def test_every_rival_has_the_same_budget(name: str, base: Setting) -> None:
    rival = {**RIVALS, FULL: INGREDIENTS}[name]
    assert sum(map(len, rival.tries.values())) == BUDGET
    bench = _Liked()
    tune(bench, Scenes((), ()), base, rival)
    assert len(bench.asked) == BUDGET + 1


def test_what_helps_stays(base: Setting) -> None:
    best = tune(_Liked(), Scenes((), ()), base, RIVALS["v-v"])
    assert (best.score.scale, best.encode.gem.residual) == (20.0, True)
    assert best.encode.gem.method == "vv"
    assert best.encode.zoom == base.encode.zoom


class _Calibrated(Bench):
    """Right at 9 on held-out scenes, a bit off at 10 on all, far off elsewhere."""

    def __init__(self) -> None:
        self.errors = {9.0: (0.0, 30.0), 10.0: (10.0, 10.0)}

    def measure(self, split: str, scenes: Scenes, settings: Any) -> list[list[Counts]]:
        one = _Liked()._counts(settings[0])
        sums = [self.errors.get(s.score.scale, (40.0, 40.0)) for s in settings]
        return [
            [
                {**one, "calibration": np.array([[100.0], [50], [50 + e]])}
                for e in errors
            ]
            for errors in sums
        ]


def test_every_method_takes_the_scale_that_is_calibrated_best(base: Setting) -> None:
    two: Any = Scenes((None, None), (HELD_OUT, "noise"))  # type: ignore[arg-type]
    assert calibrate(_Calibrated(), two, base).score.scale == 10.0


def test_a_change_that_no_record_has_is_an_error(base: Setting) -> None:
    with pytest.raises(AssertionError, match="detail"):
        base.but(detail=3)


def test_adding_up_ends_at_the_full_preset(base: Setting) -> None:
    full = base.but(refinement=10, iterations=0, presence="tile", present=0.25)
    path = added_up(base, full, INGREDIENTS)
    assert [*path.values()][-1] == full and len(path) == 3
    assert "+ presence tile, present 0.25" in path
    rows = rows_of(MODEL, {**dict.fromkeys(RIVALS, base), FULL: full})
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    assert {"GEM, iterations 0", "GEM, depth 7", f"{FULL} preset"} <= set(names)
    assert sum(row.part == "GEM" for row in rows) == 1 + sum(map(len, CURVES.values()))


def test_what_was_chosen_is_shipped(base: Setting) -> None:
    shipped = Setting(MODEL.card.encode, MODEL.card.score)
    line = f"- {FULL}: {spelled(shipped, base)}\n"
    assert line in PAGE.read_text(encoding="utf-8")


def test_only_the_printed_part_of_the_page_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Head\n{BEGIN}\nold\n{END}\ntail\n")
    write(page, "new")
    write(page, "newer")
    assert page.read_text() == f"# Head\n{BEGIN}\n\nnewer\n{END}\ntail\n"


def test_counts_are_kept_for_the_next_run(tmp_path: Path, base: Setting) -> None:
    bench = Bench("embedded", 1, tmp_path)
    counts = _Liked()._counts(base)
    bench._known["test", base] = [counts, counts]
    bench._write("test", base)
    again = Bench("embedded", 1, tmp_path)
    two: Any = Scenes((None, None), ("a", "b"))  # type: ignore[arg-type]
    measured = again.measure("test", two, [base])[0]
    assert len(measured) == 2
    np.testing.assert_array_equal(measured[1]["labels"], counts["labels"])
    off = replace(base.encode.gem, repair=0.0)
    assert not ablation._differences(replace(off, method="gem", depth=7))[3:]
