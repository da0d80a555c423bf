"""Figures to be read: a table for the terminal and one file of HTML."""

from __future__ import annotations

import base64
from html import escape
from math import isnan
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.colors import class_color
from napari_gem.core.foreign_text import shown
from napari_gem.evaluation.pictures import extremes, picture_path
from napari_gem.evaluation.store import REPORT, write_whole
from napari_gem.evaluation.tally import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_gem.evaluation.store import ImageResult, Run, Store
    from napari_gem.evaluation.tally import Tally

_TEMPLATE = Path(__file__).parent / "report.html"
MEAN = "mean"


def table(store: Store, tally: Tally) -> str:
    """Lay the figures out for a terminal: a line for each class, and the means."""
    header, *rows = _rows(store.run, tally)
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [header, *rows]
    ]
    lines += [f"{title}: {value}" for title, value in _single(tally)]
    lines += [_counted(store)]
    return "\n".join(lines)


def write_report(store: Store, tally: Tally) -> Path:
    """Write ``report.html``, with all that it shows in the file itself."""
    header, *rows = _rows(store.run, tally)
    best, worst = extremes(store.done)
    bad = [result for result in store.done if result.error]
    run = store.run
    facts = [
        ("Data set", f"{run.title} ({run.kind} {run.split})".replace(" )", ")")),
        ("Images", _counted(store)),
        ("Model", f"{run.model}, weights {run.revision}"),
        ("Protocol", f"{run.protocol}: {run.details.about}"),
        ("Method", _spelled(run.gem)),
        *_own_parameters(run),
        ("Control", f"{run.control.name} {run.control.amount or ''}"),
        ("Computed", f"napari-gem {run.version}, {run.device}, {run.precision}"),
        *_single(tally),
    ]
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=_html(f"{run.title}: {run.model}"),
        facts="".join(_line(fact, "th") for fact in facts),
        header="".join(f"<th>{_html(cell)}</th>" for cell in header),
        rows="".join(
            _line(row, "td", _swatch(number, len(run.classes)))
            for number, row in enumerate(rows)
        ),
        best=_gallery(store.folder, best),
        worst=_gallery(store.folder, worst),
        bad="".join(f"<li>{_html(r.name)}: {_html(r.error)}</li>" for r in bad)
        or "<li>none</li>",
    )
    write_whole(store.folder / REPORT, text.encode())
    return store.folder / REPORT


def _own_parameters(run: Run) -> list[tuple[str, str]]:
    """List the model's own parameters, if the protocol uses them."""
    if run.encode is None or run.score is None:
        return []
    tiles = f"zoom {run.encode.zoom:g}, tile {run.encode.tile}"
    return [
        ("Tiles", f"{tiles}, overlap {run.encode.overlap}"),
        ("Scores", _spelled(run.score, without=("background", "templates"))),
        ("Background words", ", ".join(run.score.background) or "none"),
        ("Templates", f"{len(run.score.templates)}, first '{run.score.templates[0]}'"),
    ]


def _spelled(record: object, without: tuple[str, ...] = ()) -> str:
    kept = {k: v for k, v in vars(record).items() if k not in without}
    return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in kept.items())


def _rows(run: Run, tally: Tally) -> list[list[str]]:
    by_class, overall = tally.by_class(), tally.overall()
    columns = [
        column
        for column in COLUMNS
        if column.by_class and not np.isnan(by_class[column.key]).all()
    ]
    header = ["class", *(column.title for column in columns)]
    rows = [
        [shown(name), *(_cell(by_class[column.key][i]) for column in columns)]
        for i, name in enumerate(run.classes)
    ]
    return [header, *rows, [MEAN, *(_cell(overall[column.key]) for column in columns)]]


def _single(tally: Tally) -> list[tuple[str, str]]:
    overall = tally.overall()
    return [
        (column.title, _cell(overall[column.key]))
        for column in COLUMNS
        if not column.by_class and not isnan(overall[column.key])
    ]


def _cell(value: float) -> str:
    return "-" if isnan(value) else f"{100 * value:.1f}"


def _counted(store: Store) -> str:
    bad = sum(bool(result.error) for result in store.done)
    counted = f"{len(store.done) - bad} of {store.run.images} images measured"
    return f"{counted}, {bad} left out" if bad else counted


def _html(text: str) -> str:
    return escape(shown(text))


def _line(cells: Iterable[str], first: str, before: str = "") -> str:
    head, *rest = cells
    parts = [f"<{first}>{before}{_html(head)}</{first}>"]
    parts += [f"<td>{_html(cell)}</td>" for cell in rest]
    return f"<tr>{''.join(parts)}</tr>\n"


def _swatch(number: int, classes: int) -> str:
    if number >= classes:
        return ""
    color = ", ".join(f"{round(part * 255)}" for part in class_color(number))
    return f'<i style="background: rgb({color})"></i>'


def _gallery(folder: Path, results: list[ImageResult]) -> str:
    figures = []
    for result in results:
        path = picture_path(folder, result.name)
        if path.is_file():
            content = base64.b64encode(path.read_bytes()).decode()
            caption = f"{result.name}: mean IoU {_cell(result.score or 0.0)}"
            figures.append(
                f'<figure><img src="data:image/jpeg;base64,{content}" '
                f'alt="{_html(caption)}"><figcaption>{_html(caption)}</figcaption>'
                "</figure>\n"
            )
    return "".join(figures) or "<p>none</p>"
