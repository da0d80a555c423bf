"""A recipe that was opened is shown in the dock, and run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError
from napari_gem.core.parameters import PRECISIONS
from napari_gem.models.domains import with_domain
from napari_gem.models.presets import with_preset
from napari_gem.models.used_list import place_of, was_used
from napari_gem.prompts.sets import PromptSet
from napari_gem.results.recipe_model import recipe_card
from napari_gem.widget.models.model_dialog import NamedModel
from napari_gem.widget.parameters.panel import panel_presets
from napari_gem.widget.parameters.settings import advanced_of
from napari_gem.widget.recipes.view import (
    not_shown,
    preset_of,
    prompts_for,
    show_image_part,
)

if TYPE_CHECKING:
    from napari_gem.core.results import Recipe
    from napari_gem.models.card import ModelCard
    from napari_gem.widget.shown import Dock

NOT_USED = (
    "The recipe asks for the model '{name}' in {place}, which you have not used "
    "before. Nothing was started: press Run if you trust whoever made it, or choose "
    "another model."
)


def apply_recipe(dock: Dock, recipe: Recipe) -> None:
    """Show in the dock what a recipe says, and run it if all of it fits.

    A model that the user has not used before waits for Run, and other bands of the
    file until they are read.
    """
    then = partial(_apply, dock, recipe)
    if not dock.image_panel.show_bands(recipe.bands, recipe.nodata, then):
        then()


def _apply(dock: Dock, recipe: Recipe) -> None:
    message = dock.run_bar.show_message
    try:
        card = recipe_card(recipe)
        misfits = show_recipe(dock, recipe, card)
        missing = not_shown(dock.inputs(), recipe)
    except GemError as error:
        message("error", str(error))
        return
    left_out = " ".join(filter(None, (*misfits, missing)))
    if not was_used(card):
        warning = NOT_USED.format(name=card.name, place=place_of(card))
        message("warning", f"{warning} {left_out}".strip())
    elif left_out:
        message("warning", f"{left_out} Run does the rest of the recipe.")
    else:
        dock.run()


def show_recipe(dock: Dock, recipe: Recipe, card: ModelCard) -> list[str]:
    """Set all views; return a sentence for each thing that does not fit the image.

    Raises
    ------
    GemError
        If there is no image; then nothing is set.
    """
    panel = dock.image_panel
    panel.read()
    dock.model_choice.add(NamedModel(recipe.model, recipe.architecture), card.name)
    misfits = show_image_part(panel, recipe, card)
    image = panel.read()
    dock.example_bar.set_image(panel.layer(), image)
    domain, score = recipe.score.domain, recipe.score
    preset = preset_of(recipe, card, panel_presets())
    usual = with_domain(with_preset(card, preset).score, card, domain)
    prompt_set = PromptSet(
        "recipe",
        prompts=prompts_for(recipe, image.shape),
        # its own, so that another domain may bring others
        background=() if score.background == usual.background else score.background,
        templates=() if score.templates == usual.templates else score.templates,
    )
    dock.prompt_table.domain_choice.set_domain(domain)
    if not dock.example_link.load(prompt_set):
        misfits.append("The recipe's classes cannot be in one table.")
    dock.advanced_panel.set_state(
        {
            **advanced_of(recipe),
            "precision": recipe.precision if recipe.precision in PRECISIONS else None,
            "preset": preset or None,
        }
    )
    dock.show_domain()
    return misfits
