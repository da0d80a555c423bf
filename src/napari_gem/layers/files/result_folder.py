"""The labels in a folder of results, as the command line writes it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import without_tags
from napari_gem.core.location import location_of
from napari_gem.images.files import open_scene
from napari_gem.layers.levels.lazy import LazyPlane, Stored
from napari_gem.layers.opening import place_in_napari
from napari_gem.layers.reading.source import Geometry, LayerImage
from napari_gem.layers.writing.results import describe_layers
from napari_gem.results.recipe import NAME, read_recipe, read_result_location
from napari_gem.results.save import NAMES

if TYPE_CHECKING:
    from napari_gem.core.location import Location
    from napari_gem.core.results import Recipe

    LayerTuple = tuple[Any, ...]

NO_LAYER = (None,)
"""What napari takes for a file that was read and has no layers."""

LABELS = ("labels.tif", "labels.zarr")
"""Names of the labels in such a folder."""


def is_result(path: Path) -> bool:
    """Tell whether a path is a recipe, or another file of results beside one."""
    name = path.name.casefold()
    return name == NAME or (name in NAMES and path.with_name(NAME).is_file())


def read_result_folder(path: str | Path) -> list[LayerTuple]:
    """Read the labels beside a recipe, with the names and colours of its classes.

    Parameters
    ----------
    path
        The ``recipe.json``, or any file that lies beside it.

    Returns
    -------
    list
        (data, kwargs, kind) of one labels layer, as `napari.layers.Layer.create` takes
        it. Large ones have several resolutions, which are read where they are shown.
        Without labels beside the recipe there is none, and a warning says so.

    Raises
    ------
    GemError
        If it is no recipe, or the labels are damaged.
    """
    path = Path(path).with_name(NAME)
    recipe = read_recipe(path)
    files = [path.with_name(name) for name in LABELS if path.with_name(name).exists()]
    if not files:
        # napari would bury the sentence of an error in others
        warnings.warn(
            f"'{path.name}' is a recipe, and there are no labels beside it. To use it, "
            "choose Open recipe in the GEM widget.",
            stacklevel=2,
        )
        return [NO_LAYER]
    # what was written last belongs to the recipe
    file = max(files, key=lambda each: each.stat().st_mtime)
    scene = open_scene(file, values=True)
    levels = scene.levels
    if any(level.ndim != 2 or level.dtype.kind not in "bui" for level in levels):
        raise GemError(
            f"'{file.name}' in '{path.parent.name}' holds no labels: they are whole "
            "numbers in rows and columns. Run the recipe again."
        )
    height, width = levels[0].shape
    location = read_result_location(path) or scene.location
    image = _place(recipe, location, (int(height), int(width)))
    if len(levels) == 1:
        data: Any = scene.pixels
    else:
        data = [
            LazyPlane(Stored(level, None, level.dtype, None), image.geometry)
            for level in levels
        ]
    *_, labels = describe_layers([None] * len(recipe.prompts), data, recipe, image)
    name = without_tags(f"labels · {path.resolve().parent.name}")
    kwargs = {**labels.kwargs, "name": name, "multiscale": len(levels) > 1}
    content, state, kind = labels.as_tuple()
    return [(content, {**state, **kwargs}, kind)]


def _place(
    recipe: Recipe, location: Location | None, shape: tuple[int, int]
) -> LayerImage:
    """Say where the labels lie: on their image, or at the origin in the pixel size."""
    location = location or location_of(recipe.pixel_size, recipe.unit)
    where: dict[str, Any] = {"scale": (1.0, 1.0), **place_in_napari(location, "")}
    # layers of metres beside such of µm make more steps than napari's sliders count;
    # maps lie beside maps
    if not location or (location.unit in ("", "m") and not location.crs):
        where.pop("units", None)
    return LayerImage(
        planes=(),
        shape=shape,
        appearance=recipe.appearance,
        geometry=Geometry(where, (0, 1)),
        source="",
        whole=shape,
        factors=(1.0, 1.0),
        position={},
    )
