"""Mask files to class numbers, whatever they are stored as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.sentences import some_of
from napari_gem.evaluation.metrics import IGNORED
from napari_gem.images.readers.picture import PICTURES
from napari_gem.images.tiff_reading import open_tiff, read_series

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gem.evaluation.datasets import Color, MaskFormat


def read_mask(path: Path, form: MaskFormat) -> NDArray[np.int16]:
    """Read a PNG (palette, 1, 8 or 16 bit, colour) or TIFF of whole numbers.

    Returns
    -------
    NDArray[np.int16]
        (height, width): class numbers, or `IGNORED`.

    Raises
    ------
    GemError
        If the file is missing or damaged, is no mask, or holds a value that means
        nothing.
    """
    if not path.is_file():
        raise GemError(f"The mask '{path}' is missing.")
    values = _values(path)
    if values.ndim == 3:
        values = _from_colors(values, form.colors, path)
    if values.dtype.kind not in "bui" or values.ndim != 2:
        raise GemError(
            f"The mask '{path.name}' holds {values.dtype} in the shape {values.shape}; "
            "a mask has one whole number for each pixel."
        )
    values = (values != 0) if form.nonzero else values
    present, places = np.unique(values, return_inverse=True)
    unknown = [int(value) for value in present if int(value) not in form.numbers]
    if unknown:
        raise GemError(
            f"The mask '{path.name}' holds {some_of(unknown)}, which is no class of "
            f"this data set; its classes are {some_of(sorted(form.numbers))}."
        )
    numbers = np.array([form.numbers[int(value)] for value in present], np.int16)
    result: NDArray[np.int16] = numbers[places].reshape(values.shape)
    return result


def _values(path: Path) -> NDArray[Any]:
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            with open_tiff(path) as tiff:
                squeezed: NDArray[Any] = np.squeeze(read_series(tiff, path))
            return squeezed
        from PIL import Image

        with Image.open(path, formats=PICTURES) as picture:
            # of a palette image these are the indices, not the colours
            return np.asarray(picture)
    except GemError:
        raise
    # the readers raise their own classes, struct.error, OSError ...
    except Exception as error:
        raise GemError(
            f"The mask '{path.name}' cannot be read; it may be damaged ({error})."
        ) from error


def _from_colors(
    pixels: NDArray[Any], colors: Mapping[Color, int], path: Path
) -> NDArray[np.int64]:
    if not colors or pixels.shape[-1] not in (3, 4):
        raise GemError(
            f"The mask '{path.name}' is in colour (shape {pixels.shape}); this data "
            "set has one class number for each pixel."
        )
    packed = pixels[..., :3].astype(np.int64) @ [1 << 16, 1 << 8, 1]
    values = np.full(packed.shape, -1, np.int64)
    for (red, green, blue), value in colors.items():
        values[packed == (red << 16) + (green << 8) + blue] = value
    wrong = np.argwhere(values < 0)
    if len(wrong):
        row, column = wrong[0]
        raise GemError(
            f"The mask '{path.name}' has the colour {tuple(pixels[row, column])} at "
            f"row {row}, column {column}, which is no class of this data set."
        )
    return values


def check_size(
    truth: NDArray[np.int16], shape: tuple[int, int], name: str
) -> NDArray[np.int16]:
    """Refuse a mask that is not as large as its image, or that ignores every pixel.

    Raises
    ------
    GemError
        If so; the message names the pair.
    """
    if truth.shape != shape:
        raise GemError(
            f"'{name}': the image has {shape[0]} x {shape[1]} pixels, but its mask has "
            f"{truth.shape[0]} x {truth.shape[1]}."
        )
    if not (truth != IGNORED).any():
        raise GemError(f"'{name}': its mask has no pixel that counts.")
    return truth
