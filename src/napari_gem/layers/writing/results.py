"""Results to layer data: what `napari.layers.Layer.create` takes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from napari_gem.core.colors import class_color
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import feature_text, without_tags
from napari_gem.core.json_records import to_dict
from napari_gem.core.prompts import label_ids
from napari_gem.core.region import expand, inside
from napari_gem.layers.reading.source import geometry_of, level_shapes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_gem.core.prompts import Prompt
    from napari_gem.core.results import Recipe
    from napari_gem.layers.reading.source import LayerImage

    Color = tuple[float, float, float]

KEY = "napari_gem"
"""Key of our entry in a layer's metadata."""

LABELS_OPACITY = 0.6

LONGEST_NAME = 60
"""Characters of a class in the name of its map; the metadata have all of them."""


class LayerData(NamedTuple):
    """What napari makes a layer of."""

    data: Any
    """An array; of large images a list of levels, each read where it is sliced."""
    kwargs: dict[str, Any]
    kind: Literal["image", "labels"]


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
        The layers lie exactly on the image. Each one's ``metadata["napari_gem"]``
        tells its role, class, label id, source layer, plane and recipe. Labels have
        the full size; maps of a preview do not (`expand`).
    """
    if recipe.region is not None:
        inside(recipe.region, step, image.shape)  # polygons take a while: not later
    planes = [image.geometry.place(plane) for plane in probabilities]
    placed = image.geometry.place(expand(labels, step, image.shape))
    made = describe_layers(planes, placed, recipe, image, step=step, classes=classes)
    features = made[-1].kwargs["features"]
    entry = made[-1].kwargs["metadata"][KEY]
    entry["fingerprint"] = fingerprint(placed, features, step)
    return made


def describe_layers(
    maps: Sequence[Any],
    labels: Any,
    recipe: Recipe,
    image: LayerImage,
    *,
    step: int = 1,
    classes: Sequence[Prompt] = (),
) -> list[LayerData]:
    """Say what is to be known of maps and labels: names, colours, place, recipe.

    Parameters
    ----------
    maps, labels
        Data of the layers.
    recipe, image, step, classes
        As for `result_layers`.
    """
    ids = label_ids(recipe.prompts)
    colors = [
        prompt.color or class_color(label - 1)
        for prompt, label in zip(recipe.prompts, ids, strict=True)
    ]
    suffix = without_tags(f"GEM {image.title}").strip()
    told = {
        "source": image.source,
        "plane": list(image.plane),
        "step": step,
        "recipe": to_dict(recipe),
    }
    layers = [
        LayerData(
            plane,
            {
                **image.geometry.transform,
                "name": f"{short_name(prompt.name)} · {suffix}",
                "metadata": {
                    KEY: {
                        "role": "probability",
                        "class": prompt.name,
                        "label": label,
                        "stable": bool(prompt.label),
                        "color": prompt.color and list(prompt.color),
                        **told,
                    }
                },
                "colormap": map_colormap(color),
                "contrast_limits": (0.0, 1.0),
                "blending": "additive",
                "visible": False,
                "rgb": False,
                "multiscale": False,
            },
            "image",
        )
        for prompt, label, color, plane in zip(
            recipe.prompts, ids, colors, maps, strict=True
        )
    ]
    off = _others(classes, ids)
    features = _features(recipe.prompts, ids, off)
    entry = {
        "role": "labels",
        **told,
        "classes": {
            str(label): prompt.name
            for label, prompt in zip(ids, recipe.prompts, strict=True)
        },
        "off": {str(label): prompt.name for label, prompt in off.items()},
        "colors": {
            str(label): list(color) for label, color in zip(ids, colors, strict=True)
        },
        "fixed": [
            label
            for label, prompt in zip(ids, recipe.prompts, strict=True)
            if prompt.color
        ],
        "fingerprint": "",
    }
    kwargs = {
        **image.geometry.transform,
        "name": f"labels · {suffix}",
        "metadata": {KEY: entry},
        "features": features,
        "colormap": labels_colors(dict(zip(ids, colors, strict=True))),
        "opacity": LABELS_OPACITY,
        "multiscale": False,
    }
    return [*layers, LayerData(labels, kwargs, "labels")]


def _others(classes: Iterable[Prompt], ids: Sequence[int]) -> dict[int, Prompt]:
    """Classes of the table that were not looked for, by label id."""
    return {
        prompt.label: prompt
        for prompt in classes
        if prompt.label and prompt.label not in ids
    }


def _features(
    prompts: Sequence[Prompt], ids: Sequence[int], off: Mapping[int, Prompt]
) -> dict[str, list[Any]]:
    named = [*zip(ids, prompts, strict=True), *off.items()]
    return {
        "index": [0, *(label for label, _ in named)],
        "class": ["background", *(feature_text(p.name) for _, p in named)],
        "prompt": ["", *(feature_text(", ".join(p.words)) for _, p in named)],
    }


def missing_classes(results: Sequence[LayerData]) -> list[str]:
    """Name the classes that no pixel has in the labels of a result."""
    labels, kwargs, _ = results[-1]
    seen = np.zeros(2 ** (8 * labels.dtype.itemsize), bool)
    for row in labels.reshape(-1, labels.shape[-1]):
        seen[row] = True  # all at once would take eight times the memory of the labels
    classes = kwargs["metadata"][KEY]["classes"]
    return [name for label, name in classes.items() if not seen[int(label)]]


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
        LayerData(data, {**kwargs, **_transform(layer, image, kwargs)}, kind)
        for data, kwargs, kind in results
    ]


def _transform(
    layer: Any, image: LayerImage, kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Say where a result lies; maps of large images have a pixel a patch."""
    patch = kwargs["metadata"][KEY].get("patch", 1.0)
    displayed = image.geometry.displayed
    factors = [
        factor * patch if axis in displayed else factor
        for axis, factor in enumerate(image.factors)
    ]
    return geometry_of(layer, displayed, factors, image.position).transform


def labels_colors(
    colors: Mapping[int, Sequence[float]],
) -> dict[int | None, tuple[float, ...]]:
    """Give each label id its colour; ids that are not listed are shown in grey."""
    table: dict[int | None, tuple[float, ...]] = {
        None: (0.5, 0.5, 0.5, 1.0),
        0: (0.0, 0.0, 0.0, 0.0),
    }
    table.update({label: (*color[:3], 1.0) for label, color in colors.items()})
    return table


def map_colormap(color: Sequence[float]) -> dict[str, Any]:
    """Shade a map from black to its class's colour."""
    code = "".join(f"{round(255 * part):02x}" for part in color)
    return {"colors": [(0.0, 0.0, 0.0), tuple(color)], "name": f"GEM #{code}"}


def fingerprint(
    labels: NDArray[Any], features: Mapping[str, Any], step: int = 1
) -> str:
    """Digest of a labels layer's data and features, to see whether it was changed.

    Of labels that `expand` made, one pixel of each repeated square is read.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{labels.shape}{labels.dtype}".encode())
    read = labels[(slice(None, None, step),) * labels.ndim]
    digest.update(np.ascontiguousarray(read).data)
    for column in features:
        values = [str(value) for value in features[column]]
        digest.update(f"{column}{values}".encode())
    return digest.hexdigest()
