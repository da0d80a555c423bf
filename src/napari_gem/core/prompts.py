"""What is looked for: prompts, their examples and label ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Example:
    """A place that shows a class, or one that looks like it and does not belong to it.

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

    @property
    def is_its_name(self) -> bool:
        """Whether its only word is its name."""
        return self.words == (self.name,)


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
            f"The label ids are {str(own)[:200]}; give different numbers from 1 to "
            "65535."
        )
    if len(prompts) >= 2**16:
        raise GemError(
            f"There are {len(prompts)} classes, and labels have room for 65535. Leave "
            "some out."
        )
    taken = set(own)
    free = (label for label in range(1, 2**16) if label not in taken)
    return tuple(prompt.label or next(free) for prompt in prompts)
