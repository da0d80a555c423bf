"""Recipes: written, read, made again, and said as Python or as a command."""

from __future__ import annotations

from napari_gem.recipes.command import as_command
from napari_gem.recipes.file import read_recipe, recipe_text, write_recipe
from napari_gem.recipes.magnification import enlargement
from napari_gem.recipes.python import as_python
from napari_gem.recipes.replay import replay

__all__ = [
    "as_command",
    "as_python",
    "enlargement",
    "read_recipe",
    "recipe_text",
    "replay",
    "write_recipe",
]
