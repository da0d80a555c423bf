"""What a notebook finds in the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import napari_gem

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


@pytest.mark.parametrize("name", napari_gem.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(napari_gem, name)


def test_what_the_changelog_announces_is_there() -> None:
    line = re.search(r"- `napari_gem\.(.*?) for notebooks", CHANGELOG.read_text())
    assert line is not None
    names = re.findall(r"(\w+)`", line[0])
    assert {"segment", "heat_maps", "save"} <= {*names} <= {*napari_gem.__all__}


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = napari_gem.nothing
