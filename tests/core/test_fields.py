"""What is told about fields, and what is made from it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from napari_gem.core.errors import GemError
from napari_gem.core.fields import (
    brief,
    check_fields,
    parameter,
    parameters_of,
    values_of,
    with_values,
)
from napari_gem.core.parameters import (
    EncodeParameters,
    LabelParameters,
    ScoreParameters,
)

DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Inner:
    depth: int = parameter(2, "How deep.", 0, 9, unit="blocks")


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    weight: float | None = parameter(None, "How heavy.", 0, 1000)
    name: str = "not a parameter"


def test_parameters_of_inner_records_are_listed_with_the_others() -> None:
    assert [each.name for each in parameters_of(Outer)] == ["depth", "weight"]
    assert [each.kind for each in parameters_of(Outer())] == [int, float]
    assert parameters_of(Outer)[0].range == "0 to 9 blocks"
    assert parameters_of(Outer)[1].range == "0 to 1,000, or none"
    assert values_of(Outer()) == {"depth": 2, "weight": None}
    changed = with_values(Outer(), {"depth": 3, "other": 1, "name": "no"})
    assert changed == Outer(Inner(3))


def test_a_value_out_of_its_range_is_told() -> None:
    check_fields(Outer(Inner(np.int64(9)), np.float32(0.5)))
    with pytest.raises(GemError, match=r"Depth is 10; give a whole number from 0 to 9"):
        check_fields(Outer(Inner(10)))
    with pytest.raises(GemError, match=r"Depth is 1.5; give a whole number"):
        check_fields(Outer(Inner(1.5)))
    with pytest.raises(GemError, match=r"Weight is nan; give a number from 0 to 1,000"):
        check_fields(Outer(weight=float("nan")))
    with pytest.raises(GemError, match=r"Residual is 'no'; choose true or false"):
        check_fields(with_values(EncodeParameters(), {"residual": "no"}))


def test_of_what_is_long_a_part_is_shown() -> None:
    assert brief([1] * 10**6) == f"[{'1, ' * 19}1,…"
    assert brief(10**30) == "a number of more than 20 digits"


def test_each_parameter_has_a_name_of_its_own_a_help_and_a_range() -> None:
    records = (EncodeParameters, ScoreParameters, LabelParameters)
    declared = [each for record in records for each in parameters_of(record)]
    assert len({each.name for each in declared}) == len(declared)
    for each in declared:
        assert each.about.help.endswith("."), each.name
        assert "inf" not in each.range, each.name
        each.check(each.default)


def test_the_reference_page_is_as_the_parameters_are() -> None:
    spec = importlib.util.spec_from_file_location("parameters", DOCS / "parameters.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), (
        "run python docs/parameters.py"
    )
