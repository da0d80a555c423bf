"""The frozen records that pass between the stages.

Nothing here computes, and nothing here needs torch, napari or Qt: the same records
are built by the dock widget, sent to the worker process, and written beside a result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from napari_gem.foreign_text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

Method = Literal["gem", "vv", "maskclip", "plain"]
METHODS: tuple[Method, ...] = ("gem", "vv", "maskclip", "plain")

Synonyms = Literal["max", "mean"]
SYNONYMS: tuple[Synonyms, ...] = ("max", "mean")
Presence = Literal["image", "tile"]
PRESENCES: tuple[Presence, ...] = ("image", "tile")

PREVIEW_SIDE = 512
"""Pixels along each axis of a preview at most."""


class LazyArray(Protocol):
    """An array, or what is sliced like one and read when it is: dask's, zarr's ..."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102
    @property
    def ndim(self) -> int: ...  # noqa: D102
    def __getitem__(self, index: Any, /) -> Any: ...


class WritableArray(LazyArray, Protocol):
    """One whose parts can be set."""

    def __setitem__(self, index: Any, value: Any, /) -> None: ...


class GemError(Exception):
    """Bad input or a failed step, told in one plain sentence with a way out.

    Everything that a user can cause raises this class; its text may be shown as it is,
    since control characters of names, and of what other libraries said, are spelled.
    """

    def __str__(self) -> str:
        return shown(super().__str__())


@dataclass(frozen=True)
class Example:
    """A place that shows a class, or that looks alike but is none.

    Attributes
    ----------
    point
        (row, column) in pixels of the image that is segmented; None for an example
        from another image.
    vector
        (channels,), unit length: the patch feature there, centred on its image. Kept
        with a prompt set to be used on another image; empty until it is kept.
    model
        Id of the model that made the vector; other models leave the example out.
    positive
        False: the class is not to be found where it looks like this.
    """

    point: tuple[float, float] | None = None
    vector: tuple[float, ...] = ()
    model: str = ""
    positive: bool = True


@dataclass(frozen=True)
class Prompt:
    """One class to look for.

    Attributes
    ----------
    words
        Synonyms of the class, each stripped and not empty. A pixel belongs to the
        class if any of them fits. May be empty if there are examples.
    label
        Id of the class in labels, 1 or more; 0 leaves it to `label_ids`.
    title
        Name of the class; empty takes the first word.
    color
        Red, green, blue, each 0 to 1; None leaves it to the viewer.
    threshold
        A pixel gets the class only if ``p / (p + background's p)`` is at least this,
        0 to 1; 0.5 means: more probable than the background.
    on
        False: as if the class were not there.
    examples
        What the class looks like, or does not.
    """

    words: tuple[str, ...]
    label: int = 0
    title: str = ""
    color: tuple[float, float, float] | None = None
    threshold: float = 0.5
    on: bool = True
    examples: tuple[Example, ...] = ()

    @property
    def name(self) -> str:
        """Name of the class: its title, or the first of its words."""
        return self.title or next(iter(self.words), "class without words")


def label_ids(prompts: Sequence[Prompt]) -> tuple[int, ...]:
    """Id of each class in labels: its own, or the lowest that is free.

    Raises
    ------
    GemError
        If two classes have the same id, or one is too large for 16 bit.
    """
    own = [prompt.label for prompt in prompts if prompt.label]
    if len(set(own)) < len(own) or any(not 0 < label < 2**16 for label in own):
        raise GemError(
            f"The label ids {str(own)[:200]} came; expected different numbers from 1 "
            "to 65535."
        )
    if len(prompts) >= 2**16:
        raise GemError(
            f"{len(prompts)} classes came; expected at most 65535. Leave some out."
        )
    taken = set(own)
    free = (label for label in range(1, 2**16) if label not in taken)
    return tuple(prompt.label or next(free) for prompt in prompts)


