"""Write drawn scenes as a folder of images and masks, for ``napari-gem evaluate``."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from training.captions import PHRASES
from training.scenes import BACKGROUND, CLASSES_OF, DOMAINS, INDEX, draw_scene

SYNONYMS = 2


def write_folder(
    root: Path, domain: str, count: int, *, split: str = "validation", side: int = 128
) -> Path:
    """Write the first scenes of a split.

    Parameters
    ----------
    root : Path
        A new folder.
    domain : str
        ``aerial``, ``fluorescence`` or ``histology``.
    count : int
        Number of scenes.
    split : str
        Of the generator.
    side : int
        Pixels of a side that are kept, 128 at most.

    Returns
    -------
    Path
        The folder.
    """
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(count):
        scene = draw_scene(split, number, domain=domain)
        image, labels = scene.image[:side, :side], scene.labels[:side, :side]
        name = f"{number:04}.png"
        Image.fromarray(image).save(root / "images" / name)
        Image.fromarray(labels.astype(np.uint8)).save(root / "masks" / name)
    names = [*CLASSES_OF[domain], *[BACKGROUND] * (domain == "fluorescence")]
    lines = [
        f"{INDEX[name]}: {', '.join(PHRASES[name][:SYNONYMS])}\n"
        for name in names
        if name != BACKGROUND
    ]
    lines += [f"{INDEX[name]}: {name}\n" for name in names if name == BACKGROUND]
    (root / "classes.txt").write_text("".join(lines), encoding="utf-8")
    return root


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--domain", choices=DOMAINS, default="aerial")
    parser.add_argument("--count", type=int, default=20)
    given = parser.parse_args()
    write_folder(given.root, given.domain, given.count)
