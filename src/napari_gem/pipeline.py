"""The straight line: pixels and words to probabilities and labels.

`encode_steps` is costly and needs no words; `segment_steps` is cheap and needs no
image. Both are generators that yield `Progress` and return their result, so whoever
runs them shows progress and cancels between two steps by not going on.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem._version import __version__
from napari_gem.image import check_image, render, stretch
from napari_gem.models import load_model
from napari_gem.postprocess.largest import label_type, largest
from napari_gem.scores import (
    group_scores,
    in_image,
    min_max,
    near_duplicates,
    probability_strips,
)
from napari_gem.steps import run
from napari_gem.text import embed_words, notices, parse_prompts
from napari_gem.tiles import (
    Tile,
    blend,
    grid_shape,
    pad_to_grid,
    plan_tiles,
    unit,
    upsample,
)
from napari_gem.types import (
    Appearance,
    EncodeParameters,
    Features,
    GemError,
    Progress,
    Prompt,
    Recipe,
    ScoreParameters,
    Segmentation,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, MutableMapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_gem.models import Model

    TileFeatures = tuple[NDArray[np.float32], NDArray[np.float32]]

WORDS = 16
"""Words read in one step, so that reading many can be cancelled."""

LARGEST_MAPS = 8 << 30
"""Bytes that the probability maps of one run may take at most."""


def encode_steps(
    model: Model,
    pixels: NDArray[Any],
    appearance: Appearance,
    parameters: EncodeParameters | None = None,
    *,
    partial: MutableMapping[int, TileFeatures] | None = None,
) -> Generator[Progress, None, Features]:
    """Encode an image tile by tile.

    Parameters
    ----------
    model
        From `napari_gem.load_model`.
    pixels
        (height, width), or (height, width, 3 or 4) for RGB and RGBA; any number type.
    appearance
        How pixel values are shown.
    parameters
        None takes those of the model's card.
    partial
        Features of finished tiles by number, kept by the caller: tiles found there
        are not encoded again, finished ones are added, so that a cancelled run can be
        taken up.

    Yields
    ------
    Progress
        Before the first tile and after each.

    Returns
    -------
    Features
        Unit vectors on the patch grid.
    """
    parameters = parameters or model.card.encode
    backbone = model.backbone
    patch = backbone.patch_size
    image = _zoomed(render(pixels, appearance), parameters.zoom)
    shape = grid_shape(image.shape[0], image.shape[1], patch)
    image = pad_to_grid(image, patch)
    tiles = plan_tiles(*shape, parameters.tile, parameters.overlap)
    finished = {} if partial is None else partial
    clock = _Clock(len(tiles), skipped=len(finished))
    yield clock.progress("Encoding", len(finished))
    for number, tile in enumerate(tiles):
        if number not in finished:
            finished[number] = _encode_tile(model, image, tile, parameters)
            yield clock.progress("Encoding", len(finished))
    pieces = ((tile, finished[number][0]) for number, tile in enumerate(tiles))
    array = blend(shape, parameters.overlap, pieces)
    views = np.stack([finished[number][1] for number in range(len(tiles))])
    return Features(
        array=array.astype(np.float16),
        image_embedding=unit(unit(views).mean(axis=0)),
        image_shape=(pixels.shape[0], pixels.shape[1]),
        patch=patch / parameters.zoom,
        model=model.card.id,
        revision=model.revision,
        parameters=parameters,
        appearance=appearance,
    )


def segment_steps(
    model: Model,
    features: Features,
    prompts: Sequence[Prompt],
    parameters: ScoreParameters | None = None,
) -> Generator[Progress, None, Segmentation]:
    """Score an encoded image against words and make labels.

    Parameters
    ----------
    model
        The model that made the features.
    features
        From `encode_steps`.
    prompts
        The classes; their order gives the label ids 1, 2, ...
    parameters
        None takes those of the model's card.

    Yields
    ------
    Progress
        Reading words, then a step for each strip of the image.

    Returns
    -------
    Segmentation
        Maps and labels at the image's size.

    Raises
    ------
    GemError
        If the features come from another model, if nothing is left to compare a
        single class with, or if the maps would not fit the memory.
    """
    parameters = parameters or model.card.score
    height, width = features.image_shape
    _check(model, features, prompts)
    groups = yield from _group_steps(model, features, prompts, parameters)
    scores = group_scores(features.array, groups)
    if len(groups) == len(prompts):
        # without background words the background gets no share
        scores = np.concatenate([scores, np.full_like(scores[:1], -1e4)])
    probabilities = np.empty((len(prompts), height, width), np.float32)
    labels = np.empty((height, width), label_type(len(prompts)))
    clock = _Clock(height)
    for rows, strip in probability_strips(
        scores, features.patch, (height, width), parameters.scale
    ):
        probabilities[:, rows] = strip[: len(prompts)]
        labels[rows] = largest(strip)
        yield clock.progress("Scoring", rows.stop)
    return Segmentation(
        probabilities=probabilities,
        labels=labels,
        recipe=Recipe(
            version=__version__,
            model=model.card.id,
            revision=model.revision,
            prompts=tuple(prompts),
            encode=features.parameters,
            score=parameters,
            appearance=features.appearance,
            device=model.device,
            precision=model.precision,
        ),
        notices=notices(
            model.backbone, prompts, parameters.templates, model.card.known_words
        ),
    )


def encode(
    image: ArrayLike,
    model: Model | str = "embedded",
    *,
    appearance: Appearance | None = None,
    parameters: EncodeParameters | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Features:
    """Encode an image once, to segment it by any number of words.

    Parameters
    ----------
    image
        (height, width), or (height, width, 3 or 4) for RGB and RGBA; any number type.
    model
        From `napari_gem.load_model`, or the id of a model that needs no download.
    appearance
        How values are shown; None stretches between percentiles
        (`napari_gem.image.stretch`).
    parameters
        None takes those of the model's card.
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
    pixels = np.asarray(image)
    loaded = load_model(model) if isinstance(model, str) else model
    shown = appearance or stretch(pixels)
    return run(encode_steps(loaded, pixels, shown, parameters), progress)


