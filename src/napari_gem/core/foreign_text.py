"""Text that somebody else wrote: names of files, layers and classes, errors of others.

Such text may move the cursor of a terminal, turn the order of what stands behind it,
be run by a spreadsheet, or be taken for HTML by a viewer. It is shown, never obeyed.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 4000
"""Characters that are shown of one text at most."""

FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What a cell begins with that a spreadsheet runs, of usual and of full width."""

_OVERRIDES = frozenset(map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]))
"""Embeddings, overrides and isolates of direction: they reorder what is around them.

Marks of direction and joiners (U+200C to U+200F, U+061C) are part of how languages are
written, and stay.
"""

_DEPRECATED = frozenset(map(chr, range(0x206A, 0x2070)))

_NO_CHARACTERS = frozenset("\ufffe\uffff")
"""Code points that are no characters, and that XML forbids."""

_COMMANDS = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories: control characters, lone surrogates, ends of lines."""

_NO_TAG = "\u2039"  # looks alike
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


def shown(text: object, longest: int = LONGEST) -> str:
    r"""Make text safe to show on one line of a terminal, a label or a file.

    Parameters
    ----------
    text
        Anything; its `str` is taken.
    longest
        Characters that are left at most; of more the end is cut.

    Returns
    -------
    str
        Text in which each control character, end of line, lone surrogate, and each
        character that turns the direction of others, is spelled as Python does.
        Scripts of all languages, combining marks and joined emoji stay as they are.

    Examples
    --------
    >>> shown("cell\x1b[31m")
    'cell\\x1b[31m'
    """
    came = str(text)
    cut = came if len(came) <= longest else f"{came[: longest - 1]}…"
    if cut.isascii() and cut.isprintable():
        return cut
    safe = "".join(_spelled(c) if is_command(c) else c for c in cut)
    return safe if len(safe) <= longest else f"{safe[: longest - 1]}…"


def shown_lines(text: object, longest: int = LONGEST) -> str:
    """Make text of several lines safe, as `shown` does each of them."""
    lines = str(text)[: longest + 1].replace("\r\n", "\n").split("\n")
    safe = "\n".join(shown(line) for line in lines)
    return safe if len(safe) <= longest else f"{safe[: longest - 1]}…"


def shown_error(error: BaseException, longest: int = 500) -> str:
    """Say what another library's error says, on one line; its kind if it is silent."""
    return shown(" ".join(str(error).split()), longest) or type(error).__name__


def without_tags(text: object, longest: int = LONGEST) -> str:
    """Make a name safe for a viewer that may take it for HTML.

    Parameters
    ----------
    text
        A name that napari shows in places of its own, such as that of a layer.
    longest
        See `shown`.

    Returns
    -------
    str
        As `shown`; a ``<`` that could begin a tag becomes U+2039.
    """
    return _TAG.sub(_NO_TAG, shown(text, longest))


def commands_in(text: str) -> str:
    """Characters of a text that no name of a class can have, spelled, a comma between.

    Returns
    -------
    str
        Empty if the text can be a name as it is.
    """
    return ", ".join(_spelled(c) for c in dict.fromkeys(filter(is_command, text)))


def is_command(character: str) -> bool:
    """Tell whether a character moves, ends or turns text, and is no part of it."""
    return (
        unicodedata.category(character) in _COMMANDS
        or character in _OVERRIDES
        or character in _DEPRECATED
        or character in _NO_CHARACTERS
    )


def table_cell(text: str) -> str:
    """Write text for a table so that no spreadsheet runs it, but shows it.

    Returns
    -------
    str
        As `shown`; with an apostrophe before what would be run.
    """
    runs = text.lstrip(" ").startswith(FORMULA) or text.startswith(FORMULA)
    return f"'{shown(text)}" if runs else shown(text)


def feature_text(text: str) -> str:
    """Write a name for a layer's features, which napari shows, and saves as a table."""
    return table_cell(without_tags(text))


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
