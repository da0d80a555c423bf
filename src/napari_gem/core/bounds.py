"""How large what comes from outside may be.

Recipes, prompt sets, settings and requests may come from anybody. These bounds are so
wide that nobody who looks at images meets them, and so narrow that no number or text
alone takes the memory or hours. The range of a parameter stands on its field, see
`napari_gem.core.fields`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_HELD = 1 << 24
"""Pixels of the largest image whose picture and maps are held in memory."""

LARGEST_TIFF = 1 << 26
"""Pixels of the largest image whose results are TIFF files."""

LARGEST_MAPS = 8 << 30
"""Bytes that the probability maps of one run may take at most."""

LARGEST_SQUASH = 4096
"""Side in pixels of the square that an image is squashed to; models read up to 1024."""

LARGEST_LENGTH = 2**53
"""Pixels and positions, as far as a number of 64 bits counts them one by one."""

MOST_COLORS = 65_536
"""Of a lookup table: one for each value of 16 bits. Viewers have 256."""

MOST_CHANNELS = 1000
"""Shown together; hyperspectral cameras have some hundreds."""

MOST_CLASSES = 5000
"""Of a prompt set; class lists of data sets, such as LVIS, have up to 1200."""

MOST_SYNONYMS = 1000
"""Words of a class; those of WordNet have some dozens."""

MOST_WORDS = 20_000
"""Of all classes of a run, and of the background."""

MOST_TEMPLATES = 1000
"""CLIP's own list for ImageNet has 80."""

MOST_CHARACTERS = 200_000_000
"""Of all sentences of a run, with `SENTENCE` for each: some million sentences."""

SENTENCE = 50
"""Characters that a sentence counts beside its own."""

MOST_GAPS = 10
"""Places for the word in a template."""

LONGEST_TEXT = 1000
"""Characters of a word, title or template; models read up to 250 words of a text."""

LONGEST_NOTE = 10_000
"""Characters of what is said about a prompt set."""

LONGEST_NAME = 4096
"""Characters of a model's name, which may be a path: the longest that systems have."""

MOST_EXAMPLES = 10_000
"""Of a class: more than anybody clicks."""

LONGEST_VECTOR = 65_536
"""Numbers of an example; the widest models have 4096."""

MOST_CORNERS = 100_000
"""Of a region; drawn by hand it has some hundreds."""

MOST_AXES = 32
"""Of a stack; napari and numpy have no more."""

MOST_LEVELS = 64
"""Resolutions of an image: each has half the pixels along a side."""

MOST_BYTES = 32 << 20
"""Of a recipe or a prompt set as a file: some thousand examples with their vectors."""

SIDECAR_BYTES = 128 << 20
"""Of the file that describes saved layers: some hundred thousand points or corners."""

SIDECAR_VALUES = 8_000_000
"""Of such a file: a point has about 15."""

MOST_LAYERS = 1000
"""In such a file; napari shows some hundreds."""

MOST_VALUES = 4_000_000
"""Of a JSON text: each takes a hundred bytes when it is read, whatever it is."""

MOST_DEPTH = 64
"""Of lists and tables in one another in a JSON text; our own have up to 8."""


def is_large(shape: Sequence[int]) -> bool:
    """Tell whether an image of (height, width) is read, and shown, in parts only."""
    return shape[0] * shape[1] > LARGEST_HELD


def needs_zarr(shape: Sequence[int], classes: int) -> bool:
    """Tell whether the command line writes results in parts, as OME-Zarr.

    This begins later than `is_large`, since all programs open TIFF files, and nobody
    waits for a picture. In the dock the worker and the viewer both hold all maps, and a
    change of words is to be seen at once.
    """
    pixels = shape[0] * shape[1]
    return pixels > LARGEST_TIFF or 4 * pixels * classes > LARGEST_MAPS