def segment(
    image: ArrayLike | Features,
    prompts: str | Iterable[str | Prompt],
    model: Model | str = "embedded",
    *,
    parameters: ScoreParameters | None = None,
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
    progress
        Called with a `Progress` now and then.

    Returns
    -------
    Segmentation
        Probability maps and labels.

    Raises
    ------
    GemError
        As `encode` and `napari_gem.text.parse_prompts`.

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
        pixels = np.asarray(image)
        check_image(pixels)
        check_maps(len(classes), pixels.shape[:2])
        features = encode(pixels, loaded, progress=progress)
    return run(segment_steps(loaded, features, classes, parameters), progress)


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
    _check(loaded, features, classes)
    chosen = replace(parameters or loaded.card.score, background=())
    groups = run(_group_steps(loaded, features, classes, chosen))
    scores = group_scores(features.array, groups)
    height, width = features.image_shape
    return min_max(upsample(scores, features.patch, width, slice(0, height)))


class _Clock:
    """Estimates the time left from the mean of the steps done so far."""

    def __init__(self, total: int, skipped: int = 0) -> None:
        self._total = total
        self._skipped = skipped
        self._started = time.monotonic()

    def progress(self, stage: str, done: int) -> Progress:
        fresh = done - self._skipped
        spent = time.monotonic() - self._started
        left = spent / fresh * (self._total - done) if fresh else None
        return Progress(stage, done, self._total, left)


def _zoomed(image: NDArray[np.float32], zoom: float) -> NDArray[np.float32]:
    if not zoom > 0:
        raise GemError(f"A zoom of {zoom} came; expected a number above 0.")
    if zoom == 1:
        return image
    import torch

    # The exact factor, not the ratio of rounded sizes: the patch grid stays in place.
    # An axis that would vanish is repeated first.
    repeats = [int(np.ceil(1 / (size * zoom))) for size in image.shape[:2]]
    image = np.repeat(np.repeat(image, repeats[0], 0), repeats[1], 1)
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(image).movedim(-1, 0)[None],
        scale_factor=zoom,
        mode="bicubic",
        antialias=zoom < 1,
    )
    result: NDArray[np.float32] = enlarged[0].movedim(0, -1).clamp(0, 1).numpy()
    return result


def _encode_tile(
    model: Model, image: NDArray[np.float32], tile: Tile, parameters: EncodeParameters
) -> TileFeatures:
    import torch

    cut = np.ascontiguousarray(image[tile.pixels(model.backbone.patch_size)])
    with torch.inference_mode():
        found = model.backbone.encode_patches(
            torch.from_numpy(cut).movedim(-1, 0)[None], parameters.gem
        )
        patches, view = found.patches[0].float().cpu(), found.image[0].float().cpu()
    if not bool(torch.isfinite(patches).all()):
        raise GemError(
            f"The model {model.card.name} gave no finite numbers in "
            f"{model.precision}. Choose precision float32."
        )
    return patches.numpy(), view.numpy()


def _group_steps(
    model: Model,
    features: Features,
    prompts: Sequence[Prompt],
    parameters: ScoreParameters,
) -> Generator[Progress, None, list[NDArray[np.float32]]]:
    """Embed each class's words, and behind them those of the background."""
    typed = [word for prompt in prompts for word in prompt.words]
    known = {word.casefold() for word in typed}
    words = [w for w in parameters.background if w.casefold() not in known]
    every = typed + words
    for start in range(0, len(every), WORDS):
        yield Progress("Reading words", start, len(every))
        _embed(model, every[start : start + WORDS], parameters)
    groups = [_embed(model, prompt.words, parameters) for prompt in prompts]
    if not parameters.background:
        return groups
    if words:
        embedded = _embed(model, words, parameters)
        same = near_duplicates(embedded, np.concatenate(groups), parameters.near)
        others = embedded[~same]
        if len(others):
            there = in_image(others, features.image_embedding, parameters.present)
            return [*groups, others[there]]
    raise GemError(
        "Every background word means one of the prompts, so there is nothing to tell "
        "them from. Give other background words."
    )


def _embed(
    model: Model, words: Sequence[str], parameters: ScoreParameters
) -> NDArray[np.float32]:
    return embed_words(model.backbone, words, parameters.templates, model.texts)


def _check(model: Model, features: Features, prompts: Sequence[Prompt]) -> None:
    if (model.card.id, model.revision) != (features.model, features.revision):
        raise GemError(
            f"The image was encoded by {features.model} ({features.revision}), the "
            f"words are to be read by {model.card.id} ({model.revision}). Encode the "
            "image with this model."
        )
    check_maps(len(prompts), features.image_shape)


def check_maps(classes: int, shape: tuple[int, int]) -> None:
    """Refuse more maps than fit the memory, before the image is encoded.

    Parameters
    ----------
    classes
        Number of maps.
    shape
        (height, width) of the image.

    Raises
    ------
    GemError
        If they would take more than `LARGEST_MAPS`.
    """
    height, width = shape
    size = 4 * classes * height * width
    if size > LARGEST_MAPS:
        raise GemError(
            f"{classes} maps of {height} x {width} pixels would take "
            f"{size / 2**30:.0f} GiB. Ask for fewer classes or crop the image."
        )
