"""Compared words as files: a picture of the maps, and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.atomic import whole_file
from napari_gem.core.colors import class_color
from napari_gem.core.foreign_text import shown
from napari_gem.core.word_comparison import NOBODY
from napari_gem.results.table import write_table

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_gem.core.word_comparison import ComparedMaps, WordFigures

PICTURE, TABLE = "words.png", "words.csv"

SIDE = 200
"""Pixels of a map in the picture along its longer side."""

MOST_RIVALS = 5
LINE = 18
INK = (255, 255, 255)


def winning_shares(maps: ComparedMaps, number: int) -> list[tuple[int, str, float]]:
    """List who wins the places of the image beside a word, the largest share first.

    Returns
    -------
    list
        Number in `ComparedMaps.winners`, name, and share of the image from 0 to 1; the
        word itself comes first, and who wins nowhere is left out.
    """
    counts = np.bincount(maps.winners[number].ravel(), minlength=NOBODY + 1)[:NOBODY]
    size = max(1, int(counts.sum()))
    names = (maps.compared.words[number].word, *maps.compared.rivals)
    rows = [(n, name, float(counts[n] / size)) for n, name in enumerate(names)]
    rivals = sorted((row for row in rows[1:] if row[2]), key=lambda row: -row[2])
    return [rows[0], *rivals]


def word_lines(maps: ComparedMaps) -> list[str]:
    """Write a line for each word, the clearest first."""
    width = max(len(shown(word.word)) for word in maps.compared.words)
    lines = []
    for number, word in enumerate(maps.compared.words):
        rivals = [
            f"{shown(name)} {share:.0%}"
            for _, name, share in winning_shares(maps, number)[1 : MOST_RIVALS + 1]
        ]
        about = f"{_about(word)}; elsewhere {', '.join(rivals) or 'nothing'}"
        lines.append(f"{shown(word.word):{width}}  {about}")
    return lines


def _about(word: WordFigures) -> str:
    known = "" if word.known else "unknown to the model, "
    return f"{known}{word.separation:.0%} clear, {word.share:.1%} of the image"


def save_words(maps: ComparedMaps, folder: Path) -> tuple[Path, Path]:
    """Write the picture and the table; the folder is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    words = maps.compared.words
    table: dict[str, list[Any]] = {
        "word": [word.word for word in words],
        "known": ["yes" if word.known else "no" for word in words],
        "clearness": [word.separation for word in words],
        "agreement": [word.agreement for word in words],
        "share": [word.share for word in words],
        "rivals": [
            "; ".join(f"{name} {share:.4f}" for _, name, share in rivals[1:])
            for rivals in (winning_shares(maps, n) for n in range(len(words)))
        ],
    }
    write_table(table, folder / TABLE)
    with whole_file(folder / PICTURE) as path:
        _draw(maps, path)
    return folder / PICTURE, folder / TABLE


def rival_color(number: int) -> tuple[int, int, int]:
    """Colour of the n-th rival, from 1: paler than those of classes."""
    from colorsys import hsv_to_rgb

    pale = hsv_to_rgb(number * 0.618 % 1, 0.45, 0.55 + 0.25 * (number % 2))
    red, green, blue = (round(255 * part) for part in pale)
    return red, green, blue


def map_picture(
    probability: NDArray[np.uint8], color: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Draw a probability: black at 0, the colour at 0.5, white at 1."""
    middle = np.array(color, np.float32)
    value = probability[..., None].astype(np.float32) / 255
    dark, light = 2 * value * middle, middle + (2 * value - 1) * (255 - middle)
    picture: NDArray[np.uint8] = np.where(value < 0.5, dark, light).astype(np.uint8)
    return picture


def winner_picture(
    winners: NDArray[np.uint8], color: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Draw who wins where: the word in the colour, rivals in theirs."""
    palette = np.array([color, *map(rival_color, range(1, NOBODY)), (0, 0, 0)], "u1")
    picture: NDArray[np.uint8] = palette[winners]
    return picture


def _draw(maps: ComparedMaps, path: Path) -> None:
    """Draw a row for each word: its map, who wins where, and their names."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(14)
    red, green, blue = (round(255 * part) for part in class_color(0))
    own = red, green, blue
    height, width = maps.winners.shape[1:]
    factor = SIDE / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    row = max(size[1], (MOST_RIVALS + 3) * LINE) + 8
    canvas = Image.new("RGB", (2 * size[0] + 400, row * len(maps.compared.words)))
    draw = ImageDraw.Draw(canvas)
    for number, word in enumerate(maps.compared.words):
        top, left = number * row + 4, 2 * size[0] + 16
        pictures = (
            map_picture(maps.probabilities[number], own),
            winner_picture(maps.winners[number], own),
        )
        for place, pixels in enumerate(pictures):
            small = Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)
            canvas.paste(small, (4 + place * (size[0] + 4), top))
        draw.text((left, top), shown(word.word, 40), fill=INK, font=font)
        draw.text((left, top + LINE), _about(word), fill=INK, font=font)
        rivals = winning_shares(maps, number)[: MOST_RIVALS + 1]
        for line, (winner, name, share) in enumerate(rivals, 2):
            at = top + line * LINE
            ink = rival_color(winner) if winner else own
            draw.rectangle((left, at + 2, left + 12, at + 14), fill=ink)
            text = f"{share:.1%} {shown(name, 36)}"
            draw.text((left + 20, at), text, fill=INK, font=font)
    canvas.save(path, format="PNG")
