"""The words and settings of the dock as a recipe for other images."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from napari_gem._version import __version__
from napari_gem.core.errors import GemError
from napari_gem.core.prompts import label_ids
from napari_gem.core.results import Job, Recipe
from napari_gem.models.catalogue import patch_size
from napari_gem.models.find import find_model
from napari_gem.prompts.parsing import parse_prompts
from napari_gem.widget.run.inputs import vectors_of, with_vectors

if TYPE_CHECKING:
    from napari_gem.core.prompts import Prompt
    from napari_gem.widget.run.inputs import RunInputs

PLACES = (
    "The class {name} has examples, which are places in the image of the GEM widget. "
    "Press Run there first, so that other images can be compared with them."
)
NO_SIZE = (
    "The model {name} is not on this computer yet, so the detail in pixels cannot be "
    "told. Press Run in the GEM widget once."
)


def recipe_of_inputs(inputs: RunInputs, last: Recipe | None) -> Recipe:
    """Make a recipe of what would be asked of the image in front, for other images.

    Parameters
    ----------
    inputs
        Of the dock. A region is left out: it is a place in that image.
    last
        Of the last result, which knows what the examples look like; None for none.

    Returns
    -------
    Recipe
        Its hash of the weights is empty: nobody has loaded them for it.

    Raises
    ------
    GemError
        If there is no class, or what is asked holds for that image alone.
    """
    job = inputs.job
    prompts = parse_prompts(prompt for prompt in job.prompts if prompt.on)
    card = find_model(job.model, job.architecture)
    encode = job.encode or card.encode
    if inputs.detail:
        side = patch_size(card)
        if not side:
            raise GemError(NO_SIZE.format(name=card.name))
        encode = replace(encode, zoom=side / inputs.detail)
    given = {each.name: getattr(job, each.name) for each in fields(Job)}
    given |= {"prompts": _for_other_images(prompts, last), "region": None}
    given |= {"encode": encode, "score": job.score or card.score}
    return Recipe(**given, version=__version__, revision="")


def _for_other_images(
    prompts: tuple[Prompt, ...], last: Recipe | None
) -> tuple[Prompt, ...]:
    """Take what examples look like in place of where they are."""
    labels = label_ids(prompts)
    known = {} if last is None else vectors_of(last.prompts)
    numbered = tuple(
        replace(prompt, label=label)
        for prompt, label in zip(prompts, labels, strict=True)
    )
    moved = with_vectors(numbered, known)
    taken = []
    for prompt, one in zip(prompts, moved, strict=True):
        examples = tuple(e for e in one.examples if e.point is None)
        if len(examples) < len(prompt.examples):
            raise GemError(PLACES.format(name=f"'{prompt.name}'"))
        taken.append(replace(prompt, examples=examples))
    return tuple(taken)
