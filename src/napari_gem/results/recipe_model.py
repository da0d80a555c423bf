"""The model that a recipe names, which somebody else may have chosen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown
from napari_gem.models.find import find_model
from napari_gem.models.used_list import place_of, was_used

if TYPE_CHECKING:
    from napari_gem.core.results import Recipe
    from napari_gem.models.card import ModelCard

_OTHER_COMPUTER = re.compile(r"\s*[/\\]{2}")
"""How a place in the network begins on Windows, which tells who we are when asked."""


class NotUsedError(GemError):
    """A recipe names a model that this user has not used before.

    Attributes
    ----------
    card
        Of the model.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__(
            f"The recipe asks for the model '{card.name}' in {place_of(card)}, which "
            "you have not used before; a recipe alone does not start it. If you trust "
            f"whoever made it, name it yourself: --model '{card.id}' on the command "
            "line, or replay(..., model=...) in Python."
        )
        self.card = card


def recipe_card(recipe: Recipe, architecture: str = "") -> ModelCard:
    """Find the model of a recipe, without loading anything and without the network.

    Parameters
    ----------
    recipe
        It may come from anybody.
    architecture
        open_clip architecture of a weights file; empty takes the recipe's.

    Raises
    ------
    GemError
        If there is none, or if its name is a place on another computer.
    """
    if _OTHER_COMPUTER.match(recipe.model):
        raise GemError(
            f"The recipe's model is in '{shown(recipe.model, 200)}', on another "
            "computer, which is not asked because a recipe says so. Copy the model "
            "to this one, and choose it there."
        )
    return find_model(recipe.model, architecture or recipe.architecture)


def check_used(card: ModelCard) -> None:
    """Refuse the model of a recipe that this user has not used before.

    Raises
    ------
    NotUsedError
        With its name and its place.
    """
    if not was_used(card):
        raise NotUsedError(card)
