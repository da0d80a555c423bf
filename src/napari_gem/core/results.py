"""Results between stages: features, segmentations and their recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_gem.core.appearance import Appearance
from napari_gem.core.arrays import LazyArray
from napari_gem.core.parameters import (
    EncodeParameters,
    LabelParameters,
    ScoreParameters,
)
from napari_gem.core.prompts import Prompt
from napari_gem.core.region import Region

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Features:
    """An encoded image: text-aligned features on the patch grid.

    Attributes
    ----------
    array
        (rows, columns, channels), float16 or float32, each vector of unit length; in
        memory, or read when it is sliced.
    image_embedding
        (channels,) float32, unit length: the model's own embedding of the region,
        averaged over its tiles.
    image_shape
        (height, width) of the image in pixels.
    patch
        Image pixels per patch along each axis (the model's patch size / zoom). Patch
        (i, j) covers rows ``i * patch`` to ``(i + 1) * patch`` and so on: the grid
        starts at the image's origin.
    model
        Id of the model.
    revision
        Hash of the weights.
    parameters
        What they were made with.
    appearance
        How the pixels were turned into RGB.
    region
        The part to look at; None for all. Features elsewhere may be zero.
    tile_embeddings
        (tiles, channels) float32: the model's embedding of each tile, zero for tiles
        that were not encoded.
    device, precision
        Where and how they were computed; empty if not known.
    notices
        Sentences for the user.
    picture
        (height, width, 3) uint8: the image as the model saw it; in memory, or read when
        it is sliced. Refinement looks at it; None if it is not known.
    """

    array: LazyArray
    image_embedding: NDArray[np.float32]
    image_shape: tuple[int, int]
    patch: float
    model: str
    revision: str
    parameters: EncodeParameters
    appearance: Appearance
    region: Region | None = None
    tile_embeddings: NDArray[np.float32] | None = None
    device: str = ""
    precision: str = ""
    notices: tuple[str, ...] = ()
    picture: LazyArray | None = None


@dataclass(frozen=True)
class Recipe:
    """How a result was made; kept with every result layer and file.

    Attributes
    ----------
    version
        Version of napari-gem.
    model, revision
        Id of the model and hash of its weights.
    prompts
        The classes that were looked for; `label_ids` tells their ids.
    encode, score, label
        Parameters.
    appearance
        How the pixels were turned into RGB.
    device, precision
        Where and how it was computed: ``cpu``, ``cuda:0`` ...; ``float32`` ...
    region
        The part of the image; None for all.
    architecture
        open_clip architecture of a bare weights file; empty otherwise.
    patch
        Image pixels per patch; 0 if not known.
    index
        Slice of a stack, as positions along the leading axes; empty for an image of
        one plane, and where it is not known.
    pixel_size, unit
        (height, width) of a pixel in this unit; None and empty if not known.
    factor
        Pixels of the finest resolution, along a side, for one of the image's.
    squash
        Side of the square that the image was squashed to
        (`napari_gem.segmentation.squashed`); 0 for none.
    """

    version: str
    model: str
    revision: str
    prompts: tuple[Prompt, ...]
    encode: EncodeParameters
    score: ScoreParameters
    appearance: Appearance
    device: str
    precision: str
    label: LabelParameters = field(default_factory=LabelParameters)
    region: Region | None = None
    architecture: str = ""
    patch: float = 0.0
    index: tuple[int, ...] = ()
    pixel_size: tuple[float, float] | None = None
    unit: str = ""
    factor: float = 1.0
    squash: int = 0


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Probability maps and labels of one image.

    Attributes
    ----------
    probabilities
        (classes, height, width) float32, 0 to 1. With the background's probability,
        which is not kept, they sum to 1 at each pixel; 0 outside the region.
    labels
        (height, width) uint8 or uint16: 0 is background and what lies outside the
        region, others are the classes' `label_ids`.
    recipe
        How it was made.
    notices
        Sentences for the user: unknown words, text cut to the context length ...
    shares
        For each class the part of the image, or region, that has its label, 0 to 1.
    absent
        Names of the classes that are probably not in the image at all.
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.unsignedinteger[Any]]
    recipe: Recipe
    notices: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredSegmentation:
    """Labels and probabilities of an image that are too large for the memory.

    Attributes
    ----------
    labels
        Path of a zarr group, OME-NGFF 0.5: ``0`` is (height, width) uint8 or uint16 as
        in `Segmentation`; ``1`` and so on are half the one before along each axis.
    probabilities
        Path of a zarr group: ``0`` is (classes, rows, columns) float16 on the patch
        grid, 0 to 1; ``1`` and so on as for labels.
    shape
        (height, width) in pixels.
    patch
        Image pixels per patch along each axis.
    recipe, notices, shares, absent
        As in `Segmentation`.
    """

    labels: str
    probabilities: str
    shape: tuple[int, int]
    patch: float
    recipe: Recipe
    notices: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    absent: tuple[str, ...] = ()
