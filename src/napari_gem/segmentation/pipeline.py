"""The straight line: pixels and words to probabilities and labels.

`encode_steps` (`encoding.py`) is costly and needs no words; `segment_steps`
(`segmenting.py`) is cheap and needs no image. Both are generators that yield `Progress`
and return their result, so whoever runs them shows progress and cancels between two
steps by not going on. `encode` and `segment` run them for notebooks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

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
from napari_gem.core.results import Features, Segmentation
from napari_gem.core.validation import check_maps
from napari_gem.encoding.encode import encode_steps, restrict
from napari_gem.images.rendering import check_image, stretch
from napari_gem.images.tile_reading import as_pixels
from napari_gem.models.find import load_model
from napari_gem.prompts.parsing import parse_prompts
from napari_gem.scoring.cosines import group_scores, min_max
from napari_gem.scoring.upsampling import upsample
from napari_gem.scoring.words import word_steps
from napari_gem.segmentation.segment import check_features, segment_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike, NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.encoding.feature_cache import FeatureCache
    from napari_gem.models.find import Model

__all__ = [
    "encode",
    "encode_steps",
    "heat_maps",
    "restrict",
    "segment",
    "segment_steps",
]


def encode(
    image: ArrayLike | LazyArray,
    model: Model | str = "embedded",
    *,
    appearance: Appearance | None = None,
    parameters: EncodeParameters | None = None,
    region: Region | None = None,
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
    shown = appearance or stretch(pixels)
    encoding = cache.encode_steps if cache else encode_steps
    steps = encoding(loaded, pixels, shown, parameters, region=region)
    return run(steps, progress)


def segment(
    image: ArrayLike | LazyArray | Features,
    prompts: str | Iterable[str | Prompt],
    model: Model | str = "embedded",
    *,
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
        As for `encode`; the one that made the features.
    parameters
        None takes those of the model's card.
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
        As `encode` and `napari_gem.prompts.parsing.parse_prompts`.

    Examples
    --------
    >>> from napari_gem import load_model, encode, segment  # doctest: +SKIP
    >>> model = load_model("embedded")  # doctest: +SKIP
    >>> features = encode(image, model)  # doctest: +SKIP
    >>> found = segment(features, ["nucleus, nuclei", "filament"], model)
    ... # doctest: +SKIP
    """
    classes = parse_prompts(prompts)
    loaded = load_model(model) if isinstance(model, str) else model
    if isinstance(image, Features):
        features = image
    else:
        pixels = as_pixels(image)
        check_image(pixels)
        check_maps(len(classes), (pixels.shape[0], pixels.shape[1]))
        features = encode(pixels, loaded, progress=progress)
    return run(segment_steps(loaded, features, classes, parameters, label), progress)


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
        As for `segment`; the background is not used.

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
