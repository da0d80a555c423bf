"""Tables to CSV files."""

from __future__ import annotations

import csv
import math
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gem.core.atomic import whole_file
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import table_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


def write_table(table: Mapping[str, Iterable[Any]], path: Path | str) -> Path:
    """Write a table as CSV (UTF-8, commas), complete or not at all.

    Parameters
    ----------
    table
        Columns of the same length by their names, which become the first line.
        Numbers are written with up to ten digits; NaN and None as nothing. Text that a
        spreadsheet would run as a formula gets an apostrophe in front.
    path
        A file of this name is replaced.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    GemError
        If the folder is missing or cannot be written.
    """
    path = Path(path)
    try:
        with whole_file(path) as unfinished, open_table(unfinished, table) as write:
            for row in zip(*table.values(), strict=True):
                write(row)
    except OSError as error:
        raise GemError(
            f"The table '{path}' cannot be written ({error.strerror or error}). Choose "
            "another folder or name."
        ) from error
    return path


@contextmanager
def open_table(
    path: Path, names: Iterable[str]
) -> Iterator[Callable[[Iterable[Any]], object]]:
    """Begin a table with the names of its columns, and give what adds a row.

    Raises
    ------
    OSError
        If it is there already or cannot be written.
    """
    with path.open("x", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow([table_cell(name) for name in names])
        yield lambda row: lines.writerow([_text(value) for value in row])


def _text(value: Any) -> str:
    if value is None or (isinstance(value, Real) and math.isnan(value)):
        return ""
    # numpy's floats of 64 bit are Python's floats, too
    if isinstance(value, float):
        return format(value, ".10g")
    # numbers begin with a minus, too, and are no formula
    return str(value) if isinstance(value, Real) else table_cell(str(value))
