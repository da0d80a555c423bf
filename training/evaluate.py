"""Measure the embedded model on scenes that it was not trained on.

Prints the tables of the model card. What the numbers mean:

- AUROC, AP of the map: of the probability that a user gets for the class's word alone,
  that is against the model's background words, over all pixels of all scenes of the
  class's domain, scenes without the class included; mean over the classes.
- AUROC, AP of the cosine: likewise, of the raw cosine with the word.
- mIoU, labels: of the labels that a user gets who asks for the classes in the scene.
- mIoU, all prompts: each pixel gets the class of its domain with the largest cosine.
- mIoU, present only: likewise, but only classes that are in the scene compete.

In fluorescence the word 'background' competes too, but is not part of a mean. Methods
are compared with nothing added that was found since GEM (`plain_card`); the last row is
what users get.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np

from napari_gem.core.appearance import Appearance
from napari_gem.core.parameters import EncodeParameters, GemParameters
from napari_gem.core.progress import run
from napari_gem.core.results import Features, Segmentation
from napari_gem.encoding.encode import encode_steps
from napari_gem.models.card import ModelCard
from napari_gem.models.find import find_model, load_model
from napari_gem.models.model import Model
from napari_gem.prompts.parsing import parse_prompts
from napari_gem.scoring.cache import ScoreCache
from napari_gem.scoring.cosines import group_scores
from napari_gem.scoring.text import embed_words
from napari_gem.scoring.upsampling import upsample
from napari_gem.segmentation.segment import segment_steps
from training.captions import PHRASES
from training.exact import class_iou, ranking
from training.make_test_scenes import hard_scenes, load_scenes
from training.scenes import BACKGROUND, CLASSES_OF, DOMAINS, INDEX, Scene

RGB = Appearance(rgb=True, limits=(0, 255))
SHIPPED = "GEM and what was found since, as shipped"
TILES = 9
"""Tiles of a scene."""


@dataclass(frozen=True)
class Result:
    """Figures of one method: class name to value, each 0 to 1."""

    map_auroc: dict[str, float]
    map_precision: dict[str, float]
    auroc: dict[str, float]
    precision: dict[str, float]
    iou_labels: dict[str, float]
    iou: dict[str, float]
    iou_present: dict[str, float]

    def means(self) -> dict[str, float]:
        """Return each figure's mean over the classes."""
        return {
            name: float(np.mean(list(values.values())))
            for name, values in vars(self).items()
        }


def plain_card(card: ModelCard) -> ModelCard:
    """Return GEM as `training.choose` found it, and nothing that was found since.

    This is the base that all methods start from and every gain is measured against. It
    stays as it is, whatever the embedded model is shipped with.
    """
    gem = GemParameters("gem", depth=9, temperature_scale=8.0, residual=False)
    score = replace(
        card.score,
        scale=10.0,
        present=0.1,
        presence="image",
        background_weight=1.0,
        smoothing=0.0,
        synonyms="max",
        image_weight=0.0,
        absent_weight=0.0,
        prototype_weight=0.0,
        refinement=0,
    )
    return replace(card, encode=replace(card.encode, gem=gem), score=score)


def methods(model: Model) -> dict[str, Model]:
    """Return the compared methods by name; zoom and tiles are the same for all.

    Parameters
    ----------
    model : Model
        The model as shipped, which is the last method.
    """
    every = 99
    card = plain_card(model.card)
    compared = {
        "plain patch tokens": GemParameters("plain"),
        "MaskCLIP": GemParameters("maskclip"),
        "MaskCLIP, no residual": GemParameters("maskclip", residual=False),
        "v-v, all blocks": GemParameters("vv", depth=every),
        "GEM, released parameters": GemParameters(),
        "GEM, own parameters": card.encode.gem,
    }
    cards = {
        name: replace(card, encode=replace(card.encode, gem=gem))
        for name, gem in compared.items()
    }
    found = {name: replace(model, card=changed) for name, changed in cards.items()}
    return {**found, SHIPPED: model}


def encode_scene(model: Model, scene: Scene, parameters: EncodeParameters) -> Features:
    """Encode a scene as it is drawn; tiles in one batch take a fifth less time."""
    return run(encode_steps(model, scene.image, RGB, parameters, batch=TILES))


def score_maps(model: Model, features: Features, names: list[str]) -> np.ndarray:
    """Return the cosine with each class's usual word: ``(names, height, width)``."""
    words = [PHRASES[name][0] for name in names]
    texts = embed_words(model.backbone, words, model.card.score.templates, model.texts)
    cosines = group_scores(features.array, [text[None] for text in texts])
    height, width = features.image_shape
    return upsample(cosines, features.patch, width, slice(0, height))


