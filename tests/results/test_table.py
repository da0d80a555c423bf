from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_gem.core.errors import GemError
from napari_gem.results.table import write_table

if TYPE_CHECKING:
    from pathlib import Path

TABLE = {
    "instance": np.array([1, 2]),
    "class": ["nuclei, blue", 'ä "b"'],
    "area (µm²)": np.array([0.1 + 0.2, np.nan]),
    "row": np.array([5300040.123, 2.0]),
}


def test_written_and_read_back(tmp_path: Path) -> None:
    path = write_table(TABLE, tmp_path / "out.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["instance", "class", "area (µm²)", "row"],
        ["1", "nuclei, blue", "0.3", "5300040.123"],
        ["2", 'ä "b"', "", "2"],
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


def test_an_empty_table_has_its_header(tmp_path: Path) -> None:
    path = write_table({"instance": [], "class": []}, tmp_path / "out.csv")
    assert path.read_text() == "instance,class\n"


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("old")
    with pytest.raises(ValueError, match="zip"):
        write_table({"a": [1, 2], "b": [1]}, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "out.csv", tmp_path / "folder"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        with pytest.raises(GemError, match="cannot be written"):
            write_table(TABLE, path)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.mark.contact("foreign text")
def test_no_text_is_run_by_a_spreadsheet_and_numbers_stay_numbers(
    tmp_path: Path,
) -> None:
    formula = '=HYPERLINK("http://example.org","see")'
    table = {
        "@class": [formula, "+1", "-nuclei", "\t=1", "nuclei\x1b[0m"],
        "number": [-0.5, -3, np.float32(-0.5), np.int16(-7), np.float32("nan")],
    }
    with write_table(table, tmp_path / "t.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["'@class", "number"]
    assert [row[0] for row in rows] == [
        f"'{formula}",
        "'+1",
        "'-nuclei",
        "'\\t=1",
        "nuclei\\x1b[0m",
    ]
    assert [row[1] for row in rows] == ["-0.5", "-3", "-0.5", "-7", ""]
