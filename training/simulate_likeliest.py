"""Simulate how many background words are best kept, by their cosine with the image.

Images and words are drawn as by `training.simulate_words`: half of an image shows the
prompts, the other half 3 of 32 background words. The image embedding has a cosine of
0.23 with words that are in the image and of 0.19 with others, with noise of 0.01 and
the word's level, so that what is kept is no perfect choice.

``python -m training.simulate_likeliest`` prints mean recall of the prompts' patches and
the mean IoU, of 60 draws, for words with levels and without.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from training.simulate_words import (
    BACKGROUND,
    DRAWS,
    LEVEL,
    NOISE,
    OTHERS,
    OWN,
    PATCHES,
    PROMPTS,
    REST,
    SHOWN,
    figures,
)

IN_IMAGE, IMAGE_NOISE = 0.23, 0.01
KEPT = (3, 5, 8, 12, 16, 24, BACKGROUND)


def draw(
    prompts: int, level: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw an image.

    Parameters
    ----------
    prompts : int
        How many words are asked for; all are in the image.
    level : float
        Standard deviation of the levels of words.
    rng : numpy.random.Generator
        Draws.

    Returns
    -------
    tuple of numpy.ndarray
        Scores of all words, ``(words, patches)``, the prompts first; the right word of
        each patch, ``(patches,)``; cosines of the words with the image, ``(words,)``.
    """
    half = PATCHES // 2
    shown = prompts + np.arange(PATCHES - half) * SHOWN // (PATCHES - half)
    own = np.concatenate([np.arange(half) * prompts // half, shown])
    words = prompts + BACKGROUND
    levels = rng.normal(0, level, words)
    scores = np.full((words, PATCHES), OTHERS)
    scores[own, np.arange(PATCHES)] = OWN
    scores += rng.normal(0, NOISE, scores.shape) + levels[:, None]
    image = np.full(words, OTHERS)
    image[own] = IN_IMAGE
    return scores, own, image + rng.normal(0, IMAGE_NOISE, words) + levels


def mean_figures(prompts: int, level: float, kept: int) -> np.ndarray:
    """Return recall and mIoU over the draws with so many background words."""
    results = []
    for seed in range(DRAWS):
        scores, own, image = draw(prompts, level, np.random.default_rng(seed))
        best = prompts + np.argsort(-image[prompts:])[:kept]
        background = scores[best].max(axis=0, keepdims=True)
        joined = np.concatenate([scores[:prompts], background])
        results.append(figures(joined, np.minimum(own, prompts)))
    return np.mean(results, axis=0)


def lines() -> Iterator[str]:
    """Yield a Markdown table: by levels and prompts, and by the words that are kept."""
    yield f"| levels, prompts | {' | '.join(map(str, KEPT))} |"
    yield "|---|" + "---|" * len(KEPT)
    for level in (0.0, REST, LEVEL):
        for prompts in PROMPTS:
            cells = (mean_figures(prompts, level, kept) for kept in KEPT)
            written = (f"{recall:.2f}, {iou:.2f}" for recall, iou in cells)
            yield f"| {level:g}, {prompts} | {' | '.join(written)} |"


if __name__ == "__main__":
    print("\n".join(lines()))
