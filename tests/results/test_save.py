from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_gem.core.appearance import Appearance
from napari_gem.core.atomic import unfinished_path
from napari_gem.core.colors import class_color
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import EncodeParameters, ScoreParameters
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Recipe, Segmentation
from napari_gem.images.files import read_image
from napari_gem.images.scene import scene_of
from napari_gem.results.save import check_folder, save
from napari_gem.results.writers.overlay import OPACITY

if TYPE_CHECKING:
    from pathlib import Path

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 30)).astype(np.uint8)


def segmentation(classes: int = 2) -> Segmentation:
    rng = np.random.default_rng(1)
    return Segmentation(
        probabilities=rng.random((classes, 40, 30)).astype(np.float32),
        labels=rng.integers(0, classes + 1, (40, 30)).astype(np.uint8),
        recipe=Recipe(
            version="0.1",
            model="embedded",
            revision="abc",
            prompts=tuple(Prompt((f"class {i}", "ä")) for i in range(classes)),
            encode=EncodeParameters(),
            score=ScoreParameters(),
            appearance=Appearance(limits=(0, 255)),
            device="cpu",
            precision="float32",
        ),
        notices=("Mind this.",),
    )


def test_everything_is_written_and_reads_back(tmp_path: Path) -> None:
    result = segmentation()
    written = save(result, scene_of(PIXELS, (0.5, 0.25), "µm"), tmp_path / "out")
    names = [path.name for path in written]
    assert names == ["labels.tif", "overlay.png", "probabilities.tif", "recipe.json"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    labels = read_image(tmp_path / "out/labels.tif")
    assert (labels.pixels == result.labels).all()
    assert labels.unit == "µm"
    assert labels.pixel_size == (0.5, 0.25)
    maps = tifffile.imread(tmp_path / "out/probabilities.tif")
    assert (maps == result.probabilities).all()
    recipe = json.loads((tmp_path / "out/recipe.json").read_text())
    assert recipe["labels"] == {"0": "background", "1": "class 0", "2": "class 1"}
    assert recipe["model"] == "embedded"
    assert recipe["revision"] == "abc"
    assert recipe["notices"] == ["Mind this."]
    assert recipe["pixel_size"] == [0.5, 0.25]


def test_large_arrays_are_written_as_bigtiff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = segmentation()
    monkeypatch.setattr(
        "napari_gem.results.writers.tiff.CLASSIC_BYTES", result.labels.nbytes
    )
    save(result, scene_of(PIXELS), tmp_path)
    for name, big in (("labels.tif", False), ("probabilities.tif", True)):
        with tifffile.TiffFile(tmp_path / name) as tiff:
            assert tiff.is_bigtiff == big


def test_georeference_is_kept(tmp_path: Path) -> None:
    tags = [
        (33550, "d", 3, (10.0, 10.0, 0.0), True),
        (33922, "d", 6, (0.0, 0.0, 0.0, 399960.0, 5300040.0, 0.0), True),
        (34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32632), True),
        (34737, "s", 0, "WGS 84 / UTM zone 32N|", True),
    ]
    tifffile.imwrite(tmp_path / "geo.tif", PIXELS, extratags=tags)
    image = read_image(tmp_path / "geo.tif")
    save(segmentation(), image, tmp_path)
    for name in ("labels.tif", "probabilities.tif"):
        with tifffile.TiffFile(tmp_path / name) as tiff:
            for code, _, _, value, _ in tags:
                assert tiff.pages.first.tags[code].value == value


def test_overlay_shows_classes_in_color_and_leaves_background(tmp_path: Path) -> None:
    result = segmentation()
    save(result, scene_of(PIXELS), tmp_path)
    picture = np.asarray(Image.open(tmp_path / "overlay.png"))[:40, :30].astype(int)
    grey = np.ptp(picture, axis=-1) == 0
    assert (grey == (result.labels == 0)).all()


def test_overlay_has_the_colors_and_ids_of_the_classes(tmp_path: Path) -> None:
    result = segmentation()
    prompts = (Prompt(("a",), label=9, color=(0.0, 0.0, 1.0)), Prompt(("b",), label=4))
    ids = np.array([0, 9, 4], np.uint8)
    result = replace(
        result,
        labels=ids[result.labels],
        recipe=replace(result.recipe, prompts=prompts),
    )
    save(result, np.zeros((40, 30), np.uint8), tmp_path)
    picture = np.asarray(Image.open(tmp_path / "overlay.png"))[:40, :30] / 255
    for label, color in ((9, (0, 0, 1)), (4, class_color(3))):
        shown = picture[result.labels == label]
        assert np.allclose(shown, OPACITY * np.array(color), atol=1 / 255)


