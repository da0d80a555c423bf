"""A result made again from its recipe."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_gem.core.errors import GemError
from napari_gem.core.progress import run
from napari_gem.core.validation import (
    check_device,
    check_maps,
    check_recipe,
    check_within,
)
from napari_gem.models.find import load_model
from napari_gem.results.recipe_model import check_used, recipe_card

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import ArrayLike

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.location import Location
    from napari_gem.core.progress import Progress
    from napari_gem.core.results import Recipe, Segmentation, StoredSegmentation
    from napari_gem.models.model import Model


FOREIGN_LIMITS = (
    "The recipe's contrast limits are numbers that suited its own image. If this image "
    "was taken with another exposure, let percentiles of it be taken (--percentiles, "
    "or `with_percentiles`)."
)


def replay(
    recipe: Recipe,
    image: ArrayLike | LazyArray,
    *,
    model: Model | str = "",
    architecture: str = "",
    device: str = "auto",
    progress: Callable[[Progress], object] | None = None,
    download: bool = False,
    other_weights: bool = False,
    folder: Path | None = None,
    location: Location | None = None,
    valid: LazyArray | None = None,
    overwrite: bool = False,
) -> Segmentation | StoredSegmentation:
    """Make a result again, or the same for another image.

    With the same image, weights, device and precision the labels are the same. Where
    the device lacks the recipe's precision, it computes with its own usual one.
    Examples that are places, not vectors, stand for the same places of the image. If
    the recipe's contrast limits are percentiles, they are those of this image.

    Parameters
    ----------
    recipe
        From `read_recipe`, or of an earlier result.
    image
        (height, width), (height, width, 3 or 4) for RGB and RGBA, or with the
        channels of the recipe's appearance as last axis; any number type. An array, or
        anything that is sliced like one.
    model
        A loaded model, or where the recipe's is on this computer; empty takes the
        recipe's word for it, if it is one that this user has used before.
    architecture
        open_clip architecture of a weights file; empty takes the recipe's.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    progress
        Called with a `Progress` now and then.
    download
        Whether the weights may be downloaded if they are not on this computer.
    other_weights
        Take other weights than the recipe's too; the labels will differ.
    folder, location, valid, overwrite
        As for `napari_gem.segmentation.job.job_steps`: where results of any size are
        written, where the pixels lie, which of them hold data, and whether results in
        the folder are replaced.

    Returns
    -------
    Segmentation or StoredSegmentation
        The latter if there is a folder. Its recipe tells what was really used.

    Raises
    ------
    NotUsedError
        If the recipe names a model that this user has not used before, and nobody
        named it as ``model``.
    GemError
        If the model cannot be had or has other weights, or if the image does not
        suit the recipe's appearance or region.
    """
    # scipy comes with them; the dock, which knows recipes, opens sooner without
    from napari_gem.encoding.feature_cache import FeatureCache
    from napari_gem.images.rendering import adapt, has_foreign_limits
    from napari_gem.images.tile_reading import as_pixels
    from napari_gem.segmentation.job import Resources, job_steps

    pixels = as_pixels(image)
    if pixels.ndim < 2:
        raise GemError(
            f"The image has the shape {pixels.shape}; give an array of shape (height, "
            "width) or (height, width, channels)."
        )
    check_recipe(recipe)
    if folder is None:
        check_maps(len(recipe.prompts), (pixels.shape[0], pixels.shape[1]))
    if recipe.region is not None:
        check_within(recipe.region, pixels.shape)
    if isinstance(model, str):
        check_device(device)
        card = None if model else recipe_card(recipe, architecture)
        if card is not None:
            check_used(card)
        model = load_model(
            card or model,
            device=device,
            precision=_precision(recipe.precision, device),
            architecture=architecture or recipe.architecture,
            download=download,
            progress=progress,
        )
    if model.revision != recipe.revision and not other_weights:
        raise GemError(
            f"The recipe was made with weights {recipe.revision} of {recipe.model}, "
            f"but here {model.card.id} has {model.revision}: get the recipe's "
            "weights, or allow other weights and expect other labels."
        )
    keeps = folder is not None
    resources = Resources(disk=FeatureCache if keeps else None, must_keep=keeps)
    where: Any = {
        "folder": folder,
        "location": location,
        "valid": valid,
        "overwrite": overwrite,
    }
    job = replace(recipe, appearance=adapt(recipe.appearance, pixels, valid))
    result = run(job_steps(job, pixels, model, resources, **where), progress)
    if has_foreign_limits(recipe.appearance, pixels):
        result = replace(result, notices=(*result.notices, FOREIGN_LIMITS))
    return result


def _precision(wanted: str, device: str) -> str:
    from napari_gem.models.load import DTYPES, choose_device, has_precision

    if wanted in DTYPES and not has_precision(wanted, choose_device(device)):
        return "auto"
    return wanted
