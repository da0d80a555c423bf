"""What layers tell of the kind of images that they show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_gem.core.location import read_location
from napari_gem.layers.opening import KEY
from napari_gem.models.domains import ground_pixel
from napari_gem.prompts.domains import ImageClues

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.core.appearance import Appearance


def clues_of_layers(layers: Sequence[Any], appearance: Appearance) -> ImageClues:
    """Read names of layers and of bands, and where the image lies.

    Parameters
    ----------
    layers
        Image layers that are shown as one picture, at least one.
    appearance
        How they are shown.
    """
    stored = dict(layers[0].metadata).get(KEY)
    stored = stored if isinstance(stored, dict) else {}
    place = stored.get("location")
    if isinstance(place, dict):  # as JSON has it
        place = {k: list(v) if isinstance(v, tuple) else v for k, v in place.items()}
    location = read_location(place)
    names = [layer.name for layer in layers if not layer.rgb]
    return ImageClues(
        channels=tuple(name.replace("_", " ") for name in names),
        on_ground=bool(location and location.crs),
        pixel=ground_pixel(location),
        grey=not (appearance.rgb or appearance.channels),
    )
