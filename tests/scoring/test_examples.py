from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_gem.core.appearance import Appearance
from napari_gem.core.arrays import unit_vectors
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import EncodeParameters
from napari_gem.core.prompts import Example, Prompt
from napari_gem.core.region import Region
from napari_gem.core.results import Features
from napari_gem.scoring import examples as module
from napari_gem.scoring.cache import ScoreCache
from napari_gem.scoring.examples import (
    MOST,
    as_vector,
    centre,
    directions_of_examples,
    join_directions,
    spread_pixels,
    usable_examples,
)

PATCH = 4
KINDS = np.zeros((12, 10), int)
KINDS[2:5, 1:4] = 1
KINDS[7:10, 5:9] = 2


def encoded(kinds=KINDS, seed=0, noise=0.3, channels=24, **changes) -> Features:
    """An image of three kinds of patches that have much in common."""
    rng = np.random.default_rng(5)
    common, looks = 3 * rng.normal(size=channels), rng.normal(size=(3, channels))
    noisy = noise * np.random.default_rng(seed).normal(size=(*kinds.shape, channels))
    array = unit_vectors(common + looks[kinds] + noisy)
    features = Features(
        array=array.astype(np.float16),
        image_embedding=array[0, 0],
        image_shape=(kinds.shape[0] * PATCH, kinds.shape[1] * PATCH),
        patch=PATCH,
        model="model",
        revision="1",
        parameters=EncodeParameters(),
        appearance=Appearance(rgb=True),
    )
    return replace(features, **changes)


def text(classes=3, kinds=KINDS, seed=1) -> np.ndarray:
    """Scores of words that know nothing; the background is last."""
    rng = np.random.default_rng(seed)
    scores = 0.2 + 0.02 * rng.normal(size=(classes, *kinds.shape))
    return scores.astype(np.float32)


def middle(row, column):
    return ((row + 0.5) * PATCH - 0.5, (column + 0.5) * PATCH - 0.5)


def yes(*patches):
    return tuple(Example(middle(*patch)) for patch in patches)


def no(*patches):
    return tuple(Example(middle(*patch), positive=False) for patch in patches)


def gap(scores, kind, kinds=KINDS):
    """How much higher a class scores on its patches than elsewhere, on average."""
    return scores[kinds == kind].mean() - scores[kinds != kind].mean()


def prototype_scores(features, prompts, text_scores, centred=None) -> np.ndarray:
    """Join the scores of words with those of examples, all at once."""
    joined = text_scores.copy()
    if not any(usable_examples(features, prompt)[0] for prompt in prompts):
        return joined
    centred = centre(features) if centred is None else centred
    at_places = text_scores.reshape(len(text_scores), -1)[:, centred.places]
    join_directions(
        joined,
        centred.array,
        directions_of_examples(features, prompts, at_places, centred),
    )
    return joined


def test_an_example_finds_what_looks_alike() -> None:
    scores = text()
    prompts = [Prompt(("a",), examples=yes((3, 2))), Prompt(("b",))]
    joined = prototype_scores(encoded(), prompts, scores)
    assert gap(joined[0], 1) > 0.02 > gap(scores[0], 1)
    assert (joined[0].argmax() == np.flatnonzero(KINDS == 1)).any()


def test_others_and_the_background_stay_and_nothing_is_changed_in_place() -> None:
    scores = text()
    before = scores.copy()
    prompts = [Prompt(("a",), examples=yes((3, 2))), Prompt(("b",))]
    joined = prototype_scores(encoded(), prompts, scores)
    assert (scores == before).all()
    assert joined.dtype == np.float32
    assert (joined[1:] == scores[1:]).all()
    assert not np.allclose(joined[0], scores[0])
    unchanged = prototype_scores(encoded(), [Prompt(("a",)), Prompt(("b",))], scores)
    assert (unchanged == scores).all()
    assert unchanged is not scores


