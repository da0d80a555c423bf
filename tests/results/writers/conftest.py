"""Results with regions of any shape, and images that lie in several places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_gem.core.appearance import Appearance
from napari_gem.core.location import Location
from napari_gem.core.parameters import EncodeParameters, ScoreParameters
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Recipe, Segmentation
from napari_gem.images.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Make = Callable[..., Segmentation]

HEIGHT, WIDTH = 70, 90

PROMPTS = (
    Prompt(("water", "lake"), label=7, color=(0.0, 0.5, 1.0)),
    Prompt(("wälder <dense> & 'old'",), label=2),
)

PLACES = {
    "UTM": Location((5300000.0, 690000.0), (-30.0, 0), (0, 30.0), "m", "EPSG:32632"),
    "degrees": Location((61.0, 9.0), (-1e-3, 0), (0, 2e-3), "degree", "EPSG:4326"),
    "Mercator": Location((8.0e6, 1.0e6), (-40.0, 0), (0, 40.0), "m", "EPSG:3857"),
    "turned": Location((5e6, 6.9e5), (-26.0, 15.0), (15.0, 26.0), "m", "EPSG:32632"),
}
"""On the ground."""

MICROSCOPE = Location(down=(0.5, 0.0), right=(0.0, 0.25), unit="µm")


def blobs(seed: int, width: float = 2, shape: tuple[int, int] = (HEIGHT, WIDTH)):
    """Labels of regions, some with holes, some at the border."""
    rng = np.random.default_rng(seed)
    noise = [gaussian_filter(rng.random(shape), width) for _ in range(3)]
    return np.array([0, 7, 2], np.uint8)[np.argmax(noise, 0)]


def segmentation(labels: NDArray[np.uint8], seed: int = 0) -> Segmentation:
    rng = np.random.default_rng(seed)
    counts = [(labels == label).mean() for label in (7, 2)]
    return Segmentation(
        probabilities=rng.random((2, *labels.shape)).astype(np.float32),
        labels=labels,
        shares=tuple(map(float, counts)),
        recipe=Recipe(
            version="0.1",
            model="embedded",
            revision="abc",
            prompts=PROMPTS,
            encode=EncodeParameters(),
            score=ScoreParameters(),
            appearance=Appearance(limits=(0, 255)),
            device="cpu",
            precision="float32",
        ),
    )


def scene(location: Location | None, shape: tuple[int, ...] = (HEIGHT, WIDTH)) -> Scene:
    return Scene((np.zeros(shape, np.uint8),), (location,) if location else ())


@pytest.fixture
def result() -> Segmentation:
    return segmentation(blobs(0))
