"""What a recipe says, set in the views and in the layers that are chosen."""

from __future__ import annotations

from dataclasses import fields, replace
from math import isclose
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.fields import with_values
from napari_gem.core.prompts import label_ids
from napari_gem.core.sentences import some_of
from napari_gem.layers import read_appearance
from napari_gem.layers.reading.source import LUT_SIZE
from napari_gem.models.presets import with_preset
from napari_gem.results.magnification import enlargement
from napari_gem.widget.parameters.settings import advanced_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_gem.core.appearance import Appearance
    from napari_gem.core.prompts import Prompt
    from napari_gem.core.results import Recipe
    from napari_gem.models.card import ModelCard
    from napari_gem.widget.image.panel import ImagePanel
    from napari_gem.widget.run.inputs import RunInputs


def show_image_part(panel: ImagePanel, recipe: Recipe, card: ModelCard) -> list[str]:
    """Set slice, channels, contrast, detail and region of the chosen image.

    Contrast limits, gamma and colormap of its layers are set, and a Shapes layer is
    added for a region.

    Returns
    -------
    list[str]
        A sentence for each thing that does not fit the image.

    Raises
    ------
    GemError
        If there is no image.
    """
    # the detail first: it decides the resolution, which slices are counted in
    sentences = [
        _show_detail(panel, recipe, card),
        panel.show_slice(recipe.index),
        _show_appearance(panel, recipe.appearance),
        panel.show_region(recipe.region),
    ]
    return [sentence for sentence in sentences if sentence]


def prompts_for(recipe: Recipe, shape: tuple[int, int]) -> tuple[Prompt, ...]:
    """Classes of a recipe with their ids and what of their examples can be used.

    Examples keep their place if it lies in an image of this (height, width), else
    their vector.
    """
    height, width = shape

    def inside(point: tuple[float, float]) -> bool:
        return -0.5 <= point[0] < height - 0.5 and -0.5 <= point[1] < width - 0.5

    return tuple(
        replace(
            prompt,
            label=label,
            examples=tuple(
                replace(example, point=None)
                if example.point and example.vector and not inside(example.point)
                else example
                for example in prompt.examples
            ),
        )
        for prompt, label in zip(recipe.prompts, label_ids(recipe.prompts), strict=True)
    )


def preset_of(recipe: Recipe, card: ModelCard, presets: Sequence[str]) -> str:
    """Find which of the presets a recipe was made with; empty for none.

    Its detail, words, sentences and what the advanced panel shows may be others.
    """
    names = ("domain", "background", "templates")
    words = {name: getattr(recipe.score, name) for name in names}
    free = {**advanced_of(recipe), **words, "zoom": recipe.encode.zoom}
    for name in ("", *presets):
        preset = with_preset(card, name)
        encode, score = (
            with_values(preset.encode, free),
            with_values(preset.score, free),
        )
        if (encode, score) == (recipe.encode, recipe.score):
            return name
    return ""


def not_shown(inputs: RunInputs, recipe: Recipe) -> str:
    """Say what the views cannot show of a recipe; empty if they show all of it.

    ``inputs`` are what the views say after all was set.
    """
    names = ["squash"] if recipe.squash else []
    job = inputs.job
    if job.score is not None:
        names += _different(job.score, recipe.score)
    if job.encode is not None:
        names += _different(replace(job.encode, gem=recipe.encode.gem), recipe.encode)
        names += _different(job.encode.gem, recipe.encode.gem)
    if job.region is not None and recipe.region is not None:
        bounds = {(r.rows, r.columns) for r in (job.region, recipe.region)}
        names += ["region"] if len(bounds) > 1 else []
    names = [name.replace("_", " ") for name in names if name != "zoom"]
    if not names:
        return ""
    return f"The widget cannot set the recipe's {some_of(names)}."


def _different(one: Any, other: Any) -> list[str]:
    return [
        each.name
        for each in fields(one)
        if getattr(one, each.name) != getattr(other, each.name)
    ]


def _show_detail(panel: ImagePanel, recipe: Recipe, card: ModelCard) -> str:
    """Set a patch that is as large in the world as the recipe's."""
    panel.set_detail(None)
    image = panel.read()
    size, unit = image.pixel_size
    finest = replace(recipe, pixel_size=_divided(recipe.pixel_size, recipe.factor))
    larger = enlargement(finest, _divided(size, image.factor), unit)
    same_level = isclose(recipe.factor, image.factor, rel_tol=0.02)
    usual = recipe.encode.zoom == card.encode.zoom and larger == 1 and same_level
    if not usual:
        panel.set_detail(recipe.patch * recipe.factor * larger or None)
    if usual or recipe.patch:
        return ""
    return "The recipe is of an earlier version and does not tell its detail."


def _divided(
    size: tuple[float, float] | None, factor: float
) -> tuple[float, float] | None:
    return size and (size[0] / factor, size[1] / factor)


def _show_appearance(panel: ImagePanel, appearance: Appearance) -> str:
    shown = appearance.channels or (appearance,)
    if not panel.channel_choice.choose_count(len(shown)):
        return (
            f"The recipe shows {len(shown)} channels together, which the image does "
            "not have. Choose them under Channels."
        )
    layers = panel.layers()
    if any(bool(layer.rgb) != appearance.rgb for layer in layers):
        kinds = ("one channel", "colours")
        return (
            f"The recipe is of an image with {kinds[appearance.rgb]}, and "
            f"'{layers[0].name}' has {kinds[not appearance.rgb]}."
        )
    if panel.channel_choice.channel_axis() is not None:
        panel.channel_choice.set_looks(shown)
    else:
        for layer, look in zip(layers, shown, strict=True):
            _show_look(layer, look)
            if appearance.channels:
                layer.opacity = 1  # the recipe's colours are dimmed already
                minimum = appearance.blending == "minimum"
                layer.blending = "minimum" if minimum else "additive"
    if not _is_close(panel.appearance(), appearance):
        return "The recipe's colours cannot be shown with this image."
    return ""


def _show_look(layer: Any, look: Appearance) -> None:
    """Set what differs: contrast limits, gamma and colormap of an image layer."""
    now = read_appearance(layer)
    if now.limits != look.limits:
        layer.contrast_limits = look.limits
    if now.gamma != look.gamma:
        layer.gamma = look.gamma
    if not look.rgb and now.lut != look.lut:
        layer.colormap = (
            "gray"
            if look.lut is None
            else {"colors": [*look.lut], "name": "GEM recipe"}
        )


def _is_close(one: Appearance, other: Appearance) -> bool:
    """Compare what is shown, up to rounding."""
    if (one.rgb, len(one.channels)) != (other.rgb, len(other.channels)):
        return False
    if one.channels:
        pairs = zip(one.channels, other.channels, strict=True)
        return one.blending == other.blending and all(_is_close(*p) for p in pairs)
    return _near((*one.limits, one.gamma), (*other.limits, other.gamma)) and (
        one.rgb or _near(_colors(one), _colors(other))
    )


def _colors(look: Appearance) -> NDArray[np.float64]:
    """Colours of as many steps, whatever the recipe has."""
    colors = np.array(look.lut or ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    steps, own = np.linspace(0, 1, LUT_SIZE), np.linspace(0, 1, len(colors))
    return np.concatenate([np.interp(steps, own, channel) for channel in colors.T])


def _near(one: ArrayLike, other: ArrayLike) -> bool:
    return np.shape(one) == np.shape(other) and np.allclose(one, other, 1e-5, 1e-5)
