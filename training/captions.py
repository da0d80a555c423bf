"""True captions for crops of drawn scenes, and what exactly they claim.

A claim is a set of concepts, kept as bits of an integer: a caption is true of every
crop that has all the concepts it claims, not only of the crop it was made for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from training.scenes import BACKGROUND, CLASSES, CLASSES_OF, COLOURS, DOMAINS

REAL_CLASSES_OF = {
    "aerial": ("tree", "vegetation"),
    "blood smear": ("red blood cell", "white blood cell", "bright background"),
}
"""Classes that real pictures add to the drawn ones."""

ALL_CLASSES = (
    *CLASSES,
    *(name for names in REAL_CLASSES_OF.values() for name in names),
)
NUMBER_OF = {name: number for number, name in enumerate(ALL_CLASSES)}
UNLABELLED = 255
CAPTION_DOMAINS = (*DOMAINS, "blood smear")

PHRASES = {
    "water": (
        "water",
        "lake",
        "river",
        "sea",
        "ocean",
        "pond",
        "open water",
        "body of water",
    ),
    "forest": (
        "forest",
        "trees",
        "tree",
        "woodland",
        "woods",
        "tree canopy",
        "dense forest",
        "tree crowns",
    ),
    "tree": ("trees", "tree", "tree canopy", "tree crowns"),
    "vegetation": ("vegetation", "green vegetation", "plants", "greenery"),
    "field": (
        "field",
        "fields",
        "crop field",
        "farmland",
        "crops",
        "cropland",
        "ploughed field",
        "agriculture",
    ),
    "building": (
        "building",
        "buildings",
        "house",
        "houses",
        "roof",
        "roofs",
        "rooftop",
        "home",
    ),
    "road": (
        "road",
        "roads",
        "street",
        "highway",
        "asphalt",
        "paved road",
        "motorway",
    ),
    "ship": (
        "ship",
        "ships",
        "boat",
        "boats",
        "vessel",
        "vessels",
        "watercraft",
        "yacht",
    ),
    "cloud": ("cloud", "clouds", "cloud cover", "white clouds", "cumulus", "cloudy"),
    "sand": (
        "sand",
        "beach",
        "desert",
        "dunes",
        "bare ground",
        "bare soil",
        "sandy ground",
    ),
    "grass": (
        "grass",
        "meadow",
        "lawn",
        "grassland",
        "pasture",
        "green grass",
        "turf",
    ),
    "nucleus": (
        "nuclei",
        "nucleus",
        "cell nuclei",
        "cell nucleus",
        "dapi",
        "hoechst",
        "dna",
        "chromatin",
    ),
    "filament": (
        "filaments",
        "filament",
        "fibers",
        "fibres",
        "actin",
        "microtubules",
        "tubulin",
        "cytoskeleton",
    ),
    "spot": (
        "spots",
        "spot",
        "puncta",
        "dots",
        "foci",
        "vesicles",
        "particles",
        "speckles",
    ),
    "bacterium": (
        "bacteria",
        "bacterium",
        "rods",
        "rod bacteria",
        "bacilli",
        "microbes",
        "e coli",
    ),
    "cell": (
        "cells",
        "cell",
        "cell body",
        "cell bodies",
        "whole cells",
        "cytoplasm",
        "cells with membranes",
    ),
    "mitochondrion": (
        "mitochondria",
        "mitochondrion",
        "mitochondrial network",
        "mitotracker",
        "organelles",
        "organelle",
    ),
    "tissue": (
        "tissue",
        "stroma",
        "connective tissue",
        "pink tissue",
        "eosin",
        "extracellular matrix",
    ),
    "stained nucleus": (
        "nuclei",
        "purple nuclei",
        "stained nuclei",
        "hematoxylin",
        "dark nuclei",
        "purple nucleus",
        "cell nuclei",
        "nucleus",
    ),
    "brown stain": (
        "brown stain",
        "brown staining",
        "dab",
        "dab stain",
        "positive stain",
        "immunostain",
        "brown",
    ),
    "lumen": (
        "lumen",
        "lumens",
        "hole",
        "empty space",
        "gland lumen",
        "white space",
        "duct",
    ),
    "red blood cell": (
        "red blood cells",
        "red blood cell",
        "erythrocytes",
        "erythrocyte",
        "rbc",
        "red cells",
    ),
    "white blood cell": (
        "white blood cells",
        "white blood cell",
        "leukocytes",
        "leukocyte",
        "wbc",
        "white cells",
    ),
    "bright background": (
        "bright background",
        "white background",
        "light background",
        "pale background",
        "clear background",
    ),
    BACKGROUND: (
        "background",
        "dark background",
        "black background",
        "empty background",
        "nothing",
        "empty area",
    ),
}
TEMPLATES = (
    "{}",
    "{}",
    "a {}",
    "the {}",
    "a photo of {}",
    "a photo of a {}.",
    "a photo of the {}",
    "an image of {}",
    "an image of a {}",
    "a picture of {}",
    "a close up of {}",
    "a crop of {}",
    "this is {}",
    "there is {} in the image",
    "an image showing {}",
    "a region of {}",
    "a blurry photo of {}",
)
DOMAIN_TEMPLATES = {
    "aerial": (
        "an aerial photo of {}",
        "an aerial view of {}",
        "a satellite image of {}",
        "{} seen from above",
        "{} from the air",
        "a drone image of {}",
        "a remote sensing image of {}",
    ),
    "fluorescence": (
        "a fluorescence image of {}",
        "a fluorescence micrograph of {}",
        "fluorescent {}",
        "fluorescence microscopy of {}",
        "a confocal image of {}",
        "labelled {} under the microscope",
    ),
    "histology": (
        "a histology image of {}",
        "a histology slide of {}",
        "{} in a tissue section",
        "a pathology slide showing {}",
        "a stained section with {}",
        "histopathology of {}",
    ),
    "blood smear": (
        "a blood smear with {}",
        "{} in a blood smear",
        "a stained blood smear of {}",
        "a peripheral blood smear showing {}",
        "blood under the microscope: {}",
    ),
}
DOMAIN_NAMES = {
    "aerial": "an aerial photo",
    "fluorescence": "a fluorescence image",
    "histology": "a histology image",
    "blood smear": "a blood smear",
}
MICROSCOPY_TEMPLATES = (
    "a microscopy image of {}",
    "a micrograph of {}",
    "{} under the microscope",
)
JOINERS = ("and", "with", "next to", "beside")
QUANTITIES = ("some", "many", "several")

_ANY_NUCLEI = 1 << len(ALL_CLASSES)
_ANY_TREES = _ANY_NUCLEI << 1
_MICROSCOPY = _ANY_TREES << 1
_DOMAIN = {
    name: _MICROSCOPY << 1 + number for number, name in enumerate(CAPTION_DOMAINS)
}
# What a pixel of a class also shows, and what it may show.
_ALSO = {
    "nucleus": _ANY_NUCLEI,
    "stained nucleus": _ANY_NUCLEI,
    "forest": _ANY_TREES | 1 << NUMBER_OF["vegetation"],
    "tree": _ANY_TREES | 1 << NUMBER_OF["vegetation"],
    "grass": 1 << NUMBER_OF["vegetation"],
}
_PERHAPS = {
    "field": 1 << NUMBER_OF["vegetation"],
    "tree": 1 << NUMBER_OF["forest"],
    "lumen": 1 << NUMBER_OF["bright background"],
}
# Words of two classes claim what both have.
_SHARED = {
    **dict.fromkeys(
        set(PHRASES["nucleus"]) & set(PHRASES["stained nucleus"]), _ANY_NUCLEI
    ),
    **dict.fromkeys(set(PHRASES["forest"]) & set(PHRASES["tree"]), _ANY_TREES),
}

_GREEN = 1 << NUMBER_OF["vegetation"]
_VEGETATION = ("forest", "tree", "grass", "vegetation")

COVERS = {
    "vegetation": ["forest", "field", "grass"],
    "white blood cells": ["nuclei"],
}
"""Words for all or a part of what a word means: they do not compete with it."""
_WIDER = ("vegetation",)  # no background word: it would compete with what it covers
_PARTS_OF_OTHERS = ("tree",)  # its words are among those of the forest

# Of a crop's area; below, a class is neither called present nor absent.
_LEAST_SHARE = {
    BACKGROUND: 0.25,
    "tissue": 0.1,
    "spot": 0.01,
    "ship": 0.01,
    "tree": 0.03,
    "vegetation": 0.04,
    "red blood cell": 0.04,
    "white blood cell": 0.05,
    "bright background": 0.15,
}
_USUAL_LEAST_SHARE = 0.015


@dataclass(frozen=True)
class Caption:
    """A caption and what it claims.

    Attributes
    ----------
    text : str
        The caption.
    claims : int
        Bits of the concepts that it claims.
    checkable : bool
        False if it says more than its concepts do, such as a colour: it is then
        surely true of its own crop only.
    """

    text: str
    claims: int
    checkable: bool = True


def concepts(
    labels: np.ndarray, domain: str, possible: Iterable[str] = ()
) -> tuple[int, int]:
    """Tell what a crop surely has and what it may have.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(height, width)``, uint8: class numbers of the crop; `UNLABELLED` where
        nothing is known.
    domain : str
        One of `CAPTION_DOMAINS`.
    possible : iterable of str
        Classes that the crop may show beside those of its labels.

    Returns
    -------
    tuple of int
        Bits of the concepts present, and of those present or that cannot be told.
    """
    counts = np.bincount(labels.ravel(), minlength=UNLABELLED + 1)
    shares = counts[: len(ALL_CLASSES)] / labels.size
    sure = maybe = 0
    seen: dict[int, float] = {}
    for number in np.flatnonzero(shares):
        name = ALL_CLASSES[number]
        maybe |= _bits(name) | _PERHAPS.get(name, 0)
        if name in _VEGETATION:
            seen[_GREEN] = seen.get(_GREEN, 0.0) + float(shares[number])
        if shares[number] >= _LEAST_SHARE.get(name, _USUAL_LEAST_SHARE):
            sure |= _bits(name)
    # what several classes share counts together
    if seen.get(_GREEN, 0.0) >= _LEAST_SHARE["vegetation"]:
        sure |= _GREEN
    for name in possible:
        maybe |= _bits(name)
    context = _DOMAIN[domain] | (0 if domain == "aerial" else _MICROSCOPY)
    return sure | context, maybe | sure | context


def _bits(name: str) -> int:
    return 1 << NUMBER_OF[name] | _ALSO.get(name, 0)


def make_caption(
    rng: Generator, present: Sequence[str], domain: str, colours: dict[str, str]
) -> Caption:
    """Make a caption about some of the classes of a crop.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the classes, the words and the template.
    present : sequence of str
        Classes in the crop; if there are none, the caption names the kind of image.
    domain : str
        The crop's domain.
    colours : dict
        Class name to colour word.

    Returns
    -------
    Caption
        A caption that is true of the crop.
    """
    if not present:
        return Caption(DOMAIN_NAMES[domain], _DOMAIN[domain])
    most = 1 if rng.random() < 0.45 else int(rng.integers(1, len(present) + 1))
    claims, checkable, things = 0, True, []
    for name in rng.permutation(list(present))[:most]:
        phrase = str(rng.choice(PHRASES[name]))
        claims |= _SHARED.get(phrase, 1 << NUMBER_OF[name])
        if name in colours and rng.random() < 0.15:
            phrase = f"{colours[name]} {phrase}"
            checkable = False
        elif rng.random() < 0.06:
            phrase = f"{rng.choice(QUANTITIES)} {phrase}"
        things.append(phrase)
    text = _listed(rng, things)
    draw = rng.random()
    if draw < 0.25:
        text = str(rng.choice(DOMAIN_TEMPLATES[domain])).format(text)
        claims |= _DOMAIN[domain]
    elif draw < 0.33 and domain != "aerial":
        text = str(rng.choice(MICROSCOPY_TEMPLATES)).format(text)
        claims |= _MICROSCOPY
    else:
        text = str(rng.choice(TEMPLATES)).format(text)
    return Caption(text, claims, checkable)


def _listed(rng: Generator, things: list[str]) -> str:
    *first, last = things
    if not first:
        return last
    return f"{', '.join(first)} {rng.choice(JOINERS)} {last}"


def all_texts() -> list[str]:
    """Return texts that together hold every word a caption can have."""
    phrases = [phrase for several in PHRASES.values() for phrase in several]
    templates = [text for several in DOMAIN_TEMPLATES.values() for text in several]
    templates += [*TEMPLATES, *MICROSCOPY_TEMPLATES]
    words = [*JOINERS, *QUANTITIES, *COLOURS, ","]
    return [*phrases, *(text.format("") for text in templates), *words]


def known_words() -> list[str]:
    """Return every word of the captions: single, lower case, sorted."""
    return sorted(set(re.findall(r"[a-z]+", " ".join(all_texts()))))


def prompts() -> dict[str, dict[str, list[str]]]:
    """Return the phrases of each class of each domain, the usual one first."""
    return {
        domain: {
            name: list(PHRASES[name])
            for name in (*CLASSES_OF.get(domain, ()), *REAL_CLASSES_OF.get(domain, ()))
            if name not in _PARTS_OF_OTHERS
        }
        for domain in CAPTION_DOMAINS
    }


def write_words(folder: Path) -> None:
    """Write `words.json`, the known words, and `prompts.json`, what to ask for."""
    background = {
        domain: [
            phrases[0] for name, phrases in of_domain.items() if name not in _WIDER
        ]
        + [PHRASES[BACKGROUND][0]] * (domain == "fluorescence")
        for domain, of_domain in prompts().items()
    }
    described = {"prompts": prompts(), "background": background, "covers": COVERS}
    for name, content in (("words", known_words()), ("prompts", described)):
        text = json.dumps(content, indent=2) + "\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
