"""What a batch writes about all of its images: a table and a contact sheet."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from napari_gem.core.atomic import whole_file, write_whole
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown
from napari_gem.results.table import write_table
from napari_gem.results.writers.overlay import picture_steps
from napari_gem.segmentation.batch_folder import PICTURES, SHEET, TABLE

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_gem.core.batch import BatchReport, ClassMeasure, ImageOutcome
    from napari_gem.core.progress import Progress
    from napari_gem.results.writers.maps import ResultMaps

SIDE = 320
"""Pixels of a picture on the contact sheet, along its longer side."""

COLUMNS = (
    *("name", "image", "state", "class", "label", "share", "pixels", "regions"),
    *("area", "area_unit", "problem"),
)

_TEMPLATE = Path(__file__).parent / "contact_sheet.html"


def write_picture_steps(
    maps: ResultMaps, folder: Path, name: str
) -> Generator[Progress, None, None]:
    """Draw an image with its labels for the contact sheet."""
    from PIL import Image

    picture = yield from picture_steps(maps, SIDE)
    path = picture_path(folder, name)
    path.parent.mkdir(exist_ok=True)
    with whole_file(path) as unfinished:
        Image.fromarray(picture).save(unfinished, "JPEG", quality=85)


def picture_path(folder: Path, name: str) -> Path:
    """Tell where the picture of an image lies."""
    return folder / PICTURES / f"{name}.jpg"


def write_report(report: BatchReport) -> None:
    """Write ``report.csv`` and the contact sheet, each whole or not at all.

    Raises
    ------
    GemError
        If they cannot be written.
    """
    folder = Path(report.folder)
    rows = [row for outcome in report.outcomes for row in _rows(outcome)]
    columns = {name: [row.get(name) for row in rows] for name in COLUMNS}
    write_table(columns, folder / TABLE)
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        count=_counted(report),
        notices="".join(f"<p>{_html(notice)}</p>" for notice in report.notices),
        images="\n".join(_figure(outcome, folder) for outcome in report.outcomes),
    )
    try:
        write_whole(folder / SHEET, text)
    except OSError as error:
        raise GemError(
            f"'{folder / SHEET}' cannot be written ({error.strerror or error}). Make "
            "room, or choose another folder."
        ) from error


def _rows(outcome: ImageOutcome) -> list[dict[str, Any]]:
    """Give a row for each class; one without a class for an image that was not done."""
    done = outcome.state in ("done", "finished")
    common = {
        "name": outcome.name,
        "image": outcome.path,
        "state": "done" if done else outcome.state,
        "problem": outcome.problem,
    }
    return [
        {
            **common,
            "class": one.name,
            "label": one.label,
            "share": one.share,
            "pixels": one.pixels,
            "regions": one.regions,
            "area": one.area,
            "area_unit": f"{outcome.unit}²" if one.area is not None else None,
        }
        for one in outcome.classes
    ] or [common]


def _counted(report: BatchReport) -> str:
    wrong = len(report.problems)
    done = f"{len(report.outcomes) - wrong} images"
    left = f", {report.left} not come to" if report.left else ""
    return (f"{done}, {wrong} not done" if wrong else done) + left


def _figure(outcome: ImageOutcome, folder: Path) -> str:
    name, path = _html(outcome.name), _html(outcome.path)
    link = quote(outcome.name)
    if outcome.problem:
        problem = _html(outcome.problem)
        return (
            f'<figure class="problem"><figcaption title="{path}"><b>{name}</b><br>'
            f"{problem}</figcaption></figure>"
        )
    picture = quote(picture_path(folder, outcome.name).relative_to(folder).as_posix())
    lines = "".join(map(_line, outcome.classes))
    return (
        f'<figure><a href="{link}/"><img src="{picture}" alt="{name}" loading="lazy">'
        f'</a><figcaption title="{path}"><b>{name}</b>{lines}</figcaption></figure>'
    )


def _line(one: ClassMeasure) -> str:
    color = ", ".join(f"{round(255 * part)}" for part in one.color)
    said = f"{one.name}: {one.share:.1%}, regions: {one.regions}"
    return f'<br><i style="background: rgb({color})"></i> {_html(said)}'


def _html(text: str) -> str:
    return escape(shown(text))
