"""Cells of the table of classes: their texts, tooltips and colours."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QFont

from napari_gem.core.colors import class_color
from napari_gem.core.sentences import ABSENT, some_of
from napari_gem.prompts.parsing import write_words
from napari_gem.widget.parts.plain import tip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.core.prompts import Prompt

NOT_HERE = "not here?"
"""Stands in the place of a share that would mislead."""

UNKNOWN = "⚠"
"""Stands before a class with a word that the model does not know."""

SAME = "same as class"
"""Stands for the words of a class that are only its name."""


class Column(IntEnum):
    """What a column shows."""

    COLOR = 0
    NAME = 1
    WORDS = 2
    THRESHOLD = 3
    SHARE = 4


HEADERS = {
    Column.COLOR: ("", "Colour, and whether the class is looked for"),
    Column.NAME: ("Class", "Name of the class in labels; double-click to change it"),
    Column.WORDS: (
        "Words",
        "What is looked for; a comma separates synonyms. Double-click to change them",
    ),
    Column.THRESHOLD: (
        "Limit",
        "Threshold: a pixel gets the class if its probability is at least this part "
        "of class and background together",
    ),
    Column.SHARE: ("Share", "Part of the image, or of the region, that has the class"),
}


def header_data(column: Column, role: int) -> str | None:
    """Name or tooltip of a column."""
    name, tooltip = HEADERS[column]
    if role == Qt.ItemDataRole.DisplayRole:
        return name
    return tooltip if role == Qt.ItemDataRole.ToolTipRole else None


def cell_data(
    prompt: Prompt,
    column: Column,
    role: int,
    share: float | None,
    absent: bool,
    whole: str = "image",
    unknown: Sequence[str] = (),
) -> Any:
    """Return what a cell shows in a role of Qt; None for the usual.

    ``share`` is the part of the image that has the class, 0 to 1; None if not known.
    ``absent`` says that the class is probably not in the ``whole``: image or region.
    The model does not know the words that are ``unknown``.
    """
    roles = Qt.ItemDataRole
    if role == roles.DisplayRole:
        text = _text(prompt, column, share, absent)
        marked = text and unknown and column in (Column.NAME, Column.SHARE)
        return f"{UNKNOWN} {text}" if marked else text
    if role == roles.EditRole:
        return cell_value(prompt, column)
    if role in (roles.ToolTipRole, roles.AccessibleTextRole):
        text = _description(prompt, column, share, whole)
        text = f"{text} ({ABSENT})" if absent else text
        if unknown and column != Column.COLOR:
            text = f"{text}. The model does not know {some_of(unknown, quoted=True)}"
        return tip(text) if role == roles.ToolTipRole else text
    if role == roles.FontRole and absent:
        font = QFont()
        font.setItalic(True)
        return font
    if role == roles.DecorationRole and column == Column.COLOR:
        return color_of(prompt)
    if role == roles.CheckStateRole and column == Column.COLOR:
        return Qt.CheckState.Checked if prompt.on else Qt.CheckState.Unchecked
    if role == roles.TextAlignmentRole and column == Column.SHARE:
        return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
    return None


def cell_value(prompt: Prompt, column: Column) -> str | float | None:
    """Return what the editor of a cell begins with; None if it has none."""
    match column:
        case Column.NAME:
            return prompt.name
        case Column.WORDS:
            return write_words(prompt.words)
        case Column.THRESHOLD:
            return prompt.threshold
    return None


def _text(
    prompt: Prompt, column: Column, share: float | None, absent: bool
) -> str | None:
    match column:
        case Column.COLOR:
            return None
        case Column.THRESHOLD:
            return f"{prompt.threshold:.2f}"
        case Column.SHARE:
            if share is None or not prompt.on:
                return ""
            return NOT_HERE if absent else share_text(share)
        case Column.WORDS if prompt.is_its_name:
            return SAME
    return str(cell_value(prompt, column))


def _description(
    prompt: Prompt, column: Column, share: float | None, whole: str
) -> str:
    match column:
        case Column.COLOR:
            state = "is looked for" if prompt.on else "is off"
            return f"'{prompt.name}' {state}; double-click the colour to change it"
        case Column.NAME:
            text = f"{prompt.name}: label {prompt.label}"
            count = len(prompt.examples)
            return f"{text}, {count} examples" if count else text
        case Column.WORDS:
            return write_words(prompt.words) or "No words: found by examples only"
        case Column.THRESHOLD:
            return (
                f"Threshold {prompt.threshold:.2f}: drag to the side, finer with "
                "Shift; double-click to type. A lower limit finds more pixels."
            )
    if share is None or not prompt.on:
        return "Not known yet"
    return f"{share_text(share)} of the {whole}"


def share_text(share: float) -> str:
    """Write a part of an image in percent.

    Examples
    --------
    >>> share_text(0.034), share_text(0.00002), share_text(0.56)
    ('3.4 %', '<0.1 %', '56 %')
    """
    percent = 100 * share
    if 0 < percent < 0.1:
        return "<0.1 %"
    return f"{percent:.1f} %" if 0 < percent < 9.95 else f"{percent:.0f} %"


def color_of(prompt: Prompt) -> QColor:
    """Colour of a class, its own or the one that its label id gives."""
    return QColor.fromRgbF(*(prompt.color or class_color(prompt.label - 1)))
