import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from training.captions import ALL_CLASSES, NUMBER_OF, UNLABELLED, concepts
from training.pictures import THING_WIDTHS, PictureStore, expose

CELL = (slice(10, 30), slice(10, 30))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of every kind, 64 x 64, with a square thing each."""
    nuclei, blood, trees = (
        tmp_path / name / "train" for name in ("nuclei", "blood", "trees")
    )
    for made in (nuclei / "images", nuclei / "masks", blood / "images"):
        made.mkdir(parents=True)
    mask = np.zeros((64, 64), np.uint16)
    mask[CELL] = 1
    rows = []
    for kind, around, thing in (
        ("fluorescence", (2, 2, 2), (90, 90, 90)),
        ("stained", (180, 160, 210), (80, 20, 160)),
        ("brightfield", (200, 200, 200), (90, 90, 90)),
    ):
        picture = np.full((64, 64, 3), around, np.uint8)
        picture[CELL] = thing
        picture[50:60, 50:60] = thing  # another, which nobody outlined
        Image.fromarray(picture).save(nuclei / "images" / f"{kind}.png")
        Image.fromarray(mask).save(nuclei / "masks" / f"{kind}.png")
        rows.append((kind, kind, 64, 64, 20.0))
    header = ("name", "kind", "height", "width", "median_diameter_px")
    _write_rows(nuclei / "index.csv", header, rows)
    smear = np.full((64, 64, 3), (230, 235, 230), np.uint8)
    smear[CELL] = (210, 150, 150)
    smear[40:60, 40:60] = (120, 60, 180)
    Image.fromarray(smear).save(blood / "images" / "smear.png")
    boxes = [("smear.png", "RBC", 10, 10, 30, 30), ("smear.png", "WBC", 40, 40, 60, 60)]
    _write_rows(
        blood / "boxes.csv", ("image", "class", "xmin", "ymin", "xmax", "ymax"), boxes
    )
    (trees / "images").mkdir(parents=True)
    (trees / "points").mkdir()
    tile = np.full((64, 64, 4), (90, 90, 90, 60), np.uint8)
    tile[CELL] = (60, 80, 60, 180)
    tifffile.imwrite(trees / "images" / "town.tif", tile)
    _write_rows(trees / "points" / "town.csv", ("x", "y"), [(20, 20), (55, 55)])
    return tmp_path


def _write_rows(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _draw(folder, domain):
    return PictureStore(folder).draw(np.random.default_rng(0), domain)


def test_pictures_have_the_classes_that_masks_boxes_and_points_say(folder):
    expected = {
        "fluorescence": {"background", "nucleus"},
        "histology": {"tissue", "stained nucleus"},
        "blood smear": {"red blood cell", "white blood cell", "bright background"},
        "aerial": {"tree", "vegetation"},
    }
    for domain, names in expected.items():
        picture = _draw(folder, domain)
        numbers = set(np.unique(picture.labels)) - {UNLABELLED}
        assert {ALL_CLASSES[number] for number in numbers} == names
        assert picture.labels.shape == picture.possible.shape == (64, 64)
        assert int(picture.possible.max()) < len(picture.choices)


def test_things_that_nobody_marked_cannot_be_told(folder):
    unmarked = (slice(50, 60), slice(50, 60))
    for domain, name in (("fluorescence", "nucleus"), ("histology", "stained nucleus")):
        picture = _draw(folder, domain)
        possible = picture.classes_possible(unmarked)
        labels = picture.labels[unmarked]
        sure, maybe = concepts(labels, domain, possible)
        assert not sure >> NUMBER_OF[name] & 1
        assert maybe >> NUMBER_OF[name] & 1


def test_a_tree_point_without_leaves_is_no_tree(folder):
    picture = _draw(folder, "aerial")
    assert picture.labels[20, 20] == NUMBER_OF["tree"]
    assert picture.labels[55, 55] == UNLABELLED


def test_parts_show_things_at_the_widths_asked_for(folder):
    picture = _draw(folder, "fluorescence")
    rng = np.random.default_rng(0)
    for _ in range(50):
        rows, columns = picture.draw_part(rng)
        side = rows.stop - rows.start
        assert side == columns.stop - columns.start
        assert rows.stop <= 64
        assert columns.stop <= 64
        width = 64 * picture.width / side
        assert width >= THING_WIDTHS[0]
        assert width <= THING_WIDTHS[1] * 1.1 or side == 16


def test_only_fluorescence_is_exposed_anew(folder):
    rng = np.random.default_rng(0)
    smear = _draw(folder, "blood smear")
    assert expose(rng, smear.image, smear) is smear.image
    nuclei = _draw(folder, "fluorescence")
    crops = [expose(rng, nuclei.image, nuclei) for _ in range(30)]
    assert len({int(crop.max()) for crop in crops}) > 5
    assert any(np.ptp(crop, axis=2).any() for crop in crops)
    assert all(crop.dtype == np.uint8 for crop in crops)


def test_a_kind_without_pictures_gives_none(folder):
    assert _draw(folder, "drawn") is None
