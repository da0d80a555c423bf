"""Parameters of the method, of encoding, of scores and of labels.

Each field says what it does, and in which range; `napari_gem.core.fields` tells what is
made from that. To add a parameter, add a field, and use it where the work is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from napari_gem.core.fields import Control, parameter

Method = Literal["gem", "vv", "maskclip", "plain"]
Synonyms = Literal["max", "mean"]
Presence = Literal["image", "tile"]
Domain = Literal[
    "general",
    "fluorescence",
    "histology",
    "electron microscopy",
    "biomedical",
    "aerial",
    "satellite",
    "photograph",
    "drawn",
]
Precision = Literal["auto", "float32", "bfloat16", "float16"]

METHODS: tuple[Method, ...] = get_args(Method)

GENERAL: Domain = "general"
DOMAINS: tuple[Domain, ...] = get_args(Domain)

PRECISIONS: tuple[str, ...] = get_args(Precision)
"""Names of what models compute with; ``auto`` leaves it to the device."""

SMALLEST, LARGEST = 1e-6, 1e6
"""Of factors, scales and temperatures; CLIP's own scale is 100."""

MOST_ROUNDS = 100
"""Of self-self attention, of which the paper takes one, and of refinement."""


@dataclass(frozen=True)
class GemParameters:
    """How patch features are taken from a vision transformer (arXiv 2312.00878)."""

    method: Method = parameter(
        "gem",
        "The method gem, or a baseline of its paper: vv (CLIPSurgery, v-v attention "
        "only), maskclip (value path of the last block) or plain (the model's own "
        "patch tokens).",
    )
    depth: int = parameter(
        7,
        "The last depth - 1 blocks of the model take part; more than it has means all. "
        "More blocks keep regions together, fewer keep what is small.",
        0,
        1000,
        control=Control(1, 64),
    )
    iterations: int = parameter(
        1,
        "Rounds of self-self attention before the assignment: more make regions more "
        "even.",
        0,
        MOST_ROUNDS,
        control=Control(0, 20),
    )
    inverse_temperature: float | None = parameter(
        None,
        "Fixed inverse temperature of self-self attention; none computes it from each "
        "image and block.",
        SMALLEST,
        LARGEST,
    )
    temperature_scale: float = parameter(
        1.0,
        "Factor on the inverse temperature that is computed from the image; 1 is the "
        "paper. Above 1 only patches that are much alike are joined.",
        SMALLEST,
        LARGEST,
        label="Temperature",
        control=Control(0.1, 64, 0.5),
    )
    residual: bool = parameter(
        True,
        "Whether the method starts from the model's own features (the paper) or from "
        "zero, which suits large models (arXiv 2407.12442).",
        control=Control(),
    )
    neighbours: float = parameter(
        0.0,
        "Height of a Gaussian over the distance of patches that is added to the logits "
        "of self-self attention (NACLIP, arXiv 2404.08181); 0 adds nothing.",
        -LARGEST,
        LARGEST,
    )
    neighbour_width: float = parameter(
        5.0,
        "Standard deviation of that Gaussian.",
        SMALLEST,
        LARGEST,
        unit="patches",
    )
    middle: float = parameter(
        0.0,
        "Share of what the own attention of the middle blocks would make of the values "
        "(ResCLIP, arXiv 2411.15851).",
        0,
        1,
    )
    repair: float = parameter(
        0.0,
        "Patch tokens that are so many times longer than the median, 1 or more, take "
        "the mean of their neighbours in the stream beside the model's own (SC-CLIP, "
        "arXiv 2411.15869); 0 leaves all as they are.",
        0,
        LARGEST,
    )


@dataclass(frozen=True)
class EncodeParameters:
    """Everything that decides the patch features of a given RGB image."""

    gem: GemParameters = field(default_factory=GemParameters)
    zoom: float = parameter(
        1.0,
        "The image is enlarged by this factor before it is cut into patches; 2 means "
        "that a patch covers half as many image pixels along each axis.",
        1 / 64,
        64,
    )
    tile: int = parameter(28, "Side of a tile.", 1, 1024, unit="patches")
    overlap: int = parameter(
        7,
        "What neighbouring tiles share; less than a tile.",
        0,
        1023,
        unit="patches",
    )


