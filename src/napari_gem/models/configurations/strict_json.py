"""JSON of others, read so that no reader after this one can see anything else in it."""

from __future__ import annotations

import json
from typing import Any

from napari_gem.core.errors import GemError

DEEPEST = 24
"""So many tables and lists may lie in each other."""


class UnusableError(GemError):
    """What is wrong with a file, without its name: the gate adds that."""


def parse(content: bytes) -> Any:
    """Read JSON strictly.

    Parameters
    ----------
    content
        UTF-8, without a mark of the byte order.

    Raises
    ------
    UnusableError
        If it is no JSON, a key comes twice in a table, a number is not finite, or it is
        nested too deeply. Of two equal keys one reader takes the first and another the
        last; not all of them know NaN.
    """
    try:
        found = json.loads(
            content.decode(), object_pairs_hook=_table, parse_constant=_refuse_constant
        )
    except RecursionError:
        raise UnusableError(_TOO_DEEP) from None
    except ValueError as error:  # also of bytes that are no text and of long integers
        raise UnusableError(f"it is no readable JSON ({error})") from error
    _check_depth(found)
    return found


_TOO_DEEP = f"it is nested more than {DEEPEST} times"


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in table if keys.count(key) > 1)
        raise UnusableError(f"it holds {twice[:80]!r} twice in one table")
    return table


def _refuse_constant(name: str) -> Any:
    raise UnusableError(f"it holds the number {name}")


def _check_depth(found: Any) -> None:
    """Go down level by level: no recursion, which deep nesting would exhaust."""
    level = [found]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                values: Any = part.values()
            else:
                values = part if isinstance(part, list) else ()
            inner += [value for value in values if isinstance(value, dict | list)]
        if not inner:
            return
        level = inner
    raise UnusableError(_TOO_DEEP)
