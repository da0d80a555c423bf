"""The frozen records that pass between the stages.

Nothing here computes, and nothing here needs torch, napari or Qt: the same records
are built by the dock widget, sent to the worker process, and written beside a result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Method = Literal["gem", "vv", "maskclip", "plain"]
METHODS: tuple[Method, ...] = ("gem", "vv", "maskclip", "plain")


class GemError(Exception):
    """Bad input or a failed step, told in one plain sentence with a way out.

    Everything that a user can cause raises this class; its text may be shown as it is.
    """


@dataclass(frozen=True)
class Prompt:
    """One class to look for.

    Attributes
    ----------
    words
        Synonyms of the class, at least one, each stripped and not empty. A pixel
        belongs to the class if any of them fits. The first one names the class.
    """

    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the class: the first of its words."""
        return self.words[0]


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
    """

    method: Method = "gem"
    depth: int = 7
    iterations: int = 1
    inverse_temperature: float | None = None
    temperature_scale: float = 1.0
    residual: bool = True


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
    """

    scale: float = 40.0
    background: tuple[str, ...] = ()
    templates: tuple[str, ...] = ("a photo of a {}.",)
    near: float = 0.95
    present: float = -1.0


@dataclass(frozen=True)
class Appearance:
    """How pixel values become the RGB image that the model sees.

    Attributes
    ----------
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
        ``open_clip:TAG``, ``hf-hub:OWNER/REPOSITORY``, ``file:PATH`` or
        ``folder:PATH``.
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
        (rows, columns, channels), float16 or float32, each vector of unit length.
    image_embedding
        (channels,) float32, unit length: the model's own embedding of the whole
        image, averaged over tiles.
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
    """

    array: NDArray[np.floating[Any]]
    image_embedding: NDArray[np.float32]
    image_shape: tuple[int, int]
    patch: float
    model: str
    revision: str
    parameters: EncodeParameters
    appearance: Appearance


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
        The classes, in the order of the label ids 1, 2, ...
    encode, score
        Parameters.
    appearance
        How the pixels were turned into RGB.
    device, precision
        Where and how it was computed: ``cpu``, ``cuda:0`` ...; ``float32`` ...
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


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Probability maps and labels of one image.

    Attributes
    ----------
    probabilities
        (classes, height, width) float32, 0 to 1. With the background's probability,
        which is not kept, they sum to 1 at each pixel.
    labels
        (height, width) uint8 or uint16: 0 is background, ``i + 1`` is class i.
    recipe
        How it was made.
    notices
        Sentences for the user: unknown words, text cut to the context length ...
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.unsignedinteger[Any]]
    recipe: Recipe
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What one press of Run asks of the worker process.

    Attributes
    ----------
    run
        Number of the run; it comes back with every event, so that stale ones can be
        told from current ones.
    pixels
        Path of a ``.npy`` file: (height, width) or (height, width, 3 or 4).
    appearance
        How to turn pixels into RGB.
    prompts
        Classes to look for.
    model
        Id, or path of a file or folder.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    precision
        ``auto``, ``float32``, ``bfloat16``, ``float16``.
    encode, score
        Parameters; None takes those of the model's card.
    download
        Whether the user agreed to download this model's weights.
    architecture
        open_clip architecture for a bare weights file; empty otherwise.
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
    """

    run: int
    probabilities: str
    labels: str
    recipe: Recipe
    notices: tuple[str, ...]
    encoded: bool


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
    """

    run: int
    message: str
    details: str = ""


Event = Progressed | Finished | Cancelled | Failed