def test_examples_do_not_swamp_the_words() -> None:
    scores = text()
    fifty = tuple(Example((8 + i / 10, 6)) for i in range(50))
    joined = prototype_scores(encoded(), [Prompt(("a",), examples=fifty)] * 2, scores)
    # at most the level and the spread that the words have
    assert abs(joined[0].mean() - 0.2) < 0.01
    assert joined[0].std() < 1.2 * scores.std()
    one = prototype_scores(
        encoded(), [Prompt(("a",), examples=fifty[:1]), Prompt(("b",))], scores
    )
    left = [
        np.corrcoef(each[0].ravel(), scores[0].ravel())[0, 1] for each in (one, joined)
    ]
    assert left[0] > left[1] > 0  # more examples weigh more, the words always count


def test_a_class_without_words_lives_by_its_examples() -> None:
    scores = text()
    scores[0] = -1
    wordless = Prompt((), title="a", examples=yes((3, 2), (4, 3)))
    joined = prototype_scores(encoded(), [wordless, Prompt(("b",))], scores)
    assert gap(joined[0], 1) > 0.02
    # what stood there does not matter
    scores[0] = 0.1
    again = prototype_scores(encoded(), [wordless, Prompt(("b",))], scores)
    assert np.allclose(joined[0], again[0])
    assert joined[0][KINDS == 1].min() > scores[1:].mean()


def test_without_any_words_examples_still_tell_two_classes_apart() -> None:
    prompts = [
        Prompt((), title="a", examples=yes((3, 2))),
        Prompt((), title="b", examples=yes((8, 6))),
    ]
    nothing = np.full((3, *KINDS.shape), -1, np.float32)
    joined = prototype_scores(encoded(), prompts, nothing)
    assert (joined[0] > joined[1])[KINDS == 1].all()
    assert (joined[1] > joined[0])[KINDS == 2].all()
    assert (joined[2] == -1).all()


def test_a_negative_example_pushes_down_what_looks_like_it() -> None:
    # the words take both kinds for the class
    scores = text()
    scores[0] += 0.1 * (KINDS > 0)
    words = Prompt(("a",))
    shown = [replace(words, examples=yes((3, 2)))]
    marked = [replace(words, examples=yes((3, 2)) + no((8, 6)))]
    only = [replace(words, examples=no((8, 6)))]
    positive, mixed, negative = (
        prototype_scores(encoded(), [*prompts, Prompt(("b",))], scores)
        for prompts in (shown, marked, only)
    )
    assert mixed[0][KINDS == 2].mean() < positive[0][KINDS == 2].mean() - 0.01
    assert negative[0][KINDS == 2].mean() < scores[0][KINDS == 2].mean() - 0.01
    assert negative[0][KINDS == 1].mean() > negative[0][KINDS == 2].mean() + 0.02
    assert (negative[1:] == scores[1:]).all()


def test_negative_examples_alone_say_nothing_of_a_class_without_words() -> None:
    scores = text()
    scores[0] = -1
    prompts = [Prompt((), title="a", examples=no((8, 6))), Prompt(("b",))]
    assert (prototype_scores(encoded(), prompts, scores) == scores).all()


def test_features_that_are_all_the_same_change_nothing() -> None:
    flat = encoded(np.zeros((6, 6), int), noise=0)
    scores = text(kinds=np.zeros((6, 6)))
    prompts = [Prompt(("a",), examples=yes((3, 2)) + no((1, 1))), Prompt(("b",))]
    assert (prototype_scores(flat, prompts, scores) == scores).all()
    one = encoded(np.zeros((1, 1), int))
    alone = text(kinds=np.zeros((1, 1)))
    assert (prototype_scores(one, prompts, alone) == alone).all()


def test_words_that_say_the_same_everywhere_leave_finite_scores() -> None:
    scores = np.full((3, *KINDS.shape), 0.2, np.float32)
    prompts = [
        Prompt(("a",), examples=yes((3, 2))),
        Prompt(("b",), examples=no((3, 2))),
    ]
    joined = prototype_scores(encoded(), prompts, scores)
    assert np.isfinite(joined).all()
    assert (joined[1:] == scores[1:]).all()


