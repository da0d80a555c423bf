"""The command line: ``napari-gem segment``, ``replay``, ``models`` and ``demo``."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_gem._version import __version__
from napari_gem.cli import cache as cli_cache
from napari_gem.cli import models as cli_models
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
    is_batch,
    run_batch,
    tell_place,
)
from napari_gem.cli.consent import with_consent
from napari_gem.cli.evaluate import evaluate
from napari_gem.cli.options import (
    SMALLEST,
    Architecture,
    Background,
    Bands,
    Corners,
    Detail,
    Device,
    Download,
    Index,
    Level,
    Limits,
    ModelName,
    NoData,
    Output,
    Overwrite,
    Percentiles,
    Precision,
    Preset,
    Write,
    parse_index,
    with_options,
)
from napari_gem.cli.recipes import replay, run_recipe
from napari_gem.cli.report import report_domain, report_view, save_and_report
from napari_gem.cli.words import compare_words
from napari_gem.core.appearance import PERCENTILES
from napari_gem.core.batch import BatchOptions
from napari_gem.core.errors import GemError
from napari_gem.core.fields import check_fields, with_values
from napari_gem.core.memory import ERRORS, check_open_files, shortage
from napari_gem.core.napari_version import check_napari
from napari_gem.core.parameters import (
    EncodeParameters,
    LabelParameters,
    OutlineParameters,
    ScoreParameters,
)
from napari_gem.core.terminal import others_safe, say, show_anything
from napari_gem.core.zarr_end import close_zarr_at_exit
from napari_gem.models.domains import DomainRule, clues_of
from napari_gem.models.presets import read_preset, with_preset
from napari_gem.prompts.domains import check_domain
from napari_gem.segmentation.asked import Asked, check_shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_gem.core.progress import Progress
    from napari_gem.core.prompts import Prompt
    from napari_gem.core.region import Region
    from napari_gem.images.opened import Opened, View
    from napari_gem.prompts.sets import PromptSet

app = typer.Typer(
    help="Find things in images by words, with GEM and CLIP models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(cli_models.app, name="models")
app.add_typer(cli_cache.app, name="cache")

app.command()(evaluate)
app.command()(replay)
app.command("run")(run_recipe)
app.command("words")(compare_words)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show version.")] = False,
) -> None:
    if version:
        say(f"napari-gem {__version__}")
        raise typer.Exit


@app.command()
@with_options(LabelParameters, ScoreParameters, EncodeParameters, OutlineParameters)
def segment(
    images: Images,
    output: Output,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt", "-p", help="One class; a comma separates synonyms. Repeat."
        ),
    ] = None,
    prompt_set: Annotated[
        str, typer.Option("--set", help="Prompt set: its name or its file.")
    ] = "",
    model: ModelName = "embedded",
    architecture: Architecture = "",
    device: Device = "auto",
    precision: Precision = "auto",
    percentiles: Percentiles = PERCENTILES,
    limits: Limits = None,
    gamma: Annotated[
        float, typer.Option(help="Exponent on shown values.", min=SMALLEST)
    ] = 1.0,
    index: Index = "",
    bands: Bands = "",
    nodata: NoData = "",
    region: Corners = None,
    region_file: Annotated[
        Path | None,
        typer.Option(
            help="GeoJSON file with one polygon, as the part of the image: in pixels, "
            "as QuPath writes it, or on the ground."
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="How probable a class must be beside the background; 0.5 as usual.",
            min=0,
            max=1,
        ),
    ] = None,
    preset: Preset = "",
    detail: Detail = None,
    template: Annotated[
        list[str] | None,
        typer.Option(help="Sentence with {} for the word, or name of a list. Repeat."),
    ] = None,
    background: Background = None,
    level: Level = None,
    cache: Annotated[
        bool, typer.Option(help="Keep the encoded image for the next run.")
    ] = True,
    scheduler: Annotated[
        str,
        typer.Option(
            help="Address of a dask scheduler, such as tcp://host:8786: its workers "
            "encode the image, and --device reads the words."
        ),
    ] = "",
    download: Download = False,
    write: Write = "",
    overwrite: Overwrite = False,
    pattern: Pattern = "",
    resume: Resume = False,
    keep_going: KeepGoing = True,
    jobs: Jobs = 1,
    dry_run: DryRun = False,
    *,
    given: dict[str, Any],
) -> None:
    """Segment images by words: one into a folder of files, several into one each.

    What is left out is taken from the prompt set, or as it suits the model. Of large
    images labels and probabilities are written as OME-Zarr, and only parts are read.
    """
    from napari_gem.cli.cluster import ShowWaiting, connected
    from napari_gem.cluster.placing import ClusterPlace
    from napari_gem.core.appearance import Appearance
    from napari_gem.core.path_names import check_length
    from napari_gem.core.progress import run
    from napari_gem.core.results import Job
    from napari_gem.core.validation import (
        check_device,
        check_precision,
        check_prompts,
        check_score,
    )
    from napari_gem.encoding.feature_cache import FeatureCache
    from napari_gem.images.opened import Opened
    from napari_gem.results import pyramid
    from napari_gem.results import save as export
    from napari_gem.segmentation.batch import Batch
    from napari_gem.segmentation.job import Resources, job_steps, load_steps
    from napari_gem.worker.batch_helpers import check_jobs

    zoom = given.get("zoom")
    if detail is not None and zoom is not None:
        raise GemError("--detail and --zoom exclude each other. Give one of them.")
    if region is not None and region_file is not None:
        raise GemError("--region and --region-file exclude each other. Give one.")
    squash = _squash(preset, scheduler, detail, zoom, region, region_file)
    words = _words(prompt, prompt_set, background, template, (model, architecture))
    prompts = words.prompts
    if threshold is not None:
        prompts = tuple(replace(prompt, threshold=threshold) for prompt in prompts)
    check_prompts(prompts)
    given |= _given(background=words.background, templates=words.templates)
    given |= _given(domain=check_domain(given.pop("domain", "")))
    # before the model, which takes seconds or a download
    label = with_values(LabelParameters(), given)
    check_fields(label)
    check_score(with_values(ScoreParameters(), given))
    check_fields(with_values(EncodeParameters(), given))
    outlines = with_values(OutlineParameters(), given)
    check_fields(outlines)
    check_device(device)
    check_precision(precision)
    check_shown(percentiles, limits)
    positions = parse_index(index)
    options = BatchOptions(
        write=write, resume=resume, overwrite=overwrite, keep_going=keep_going
    )
    corners = _region(region, None, None)
    several = is_batch(images, pattern, options, jobs)
    paths = find_images(images, pattern) if several else (Path(images[0]),)
    if several:
        check_batch(paths, output, options, dry_run=dry_run)
        check_jobs(jobs, device, scheduler)
    else:
        opened = Opened(paths[0], positions, len(prompts), bands=bands, nodata=nodata)
        corners = _region(region, region_file, opened)
        opened.check(level, corners)
        export.check_folder(output, paths[0], write=write, overwrite=overwrite)
        tell_place(paths[0], output, dry_run=dry_run)
    job = Job(
        prompts=prompts,
        appearance=Appearance(),  # comes from the pixels
        model=model,
        architecture=architecture,
        device=device,
        precision="auto" if scheduler else precision,
        label=label,
        squash=squash,
    )
    with BatchBars() as bars, connected(scheduler, bars.show) as cluster:
        loaded = with_consent(
            lambda allowed: run(load_steps(job, download=allowed), bars.show),
            bars,
            allowed=download,
        )
        own = loaded.card
        loaded = replace(loaded, card=with_preset(own, preset))
        score = loaded.card.score
        domain = DomainRule(own, score, given, preset, words.sets)
        job = replace(
            job,
            encode=with_values(loaded.card.encode, given),
            score=with_values(loaded.card.score, given),
            region=corners,
            index=tuple(positions),
            bands=bands,
            nodata=nodata,
        )
        asked = Asked(
            job,
            percentiles,
            limits,
            gamma,
            level,
            detail,
            patch_size=loaded.backbone.patch_size,
            preset=preset,
            domain=domain,
            region_file=region_file if several else None,
            revision=loaded.revision,
        )

        def resources(view: View) -> Resources:
            keeps = ((cache and not several) or view.large) and not squash
            chosen = Resources(
                disk=FeatureCache if keeps else None, must_keep=view.large
            )
            if cluster is None:
                return chosen
            place = ClusterPlace(cluster, precision, lambda: view.reference)
            return replace(chosen, place=place)

        show: Callable[[Progress], object] = bars.show
        if cluster is not None:
            show = ShowWaiting(scheduler, bars.show)
        if several:
            batch = Batch(paths, output, asked, options, outlines, resources)
            run_batch(batch, loaded, bars, show, jobs)
            return
        view, job = asked.settle(opened)
        report_view(view, job.appearance)
        report_domain(domain.decide(prompts, clues_of(view.scene)), job.score)
        export.check_kinds(write, view.scene)
        if view.large:
            check_length(output, pyramid.INSIDE)
        folder = output if view.large else None
        steps = job_steps(
            job,
            view.pixels,
            loaded,
            resources(view),
            folder=folder,
            location=view.scene.location,
            valid=view.valid,
            overwrite=overwrite,
            source=view.source.path,
        )
        result = run(steps, show)
        saved: Any = {"write": write, "overwrite": overwrite, "outlines": outlines}
        save_and_report(result, view.scene, output, **saved, progress=bars.show)


@app.command()
def demo(
    sample: Annotated[
        str,
        typer.Option(
            help="fluorescence, histology or aerial, which are drawn, or "
            "immunohistochemistry, a micrograph of scikit-image."
        ),
    ] = "fluorescence",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write results and a screenshot here and end."
        ),
    ] = None,
) -> None:
    """Segment a sample image by words, in napari where there is a screen."""
    from napari_gem.core.sentences import check_known
    from napari_gem.images.samples import SAMPLES

    check_known("sample", sample, SAMPLES)
    command = [sys.executable, "-m", "napari_gem.widget.demo", sample]
    shows = has_screen() and find_spec("napari") is not None
    if shows:
        check_napari()
    if output is None and shows and not is_virtual():
        raise typer.Exit(subprocess.run(command, check=False).returncode)
    folder = Path("demo-output") if output is None else output
    _demo_files(sample, folder, overwrite=output is None)
    if shows:
        screenshot = folder / "screenshot.png"
        done = subprocess.run(
            [*command, "--screenshot", str(screenshot)],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise GemError(f"napari could not be shown: {done.stderr.strip()[-400:]}")
        say(f"Screenshot of napari: {screenshot.resolve()}")


def _demo_files(sample: str, folder: Path, *, overwrite: bool) -> None:
    from napari_gem.images.samples import read_sample
    from napari_gem.results import save as export
    from napari_gem.segmentation import pipeline

    export.check_folder(folder, write="", overwrite=overwrite)
    image, prompts = read_sample(sample)
    with Bars() as bars:
        result = pipeline.segment(image.pixels, prompts, progress=bars.show)
    save_and_report(result, image, folder, overwrite=overwrite)


@dataclass(frozen=True)
class _Words:
    """Classes, and what stands beside them; None is left to the model's card."""

    prompts: tuple[Prompt, ...]
    background: tuple[str, ...] | None
    templates: tuple[str, ...] | None
    sets: tuple[str, ...] = ()


