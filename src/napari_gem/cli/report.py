"""What the command line says of a result, and where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.core.prompts import label_ids
from napari_gem.core.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from napari_gem.core.results import Outcome, Segmentation, StoredSegmentation
    from napari_gem.images.files import ImageFile


def save_and_report(result: Segmentation, image: ImageFile, folder: Path) -> None:
    """Write a result in memory to files, and say what was found."""
    from napari_gem.results.save import save

    names = [path.name for path in save(result, image, folder)]
    ids = label_ids(result.recipe.prompts)
    total = result.labels.size
    shares = [(result.labels == number).sum() / total for number in ids]
    _report(result, shares, folder, names)


def report_stored(result: StoredSegmentation, folder: Path) -> None:
    """Say what was found in a result that was written in parts."""
    names = ("labels.zarr", "probabilities.zarr", "recipe.json")
    _report(result, result.shares, folder, names)


def _report(
    result: Outcome, shares: Sequence[float], folder: Path, names: Iterable[str]
) -> None:
    for notice in result.notices:
        say(notice, aside=True)
    prompts = result.recipe.prompts
    ids = label_ids(prompts)
    for number, prompt, share in zip(ids, prompts, shares, strict=True):
        say(f"{number:4} {prompt.name}: {share:.1%} of the image")
    say(f"Results in {folder.resolve()}: {', '.join(names)}")
