"""Drawn scenes: aerial photographs, fluorescence images and stained tissue.

A scene is a function of its split, seed and number, so a set of scenes needs no
files, and the splits share none: a scene's random generator is seeded with its split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

DOMAINS = ("aerial", "fluorescence", "histology")
DOMAIN_SHARES = (0.50, 0.34, 0.16)

CLASSES_OF = {
    "aerial": (
        "water",
        "forest",
        "field",
        "building",
        "road",
        "ship",
        "cloud",
        "sand",
        "grass",
    ),
    "fluorescence": (
        "nucleus",
        "filament",
        "spot",
        "bacterium",
        "cell",
        "mitochondrion",
    ),
    "histology": ("tissue", "stained nucleus", "brown stain", "lumen"),
}
BACKGROUND = "background"
CLASSES = (BACKGROUND, *(name for names in CLASSES_OF.values() for name in names))
INDEX = {name: number for number, name in enumerate(CLASSES)}

SPLITS = ("train", "validation", "test", "sample")

COLOURS = {
    "blue": (60, 90, 255),
    "green": (60, 255, 80),
    "red": (255, 60, 50),
    "magenta": (255, 60, 230),
    "cyan": (50, 235, 245),
    "yellow": (250, 230, 60),
    "orange": (255, 150, 40),
    "white": (245, 245, 245),
}
_USUAL_COLOUR = {
    "nucleus": "blue",
    "filament": "green",
    "spot": "yellow",
    "bacterium": "orange",
    "cell": "cyan",
    "mitochondrion": "red",
}


@dataclass(frozen=True)
class Scene:
    """One drawn scene.

    Attributes
    ----------
    image : numpy.ndarray
        ``(height, width, 3)``, uint8, RGB.
    labels : numpy.ndarray
        ``(height, width)``, uint8: at each pixel the number in `CLASSES` of the
        topmost thing; 0, the background, occurs in fluorescence only.
    domain : str
        One of `DOMAINS`.
    colours : dict
        Class name to colour word, where the class has one colour in this scene.
    """

    image: np.ndarray
    labels: np.ndarray
    domain: str
    colours: dict[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the scene, the background left out."""
        return tuple(CLASSES[number] for number in np.unique(self.labels) if number)

    def mask(self, name: str) -> np.ndarray:
        """Return where the class is: ``(height, width)``, bool."""
        return self.labels == INDEX[name]


def draw_scene(
    split: str, number: int, *, seed: int = 0, size: int = 128, domain: str = ""
) -> Scene:
    """Draw one scene.

    Parameters
    ----------
    split : str
        One of `SPLITS`; scenes of different splits are independent draws.
    number : int
        Number of the scene within the split, from 0.
    seed : int
        Another seed gives another set of scenes of the same split.
    size : int
        Height and width in pixels; things keep their size, their count grows.
    domain : str
        One of `DOMAINS`; empty: drawn with `DOMAIN_SHARES`.

    Returns
    -------
    Scene
        The same scene for the same arguments.
    """
    rng = np.random.default_rng([SPLITS.index(split), seed, number])
    drawn = str(rng.choice(DOMAINS, p=DOMAIN_SHARES))
    domain = domain or drawn
    return _PAINTERS[domain](rng, size)


# Shared tools ----------------------------------------------------------------------


def _noise(rng: Generator, size: int, scale: float) -> np.ndarray:
    """Return smooth noise of about unit variance: ``(size, size)``, float32."""
    cells = max(2, round(size / scale) + 2)
    coarse = rng.standard_normal((cells, cells)).astype(np.float32)
    fine = Image.fromarray(coarse).resize(
        (size, size), Image.Resampling.BICUBIC, box=(0.5, 0.5, cells - 0.5, cells - 0.5)
    )
    return np.asarray(fine) * 1.3


def _ramp(rng: Generator, size: int) -> np.ndarray:
    """Return a linear ramp in a random direction, in pixels: ``(size, size)``."""
    angle = rng.uniform(0, np.pi)
    step = np.arange(size, dtype=np.float32)
    return np.cos(angle) * step[:, None] + np.sin(angle) * step[None]


