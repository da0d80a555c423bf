"""Scenes unlike those of the training, drawn on demand.

Every set is a function of its name and split, so it needs no files. Validation scenes
may choose something; test scenes are reported on and choose nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from training.captions import PHRASES
from training.make_test_scenes import is_hard
from training.scenes import (
    _ROOFS,
    CLASSES,
    CLASSES_OF,
    DOMAINS,
    INDEX,
    SPLITS,
    Scene,
    _blob,
    _cover,
    _finish,
    _glowing,
    _halved,
    _histology,
    _noise,
    _pick,
    _placed,
    _spread,
    draw_scene,
)

SIZE = 128
FIRST_SEED = 200
"""Of the generator; a set adds its number, so that no scene is in two sets."""

WITHHELD_SEED = 108

WITHHELD = {"aerial": "solar panel", "fluorescence": "ring", "histology": "ink"}
"""A class of each domain that no scene and no caption of the training has."""

NEW = len(CLASSES)
"""Its number in labels."""


@dataclass(frozen=True)
class Asked:
    """A scene and what is asked of it.

    Attributes
    ----------
    scene : Scene
        The scene.
    group : str
        Its domain, or domains.
    words : dict
        Class number to the word that is asked for.
    """

    scene: Scene
    group: str
    words: dict[int, str]


def ask_all(scene: Scene, *domains: str) -> Asked:
    """Ask for every class of some domains, so that some are not in the scene."""
    words = {
        INDEX[name]: PHRASES[name][0]
        for domain in domains
        for name in CLASSES_OF[domain]
    }
    if {"fluorescence", "histology"} <= set(domains):  # both say 'nuclei'
        words[INDEX["stained nucleus"]] = "purple nuclei"
    return Asked(scene, " and ".join(domains), words)


def draw_set(name: str, split: str, scenes: int) -> list[Asked]:
    """Draw the first scenes of a set.

    Parameters
    ----------
    name : str
        One of `SETS`.
    split : str
        ``validation`` or ``test``.
    scenes : int
        How many; domains, or pairs of domains, take turns, and each set begins with
        another one.

    Returns
    -------
    list of Asked
        The same ones for the same arguments.
    """
    first = list(SETS).index(name)
    return [
        SETS[name](
            split,
            FIRST_SEED + first,
            turn // len(DOMAINS),
            (first + turn) % len(DOMAINS),
        )
        for turn in range(scenes)
    ]


# Changes of drawn scenes -----------------------------------------------------------


def _generator(split: str, seed: int, number: int, place: int) -> Generator:
    return np.random.default_rng([SPLITS.index(split), seed, number, place])


def _hard(split: str, seed: int, number: int, domain: str, size: int = SIZE) -> Scene:
    drawn = (draw_scene(split, n, seed=seed, size=size, domain=domain) for n in count())
    found = (scene for scene in drawn if is_hard(scene))
    for _ in range(number):
        next(found)
    return next(found)


_Drawer = Callable[[str, int, int, int], Asked]


def _changed(change: Callable[[Generator, Scene], Scene], size: int = SIZE) -> _Drawer:
    def draw(split: str, seed: int, number: int, place: int) -> Asked:
        scene = _hard(split, seed, number, DOMAINS[place], size)
        rng = _generator(split, seed, number, place)
        return ask_all(change(rng, scene), DOMAINS[place])

    return draw


def _recoloured(rng: Generator, scene: Scene) -> Scene:
    """Turn hues by 20 to 40 degrees, and change the weight of the colours."""
    angle = np.deg2rad(rng.uniform(20, 40)) * rng.choice([-1, 1])
    third, side = (1 - np.cos(angle)) / 3, np.sin(angle) / np.sqrt(3)
    turned = np.full((3, 3), third)
    turned += np.diag([np.cos(angle)] * 3)
    turned += side * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    image = (scene.image @ turned.T) * rng.uniform(0.8, 1.2, 3)
    return replace(scene, image=np.clip(image, 0, 255).astype(np.uint8))


def _noisy(rng: Generator, scene: Scene) -> Scene:
    noisy = _finish(rng, scene.image.astype(np.float32), rng.uniform(18, 32))
    return replace(scene, image=noisy)


def _blurred(rng: Generator, scene: Scene) -> Scene:
    soft = ImageFilter.GaussianBlur(rng.uniform(1.2, 2.2))
    return replace(scene, image=np.asarray(Image.fromarray(scene.image).filter(soft)))


def _resized(_: Generator, scene: Scene) -> Scene:
    to = (SIZE, SIZE)
    image = Image.fromarray(scene.image).resize(to, Image.Resampling.BICUBIC)
    labels = Image.fromarray(scene.labels).resize(to, Image.Resampling.NEAREST)
    return replace(scene, image=np.asarray(image), labels=np.asarray(labels))


def _as_drawn(_: Generator, scene: Scene) -> Scene:
    return scene


# Things that touch and lie in each other -------------------------------------------


def _crowded(split: str, seed: int, number: int, place: int) -> Asked:
    rng = _generator(split, seed, number, place)
    scene = (_packed_aerial, _packed_cells, _packed_tissue)[place](rng)
    return ask_all(scene, DOMAINS[place])


def _grid(rng: Generator, gap: float, first: np.ndarray, last: float) -> list:
    """Return centres of things that touch: rows, every other one moved by a half."""
    rows = np.arange(first[1], last, 0.87 * gap)
    return [
        np.array([x + gap / 2 * (number % 2), y]) + rng.normal(0, gap / 20, 2)
        for number, y in enumerate(rows)
        for x in np.arange(first[0], last, gap)
    ]


def _packed_cells(rng: Generator) -> Scene:
    centres = _grid(rng, rng.uniform(60, 68), rng.uniform(0, 40, 2), 2 * SIZE)
    third = str(rng.choice(["spot", "mitochondrion", "bacterium"]))
    return _glowing(rng, SIZE, {"cell", "nucleus", third}, centres)


def _packed_aerial(rng: Generator) -> Scene:
    """Draw a cover in a cover in a cover, and blocks of houses wall to wall."""
    covers = list(rng.permutation(["water", "forest", "grass", "sand", "field"])[:3])
    middle = np.full(2, SIZE) + rng.normal(0, 16, 2)
    image, labels = _cover(rng, covers[0], SIZE), np.full((SIZE, SIZE), 0, np.uint8)
    labels[:] = INDEX[covers[0]]
    for name, radius in zip(covers[1:], (98, 50), strict=True):
        shape = Image.new("1", (2 * SIZE, 2 * SIZE))
        outline = _blob(rng, middle, radius, wobble=0.1, stretch=1.2)
        ImageDraw.Draw(shape).polygon(outline, fill=1)
        here = np.asarray(shape)[::2, ::2]
        image[here] = _cover(rng, name, SIZE)[here]
        labels[here] = INDEX[name]
    canvas, marks = _doubled(image, labels)
    pen, mark = ImageDraw.Draw(canvas), ImageDraw.Draw(marks)
    corner = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    for start in rng.uniform(10, 2 * SIZE - 90, (3, 2)):
        side, angle = rng.uniform(24, 34), rng.uniform(0, 0.6)
        cos, sin = np.cos(angle), np.sin(angle)
        for x, y in [(x, y) for x in range(3) for y in range(2)]:
            centre = start + side * np.array([x * cos - y * sin, x * sin + y * cos])
            outline = _placed(corner * side / 2, angle, centre)
            pen.polygon(outline, fill=_pick(rng, _ROOFS, 12))
            mark.polygon(outline, fill=INDEX["building"])
    return _developed(rng, canvas, marks, "aerial")


def _packed_tissue(rng: Generator) -> Scene:
    """Draw a stain in tissue, a lumen in it, and nuclei that touch in all of them."""
    scene = _histology(rng, SIZE)
    canvas, marks = _doubled(scene.image.astype(np.float32), scene.labels)
    pen, mark = ImageDraw.Draw(canvas), ImageDraw.Draw(marks)
    middle = rng.uniform(60, 2 * SIZE - 60, 2)
    brown = _pick(rng, ((128, 78, 42), (150, 98, 58)), 6)
    for name, radius, colour in (
        ("brown stain", 72, brown),
        ("lumen", 34, (244, 240, 244)),
    ):
        outline = _blob(rng, middle, radius, wobble=0.12, stretch=1.2)
        pen.polygon(outline, fill=colour)
        mark.polygon(outline, fill=INDEX[name])
    purple = _pick(rng, ((86, 58, 140), (104, 66, 150)), 6)
    for corner in rng.uniform(0, 2 * SIZE - 60, (3, 2)):
        for centre in _grid(rng, 17, corner, float(corner.max()) + 55):
            if (centre - corner < 60).all():
                outline = _blob(rng, centre, 9, wobble=0.06, stretch=1.15)
                pen.polygon(outline, fill=_pick(rng, (purple,), 9))
                mark.polygon(outline, fill=INDEX["stained nucleus"])
    return _developed(rng, canvas, marks, "histology")


def _doubled(image: np.ndarray, labels: np.ndarray) -> tuple[Image.Image, Image.Image]:
    to = (2 * SIZE, 2 * SIZE)
    pixels = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    return (
        pixels.resize(to, Image.Resampling.BILINEAR),
        Image.fromarray(labels).resize(to, Image.Resampling.NEAREST),
    )


def _developed(
    rng: Generator, canvas: Image.Image, marks: Image.Image, domain: str
) -> Scene:
    image = _finish(rng, _halved(canvas).astype(np.float32), rng.uniform(1, 4))
    return Scene(image, np.asarray(marks)[::2, ::2].copy(), domain)


# Classes together that never are ---------------------------------------------------


def _mixed(split: str, seed: int, number: int, place: int) -> Asked:
    """Join scenes of two domains along a winding line."""
    domains = DOMAINS[place], DOMAINS[(place + 1) % len(DOMAINS)]
    rng = _generator(split, seed, number, place)
    one, other = (_hard(split, seed, number, domain) for domain in domains)
    here = _noise(rng, SIZE, 70) > 0
    image = np.where(here[..., None], one.image, other.image)
    labels = np.where(here, one.labels, other.labels)
    return ask_all(Scene(image, labels, domains[0]), *domains)


SETS: dict[str, _Drawer] = {
    "palettes": _changed(_recoloured),
    "noise": _changed(_noisy),
    "blur": _changed(_blurred),
    "smaller": _changed(_resized, size=208),
    "larger": _changed(_resized, size=76),
    "crowded": _crowded,
    "wide": _changed(_as_drawn, size=2 * SIZE),
    "mixed": _mixed,
}
"""Names of the sets, each with what draws its scenes.

