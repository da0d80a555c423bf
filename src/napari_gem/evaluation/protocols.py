"""How others measure, so that figures can be compared (``protocols.toml``)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from functools import cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_gem.core.fields import check_number
from napari_gem.core.json_records import from_dict
from napari_gem.core.parameters import LARGEST, SMALLEST, EncodeParameters
from napari_gem.core.sentences import check_known
from napari_gem.images.rendering import squash
from napari_gem.prompts.word_lists import read_templates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gem.core.parameters import GemParameters
    from napari_gem.models.model import Model

_FILE = Path(__file__).parent / "protocols.toml"


@dataclass(frozen=True)
class Protocol:
    """A way to measure.

    Attributes
    ----------
    about, source
        A line for the user, and where it is defined.
    resize
        ``squash``, ``short`` or empty.
    size
        Pixels of a side, for ``squash``.
    long_side
        Largest length of the longer side in pixels, for ``short``; 0 for any.
    window, stride
        Size and step of the sliding window, in pixels; 0 for the whole image.
    templates
        Name of a list; empty takes the model's.
    scale
        Logit scale of the softmax; 0 takes the model's.
    heat_maps
        Whether labels come from maps stretched from minimum to maximum.
    synonyms
        Whether all words of a class are looked for, or only its name.
    threshold
        Pixels whose best probability is less are background, if the data set has one.
        The background is then not looked for by words, unless ``synonyms`` is true.
    pipeline
        Whether labels and maps are those of `napari_gem.segment`; then ``threshold``
        is that of every class beside the background, and 0 takes the usual one.
    """

    about: str = ""
    source: str = ""
    resize: Literal["", "squash", "short"] = ""
    size: int = 0
    long_side: int = 0
    window: int = 0
    stride: int = 0
    templates: str = ""
    scale: float = 0.0
    heat_maps: bool = False
    synonyms: bool = True
    threshold: float = 0.0
    pipeline: bool = False


@cache
def list_protocols() -> dict[str, Protocol]:
    """All protocols by name."""
    entries: dict[str, Any] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {name: from_dict(Protocol, entry) for name, entry in entries.items()}


def find_protocol(
    name: str, *, scale: float | None = None, threshold: float | None = None
) -> Protocol:
    """Return one of `list_protocols`, with another scale and threshold if given.

    Raises
    ------
    GemError
        If there is none of this name, or a number is out of range.
    """
    check_known("protocol", name, list_protocols())
    protocol = list_protocols()[name]
    if scale is not None:
        check_number("The scale", scale, SMALLEST, LARGEST)
        protocol = replace(protocol, scale=scale)
    if threshold is not None:
        check_number("The threshold", threshold, 0, 1)
        protocol = replace(protocol, threshold=threshold)
    return protocol


def templates_of(protocol: Protocol, model: Model) -> tuple[str, ...]:
    """Sentences around each word."""
    if protocol.templates:
        return read_templates(protocol.templates)
    return model.card.score.templates


def scale_of(protocol: Protocol, model: Model) -> float:
    """Logit scale of the softmax."""
    return protocol.scale or model.card.score.scale


def encoding_of(
    protocol: Protocol, model: Model, gem: GemParameters, shape: tuple[int, int]
) -> EncodeParameters:
    """How a resized image of this (height, width) is encoded.

    The protocol decides the tiles; if it does not resize, the model's card does.
    """
    if not protocol.resize:
        return replace(model.card.encode, gem=gem)
    patch = model.backbone.patch_size
    if not protocol.window:
        return EncodeParameters(gem, tile=ceil(max(shape) / patch), overlap=0)
    tile = max(1, protocol.window // patch)
    # where the stride is no multiple of the patch, windows share a little more
    overlap = ceil((protocol.window - protocol.stride) / patch)
    return EncodeParameters(gem, tile=tile, overlap=min(overlap, tile - 1))


def resize(
    image: NDArray[np.float32], protocol: Protocol, short_side: int
) -> NDArray[np.float32]:
    """Resize an image, (height, width, 3) from 0 to 1, as a protocol wants.

    ``short_side`` is the shorter side in pixels, for ``short``.
    """
    if protocol.resize == "squash":
        return squash(image, protocol.size)
    if protocol.resize == "short":
        factor = short_side / min(image.shape[:2])
        if protocol.long_side:
            factor = min(factor, protocol.long_side / max(image.shape[:2]))
        # rounded as mmcv's imrescale
        height, width = (max(1, int(side * factor + 0.5)) for side in image.shape[:2])
        return _bilinear(image, (height, width))
    return image


def _bilinear(
    image: NDArray[np.float32], shape: tuple[int, int]
) -> NDArray[np.float32]:
    import torch

    # without antialiasing, as in OpenCV, which the shared protocol uses
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(image).movedim(-1, 0)[None], size=shape, mode="bilinear"
    )
    result: NDArray[np.float32] = resized[0].movedim(0, -1).contiguous().numpy()
    return result