@dataclass(frozen=True)
class GemParameters:
    """How patch features are taken from a vision transformer (arXiv 2312.00878).

    Attributes
    ----------
    method
        ``"gem"``; or a baseline of the paper: ``"vv"`` (CLIPSurgery, v-v attention
        only), ``"maskclip"`` (value path of the last block), ``"plain"`` (the
        model's own patch tokens).
    depth
        The last ``depth - 1`` blocks take part (as in the released code, default 7);
        more than the model has means all of its blocks.
    iterations
        Rounds of self-self attention before the assignment, 0 or more.
    inverse_temperature
        Fixed inverse temperature of self-self attention; None computes it from each
        image and block.
    temperature_scale
        Factor on the adaptive inverse temperature; 1 is the paper.
    residual
        Whether the GEM stream starts from the model's own stream (the paper) or from
        zero (arXiv 2407.12442 reports gains, most on large models).
    neighbours
        Height of a Gaussian over the distance of patches that is added to the logits
        of self-self attention (NACLIP, arXiv 2404.08181); 0 adds nothing.
    neighbour_width
        Its standard deviation in patches.
    middle
        Share of what the middle blocks' own attention would make of the values
        (ResCLIP, arXiv 2411.15851), 0 to 1.
    repair
        Patch tokens that are so many times longer than the median take the mean of
        their neighbours in the stream beside the model's own (SC-CLIP,
        arXiv 2411.15869); 0 leaves all as they are.
    """

    method: Method = "gem"
    depth: int = 7
    iterations: int = 1
    inverse_temperature: float | None = None
    temperature_scale: float = 1.0
    residual: bool = True
    neighbours: float = 0.0
    neighbour_width: float = 5.0
    middle: float = 0.0
    repair: float = 0.0


@dataclass(frozen=True)
class EncodeParameters:
    """Everything that decides the patch features of a given RGB image.

    Attributes
    ----------
    gem
        How features are taken from the model.
    zoom
        The image is enlarged by this factor before it is cut into patches; 2 means
        that a patch covers half as many image pixels along each axis.
    tile
        Side of a tile in patches.
    overlap
        Patches that neighbouring tiles share, at least 0 and less than ``tile``.
    """

    gem: GemParameters = field(default_factory=GemParameters)
    zoom: float = 1.0
    tile: int = 28
    overlap: int = 7


@dataclass(frozen=True)
class ScoreParameters:
    """Everything that decides the probabilities of given features and prompts.

    Attributes
    ----------
    scale
        Inverse temperature of the softmax over classes and background; CLIP's own
        logit scale is 100, segmentation work uses 40 to 65.
    background
        Words for what is none of the classes. The background's score is the maximum
        over them. Words too near to a prompt are left out.
    templates
        Sentences with ``{}`` for the word; their text embeddings are averaged.
    near
        A background word whose text embedding has at least this cosine with one of a
        prompt's words counts as that prompt and is left out.
    present
        A background word whose text embedding has less than this cosine with the
        image embedding is probably nowhere in the image and is left out, all but the
        likeliest. -1 keeps every word.
    presence
        What tells whether a word is in the image: the ``image`` embedding, which is the
        mean over its tiles, or the embedding of the ``tile`` that the word fits best,
        so that a thing that fills little of the image is not overlooked.
    background_weight
        Factor on the background's share: below 1 classes grow, above 1 they shrink.
    smoothing
        Standard deviation, in image pixels, of a Gaussian over the scores.
    synonyms
        What a class's score is of the cosines of its words: ``max`` or ``mean``.
        The background's is always the maximum.
    image_weight
        Factor on the cosine of a class's best word, or the background's, with the
        image embedding, which is added to its scores: above 0 what is probably in the
        image counts more (SC-CLIP, arXiv 2411.15869), below 0 it counts less
        (SegEarth-OV, arXiv 2410.01768, for remote sensing).
    absent_weight
        Factor on how far the cosine of a class's best word with what ``presence`` names
        lies under ``present`` (if that is -1, under the median of the background
        words'), which is taken from its scores: what is probably nowhere in the image
        is found less. Classes with examples keep their scores.
    prototype_weight
        Weight, beside its words, of what a class looks like in this image by its surest
        patches, 0 to 1 (`napari_gem.ingredients.prototypes`). Classes with examples
        have those instead.
    refinement
        Steps of a walk among pixels of like colour, at whose end scores are read, so
        that labels end at the edges of the image (`napari_gem.refinement`); 0 reads
        them where the pixels are.
    """

    scale: float = 40.0
    background: tuple[str, ...] = ()
    templates: tuple[str, ...] = ("a photo of a {}.",)
    near: float = 0.95
    present: float = -1.0
    presence: Presence = "image"
    background_weight: float = 1.0
    smoothing: float = 0.0
    synonyms: Synonyms = "max"
    image_weight: float = 0.0
    absent_weight: float = 0.0
    prototype_weight: float = 0.0
    refinement: int = 0


@dataclass(frozen=True)
class LabelParameters:
    """Everything that decides the labels of given probabilities, but thresholds.

    Attributes
    ----------
    minimum_size
        Connected regions of one class with fewer pixels become background.
    """

    minimum_size: int = 0


