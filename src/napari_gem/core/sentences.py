"""Words and names in sentences that the user reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

ABSENT = "probably not here"
"""Stands behind a class that is probably not in the image."""

MOST = 3
"""Names that a sentence has at most; a dock shows two lines of it."""

LONGEST = 60
"""Characters of a name in a sentence."""


def some_of(
    names: Collection[object], most: int = MOST, *, quoted: bool = False
) -> str:
    """List the first names, and how many there are besides.

    Parameters
    ----------
    names
        Anything; their `str` is taken, of long ones the beginning.
    most
        How many are listed.
    quoted
        Whether each stands in quotation marks.

    Examples
    --------
    >>> some_of(["ship", "sea"], quoted=True)
    "'ship', 'sea'"
    >>> some_of(range(60))
    '0, 1, 2 and 57 more'
    """
    listed = [shown(name, LONGEST) for name in list(names)[:most]]
    more = len(names) - len(listed)
    text = ", ".join(f"'{name}'" if quoted else name for name in listed)
    return f"{text} and {more} more" if more else text


def check_known(kind: str, name: str, names: Iterable[str]) -> None:
    """Refuse an unknown name; ``kind`` says what it should name, such as a preset."""
    if name not in (known := list(names)):
        raise GemError(
            f"There is no {kind} '{shown(name, LONGEST)}'; choose one of "
            f"{', '.join(known)}."
        )


def bytes_text(count: int) -> str:
    """Write a number of bytes for the user."""
    return f"{count / 2**20:,.1f} MiB" if count < 2**30 else f"{count / 2**30:,.1f} GiB"
