"""Choose the embedded model's parameters, on validation scenes only.

Prints a line for each setting tried, with the figures of `training.evaluate` in their
order: for encodings, then for the threshold that drops background words; then, for the
score scale, how well probabilities fit when three classes are asked for and all other
known words are background.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from napari_gem.core.parameters import EncodeParameters, GemParameters, ScoreParameters
from napari_gem.models.model import Model
from training.captions import PHRASES, REAL_CLASSES_OF
from training.evaluate import (
    encode_scene,
    evaluate,
    load_run,
    plain_card,
    scenes_of,
    score_maps,
)
from training.scenes import CLASSES_OF, INDEX, Scene

REAL_CLASSES = {name for names in REAL_CLASSES_OF.values() for name in names}
PRESENT = (-1.0, 0.0, 0.1, 0.2, 0.3)
SCALES = (5, 8, 10, 12, 15, 20, 30, 40, 60, 100)


def settings() -> list[EncodeParameters]:
    """Return the encodings to try: each varies one thing of the first."""
    gem = GemParameters("gem", depth=9, temperature_scale=8.0, residual=False)
    base = EncodeParameters(gem, zoom=2.0, tile=32, overlap=8)
    changes = [
        {},
        *({"depth": depth} for depth in (6, 7, 8)),
        *({"temperature_scale": scale} for scale in (1.0, 3.0, 5.0, 12.0, 16.0)),
        *({"iterations": iterations} for iterations in (0, 2)),
        {"residual": True},
    ]
    grids = ((1.0, 16), (2.0, 16), (3.0, 24), (3.0, 48), (4.0, 32))
    return [replace(base, gem=replace(gem, **change)) for change in changes] + [
        replace(base, zoom=zoom, tile=tile, overlap=tile // 4) for zoom, tile in grids
    ]


def fit_of_scales(
    model: Model, scenes: list[Scene], parameters: EncodeParameters, *, draws: int
) -> dict[int, tuple[float, float, float]]:
    """Measure the probabilities at each of `SCALES`.

    Parameters
    ----------
    model : Model
        The loaded model.
    scenes : list of Scene
        Validation scenes.
    parameters : EncodeParameters
        The encoding.
    draws : int
        Prompts drawn for each scene.

    Returns
    -------
    dict
        Scale to three means over pixels: negative log likelihood of the right class or
        background, probability of a class on its own pixels, largest probability of a
        class that is not in the scene.
    """
    rng = np.random.default_rng(0)
    names = [name for name in PHRASES if name not in REAL_CLASSES]
    found: dict[int, list[tuple[float, float, float]]] = {s: [] for s in SCALES}
    for scene in scenes:
        cosines = score_maps(model, encode_scene(model, scene, parameters), names)
        cosines = cosines[:, ::3, ::3]
        labels = scene.labels[::3, ::3]
        of_domain = CLASSES_OF[scene.domain]
        for _ in range(draws):
            asked = [str(name) for name in rng.choice(of_domain, 3, replace=False)]
            others = [
                number
                for number, name in enumerate(names)
                if name not in asked and not _same(name, asked)
            ]
            groups = [cosines[names.index(name)] for name in asked]
            groups.append(cosines[others].max(axis=0))
            truth = np.full(labels.shape, 3)
            for place, name in enumerate(asked):
                truth[labels == INDEX[name]] = place
            for scale in SCALES:
                found[scale].append(_fit(np.stack(groups) * scale, truth))
    return {
        scale: tuple(float(v) for v in np.nanmean(values, axis=0))
        for scale, values in found.items()
    }


def _same(name: str, asked: list[str]) -> bool:
    return PHRASES[name][0] in [PHRASES[other][0] for other in asked]


def _fit(logits: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    logits = logits - logits.max(axis=0)
    probability = np.exp(logits)
    probability /= probability.sum(axis=0)
    right = np.take_along_axis(probability, truth[None], axis=0)[0]
    present = [place for place in range(3) if (truth == place).any()]
    absent = [place for place in range(3) if place not in present]
    return (
        -np.log(right.clip(1e-9)).mean(),
        np.mean([right[truth == p].mean() for p in present]) if present else np.nan,
        np.mean([probability[p].max() for p in absent]) if absent else np.nan,
    )


def _but(model: Model, **change: EncodeParameters | ScoreParameters) -> Model:
    return replace(model, card=replace(model.card, **change))


def main() -> None:
    """Parse the command line, try everything and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="embedded", help="id or exported folder")
    arguments = parser.parse_args()
    model = load_run(arguments.model)
    model = replace(model, card=plain_card(model.card))
    scenes = scenes_of("validation")
    results = []
    for parameters in settings():
        means = evaluate(_but(model, encode=parameters), scenes).means()
        results.append((means, parameters))
        print(*(f"{value:.3f}" for value in means.values()), parameters, flush=True)
    best = max(results, key=lambda result: result[0]["auroc"] + result[0]["iou"])[1]
    for present in PRESENT:
        score = replace(model.card.score, present=present)
        means = evaluate(_but(model, encode=best, score=score), scenes).means()
        print(*(f"{value:.3f}" for value in means.values()), f"present={present}")
    for scale, fit in fit_of_scales(model, scenes, best, draws=4).items():
        print(scale, *(f"{value:.3f}" for value in fit))


if __name__ == "__main__":
    main()
