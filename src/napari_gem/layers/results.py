"""Results to layer data: what `napari.layers.Layer.create` takes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from napari_gem.colors import class_color
from napari_gem.layers.source import geometry_of, level_shapes
from napari_gem.records import to_dict
from napari_gem.types import GemError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_gem.layers.source import LayerImage
    from napari_gem.types import Recipe

KEY = "napari_gem"
"""Key of our entry in a layer's metadata."""

LABELS_OPACITY = 0.6


class LayerData(NamedTuple):
    """What napari makes a layer of."""

    data: NDArray[Any]
    kwargs: dict[str, Any]
    kind: Literal["image", "labels"]


def result_layers(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.unsignedinteger[Any]],
    recipe: Recipe,
    image: LayerImage,
) -> list[LayerData]:
    """Make layer data of a result: a map for each class, then the labels.

    Parameters
    ----------
    probabilities
        (classes, height, width), 0 to 1.
    labels
        (height, width), 0 for background, ``i + 1`` for class i.
    recipe
        How it was made.
    image
        What was segmented.

    Returns
    -------
    list[LayerData]
        The layers lie exactly on the image. Each one's ``metadata["napari_gem"]``
        tells its role, class, source layer, plane and recipe.
    """
    names = [prompt.name for prompt in recipe.prompts]
    colors = [class_color(number) for number in range(len(names))]
    suffix = "GEM" if not image.title else f"GEM {image.title}"
    told = {
        "source": image.source,
        "plane": list(image.plane),
        "recipe": to_dict(recipe),
    }
    layers = [
        LayerData(
            image.geometry.place(plane),
            {
                **image.geometry.transform,
                "name": f"{name} · {suffix}",
                "metadata": {KEY: {"role": "probability", "class": name, **told}},
                "colormap": map_colormap(color),
                "contrast_limits": (0.0, 1.0),
                "blending": "additive",
                "visible": False,
                "rgb": False,
                "multiscale": False,
            },
            "image",
        )
        for name, color, plane in zip(names, colors, probabilities, strict=True)
    ]
    placed = image.geometry.place(labels)
    features = {
        "index": list(range(len(names) + 1)),
        "class": ["background", *names],
        "prompt": ["", *(", ".join(prompt.words) for prompt in recipe.prompts)],
    }
    entry = {
        "role": "labels",
        **told,
        "colors": dict(zip(names, colors, strict=True)),
        "fingerprint": fingerprint(placed, features),
    }
    kwargs = {
        **image.geometry.transform,
        "name": f"labels · {suffix}",
        "metadata": {KEY: entry},
        "features": features,
        "colormap": labels_colors(colors),
        "opacity": LABELS_OPACITY,
        "multiscale": False,
    }
    return [*layers, LayerData(placed, kwargs, "labels")]


def missing_classes(results: Sequence[LayerData]) -> list[str]:
    """Name the classes that no pixel has in the labels of a result."""
    labels, kwargs, _ = results[-1]
    names = kwargs["features"]["class"]
    rows = labels.reshape(-1, labels.shape[-1])
    counts = np.zeros(len(names), np.int64)
    for row in rows:  # all at once would take eight times the memory of the labels
        counts += np.bincount(row, minlength=len(names))
    found = zip(names[1:], counts[1:], strict=True)
    return [name for name, count in found if count == 0]


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
    now = geometry_of(layer, image.geometry.displayed, image.factors, image.position)
    return [
        LayerData(data, {**kwargs, **now.transform}, kind)
        for data, kwargs, kind in results
    ]


def labels_colors(
    colors: Iterable[tuple[float, float, float]],
) -> dict[int | None, tuple[float, ...]]:
    """Give each label id its colour; ids that are not listed are shown in grey."""
    table: dict[int | None, tuple[float, ...]] = {
        None: (0.5, 0.5, 0.5, 1.0),
        0: (0.0, 0.0, 0.0, 0.0),
    }
    table.update({i: (*color, 1.0) for i, color in enumerate(colors, start=1)})
    return table


def map_colormap(color: tuple[float, float, float]) -> dict[str, Any]:
    """Shade a map from black to its class's colour."""
    code = "".join(f"{round(255 * part):02x}" for part in color)
    return {"colors": [(0.0, 0.0, 0.0), color], "name": f"GEM #{code}"}


def fingerprint(labels: NDArray[Any], features: Mapping[str, Any]) -> str:
    """Digest of a labels layer's data and features, to see whether it was changed."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{labels.shape}{labels.dtype}".encode())
    digest.update(np.ascontiguousarray(labels).data)
    for column in features:
        values = [str(value) for value in features[column]]
        digest.update(f"{column}{values}".encode())
    return digest.hexdigest()
