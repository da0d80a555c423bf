"""What commands ask on the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

import typer

from napari_gem.core.foreign_text import shown
from napari_gem.core.terminal import say
from napari_gem.models.card import DownloadNeeded, size_text
from napari_gem.models.used_list import place_of
from napari_gem.results.recipe_model import NotUsedError, check_used, recipe_card

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_gem.cli.bars import Bars
    from napari_gem.core.results import Recipe
    from napari_gem.models.card import ModelCard

Result = TypeVar("Result")


def tell(sentence: str) -> None:
    """Write a line that is no result, so that results can be piped."""
    say(sentence, aside=True)


def agrees(card: ModelCard) -> bool:
    """Ask whether a model may be downloaded; say size, source and licence first."""
    tell(f"{card.name} is not on this computer.")
    tell(f"  Size: {size_text(card.size)}")
    tell(f"  From: {card.source or 'not known'}")
    tell(f"  Licence: {card.licence}")
    return typer.confirm("Download it?", err=True)


def agreed_model(recipe: Recipe, architecture: str = "") -> str:
    """Ask whether a recipe's model may be used, if this user has not used it before.

    Returns its name if the user agreed; empty if there was nothing to ask.
    `NotUsedError` says that nobody can be asked.
    """
    card = recipe_card(recipe, architecture)
    try:
        check_used(card)
    except NotUsedError:
        if not can_ask():
            raise
    else:
        return ""
    tell("The recipe asks for a model that you have not used before.")
    tell(f"  Name: {shown(card.name)}")
    tell(f"  From: {shown(place_of(card))}")
    if not typer.confirm("Do you trust whoever made it, and use it?", err=True):
        tell("Nothing was run.")
        raise typer.Exit(1)
    return recipe.model


def can_ask() -> bool:
    """Tell whether somebody sits at the terminal."""
    # without a console the streams may be missing
    return all(s is not None and s.isatty() for s in (sys.stdin, sys.stderr))


def with_consent(
    work: Callable[[bool], Result], bars: Bars, *, allowed: bool
) -> Result:
    """Do what may need a download; where somebody can be asked, ask.

    Parameters
    ----------
    work
        Gets whether a download is allowed.
    bars
        Cleared before the question.
    allowed
        What the user said beforehand.

    Raises
    ------
    DownloadNeeded
        If a download is needed, was not allowed and nobody can be asked.
    """
    try:
        return work(allowed)
    except DownloadNeeded as needed:
        bars.close()
        if not can_ask():
            raise
        if not agrees(needed.card):
            tell("Nothing was downloaded.")
            raise typer.Exit(1) from None
    return work(True)
