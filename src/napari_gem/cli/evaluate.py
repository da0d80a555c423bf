"""``napari-gem evaluate``: measure a model on a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_gem.cli import STOPPED
from napari_gem.cli.bars import Bars
from napari_gem.cli.options import (
    Architecture,
    Device,
    Download,
    ModelName,
    Precision,
    Preset,
    with_options,
)
from napari_gem.core.fields import check_fields, with_values
from napari_gem.core.parameters import GemParameters
from napari_gem.core.terminal import say
from napari_gem.models.presets import read_preset, with_preset

if TYPE_CHECKING:
    from napari_gem.evaluation.run import Measurement


@with_options(GemParameters)
def evaluate(
    kind: Annotated[
        str, typer.Argument(help="Kind of data set; '?' lists them.", metavar="DATASET")
    ],
    path: Annotated[Path, typer.Argument(help="Its folder.")] = Path(),
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the results.")
    ] = Path("evaluation"),
    model: ModelName = "embedded",
    architecture: Architecture = "",
    preset: Preset = "",
    protocol: Annotated[
        str,
        typer.Option(
            help="paper, paper-cosine, sliding or model; left out: the preset's, "
            "or model."
        ),
    ] = "",
    control: Annotated[
        str,
        typer.Option(
            help="shuffled, generic, absent, distractors=200, noise=0.1, contrast=0.3."
        ),
    ] = "none",
    split: Annotated[
        str, typer.Option(help="Part of the data set; left out: the usual one.")
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option(help="Measure so many images, chosen at random.", min=1),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a stopped measurement.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out images that cannot be read.")
    ] = False,
    scale: Annotated[
        float | None, typer.Option(help="Logit scale, not the protocol's.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Pixels less probable are background; not the protocol's."),
    ] = None,
    short_side: Annotated[
        int | None,
        typer.Option(help="Of resized images in the sliding protocol.", min=16),
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    download: Download = False,
    *,
    given: dict[str, Any],
) -> None:
    """Measure a model on a data set: a table, results.json and report.html.

    Ctrl-C keeps what is done; --resume goes on with it.
    """
    from napari_gem.core.validation import check_device, check_precision
    from napari_gem.evaluation.controls import parse_control
    from napari_gem.evaluation.datasets import list_kinds, read_dataset
    from napari_gem.evaluation.protocols import find_protocol
    from napari_gem.evaluation.run import choose, prepare
    from napari_gem.evaluation.score import Method
    from napari_gem.models.find import load_model
    from napari_gem.results.save import check_folder

    if kind == "?":
        for name, about in list_kinds().items():
            say(f"{name}: {about}")
        return
    # before the model, which takes seconds or a download
    check_device(device)
    check_precision(precision)
    check_fields(with_values(GemParameters(), given))
    own = read_preset(preset).protocol if preset else ""
    protocol = protocol or own or "model"
    chosen = find_protocol(protocol, scale=scale, threshold=threshold)
    changed = parse_control(control)
    dataset = choose(read_dataset(kind, path, split), limit)
    check_folder(out)
    with Bars() as bars:
        loaded = load_model(
            model,
            device=device,
            precision=precision,
            architecture=architecture,
            download=download,
            progress=bars.show,
        )
        loaded = replace(loaded, card=with_preset(loaded.card, preset))
        gem = with_values(loaded.card.encode.gem, given)
        side = short_side or dataset.short_side
        method = Method(protocol, chosen, changed, gem, side, preset)
        work = prepare(loaded, dataset, method, out, resume=resume, skip_bad=skip_bad)
        stopped = _run(work, bars)
    _report(work, stopped)


def _run(work: Measurement, bars: Bars) -> bool:
    """Measure to the end, and tell whether Ctrl-C came before it."""
    from napari_gem.evaluation.run import evaluate_steps

    steps = evaluate_steps(work)
    try:
        for step in steps:
            bars.show(step)
    except KeyboardInterrupt:
        return True
    finally:
        steps.close()
    return False


def _report(work: Measurement, stopped: bool) -> None:
    from napari_gem.evaluation.report import table
    from napari_gem.evaluation.store import REPORT, RESULTS

    say(*table(work.store, work.tally).splitlines())
    for result in work.store.done:
        if result.error:
            say(f"Left out: {result.name}: {result.error}", aside=True)
    folder = work.store.folder.resolve()
    say(f"Results in {folder}: {RESULTS}, {REPORT}")
    if stopped:
        say("Stopped. Go on with the same command and --resume.", aside=True)
        raise typer.Exit(STOPPED)
