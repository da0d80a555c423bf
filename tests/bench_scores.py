"""How long a new word takes on an encoded image, with refinement and prototypes.

Prints a line for each: the first word (what the image alone decides is made then), and
the median of seven more. Features are random, of the embedded model's size.

``--encode`` takes a new image through the model, one word included, with plain GEM and
with each addition, in turns. Its image is smaller: all goes by tiles or by pixels,
so shares stay, and at 2048 x 2048 pixels a single image takes one and a half minutes.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np

from napari_gem.core.appearance import Appearance
from napari_gem.core.arrays import unit_vectors
from napari_gem.core.progress import run
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Features
from napari_gem.models.find import load_model
from napari_gem.models.model import Model
from napari_gem.scoring.cache import ScoreCache
from napari_gem.segmentation.pipeline import encode, segment
from napari_gem.segmentation.segment import segment_steps
from napari_gem.worker.messages import PREVIEW_SIDE

WORDS = ("water", "forest", "field", "building", "road", "ship", "cloud", "sand")
BESIDE = ("nuclei", "spots")
SHIPPED = "both, as shipped"
ADDED: dict[str, dict[str, float]] = {
    "GEM": {"refinement": 0, "prototype_weight": 0.0},
    "refinement 10": {"refinement": 10, "prototype_weight": 0.0},
    "prototypes": {"refinement": 0, "prototype_weight": 0.4},
    SHIPPED: {},
}
SIDE, ENCODED_SIDE = 2048, 512
REPEATS = 4
MOST = 2.0
"""Times plain GEM's, for a new image."""

CHANGES: dict[str, dict[str, float]] = {
    "neighbours": {"neighbours": 1.0},
    "repair": {"repair": 2.0},
    "middle": {"middle": 0.1},
}


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, help="pixels")
    parser.add_argument(
        "--encode", action="store_true", help="what each ingredient adds to a new image"
    )
    arguments = parser.parse_args()
    model = load_model("embedded", device="cpu")
    if arguments.encode:
        encode_times(model, arguments.side or ENCODED_SIDE)
    else:
        word_times(model, arguments.side or SIDE)


def encode_times(model: Model, side: int) -> None:
    """Print how long a new image takes: encoded, and segmented by one word."""
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    card = model.card
    plain = ADDED["GEM"]
    rows = [(name, {}, change) for name, change in ADDED.items()]
    rows += [(name, change, plain) for name, change in CHANGES.items()]
    taken: dict[str, list[float]] = {name: [] for name, _, _ in rows}
    for _ in range(REPEATS):  # in turns, since the machine may be busy
        for name, gem, added in rows:
            changed = replace(card.encode, gem=replace(card.encode.gem, **gem))
            score = replace(card.score, **added)
            start = time.perf_counter()
            features = encode(image, model, parameters=changed)
            segment(features, [WORDS[0]], model, parameters=score)
            taken[name].append(time.perf_counter() - start)
    shares = {name: min(t) / min(taken["GEM"]) for name, t in taken.items()}
    for name, share in shares.items():
        print(f"{name}: {min(taken[name]):.2f} s, {share:.2f} of GEM")
    verdict = "met" if shares[SHIPPED] <= MOST else "missed"
    print(f"{SHIPPED}: {MOST:g} times GEM at most: {verdict}")


def word_times(model: Model, side: int) -> None:
    """Print how long new words take on an encoded image."""
    random = np.random.default_rng(0)
    patch = model.backbone.patch_size / model.card.encode.zoom
    count = int(side / patch)
    vectors = random.normal(size=(count + 1, count, model.backbone.channels))
    features = Features(
        array=unit_vectors(vectors[:-1]).astype(np.float16),
        image_embedding=unit_vectors(vectors[-1, 0]),
        image_shape=(side, side),
        patch=patch,
        model=model.card.id,
        revision=model.revision,
        parameters=model.card.encode,
        appearance=Appearance(rgb=True, limits=(0, 255)),
        picture=random.integers(0, 256, (side, side, 3), np.uint8),
    )
    for change, added in ADDED.items():
        score = replace(model.card.score, **added)
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
                f"{change}, {len(prompts)} classes, {name}: first "
                f"{taken[0] * 1000:.0f} ms, then {median * 1000:.0f} ms"
            )


if __name__ == "__main__":
    main()
