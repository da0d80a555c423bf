"""What notebooks and scripts call: pixels and words to features, maps and labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.appearance import Appearance
from napari_gem.core.parameters import (
    EncodeParameters,
    LabelParameters,
    ScoreParameters,
)
from napari_gem.core.progress import Progress, run
from napari_gem.core.prompts import Prompt
from napari_gem.core.region import Region
from napari_gem.core.results import Features, Job, Segmentation, StoredSegmentation
from napari_gem.encoding.feature_cache import FeatureCache
from napari_gem.images.rendering import check_image, stretch
from napari_gem.images.tile_reading import as_pixels
from napari_gem.models.domains import domain_for, with_domain
from napari_gem.models.find import load_model
from napari_gem.prompts.domains import ImageClues, check_domain
from napari_gem.prompts.parsing import parse_prompts
from napari_gem.results.save import check_folder
from napari_gem.scoring.cosines import group_scores, min_max
from napari_gem.scoring.upsampling import upsample
from napari_gem.scoring.words import word_steps
from napari_gem.segmentation.job import Resources, encode_job_steps, job_steps
from napari_gem.segmentation.segment import check_features, segment_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.models.model import Model


def encode(
    image: ArrayLike | LazyArray,
    model: Model | str = "embedded",
    *,
    appearance: Appearance | None = None,
    parameters: EncodeParameters | None = None,
    region: Region | None = None,
    valid: LazyArray | None = None,
    cache: FeatureCache | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Features:
    """Encode an image once, to segment it by any number of words.

    Parameters
    ----------
    image
        (height, width), or (height, width, 3 or 4) for RGB and RGBA; any number type.
        Arrays of dask, zarr and the like are read tile by tile.
    model
        From `napari_gem.load_model`, or the id of a model that needs no download.
    appearance
        How values are shown; None stretches between percentiles
        (`napari_gem.images.rendering.stretch`).
    parameters
        None takes those of the model's card.
    region
        The part to encode; None for all.
    valid
        (height, width) bool: where the image holds data (`Scene.mask`); None where it
        is neither NaN nor transparent. Elsewhere there are no labels.
    cache
        Where features are kept on disk, to be found by the next call with the same
        pixels, model and parameters; None keeps them in memory only.
    progress
        Called with a `Progress` now and then.

    Returns
    -------
    Features
        Unit vectors on the patch grid.

    Raises
    ------
    GemError
        If the array is no image, or the model cannot be had.
    """
    pixels = as_pixels(image)
    loaded = load_model(model) if isinstance(model, str) else model
    job = Job(
        prompts=(),
        appearance=appearance or stretch(pixels),
        encode=parameters,
        region=region,
    )
    resources = Resources(disk=(lambda: cache) if cache else None, must_keep=True)
    steps = encode_job_steps(job, pixels, loaded, resources, valid=valid)
    return run(steps, progress).features


def segment(
    image: ArrayLike | LazyArray | Features,
    prompts: str | Iterable[str | Prompt],
    model: Model | str = "embedded",
    *,
    domain: str = "",
    parameters: ScoreParameters | None = None,
    label: LabelParameters | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Segmentation:
    """Find classes in an image by words.

    Parameters
    ----------
    image
        An array as for `encode`, or the `Features` that `encode` returned.
    prompts
        One class an item (or a line of one string); a comma separates synonyms.
    model
        The model that made the features; see `encode`.
    domain
        Kind of images, of `napari_gem.core.parameters.DOMAINS`: with ``parameters``
        None it decides templates and background words. Empty leaves it to the model,
        or to the words.
    parameters
        None takes those of the model's card, with the words of the domain.
    label
        None takes the defaults.
    progress
        Called with a `Progress` now and then.

    Returns
    -------
    Segmentation
        Probability maps and labels.

    Raises
    ------
    GemError
        As `encode` and `napari_gem.prompts.parsing.parse_prompts`, or if there is no
        such domain.

    Examples
    --------
    >>> from napari_gem import load_model, encode, segment  # doctest: +SKIP
    >>> model = load_model("embedded")  # doctest: +SKIP
    >>> features = encode(image, model)  # doctest: +SKIP
    >>> result = segment(features, ["nucleus, nuclei", "filament"], model)
    ... # doctest: +SKIP
    """
    classes = parse_prompts(prompts)
    loaded = load_model(model) if isinstance(model, str) else model
    if isinstance(image, Features):
        grey = not (image.appearance.rgb or image.appearance.channels)
        score = parameters or _suggested(loaded, classes, domain, grey)
        steps = segment_steps(loaded, image, classes, score, label)
        return run(steps, progress)
    pixels = as_pixels(image)
    check_image(pixels)
    grey = len(pixels.shape) == 2
    job = Job(
        prompts=classes,
        appearance=stretch(pixels),
        score=parameters or _suggested(loaded, classes, domain, grey),
        label=label or LabelParameters(),
    )
    result = run(job_steps(job, pixels, loaded), progress)
    assert isinstance(result, Segmentation)  # noqa: S101 (for the type checker)
    return result


def segment_large(
    image: ArrayLike | LazyArray,
    prompts: str | Iterable[str | Prompt],
    folder: Path | str,
    model: Model | str = "embedded",
    *,
    appearance: Appearance | None = None,
    encode: EncodeParameters | None = None,
    domain: str = "",
    parameters: ScoreParameters | None = None,
    label: LabelParameters | None = None,
    region: Region | None = None,
    cache: FeatureCache | None = None,
    overwrite: bool = False,
    progress: Callable[[Progress], object] | None = None,
) -> StoredSegmentation:
    """Find classes in an image of any size by words, with results on disk.

    The image is read tile by tile, its features are kept on disk, and labels and
    probabilities are written in bands of rows: never a map at full size is in memory.

    Parameters
    ----------
    image
        (height, width), or (height, width, 3 or 4) for RGB and RGBA: an array, or
        anything that is sliced like one (dask, zarr, memory-mapped files).
    prompts
        As for `napari_gem.segment`.
    folder
        Gets ``labels.zarr``, ``probabilities.zarr`` and ``recipe.json``; made if
        missing. They appear when all are complete.
    model
        From `napari_gem.load_model`, or the id of a model that needs no download.
    appearance, encode, domain, parameters, label, region
        As for `napari_gem.encode` and `napari_gem.segment`.
    cache
        Where features are kept; None takes the usual place.
    overwrite
        Whether results in the folder are replaced.
    progress
        Called with a `Progress` now and then.

    Raises
    ------
    GemError
        As `napari_gem.segment`, or if the folder cannot be written or holds results.
    """
    classes = parse_prompts(prompts)
    check_folder(folder, write="zarr", overwrite=overwrite)
    pixels = as_pixels(image)
    check_image(pixels, appearance)
    loaded = load_model(model) if isinstance(model, str) else model
    job = Job(
        prompts=classes,
        appearance=appearance or stretch(pixels),
        encode=encode,
        score=parameters or _suggested(loaded, classes, domain, len(pixels.shape) == 2),
        label=label or LabelParameters(),
        region=region,
    )
    resources = Resources(disk=lambda: cache or FeatureCache(), must_keep=True)
    where: Any = {"folder": Path(folder), "overwrite": overwrite}
    steps = job_steps(job, pixels, loaded, resources, **where)
    result = run(steps, progress)
    assert isinstance(result, StoredSegmentation)  # noqa: S101 (for the type checker)
    return result


def _suggested(
    model: Model, prompts: Sequence[Prompt], domain: str, grey: bool
) -> ScoreParameters:
    """Take the parameters of a model's card, with the words of a domain."""
    chosen = check_domain(domain) or ""
    clues = ImageClues(grey=grey)
    decision = domain_for(model.card, prompts, chosen=chosen, clues=clues)
    return with_domain(model.card.score, model.card, decision)


def heat_maps(
    features: Features,
    prompts: str | Iterable[str | Prompt],
    model: Model | str = "embedded",
    *,
    parameters: ScoreParameters | None = None,
) -> NDArray[np.float32]:
    """Draw the paper's heat maps: each class's cosine from its minimum to its maximum.

    For looking at only; every word lights up somewhere, also one for what is not in
    the image.

    Parameters
    ----------
    features
        From `encode`.
    prompts, model, parameters
        See `segment`; the background is not used.

    Returns
    -------
    NDArray[np.float32]
        (classes, height, width), 0 to 1.
    """
    classes = parse_prompts(prompts)
    loaded = load_model(model) if isinstance(model, str) else model
    check_features(loaded, features, classes)
    chosen = replace(parameters or loaded.card.score, background=())
    words = run(word_steps(loaded, features, classes, chosen))
    scores = group_scores(features.array, words.groups[:-1], synonyms=chosen.synonyms)
    height, width = features.image_shape
    return min_max(upsample(scores, features.patch, width, slice(0, height)))