@dataclass(frozen=True)
class ScoreParameters:
    """Everything that decides the probabilities of given features and prompts."""

    scale: float = parameter(
        40.0,
        "Inverse temperature of the softmax over classes and background; CLIP's own "
        "logit scale is 100, segmentation work uses 40 to 65.",
        SMALLEST,
        LARGEST,
    )
    background: tuple[str, ...] = parameter(
        (),
        "Words for things that belong to no class. The background's score is the "
        "maximum over them. Words too near to a prompt are left out.",
    )
    templates: tuple[str, ...] = parameter(
        ("a photo of a {}.",),
        "Sentences with {} for the word; their text embeddings are averaged.",
    )
    likeliest: int = parameter(
        0,
        "So many background words are kept, those with the largest cosine with the "
        "image embedding, where present is -1; 0 keeps all.",
        0,
        1000,
        label="Likeliest words",
        control=Control(0, 64),
    )
    near: float = parameter(
        0.95,
        "A background word whose text embedding has at least this cosine with one of a "
        "prompt's words counts as that prompt and is left out; above 1 none is.",
        -1,
        LARGEST,
    )
    present: float = parameter(
        -1.0,
        "A background word whose text embedding has less than this cosine with the "
        "image embedding is probably nowhere in the image and is left out, all but the "
        "likeliest. -1 keeps every word.",
        -1,
        1,
    )
    presence: Presence = parameter(
        "image",
        "What tells whether a word is in the image: the image embedding, which is the "
        "mean over its tiles, or the embedding of the tile that the word fits best, so "
        "that a thing that fills little of the image is not overlooked.",
    )
    background_weight: float = parameter(
        1.0,
        "Weight of the background: below 1 classes grow, above 1 they shrink.",
        SMALLEST,
        LARGEST,
        label="Background",
        control=Control(0.05, 5, 0.05, slider=True),
    )
    background_growth: float = parameter(
        0.0,
        "The weight of the background grows with the number of classes to this power: "
        "many words win pixels by chance, as the background's do from a single one. 0 "
        "leaves it.",
        0,
        2,
    )
    smoothing: float = parameter(
        0.0,
        "Smooths the scores before labels are made: standard deviation of a Gaussian "
        "in image pixels.",
        0,
        10_000,
        unit="image pixels",
        control=Control(0, 50, 0.5, slider=True),
    )
    synonyms: Synonyms = parameter(
        "max",
        "The score of a class is the maximum, or the mean, of the cosines of its "
        "words. The background's is always the maximum.",
    )
    image_weight: float = parameter(
        0.0,
        "Factor on the cosine of the best word of a class, or of the background, with "
        "the image embedding, which is added to its scores: above 0 what is probably "
        "in the image counts more (SC-CLIP, arXiv 2411.15869), below 0 it counts less "
        "(SegEarth-OV, arXiv 2410.01768, for remote sensing).",
        -10,
        10,
    )
    absent_weight: float = parameter(
        0.0,
        "Factor on how far the cosine of the best word of a class with what presence "
        "names lies under present (if that is -1, under the limit of absent spread), "
        "which is taken from its scores: what is probably nowhere in the image gets "
        "fewer pixels. Classes with examples keep their scores.",
        0,
        10,
    )
    absent_spread: float | None = parameter(
        None,
        "Where present is -1, a class is probably nowhere in the image if the cosine "
        "of its best word with what presence names lies below the mean of those of the "
        "background words plus so many of their standard deviations. None takes their "
        "median, as recipes of earlier versions do.",
        -10,
        10,
    )
    level_weight: float = parameter(
        0.0,
        "Part of each word's own level that is taken off its scores: the mean of its "
        "cosines with patches of pictures that show nothing (grey and noise), which "
        "the model encodes once.",
        0,
        1,
    )
    prototype_weight: float = parameter(
        0.0,
        "Weight, beside its words, of what a class looks like in this image by its "
        "surest patches. Classes with examples have those instead.",
        0,
        1,
    )
    refinement: int = parameter(
        0,
        "How far labels are drawn to the edges of the image: steps among pixels of "
        "like colour; 0 for not. 10 suit patches of 4 pixels, 20 those of 16.",
        0,
        MOST_ROUNDS,
        control=Control(0, MOST_ROUNDS, 5),
    )
    domain: Domain = parameter(
        GENERAL,
        "The kind of images, which decides the templates and the background words "
        "where they are not given. Where nobody names it, it is that of the model, of "
        "the preset or of the prompt set, or what the words or the image's file say.",
    )


@dataclass(frozen=True)
class LabelParameters:
    """Everything that decides the labels of given probabilities, but thresholds."""

    minimum_size: int = parameter(
        0,
        "Connected regions of a class with fewer pixels become background.",
        0,
        2**30,
        unit="pixels",
        control=Control(0, 5000, 10, slider=True),
    )


@dataclass(frozen=True)
class OutlineParameters:
    """How labels become polygons."""

    per_class: bool = parameter(
        False,
        "One shape for each class, with all of its regions; else one for each "
        "connected region.",
    )
    simplify: float = parameter(
        0.0,
        "How far outlines may lie from the borders of the labels, so that they have "
        "fewer corners; neighbours keep their common border. 0 keeps every corner.",
        0,
        1000,
        unit="pixels",
    )
    minimum_area: float = parameter(
        0.0,
        "Smaller regions are not written as polygons: in square metres on the ground, "
        "else in the square of the unit of the pixel size, or in pixels without one.",
        0,
        1e18,
    )
