"""The straight line: pixels and words to probabilities and labels.

`encode_steps` is costly and needs no words; `segment_steps` is cheap and needs no
image. Both are generators that yield `Progress` and return their result, so whoever
runs them shows progress and cancels between two steps by not going on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem._version import __version__
from napari_gem.checks import check_encode, check_label, check_prompts, check_score
from napari_gem.examples import centre, prototype_scores, usable, with_vectors
from napari_gem.image import check_image, render, stretch
from napari_gem.models import load_model
from napari_gem.postprocess.largest import label_type, largest
from napari_gem.postprocess.small import remove_small
from napari_gem.scores import (
    ScoreCache,
    group_scores,
    in_image,
    min_max,
    near_duplicates,
    probability_strips,
    probably_absent,
    smooth,
)
from napari_gem.steps import run
from napari_gem.text import embed_words, notices, parse_prompts
from napari_gem.tiles import (
    Tile,
    blend,
    grid_shape,
    pad_to_grid,
    plan_tiles,
    tiles_of,
    unit,
    upsample,
)
from napari_gem.types import (
    Appearance,
    EncodeParameters,
    Features,
    GemError,
    LabelParameters,
    Progress,
    Prompt,
    Recipe,
    Region,
    ScoreParameters,
    Segmentation,
    label_ids,
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
    region: Region | None = None,
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
    region
        Only tiles that touch its rectangle are encoded; None encodes all. Within the
        region the features are those of the whole image.
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
    check_encode(parameters, pixels.shape)
    patch = model.backbone.patch_size
    image = _zoomed(render(pixels, appearance), parameters.zoom)
    shape = grid_shape(image.shape[0], image.shape[1], patch)
    image = pad_to_grid(image, patch)
    every = plan_tiles(*shape, parameters.tile, parameters.overlap)
    wanted = tiles_of(region, pixels.shape, patch / parameters.zoom, every)
    tiles = {number: every[number] for number in wanted}
    finished = {} if partial is None else partial
    missing = [number for number in tiles if number not in finished]
    clock = _Clock(len(tiles), skipped=len(tiles) - len(missing))
    yield clock.progress("Encoding", len(tiles) - len(missing))
    for done, number in enumerate(missing, start=len(tiles) - len(missing) + 1):
        finished[number] = _encode_tile(model, image, tiles[number], parameters)
        yield clock.progress("Encoding", done)
    pieces = ((tile, finished[number][0]) for number, tile in tiles.items())
    array = blend(shape, parameters.overlap, pieces)
    views = np.zeros((len(every), array.shape[-1]), np.float32)
    for number in tiles:
        views[number] = unit(finished[number][1])
    return Features(
        array=array.astype(np.float16),
        image_embedding=unit(views[wanted].mean(axis=0)),
        image_shape=(pixels.shape[0], pixels.shape[1]),
        patch=patch / parameters.zoom,
        model=model.card.id,
        revision=model.revision,
        parameters=parameters,
        appearance=appearance,
        region=region,
        views=views,
    )


def restrict(features: Features, region: Region | None) -> Features:
    """Look at a region of an image that is encoded as a whole.

    Returns
    -------
    Features
        The same as if only the region had been encoded, as far as it reaches.
    """
    if region is None or features.views is None:
        return features
    used = features.parameters
    rows, columns = features.array.shape[:2]
    every = plan_tiles(rows, columns, used.tile, used.overlap)
    wanted = tiles_of(region, features.image_shape, features.patch, every)
    embedding = unit(features.views[wanted].mean(axis=0))
    return replace(features, region=region, image_embedding=embedding)


def segment_steps(
    model: Model,
    features: Features,
    prompts: Sequence[Prompt],
    parameters: ScoreParameters | None = None,
    label: LabelParameters | None = None,
    *,
    step: int = 1,
    cache: ScoreCache | None = None,
) -> Generator[Progress, None, Segmentation]:
    """Score an encoded image against words and make labels.

    Parameters
    ----------
    model
        The model that made the features.
    features
        From `encode_steps`.
    prompts
        The classes; those that are off are left out. `label_ids` tells their ids.
    parameters
        None takes those of the model's card.
    label
        None takes the defaults.
    step
        Image pixels per pixel of the result along each axis, for previews.
    cache
        Scores of these features made so far; new ones are added.

    Yields
    ------
    Progress
        Reading words, then a step for each strip of the image.

    Returns
    -------
    Segmentation
        Maps and labels at the image's size, divided by ``step`` and rounded up.

    Raises
    ------
    GemError
        If the features come from another model, if nothing is left to compare a
        single class with, or if the maps would not fit the memory.
    """
    parameters = parameters or model.card.score
    label = label or LabelParameters()
    cache = ScoreCache() if cache is None else cache
    prompts = tuple(prompt for prompt in prompts if prompt.on)
    _check(model, features, prompts, step)
    check_score(parameters)
    check_label(label)
    check_prompts(prompts)
    words = yield from _embed_steps(model, features, prompts, parameters)
    scores = group_scores(features.array, words.groups, cache)
    if any(prompt.examples for prompt in prompts):
        cache.centred = cache.centred or centre(features)
        scores = prototype_scores(features, prompts, scores, cache.centred)
    scores = smooth(scores, parameters.smoothing / features.patch)
    if parameters.background:
        scores[-1] += np.log(parameters.background_weight) / parameters.scale
    else:
        scores[-1] = -1e4  # no words, no share
    shape = _shape(features, step)
    inside = _inside(features.region, shape, step)
    probabilities = np.empty((len(prompts), *shape), np.float32)
    ids = label_ids(prompts)
    labels = np.empty(shape, label_type(max(ids)))
    thresholds = [prompt.threshold for prompt in prompts]
    clock = _Clock(shape[0])
    for rows, strip in probability_strips(
        scores, features.patch / step, shape, parameters.scale
    ):
        if inside is not None:
            strip[:, ~inside[rows]] = 0
        probabilities[:, rows] = strip[:-1]
        labels[rows] = largest(strip, ids, thresholds)
        if inside is not None:
            labels[rows][~inside[rows]] = 0
        yield clock.progress("Scoring", rows.stop)
    remove_small(labels, label.minimum_size / step**2)
    from_file = model.card.weights.startswith("file:")
    return Segmentation(
        probabilities=probabilities,
        labels=labels,
        recipe=Recipe(
            version=__version__,
            model=model.card.id,
            revision=model.revision,
            prompts=with_vectors(features, prompts, cache.centred),
            encode=features.parameters,
            score=parameters,
            appearance=features.appearance,
            device=model.device,
            precision=model.precision,
            label=label,
            region=features.region,
            architecture=model.card.architecture if from_file else "",
        ),
        notices=(
            *notices(
                model.backbone, prompts, parameters.templates, model.card.known_words
            ),
            *filter(None, (usable(features, prompt)[1] for prompt in prompts)),
        ),
        shares=_shares(labels, ids, inside),
        absent=tuple(
            prompt.name
            for prompt, absent in zip(prompts, words.absent, strict=True)
            if absent and not prompt.examples
        ),
    )


def encode(
    image: ArrayLike,
    model: Model | str = "embedded",
    *,
    appearance: Appearance | None = None,
    parameters: EncodeParameters | None = None,
    region: Region | None = None,
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
    region
        The part to encode; None for all.
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
    steps = encode_steps(loaded, pixels, shown, parameters, region=region)
    return run(steps, progress)


def segment(
    image: ArrayLike | Features,
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
    _check(loaded, features, classes)
    chosen = replace(parameters or loaded.card.score, background=())
    words = run(_embed_steps(loaded, features, classes, chosen))
    scores = group_scores(features.array, words.groups[:-1])
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


@dataclass(frozen=True, eq=False)
class _Words:
    """Text embeddings of each class and, last, of the background."""

    groups: list[NDArray[np.float32]]
    absent: list[bool]


def _embed_steps(
    model: Model,
    features: Features,
    prompts: Sequence[Prompt],
    parameters: ScoreParameters,
) -> Generator[Progress, None, _Words]:
    typed = [word for prompt in prompts for word in prompt.words]
    known = {word.casefold() for word in typed}
    words = [w for w in parameters.background if w.casefold() not in known]
    every = typed + words
    for start in range(0, len(every), WORDS):
        yield Progress("Reading words", start, len(every))
        _embed(model, every[start : start + WORDS], parameters)
    none = np.empty((0, len(features.image_embedding)), np.float32)
    groups = [
        _embed(model, prompt.words, parameters) if prompt.words else none
        for prompt in prompts
    ]
    background = _embed(model, words, parameters) if words else none
    absent = probably_absent(
        groups, background, features.image_embedding, parameters.present
    )
    if len(background) and typed:
        same = near_duplicates(background, np.concatenate(groups), parameters.near)
        background = background[~same]
    if parameters.background and not len(background):
        raise GemError(
            "Every background word means one of the prompts, so there is nothing to "
            "tell them from. Give other background words."
        )
    if len(background):
        there = in_image(background, features.image_embedding, parameters.present)
        background = background[there]
    return _Words([*groups, background], absent)


def _embed(
    model: Model, words: Sequence[str], parameters: ScoreParameters
) -> NDArray[np.float32]:
    return embed_words(model.backbone, words, parameters.templates, model.texts)


def _check(
    model: Model, features: Features, prompts: Sequence[Prompt], step: int = 1
) -> None:
    if (model.card.id, model.revision) != (features.model, features.revision):
        raise GemError(
            f"The image was encoded by {features.model} ({features.revision}), the "
            f"words are to be read by {model.card.id} ({model.revision}). Encode the "
            "image with this model."
        )
    if not prompts:
        raise GemError("Every class is switched off. Switch one on.")
    check_maps(len(prompts), _shape(features, step))


def _shape(features: Features, step: int) -> tuple[int, int]:
    height, width = features.image_shape
    return -(-height // step), -(-width // step)


def _inside(
    region: Region | None, shape: tuple[int, int], step: int
) -> NDArray[np.bool_] | None:
    """Tell which pixels of the result lie in the region; None for all."""
    if region is None:
        return None
    inside = np.zeros(shape, bool)
    inside[
        region.rows[0] // step : -(-region.rows[1] // step),
        region.columns[0] // step : -(-region.columns[1] // step),
    ] = True
    if region.polygon:
        from skimage.draw import polygon2mask

        # a pixel of a preview has its middle between those that it stands for
        corners = (np.asarray(region.polygon) - (step - 1) / 2) / step
        inside &= polygon2mask(shape, corners)
    return inside


def _shares(
    labels: NDArray[np.unsignedinteger[Any]],
    ids: Sequence[int],
    inside: NDArray[np.bool_] | None,
) -> tuple[float, ...]:
    counts = np.bincount(labels.ravel(), minlength=max(ids) + 1)
    size = labels.size if inside is None else max(1, int(inside.sum()))
    return tuple(float(counts[i] / size) for i in ids)


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
