"""``napari-gem words``: compare words for one class on an image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_gem.cli.bars import Bars
from napari_gem.cli.consent import with_consent
from napari_gem.cli.options import (
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
    parse_index,
    with_options,
)
from napari_gem.cli.report import report_domain, report_view
from napari_gem.core.appearance import PERCENTILES
from napari_gem.core.errors import GemError
from napari_gem.core.fields import with_values
from napari_gem.core.parameters import EncodeParameters, ScoreParameters
from napari_gem.core.terminal import say
from napari_gem.models.domains import DomainRule, clues_of
from napari_gem.models.presets import with_preset
from napari_gem.prompts.domains import check_domain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.core.word_comparison import ComparedMaps
    from napari_gem.models.model import Model
    from napari_gem.segmentation.asked import Asked

AnyImage = Annotated[Path, typer.Argument(help="Image file.")]


@with_options(ScoreParameters, EncodeParameters)
def compare_words(
    image: AnyImage,
    output: Output,
    word: Annotated[
        list[str],
        typer.Option(
            "--word", "-w", help="A word for the class; a comma separates. Repeat."
        ),
    ],
    beside: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt", "-p", help="Another class of the image, as for segment. Repeat."
        ),
    ] = None,
    background: Background = None,
    model: ModelName = "embedded",
    architecture: Architecture = "",
    device: Device = "auto",
    precision: Precision = "auto",
    percentiles: Percentiles = PERCENTILES,
    limits: Limits = None,
    index: Index = "",
    bands: Bands = "",
    nodata: NoData = "",
    region: Corners = None,
    level: Level = None,
    detail: Detail = None,
    preset: Preset = "",
    download: Download = False,
    overwrite: Overwrite = False,
    *,
    given: dict[str, Any],
) -> None:
    """Compare words for one class on an image: a table, words.csv and words.png.

    The word comes first that tells places apart most clearly.
    """
    from napari_gem.core.appearance import Appearance
    from napari_gem.core.progress import run
    from napari_gem.core.region import Region
    from napari_gem.core.results import Job
    from napari_gem.core.validation import check_device, check_precision
    from napari_gem.images.opened import Opened
    from napari_gem.prompts.parsing import parse_prompts, read_words, write_words
    from napari_gem.results.compared_words import save_words, word_lines
    from napari_gem.segmentation.asked import Asked, check_shown
    from napari_gem.segmentation.job import load_steps

    words = read_words("\n".join(word))
    others = parse_prompts(beside) if beside else ()
    check_device(device)
    check_precision(precision)
    check_shown(percentiles, limits)
    _check_output(output, overwrite=overwrite)
    domain = check_domain(given.pop("domain", ""))
    given |= {"domain": domain} if domain else {}
    if background:
        given |= {"background": read_words("\n".join(background))}
    positions = parse_index(index)
    corners = region and Region(rows=region[:2], columns=region[2:])
    opened = Opened(image, positions, 1, bands=bands, nodata=nodata)
    opened.check(level, corners)
    job = Job(
        # all its words say which domain is meant, in whatever order they are
        prompts=(*parse_prompts([write_words(words)]), *others),
        appearance=Appearance(),  # comes from the pixels
        model=model,
        architecture=architecture,
        device=device,
        precision=precision,
    )
    with Bars() as bars:
        loaded = with_consent(
            lambda allowed: run(load_steps(job, download=allowed), bars.show),
            bars,
            allowed=download,
        )
        own = loaded.card
        loaded = replace(loaded, card=with_preset(own, preset))
        rule = DomainRule(own, loaded.card.score, given, preset)
        job = replace(
            job,
            encode=with_values(loaded.card.encode, given),
            score=with_values(loaded.card.score, given),
            region=corners,
            index=tuple(positions),
            bands=bands,
            nodata=nodata,
        )
        side = loaded.backbone.patch_size
        asked = Asked(
            job,
            percentiles,
            limits,
            1.0,
            level,
            detail,
            patch_size=side,
            domain=rule,
        )
        maps = _compare(asked, opened, loaded, words, bars)
    say(*word_lines(maps))
    picture, table = save_words(maps, output)
    say(f"Results in {output.resolve()}: {picture.name}, {table.name}")


def _check_output(folder: Path, *, overwrite: bool) -> None:
    """Refuse to replace an earlier comparison."""
    from napari_gem.results.compared_words import PICTURE, TABLE

    if not overwrite and any((folder / name).exists() for name in (PICTURE, TABLE)):
        raise GemError(
            f"There is a comparison of words in '{folder}' already. Choose another "
            "folder, or give --overwrite."
        )


def _compare(
    asked: Asked, opened: Any, model: Model, words: Sequence[str], bars: Bars
) -> ComparedMaps:
    """Encode the image, or find it encoded, and compare the words."""
    from napari_gem.core.progress import run
    from napari_gem.encoding.feature_cache import FeatureCache
    from napari_gem.segmentation.compare_words import compare_steps
    from napari_gem.segmentation.job import Resources, encode_job_steps

    view, job = asked.settle(opened)
    report_view(view, job.appearance)
    if asked.domain is not None:
        decision = asked.domain.decide(job.prompts, clues_of(view.scene))
        report_domain(decision, job.score)
    resources = Resources(disk=FeatureCache, must_keep=view.large)
    steps = encode_job_steps(
        job, view.pixels, model, resources, large=view.large, valid=view.valid
    )
    encoded = run(steps, bars.show)
    compared = compare_steps(
        model, encoded.features, job.prompts, 0, words, job.score, encoded.scores
    )
    return run(compared, bars.show)
