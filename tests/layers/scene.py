"""Results to show in a viewer model."""

from __future__ import annotations

import numpy as np

from napari_gem import layers
from napari_gem.core.appearance import Appearance
from napari_gem.core.parameters import EncodeParameters, ScoreParameters
from napari_gem.core.prompts import Prompt, label_ids
from napari_gem.core.region import inside
from napari_gem.core.results import Recipe
from napari_gem.widget.results.result_layers import ResultLayers


def recipe_of(*prompts, region=None, appearance=None):
    """Prompts as records, or as words: then nobody chose their label ids."""
    results = tuple(
        p if isinstance(p, Prompt) else Prompt(tuple(p.split(","))) for p in prompts
    )
    return Recipe(
        version="0",
        model="embedded",
        revision="abc",
        prompts=results,
        encode=EncodeParameters(),
        score=ScoreParameters(),
        appearance=appearance or Appearance(),
        device="cpu",
        precision="float32",
        region=region,
    )


def results_of(image, *prompts, step=1, shift=0, region=None, classes=()):
    """Stripes of the classes; another shift gives other labels."""
    recipe = recipe_of(*prompts, region=region)
    ids = label_ids(recipe.prompts)
    height, width = (-(-n // step) for n in image.shape)
    number = np.arange(height * width).reshape(height, width) + shift
    labels = np.array([0, *ids])[number % (len(ids) + 1)].astype(np.uint8)
    if region is not None:
        (rows, columns), mask = inside(region, step, image.shape)
        whole = np.zeros(image.shape, bool)
        whole[rows, columns] = True if mask is None else mask
        labels[~whole[::step, ::step]] = 0
    maps = np.stack([(labels == i) * np.float32(0.9) for i in ids])
    return layers.result_layers(maps, labels, recipe, image, step=step, classes=classes)


def show_results(viewer, image, results):
    """Show a result once, without undo."""
    ResultLayers(viewer).show(image, results)


def entry_of(result):
    return result.entry.to_dict()


def entry(layer):
    return layer.metadata[layers.KEY]
