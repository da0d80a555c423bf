"""How long a new word takes on an encoded image, with and without refinement.

Prints a line for each: first word (shifts are made then, once), and the median of seven
more. The features are random and have the size of the embedded model's.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np

from napari_gem.models import load_model
from napari_gem.scores import ScoreCache
from napari_gem.segmenting import segment_steps
from napari_gem.steps import run
from napari_gem.tiles import unit
from napari_gem.types import PREVIEW_SIDE, Appearance, Features, Prompt

WORDS = ("water", "forest", "field", "building", "road", "ship", "cloud", "sand")
BESIDE = ("nuclei", "spots")
ROUNDS = (0, 10)


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=2048, help="pixels")
    side = parser.parse_args().side
    model = load_model("embedded", device="cpu")
    random = np.random.default_rng(0)
    patch = model.backbone.patch_size / model.card.encode.zoom
    count = int(side / patch)
    vectors = random.normal(size=(count + 1, count, model.backbone.channels))
    features = Features(
        array=unit(vectors[:-1]).astype(np.float16),
        image_embedding=unit(vectors[-1, 0]),
        image_shape=(side, side),
        patch=patch,
        model=model.card.id,
        revision=model.revision,
        parameters=model.card.encode,
        appearance=Appearance(rgb=True, limits=(0, 255)),
        picture=random.integers(0, 256, (side, side, 3), np.uint8),
    )
    for rounds in ROUNDS:
        score = replace(model.card.score, refinement=rounds)
        cache = ScoreCache()
        for name, step in (("preview", -(-side // PREVIEW_SIDE)), ("full size", 1)):
            taken = []
            for word in WORDS:
                prompts = [Prompt((one,)) for one in (*BESIDE, word)]
                start = time.perf_counter()
                steps = segment_steps(
                    model, features, prompts, score, step=step, cache=cache
                )
                run(steps)
                taken.append(time.perf_counter() - start)
            median = np.median(taken[1:])
            print(
                f"refinement {rounds}, {len(prompts)} classes, {name}: first "
                f"{taken[0] * 1000:.0f} ms, then {median * 1000:.0f} ms"
            )


if __name__ == "__main__":
    main()
