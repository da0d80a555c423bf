"""Records to JSON text and back, checked field by field on the way in."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from napari_gem.types import GemError

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
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the text"
        raise GemError(
            f"This is no valid {kind.__name__} record: {where}: {first['msg']}."
        ) from error


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
