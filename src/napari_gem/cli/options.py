"""Options that several commands have, and those made from the fields of parameters."""

from __future__ import annotations

import inspect
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from napari_gem.core.errors import GemError
from napari_gem.core.fields import parameters_of
from napari_gem.core.parameters import PRECISIONS
from napari_gem.models.presets import list_presets
from napari_gem.results.writers import USUAL, USUAL_OF_LARGE, WRITERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_gem.core.fields import Parameter

    Command = Callable[..., None]

ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Id from 'napari-gem models', ARCHITECTURE/TAG of open_clip, "
        "hf-hub:OWNER/REPOSITORY, or a weights file or folder.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Precision = Annotated[
    str, typer.Option(help=f"{', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}.")
]
Architecture = Annotated[
    str, typer.Option(help="open_clip architecture of a bare weights file.")
]
Download = Annotated[
    bool, typer.Option("--download", help="Allow the model to be downloaded.")
]
Index = Annotated[str, typer.Option(help="Plane of a stack, such as 0 or 3,1.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")]
Write = Annotated[
    str,
    typer.Option(
        help=f"What is written, with commas between: {', '.join(WRITERS)}. As usual "
        f"{', '.join(USUAL)}, of large images {', '.join(USUAL_OF_LARGE)}."
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace results that are there already."),
]
Preset = Annotated[
    str,
    typer.Option(
        help="Parameters for a kind of images, over the model's own: "
        f"{', '.join(list_presets())}."
    ),
]
Limits = Annotated[
    tuple[float, float] | None,
    typer.Option(help="Values shown as black and as white, not percentiles."),
]
Percentiles = Annotated[
    tuple[float, float],
    typer.Option(help="Shown as black and as white; 8-bit RGB only if it is dark."),
]
Bands = Annotated[
    str,
    typer.Option(
        "--bands",
        "--channels",
        help="Bands or channels shown as red, green and blue, or together in their "
        "own colours: numbers from 1 or names with commas between, such as 4,3,2 "
        "or DAPI=blue,GFP=green, or true-color or color-infrared.",
    ),
]
NoData = Annotated[
    str,
    typer.Option(
        help="Value that stands for no data, or none; else what the file says."
    ),
]
Corners = Annotated[
    tuple[int, int, int, int] | None,
    typer.Option(
        "--region",
        help="Part of the image: first row, row behind the last, and the same for "
        "columns.",
    ),
]
Level = Annotated[
    int | None, typer.Option(help="Resolution of a pyramid; 0 is the finest.", min=0)
]
SMALLEST = 1e-6
"""Of numbers that must be above 0."""

Detail = Annotated[
    float | None, typer.Option(help="Image pixels per patch.", min=SMALLEST)
]
Background = Annotated[
    list[str] | None,
    typer.Option(help="Words for what is no class; '' for none. Repeat."),
]


def parse_index(index: str) -> list[int]:
    """Read positions along the leading axes of a stack."""
    try:
        return [int(part) for part in index.split(",") if part.strip()]
    except ValueError:
        raise GemError(
            f"The index is '{index}'; give whole numbers with commas between."
        ) from None


def with_options(
    *records: type,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each field of some records of parameters.

    The command gets what the user gave as ``given``, by the fields' names: see
    `napari_gem.core.fields.with_values`. Tuples of texts have options of their own.
    """
    added = [
        each
        for record in records
        for each in parameters_of(record)
        if each.kind is not tuple
    ]

    def decorate(command: Command) -> Command:
        hints = get_type_hints(command, include_extras=True)
        own = [
            each.replace(annotation=hints[name])
            for name, each in inspect.signature(command).parameters.items()
            if name != "given"
        ]

        @wraps(command)
        def run(**values: Any) -> None:
            given = {each.name: values.pop(each.name) for each in added}
            known = {name: value for name, value in given.items() if value is not None}
            command(**values, given=known)

        parameters = [*own, *map(_option, added)]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        return run

    return decorate


def _option(parameter: Parameter) -> inspect.Parameter:
    values = "" if parameter.kind is bool else f" [{parameter.range}]"
    option = typer.Option(help=f"{parameter.about.help}{values}")
    return inspect.Parameter(
        parameter.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[parameter.kind | None, option],
    )
