from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from napari_gem.results.save import save
from tests.results.writers.conftest import MICROSCOPE, PLACES, scene

if TYPE_CHECKING:
    from pathlib import Path

    from napari_gem.core.results import Segmentation


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("place", [None, MICROSCOPE, PLACES["Mercator"]])
def test_classes_are_the_sum_of_their_regions(
    place: object, result: Segmentation, tmp_path: Path
) -> None:
    result = replace(result, absent=("water",))
    save(result, scene(place), tmp_path, write="table")
    classes, regions = read(tmp_path / "classes.csv"), read(tmp_path / "regions.csv")
    assert [one["class"] for one in classes] == ["water", "wälder <dense> & 'old'"]
    for one, share in zip(classes, result.shares, strict=True):
        own = [each for each in regions if each["label"] == one["label"]]
        assert int(one["regions"]) == len(own)
        pixels = sum(int(each["pixels"]) for each in own)
        assert int(one["pixels"]) == pixels
        assert pixels == (result.labels == int(one["label"])).sum()
        area = sum(float(each["area"]) for each in own)
        assert float(one["area"]) == pytest.approx(area)
        assert float(one["share"]) == pytest.approx(share)
        assert {each["unit"] for each in own} == {one["unit"]}
    assert [one["absent"] for one in classes] == ["probably", ""]
    assert ("x" in regions[0]) == (place is not None)
    assert [int(each["region"]) for each in regions] == [*range(1, len(regions) + 1)]
