"""Records to JSON text and back, checked field by field on the way in."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from napari_gem.types import GemError

Record = TypeVar("Record")


@cache
def _adapter(kind: type[Record]) -> TypeAdapter[Record]:
    """Keep one for each class: it takes milliseconds to make."""
    return TypeAdapter(kind)


def to_json(record: object) -> str:
    """Write a record as one line of JSON."""
    return _adapter(type(record)).dump_json(record).decode()


def from_json(kind: type[Record], text: str | bytes) -> Record:
    """Read a record of the given class from JSON.

    Raises
    ------
    GemError
        If the text is no JSON or does not fit the class; the message says where.
    """
    try:
        return _adapter(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the text"
        raise GemError(
            f"This is no valid {kind.__name__} record: {where}: {first['msg']}."
        ) from error


def to_dict(record: object) -> dict[str, Any]:
    """Turn a record into plain dicts, lists, strings and numbers."""
    plain: dict[str, Any] = _adapter(type(record)).dump_python(record, mode="json")
    return plain
