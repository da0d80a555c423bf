"""Recipes: written, read, made again, and said as Python or as a command."""

from __future__ import annotations

from napari_gem.recipes.command import as_command
from napari_gem.recipes.file import read_recipe, recipe_text, write_recipe
from napari_gem.recipes.magnification import enlargement
from napari_gem.recipes.model import NotUsedError, check_used, recipe_card
from napari_gem.recipes.python import as_python
from napari_gem.recipes.replay import replay

__all__ = [
    "NotUsedError",
    "as_command",
    "as_python",
    "check_used",
    "enlargement",
    "read_recipe",
    "recipe_card",
    "recipe_text",
    "replay",
    "write_recipe",
]