@dataclass(frozen=True)
class Region:
    """Part of an image.

    Attributes
    ----------
    rows, columns
        First pixel and the one behind the last.
    polygon
        Corners (row, column) in pixels; empty for the whole rectangle.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    polygon: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Appearance:
    """How pixel values become the RGB image that the model sees.

    Attributes
    ----------
    channels
        Appearance of each channel of a ``(height, width, channels)`` array that is
        shown as one picture; empty for a single channel and for RGB. A channel has
        ``rgb`` False and no channels itself; the other fields are not used then.
    blending
        How the channels' colours are joined: ``additive`` (sum) or ``minimum``.
    rgb
        True: the last axis holds red, green, blue and perhaps alpha.
    limits
        Values shown as black and white (contrast limits), in units of the data.
    gamma
        Exponent applied after scaling to 0..1.
    lut
        For a single channel: N >= 2 colours (red, green, blue, each 0..1), evenly
        spaced from black to white. None is grey.
    """

    rgb: bool = False
    limits: tuple[float, float] = (0.0, 1.0)
    gamma: float = 1.0
    lut: tuple[tuple[float, float, float], ...] | None = None
    channels: tuple[Appearance, ...] = ()
    blending: Literal["additive", "minimum"] = "additive"


@dataclass(frozen=True)
class ModelCard:
    """What is known of a model without loading it (an entry of ``models.toml``).

    Attributes
    ----------
    id
        What the user types: ``embedded``, ``ViT-B-16-quickgelu/openai`` ...
    name
        What the user reads.
    architecture
        Name of an open_clip model configuration; empty if the weights' folder or
        repository brings its own.
    weights
        Where the weights come from: ``package:FOLDER`` (shipped with us),
        ``open_clip:TAG``, ``hf-hub:OWNER/REPOSITORY``,
        ``hf-hub:OWNER/REPOSITORY/FILE`` (weights alone), ``https://...`` (weights
        alone, with ``sha256``), ``file:PATH`` or ``folder:PATH``.
    revision
        Commit of the hub's repository that is downloaded; empty if not pinned, so
        that the newest is.
    sha256
        Hash of the weights at an address of the web, 64 hexadecimal digits.
    domain
        ``demonstration``, ``general``, ``histology`` ...
    good_for
        One line.
    size
        Bytes to download; 0 if nothing is, None if not known.
    licence
        As far as known, else ``see model card``.
    source
        Page to read before downloading.
    activation
        ``GELU`` or ``QuickGELU``, as the weights were trained; empty if the model's own
        configuration decides.
    mean, std
        Normalisation of red, green, blue (0..1); None if the model's own configuration
        decides.
    context_length
        Tokens of a text that the model reads; None if not known before loading.
    citation
        Where it was published.
    encode, score
        Defaults that suit this model.
    known_words
        Single lower-case words that the model was trained on, if the list is closed
        (the embedded model); empty means open vocabulary.
    """

    id: str
    name: str
    architecture: str
    weights: str
    domain: str = "general"
    good_for: str = ""
    size: int | None = None
    licence: str = "see model card"
    source: str = ""
    revision: str = ""
    sha256: str = ""
    activation: Literal["", "GELU", "QuickGELU"] = ""
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    context_length: int | None = None
    citation: str = ""
    encode: EncodeParameters = field(default_factory=EncodeParameters)
    score: ScoreParameters = field(default_factory=ScoreParameters)
    known_words: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Progress:
    """One step of long work.

    Attributes
    ----------
    stage
        What is being done, as shown to the user: ``Loading model``, ``Encoding`` ...
    done, total
        Steps (tiles, prompts ...) done and in all; ``total`` 0 means unknown.
    seconds_left
        Estimate for this stage; None while unknown.
    """

    stage: str
    done: int = 0
    total: int = 0
    seconds_left: float | None = None


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
    views
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
    views: NDArray[np.float32] | None = None
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
        Side of the square that the image was squashed to (`napari_gem.squashed`); 0
        for none.
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


@dataclass(frozen=True)
class ImageReference:
    """An image that is read in parts, by its place.

    Attributes
    ----------
    path, index
        As of `napari_gem.sources.open_source`; the path is absolute.
    level
        Number of the resolution.
    shape, dtype
        Of that level.
    piece
        Hash of a piece of it: another file of the same name is not taken for it.
    """

    path: str
    index: tuple[int, ...]
    level: int
    shape: tuple[int, ...]
    dtype: str
    piece: str


@dataclass(frozen=True)
class Request:
    """What one press of Run asks of the worker process.

    Attributes
    ----------
    run
        Number of the run; it comes back with every event, so that stale ones can be
        told from current ones.
    pixels
        Path of a ``.npy`` file: (height, width), (height, width, 3 or 4), or with the
        channels of the appearance as last axis; empty if `image` or `reference` is
        given.
    image
        What an earlier `Finished` called this image: it is scored as it was encoded
        then, and no pixels are needed. Model and `encode` are those of then.
    appearance
        How to turn pixels into RGB.
    prompts
        Classes to look for.
    model
        Id, or path of a file or folder.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or the address of a dask
        scheduler, whose workers encode the image.
    precision
        ``auto``, ``float32``, ``bfloat16``, ``float16``.
    encode, score
        Parameters; None takes those of the model's card.
    detail
        Image pixels per patch; None takes the zoom of `encode`.
    label
        Parameters.
    region
        The part of the image to encode; None for all.
    preview
        True: maps and labels on a grid of at most `PREVIEW_SIDE` x `PREVIEW_SIDE`.
    download
        Whether the user agreed to download this model's weights.
    architecture
        open_clip architecture for a bare weights file; empty otherwise.
    folder
        For an image that is too large for maps in memory: where labels and
        probabilities are written, see `StoredSegmentation`; a preview has maps all the
        same. Empty otherwise.
    pixel_size, unit
        (height, width) of a pixel and its unit, for what is written there; None and
        empty if not known.
    reference
        Where the pixels lie, if they need not be copied.
    """

    run: int
    pixels: str
    appearance: Appearance
    prompts: tuple[Prompt, ...]
    model: str = "embedded"
    device: str = "auto"
    precision: str = "auto"
    encode: EncodeParameters | None = None
    score: ScoreParameters | None = None
    download: bool = False
    architecture: str = ""
    image: str = ""
    detail: float | None = None
    label: LabelParameters = field(default_factory=LabelParameters)
    region: Region | None = None
    preview: bool = False
    folder: str = ""
    pixel_size: tuple[float, float] | None = None
    unit: str = ""
    reference: ImageReference | None = None


@dataclass(frozen=True)
class Storage:
    """Room that encoded images may take.

    Attributes
    ----------
    memory
        MB in the worker process.
    disk
        GB on disk, where later sessions find them; 0 keeps none there.
    folder
        Where on disk; empty takes the usual place (`cache_folder.default_folder`).
    """

    memory: int = 1024
    disk: int = 0
    folder: str = ""


@dataclass(frozen=True)
class Progressed:
    """Event: the run got on."""

    run: int
    progress: Progress


@dataclass(frozen=True)
class Finished:
    """Event: the run is done.

    Attributes
    ----------
    probabilities, labels
        Paths of ``.npy`` files in the run folder, as in `Segmentation`; who receives
        the event owns the files.
    encoded
        False if the features were there already, so that only words were scored.
    image
        What the worker calls the encoded image, for `Request.image`.
    step
        Image pixels per pixel of the maps along each axis: 1 but for previews.
    shares, absent
        As in `Segmentation`.
    patch
        Image pixels per patch.
    folder
        Where labels and probabilities of a large image are, as of `Request`; the paths
        above are empty then.
    """

    run: int
    probabilities: str
    labels: str
    recipe: Recipe
    notices: tuple[str, ...]
    encoded: bool
    image: str = ""
    step: int = 1
    shares: tuple[float, ...] = ()
    absent: tuple[str, ...] = ()
    patch: float = 0.0
    folder: str = ""


@dataclass(frozen=True)
class Interim:
    """Event: what is known so far of a large image; the run goes on.

    Attributes
    ----------
    result
        A preview of the rows that are encoded.
    """

    run: int
    result: Finished


@dataclass(frozen=True)
class Cancelled:
    """Event: the run was cancelled; nothing of it is left but finished features."""

    run: int


@dataclass(frozen=True)
class Failed:
    """Event: the run failed.

    Attributes
    ----------
    message
        One sentence for the user.
    details
        Traceback for the log; empty for bad input.
    lost
        Whether the encoded image that was to be scored is not there any more.
    """

    run: int
    message: str
    details: str = ""
    lost: bool = False


@dataclass(frozen=True)
class NeedsDownload:
    """Event: the run ended, since its model must be downloaded first.

    Attributes
    ----------
    card
        With size, source and licence as far as they could be found.
    """

    run: int
    card: ModelCard


Event = Progressed | Interim | Finished | Cancelled | Failed | NeedsDownload
