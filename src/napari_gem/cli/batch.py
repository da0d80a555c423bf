"""What commands do with many images: options, progress, what is said at the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from napari_gem.cli import STOPPED
from napari_gem.cli.consent import tell
from napari_gem.core.batch import BatchOptions, BatchReport, ImageOutcome
from napari_gem.core.errors import GemError
from napari_gem.core.terminal import say
from napari_gem.images.listing import list_images, names_several

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_gem.cli.bars import BatchBars
    from napari_gem.core.progress import Progress
    from napari_gem.models.model import Model
    from napari_gem.segmentation.batch import Batch

Images = Annotated[
    list[str],
    typer.Argument(
        help="Image files and zarr folders; or a folder of them, a "
        "glob, or @ and the path of a list.",
        metavar="IMAGE...",
    ),
]
Pattern = Annotated[
    str,
    typer.Option(help="Which files of a folder are taken, such as '**/*.tif'."),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Go on with several images: finished ones are not done again."
    ),
]
KeepGoing = Annotated[
    bool,
    typer.Option(help="Leave out images of several that fail; else end with it."),
]
Jobs = Annotated[
    int,
    typer.Option(
        help="Processes that share several images; more than 1 pays for small images.",
        min=1,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Only say which of several images would be done."),
]


def is_batch(
    images: Sequence[str], pattern: str, options: BatchOptions, jobs: int = 1
) -> bool:
    """Tell whether several images are meant, though there may be one.

    Raises
    ------
    GemError
        If one image is meant, and an option is for several.
    """
    if len(images) > 1 or names_several(images[0]):
        return True
    if pattern or options.resume or jobs > 1:
        raise GemError(
            "--pattern, --resume and --jobs are for several images: name a folder, a "
            "glob, a list or more than one image."
        )
    return False


def find_images(places: Sequence[str], pattern: str) -> tuple[Path, ...]:
    """List the images that are meant, and say what is to say of it."""
    listing = list_images(places, pattern)
    for notice in listing.notices:
        tell(notice)
    return listing.paths


def check_batch(
    images: Sequence[Path], folder: Path, options: BatchOptions, *, dry_run: bool
) -> None:
    """Refuse what cannot be done before a model is loaded; a dry run ends here."""
    from napari_gem.results.save import check_folder
    from napari_gem.segmentation.batch import plan_batch

    planned = plan_batch(images, folder, options)
    if not dry_run:
        check_folder(folder)
        return
    for one in planned:
        known = " (has results)" if one.has_results else ""
        missing = "" if one.path.exists() else " (there is no such file)"
        say(f"{one.name}: {one.path}{known}{missing}")
    say(f"{len(planned)} images; results would be in {folder.resolve()}")
    raise typer.Exit


def tell_place(image: Path, folder: Path, *, dry_run: bool) -> None:
    """End a dry run of one image, with the folder of its results."""
    if dry_run:
        say(f"{image}: results would be in {folder.resolve()}")
        raise typer.Exit


def run_batch(
    batch: Batch,
    model: Model,
    bars: BatchBars,
    show: Callable[[Progress], object] | None = None,
    jobs: int = 1,
) -> None:
    """Segment many images in so many processes, and say what came of them.

    ``show`` takes the progress in place of the bars.

    The exit status is 1 if an image was not done, and `STOPPED` after Ctrl-C.
    """
    from napari_gem.segmentation.batch import batch_steps
    from napari_gem.worker.batch_helpers import BatchHelpers, check_memory

    check_memory(jobs)
    helpers = BatchHelpers(batch, model, jobs) if jobs > 1 else None
    steps = batch_steps(batch, model, helpers)
    try:
        while True:
            step = next(steps)
            if isinstance(step, ImageOutcome):
                with bars.aside():
                    say(_line(step))
            else:
                (show or bars.show)(step)
    except StopIteration as end:
        report: BatchReport = end.value
    except KeyboardInterrupt:
        bars.close()
        tell("Stopped. Go on with the same command and --resume.")
        raise typer.Exit(STOPPED) from None
    finally:
        steps.close()
    bars.close()
    _report(report, batch)


def _line(outcome: ImageOutcome) -> str:
    if outcome.problem:
        return f"{outcome.name}: not done. {outcome.problem}"
    before = " (finished before)" if outcome.state == "finished" else ""
    shares = ", ".join(f"{one.name} {one.share:.1%}" for one in outcome.classes)
    return f"{outcome.name}: {shares}{before}"


def _report(report: BatchReport, batch: Batch) -> None:
    for notice in report.notices:
        tell(notice)
    notices = Counter(notice for one in report.outcomes for notice in one.notices)
    for notice, count in notices.items():
        tell(f"{notice} ({count} of {len(report.outcomes)} images)")
    problems = report.problems
    done = len(report.outcomes) - len(problems)
    before = sum(one.state == "finished" for one in report.outcomes)
    earlier = f", {before} of them before" if before else ""
    say(
        f"{done} of {len(report.outcomes) + report.left} images are done{earlier}. "
        "Results in "
        f"{batch.folder.resolve()}: a folder each, report.csv, contact-sheet.html"
    )
    if problems:
        tell(f"Not done ({len(problems) + report.left}):")
        for one in problems:
            tell(f"  {one.path}: {one.problem}")
        if report.left:
            tell(f"  {report.left} more, which the batch did not come to")
        raise typer.Exit(1)
