"""Features and words to probabilities and labels: the cheap half of the line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem._version import __version__
from napari_gem.core.errors import GemError
from napari_gem.core.fields import check_fields
from napari_gem.core.memory import (
    ERRORS,
    NO_MEMORY,
    NoMemoryError,
    explained,
    free_memory,
    is_out_of_memory,
    places,
    short_of_memory,
)
from napari_gem.core.parameters import LabelParameters, ScoreParameters
from napari_gem.core.progress import Clock, Progress
from napari_gem.core.prompts import Prompt, label_ids
from napari_gem.core.results import Features, Recipe, Segmentation
from napari_gem.core.validation import (
    check_maps,
    check_prompts,
    check_score,
    check_sentences,
)
from napari_gem.models.find import load_model_steps
from napari_gem.models.weight_sources import FileWeights, weight_source
from napari_gem.scoring.cache import ScoreCache
from napari_gem.scoring.examples import usable_examples, with_vectors
from napari_gem.scoring.patch_scores import patch_scores, probability_strips
from napari_gem.scoring.presence import is_absent
from napari_gem.scoring.refinement import NO_PICTURE, Shifts, shift_steps
from napari_gem.scoring.text import notices
from napari_gem.scoring.words import word_steps
from napari_gem.segmentation.inside import inside_pixels
from napari_gem.segmentation.postprocess.largest import label_type, largest
from napari_gem.segmentation.postprocess.small import remove_small

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from napari_gem.models.model import Model
    from napari_gem.scoring.patch_scores import PatchScores, RowRanges
    from napari_gem.scoring.words import Words

    Strip = tuple[slice, NDArray[np.float32], NDArray[np.unsignedinteger[Any]]]


@explained
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
    model, features
        The model, and what it made of the image.
    prompts
        The classes; those that are off are left out.
    parameters, label
        None takes those of the model's card, and the defaults.
    step
        Image pixels per pixel of the result along each axis, for previews.
    cache
        Scores of these features made so far; new ones are added.

    Returns
    -------
    Segmentation
        Maps and labels at the image's size, divided by ``step`` and rounded up.

    Raises
    ------
    GemError
        If the features come from another model, if nothing is left to compare a single
        class with, or if the maps do not fit the memory.
    """
    scored = yield from score_steps(
        model, features, prompts, parameters, label, step=step, cache=cache
    )
    shape = _shape(features, step)
    inside = inside_pixels(features, step, slice(0, shape[0]), shape[1])
    probabilities = np.empty((len(scored.prompts), *shape), np.float32)
    labels = np.empty(shape, label_type(max(scored.ids)))
    clock = Clock(shape[0])
    for rows, strip, strip_labels in label_strips(scored, step):
        probabilities[:, rows] = strip
        labels[rows] = strip_labels
        yield clock.progress("Scoring", rows.stop)
    remove_small(labels, scored.label, step)
    shares = _shares(labels, scored.ids, inside)
    return Segmentation(
        probabilities=probabilities,
        labels=labels,
        recipe=scored.recipe,
        notices=scored.notices,
        shares=shares,
        absent=scored.absent(shares),
    )


@dataclass(frozen=True, eq=False)
class Scored:
    """An encoded image scored against words, and what there is to say about it.

    The prompts are those that are on, with their label ids; scores are on the patch
    grid, and shifts, unless there is no refinement, say where pixels read them.
    """

    features: Features
    prompts: tuple[Prompt, ...]
    ids: tuple[int, ...]
    scores: PatchScores
    shifts: Shifts | None
    parameters: ScoreParameters
    label: LabelParameters
    recipe: Recipe
    notices: tuple[str, ...]
    lacking: tuple[bool, ...]

    def absent(self, shares: Sequence[float]) -> tuple[str, ...]:
        """Name the classes that are probably not there, by their shares of labels."""
        return tuple(
            prompt.name
            for prompt, lacking, share in zip(
                self.prompts, self.lacking, shares, strict=True
            )
            if is_absent(lacking, share)
        )


