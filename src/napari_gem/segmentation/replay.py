"""A result made again from its recipe."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_gem.core.batch import BatchOptions
from napari_gem.core.errors import GemError
from napari_gem.core.progress import run
from napari_gem.core.validation import (
    check_device,
    check_maps,
    check_recipe,
    check_within,
)
from napari_gem.models.find import load_model_steps
from napari_gem.results.recipe_model import check_used, recipe_card

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.location import Location
    from napari_gem.core.parameters import OutlineParameters
    from napari_gem.core.progress import Progress
    from napari_gem.core.results import Recipe, Segmentation, StoredSegmentation
    from napari_gem.models.model import Model
    from napari_gem.segmentation.batch import Batch


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
    source: Path | None = None,
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
    folder, location, valid, overwrite, source
        As for `napari_gem.segmentation.job.job_steps`: where results of any size are
        written, where the pixels lie, which of them hold data, whether results in the
        folder are replaced, and the file of the image.

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
    from napari_gem.images.rendering import (
        FOREIGN_LIMITS,
        adapt,
        has_foreign_limits,
    )
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
        steps = load_recipe_model_steps(
            recipe,
            model,
            architecture=architecture,
            device=device,
            download=download,
            other_weights=other_weights,
        )
        model = run(steps, progress)
    elif not other_weights:
        _check_revision(recipe, model)
    keeps = folder is not None
    resources = Resources(disk=FeatureCache if keeps else None, must_keep=keeps)
    where: Any = {
        "folder": folder,
        "location": location,
        "valid": valid,
        "overwrite": overwrite,
        "source": source,
    }
    job = replace(recipe, appearance=adapt(recipe.appearance, pixels, valid))
    result = run(job_steps(job, pixels, model, resources, **where), progress)
    if has_foreign_limits(recipe.appearance, pixels):
        result = replace(result, notices=(*result.notices, FOREIGN_LIMITS))
    return result


def load_recipe_model_steps(
    recipe: Recipe,
    model: str = "",
    *,
    architecture: str = "",
    device: str = "auto",
    download: bool = False,
    other_weights: bool = False,
) -> Generator[Progress, None, Model]:
    """Load the model of a recipe; parameters and errors as `replay`."""
    check_device(device)
    card = None if model else recipe_card(recipe, architecture)
    if card is not None:
        check_used(card)
    loaded = yield from load_model_steps(
        card or model,
        device=device,
        precision=_precision(recipe.precision, device),
        architecture=architecture or recipe.architecture,
        download=download,
    )
    if not other_weights:
        _check_revision(recipe, loaded)
    return loaded


def recipe_batch(
    recipe: Recipe,
    images: Sequence[Path],
    folder: Path,
    options: BatchOptions | None = None,
    outlines: OutlineParameters | None = None,
) -> Batch:
    """Say that a recipe is followed for many images; see `Batch`.

    Raises
    ------
    GemError
        If the recipe cannot be followed.
    """
    from napari_gem.segmentation.asked import FollowedRecipe
    from napari_gem.segmentation.batch import Batch

    check_recipe(recipe)
    how = options or BatchOptions(), outlines
    return Batch(tuple(images), folder, FollowedRecipe(recipe), *how)


def _check_revision(recipe: Recipe, model: Model) -> None:
    if model.revision != recipe.revision:
        raise GemError(
            f"The recipe was made with weights {recipe.revision} of {recipe.model}, "
            f"but here {model.card.id} has {model.revision}: get the recipe's "
            "weights, or allow other weights and expect other labels."
        )


def _precision(wanted: str, device: str) -> str:
    from napari_gem.models.load import DTYPES, choose_device, has_precision

    if wanted in DTYPES and not has_precision(wanted, choose_device(device)):
        return "auto"
    return wanted
