from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_gem.models import Model, load_model
from training.captions import PHRASES
from training.scenes import CLASSES_OF, INDEX, draw_scene

SIDE = 64
SCENES = 4


@pytest.fixture(scope="session")
def model() -> Model:
    return load_model("embedded", device="cpu", precision="float32")


def write_scenes(root: Path, count: int = SCENES) -> Path:
    """Write drawn aerial scenes as a plain folder."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(count):
        scene = draw_scene("validation", number, domain="aerial")
        image, labels = scene.image[:SIDE, :SIDE], scene.labels[:SIDE, :SIDE]
        Image.fromarray(image).save(root / "images" / f"{number}.png")
        mask = Image.fromarray(labels.astype(np.uint8))
        mask.save(root / "masks" / f"{number}.png")
    lines = (f"{INDEX[n]}: {', '.join(PHRASES[n][:2])}" for n in CLASSES_OF["aerial"])
    (root / "classes.txt").write_text("\n".join(lines))
    return root


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    return write_scenes(tmp_path / "scenes")
