"""Writes the reference of the parameters: ``python docs/parameters.py``."""

from __future__ import annotations

from pathlib import Path

from napari_gem.core.fields import Parameter, parameters_of
from napari_gem.core.parameters import (
    EncodeParameters,
    GemParameters,
    LabelParameters,
    OutlineParameters,
    ScoreParameters,
)

PAGE = Path(__file__).with_suffix(".md")

HEAD = """\
# Parameters

<!-- written by docs/parameters.py from src/napari_gem/core/parameters.py -->

In Python they are fields of these records; on the command line each is an option of
`napari-gem segment`, such as `--temperature-scale 2`. Those with a name in the column
*dock* are in the dock, in the groups *Labels* and *Advanced*. A model's own values, and
those of presets, stand in place of the defaults.
"""

COLUMNS = ("| name | default | values | dock | what it does |", "|---|---|---|---|---|")

RECORDS = {
    LabelParameters: "How labels are made of probabilities.",
    ScoreParameters: "How features and words give probabilities.",
    EncodeParameters: "How an image is cut and encoded; `gem` holds `GemParameters`.",
    GemParameters: "How features are taken from the model.",
    OutlineParameters: "How labels become polygons, for `--write polygons` and others.",
}


def page() -> str:
    """Write the page."""
    parts = [HEAD]
    for record, about in RECORDS.items():
        inner = parameters_of(GemParameters) if record is EncodeParameters else ()
        rows = [_row(each) for each in parameters_of(record) if each not in inner]
        head = (
            "| name | default | values | dock | what it does |\n|---|---|---|---|---|"
        )
        parts.append(f"## {record.__name__}\n\n{about}\n\n{head}\n" + "\n".join(rows))
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _row(each: Parameter) -> str:
    default = ", ".join(each.default) if each.kind is tuple else each.default
    values = "texts" if each.kind is tuple else each.range
    dock = each.label if each.about.control else ""
    cells = (f"`{each.name}`", str(default), values, dock, each.about.help)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