def _blob(
    rng: Generator, centre: np.ndarray, radius: float, *, wobble: float, stretch: float
) -> list[tuple[float, float]]:
    """Return the outline of a rounded irregular thing, as polygon corners."""
    turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    edge = np.ones_like(turn)
    for wave in (2, 3, 4):
        edge += wobble / wave * rng.normal() * np.cos(wave * turn + rng.uniform(0, 6.3))
    corners = radius * edge[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    corners *= (stretch**0.5, stretch**-0.5)
    return _placed(corners, rng.uniform(0, 2 * np.pi), centre)


def _placed(
    corners: np.ndarray, angle: float, centre: np.ndarray
) -> list[tuple[float, float]]:
    """Return corners turned by an angle and moved to a centre."""
    cos, sin = np.cos(angle), np.sin(angle)
    turned = np.asarray(corners) @ np.array([[cos, sin], [-sin, cos]]) + centre
    return [tuple(corner) for corner in turned.tolist()]


def _curve(
    rng: Generator, start: np.ndarray, length: float, *, step: float, bend: float
) -> list[tuple[float, float]]:
    """Return a smooth random walk of the given length, as line corners."""
    count = max(2, int(length / step))
    headings = rng.uniform(0, 2 * np.pi) + np.cumsum(
        np.cumsum(rng.normal(0, bend * 0.4, count)) * 0.5 + rng.normal(0, bend, count)
    )
    moves = step * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    points = np.vstack([[0, 0], np.cumsum(moves, axis=0)])
    return [tuple(point) for point in (points + start).tolist()]


def _crossing(rng: Generator, size: int, bend: float) -> list[tuple[float, float]]:
    """Return a line that crosses the whole scene, as line corners."""
    angle = rng.uniform(0, 2 * np.pi)
    along = np.linspace(-0.9, 0.9, 24) * size
    aside = bend * np.sin(along / size * rng.uniform(2, 6) + rng.uniform(0, 6.3))
    corners = np.stack([along, aside * size + rng.uniform(-0.3, 0.3) * size], axis=1)
    return _placed(corners, angle, np.full(2, size / 2))


def _spread(rng: Generator, size: int, count: int, gap: float) -> list[np.ndarray]:
    """Return up to `count` random points that keep a distance from each other."""
    points: list[np.ndarray] = []
    for point in rng.uniform(0, size, (2 * count, 2)):
        if all(np.abs(point - other).max() > gap for other in points):
            points.append(point)
        if len(points) == count:
            break
    return points


def _count(rng: Generator, low: int, high: int, size: int) -> int:
    """Return a random count for 128 x 128 pixels, scaled to the scene's area."""
    return max(1, round(rng.integers(low, high + 1) * (size / 128) ** 2))


def _pick(rng: Generator, colours: Iterable[tuple[int, ...]], jitter: int) -> tuple:
    """Return one of the colours, jittered."""
    chosen = np.array(list(colours), dtype=float)[rng.integers(len(list(colours)))]
    return tuple(
        np.clip(chosen + rng.normal(0, jitter, 3), 0, 255).astype(int).tolist()
    )


def _halved(drawn: Image.Image) -> np.ndarray:
    return np.asarray(drawn.reduce(2))


def _finish(rng: Generator, image: np.ndarray, noise: float) -> np.ndarray:
    """Return the image with sensor noise, as uint8."""
    grain = rng.standard_normal(image.shape, dtype=np.float32) * noise
    return np.clip(image + grain, 0, 255).astype(np.uint8)


# Aerial photographs ----------------------------------------------------------------

_COVER_COLOURS = {
    "water": ((28, 72, 140), (40, 100, 150), (20, 60, 90), (50, 120, 165)),
    "forest": ((24, 62, 28), (34, 74, 34), (20, 54, 36)),
    "grass": ((112, 160, 72), (130, 172, 88), (98, 150, 70)),
    "sand": ((218, 198, 150), (228, 210, 168), (206, 184, 136)),
    "field": ((150, 112, 70), (176, 168, 78), (120, 140, 62), (196, 176, 104)),
}
_ROOFS = ((176, 72, 54), (150, 92, 70), (112, 112, 120), (232, 232, 228), (96, 76, 70))
_HULLS = ((240, 240, 240), (205, 205, 212), (190, 60, 48), (60, 66, 80))


def _cover(rng: Generator, name: str, size: int) -> np.ndarray:
    """Return the texture of one land cover: ``(size, size, 3)``, float32."""
    colour = np.array(_pick(rng, _COVER_COLOURS[name], 7), dtype=np.float32)
    shade = 4 * _noise(rng, size, 24)
    if name == "forest":
        shade = shade + 15 * _noise(rng, size, 3.2)
    elif name == "water":
        shade = shade + 3 * np.sin(_ramp(rng, size) * rng.uniform(0.8, 1.6))
        shade = shade + 2 * _noise(rng, size, 2)
    elif name == "grass":
        shade = shade + 4 * _noise(rng, size, 2.5)
    elif name == "sand":
        shade = shade + 3 * _noise(rng, size, 5)
    else:
        period = rng.uniform(4.5, 9)
        shade = shade + 20 * np.sin(_ramp(rng, size) * (2 * np.pi / period))
    return colour + shade[..., None]


def _aerial(rng: Generator, size: int) -> Scene:
    covers = ["water", "forest", "grass", "sand"]
    count = int(rng.choice([1, 2, 3, 4], p=[0.12, 0.4, 0.36, 0.12]))
    covers = list(rng.choice(covers, count, replace=False))
    heights = [_noise(rng, size, rng.uniform(45, 80)) for _ in covers]
    region = np.argmax(heights, axis=0)
    image = np.zeros((size, size, 3), np.float32)
    labels = np.zeros((size, size), np.uint8)
    for number, name in enumerate(covers):
        here = region == number
        image[here] = _cover(rng, name, size)[here]
        labels[here] = INDEX[name]

    if rng.random() < 0.5:
        _add_fields(rng, image, labels)
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    canvas = Image.fromarray(pixels).resize((2 * size,) * 2, Image.Resampling.BILINEAR)
    marks = Image.fromarray(labels).resize((2 * size,) * 2, Image.Resampling.NEAREST)
    pen, mark = ImageDraw.Draw(canvas), ImageDraw.Draw(marks)
    if "water" not in covers and rng.random() < 0.25:
        width = int(rng.uniform(22, 50))
        line = _crossing(rng, 2 * size, 0.12)
        pen.line(line, _pick(rng, _COVER_COLOURS["water"], 7), width, joint="curve")
        mark.line(line, INDEX["water"], width, joint="curve")
    if rng.random() < 0.45:
        _add_roads(rng, pen, mark, size)
    if rng.random() < 0.5:
        _add_buildings(rng, pen, mark, marks, size)
    if rng.random() < 0.7:
        _add_ships(rng, pen, mark, marks, size)

    image = _halved(canvas).astype(np.float32)
    labels = np.asarray(marks)[::2, ::2].copy()
    if rng.random() < 0.3:
        _add_clouds(rng, image, labels)
    image = (image - 110) * rng.uniform(0.8, 1.15) + 110 + rng.normal(0, 8)
    return Scene(_finish(rng, image, rng.uniform(1, 4)), labels, "aerial")


def _add_fields(rng: Generator, image: np.ndarray, labels: np.ndarray) -> None:
    size = len(labels)
    for centre in _spread(rng, size, _count(rng, 1, 3, size), 25):
        half = rng.uniform(14, 38, 2)
        corners = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        shape = Image.new("1", (size, size))
        outline = _placed(corners, rng.uniform(0, np.pi), centre)
        ImageDraw.Draw(shape).polygon(outline, fill=1)
        here = np.asarray(shape)
        image[here] = _cover(rng, "field", size)[here]
        labels[here] = INDEX["field"]


def _add_roads(
    rng: Generator, pen: ImageDraw.ImageDraw, mark: ImageDraw.ImageDraw, size: int
) -> None:
    for _ in range(int(rng.integers(1, 3))):
        width = int(rng.uniform(10, 19))
        line = _crossing(rng, 2 * size, rng.choice([0.0, 0.03, 0.08]))
        greys = ((120, 120, 122), (92, 92, 96), (150, 148, 144))
        pen.line(line, _pick(rng, greys, 6), width, joint="curve")
        mark.line(line, INDEX["road"], width, joint="curve")
        if rng.random() < 0.5:
            for start, end in zip(line[::2], line[1::2], strict=False):
                pen.line([start, end], (225, 225, 215), 2)


def _add_buildings(
    rng: Generator,
    pen: ImageDraw.ImageDraw,
    mark: ImageDraw.ImageDraw,
    marks: Image.Image,
    size: int,
) -> None:
    angle, light = rng.uniform(0, np.pi), rng.choice([-1, 1], 2)
    for centre in _spread(rng, 2 * size, _count(rng, 3, 12, size), 48):
        x, y = centre.astype(int).tolist()
        if marks.getpixel((x, y)) in (INDEX["water"], INDEX["road"]):
            continue
        half = rng.uniform(10, 23, 2)
        corners = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        turn = angle + rng.normal(0, 0.08)
        outline = _placed(corners, turn, centre)
        shadow = _placed(corners, turn, centre + light * rng.uniform(4, 8))
        roof = _pick(rng, _ROOFS, 8)
        pen.polygon(shadow, fill=(38, 40, 42))
        pen.polygon(outline, fill=roof)
        mark.polygon(outline, fill=INDEX["building"])
        if rng.random() < 0.6:
            dark = tuple(int(0.78 * value) for value in roof)
            pen.polygon(
                _placed(corners * (1, 0.5) + (0, half[1] / 2), turn, centre), dark
            )


def _add_ships(
    rng: Generator,
    pen: ImageDraw.ImageDraw,
    mark: ImageDraw.ImageDraw,
    marks: Image.Image,
    size: int,
) -> None:
    hull = np.array([[-1, -1], [0.45, -1], [1, 0], [0.45, 1], [-1, 1]])
    homes = [INDEX["water"]] if rng.random() < 0.85 else [INDEX["water"], INDEX["sand"]]
    for centre in _spread(rng, 2 * size, _count(rng, 4, 12, size), 34):
        x, y = centre.astype(int).tolist()
        if marks.getpixel((x, y)) not in homes:
            continue
        half = np.array([rng.uniform(11, 22), rng.uniform(4, 7)])
        angle = rng.uniform(0, 2 * np.pi)
        if rng.random() < 0.3:
            wake = half * np.array([[-2.6, -1.1], [-1, -0.5], [-1, 0.5], [-2.6, 1.1]])
            pen.polygon(_placed(wake, angle, centre), fill=(150, 180, 200))
        colour = _pick(rng, _HULLS, 8)
        pen.polygon(_placed(half * hull, angle, centre), fill=colour)
        mark.polygon(_placed(half * hull, angle, centre), fill=INDEX["ship"])
        cabin = half * np.array([[-0.7, -0.5], [-0.1, -0.5], [-0.1, 0.5], [-0.7, 0.5]])
        pen.polygon(_placed(cabin, angle, centre), fill=_pick(rng, _HULLS, 20))


def _add_clouds(rng: Generator, image: np.ndarray, labels: np.ndarray) -> None:
    size = len(labels)
    height = _noise(rng, size, 40) + 0.35 * _noise(rng, size, 12)
    cover = np.clip(1.6 * (height - rng.uniform(0.7, 1.4)), 0, 0.96)
    white = 238 + 6 * _noise(rng, size, 10)
    image += cover[..., None] * (white[..., None] - image)
    labels[cover > 0.5] = INDEX["cloud"]


# Fluorescence ----------------------------------------------------------------------


def _fluorescence(rng: Generator, size: int) -> Scene:
    names = CLASSES_OF["fluorescence"]
    count = int(rng.choice([1, 2, 3, 4], p=[0.25, 0.35, 0.28, 0.12]))
    return _glowing(rng, size, set(rng.choice(names, count, replace=False)), [])


def _glowing(
    rng: Generator, size: int, chosen: set[str], centres: list[np.ndarray]
) -> Scene:
    """Paint some classes; cells and nuclei at the given centres, if there are any."""
    wide = 2 * size
    marks = Image.new("L", (wide, wide), 0)
    image = np.zeros((size, size, 3), np.float32)
    grey = rng.random() < 0.15
    colours: dict[str, str] = {}
    for name in ("cell", "filament", "mitochondrion", "nucleus", "bacterium", "spot"):
        if name not in chosen:
            continue
        light = Image.new("L", (wide, wide), 0)
        pen, mark = ImageDraw.Draw(light), ImageDraw.Draw(marks)
        if name == "cell" and not centres:
            centres = _spread(rng, wide, _count(rng, 3, 9, size), 66)
        if name == "nucleus" and not centres:
            centres = _spread(rng, wide, _count(rng, 4, 14, size), 44)
        _FLUORESCENT[name](rng, pen, mark, centres, size)
        light = light.filter(ImageFilter.GaussianBlur(rng.uniform(0.6, 2.0)))
        glow = _halved(light).astype(np.float32) / 255
        glow *= 1 + 0.12 * _noise(rng, size, 5)
        colour = _USUAL_COLOUR[name]
        if rng.random() < 0.12:
            colour = str(rng.choice(list(COLOURS)))
        if not grey:
            colours[name] = colour
        tint = np.array((225, 225, 225) if grey else COLOURS[colour], np.float32)
        image += glow[..., None] * tint * rng.uniform(0.65, 1.0)
    image += rng.uniform(2, 16) + 2.5 * _noise(rng, size, 60)[..., None]
    image *= rng.uniform(0.85, 1.1)
    labels = np.asarray(marks)[::2, ::2].copy()
    noisy = _finish(rng, image, rng.uniform(1.5, 7))
    if grey:
        noisy = np.repeat(noisy[..., :1], 3, axis=2)
    return Scene(noisy, labels, "fluorescence", colours)


_Draw = ImageDraw.ImageDraw


def _draw_cells(
    rng: Generator, pen: _Draw, mark: _Draw, centres: list[np.ndarray], _size: int
) -> None:
    for centre in centres:
        outline = _blob(rng, centre, rng.uniform(30, 44), wobble=0.16, stretch=1.2)
        pen.polygon(outline, fill=int(rng.uniform(50, 90)))
        closed = [*outline, outline[0], outline[1]]
        pen.line(closed, int(rng.uniform(190, 255)), int(rng.uniform(4, 7)), "curve")
        mark.polygon(outline, fill=INDEX["cell"])


def _draw_nuclei(
    rng: Generator, pen: _Draw, mark: _Draw, centres: list[np.ndarray], _size: int
) -> None:
    for centre in centres:
        near = centre + rng.normal(0, 4, 2)
        stretch = rng.uniform(1, 1.6)
        outline = _blob(rng, near, rng.uniform(14, 23), wobble=0.07, stretch=stretch)
        pen.polygon(outline, fill=int(rng.uniform(150, 250)))
        mark.polygon(outline, fill=INDEX["nucleus"])


def _draw_filaments(
    rng: Generator, pen: _Draw, mark: _Draw, _centres: list[np.ndarray], size: int
) -> None:
    for _ in range(_count(rng, 4, 16, size)):
        start = rng.uniform(0, 2 * size, 2)
        line = _curve(rng, start, rng.uniform(130, 300), step=9, bend=0.09)
        width = int(rng.uniform(3, 6))
        pen.line(line, int(rng.uniform(140, 240)), width, "curve")
        mark.line(line, INDEX["filament"], max(width, 4), "curve")


def _draw_mitochondria(
    rng: Generator, pen: _Draw, mark: _Draw, _centres: list[np.ndarray], size: int
) -> None:
    for middle in _spread(rng, 2 * size, _count(rng, 2, 5, size), 60):
        for _ in range(int(rng.integers(4, 11))):
            start = middle + rng.normal(0, 26, 2)
            line = _curve(rng, start, rng.uniform(32, 60), step=4, bend=0.3)
            width = int(rng.uniform(5, 8))
            pen.line(line, int(rng.uniform(150, 250)), width, "curve")
            mark.line(line, INDEX["mitochondrion"], width, "curve")


def _draw_bacteria(
    rng: Generator, pen: _Draw, mark: _Draw, _centres: list[np.ndarray], size: int
) -> None:
    for centre in _spread(rng, 2 * size, _count(rng, 8, 32, size), 18):
        angle, half = rng.uniform(0, np.pi), rng.uniform(7, 12)
        reach = half * np.array([np.cos(angle), np.sin(angle)])
        ends, radius = (centre - reach, centre + reach), rng.uniform(3.8, 5.4)
        level = int(rng.uniform(170, 255))
        for draw, fill in ((pen, level), (mark, INDEX["bacterium"])):
            draw.line([tuple(end) for end in ends], fill, round(2 * radius))
            for x, y in ends:
                box = (x - radius, y - radius, x + radius, y + radius)
                draw.ellipse(box, fill=fill)


def _draw_spots(
    rng: Generator, pen: _Draw, mark: _Draw, _centres: list[np.ndarray], size: int
) -> None:
    for x, y in rng.uniform(0, 2 * size, (_count(rng, 15, 90, size), 2)):
        radius = rng.uniform(2.2, 4.2)
        box = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse(box, fill=int(rng.uniform(190, 255)))
        mark.ellipse(box, fill=INDEX["spot"])


_FLUORESCENT: dict[str, Callable[..., None]] = {
    "cell": _draw_cells,
    "nucleus": _draw_nuclei,
    "filament": _draw_filaments,
    "mitochondrion": _draw_mitochondria,
    "bacterium": _draw_bacteria,
    "spot": _draw_spots,
}


# Stained tissue --------------------------------------------------------------------


def _histology(rng: Generator, size: int) -> Scene:
    pinks = ((226, 176, 200), (214, 164, 190), (228, 196, 212), (206, 180, 206))
    image = np.array(_pick(rng, pinks, 6), np.float32) + np.zeros((size, size, 1))
    fibres = np.sin(
        _ramp(rng, size) * rng.uniform(0.35, 0.8) + 1.5 * _noise(rng, size, 18)
    )
    texture = 6 * fibres + 5 * _noise(rng, size, 4) + 4 * _noise(rng, size, 30)
    image = image + texture[..., None] * (1.0, 1.3, 1.0)

    stained = np.zeros((size, size), bool)
    if rng.random() < 0.5:
        height = _noise(rng, size, rng.uniform(14, 34))
        depth = np.clip(2.2 * (height - rng.uniform(0.5, 1.3)), 0, 0.95)
        brown = np.array(_pick(rng, ((128, 78, 42), (112, 66, 36), (150, 98, 58)), 6))
        grain = brown + 9 * _noise(rng, size, 3)[..., None]
        image += depth[..., None] * (grain - image)
        stained = depth > 0.5

    pixels = np.clip(image, 0, 255).astype(np.uint8)
    wide = 2 * size
    canvas = Image.fromarray(pixels).resize((wide, wide), Image.Resampling.BILINEAR)
    labels = np.where(stained, INDEX["brown stain"], INDEX["tissue"]).astype(np.uint8)
    marks = Image.fromarray(labels).resize((wide, wide), Image.Resampling.NEAREST)
    pen, mark = ImageDraw.Draw(canvas), ImageDraw.Draw(marks)

    nuclei: list[np.ndarray] = []
    if rng.random() < 0.85:
        nuclei = _spread(rng, wide, _count(rng, 6, 60, size), 17)
    if rng.random() < 0.5:
        for centre in _spread(rng, wide, _count(rng, 1, 4, size), 70):
            radius = rng.uniform(24, 52)
            outline = _blob(rng, centre, radius, wobble=0.14, stretch=1.3)
            nuclei = [
                point for point in nuclei if np.hypot(*(point - centre)) > radius + 14
            ]
            pen.polygon(outline, fill=_pick(rng, ((246, 242, 246), (238, 236, 240)), 3))
            mark.polygon(outline, fill=INDEX["lumen"])
            if rng.random() < 0.6:
                ring = centre + 1.3 * (np.array(outline[::2]) - centre)
                nuclei.extend(ring + rng.normal(0, 3, ring.shape))
    purple = _pick(rng, ((86, 58, 140), (70, 62, 136), (104, 66, 150)), 6)
    for centre in nuclei:
        stretch = rng.uniform(1, 1.8)
        outline = _blob(rng, centre, rng.uniform(6, 11), wobble=0.08, stretch=stretch)
        pen.polygon(outline, fill=_pick(rng, (purple,), 9))
        mark.polygon(outline, fill=INDEX["stained nucleus"])

    image = _halved(canvas).astype(np.float32)
    image = (image - 160) * rng.uniform(0.85, 1.15) + 160 + rng.normal(0, 6)
    labels = np.asarray(marks)[::2, ::2].copy()
    return Scene(_finish(rng, image, rng.uniform(1, 5)), labels, "histology")


_PAINTERS: dict[str, Callable[[Generator, int], Scene]] = {
    "aerial": _aerial,
    "fluorescence": _fluorescence,
    "histology": _histology,
}
