"""Parameters of the method, of encoding, of scores and of labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Method = Literal["gem", "vv", "maskclip", "plain"]


METHODS: tuple[Method, ...] = ("gem", "vv", "maskclip", "plain")


Synonyms = Literal["max", "mean"]


SYNONYMS: tuple[Synonyms, ...] = ("max", "mean")


Presence = Literal["image", "tile"]


PRESENCES: tuple[Presence, ...] = ("image", "tile")


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
        patches, 0 to 1 (`napari_gem.scoring.prototypes`). Classes with examples
        have those instead.
    refinement
        Steps of a walk among pixels of like colour, at whose end scores are read, so
        that labels end at the edges of the image (`napari_gem.scoring.refinement`); 0
        reads them where the pixels are.
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
