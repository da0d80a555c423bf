"""What is asked of an image, and what comes of it: jobs, features, segmentations."""

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


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is asked of an image; `napari_gem.segmentation.job` does it.

    Attributes
    ----------
    model
        Id of the model, or path of a file or folder.
    prompts
        The classes; `label_ids` tells their ids.
    encode, score
        Parameters; None takes those of the model's card.
    appearance
        How the pixels are turned into RGB.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or the address of a dask
        scheduler, whose workers encode the image.
    precision
        ``auto``, ``float32``, ``bfloat16``, ``float16``.
    label
        Parameters.
    region
        The part of the image; None for all.
    architecture
        open_clip architecture of a bare weights file; empty otherwise.
    pixel_size, unit
        (height, width) of a pixel in this unit; None and empty if not known.
    index
        Slice of a stack, as positions along the leading axes; empty for an image of
        one plane, and where it is not known.
    bands, nodata
        Parameters of `napari_gem.images.files.open_scene`: which bands of the file the
        channels are, and which value stands for no data; empty as the file says.
    factor
        Pixels of the finest resolution, along a side, for one of the image's.
    squash
        Side of the square that the image is squashed to, and maps go from minimum to
        maximum (`napari_gem.segmentation.squashed`); 0 for neither.
    """

    model: str = "embedded"
    prompts: tuple[Prompt, ...]
    encode: EncodeParameters | None = None
    score: ScoreParameters | None = None
    appearance: Appearance
    device: str = "auto"
    precision: str = "auto"
    label: LabelParameters = field(default_factory=LabelParameters)
    region: Region | None = None
    architecture: str = ""
    pixel_size: tuple[float, float] | None = None
    unit: str = ""
    index: tuple[int, ...] = ()
    bands: str = ""
    nodata: str = ""
    factor: float = 1.0
    squash: int = 0


@dataclass(frozen=True, kw_only=True)
class Recipe(Job):
    """How a result was made: a job with every choice settled.

    It is kept with every result layer and file, and can be done again.

    Attributes
    ----------
    version
        Version of napari-gem.
    revision
        Hash of the weights.
    device, precision
        Where and how it was computed: ``cpu``, ``cuda:0`` ...; ``float32`` ...
    patch
        Image pixels per patch; 0 if not known.
    competing
        Background words that competed with the classes in this image; empty if there
        were none, or in recipes that do not tell.
    """

    version: str
    revision: str
    # these have no default here: what was used is always known
    model: str = field()
    encode: EncodeParameters = field()
    score: ScoreParameters = field()
    device: str = field()
    precision: str = field()
    patch: float = 0.0
    competing: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Encoding:
    """How an image was encoded.

    Attributes
    ----------
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
        What the features were made with.
    appearance
        How the pixels were turned into RGB.
    region
        The part to look at; None for all. Features elsewhere may be zero.
    device, precision
        Where and how the features were computed; empty if not known.
    notices
        Sentences for the user.
    """

    image_shape: tuple[int, int]
    patch: float
    model: str
    revision: str
    parameters: EncodeParameters
    appearance: Appearance
    region: Region | None = None
    device: str = ""
    precision: str = ""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Features(Encoding):
    """An encoded image: text-aligned features on the patch grid.

    Attributes
    ----------
    array
        (rows, columns, channels), float16 or float32, each vector of unit length; in
        memory, or read when it is sliced.
    image_embedding
        (channels,) float32, unit length: the model's own embedding of the region,
        averaged over its tiles.
    tile_embeddings
        (tiles, channels) float32: the model's embedding of each tile, zero for tiles
        that were not encoded.
    picture
        (height, width, 3) uint8: the image as the model saw it; in memory, or read when
        it is sliced. Refinement looks at it; None if it is not known.
    valid
        (height, width) bool: where the image holds data; in memory, or read when it is
        sliced. None for everywhere.
    """

    array: LazyArray
    image_embedding: NDArray[np.float32]
    tile_embeddings: NDArray[np.float32] | None = None
    picture: LazyArray | None = None
    valid: LazyArray | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What there is to say about a segmentation besides its maps.

    Attributes
    ----------
    recipe
        How it was made.
    notices
        Sentences for the user: unknown words, text cut to the context length ...
    shares
        For each class the part of the image, or region, that has its label, 0 to 1.
    absent
        Names of the classes that are probably not in the image at all.
    """

    recipe: Recipe
    notices: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Segmentation(Outcome):
    """Probability maps and labels of one image.

    Attributes
    ----------
    probabilities
        (classes, height, width) float32, 0 to 1. With the background's probability,
        which is not kept, they sum to 1 at each pixel; 0 outside the region.
    labels
        (height, width) uint8 or uint16: 0 is background and what lies outside the
        region, others are the classes' `label_ids`.
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class StoredSegmentation(Outcome):
    """Labels and probabilities of one image in files.

    Attributes
    ----------
    labels
        Path of a zarr group, OME-NGFF 0.5: ``0`` is (height, width) uint8 or uint16 as
        in `Segmentation`; ``1`` and so on are half the one before along each axis.
        From the worker process also path of an ``.npy`` file, as in `Segmentation`.
    probabilities
        Path of a zarr group: ``0`` is (classes, rows, columns) float16 on the patch
        grid, 0 to 1; ``1`` and so on as for labels. Or of an ``.npy`` file.
    shape
        (height, width) of the image in pixels.
    patch
        Image pixels per patch along each axis.
    """

    labels: str
    probabilities: str
    shape: tuple[int, int]
    patch: float
