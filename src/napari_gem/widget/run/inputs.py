"""What the user chose for a run, and the request that the worker gets for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_gem.core.errors import GemError
from napari_gem.core.parameters import LabelParameters
from napari_gem.core.prompts import Example, Prompt, label_ids
from napari_gem.core.results import Job
from napari_gem.core.validation import check_maps
from napari_gem.prompts.parsing import parse_prompts
from napari_gem.widget.state import Place
from napari_gem.worker.messages import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_gem.layers import LayerImage, Policy

    Vectors = Mapping[int, tuple[Example, ...]]


@dataclass(frozen=True, eq=False)
class RunInputs:
    """What a run is given: layers, an image, and what is asked of it.

    Attributes
    ----------
    layers
        The image layers that are segmented as one picture, at least one.
    image
        What of them is shown, and how.
    job
        What is asked, with all classes of the table, also those that are off.
    detail, download
        See `Request`.
    policy
        What becomes of labels that somebody painted on.
    more
        Further slices of the same layer, segmented after the first into one stack.
    """

    layers: tuple[Any, ...]
    image: LayerImage
    job: Job
    detail: float | None = None
    download: bool = False
    policy: Policy = "ask"
    more: tuple[LayerImage, ...] = ()

    @property
    def is_large(self) -> bool:
        """Whether the result is written to disk; slices of a stack are not."""
        return self.image.is_large and not self.more

    @property
    def scoring(self) -> object:
        """Everything that can change without encoding the image again."""
        return self.job.prompts, self.job.score, self.job.label

    @property
    def place(self) -> Place:
        """The image, slice and region that a result is about."""
        return Place(self.image.source, self.image.plane, self.job.region)

    @property
    def encoding(self) -> object:
        """Everything that decides the encoding, but the pixels themselves."""
        job = replace(self.job, prompts=(), score=None, label=LabelParameters())
        # detail is in pixels of the level; channels of an axis are several planes
        planes = [plane.index for plane in self.image.planes]
        return self.place, self.image.shape, planes, self.detail, job


def make_request(inputs: RunInputs, large: bool = False) -> Request:
    """Make the worker's request, still without a run and pixels.

    Results that are ``large`` are written to disk, so that they may have any size.

    Raises
    ------
    GemError
        If there is no class, none is on, or their maps would be too large.
    """
    job = inputs.job
    if job.prompts and not any(prompt.on for prompt in job.prompts):
        raise GemError("Every class is switched off. Switch one on.")
    prompts = parse_prompts(prompt for prompt in job.prompts if prompt.on)
    if not large:
        check_maps(len(prompts), inputs.image.shape)
    return Request(run=0, job=replace(job, prompts=prompts), detail=inputs.detail)


def next_slice(inputs: RunInputs, prompts: tuple[Prompt, ...]) -> RunInputs:
    """Go on to the next slice of a stack, which is the first of ``more``.

    Examples that are places on one slice go on as vectors, which hold on others: those
    in ``prompts``, from the recipe of the slice that is done.
    """
    bare = tuple(replace(prompt, examples=()) for prompt in inputs.job.prompts)
    first, *more = inputs.more
    job = job_of(
        replace(inputs.job, prompts=with_vectors(bare, vectors_of(prompts))), first
    )
    return replace(inputs, image=first, more=tuple(more), job=job)


def job_of(job: Job, image: LayerImage) -> Job:
    """Put what a job needs of an image into it: its appearance, size and place."""
    size, unit = image.pixel_size
    plane = image.file_plane
    if plane is None:
        job = replace(job, index=(), bands="", nodata=image.nodata)
    else:
        job = replace(job, index=plane.index, bands=plane.bands, nodata=plane.nodata)
    return replace(
        job,
        appearance=image.appearance,
        pixel_size=size,
        unit=unit,
        factor=image.factor,
    )


def vectors_of(prompts: tuple[Prompt, ...]) -> Vectors:
    """Examples as vectors without a place, by label id."""
    return {
        label: tuple(replace(e, point=None) for e in prompt.examples if e.vector)
        for label, prompt in zip(label_ids(prompts), prompts, strict=True)
    }


def with_vectors(prompts: tuple[Prompt, ...], vectors: Vectors) -> tuple[Prompt, ...]:
    """Put vectors in the place of those that the prompts have; places stay."""
    return tuple(
        replace(
            prompt,
            examples=(
                *vectors[prompt.label],
                *(e for e in prompt.examples if e.point is not None),
            ),
        )
        if vectors.get(prompt.label)
        else prompt
        for prompt in prompts
    )
