"""Simulate how words compete: what levels of words cost, and what takes them off.

Every word has a level of its own, the same on every patch, beside what it says of
the patch. Drawn are scores, not pictures: a patch's own word has a cosine of 0.27 with
it and all others 0.19, each with noise; so nothing but the competition of words is
measured. Half of an image shows the prompts, in equal parts, three of them at most; the
other half shows three of 32 background words.

``python -m training.simulate_words`` prints mean recall of the prompts' patches and the
mean IoU over prompts and background, of 60 draws: without levels, with levels, with
levels that were taken off but for a rest, and with levels by the background's weight.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

OWN, OTHERS, NOISE = 0.27, 0.19, 0.02
LEVEL, REST = 0.02, 0.005
"""Standard deviation of levels as they are, and of what calibration leaves of them."""

PATCHES, BACKGROUND, SHOWN, DRAWS = 960, 32, 3, 60
"""``SHOWN`` prompts at most, and as many background words, are in the image."""

SCALE = 40.0
PROMPTS = (1, 3, 10, 20)
WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0)


def draw(
    prompts: int, level: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw an image.

    Parameters
    ----------
    prompts : int
        How many words are asked for; the first three are in the image.
    level : float
        Standard deviation of the levels of words.
    rng : numpy.random.Generator
        Draws.

    Returns
    -------
    tuple of numpy.ndarray
        Scores of prompts and, last, of the background, ``(prompts + 1, patches)``; the
        right one of each patch, ``(patches,)``.
    """
    half = PATCHES // 2
    own = np.concatenate(
        [
            np.arange(half) * min(prompts, SHOWN) // half,
            prompts + np.arange(PATCHES - half) * SHOWN // (PATCHES - half),
        ]
    )
    words = prompts + BACKGROUND
    scores = np.full((words, PATCHES), OTHERS)
    scores[own, np.arange(PATCHES)] = OWN
    scores += rng.normal(0, NOISE, scores.shape) + rng.normal(0, level, (words, 1))
    joined = np.concatenate([scores[:prompts], scores[prompts:].max(0, keepdims=True)])
    return joined, np.minimum(own, prompts)


def figures(scores: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Return mean recall of prompts that are there, mean IoU with the background."""
    found, there = scores.argmax(axis=0), np.unique(right)
    both = np.array([((found == n) & (right == n)).sum() for n in there])
    either = [((found == n) | (right == n)).sum() for n in there]
    size = np.bincount(right)[there]
    return float((both / size)[:-1].mean()), float((both / either).mean())


def mean_figures(prompts: int, level: float, weight: float = 1.0) -> np.ndarray:
    """Return recall and mIoU over the draws, which are the same for every weight."""
    results = []
    for seed in range(DRAWS):
        scores, right = draw(prompts, level, np.random.default_rng(seed))
        scores[-1] += np.log(weight) / SCALE
        results.append(figures(scores, right))
    return np.mean(results, axis=0)


def lines() -> Iterator[str]:
    """Yield two Markdown tables: by levels, and by the weight of the background."""
    yield f"| levels, sd | {' | '.join(f'{n} prompts' for n in PROMPTS)} |"
    yield "|---|" + "---|" * len(PROMPTS)
    for level in (0.0, REST, LEVEL):
        cells = (mean_figures(n, level) for n in PROMPTS)
        told = (f"{recall:.2f}, {iou:.2f}" for recall, iou in cells)
        yield f"| {level:g} | {' | '.join(told)} |"
    yield ""
    yield f"| weight, mIoU | {' | '.join(f'{n} prompts' for n in PROMPTS)} |"
    yield "|---|" + "---|" * len(PROMPTS)
    for weight in WEIGHTS:
        cells = (mean_figures(n, LEVEL, weight)[1] for n in PROMPTS)
        yield f"| {weight:g} | {' | '.join(f'{iou:.2f}' for iou in cells)} |"


if __name__ == "__main__":
    print("\n".join(lines()))
