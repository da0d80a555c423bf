"""What was tried beside the ingredients and left out, so that it can be measured again.

Each is a function with a name in `EXTRAS`: it makes other features of a scene, or other
probabilities of the same pixels. `training.measure_ingredients` prints what they gain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.sparse import csr_matrix, diags, identity
from scipy.sparse.linalg import splu
from skimage.segmentation import random_walker, slic

from napari_gem.core.arrays import unit_vectors
from napari_gem.core.parameters import EncodeParameters
from napari_gem.core.results import Features, Segmentation
from napari_gem.encoding.blending import blend
from napari_gem.encoding.tiles import plan_tiles
from napari_gem.models.model import Model
from napari_gem.scoring.upsampling import upsample
from napari_gem.segmentation.postprocess.largest import largest
from training.evaluate import encode_scene
from training.scenes import Scene

EMPTY = 1e-6


@dataclass(frozen=True)
class Extra:
    """Something that is done beside what the parameters say.

    Attributes
    ----------
    encode : callable, optional
        Makes the features of a scene.
    finish : callable, optional
        Makes of an image, ``(height, width, 3)`` from 0 to 1, and probabilities of all
        classes and the background, ``(classes + 1, height, width)``, others.
    """

    encode: Callable[[Model, Scene, EncodeParameters], Features] | None = None
    finish: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None

    def features(self, model: Model, scene: Scene, how: EncodeParameters) -> Features:
        """Encode a scene."""
        return (self.encode or encode_scene)(model, scene, how)

    def finished(self, scene: Scene, found: Segmentation) -> Segmentation:
        """Change a result, with classes numbered from 1."""
        if self.finish is None:
            return found
        maps = found.probabilities
        rest = np.clip(1 - maps.sum(axis=0, keepdims=True), 0, 1)
        image = scene.image.astype(np.float32) / 255
        maps = self.finish(image, np.concatenate([maps, rest]))
        ids = range(1, len(maps))
        labels = largest(maps, ids, [0.5] * len(ids))
        return replace(found, probabilities=maps[:-1], labels=labels)


# Other features --------------------------------------------------------------------


def _corrected(
    model: Model, scene: Scene, how: EncodeParameters, *, weight: float, by_tile: bool
) -> Features:
    """Add the embedding of the image, or of each tile, to its features."""
    features = encode_scene(model, scene, how)
    array = features.array.astype(np.float32)
    what = features.image_embedding
    if by_tile:
        tiles = plan_tiles(*array.shape[:2], how.tile, how.overlap)
        even = (
            np.broadcast_to(v, (t.rows, t.columns, len(v)))
            for t, v in zip(tiles, features.tile_embeddings, strict=True)
        )
        what = blend(array.shape[:2], how.overlap, zip(tiles, even, strict=True))
    return replace(features, array=unit_vectors(array + weight * what))


def _with_mirror(model: Model, scene: Scene, how: EncodeParameters) -> Features:
    """Average the features of an image and its mirror."""
    one = encode_scene(model, scene, how)
    other = encode_scene(model, replace(scene, image=scene.image[:, ::-1]), how)
    if one.array.shape[1] * one.patch != scene.image.shape[1]:
        raise ValueError("The mirror needs a width of whole patches.")
    return replace(one, array=_mean(one.array, other.array[:, ::-1]))


def _with_zoom(
    model: Model, scene: Scene, how: EncodeParameters, *, zoom: float
) -> Features:
    """Average the features of two zooms, on the finer grid."""
    several = [
        encode_scene(model, scene, replace(how, zoom=z)) for z in (how.zoom, zoom)
    ]
    fine, coarse = sorted(several, key=lambda features: features.patch)
    maps = np.moveaxis(coarse.array.astype(np.float32), -1, 0)
    rows, columns = fine.array.shape[:2]
    spread = upsample(maps, coarse.patch / fine.patch, columns, slice(0, rows))
    return replace(
        fine, array=_mean(fine.array, unit_vectors(np.moveaxis(spread, 0, -1)))
    )


def _propagated(
    model: Model, scene: Scene, how: EncodeParameters, *, strength: float
) -> Features:
    """Even out features among alike neighbours: (1 + strength L)^-1 on their graph.

    As scores are products with features, that is Laplacian propagation of the scores
    (PEARL), with weights by features.
    """
    features = encode_scene(model, scene, how)
    array = features.array.astype(np.float32)
    rows, columns, channels = array.shape
    flat = array.reshape(-1, channels)
    places = np.arange(len(flat)).reshape(rows, columns)
    centred = unit_vectors(flat - flat.mean(axis=0))
    pairs = np.concatenate(
        [
            np.stack([places[:-1].ravel(), places[1:].ravel()]),
            np.stack([places[:, :-1].ravel(), places[:, 1:].ravel()]),
            np.stack([places[:-1, :-1].ravel(), places[1:, 1:].ravel()]),
            np.stack([places[:-1, 1:].ravel(), places[1:, :-1].ravel()]),
        ],
        axis=1,
    )
    weights = np.clip((centred[pairs[0]] * centred[pairs[1]]).sum(axis=1), 0, None) ** 2
    one_way = csr_matrix((weights, pairs), shape=(len(flat), len(flat)))
    graph = one_way + one_way.T
    laplacian = diags(np.asarray(graph.sum(axis=1)).ravel()) - graph
    solved = splu((identity(len(flat)) + strength * laplacian).tocsc()).solve(flat)
    return replace(
        features, array=unit_vectors(solved.astype("f4")).reshape(array.shape)
    )


def _stretched(model: Model, scene: Scene, how: EncodeParameters) -> Features:
    """Stretch each channel between its 1st and 99th percentile first."""
    low, high = np.percentile(scene.image, (1, 99), axis=(0, 1))
    stretched = (scene.image - low) / np.maximum(high - low, 1) * 255
    image = np.clip(stretched, 0, 255).astype(np.uint8)
    return encode_scene(model, replace(scene, image=image), how)


def _mean(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return unit_vectors(one.astype(np.float32) + other.astype(np.float32))


# Other ways to pixels --------------------------------------------------------------


def _pamr(image: np.ndarray, maps: np.ndarray, *, rounds: int) -> np.ndarray:
    """Average probabilities among pixels of like colour (arXiv 2005.08104).

    The weights are those of `napari_gem.scoring.refinement`.
    """
    import torch

    from napari_gem.scoring.refinement import _OFFSETS, _pad, _shifted, _steps

    weights, _ = _steps(torch.from_numpy(np.moveaxis(image, -1, 0).copy()))
    now = torch.from_numpy(maps)
    for _ in range(rounds):
        padded = _pad(now)
        total = torch.zeros_like(now)
        for weight, offset in zip(weights, _OFFSETS, strict=True):
            total.addcmul_(weight, _shifted(padded, offset))
        now = total
    return now.numpy()


def _guided(
    image: np.ndarray, maps: np.ndarray, *, radius: int, flat: float
) -> np.ndarray:
    """Guided filter by brightness (He et al., ECCV 2010)."""
    guide = image.mean(axis=-1)

    def box(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, 2 * radius + 1, mode="nearest")

    mean = box(guide)
    variance = box(guide * guide) - mean**2
    found = []
    for values in maps:
        slope = (box(guide * values) - mean * box(values)) / (variance + flat)
        level = box(values) - slope * mean
        found.append(box(slope) * guide + box(level))
    return _shares(np.stack(found))


def _voted(image: np.ndarray, maps: np.ndarray, *, side: int) -> np.ndarray:
    """Give all pixels of a superpixel (SLIC) their mean probabilities."""
    pieces = image.shape[0] * image.shape[1] // side**2
    regions = slic(image, pieces, compactness=10, start_label=0)
    counts = np.bincount(regions.ravel())
    sums = [np.bincount(regions.ravel(), values.ravel()) for values in maps]
    return np.stack([(one / counts)[regions] for one in sums]).astype(np.float32)


def _walked(image: np.ndarray, maps: np.ndarray, *, sure: float) -> np.ndarray:
    """Let random walkers from the surest pixels decide about the others."""
    winner = maps.argmax(axis=0)
    seeds = np.where(maps.max(axis=0) >= sure, winner + 1, 0)
    groups = np.unique(seeds[seeds > 0])
    if len(groups) < 2 or (seeds > 0).all():
        return maps
    # numbers without gaps, which random_walker would close by itself
    numbered = np.where(seeds > 0, np.searchsorted(groups, seeds) + 1, 0)
    walked = random_walker(
        image, numbered, mode="cg_j", tol=1e-6, channel_axis=-1, return_full_prob=True
    )
    found = np.zeros_like(maps)
    found[groups - 1] = walked
    return _shares(found)


def _shares(maps: np.ndarray) -> np.ndarray:
    maps = np.clip(maps, 0, None)
    return (maps / np.maximum(maps.sum(axis=0), EMPTY)).astype(np.float32)


NONE = Extra()
EXTRAS: dict[str, Extra] = {
    "": NONE,
    **{
        f"features + {w} image embedding": Extra(
            partial(_corrected, weight=w, by_tile=False)
        )
        for w in (-0.3, -0.1, 0.1, 0.3)
    },
    **{
        f"features + {w} tile embedding": Extra(
            partial(_corrected, weight=w, by_tile=True)
        )
        for w in (-0.1, 0.1, 0.3)
    },
    "mirror": Extra(_with_mirror),
    "zoom 1 too": Extra(partial(_with_zoom, zoom=1.0)),
    "zoom 3 too": Extra(partial(_with_zoom, zoom=3.0)),
    **{
        f"propagation {s}": Extra(partial(_propagated, strength=s))
        for s in (0.1, 0.5, 2.0)
    },
    "contrast stretched": Extra(_stretched),
}
"""What may be added to all settings."""

INSTEAD: dict[str, Extra] = {
    **{f"PAMR, {n} rounds": Extra(finish=partial(_pamr, rounds=n)) for n in (5, 10)},
    **{
        f"guided filter, radius {r}": Extra(
            finish=partial(_guided, radius=r, flat=1e-3)
        )
        for r in (4, 8)
    },
    **{f"SLIC of {s} px": Extra(finish=partial(_voted, side=s)) for s in (4, 8)},
    **{
        f"random walker from {p}": Extra(finish=partial(_walked, sure=p))
        for p in (0.6, 0.8)
    },
}
"""What takes the place of refinement."""
