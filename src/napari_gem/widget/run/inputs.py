"""What the user chose for a run, and the request that the worker gets for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_gem.core.errors import GemError
from napari_gem.core.parameters import (
    EncodeParameters,
    LabelParameters,
    ScoreParameters,
)
from napari_gem.core.prompts import Example, Prompt, label_ids
from napari_gem.core.region import Region
from napari_gem.core.results import Job
from napari_gem.core.validation import check_maps
from napari_gem.prompts.parsing import parse_prompts
from napari_gem.worker.messages import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_gem.layers import LayerImage, Policy

    Vectors = Mapping[int, tuple[Example, ...]]


@dataclass(frozen=True, eq=False)
class RunInputs:
    """What a run is given: layers, an image, prompts and parameters.

    Attributes
    ----------
    layers
        The image layers that are segmented as one picture, at least one.
    image
        What of them is shown, and how.
    prompts
        The classes, also those that are off.
    model, architecture, device, precision, encode, region
        See `Job`; with the image and the detail they decide the encoding.
    score, label
        See `Job`.
    detail, download
        See `Request`.
    policy
        What becomes of labels that somebody painted on.
    more
        Further slices of the same layer, segmented after the first into one stack.
    """

    layers: tuple[Any, ...]
    image: LayerImage
    prompts: tuple[Prompt, ...]
    model: str = "embedded"
    architecture: str = ""
    device: str = "auto"
    precision: str = "auto"
    encode: EncodeParameters | None = None
    detail: float | None = None
    region: Region | None = None
    score: ScoreParameters | None = None
    label: LabelParameters = field(default_factory=LabelParameters)
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
        return self.prompts, self.score, self.label

    @property
    def encoding(self) -> object:
        """Everything that decides the encoding, but the pixels themselves."""
        return (
            self.image.source,
            self.image.plane,
            self.image.shape,  # of the level: its detail is in pixels of that
            self.image.appearance,
            [plane.index for plane in self.image.planes],
            self.model,
            self.architecture,
            self.device,
            self.precision,
            self.encode,
            self.detail,
            self.region,
        )


def make_request(inputs: RunInputs, large: bool = False) -> Request:
    """Make the worker's request, still without a run and pixels.

    Results that are ``large`` are written to disk, so that they may have any size.

    Raises
    ------
    GemError
        If there is no class, none is on, or their maps would be too large.
    """
    if inputs.prompts and not any(prompt.on for prompt in inputs.prompts):
        raise GemError("Every class is switched off. Switch one on.")
    prompts = parse_prompts(prompt for prompt in inputs.prompts if prompt.on)
    if not large:
        check_maps(len(prompts), inputs.image.shape)
    size, unit = inputs.image.pixel_size
    job = Job(
        appearance=inputs.image.appearance,
        prompts=prompts,
        model=inputs.model,
        device=inputs.device,
        precision=inputs.precision,
        encode=inputs.encode,
        score=inputs.score,
        architecture=inputs.architecture,
        label=inputs.label,
        region=inputs.region,
        pixel_size=size,
        unit=unit,
    )
    return Request(run=0, job=job, detail=inputs.detail)


def next_slice(inputs: RunInputs, prompts: tuple[Prompt, ...]) -> RunInputs:
    """Go on to the next slice of a stack, which is the first of ``more``.

    Examples that are places on one slice go on as vectors, which hold on others: those
    in ``prompts``, from the recipe of the slice that is done.
    """
    bare = tuple(replace(prompt, examples=()) for prompt in inputs.prompts)
    first, *more = inputs.more
    return replace(
        inputs,
        image=first,
        more=tuple(more),
        prompts=with_vectors(bare, vectors_of(prompts)),
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
