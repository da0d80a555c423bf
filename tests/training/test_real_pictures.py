"""Figures of real pictures, on pictures and maps that are made up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_gem.core.errors import GemError
from napari_gem.core.results import Segmentation
from training.real_kinds import KINDS, Picture, entries_of, read_kind
from training.real_page import (
    PAGE,
    as_json,
    fill,
    section_of,
    tables,
    write_page,
)
from training.real_pictures import (
    THRESHOLDS,
    Answer,
    KindFigures,
    _Tally,
    iou,
    iou_curve,
    parse_arguments,
)


def _result(scores: np.ndarray) -> Segmentation:
    labels = (scores > 0.5).astype(np.uint8)
    return Segmentation(recipe=None, probabilities=scores[None], labels=labels)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a picture or two of every kind."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (20, 30, 3), np.uint8)
    for name in ("nuclei/test/images", "nuclei/test/masks", "blood/test/images"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("trees/test/images", "trees/test/points", "geo"):
        (tmp_path / name).mkdir(parents=True)
    masks = np.zeros((20, 30), np.uint16)
    masks[5:10, 5:10] = 300
    rows = ["name,kind"]
    for number, kind in enumerate(["fluorescence"] * 5 + ["stained", "brightfield"]):
        image = rgb[..., 0] if kind == "fluorescence" else rgb
        Image.fromarray(image).save(tmp_path / f"nuclei/test/images/n{number}.png")
        Image.fromarray(masks).save(tmp_path / f"nuclei/test/masks/n{number}.png")
        rows.append(f"n{number},{kind}")
    (tmp_path / "nuclei/test/index.csv").write_text("\n".join(rows))
    Image.fromarray(rgb).save(tmp_path / "blood/test/images/b.jpg")
    boxes = (
        "image,class,xmin,ymin,xmax,ymax\nb.jpg,RBC,2,3,6,5\nb.jpg,Platelets,0,0,9,9"
    )
    (tmp_path / "blood/test/boxes.csv").write_text(boxes)
    bands = rng.integers(0, 255, (20, 30, 4), np.uint8)
    bands[:10, :, 0], bands[:10, :, 3] = 50, 200  # vegetation
    bands[10:, :, 0], bands[10:, :, 3] = 200, 50
    bands[10:, :, 1] = 200  # water
    tifffile.imwrite(tmp_path / "trees/test/images/t.tif", bands)
    (tmp_path / "trees/test/points/t.csv").write_text("x,y\n29,3\n31,4\n")
    tifffile.imwrite(tmp_path / "geo/m_1.tif", bands)
    return tmp_path


def test_grey_pictures_are_read_as_colours_with_all_nuclei(folder: Path) -> None:
    pictures = list(read_kind(folder, "fluorescence"))
    assert [picture.name for picture in pictures] == [f"n{n}" for n in range(5)]
    assert pictures[0].image.shape == (20, 30, 3)
    assert np.ptp(pictures[0].image, axis=2).max() == 0
    assert pictures[0].truth["nuclei"].sum() == 25


def test_boxes_are_filled_and_a_word_without_boxes_has_no_truth(folder: Path) -> None:
    (picture,) = read_kind(folder, "blood")
    assert list(picture.truth) == ["red blood cells"]
    mask = picture.truth["red blood cells"]
    assert mask.sum() == mask[3:5, 2:6].sum() == 8


def test_the_model_gets_no_infrared(folder: Path) -> None:
    (tile,) = read_kind(folder, "trees")
    assert tile.image.shape == (20, 30, 3)
    assert tile.truth["vegetation"][:10].all()
    assert not tile.truth["vegetation"][10:].any()
    assert tile.points["trees"].tolist() == [[3, 29], [4, 29]]  # kept within the tile
    (scene,) = read_kind(folder, "naip")
    assert scene.truth["water"][10:].all()
    assert list(read_kind(folder, "naip", "train")) == []


def test_a_limit_takes_pictures_evenly(folder: Path) -> None:
    names = [name for name, _ in entries_of(folder, "fluorescence", "test", 3)]
    assert names == ["n0", "n2", "n4"]


def test_iou_at_each_threshold_is_that_of_the_mask() -> None:
    rng = np.random.default_rng(1)
    scores, truth = rng.random((40, 40)), rng.random((40, 40)) > 0.7
    curve = iou_curve(scores, truth)
    for place in (0, 30, 98):
        expected = iou(scores >= THRESHOLDS[place], truth)
        assert curve[place] == pytest.approx(expected)


def test_figures_of_a_map_that_is_right_but_low() -> None:
    truth = np.zeros((10, 10), bool)
    truth[2:5, 2:5] = True
    scores = np.where(truth, 0.3, 0.1).astype(np.float32)
    image = np.where(truth, 200, 10).astype(np.uint8)[..., None].repeat(3, axis=2)
    tally = _Tally(KINDS["fluorescence"].questions[0])
    tally.add(Picture("p", image, {"nuclei": truth}), _result(scores))
    answer = tally.answer()
    assert answer.iou == 0
    assert answer.best_iou == 1
    assert answer.best_threshold is not None
    assert 0.1 < answer.best_threshold <= 0.3
    assert (answer.auroc, answer.otsu, answer.pointed_at) == (1, 1, 1)


def test_points_inside_are_counted_over_all_pictures() -> None:
    tally = _Tally(KINDS["trees"].questions[0])
    image = np.zeros((10, 10, 3), np.uint8)
    scores = np.zeros((10, 10), np.float32)
    scores[:5] = 0.9
    for points in ([[0, 0], [1, 1], [9, 9]], [[2, 2]], np.zeros((0, 2), int)):
        picture = Picture("p", image, {}, {"trees": np.array(points, int)})
        tally.add(picture, _result(scores))
    answer = tally.answer()
    assert (answer.points_inside, answer.area) == (0.75, 0.5)
    assert answer.iou is None


def test_an_unknown_word_is_named_in_the_table() -> None:
    answers = {
        "red blood cells": Answer(known=False),
        "white blood cells": Answer(True, 3, 0.5, 0.6, 0.4, 0.9, 0.3, 1.0),
    }
    unknown = ("red blood cells",)
    figures = {"blood": KindFigures(answers, {"water": 0.2, "road": 0.4}, unknown)}
    text = tables(figures)
    assert "| red blood cells | the model does not know the word |" in text
    assert "| white blood cells | 0.50 | 0.60 (0.40) | 0.900 | 0.30 | 1.00 |" in text
    assert "| Blood smears | road | 0.40 | road 0.40, water 0.20 |" in text
    assert "does not know these words: red blood cells." in text
    kinds = json.loads(as_json(figures, model="m"))["kinds"]
    assert kinds["blood"]["answers"]["red blood cells"]["iou"] is None


def test_a_page_gets_what_was_measured(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    figures = {
        "fluorescence": KindFigures({"nuclei": Answer(True, 9, 0.5, 0.6, 0.4, 0.9)})
    }
    several = {"as napari-gem does": figures, "neither": figures}
    options = parse_arguments(["real", "--limit", "9", "--ingredients", "3"])
    for _ in range(2):  # what stood there before is replaced
        write_page(page, figures, several, options)
    text = page.read_text(encoding="utf-8")
    assert text.count("| Fluorescence, as the file is (9) | nuclei | 0.50 |") == 1
    assert text.count("| neither | 0.50 | 0.00 () |") == 1
    assert "at most 9 of each kind" in text
    with pytest.raises(GemError, match="no marks"):
        fill("nothing", "figures", "more")


def test_the_section_of_the_first_heading_that_a_card_has() -> None:
    card = "# Card\n\n## What it is\n\nA model.\n\n## What it knows\n\nWords.\n"
    assert section_of(card, ("What it was trained on", "What it is")) == "A model."
    assert section_of(card, ("What it was trained on",)) == ""
