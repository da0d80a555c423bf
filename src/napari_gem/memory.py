"""What to try when the memory does not suffice, one step after the other."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_gem.types import EncodeParameters

SMALLEST_TILE = 8
"""Patches: models see too little in smaller ones."""

HALF = {"cuda": "float16", "mps": "float16", "cpu": "bfloat16"}
"""Precision with half the memory, by kind of device."""

NO_MEMORY = (
    "The memory does not suffice for this. Choose a smaller detail (zoom), smaller "
    "tiles or fewer classes, crop the image, or choose the device cpu."
)

_SIGNS = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "ALLOC_FAILED",
)


@dataclass(frozen=True)
class Rung:
    """A way to encode an image.

    Attributes
    ----------
    device, precision
        As of `napari_gem.models.Model`.
    parameters
        How to encode.
    notice
        A sentence for the user: what was given up; empty for what was asked for.
    """

    device: str
    precision: str
    parameters: EncodeParameters
    notice: str = ""


def rungs(device: str, precision: str, parameters: EncodeParameters) -> Iterator[Rung]:
    """List what was asked for and what takes less memory, the dearest first.

    Smaller tiles, then half the precision, then the same on the processor. Batches
    are halved before all of this, where they are made.
    """
    yield Rung(device, precision, parameters)
    smallest = parameters
    while smallest.tile > SMALLEST_TILE:
        smallest = _halved(smallest)
        told = f"the image was encoded in tiles of {smallest.tile} patches"
        yield Rung(device, precision, smallest, _notice(told))
    kind = device.partition(":")[0]
    half = HALF.get(kind, precision)
    if precision == "float32" and half != precision:
        yield Rung(device, half, smallest, _notice(f"it was encoded in {half}"))
    if kind != "cpu":
        for rung in rungs("cpu", "float32", parameters):
            yield replace(rung, notice=_notice("the processor encoded the image"))


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether the memory of the computer or its GPU did not suffice."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(s in str(error) for s in _SIGNS)


def free_memory() -> None:
    """Give back what is not used, on all devices."""
    gc.collect()
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def _halved(parameters: EncodeParameters) -> EncodeParameters:
    tile = max(SMALLEST_TILE, parameters.tile // 2)
    overlap = parameters.overlap * tile // parameters.tile
    return replace(parameters, tile=tile, overlap=overlap)


def _notice(told: str) -> str:
    return f"The memory did not suffice, so {told}; results may differ a little."
