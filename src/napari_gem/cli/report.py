"""What the command line says of a result, and where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.core.prompts import label_ids
from napari_gem.core.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_gem.core.results import Outcome, Segmentation, StoredSegmentation
    from napari_gem.images.opened import View
    from napari_gem.images.scene import Scene


def save_and_report(result: Segmentation, image: Scene, folder: Path) -> None:
    """Write a result in memory to files, and say the share of each class."""
    from napari_gem.results.save import save

    _report(result, folder, [path.name for path in save(result, image, folder)])


def report_stored(result: StoredSegmentation, folder: Path) -> None:
    """Say the share of each class in a result that was written in parts."""
    from napari_gem.results import pyramid, recipe

    _report(result, folder, (*pyramid.NAMES, *recipe.NAMES))


def report_view(view: View) -> None:
    """Say which level of an image is used, and what there is to say of its file."""
    if view.sentence:
        say(view.sentence)
    for notice in view.source.notices:
        say(notice, aside=True)


def _report(result: Outcome, folder: Path, names: Iterable[str]) -> None:
    for notice in result.notices:
        say(notice, aside=True)
    prompts = result.recipe.prompts
    whole = "image" if result.recipe.region is None else "region"
    ids = label_ids(prompts)
    for number, prompt, share in zip(ids, prompts, result.shares, strict=True):
        say(f"{number:4} {prompt.name}: {share:.1%} of the {whole}")
    say(f"Results in {folder.resolve()}: {', '.join(names)}")
