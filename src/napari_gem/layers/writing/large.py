"""Results of large images to layer data: several levels, read where they are shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import without_tags
from napari_gem.images.number_arrays import check_numbers
from napari_gem.layers.entry import read_entry
from napari_gem.layers.levels.lazy import Coarse, Joined, LazyPlane, Stored
from napari_gem.layers.levels.on_disk import CHUNK, on_disk
from napari_gem.layers.transform import transform_of
from napari_gem.layers.writing.layer_data import LayerData
from napari_gem.layers.writing.results import describe_layers
from napari_gem.results.pyramid import level_shapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_gem.core.prompts import Prompt
    from napari_gem.core.region import Region
    from napari_gem.core.results import Recipe
    from napari_gem.layers.levels.lazy import LevelPlane
    from napari_gem.layers.reading.source import LayerImage
    from napari_gem.results.temporary import ResultFolder


def stored_layers(
    folder: ResultFolder,
    recipe: Recipe,
    image: LayerImage,
    classes: Sequence[Prompt] = (),
) -> list[LayerData]:
    """Make layer data of labels and probabilities on disk.

    Parameters
    ----------
    folder
        With the groups of `napari_gem.segmentation.large.segment_large`; kept as long
        as the layers.
    recipe, image, classes
        See `napari_gem.layers.result_layers`.

    Returns
    -------
    list[LayerData]
        Data are lists of levels, the finest first. Maps lie on the patch grid.

    Raises
    ------
    GemError
        If the files are gone.
    """
    labels = _levels(folder, "labels.zarr")
    maps = _levels(folder, "probabilities.zarr")
    planes: list[list[LevelPlane]] = [
        [Stored(level, number, np.dtype(np.float32), folder) for level in maps]
        for number in range(len(recipe.prompts))
    ]
    drawn: list[LevelPlane] = [
        Stored(level, None, labels[0].dtype, folder) for level in labels
    ]
    return _layers(planes, drawn, recipe, image, 1, classes)


def coarse_layers(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.unsignedinteger[Any]],
    recipe: Recipe,
    image: LayerImage,
    step: int,
    classes: Sequence[Prompt] = (),
) -> list[LayerData]:
    """Make layer data of a preview, with the levels that the result will have.

    Parameters are those of `napari_gem.layers.result_layers`.
    """
    patch = recipe.patch
    rows, columns = (int(-(-length // patch)) for length in image.shape)
    planes: list[list[LevelPlane]] = [
        [
            Coarse(values, step / patch / 2**level, shape)
            for level, shape in enumerate(level_shapes((rows, columns)))
        ]
        for values in probabilities
    ]
    drawn: list[LevelPlane] = [
        Coarse(labels, step / 2**level, shape)
        for level, shape in enumerate(level_shapes(image.shape))
    ]
    return _layers(planes, drawn, recipe, image, step, classes)


def join_levels(
    old: Sequence[LazyPlane], result: LayerData, image: LayerImage
) -> list[LazyPlane]:
    """Join the levels of a result for a region with those of the earlier result.

    A result for all of the image, or with other levels, is taken as it is.
    """
    new: list[LazyPlane] = result.data
    region = result.entry.region
    shapes = [level.shape for level in new]
    known = [level for level in old if isinstance(level, LazyPlane)]
    if region is None or [level.shape for level in known] != shapes:
        return new
    return [
        LazyPlane(
            Joined(
                newer.plane,
                _visible_below(older.plane, region),
                region,
                result.entry.patch * 2**level,
                image.shape,
            ),
            image.geometry,
        )
        for level, (newer, older) in enumerate(zip(new, known, strict=True))
    ]


def paint_copy(labels: Any, folder: ResultFolder) -> LayerData:
    """Copy labels of a large image to a layer that can be painted on; takes a while.

    Parameters
    ----------
    labels
        A labels layer with levels, as `stored_layers` makes.
    folder
        Gets a zarr array, which the layer writes to; kept as long as the layer.

    Returns
    -------
    LayerData
        Of one resolution. It is the user's own: no run changes it.

    Raises
    ------
    GemError
        If it is no such layer, or the disk is full.
    """
    if not (hasattr(labels, "selected_label") and labels.multiscale):
        raise GemError(
            f"'{labels.name}' can be painted on as it is, or holds no labels. Choose "
            "the labels of a large image."
        )
    source = labels.data[0]
    down = int(np.argmax([length > 1 for length in source.shape]))
    try:
        array = on_disk(source.shape, source.dtype, folder)
        for start in range(0, source.shape[down], CHUNK):
            band = (slice(None),) * down + (slice(start, start + CHUNK),)
            array[band] = np.asarray(source[band])
    except OSError as error:
        raise GemError(
            f"The copy could not be written to '{folder.path}' ({error}). Look whether "
            "the disk is full."
        ) from error
    kwargs = {
        **transform_of(labels),
        "name": without_tags(f"{labels.name} · paint"),
        "features": labels.features,
        "colormap": labels.colormap,
        "opacity": labels.opacity,
        "multiscale": False,
    }
    return LayerData(array, kwargs, "labels", replace(read_entry(labels), layer=""))


def _visible_below(plane: LevelPlane, region: Region) -> LevelPlane:
    """Leave out previews, and results that are hidden by a result for this region.

    The files of those can then be removed.
    """
    if not isinstance(plane, Joined):
        return plane
    old = _visible_below(plane.old, region)
    if isinstance(plane.new, Coarse) or _covers(region, plane.region):
        return old
    return plane if old is plane.old else replace(plane, old=old)


def _covers(region: Region, other: Region) -> bool:
    """Tell whether a region surely contains another one."""
    if region.polygon:
        return region == other
    pairs = (region.rows, other.rows), (region.columns, other.columns)
    return all(a[0] <= b[0] and b[1] <= a[1] for a, b in pairs)


def _layers(
    maps: list[list[LevelPlane]],
    labels: list[LevelPlane],
    recipe: Recipe,
    image: LayerImage,
    step: int,
    classes: Sequence[Prompt],
) -> list[LayerData]:
    described = describe_layers(
        [[LazyPlane(level, image.geometry) for level in levels] for levels in maps],
        [LazyPlane(level, image.geometry) for level in labels],
        recipe,
        image,
        step=step,
        classes=classes,
        patch=recipe.patch,
    )
    return [replace(each, kwargs=_with_levels(each)) for each in described]


def _with_levels(result: LayerData) -> dict[str, Any]:
    smooth = {"interpolation2d": "linear"} if result.kind == "image" else {}
    return {**result.kwargs, "multiscale": True, **smooth}


def _levels(folder: ResultFolder, name: str) -> list[Any]:
    import zarr

    try:
        group = zarr.open_group(store=str(folder.path / name), mode="r")
        levels = [group[str(n)] for n in range(len(list(group.array_keys())))]
    except (OSError, KeyError, ValueError) as error:
        raise GemError(
            f"The result in '{folder.path}' could not be read ({error}). Run again."
        ) from error
    for level in levels:
        check_numbers(level, name)
    return levels
