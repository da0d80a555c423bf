"""docs/towers.md names every tower and every check, and no figure is over its limit."""

from __future__ import annotations

from pathlib import Path

from tests.backbones.full_size import NAMED, SHAPES
from tests.backbones.table import FULL, SMALL
from tests.backbones.towers import TOWERS

DOCUMENT = Path(__file__).parents[2] / "docs/towers.md"


def rows(name: str, head: str) -> list[list[str]]:
    """Cells of the table after a mark."""
    text = DOCUMENT.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n\n")[2]
    assert text.startswith(head)
    lines = text.removeprefix(head).strip().partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_small_tower_and_check_is_there() -> None:
    table = rows("small", SMALL)
    assert [row[0] for row in table] == list(TOWERS)
    for row in table:
        assert all(float(error) < 1e-5 for error in row[2:-2])
        assert all(float(cosine) > 0.999 for cosine in row[-2:])


def test_every_architecture_is_there() -> None:
    table = rows("full", FULL)
    shapes = {name: ", ".join(map(str, shape)) for name, shape in SHAPES.items()}
    assert {row[0].strip("`"): row[2] for row in table} == shapes
    assert set(list(SHAPES)[: len(NAMED)]) == set(NAMED)
    ran = [row for row in table if row[-1] != "not run"]
    # the others take more than 16 GiB
    assert all(float(row[3]) > 16 * 1.074 for row in table if row not in ran)
    assert set(NAMED) <= {row[0].strip("`") for row in ran}
    assert all(float(row[-1]) < 1e-5 for row in ran)
