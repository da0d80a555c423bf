"""Recipes as files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from napari_gem.core.atomic import write_whole
from napari_gem.core.errors import GemError
from napari_gem.core.json_records import from_dict, parse_json, read_text, to_dict
from napari_gem.core.location import read_location
from napari_gem.core.prompts import label_ids
from napari_gem.core.results import Recipe
from napari_gem.core.validation import check_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_gem.core.location import Location

SCHEMA = 1
"""Version of the file's schema."""

SCHEMA_KEY = "napari_gem_recipe"

NAME = "recipe.json"
NAMES: tuple[str, ...] = (NAME,)


def recipe_text(recipe: Recipe, more: Mapping[str, Any] | None = None) -> str:
    """Write the text of a recipe file; `read_recipe` ignores further entries."""
    content = {SCHEMA_KEY: SCHEMA, **to_dict(recipe), **(more or {})}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write_recipe(recipe: Recipe, path: Path | str) -> Path:
    """Write a recipe file; what was there stays whole until the new one is.

    Raises
    ------
    GemError
        If the file cannot be written.
    """
    path = Path(path)
    try:
        write_whole(path, recipe_text(recipe))
    except OSError as error:
        raise GemError(
            f"The recipe '{path}' cannot be written ({error.strerror or error}). "
            "Choose another place."
        ) from error
    return path


def read_recipe(path: Path | str) -> Recipe:
    """Read a recipe file, or the ``recipe.json`` of a folder of results.

    Raises
    ------
    GemError
        If there is no such file or it is no recipe; the message says where.
    """
    path = Path(path)
    path = path / NAME if path.is_dir() else path
    try:
        content = parse_json(read_text(path))
    except OSError as error:
        raise GemError(
            f"The recipe '{path}' cannot be read ({error.strerror or error})."
        ) from error
    except ValueError as error:
        raise GemError(
            f"'{path}' is no recipe, since it is not JSON as recipes are ({error}). "
            f"Choose the {NAME} of a folder of results."
        ) from error
    try:
        _check_schema(content)
        recipe = from_dict(Recipe, content)
        check_recipe(recipe)
    except GemError as error:
        raise GemError(f"'{path}' cannot be used. {error}") from error
    return recipe


def _check_schema(content: object) -> None:
    # results written before there was a schema version have none
    schema = content.get(SCHEMA_KEY, SCHEMA) if isinstance(content, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise GemError(
            f"It is a recipe of schema {schema}, and this napari-gem reads up to "
            f"{SCHEMA}. Update napari-gem."
        )
    if schema != SCHEMA:
        raise GemError(
            f"It is no recipe: '{SCHEMA_KEY}' is missing or not {SCHEMA}. Choose the "
            f"{NAME} of a folder of results."
        )


def read_result_location(path: Path) -> Location | None:
    """Read where a result lies from its recipe's file; None if that does not say."""
    try:
        content = parse_json(read_text(path))
    except (OSError, ValueError):
        return None
    return read_location(content.get("location")) if isinstance(content, dict) else None


class HasRecipe(Protocol):
    """A result, or what becomes one, with its recipe and notices for the user."""

    @property
    def recipe(self) -> Recipe: ...  # noqa: D102
    @property
    def notices(self) -> tuple[str, ...]: ...  # noqa: D102


def write_result_recipe(
    result: HasRecipe,
    folder: Path,
    location: Location | None,
) -> None:
    """Write the recipe with the classes' label ids, notices and where pixels lie.

    Parameters
    ----------
    result
        The result.
    folder
        Where the file is written.
    location
        None if it is not known.
    """
    prompts = result.recipe.prompts
    names = (prompt.name for prompt in prompts)
    ids = dict(zip(map(str, label_ids(prompts)), names, strict=True))
    more = {
        "labels": {"0": "background", **ids},
        "pixel_size": location.pixel_size if location and location.unit else None,
        "unit": location.unit if location else "",
        "location": asdict(location) if location else None,
        "notices": result.notices,
    }
    (folder / NAME).write_text(recipe_text(result.recipe, more), encoding="utf-8")
