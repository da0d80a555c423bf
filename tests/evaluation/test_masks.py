from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_gem.core.errors import GemError
from napari_gem.evaluation.datasets import MaskFormat
from napari_gem.evaluation.masks import check_size, read_mask
from napari_gem.evaluation.metrics import IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VALUES = np.array([[0, 1, 2], [2, 1, 255]], np.uint8)
FORM = MaskFormat({0: 0, 1: 1, 2: 2, 255: IGNORED, 40_000: 3}, {(255, 0, 0): 2})
EXPECTED = [[0, 1, 2], [2, 1, IGNORED]]


def _palette(path: Path) -> None:
    picture = Image.fromarray(VALUES)
    picture.putpalette(list(range(255, -1, -1)) * 3)
    picture.save(path)


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "8 bit": ("png", lambda path: Image.fromarray(VALUES).save(path)),
    "palette": ("png", _palette),
    "16 bit": ("png", lambda path: Image.fromarray(VALUES.astype("u2")).save(path)),
    "TIFF": ("tif", lambda path: tifffile.imwrite(path, VALUES.astype(np.uint16))),
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_values_come_from_every_file(name: str, tmp_path: Path) -> None:
    suffix, write = WRITERS[name]
    path = tmp_path / f"mask.{suffix}"
    write(path)
    np.testing.assert_array_equal(read_mask(path, FORM), EXPECTED)


def test_large_values_of_16_bit_masks_stay(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 40_000]], np.uint16)).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png", FORM).tolist() == [[0, 3]]


def test_bits_and_any_value_but_nought(tmp_path: Path) -> None:
    form = MaskFormat({0: 0, 1: 1}, nonzero=True)
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "bits.png")
    Image.fromarray(np.array([[0, 17, 255]], np.uint8)).save(tmp_path / "any.png")
    assert read_mask(tmp_path / "bits.png", form).tolist() == [[0, 1]]
    assert read_mask(tmp_path / "any.png", form).tolist() == [[0, 1, 1]]


def test_colours_are_values(tmp_path: Path) -> None:
    red = np.full((2, 2, 3), [255, 0, 0], np.uint8)
    Image.fromarray(red).save(tmp_path / "red.png")
    assert (read_mask(tmp_path / "red.png", FORM) == 2).all()
    red[1, 0] = [1, 2, 3]
    Image.fromarray(red).save(tmp_path / "red.png")
    with pytest.raises(GemError, match="row 1, column 0"):
        read_mask(tmp_path / "red.png", FORM)


def _save(values: np.ndarray) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(values).save(path)


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "unknown value": ("png", _save(VALUES + 3), "holds 3, 4, 5, which is no class"),
    "grey picture with colours": (
        "png",
        _save(np.zeros((2, 2, 3), np.uint8)),
        "has the colour",
    ),
    "floats": (
        "tif",
        lambda path: tifffile.imwrite(path, np.zeros((4, 4), np.float32)),
        "holds float32 in the shape",
    ),
    "damaged": ("png", lambda path: path.write_bytes(b"no picture"), "damaged"),
    "missing": ("png", lambda path: None, "is missing"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_mask_is_named_in_a_sentence(name: str, tmp_path: Path) -> None:
    suffix, write, said = BAD[name]
    path = tmp_path / f"mask.{suffix}"
    write(path)
    with pytest.raises(GemError, match=said) as error:
        read_mask(path, FORM)
    assert path.name in str(error.value)


def test_a_picture_is_no_mask_without_colours(tmp_path: Path) -> None:
    _save(np.zeros((2, 2, 3), np.uint8))(tmp_path / "m.png")
    with pytest.raises(GemError, match="is in colour"):
        read_mask(tmp_path / "m.png", MaskFormat({0: 0}))


def test_sizes_and_masks_that_count_nothing() -> None:
    truth = np.zeros((3, 4), np.int16)
    assert check_size(truth, (3, 4), "a") is truth
    with pytest.raises(
        GemError, match="'a': the image has 4 x 3 pixels, but its mask has 3 x"
    ):
        check_size(truth, (4, 3), "a")
    with pytest.raises(GemError, match="no pixel that counts"):
        check_size(truth + IGNORED, (3, 4), "a")
