"""``napari-gem replay`` and ``run``: what a recipe says, with one image or many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_gem.cli.bars import Bars, BatchBars
from napari_gem.cli.batch import (
    DryRun,
    Images,
    Jobs,
    KeepGoing,
    Pattern,
    Resume,
    check_batch,
    find_images,
    run_batch,
)
from napari_gem.cli.consent import agreed_model, with_consent
from napari_gem.cli.options import (
    Architecture,
    Device,
    Download,
    Index,
    Output,
    Overwrite,
    Write,
    parse_index,
    with_options,
)
from napari_gem.cli.report import report_view, save_and_report
from napari_gem.core.batch import BatchOptions
from napari_gem.core.fields import check_fields, with_values
from napari_gem.core.parameters import OutlineParameters

if TYPE_CHECKING:
    from napari_gem.core.results import Recipe

AnyImage = Annotated[
    Path, typer.Argument(help="Image file of any kind that is read, or zarr folder.")
]

RecipePath = Annotated[
    Path, typer.Argument(help="recipe.json of a result, or its folder.")
]
RecipeModel = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Where the recipe's model is on this computer; naming one that you "
        "have not used before says that you trust it.",
    ),
]
OtherContrast = Annotated[
    tuple[float, float] | None,
    typer.Option(
        help="Shown as black and as white, in place of the recipe's contrast."
    ),
]
OtherWeights = Annotated[
    bool, typer.Option("--other-weights", help="Take other weights than the recipe's.")
]


@with_options(OutlineParameters)
def replay(
    recipe: RecipePath,
    image: AnyImage,
    output: Output,
    model: RecipeModel = "",
    architecture: Architecture = "",
    device: Device = "auto",
    index: Index = "",
    percentiles: OtherContrast = None,
    download: Download = False,
    other_weights: OtherWeights = False,
    write: Write = "",
    overwrite: Overwrite = False,
    *,
    given: dict[str, Any],
) -> None:
    """Do with an image what a recipe says."""
    from napari_gem.core.validation import check_device
    from napari_gem.images.opened import Opened
    from napari_gem.results import save as export
    from napari_gem.segmentation.replay import replay as make_again

    check_device(device)
    outlines = with_values(OutlineParameters(), given)
    check_fields(outlines)
    read = _read(recipe, index, percentiles)
    model = model or agreed_model(read, architecture)
    opened = Opened(
        image, read.index, len(read.prompts), bands=read.bands, nodata=read.nodata
    )
    export.check_folder(output, image, write=write, overwrite=overwrite)
    view = opened.view_like(read)
    export.check_kinds(write, view.scene)
    report_view(view)
    with Bars() as bars:
        result = with_consent(
            lambda allowed: make_again(
                read,
                view.pixels,
                model=model,
                architecture=architecture,
                device=device,
                progress=bars.show,
                download=allowed,
                other_weights=other_weights,
                folder=output if view.large else None,
                location=view.scene.location,
                valid=view.valid,
                overwrite=overwrite,
                source=image,
            ),
            bars,
            allowed=download,
        )
        how: Any = {"write": write, "overwrite": overwrite, "outlines": outlines}
        save_and_report(result, view.scene, output, **how, progress=bars.show)


@with_options(OutlineParameters)
def run_recipe(
    recipe: RecipePath,
    images: Images,
    output: Output,
    pattern: Pattern = "",
    model: RecipeModel = "",
    architecture: Architecture = "",
    device: Device = "auto",
    index: Index = "",
    percentiles: OtherContrast = None,
    download: Download = False,
    other_weights: OtherWeights = False,
    write: Write = "",
    overwrite: Overwrite = False,
    resume: Resume = False,
    keep_going: KeepGoing = True,
    jobs: Jobs = 1,
    dry_run: DryRun = False,
    *,
    given: dict[str, Any],
) -> None:
    """Do with many images what a recipe says: a folder of results for each.

    report.csv tells shares, areas and regions of each class in each image, and
    contact-sheet.html shows them. Ctrl-C keeps what is done; --resume goes on with it.
    """
    from napari_gem.core.progress import run
    from napari_gem.core.validation import check_device
    from napari_gem.segmentation.replay import load_recipe_model_steps, recipe_batch
    from napari_gem.worker.batch_helpers import check_jobs

    check_device(device)
    outlines = with_values(OutlineParameters(), given)
    check_fields(outlines)
    read = _read(recipe, index, percentiles)
    options = BatchOptions(
        write=write, resume=resume, overwrite=overwrite, keep_going=keep_going
    )
    paths = find_images(images, pattern)
    check_batch(paths, output, options, dry_run=dry_run)
    check_jobs(jobs, device)
    model = model or agreed_model(read, architecture)
    where: Any = {"architecture": architecture, "device": device}
    where["other_weights"] = other_weights
    with BatchBars() as bars:
        loaded = with_consent(
            lambda allowed: run(
                load_recipe_model_steps(read, model, download=allowed, **where),
                bars.show,
            ),
            bars,
            allowed=download,
        )
        followed = replace(read, revision=loaded.revision)
        batch = recipe_batch(followed, paths, output, options, outlines)
        run_batch(batch, loaded, bars, jobs=jobs)


def _read(path: Path, index: str, percentiles: tuple[float, float] | None) -> Recipe:
    """Read a recipe, with another plane or contrast if one is asked for."""
    from napari_gem.core.validation import check_percentiles
    from napari_gem.images.rendering import with_percentiles
    from napari_gem.results.recipe import read_recipe

    recipe = read_recipe(path)
    recipe = replace(recipe, index=tuple(parse_index(index)) or recipe.index)
    if percentiles is None:
        return recipe
    check_percentiles(percentiles)
    look = with_percentiles(recipe.appearance, percentiles)
    return replace(recipe, appearance=look)