def _words(
    lines: list[str] | None,
    prompt_set: str,
    background: list[str] | None,
    templates: list[str] | None,
    model: tuple[str, str],
) -> _Words:
    """Read classes; of a set of the package only those that the model knows."""
    from napari_gem.prompts.parsing import parse_prompts

    given: tuple[Prompt, ...] = ()
    words, sentences = _background(background), _templates(templates)
    domains: tuple[str, ...] = ()
    if prompt_set:
        from napari_gem.prompts.sets import list_sets, read_set

        chosen = read_set(prompt_set)
        domains = chosen.domains
        if prompt_set in list_sets():
            chosen = _fit(chosen, *model)
        given = tuple(prompt for prompt in chosen.prompts if prompt.on)
        words = (chosen.background or None) if words is None else words
        sentences = sentences or chosen.templates or None
    prompts = parse_prompts([*given, *(lines or [])])
    return _Words(prompts, words, sentences, domains)


def _fit(chosen: PromptSet, model: str, architecture: str) -> PromptSet:
    """Leave out the classes of which the model knows no word, and say so."""
    from napari_gem.models.find import find_model
    from napari_gem.prompts.vocabulary import fit_set

    fitted = fit_set(chosen, find_model(model, architecture).known_words)
    count = sum(prompt.on for prompt in chosen.prompts)
    left_out = count - sum(prompt.on for prompt in fitted.prompts)
    if left_out == count:
        raise GemError(
            f"The model {model} knows no word of the set '{chosen.name}'. Choose "
            "another set, or a CLIP model with --model."
        )
    if left_out:
        say(
            f"The model knows {count - left_out} of the {count} classes of the set "
            f"'{chosen.name}'; the others are left out, and need a CLIP model.",
            aside=True,
        )
    return fitted


