"""Draw the sample images of the package, from seeds that training never saw."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image

from training.captions import PHRASES
from training.scenes import draw_scene

SIZE = 512
# Chosen by eye for looks, before the model had seen them.
SAMPLES = {
    "fluorescence": {
        "number": 6,
        "title": "Cells, nuclei, filaments and spots (drawn fluorescence image)",
        "classes": ("nucleus", "cell", "filament", "spot"),
        "scale": 0.5,
        "unit": "µm",
    },
    "histology": {
        "number": 18,
        "title": "Stained tissue with lumens and brown stain (drawn)",
        "classes": ("stained nucleus", "brown stain", "lumen", "tissue"),
        "scale": 0.5,
        "unit": "µm",
    },
    "aerial": {
        "number": 12,
        "title": "Coast with farmland, houses and ships (drawn aerial photograph)",
        "classes": ("water", "field", "building", "road", "ship", "sand", "grass"),
        "scale": 1.0,
        "unit": "m",
    },
}
DEFAULT_FOLDER = Path(__file__).parents[1] / "src" / "napari_gem" / "samples"
_SYNONYMS = 3

_REAL = {
    "immunohistochemistry": {
        "title": "Immunohistochemistry (real, scikit-image): glands of the colon, "
        "brown stain",
        "file": "ihc.png",
        "prompts": [
            "brown stain, brown staining, dab",
            "nuclei, purple nuclei, stained nuclei",
        ],
        "scale": None,
        "unit": "",
    }
}
"""The micrograph of scikit-image, which is not among the files written."""


def make_samples(folder: Path) -> None:
    """Write a PNG file for each sample, and `samples.json` that describes them.

    Parameters
    ----------
    folder : pathlib.Path
        Receives the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    described = {}
    for domain, sample in SAMPLES.items():
        scene = draw_scene("sample", sample["number"], size=SIZE, domain=domain)
        Image.fromarray(scene.image).save(folder / f"{domain}.png", optimize=True)
        described[domain] = {
            "title": sample["title"],
            "file": f"{domain}.png",
            "prompts": [
                ", ".join(PHRASES[name][:_SYNONYMS]) for name in sample["classes"]
            ],
            "scale": sample["scale"],
            "unit": sample["unit"],
        }
    described |= _REAL
    text = json.dumps(described, indent=2, ensure_ascii=False) + "\n"
    (folder / "samples.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    make_samples(parser.parse_args().out)
