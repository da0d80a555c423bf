"""Results as files: what is written, and the recipe that makes a result again.

`save` writes a folder, with the formats of `writers`. `pyramid` writes results of any
size to zarr. `as_python` and `as_command` say a recipe as a script and as a command.
"""

from __future__ import annotations

from napari_gem.results.as_command import as_command
from napari_gem.results.as_python import as_python
from napari_gem.results.magnification import enlargement
from napari_gem.results.recipe import read_recipe, recipe_text, write_recipe
from napari_gem.results.recipe_model import NotUsedError, check_used, recipe_card

__all__ = [
    "NotUsedError",
    "as_command",
    "as_python",
    "check_used",
    "enlargement",
    "read_recipe",
    "recipe_card",
    "recipe_text",
    "write_recipe",
]
