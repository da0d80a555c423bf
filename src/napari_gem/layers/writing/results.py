"""Results to layer data: what `napari.layers.Layer.create` takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_gem.core.colors import class_color
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import feature_text, without_tags
from napari_gem.core.json_records import to_dict
from napari_gem.core.prompts import label_ids
from napari_gem.core.region import expand, inside
from napari_gem.layers.entry import LABELS, PROBABILITY, LayerEntry
from napari_gem.layers.ledger import fingerprint
from napari_gem.layers.reading.source import geometry_of, level_shapes
from napari_gem.layers.writing.colors import labels_colors, map_colormap
from napari_gem.layers.writing.layer_data import LayerData
from napari_gem.prompts.ids import BACKGROUND
from napari_gem.prompts.parsing import write_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_gem.core.prompts import Prompt
    from napari_gem.core.results import Recipe
    from napari_gem.layers.reading.source import LayerImage

LABELS_OPACITY = 0.6

LONGEST_NAME = 60
"""Characters of a class in the name of its map; the metadata have all of them."""


def short_name(name: str) -> str:
    """Cut the name of a class for the list of layers, which reads no HTML in it."""
    return without_tags(name, LONGEST_NAME)


def result_layers(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.unsignedinteger[Any]],
    recipe: Recipe,
    image: LayerImage,
    *,
    step: int = 1,
    classes: Sequence[Prompt] = (),
) -> list[LayerData]:
    """Make layer data of a result: a map for each class, then the labels.

    Takes a while for large images: not for the viewer's main thread.

    Parameters
    ----------
    probabilities
        (classes, height, width), 0 to 1; each axis divided by ``step``, rounded up.
    labels
        Of the same height and width: 0 for background, else `label_ids` of the
        recipe's prompts.
    recipe
        How it was made.
    image
        What was segmented.
    step
        Image pixels per pixel along each axis; more than 1 for previews.
    classes
        All classes of the prompt table, also those that are off: their label ids are
        named in the features, and their maps are hidden rather than removed.

    Returns
    -------
    list[LayerData]
        The layers lie exactly on the image. Labels have the full size; maps of a
        preview do not (`expand`).
    """
    if recipe.region is not None:
        inside(recipe.region, step, image.shape)  # polygons take a while: not later
    planes = [image.geometry.place(plane) for plane in probabilities]
    placed = image.geometry.place(expand(labels, step, image.shape))
    *maps, drawn = describe_layers(
        planes, placed, recipe, image, step=step, classes=classes
    )
    digest = fingerprint(placed, drawn.kwargs["features"], step)
    return [*maps, replace(drawn, entry=replace(drawn.entry, fingerprint=digest))]


def describe_layers(
    maps: Sequence[Any],
    labels: Any,
    recipe: Recipe,
    image: LayerImage,
    *,
    step: int = 1,
    classes: Sequence[Prompt] = (),
    patch: float = 1.0,
) -> list[LayerData]:
    """Describe maps and labels: names, colours, place, recipe.

    Parameters
    ----------
    maps, labels
        Data of the layers.
    recipe, image, step, classes
        See `result_layers`.
    patch
        Image pixels per pixel of the maps.
    """
    prompts = dict(zip(label_ids(recipe.prompts), recipe.prompts, strict=True))
    colors = {i: prompt.color or class_color(i - 1) for i, prompt in prompts.items()}
    off = {
        prompt.label: prompt
        for prompt in classes
        if prompt.label and prompt.label not in prompts
    }
    suffix = without_tags(f"GEM {image.title}").strip()
    shared = LayerEntry(
        source=image.source,
        plane=tuple(image.plane),
        step=step,
        recipe=to_dict(recipe),
    )
    layers = [
        LayerData(
            plane,
            {
                **image.geometry.transform,
                "name": f"{short_name(prompt.name)} · {suffix}",
                "colormap": map_colormap(colors[label]),
                "contrast_limits": (0.0, 1.0),
                "blending": "additive",
                "visible": False,
                "rgb": False,
                "multiscale": False,
            },
            "image",
            replace(
                shared,
                role=PROBABILITY,
                class_name=prompt.name,
                label=label,
                stable=bool(prompt.label),
                color=tuple(prompt.color or ()),
                patch=patch,
            ),
        )
        for (label, prompt), plane in zip(prompts.items(), maps, strict=True)
    ]
    kwargs = {
        **image.geometry.transform,
        "name": f"labels · {suffix}",
        "features": _features({**prompts, **off}),
        "colormap": labels_colors(colors),
        "opacity": LABELS_OPACITY,
        "multiscale": False,
    }
    entry = replace(
        shared,
        role=LABELS,
        classes={label: prompt.name for label, prompt in prompts.items()},
        off_classes={label: prompt.name for label, prompt in off.items()},
        colors={label: tuple(color) for label, color in colors.items()},
        fixed=tuple(label for label, prompt in prompts.items() if prompt.color),
    )
    return [*layers, LayerData(labels, kwargs, "labels", entry)]


def _features(prompts: Mapping[int, Prompt]) -> dict[str, list[Any]]:
    """Name each label; words that say no more than the name are None.

    napari's status bar leaves out what is None.
    """
    return {
        "index": [0, *prompts],
        "class": [BACKGROUND, *(feature_text(p.name) for p in prompts.values())],
        "words": [
            None,
            *(
                feature_text(write_words(p.words))
                if p.words and not p.is_its_name
                else None
                for p in prompts.values()
            ),
        ],
    }


def move_results(
    layer: Any, image: LayerImage, results: Iterable[LayerData]
) -> list[LayerData]:
    """Lay results on their image where it is now.

    Parameters
    ----------
    layer
        The layer that was segmented; it may have been moved since.
    image
        As it was read.
    results
        From `result_layers`.

    Raises
    ------
    GemError
        If the layer's data now have another shape.
    """
    shapes = level_shapes(layer, len(layer.scale))
    if shapes[0] != image.whole:
        raise GemError(
            f"The data of '{layer.name}' were replaced during the run, so its result "
            "was dropped. Run again."
        )
    return [
        replace(each, kwargs={**each.kwargs, **_transform(layer, image, each)})
        for each in results
    ]


def _transform(layer: Any, image: LayerImage, result: LayerData) -> Mapping[str, Any]:
    """Say where a result lies; maps of large images have a pixel a patch."""
    displayed = image.geometry.displayed
    factors = [
        factor * result.entry.patch if axis in displayed else factor
        for axis, factor in enumerate(image.factors)
    ]
    return geometry_of(layer, displayed, factors, image.position).transform
