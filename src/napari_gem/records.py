"""Records to JSON text and back, checked field by field on the way in."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from napari_gem.types import GemError

if TYPE_CHECKING:
    from collections.abc import Hashable

Record = TypeVar("Record")


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_json(record: object) -> str:
    """Write a record as one line of JSON."""
    text: str = _adapter(type(record)).dump_json(record).decode()
    return text


def from_json(kind: type[Record], text: str | bytes) -> Record:
    """Read a record of the given class from JSON.

    Raises
    ------
    GemError
        If the text is no JSON or does not fit the class; the message says where.
    """
    try:
        record: Record = _adapter(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the text"
        raise GemError(
            f"This is no valid {kind.__name__} record: {where}: {first['msg']}."
        ) from error
    return record


def to_dict(record: object) -> dict[str, Any]:
    """Turn a record into plain dicts, lists, strings and numbers."""
    plain: dict[str, Any] = _adapter(type(record)).dump_python(record, mode="json")
    return plain