def score_steps(
    model: Model,
    features: Features,
    prompts: Sequence[Prompt],
    parameters: ScoreParameters | None = None,
    label: LabelParameters | None = None,
    *,
    step: int | None = None,
    cache: ScoreCache | None = None,
) -> Generator[Progress, None, Scored]:
    """Read the words and score the image; parameters and errors as `segment_steps`.

    Without ``step`` the maps may have any size.
    """
    parameters = parameters or model.card.score
    label = label or LabelParameters()
    cache = ScoreCache() if cache is None else cache
    prompts = tuple(prompt for prompt in prompts if prompt.on)
    check_features(model, features, prompts, step)
    check_score(parameters)
    check_fields(label)
    check_prompts(prompts)
    check_sentences(prompts, parameters)
    words, short = yield from _read_steps(model, features, prompts, parameters)
    scores = patch_scores(features, words, prompts, parameters, cache)
    rounds = parameters.refinement
    shifts = yield from shift_steps(features, rounds, cache, step or 1)
    from_file = isinstance(weight_source(model.card), FileWeights)
    return Scored(
        features=features,
        prompts=prompts,
        ids=label_ids(prompts),
        scores=scores,
        shifts=shifts,
        parameters=parameters,
        label=label,
        recipe=Recipe(
            version=__version__,
            model=model.card.id,
            revision=model.revision,
            prompts=with_vectors(features, prompts, cache.centred),
            encode=features.parameters,
            score=parameters,
            appearance=features.appearance,
            device=features.device or model.device,
            precision=features.precision or model.precision,
            label=label,
            region=features.region,
            architecture=model.card.architecture if from_file else "",
            patch=features.patch,
            competing=words.competing,
        ),
        notices=(
            *features.notices,
            *filter(None, (model.notice, short)),
            *([NO_PICTURE] if rounds and shifts is None else []),
            *notices(
                model.backbone, prompts, parameters.templates, model.card.known_words
            ),
            *filter(None, (usable_examples(features, prompt)[1] for prompt in prompts)),
        ),
        lacking=tuple(words.lacking),
    )


def _read_steps(
    model: Model,
    features: Features,
    prompts: Sequence[Prompt],
    parameters: ScoreParameters,
) -> Generator[Progress, None, tuple[Words, str]]:
    """Read the words, where the memory suffices; and say so if that is elsewhere."""
    for place in places(model.device, model.precision):
        reader = model
        try:
            if place.given_up:
                reader = yield from load_model_steps(
                    model.card,
                    device=place.device,
                    precision=place.precision,
                    exact=True,
                )
            words = yield from word_steps(reader, features, prompts, parameters)
        except NoMemoryError:
            pass  # the model alone does not fit there
        except ERRORS as error:
            if not is_out_of_memory(error):
                raise
        else:
            model.texts.update(reader.texts)
            change = f"the words were read {place.given_up}"
            return words, short_of_memory(change) if place.given_up else ""
        reader = model  # what does not suffice is let go of
        free_memory()
    raise NoMemoryError(NO_MEMORY)


def label_strips(
    scored: Scored,
    step: int = 1,
    on_patches: Callable[[slice, NDArray[np.float32]], object] | None = None,
    part: RowRanges | None = None,
) -> Generator[Strip, None, None]:
    """Yield rows, (classes, those rows, width) probabilities, and their labels.

    One pixel of the result stands for ``step`` pixels of the image along each axis; the
    other parameters are those of `napari_gem.scoring.patch_scores.probability_strips`.
    """
    features = scored.features
    shape = _shape(features, step)
    if scored.shifts:
        scored.shifts.begin(part.rows.stop if part else shape[0])
    strips = probability_strips(
        scored.scores,
        features.patch / step,
        shape,
        scored.parameters.scale,
        on_patches,
        scored.shifts,
        part,
    )
    try:
        for rows, strip in strips:
            yield rows, *_labelled(scored, strip, step, rows, shape[1])
    finally:
        if scored.shifts:
            scored.shifts.close()


def _labelled(
    scored: Scored, strip: NDArray[np.float32], step: int, rows: slice, width: int
) -> tuple[NDArray[np.float32], NDArray[np.unsignedinteger[Any]]]:
    """Probabilities of the classes in a strip, and its labels; none outside."""
    inside = inside_pixels(scored.features, step, rows, width)
    if inside is not None:
        strip[:, ~inside] = 0
    thresholds = [prompt.threshold for prompt in scored.prompts]
    labels = largest(strip, scored.ids, thresholds)
    if inside is not None:
        labels[~inside] = 0
    return strip[:-1], labels


def check_features(
    model: Model,
    features: Features,
    prompts: Sequence[Prompt],
    step: int | None = 1,
) -> None:
    """Refuse features of another model, no class at all, and maps beyond the memory."""
    if (model.card.id, model.revision) != (features.model, features.revision):
        raise GemError(
            f"The image was encoded by {features.model} ({features.revision}), the "
            f"words are to be read by {model.card.id} ({model.revision}). Encode the "
            "image with this model."
        )
    if not prompts:
        raise GemError("Every class is switched off. Switch one on.")
    if step is not None:
        check_maps(len(prompts), _shape(features, step))


def _shape(features: Features, step: int) -> tuple[int, int]:
    height, width = features.image_shape
    return -(-height // step), -(-width // step)


def _shares(
    labels: NDArray[np.unsignedinteger[Any]],
    ids: Sequence[int],
    inside: NDArray[np.bool_] | None,
) -> tuple[float, ...]:
    counts = np.bincount(labels.ravel(), minlength=max(ids) + 1)
    size = labels.size if inside is None else max(1, int(inside.sum()))
    return tuple(float(counts[i] / size) for i in ids)