def test_kept_examples_work_on_another_image() -> None:
    first, second = encoded(), encoded(KINDS[::-1], seed=9)
    kept = tuple(as_vector(first, example) for example in yes((3, 2), (4, 3)))
    assert all(example.point is None and example.model == "model" for example in kept)
    assert np.linalg.norm(kept[0].vector) == pytest.approx(1, abs=1e-3)
    assert all(round(value, 4) == value for value in kept[0].vector)
    scores = text()
    prompts = [Prompt(("a",), examples=kept), Prompt(("b",))]
    joined = prototype_scores(second, prompts, scores)
    assert gap(joined[0], 1, KINDS[::-1]) > 0.02
    # on the image that they come from they are as good as the points
    points = [Prompt(("a",), examples=yes((3, 2), (4, 3))), Prompt(("b",))]
    by_prompts, by_points = (
        prototype_scores(first, p, scores) for p in (prompts, points)
    )
    assert np.allclose(by_prompts, by_points, atol=2e-4)
    assert as_vector(second, kept[0]) is kept[0]


def test_unusable_examples_are_left_out_and_told() -> None:
    features = encoded()
    good = Example((47.4, 39.4))
    vector = tuple([1.0] + [0.0] * 23)
    bad = (
        Example((47.6, 3)),
        Example((3, -0.6)),
        Example(),
        Example(vector=vector, model="other"),
        Example(vector=vector[:5], model="model"),
        Example(vector=(float("nan"), *vector[1:]), model="model"),
    )
    prompt = Prompt(("nuclei",), examples=(good, *bad))
    usable, notice = usable_examples(features, prompt)
    assert usable == (good,)
    assert notice == (
        "Examples of 'nuclei' left out: 3 outside of the image or region and 3 made "
        "with another model than model."
    )
    scores = text()
    prompts = [replace(prompt, examples=bad), Prompt(("b",))]
    assert (prototype_scores(features, prompts, scores) == scores).all()
    assert usable_examples(features, replace(prompt, examples=(good,))) == ((good,), "")
    with pytest.raises(GemError, match="row 48, column 3 lies outside of the"):
        as_vector(features, bad[0])


def test_a_point_of_another_image_falls_back_on_its_vector() -> None:
    vector = tuple([1.0] + [0.0] * 23)
    example = Example((1000, 3), vector=vector, model="model")
    usable, notice = usable_examples(encoded(), Prompt(("a",), examples=(example,)))
    assert usable == (replace(example, point=None),)
    assert notice == ""


def test_only_the_region_counts() -> None:
    region = Region((0, 24), (0, 40))
    whole = encoded()
    elsewhere = whole.array.copy()
    elsewhere[7:] = 0
    scores = text()
    prompts = [Prompt(("a",), examples=yes((3, 2), (8, 6))), Prompt(("b",))]
    one, other = (
        prototype_scores(replace(whole, array=array, region=region), prompts, scores)
        for array in (whole.array, elsewhere)
    )
    # the same whether the rest was encoded or not; the second point is outside
    assert np.allclose(one[:, :6], other[:, :6])
    first = [replace(prompts[0], examples=prompts[0].examples[:1]), prompts[1]]
    alone = prototype_scores(replace(whole, region=region), first, scores)
    assert np.allclose(one, alone)
    corner = replace(region, polygon=((0, 0), (0, 39), (23, 0)))
    inside = usable_examples(replace(whole, region=corner), prompts[0])
    assert len(inside[0]) == 1
    far = Prompt(("a",), examples=(Example((20, 35)),))
    assert usable_examples(replace(whole, region=corner), far)[0] == ()


