"""What is known of the fields of records: range, unit, label, help, control.

It is written once, where the field is declared (`parameter`). The checks here, options
of the command line, the dock's form, what is remembered between sessions and
``docs/parameters.md`` are made from it.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from functools import cache
from math import inf, isfinite
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown

Record = TypeVar("Record")

_KEY = "about"


@dataclass(frozen=True)
class Control:
    """How a form shows a number; values beyond ``low`` and ``high`` widen it.

    Attributes
    ----------
    low, high, step
        Of the slider or the box.
    slider
        A slider, among the quick ones for labels; else a box among the others.
    """

    low: float = 0
    high: float = 1
    step: float = 1
    slider: bool = False


@dataclass(frozen=True)
class About:
    """What is known of a field: see `parameter`."""

    help: str
    low: float
    high: float
    unit: str
    label: str
    control: Control | None


@dataclass(frozen=True)
class Parameter:
    """A field and what is known of it.

    Attributes
    ----------
    name, default
        Of the field.
    kind
        ``int``, ``float``, ``bool``, ``str`` or ``tuple``.
    choices
        Values that it may have; empty if they are not listed.
    about
        See `About`.
    """

    name: str
    default: Any
    kind: type
    choices: tuple[str, ...]
    about: About

    @property
    def title(self) -> str:
        """What sentences call it."""
        return self.name.replace("_", " ")

    @property
    def label(self) -> str:
        """What forms call it."""
        return self.about.label or self.title.capitalize()

    @property
    def range(self) -> str:
        """Say which values it may have; empty for texts in a tuple."""
        if self.kind is tuple:
            return ""
        if self.choices:
            return f"{', '.join(self.choices[:-1])} or {self.choices[-1]}"
        if self.kind is bool:
            return "true or false"
        text = range_text(self.about.low, self.about.high)
        unit = f" {self.about.unit}" if self.about.unit else ""
        return f"{text}{unit}{', or none' if self.default is None else ''}"

    def check(self, value: object) -> None:
        """Refuse a value that the field may not have; texts in tuples are not read.

        Raises
        ------
        GemError
            With the values that it may have.
        """
        if self.fits(value):
            return
        words = {int: "give a whole number from", float: "give a number from"}
        given = f"'{brief(value)}'" if isinstance(value, str) else brief(value)
        raise GemError(
            f"{self.title.capitalize()} is {given}; "
            f"{words.get(self.kind, 'choose')} {self.range}."
        )

    def fits(self, value: object) -> bool:
        """Tell whether the field may have a value; texts in tuples are not read."""
        if self.kind is tuple or (value is None and self.default is None):
            return True
        if self.choices:
            return isinstance(value, str) and value in self.choices
        if self.kind is bool:
            return str(value) in ("True", "False")  # numpy's, too
        whole = self.kind is int
        return is_within(value, self.about.low, self.about.high, whole=whole)


def parameter(
    default: Any,
    help: str,  # noqa: A002 (as the libraries for command lines and forms call it)
    low: float = -inf,
    high: float = inf,
    *,
    unit: str = "",
    label: str = "",
    control: Control | None = None,
) -> Any:
    """Declare a field of a frozen record.

    Parameters
    ----------
    default
        Its default; with None, none is a value, too.
    help
        What it does, in sentences for users.
    low, high
        Its range, both included.
    unit
        In which it is measured.
    label
        What forms call it; empty for its name.
    control
        How the dock shows it; None keeps it out of the dock.
    """
    about = About(help, low, high, unit, label, control)
    return field(default=default, metadata={_KEY: about})


def parameters_of(record: Any) -> tuple[Parameter, ...]:
    """List the parameters of a record, or of its class, and of the records inside."""
    return _parameters(record if isinstance(record, type) else type(record))


@cache
def _parameters(record: Any) -> tuple[Parameter, ...]:
    hints = get_type_hints(record)
    listed: list[Parameter] = []
    for each in fields(record):
        hint = hints[each.name]
        if _KEY in each.metadata:
            listed.append(_parameter(each, hint))
        elif isinstance(hint, type) and is_dataclass(hint):
            listed += _parameters(hint)
    return tuple(listed)


def values_of(record: Any) -> dict[str, Any]:
    """Read the values of `parameters_of` a record, by name."""
    values: dict[str, Any] = {}
    for each in fields(record):
        value = getattr(record, each.name)
        if _KEY in each.metadata:
            values[each.name] = value
        elif is_dataclass(value):
            values |= values_of(value)
    return values


def with_values(record: Record, values: dict[str, Any]) -> Record:
    """Replace values of a record and of its inner records; other names are ignored."""
    changed: dict[str, Any] = {}
    for each in fields(record):  # type: ignore[arg-type]
        inner = getattr(record, each.name)
        if _KEY in each.metadata:
            if each.name in values:
                changed[each.name] = values[each.name]
        elif is_dataclass(inner):
            changed[each.name] = with_values(inner, values)
    return replace(record, **changed)  # type: ignore[type-var]


def check_fields(record: Any) -> None:
    """Refuse a record with a number or a choice that is out of its range.

    Raises
    ------
    GemError
        For the first; see `Parameter.check`.
    """
    values = values_of(record)
    for each in parameters_of(record):
        each.check(values[each.name])


def check_number(
    title: str, value: object, low: float, high: float, *, whole: bool = False
) -> None:
    """Refuse what is no finite number from ``low`` to ``high``.

    Raises
    ------
    GemError
        With the title, the value and the range.
    """
    if not is_within(value, low, high, whole=whole):
        kind = "whole number" if whole else "number"
        raise GemError(
            f"{title} is {brief(value)}; give a {kind} from {range_text(low, high)}."
        )


def is_within(value: object, low: float, high: float, *, whole: bool = False) -> bool:
    """Tell whether something is a finite number from ``low`` to ``high``."""
    if not isinstance(value, Integral if whole else Real):
        return False
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False
    return isfinite(number) and low <= number <= high


def range_text(low: float, high: float) -> str:
    """Write a range, such as ``0 to 10,000``."""
    return f"{low:,.10g} to {high:,.10g}"


def brief(value: object, most: int = 60) -> str:
    """Show a value as a part of a sentence: at most so many characters of it."""
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a number of more than 20 digits"
    # of a long list only what is shown is made text
    part = value[: most + 1] if isinstance(value, str | tuple | list) else value
    text = part if isinstance(part, str) else repr(part)
    return shown(text if len(text) <= most else f"{text[:most]}…", 2 * most)


def _parameter(each: Field[Any], hint: Any) -> Parameter:
    default = None if each.default is MISSING else each.default
    if get_origin(hint) is Literal:
        return Parameter(each.name, default, str, get_args(hint), each.metadata[_KEY])
    kinds = [hint, *get_args(hint)]  # of "float | None" both, of a tuple what is in it
    kind = tuple if get_origin(hint) is tuple else next(k for k in kinds if k in _KINDS)
    return Parameter(each.name, default, kind, (), each.metadata[_KEY])


_KINDS = (bool, int, float, str)
