"""Write the held-out test scenes that the repository keeps.

They choose nothing: settings and checkpoints are chosen on validation scenes.
"""

from __future__ import annotations

import argparse
from itertools import count
from pathlib import Path

import numpy as np

from training.scenes import CLASSES, DOMAINS, Scene, draw_scene

PER_DOMAIN = 20
LOOK_ALIKES = (
    {"forest", "grass"},
    {"field", "grass"},
    {"field", "sand"},
    {"road", "building"},
    {"ship", "building"},
    {"bacterium", "mitochondrion"},
    {"filament", "mitochondrion"},
    {"bacterium", "spot"},
    {"nucleus", "cell"},
    {"stained nucleus", "brown stain"},
    {"tissue", "brown stain"},
    {"tissue", "lumen"},
)
DEFAULT_PATH = Path(__file__).parents[1] / "tests" / "data" / "scenes" / "test.npz"


def is_hard(scene: Scene) -> bool:
    """Tell whether a scene has three classes, two of which are easily confused."""
    return len(scene.classes) >= 3 and any(
        pair <= set(scene.classes) for pair in LOOK_ALIKES
    )


def hard_scenes(split: str, per_domain: int = PER_DOMAIN) -> list[Scene]:
    """Return the first hard scenes of a split, the same number for each domain."""
    scenes: list[Scene] = []
    for domain in DOMAINS:
        drawn = (draw_scene(split, number, domain=domain) for number in count())
        found = (scene for scene in drawn if is_hard(scene))
        scenes.extend(next(found) for _ in range(per_domain))
    return scenes


def save_scenes(path: Path, scenes: list[Scene]) -> None:
    """Write images, labels, domains and class names to a compressed npz file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        images=np.stack([scene.image for scene in scenes]),
        labels=np.stack([scene.labels for scene in scenes]),
        domains=np.array([scene.domain for scene in scenes]),
        classes=np.array(CLASSES),
    )


def load_scenes(path: Path = DEFAULT_PATH) -> list[Scene]:
    """Read the scenes that `save_scenes` wrote."""
    with np.load(path) as stored:
        return [
            Scene(image, labels, str(domain))
            for image, labels, domain in zip(
                stored["images"], stored["labels"], stored["domains"], strict=True
            )
        ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_PATH)
    save_scenes(parser.parse_args().out, hard_scenes("test"))