def test_features_are_read_between_patches_as_scores_are_drawn() -> None:
    features = encoded()
    array = features.array.astype(np.float32)
    assert np.allclose(module._feature_at(features, middle(3, 2)), array[3, 2])
    between = module._feature_at(features, middle(3.25, 2))
    expected = 0.75 * array[3, 2] + 0.25 * array[4, 2]
    assert np.allclose(between, expected, atol=1e-5)
    assert np.allclose(module._feature_at(features, (-0.4, 39.4)), array[0, -1])


def test_large_images_are_sampled_and_half_precision_is_kept(monkeypatch) -> None:
    kinds = np.repeat(np.repeat(KINDS, 4, axis=0), 4, axis=1)
    features, scores = encoded(kinds), text(kinds=kinds)
    prompts = [Prompt(("a",), examples=yes((12, 8)) + no((33, 24))), Prompt(("b",))]
    full = prototype_scores(features, prompts, scores)
    monkeypatch.setattr(module, "SAMPLE", 400)
    monkeypatch.setattr(module, "STRIP", 7)
    monkeypatch.setattr(module, "LARGEST_COPY", 0)
    centred = centre(features)
    assert len(centred.places) == 400
    assert centred.array.dtype == np.float16
    sampled = prototype_scores(features, prompts, scores, centred)
    assert np.corrcoef(full[0].ravel(), sampled[0].ravel())[0, 1] > 0.98


def test_the_weight_of_examples_grows_with_their_number() -> None:
    scores = text()
    weights = []
    for count in (1, 3, 50):
        same = yes(*[(3, 2)] * count)
        prompts = [Prompt(("a",), examples=same), Prompt(("b",))]
        joined = prototype_scores(encoded(), prompts, scores)
        # the same example again and again: only the weight changes
        weights.append(np.abs(joined[0] - scores[0]).mean())
    assert weights[1] / weights[0] == pytest.approx(1.5, rel=1e-3)
    assert weights[2] / weights[0] == pytest.approx(2 * 50 / 51, rel=1e-3)
    assert MOST < 1


def test_a_painted_patch_is_sampled_all_over() -> None:
    mask = np.zeros((300, 200), bool)
    mask[20:280, 30:33] = True  # a thin line
    mask[100:160, 60:180] = True
    pixels = spread_pixels(mask, 50)
    assert 30 <= len(pixels) <= 50
    assert mask[tuple(pixels.T)].all()
    assert len(np.unique(pixels, axis=0)) == len(pixels)
    assert pixels[:, 0].min() < 40
    assert pixels[:, 0].max() > 260
    assert spread_pixels(mask[:22, :31], 50).tolist() == [[20, 30], [21, 30]]
    assert spread_pixels(np.zeros((5, 5), bool)).shape == (0, 2)
    assert len(spread_pixels(np.ones((900, 900), bool), 1)) == 1


def test_what_other_settings_do_not_change_is_kept():
    rng = np.random.default_rng(0)
    array = rng.random((5, 6, 4)).astype(np.float32)
    actual = [
        module.Direction(0, 0.5, rng.random(4).astype(np.float32), 0.1),
        module.Direction(2, 0.2, rng.random(4).astype(np.float32), -0.3),
    ]
    before = rng.random((3, 5, 6)).astype(np.float32)
    wanted = before.copy()
    module.join_directions(wanted, array, actual)
    assert (wanted[1] == before[1]).all()
    along = array @ actual[0].vector
    assert np.allclose(wanted[0], 0.5 * before[0] + 0.5 * (along + 0.1))
    for cache in (ScoreCache(), ScoreCache(limit=1)):  # the latter forgets at once
        for _ in range(2):
            scores = before.copy()
            module.join_directions(scores, array, actual, cache)
            assert np.allclose(scores, wanted, atol=1e-6)
    kept = ScoreCache()
    module.join_directions(before.copy(), array, actual, kept)
    scores = before.copy()
    module.join_directions(scores, np.zeros_like(array), actual, kept)  # not looked at
    assert (scores == wanted).all()
