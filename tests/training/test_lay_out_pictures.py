"""Downloads, as small as can be, laid out as the folder of real pictures."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_gem.core.errors import GemError
from training.lay_out_pictures import (
    SCENES,
    TILES,
    lay_out_nuclei,
    main,
    part_of,
)
from training.real_kinds import read_kind

TEST_NUCLEI = "03398329ced0c23b9ac3fac84dd53a87d9ffe4d9d10f1b5fe8df8fac12380776"
TRAIN_NUCLEI = "00071198d059ba7f5914a526d124d28e6d010c92466da21d4a04cd5413362552"


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    """Write each download as its page has it, with a few pictures."""
    for number, name in enumerate((TEST_NUCLEI, TRAIN_NUCLEI)):
        folder = tmp_path / "fixes" / "stage1_train" / name
        (folder / "images").mkdir(parents=True)
        (folder / "masks").mkdir()
        rgba = np.full((12, 16, 4), 30, np.uint8)
        rgba[..., 0] += 50 * number  # the second is coloured
        Image.fromarray(rgba).save(folder / "images" / f"{name}.png")
        for place in (1, 6):
            mask = np.zeros((12, 16), np.uint8)
            mask[place : place + 4, 2:6] = 255
            Image.fromarray(mask).save(folder / "masks" / f"{place}.png")
    blood = tmp_path / "BCCD_Dataset" / "BCCD"
    (blood / "JPEGImages").mkdir(parents=True)
    (blood / "Annotations").mkdir()
    for name in ("BloodImage_00001", "BloodImage_00000"):
        Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(
            blood / "JPEGImages" / f"{name}.jpg"
        )
        box = "<xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>6</ymax>"
        (blood / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><object><name>WBC</name><bndbox>{box}</bndbox></object>"
            "</annotation>"
        )
    trees = tmp_path / "trees"
    (trees / "images").mkdir(parents=True)
    (trees / "csv").mkdir()
    for cities in TILES.values():
        for city, numbers in cities.items():
            for number in numbers.split():
                name = f"{city}_2020_{number}"
                bands = np.zeros((4, 4, 4), np.uint8)
                tifffile.imwrite(trees / "images" / f"{name}.tif", bands)
                (trees / "csv" / f"{name}.csv").write_text("x,y\n1,2\n")
    (tmp_path / "naip").mkdir()
    for name in SCENES:
        tifffile.imwrite(tmp_path / "naip" / name, np.zeros((4, 4, 4), np.uint8))
    return tmp_path


def test_downloads_become_the_folder_that_is_measured(
    downloads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "real"
    places = {
        "nuclei": "fixes",
        "blood": "BCCD_Dataset",
        "trees": "trees",
        "naip": "naip",
    }
    main(
        [
            str(out),
            *(x for k, v in places.items() for x in (f"--{k}", str(downloads / v))),
        ]
    )
    said = capsys.readouterr().out
    assert "trees: 110 pictures" in said
    (nuclei,) = read_kind(out, "fluorescence")
    assert nuclei.name == TEST_NUCLEI[:12]
    assert nuclei.truth["nuclei"].sum() == 32
    (stained,) = read_kind(out, "stained", "train")
    assert stained.name == TRAIN_NUCLEI[:12]
    (smear,) = read_kind(out, "blood")
    assert smear.name == "BloodImage_00001"
    assert smear.truth["white blood cells"].sum() == 12
    assert len(list(read_kind(out, "trees", "train"))) == 80
    assert len(list(read_kind(out, "trees"))) == 30
    assert len(list(read_kind(out, "naip"))) == 2
    with (out / "nuclei" / "test" / "index.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["nuclei"] == "2"
    assert row["median_diameter_px"] == "4.5"


def test_a_fifth_is_left_out() -> None:
    parts = [part_of(f"BloodImage_{number:05}") for number in range(1000)]
    assert 550 < parts.count("train") < 650
    assert 150 < parts.count("test") < 250


def test_a_folder_that_is_not_the_download(tmp_path: Path) -> None:
    with pytest.raises(GemError, match="stage1_train"):
        lay_out_nuclei(tmp_path, tmp_path / "out")
