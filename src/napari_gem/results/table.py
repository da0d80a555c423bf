"""Tables to CSV files."""

from __future__ import annotations

import csv
import math
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gem.core.atomic import whole_file
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import table_cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


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
        with (
            whole_file(path) as unfinished,
            unfinished.open("x", encoding="utf-8", newline="") as file,
        ):
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow([table_cell(name) for name in table])
            for row in zip(*table.values(), strict=True):
                lines.writerow([_text(value) for value in row])
    except OSError as error:
        raise GemError(
            f"The table '{path}' cannot be written ({error.strerror or error}). Choose "
            "another folder or name."
        ) from error
    return path


def _text(value: Any) -> str:
    if value is None or (isinstance(value, Real) and math.isnan(value)):
        return ""
    # numpy's floats of 64 bit are Python's floats, too
    if isinstance(value, float):
        return format(value, ".10g")
    # numbers begin with a minus, too, and are no formula
    return str(value) if isinstance(value, Real) else table_cell(str(value))
