"""What the fields of configurations are made of, and their errors in words."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_gem.core.errors import GemError
from napari_gem.core.fields import brief
from napari_gem.core.json_records import in_words, parse_json

DEEPEST = 24
"""So many tables and lists may lie in one another."""

MOST_PARAMETERS = 10**10
"""Twice those of the largest towers that open_clip has a configuration for."""

Layers = Annotated[int, Field(ge=1, le=128)]
Width = Annotated[int, Field(ge=1, le=16_384)]
Heads = Annotated[int, Field(ge=1, le=256)]
Ratio = Annotated[float, Field(gt=0, le=32)]
Share = Annotated[float, Field(ge=0, le=1)]
Small = Annotated[float, Field(ge=0, le=1)]
"""What is added where something would be divided by zero."""
Tokens = Annotated[int, Field(ge=1, le=4096)]
Vocabulary = Annotated[int, Field(ge=1, le=2_000_000)]
TokenId = Annotated[int, Field(ge=-1, le=2_000_000)]
Text = Annotated[str, Field(max_length=1000)]

_CODE = ("auto_map", "trust_remote_code", "code_revision", "custom_pipelines")
"""Keys by which the package transformers is told to run code."""

Known = TypeVar("Known", bound="Closed")


class UnusableError(GemError):
    """What is wrong with a file, without its name: the gate adds that."""


class Closed(BaseModel):
    """A table whose keys are all known: an integer is no float's or a bool's place."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )


def parse(content: bytes) -> Any:
    """Read JSON of others; see `napari_gem.core.json_records.parse_json`.

    Raises
    ------
    UnusableError
        If it is no such JSON in UTF-8.
    """
    try:  # its values are not counted: a vocabulary has millions, the file is bounded
        return parse_json(content.decode(), most=1 << 40, deepest=DEEPEST)
    except ValueError as error:
        raise UnusableError(f"it is no readable JSON ({error})") from error


def words(text: str) -> frozenset[str]:
    """Names that stand in a text with space between them."""
    return frozenset(text.split())


def check(known: type[Known], stated: Any) -> Known:
    """Check a table that was read.

    Raises
    ------
    UnusableError
        With the first key that is not known, or whose value does not fit.
    """
    try:
        return known.model_validate(stated)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UnusableError(_what_is_wrong(first, stated)) from None


def refuse_code(stated: Any, place: str = "") -> None:
    """Refuse a configuration that asks for code, before anything else is told."""
    if isinstance(stated, list):
        for part in stated:
            refuse_code(part, place)
    if not isinstance(stated, dict):
        return
    for key, part in stated.items():
        inner = f"{place}.{key}" if place else key
        if key in _CODE:
            named = repr(inner)[1:-1][:120]
            raise UnusableError(
                f"it asks for code from elsewhere to be run ('{named}')"
            )
        refuse_code(part, inner)


def given(table: Closed) -> dict[str, Any]:
    """Give what a table stated, and nothing that it left out."""
    return table.model_dump(exclude_unset=True, by_alias=True)


def _what_is_wrong(error: Any, stated: Any) -> str:
    """Name the place of one of pydantic's errors, and what is there."""
    place = []
    for step in error["loc"]:  # which also names the kinds that were tried
        try:
            stated = stated[step]
        except (TypeError, KeyError, IndexError):
            if error["type"] != "missing" or step != error["loc"][-1]:
                break
        place.append(str(step))
    named = repr(".".join(place))[1:-1][:120]
    if error["type"] == "extra_forbidden":
        return f"it holds '{named}', which is not known here"
    if error["type"] == "missing":
        return f"it lacks '{named}'"
    where = f"'{named}'" if named else "the whole"
    if not isinstance(stated, dict | list):
        value = f"'{brief(stated)}'" if isinstance(stated, str) else brief(stated)
        where = f"{where} is {value}; it"
    return f"{where} {in_words(error)}"
