"""The classes of a result as files name them: label id, name, colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from napari_gem.core.colors import class_color
from napari_gem.core.foreign_text import shown
from napari_gem.core.prompts import label_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.core.prompts import Prompt


class ResultClass(NamedTuple):
    """A class of a result.

    Attributes
    ----------
    label
        Its id in the labels.
    name
        Its title, or the first of its words.
    color
        Red, green and blue, each 0 to 1.
    """

    label: int
    name: str
    color: tuple[float, float, float]

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green and blue, each 0 to 255."""
        red, green, blue = (round(255 * part) for part in self.color)
        return red, green, blue


def result_classes(prompts: Sequence[Prompt]) -> tuple[ResultClass, ...]:
    """List the classes in the order of the prompts, and of the probabilities."""
    return tuple(
        ResultClass(label, shown(prompt.name), prompt.color or class_color(label - 1))
        for label, prompt in zip(label_ids(prompts), prompts, strict=True)
    )