palettes: hues turned, colours of other weight. noise, blur: more than the training has.
smaller, larger: things of 0.6 and of 1.7 times the size. crowded: things that touch and
lie in each other. wide: four times the area. mixed: classes of two domains together.
"""


# A class that was withheld ---------------------------------------------------------


def draw_withheld(split: str, number: int, domain: str) -> Asked:
    """Draw a scene with the class of `WITHHELD`; words are those of the known classes.

    Parameters
    ----------
    split : str
        ``validation`` or ``test``.
    number : int
        Number of the scene, from 0.
    domain : str
        One of `DOMAINS`.

    Returns
    -------
    Asked
        `NEW` in the labels is the new class.
    """
    seed = WITHHELD_SEED
    rng = _generator(split, seed, number, DOMAINS.index(domain))
    scene = _hard(split, seed, number, domain)
    canvas, marks = _doubled(scene.image.astype(np.float32), scene.labels)
    pen, mark = ImageDraw.Draw(canvas), ImageDraw.Draw(marks)
    for centre in _spread(rng, 2 * SIZE, int(rng.integers(4, 8)), 64):
        _THINGS[domain](rng, pen, mark, centre)
    return ask_all(_developed(rng, canvas, marks, domain), domain)


_Draw = ImageDraw.ImageDraw


def _panel(rng: Generator, pen: _Draw, mark: _Draw, centre: np.ndarray) -> None:
    half, angle = rng.uniform(16, 26, 2), rng.uniform(0, np.pi)
    corner = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    outline = _placed(corner, angle, centre)
    pen.polygon(outline, fill=_pick(rng, ((22, 26, 62), (30, 30, 74)), 5))
    mark.polygon(outline, fill=NEW)
    for part in np.linspace(-1, 1, 6):
        for line in ([[part, -1], [part, 1]], [[-1, part], [1, part]]):
            pen.line(_placed(half * np.array(line), angle, centre), (150, 156, 186), 1)


def _ring(rng: Generator, pen: _Draw, mark: _Draw, centre: np.ndarray) -> None:
    radius, width = rng.uniform(15, 24), int(rng.uniform(8, 11))
    x, y = centre
    box = (x - radius, y - radius, x + radius, y + radius)
    violet = _pick(rng, ((120, 70, 230), (140, 90, 250)), 8)
    pen.ellipse(box, outline=violet, width=width)
    mark.ellipse(box, outline=NEW, width=width)


def _ink(rng: Generator, pen: _Draw, mark: _Draw, centre: np.ndarray) -> None:
    outline = _blob(rng, centre, rng.uniform(16, 28), wobble=0.25, stretch=1.5)
    pen.polygon(outline, fill=_pick(rng, ((28, 110, 96), (36, 128, 104)), 6))
    mark.polygon(outline, fill=NEW)


_THINGS = {"aerial": _panel, "fluorescence": _ring, "histology": _ink}
