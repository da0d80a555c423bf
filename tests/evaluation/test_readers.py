"""Each reader on a tiny data set in the true layout."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_gem.core.errors import GemError
from napari_gem.evaluation.datasets import list_kinds, read_dataset
from napari_gem.evaluation.masks import read_mask
from napari_gem.evaluation.metrics import IGNORED
from napari_gem.images.files import read_image
from tests.evaluation import layouts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# kind: how it is written, number of classes, names of samples, numbers in the first
# mask from left to right, first and last class
Case = tuple["Callable[[Path], Path]", int, list[str], list[int], str, str]
VOC = ["2007_000033", "2007_000042"]
CITY = ["frankfurt/frankfurt_000000_000294"]
COCO = ["000000000139"]
TILE = ["2_13_0_0_512_512"]
CASES: dict[str, tuple[str, Case]] = {
    "voc21": ("voc21", (layouts.voc, 21, VOC, [0, 15, -1], "background", "tv monitor")),
    "voc20": ("voc20", (layouts.voc, 20, VOC, [-1, 14, -1], "aeroplane", "tv monitor")),
    "context60": (
        "context60",
        (layouts.context, 60, VOC, [0, 1, 59], "background", "wood"),
    ),
    "context59": (
        "context59",
        (layouts.context, 59, VOC, [-1, 0, 58], "aeroplane", "wood"),
    ),
    "ade20k": (
        "ade20k",
        (layouts.ade20k, 150, ["ADE_val_00000001"], [-1, 0, 149], "wall", "flag"),
    ),
    "coco-stuff": (
        "coco-stuff",
        (layouts.coco_stuff, 171, COCO, [0, 170, -1], "person", "wood"),
    ),
    "coco-stuff converted": (
        "coco-stuff",
        (
            partial(layouts.coco_stuff, converted=True),
            *(171, COCO, [0, 170, -1], "person", "wood"),
        ),
    ),
    "cityscapes": (
        "cityscapes",
        (layouts.cityscapes, 19, CITY, [0, -1, 18], "road", "bicycle"),
    ),
    "cityscapes train ids": (
        "cityscapes",
        (
            partial(layouts.cityscapes, train_ids=True),
            *(19, CITY, [0, -1, 18], "road", "bicycle"),
        ),
    ),
    "loveda": (
        "loveda",
        (
            layouts.loveda,
            *(7, ["Rural/2522", "Urban/3514"], [-1, 0, 6]),
            *("background", "agricultural"),
        ),
    ),
    "loveda ordered": (
        "loveda",
        (
            partial(layouts.loveda, ordered=True),
            *(7, ["2522", "3514"], [-1, 0, 6], "background", "agricultural"),
        ),
    ),
    "floodnet": (
        "floodnet",
        (layouts.floodnet, 10, ["6651"], [0, 1, 9], "background", "grass"),
    ),
    "udd5": ("udd5", (layouts.udd5, 5, ["000001"], [0, 4, -1], "vegetation", "other")),
    "potsdam": (
        "potsdam",
        (layouts.isprs, 6, TILE, [0, -1, 5], "impervious surface", "clutter"),
    ),
    "vaihingen in colour": (
        "vaihingen",
        (
            partial(layouts.isprs, colored=True),
            *(6, TILE, [0, -1, 5], "impervious surface", "clutter"),
        ),
    ),
    "nuinsseg": (
        "nuinsseg",
        (
            layouts.nuinsseg,
            *(2, ["human liver/human_liver_01", "mouse fat/mouse_1"], [0, 1]),
            *("background", "nucleus"),
        ),
    ),
    "folder": (
        "folder",
        (layouts.folder, 2, ["a", "b"], [0, 1], "background", "square"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_reader_lists_what_is_there(name: str, tmp_path: Path) -> None:
    kind, (write, classes, samples, numbers, first, last) = CASES[name]
    dataset = read_dataset(kind, write(tmp_path))
    assert len(dataset.classes) == classes
    assert (dataset.classes[0].name, dataset.classes[-1].name) == (first, last)
    assert [sample.name for sample in dataset.samples] == samples
    one = dataset.samples[0]
    assert one.mask is not None and dataset.format is not None
    truth = read_mask(one.mask, dataset.format)
    assert read_image(one.image).pixels.shape[:2] == truth.shape == layouts.SHAPE
    assert [key for key, _ in _runs(truth[0])] == numbers


def _runs(row: np.ndarray) -> list[tuple[int, int]]:
    starts = np.flatnonzero(np.diff(row, prepend=-99))
    return [(int(row[start]), int(start)) for start in starts]


def test_every_reader_has_a_case() -> None:
    assert {kind for kind, _ in CASES.values()} | {"openimages"} == set(list_kinds())


def test_words_and_backgrounds(tmp_path: Path) -> None:
    voc = read_dataset("voc21", layouts.voc(tmp_path / "voc")).classes
    assert [c.name for c in voc if c.background] == ["background"]
    assert "sky" in voc[0].words
    assert voc[4].words == ("ship",)
    assert voc[15].words[0] == "person" and len(voc[15].words) == 7
    udd = read_dataset("udd5", layouts.udd5(tmp_path / "udd")).classes
    assert [c.background for c in udd] == [False] * 4 + [True]
    own = read_dataset("folder", layouts.folder(tmp_path / "own")).classes
    assert own[0].background and own[0].words == ()
    assert own[1].words == ("square", "box")


def test_cityscapes_is_shown_larger(tmp_path: Path) -> None:
    large = read_dataset("cityscapes", layouts.cityscapes(tmp_path / "city"))
    usual = read_dataset("voc20", layouts.voc(tmp_path / "voc"))
    assert (large.short_side, usual.short_side) == (560, 336)


def test_points_of_classes_that_are_there(tmp_path: Path) -> None:
    dataset = read_dataset("openimages", layouts.openimages(tmp_path))
    assert {c.name: c.words for c in dataset.classes} == {
        "Airplane": ("airplane",),
        "Person": ("person",),
    }
    first, second = dataset.samples
    names = [c.name for c in dataset.classes]
    assert first.points is not None and second.points is not None
    assert [names[n] for n in first.points.numbers] == ["Airplane", "Airplane"]
    assert first.points.positive.tolist() == [True, False]
    assert first.points.rows.tolist() == [0.75, 0.5]
    assert first.points.columns.tolist() == [0.25, 0.5]
    assert [names[n] for n in second.points.numbers] == ["Person"]


def test_numbers_of_a_plain_folder(tmp_path: Path) -> None:
    lines = "7: square, box\n3: rest | ground\nignore: 0, 9\n"
    dataset = read_dataset("folder", layouts.folder(tmp_path, lines))
    assert dataset.format is not None
    assert dict(dataset.format.numbers) == {7: 0, 3: 1, 0: IGNORED, 9: IGNORED}
    assert dataset.classes[1].name == "rest" and dataset.classes[1].words == ("ground",)


@pytest.mark.parametrize(
    ("lines", "said"),
    [("", "empty"), ("1: a\n1: b\n", "second time"), ("2:\n", "names no class")],
)
def test_unclear_classes_are_refused(lines: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(GemError, match=said):
        read_dataset("folder", layouts.folder(tmp_path, lines))


@pytest.mark.parametrize("kind", list_kinds())
def test_other_folders_are_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    with pytest.raises(GemError, match=r"There is no|is not laid out"):
        read_dataset(kind, tmp_path)


def test_unknown_kinds_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GemError, match="choose one of ade20k"):
        read_dataset("imagenet", tmp_path)
    with pytest.raises(GemError, match="There is no folder"):
        read_dataset("folder", tmp_path / "nowhere")
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "classes.txt").write_text("a\n")
    with pytest.raises(GemError, match="There is no image in"):
        read_dataset("folder", tmp_path)


def test_a_split_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(GemError, match=r"no list .*trainval.txt"):
        read_dataset("voc21", layouts.voc(tmp_path), "trainval")


def test_files_without_a_partner_stay_in_the_list(tmp_path: Path) -> None:
    root = layouts.folder(tmp_path)
    (root / "masks" / "a.png").unlink()
    layouts.write_mask(root / "masks" / "c.png", layouts.stripes(0))
    dataset = read_dataset("folder", root)
    assert [sample.name for sample in dataset.samples] == ["a", "b", "c"]
    assert dataset.samples[0].mask == root / "masks" / "a.png"
    assert dataset.samples[2].image == root / "images" / "c.png"


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    root = layouts.folder(tmp_path)
    layouts.write_image(root / "images" / "a.jpg")
    with pytest.raises(GemError, match=r"'a.jpg' and 'a.png' in .* the same name"):
        read_dataset("folder", root)


def test_classes_saved_by_another_editor(tmp_path: Path) -> None:
    path = layouts.folder(tmp_path) / "classes.txt"
    path.write_text("background\nZelle\n", encoding="utf-8-sig")
    assert read_dataset("folder", tmp_path).classes[0].background
    path.write_text("background\nKörper\n", encoding="latin-1")
    with pytest.raises(GemError, match="save it in UTF-8"):
        read_dataset("folder", tmp_path)


def test_points_at_no_place_are_refused(tmp_path: Path) -> None:
    path = layouts.openimages(tmp_path) / "oidv7-val-annotations-point-labels.csv"
    path.write_text(path.read_text().replace("0.25,0.75", "0.25,left"))
    with pytest.raises(GemError, match="holds the place 'left'"):
        read_dataset("openimages", tmp_path)
    path.write_text("ImageId,X,Y\n")
    with pytest.raises(GemError, match="no column EstimatedYesNo, Label"):
        read_dataset("openimages", tmp_path)