def evaluate(model: Model, scenes: list[Scene]) -> Result:
    """Measure one method on scenes.

    Parameters
    ----------
    model : Model
        The loaded model; its card says how it encodes and scores.
    scenes : list of Scene
        Scenes of every domain; each class occurs.

    Returns
    -------
    Result
        Its figures.
    """
    result = Result({}, {}, {}, {}, {}, {}, {})
    for domain in DOMAINS:
        of_domain = [scene for scene in scenes if scene.domain == domain]
        classes = list(CLASSES_OF[domain])
        names = classes + [BACKGROUND] * (domain == "fluorescence")
        encoded = [encode_scene(model, scene, model.card.encode) for scene in of_domain]
        # what is computed from the features alone is computed once for all words
        caches = [ScoreCache() for _ in encoded]
        maps = [score_maps(model, features, names) for features in encoded]
        truth = np.stack([scene.labels for scene in of_domain])
        numbers = np.array([INDEX[name] for name in names])
        best = np.stack([numbers[scores.argmax(axis=0)] for scores in maps])
        best_present = np.stack(
            [
                _best_present(scores, numbers, scene)
                for scores, scene in zip(maps, of_domain, strict=True)
            ]
        )
        wanted = [INDEX[name] for name in classes]
        labels = np.stack(
            [
                _labels(model, features, scene, classes, cache)
                for features, scene, cache in zip(
                    encoded, of_domain, caches, strict=True
                )
            ]
        )
        result.iou_labels.update(
            zip(classes, class_iou(labels, truth, wanted), strict=True)
        )
        result.iou.update(zip(classes, class_iou(best, truth, wanted), strict=True))
        result.iou_present.update(
            zip(classes, class_iou(best_present, truth, wanted), strict=True)
        )
        for place, name in enumerate(classes):
            scores = np.stack([scene_maps[place] for scene_maps in maps])
            figures = ranking(scores, truth == INDEX[name])
            result.auroc[name], result.precision[name] = figures
            shown = [
                _segment(model, features, [PHRASES[name][0]], cache).probabilities[0]
                for features, cache in zip(encoded, caches, strict=True)
            ]
            figures = ranking(np.stack(shown), truth == INDEX[name])
            result.map_auroc[name], result.map_precision[name] = figures
    return result


def _segment(
    model: Model, features: Features, words: list[str], cache: ScoreCache
) -> Segmentation:
    return run(segment_steps(model, features, parse_prompts(words), cache=cache))


def _labels(
    model: Model,
    features: Features,
    scene: Scene,
    classes: list[str],
    cache: ScoreCache,
) -> np.ndarray:
    present = [name for name in classes if INDEX[name] in scene.labels]
    words = [PHRASES[name][0] for name in present]
    labels = _segment(model, features, words, cache).labels
    return np.array([-1, *(INDEX[name] for name in present)])[labels]


def _best_present(scores: np.ndarray, numbers: np.ndarray, scene: Scene) -> np.ndarray:
    present = np.isin(numbers, scene.labels)
    return numbers[present][scores[present].argmax(axis=0)]


def tables(results: dict[str, Result]) -> str:
    """Return two Markdown tables: means of each method, AUROC of each class's map."""
    lines = [
        "| method | AUROC, map | AP, map | AUROC, cosine | AP, cosine "
        "| mIoU, labels | mIoU, all prompts | mIoU, present only |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method, result in results.items():
        cells = " | ".join(f"{value:.3f}" for value in result.means().values())
        lines.append(f"| {method} | {cells} |")
    lines += ["", f"| AUROC, map | {' | '.join(results)} |"]
    lines += ["|---|" + "---|" * len(results)]
    for domain, names in CLASSES_OF.items():
        for name in names:
            cells = (f"{result.map_auroc[name]:.3f}" for result in results.values())
            lines.append(f"| {domain}: {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def load_run(name: str) -> Model:
    """Load a trained model with the settings and words of the embedded one."""
    model, shipped = load_model(name), find_model("embedded")
    card = replace(model.card, encode=shipped.encode, score=shipped.score)
    return replace(model, card=card)


def scenes_of(split: str) -> list[Scene]:
    """Return the scenes of ``"test"`` (from the repository) or ``"validation"``."""
    return load_scenes() if split == "test" else hard_scenes(split)


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="embedded", help="id or exported folder")
    parser.add_argument("--split", choices=("test", "validation"), default="test")
    arguments = parser.parse_args()
    model = load_run(arguments.model)
    scenes = scenes_of(arguments.split)
    results = {
        name: evaluate(method, scenes) for name, method in methods(model).items()
    }
    print(tables(results))


if __name__ == "__main__":
    main()
