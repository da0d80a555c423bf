"""What the command line says of a result, and where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_gem.core.prompts import label_ids
from napari_gem.core.sentences import ABSENT
from napari_gem.core.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from napari_gem.core.appearance import Appearance
    from napari_gem.core.parameters import OutlineParameters, ScoreParameters
    from napari_gem.core.progress import Progress
    from napari_gem.core.results import Outcome, Segmentation, StoredSegmentation
    from napari_gem.images.opened import View
    from napari_gem.images.scene import Scene
    from napari_gem.prompts.domains import Decision


def save_and_report(
    result: Segmentation | StoredSegmentation,
    image: Scene,
    folder: Path,
    *,
    write: str = "",
    overwrite: bool = False,
    outlines: OutlineParameters | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> None:
    """Write what is not written yet, and say the share of each class."""
    from napari_gem.core.results import StoredSegmentation
    from napari_gem.results import pyramid, recipe
    from napari_gem.results.save import save

    how: Any = {"write": write, "overwrite": overwrite, "outlines": outlines}
    paths = save(result, image, folder, **how, progress=progress)
    stored = isinstance(result, StoredSegmentation)
    before = (*pyramid.NAMES, *recipe.NAMES) if stored else ()
    _report(result, folder, [*before, *(path.name for path in paths)])


def report_view(view: View, appearance: Appearance | None = None) -> None:
    """Say which level of an image is used, how it is shown, and what its file says."""
    from napari_gem.images.rendering import dark_notice

    if view.sentence:
        say(view.sentence)
    for notice in view.source.notices:
        say(notice, aside=True)
    if appearance is not None:
        for notice in dark_notice(appearance, view.pixels):
            say(notice, aside=True)


def report_domain(decision: Decision, score: ScoreParameters | None) -> None:
    """Say which domain is meant, and what it brings."""
    from napari_gem.prompts.domains import domain_line

    if score is not None:
        say(f"{domain_line(decision.domain, score)}, {decision.reason}")


def _report(result: Outcome, folder: Path, names: Iterable[str]) -> None:
    for notice in result.notices:
        say(notice, aside=True)
    prompts = result.recipe.prompts
    whole = "image" if result.recipe.region is None else "region"
    ids = label_ids(prompts)
    for number, prompt, share in zip(ids, prompts, result.shares, strict=True):
        absent = f" ({ABSENT})" if prompt.name in result.absent else ""
        say(f"{number:4} {prompt.name}: {share:.1%} of the {whole}{absent}")
    say(f"Results in {folder.resolve()}: {', '.join(names)}")
