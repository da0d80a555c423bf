"""Records to JSON text and back, checked field by field on the way in."""

from __future__ import annotations

import codecs
import json
import stat
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from napari_gem.core.bounds import MOST_BYTES, MOST_DEPTH, MOST_VALUES
from napari_gem.core.errors import GemError

if TYPE_CHECKING:
    from pathlib import Path

Record = TypeVar("Record")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Keep one for each class: it takes milliseconds to make."""
    return TypeAdapter(kind)


def to_json(record: object) -> str:
    """Write a record as one line of JSON."""
    kind: Any = type(record)
    text: str = _adapter(kind).dump_json(record).decode()
    return text


def from_json(kind: type[Record], text: str | bytes) -> Record:
    """Read a record of the given class from JSON.

    Raises
    ------
    GemError
        If the text is no JSON or does not fit the class; the message says where.
    """
    try:
        adapter: TypeAdapter[Record] = _adapter(cast(Any, kind))
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the text"
        raise GemError(
            f"This is no valid {kind.__name__} record: {where} {in_words(first)}."
        ) from error


_WORDS = {
    "missing": "is missing",
    "json_invalid": "is no JSON",
    "extra_forbidden": "is not known",
    "too_long": "has too many entries",
    "too_short": "has too few entries",
    "int": "must be a whole number",
    "float": "must be a number",
    "finite": "must be a finite number",
    "bool": "must be true or false",
    "string": "must be a text",
    "tuple": "must be a list",
    "list": "must be a list",
    "dict": "must be a table",
    "dataclass": "must be a table",
    "model": "must be a table",
}
"""What is said for each kind of pydantic's errors, or for how the kind begins."""


def in_words(error: Any) -> str:
    """Say what is wrong with a value: one of pydantic's ``errors()``."""
    kind, message = str(error["type"]), str(error["msg"])
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    words = _WORDS.get(kind) or _WORDS.get(kind.partition("_")[0])
    if words is None and message.startswith("Input should"):
        words = message.replace("Input should", "must", 1)
    return words or f"does not fit ({message})"


def from_dict(kind: type[Record], plain: object) -> Record:
    """Read a record from plain dicts, lists, strings and numbers.

    Raises
    ------
    GemError
        If they do not fit the class.
    """
    return from_json(kind, json.dumps(plain))


def to_dict(record: object) -> dict[str, Any]:
    """Turn a record into plain dicts, lists, strings and numbers."""
    kind: Any = type(record)
    plain: dict[str, Any] = _adapter(kind).dump_python(record, mode="json")
    return plain


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Read a text file of UTF-8 that may come from anybody.

    Parameters
    ----------
    path
        The file.
    most
        Bytes that are read at most.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is larger, no file, or not text in UTF-8; why, without a full stop.
    """
    kind = path.stat().st_mode
    if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):  # which would be waited for
        raise ValueError("it is a pipe or device, and no file")
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than the {most >> 20} MiB that such files have")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it is saved as UTF-16; save it as UTF-8 in your editor")
    return content.decode("utf-8-sig")  # Windows' editors begin with a mark


def parse_json(
    text: str,
    *,
    strict: bool = True,
    most: int = MOST_VALUES,
    deepest: int = MOST_DEPTH,
) -> Any:
    """Read JSON that may come from anybody.

    Parameters
    ----------
    text
        The text.
    strict
        Whether NaN and Infinity, which are no JSON, are refused.
    most
        Values that it may hold.
    deepest
        So many tables and lists may lie in one another.

    Raises
    ------
    ValueError
        If it is no JSON, too deep or too long, or if a table has a key twice, of which
        one reader would take the first and another the last. The message is the
        reason, without a full stop; a `json.JSONDecodeError` tells the place.
    """
    if sum(map(text.count, ",[{")) > most:
        raise ValueError(f"it holds more than {most} values")
    try:
        content = json.loads(
            text,
            object_pairs_hook=_table,
            parse_constant=_refuse_constant if strict else None,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    level = [content]
    for _ in range(deepest):
        level = [inner for outer in level for inner in _containers(outer)]
        if not level:
            return content
    raise ValueError("it is nested too deep")


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in table if keys.count(key) > 1)
        raise ValueError(f"'{twice[:60]}' stands there twice")
    return table


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _containers(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return []
    return [inner for inner in value if isinstance(inner, dict | list)]