def test_an_array_is_taken_as_a_file_without_pixel_size(tmp_path: Path) -> None:
    result = segmentation()
    for name, image in (("array", PIXELS), ("list", PIXELS.tolist())):
        save(result, image, tmp_path / name)
        recipe = json.loads((tmp_path / name / "recipe.json").read_text())
        assert recipe["pixel_size"] is None
    save(result, scene_of(PIXELS), tmp_path / "file")
    overlays = [path.read_bytes() for path in tmp_path.glob("*/overlay.png")]
    assert len(overlays) == 3
    assert len({*overlays}) == 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (PIXELS[:20], "image has 20 x 30 pixels, the result 40 x 30"),
        (np.zeros((2, 40, 30)), "shape"),
        ("image.tif", "shape"),
        (np.zeros((40, 30, 3), np.uint8), "single-channel"),
    ],
)
def test_another_image_leaves_no_folder(
    image: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(GemError, match=message):
        save(segmentation(), image, tmp_path / "new/out")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_made_on_trial_only(tmp_path: Path) -> None:
    check_folder(tmp_path / "new/out")
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    check_folder(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_failing_disk_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile.TiffWriter, "write", full)
    with pytest.raises(GemError, match="No space left"):
        save(segmentation(), PIXELS, tmp_path / "new/out")
    assert not list(tmp_path.iterdir())


def test_files_that_were_replaced_come_back(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").mkdir()  # the last to be moved, and in the way
    (tmp_path / "recipe.json/mine").touch()
    (tmp_path / "labels.tif").write_text("old")
    with pytest.raises(GemError, match="cannot be written"):
        save(segmentation(), PIXELS, tmp_path, overwrite=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["labels.tif", "recipe.json"]
    assert (tmp_path / "labels.tif").read_text() == "old"
    assert (tmp_path / "recipe.json/mine").is_file()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for act in (
        lambda: check_folder(tmp_path / "file"),
        lambda: save(segmentation(), scene_of(PIXELS), tmp_path / "file/out"),
    ):
        with pytest.raises(GemError, match="cannot be written"):
            act()
    assert (tmp_path / "file").read_text() == "in the way"


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    save(segmentation(), scene_of(PIXELS), out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    broken = scene_of(np.zeros((40, 30, 3), np.uint8))  # does not fit the recipe
    with pytest.raises(GemError):
        save(segmentation(3), broken, out, overwrite=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.contact("leftovers")
@pytest.mark.parametrize("image", ["labels.tif", "labels.zarr/0", "overlay.png"])
def test_results_do_not_take_the_place_of_the_image(tmp_path: Path, image: str) -> None:
    path = tmp_path / image
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"pixels")
    with pytest.raises(GemError, match="would be replaced by a result"):
        check_folder(tmp_path, path)
    check_folder(tmp_path / "other", path)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / image.partition("/")[0]).symlink_to(tmp_path / image.partition("/")[0])
    check_folder(linked, path)


@pytest.mark.contact("leftovers")
def test_another_run_may_remove_a_folder_that_it_made_on_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, removed = tmp_path / "new", []

    def claim(inside: Path) -> Any:
        if not removed:
            inside.rmdir()
            removed.append(inside)
        return unfinished_path(inside)

    monkeypatch.setattr("napari_gem.results.save.unfinished_path", claim)
    check_folder(folder)
    assert removed == [folder]
    assert not folder.exists()


def test_results_that_are_there_are_kept_unless_they_may_be_replaced(
    tmp_path: Path,
) -> None:
    save(segmentation(), PIXELS, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "mine.txt").write_text("mine")
    for act in (
        lambda: save(segmentation(3), PIXELS, tmp_path),
        lambda: save(segmentation(3), PIXELS, tmp_path, write="labels"),
        lambda: check_folder(tmp_path, write=""),
    ):
        with pytest.raises(GemError, match=r"holds results already: .*They are kept"):
            act()
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    check_folder(tmp_path, write="", overwrite=True)
    check_folder(tmp_path)
    save(segmentation(3), PIXELS, tmp_path, overwrite=True)
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    assert len(recipe["labels"]) == 4
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_what_is_written_can_be_chosen(tmp_path: Path) -> None:
    written = save(segmentation(), PIXELS, tmp_path / "one", write=" labels,labels ")
    assert [path.name for path in written] == ["labels.tif", "recipe.json"]
    written = save(segmentation(), PIXELS, tmp_path / "two", write=["zarr", "overlay"])
    assert [path.name for path in written] == [
        "labels.zarr",
        "overlay.png",
        "probabilities.zarr",
        "recipe.json",
    ]
    for write in ("labels,shapefile", ["shapefile"]):
        with pytest.raises(GemError, match=r"as 'shapefile'\. Choose from labels, "):
            save(segmentation(), PIXELS, tmp_path / "three", write=write)
    assert not (tmp_path / "three").exists()
