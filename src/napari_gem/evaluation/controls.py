"""Controls: changes with which a measurement must come out badly, or hardly worse.

A good figure says little if other words, or images without the classes, give the same.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.sentences import check_known
from napari_gem.evaluation.class_lists import read_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_gem.evaluation.datasets import DatasetClass

CONTROLS = {
    "none": 0.0,
    "shuffled": 0.0,
    "generic": 0.0,
    "absent": 0.0,
    "distractors": 200.0,
    "noise": 0.1,
    "contrast": 0.3,
}
"""Names, each with its amount where none is given.

shuffled: every class is looked for by the words of another one.
generic: every class is looked for by the word 'object'.
absent: each image is asked for the classes only that are not in it.
distractors: this many other words compete with the classes.
noise: Gaussian noise of this standard deviation (image values are 0 to 1).
contrast: image values shrink towards their mean to this part.
"""

SOURCES_OF_WORDS = ("ade20k", "coco-stuff", "context")
GENERIC = "object"


@dataclass(frozen=True)
class Control:
    """What is changed before measuring: one of `CONTROLS`, and its amount if any."""

    name: str = "none"
    amount: float = 0.0


def parse_control(text: str) -> Control:
    """Read a control as typed: ``shuffled``, ``distractors=200`` ...

    Raises
    ------
    GemError
        If there is none of this name, or it takes no such number.
    """
    name, equals, number = text.partition("=")
    check_known("control", name, CONTROLS)
    usual = CONTROLS[name]
    try:
        amount = float(number) if equals else usual
    except ValueError:
        amount = -1.0
    fits = amount > 0 if usual else not equals
    if not fits or (name == "distractors" and amount != int(amount)):
        kind = "a whole number" if name == "distractors" else "a number"
        taken = f"{kind} above 0, as in {name}={usual:g}" if usual else "no number"
        raise GemError(f"'{text}' does not fit: the control {name} takes {taken}.")
    return Control(name, amount)


def change_words(
    classes: tuple[DatasetClass, ...], control: Control
) -> tuple[DatasetClass, ...]:
    """Replace the words of the classes; the background keeps its own.

    Raises
    ------
    GemError
        If there is only one class, so that nothing can be shuffled.
    """
    front = [i for i, entry in enumerate(classes) if not entry.background]
    changed = list(classes)
    if control.name == "generic":
        for i in front:
            changed[i] = replace(classes[i], name=GENERIC, words=(GENERIC,))
    if control.name == "shuffled":
        if len(front) < 2:
            raise GemError(
                "This data set has one class beside the background, so its words "
                "cannot be shuffled. Choose another control."
            )
        order = np.random.default_rng(0).permutation(front)
        # each takes the words of the next in a random ring: none keeps its own
        for i, other in zip(order, np.roll(order, 1), strict=True):
            taken = classes[other]
            changed[i] = replace(classes[i], name=taken.name, words=taken.words)
    return tuple(changed)


def distractors(classes: tuple[DatasetClass, ...], control: Control) -> tuple[str, ...]:
    """Choose words of other data sets that are no word of this one.

    Raises
    ------
    GemError
        If there are not as many.
    """
    if control.name != "distractors":
        return ()
    own = {w.casefold() for entry in classes for w in (entry.name, *entry.words)}
    every = {
        entry.name.casefold()
        for source in SOURCES_OF_WORDS
        for entry in read_classes(source).classes
    }
    free = sorted(every - own)
    if control.amount > len(free):
        raise GemError(
            f"There are only {len(free)} distractors for this data set, and "
            f"{control.amount:.0f} are asked for. Ask for fewer."
        )
    chosen = np.random.default_rng(0).permutation(len(free))[: int(control.amount)]
    return tuple(free[i] for i in chosen)


def change_image(
    image: NDArray[np.float32], control: Control, name: str
) -> NDArray[np.float32]:
    """Change an image, (height, width, 3) from 0 to 1; its name decides the noise."""
    if control.name == "noise":
        noise = np.random.default_rng(zlib.crc32(name.encode())).normal(
            0, control.amount, image.shape
        )
        noisy: NDArray[np.float32] = np.clip(image + noise, 0, 1).astype(np.float32)
        return noisy
    if control.name == "contrast":
        middle = image.mean()
        faint = middle + np.float32(control.amount) * (image - middle)
        changed: NDArray[np.float32] = np.clip(faint, 0, 1).astype(np.float32)
        return changed
    return image
