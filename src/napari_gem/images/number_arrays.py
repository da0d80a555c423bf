"""Refuses arrays in files that hold anything but numbers.

Zarr groups and npy files can also hold texts, objects and tables, and their metadata
may name any installed codec. Such an array is refused before a part of it is read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.bounds import MOST_AXES
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_gem.core.arrays import LazyArray

NUMBERS = "biufc"
"""Kinds of dtypes: logical, whole, not negative, real and complex."""

_CODECS = frozenset(
    {
        "adler32",
        "astype",
        "bitround",
        "blosc",
        "bytes",
        "bz2",
        "crc32",
        "crc32c",
        "delta",
        "fixedscaleoffset",
        "fletcher32",
        "gzip",
        "jenkins_lookup3",
        "lz4",
        "lzma",
        "packbits",
        "quantize",
        "sharding_indexed",
        "shuffle",
        "transpose",
        "zlib",
        "zstd",
    }
)
"""All codecs of zarr and numcodecs that decode to numbers."""

_TYPES = ("dtype", "astype", "encode_dtype", "decode_dtype")
"""Fields of a codec with the types that it casts from and to."""

_PREFIX = re.compile(r"^(https://zarr\.dev/)?(numcodecs[./])?")
"""What zarr 3 writes before the name of a codec of numcodecs."""

_PICTURES = "imagecodecs_"
"""How the codecs of the package imagecodecs begin, all of which give pixels."""


def check_numbers(array: LazyArray, name: str, kinds: str = NUMBERS) -> None:
    """Refuse an array that does not hold numbers; nothing of it is read.

    Parameters
    ----------
    array
        An array of zarr or numpy.
    name
        Name for the user.
    kinds
        Letters of `numpy.dtype.kind` that are expected.

    Raises
    ------
    GemError
        If it holds texts, objects, tables or dates, if its parts are decoded by a codec
        that is not known to give numbers, or if it has more axes than any image.
    """
    dtype = np.dtype(array.dtype)
    if dtype.kind not in kinds or dtype.hasobject:
        raise GemError(
            f"'{shown(name)}' holds {shown(dtype, 60)}, which is no image of numbers. "
            "Choose another array, or save it as numbers."
        )
    if len(array.shape) > MOST_AXES:
        raise GemError(
            f"'{shown(name)}' has {len(array.shape)} axes; at most {MOST_AXES} can "
            "be read. Save the planes that you need in a file of their own."
        )
    unknown = [codec for codec in _codecs(array) if not _is_known(codec)]
    if unknown:
        raise GemError(
            f"'{shown(name)}' is compressed by '{shown(unknown[0], 60)}', which "
            "napari-gem does not know. Save it again with blosc, zstd, gzip or another "
            "common one."
        )


def _codecs(array: Any) -> list[str]:
    """Names of the codecs of a zarr array; none for other arrays."""
    stated = getattr(array, "metadata", None)
    if stated is None:
        return []
    if hasattr(stated, "codecs"):
        return _names(stated.codecs)
    return _names((*(stated.filters or ()), *filter(None, (stated.compressor,))))


def _names(codecs: Any) -> list[str]:
    names: list[str] = []
    for codec in codecs:
        config = codec.to_dict() if hasattr(codec, "to_dict") else codec.get_config()
        names.append(str(config.get("name", config.get("id", ""))))
        names += [f"{names[-1]} of {kind}" for kind in _strange_types(config)]
        # shards have codecs for their chunks and for their index
        for inner in ("codecs", "index_codecs"):
            names += _names(getattr(codec, inner, ()))
    return names


def _strange_types(config: Mapping[str, Any]) -> list[str]:
    """List types that a codec casts to and that are no numbers, so may be huge."""
    config = {**config, **(config.get("configuration") or {})}
    types = [str(config[name]) for name in _TYPES if config.get(name) is not None]
    return [one for one in types if np.dtype(one).kind not in NUMBERS]


def _is_known(codec: str) -> bool:
    name = _PREFIX.sub("", codec)
    return name in _CODECS or name.startswith(_PICTURES)