def _background(lines: list[str] | None) -> tuple[str, ...] | None:
    from napari_gem.prompts.parsing import read_words

    if not lines:
        return None
    return read_words("\n".join(lines))


def _templates(given: list[str] | None) -> tuple[str, ...] | None:
    from napari_gem.prompts.word_lists import list_templates, read_templates

    if not given:
        return None
    sentences: list[str] = []
    for template in given:
        if "{}" in template:
            sentences.append(template)
        elif template in list_templates():
            sentences += read_templates(template)
        else:
            raise GemError(
                f"There is no list of templates '{template}'; give a sentence with "
                f"{{}} for the word, or one of {', '.join(list_templates())}."
            )
    return tuple(sentences)


def _squash(preset: str, scheduler: str, *parts: object) -> int:
    """Read the side of the square that a preset asks for, which needs the whole."""
    side = read_preset(preset).squash if preset else 0
    if side and (scheduler or any(part is not None for part in parts)):
        raise GemError(
            f"The preset {preset} squashes the whole image: leave out --detail, "
            "--zoom, --region and --scheduler, or take another preset."
        )
    return side


def _region(
    corners: tuple[int, int, int, int] | None,
    path: Path | None,
    opened: Opened | None,
) -> Region | None:
    from napari_gem.core.region import Region

    if path is not None and opened is not None:
        read = opened.read_region(path)
        say(read.notice, aside=True)
        return read.region
    return None if corners is None else Region(rows=corners[:2], columns=corners[2:])


def _given(**values: Any) -> dict[str, Any]:
    """Leave out what is None."""
    return {name: value for name, value in values.items() if value is not None}


def has_screen() -> bool:
    """Tell whether a window can be opened, without loading Qt."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def is_virtual() -> bool:
    """Tell whether nobody looks at the screen (set by ``tests/screen.py``)."""
    return bool(os.environ.get("NAPARI_GEM_VIRTUAL_SCREEN"))


def main() -> None:
    """Run the command line; bad input ends with one sentence and status 2."""
    show_anything()
    try:
        check_open_files()
        with others_safe():
            app()
    except (GemError, *ERRORS) as error:
        sentence = str(error) if isinstance(error, GemError) else shortage(error)
        if not sentence:
            raise
        say(f"Error: {sentence}", aside=True)
        sys.exit(2)
    finally:
        close_zarr_at_exit()
