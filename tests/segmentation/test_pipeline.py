from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

import napari_gem
from napari_gem.core import validation
from napari_gem.core.arrays import unit_vectors
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import (
    EncodeParameters,
    GemParameters,
    LabelParameters,
    ScoreParameters,
)
from napari_gem.core.progress import run
from napari_gem.core.prompts import Example, Prompt
from napari_gem.core.region import Region
from napari_gem.encoding.encode import encode_steps, restrict
from napari_gem.images.rendering import stretch
from napari_gem.prompts.parsing import parse_prompts
from napari_gem.scoring.cache import ScoreCache
from napari_gem.scoring.presence import MOST_SHARE
from napari_gem.scoring.text import embed_words
from napari_gem.scoring.words import word_steps
from napari_gem.segmentation.pipeline import encode, heat_maps
from napari_gem.segmentation.pipeline import segment as segment_in_domain
from napari_gem.segmentation.segment import segment_steps
from tests.tiny import PATCH, write_tiny_model

if TYPE_CHECKING:
    from napari_gem.models.model import Model

ENCODE = EncodeParameters(gem=GemParameters(), zoom=1.0, tile=6, overlap=2)
# else words such as cat would bring the background words of photographs
segment = partial(segment_in_domain, domain="general")
SCORE = ScoreParameters(background=("sky", "soil"), templates=("{}", "a {}."))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    loaded = napari_gem.load_model(str(folder))
    return replace(loaded, card=replace(loaded.card, encode=ENCODE, score=SCORE))


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 255, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    "pixels",
    [
        picture(40, 40),
        picture(61, 35),
        picture(200, 130),
        picture(1, 1),
        picture(90, 1),
        picture(70, 90)[..., 0].astype(np.uint16) * 200,
        np.zeros((30, 30), bool),
        np.full((30, 44), np.nan, np.float32),
        np.full((30, 44), 3.5),
        np.dstack([picture(30, 30), picture(30, 30)[..., :1]]),
    ],
    ids=lambda p: f"{p.shape}-{p.dtype}",
)
def test_any_image_gets_maps_of_its_own_size(model: Model, pixels: np.ndarray) -> None:
    result = segment(pixels, ["cat, kitten", "dog"], model)
    assert result.probabilities.shape == (2, *pixels.shape[:2])
    assert result.probabilities.dtype == np.float32
    assert np.isfinite(result.probabilities).all()
    assert result.probabilities.min() >= 0
    assert result.probabilities.sum(axis=0).max() <= 1 + 1e-5
    assert result.labels.shape == pixels.shape[:2]
    assert result.labels.max() <= 2


def test_features_lie_on_the_patch_grid(model: Model) -> None:
    features = encode(picture(61, 35), model)
    assert features.array.shape == (8, 5, 32)
    assert features.patch == PATCH
    assert features.image_shape == (61, 35)
    norms = np.linalg.norm(features.array.astype(np.float32), axis=-1)
    assert np.allclose(norms, 1, atol=2e-3)


def test_one_tile_equals_the_backbone(model: Model) -> None:
    import torch

    pixels = picture(48, 40)
    with torch.inference_mode():
        direct = model.backbone.encode_patches(
            torch.from_numpy(pixels).movedim(-1, 0)[None] / 255, ENCODE.gem
        ).patches[0]
    direct = direct / direct.norm(dim=-1, keepdim=True)
    features = encode(pixels, model)
    assert np.allclose(features.array, direct.numpy(), atol=1e-3)


def test_padding_does_not_shift_the_patches(model: Model) -> None:
    """What lies inside whole patches stays there when the image grows a little."""
    plain = replace(ENCODE, gem=GemParameters(method="plain"))
    pixels = np.zeros((43, 45, 3), np.uint8)
    pixels[8:16, 24:32] = 255
    features = encode(pixels, model, parameters=plain)
    empty = encode(np.zeros_like(pixels), model, parameters=plain)
    change = np.linalg.norm(
        features.array.astype(np.float32) - empty.array.astype(np.float32), axis=-1
    )
    assert np.unravel_index(change.argmax(), change.shape) == (1, 3)


@pytest.mark.parametrize("zoom", [0.5, 1.5, 2.0])
def test_zoom_changes_the_grid_and_not_the_place(model: Model, zoom: float) -> None:
    parameters = replace(ENCODE, zoom=zoom)
    features = encode(picture(64, 96), model, parameters=parameters)
    assert features.patch == PATCH / zoom
    assert features.array.shape[:2] == (round(8 * zoom), round(12 * zoom))
    assert segment(features, "cat", model).labels.shape == (64, 96)


def test_every_tile_is_a_step_and_kept_when_stopped(model: Model) -> None:
    pixels = picture(150, 100)
    partial: dict = {}
    steps = encode_steps(model, pixels, stretch(pixels), partial=partial)
    progress = [next(steps) for _ in range(4)]
    steps.close()
    assert [step.done for step in progress] == [0, 1, 2, 3]
    assert len(partial) == 3
    kept = partial[0][0]
    rest: list = []
    features = run(
        encode_steps(model, pixels, stretch(pixels), partial=partial), rest.append
    )
    assert rest[0].done == 3
    assert rest[-1].done == rest[-1].total == len(partial)
    assert rest[-1].seconds_left == 0
    assert partial[0][0] is kept
    assert (features.array == encode(pixels, model).array).all()


def test_new_words_encode_nothing(model: Model) -> None:
    features = encode(picture(64, 64), model)
    progress: list = []
    result = segment(features, ["tree", "house, hut"], model, progress=progress.append)
    assert "Encoding" not in {step.stage for step in progress}
    assert result.recipe.prompts == (Prompt(("tree",)), Prompt(("house", "hut")))


def test_a_class_is_its_best_word_and_order_gives_the_label(model: Model) -> None:
    features = encode(picture(64, 64), model)
    one = segment(features, ["cat", "dog"], model)
    other = segment(features, ["dog", "cat"], model)
    assert np.allclose(one.probabilities, other.probabilities[::-1], atol=1e-6)
    swapped = np.array([0, 2, 1])[one.labels]
    assert (swapped == other.labels).all()


def test_background_words_that_are_prompts_are_left_out(model: Model) -> None:
    features = encode(picture(64, 64), model)
    with_sky = replace(SCORE, background=("Sky", "soil"))
    without = replace(SCORE, background=("soil",))
    maps = [
        segment(features, ["sky"], model, parameters=score).probabilities
        for score in (with_sky, without)
    ]
    assert np.allclose(*maps)
    with pytest.raises(GemError, match="background word"):
        only = replace(SCORE, background=("sky",))
        segment(features, ["sky"], model, parameters=only)


def test_a_background_that_looks_like_the_prompts_is_not_all_left_out(
    model: Model,
) -> None:
    features = encode(picture(64, 64), model)
    near = replace(SCORE, near=-1.0, background=("sky", "soil", "sea"))
    result = segment(features, "cat, dog", model, parameters=near).probabilities
    alone = [
        segment(
            features, "cat, dog", model, parameters=replace(near, background=(word,))
        ).probabilities
        for word in near.background
    ]
    assert sum(np.allclose(result, each) for each in alone) == 1


def test_background_words_of_other_images_do_not_count(model: Model) -> None:
    features = encode(picture(64, 64), model)
    every = replace(SCORE, background=("sky", "soil", "sea"))
    likeliest = max(
        every.background,
        key=lambda word: float(
            embed_words(model.backbone, [word], SCORE.templates, {})[0]
            @ features.image_embedding
        ),
    )
    maps = [
        segment(features, ["cat"], model, parameters=score).probabilities
        for score in (
            replace(every, present=1.0),
            replace(every, background=(likeliest,)),
        )
    ]
    assert np.allclose(*maps)


def test_many_words_are_read_in_steps(model: Model) -> None:
    features = encode(picture(40, 40), model)
    segment(features, ["cat"], model)  # reads the background's words
    progress: list = []
    segment(
        features, [f"thing {i}" for i in range(50)], model, progress=progress.append
    )
    read = [step.done for step in progress if step.stage == "Reading words"]
    assert read == [0, 0, 32, 50]
    progress.clear()
    segment(
        features, [f"thing {i}" for i in range(50)], model, progress=progress.append
    )
    assert [s.done for s in progress if s.stage == "Reading words"] == [0]


def test_without_background_the_classes_share_everything(model: Model) -> None:
    features = encode(picture(64, 64), model)
    none = replace(SCORE, background=())
    result = segment(features, ["cat", "dog"], model, parameters=none)
    assert np.allclose(result.probabilities.sum(axis=0), 1, atol=1e-5)
    assert result.labels.min() == 1


def test_heat_maps_reach_from_zero_to_one(model: Model) -> None:
    features = encode(picture(64, 64), model)
    maps = heat_maps(features, ["cat", "dog"], model)
    assert maps.shape == (2, 64, 64)
    assert maps.min(axis=(1, 2)).tolist() == [0, 0]
    assert maps.max(axis=(1, 2)).tolist() == [1, 1]


def test_the_recipe_says_how_it_was_made(model: Model) -> None:
    recipe = segment(picture(20, 20), "cat", model).recipe
    assert recipe.version == napari_gem.__version__
    assert recipe.revision == model.revision
    assert recipe.encode == ENCODE
    assert recipe.score == SCORE
    assert recipe.device == "cpu"


def test_features_of_another_model_are_refused(model: Model) -> None:
    features = replace(encode(picture(20, 20), model), revision="other")
    with pytest.raises(GemError, match="Encode the image with this model"):
        segment(features, "cat", model)


def test_too_many_maps_are_refused(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "LARGEST_MAPS", 1000)
    with pytest.raises(GemError, match="fewer classes"):
        segment(picture(20, 20), "cat", model)


@pytest.mark.parametrize("zoom", [0.0, -1.0, float("nan")])
def test_impossible_zoom_is_refused(model: Model, zoom: float) -> None:
    with pytest.raises(GemError, match="Zoom is"):
        encode(picture(20, 20), model, parameters=replace(ENCODE, zoom=zoom))


def test_results_are_the_same_twice(model: Model) -> None:
    first, second = (segment(picture(50, 50), "cat", model) for _ in range(2))
    assert (first.probabilities == second.probabilities).all()


@pytest.mark.parametrize(
    "region",
    [
        Region((0, 30), (0, 30)),
        Region((70, 101), (33, 90)),
        Region((149, 150), (99, 100)),
        Region((10, 140), (40, 60), ((10.0, 40.0), (139.0, 50.0), (20.0, 59.0))),
    ],
)
def test_a_region_is_a_part_of_the_whole(model: Model, region: Region) -> None:
    pixels = picture(150, 100)
    whole = segment(encode(pixels, model), ["cat", "dog"], model)
    part = segment(encode(pixels, model, region=region), ["cat", "dog"], model)
    inside = np.zeros(pixels.shape[:2], bool)
    inside[slice(*region.rows), slice(*region.columns)] = True
    if region.polygon:
        middle = (region.rows[0] + 5, region.columns[0] + 2)
        assert part.probabilities[:, 100, 41].sum() == 0
        assert part.probabilities[(slice(None), *middle)].sum() > 0
        inside &= part.probabilities.sum(axis=0) > 0
    assert np.allclose(part.probabilities[:, inside], whole.probabilities[:, inside])
    assert (part.labels[inside] == whole.labels[inside]).all()
    assert not part.probabilities[:, ~inside].any()
    assert not part.labels[~inside].any()
    assert part.recipe.region == region


def test_the_whole_image_goes_on_from_a_region(model: Model) -> None:
    pixels, partial = picture(150, 100), {}
    region = Region((0, 40), (0, 40))
    progress: list = []
    run(encode_steps(model, pixels, stretch(pixels), region=region, partial=partial))
    assert 0 < len(partial) < 6
    steps = encode_steps(model, pixels, stretch(pixels), partial=partial)
    features = run(steps, progress.append)
    assert 0 < progress[0].done < progress[0].total
    assert (features.array == encode(pixels, model).array).all()


@pytest.mark.parametrize(
    "region", [Region((5, 5), (0, 9)), Region((0, 51), (0, 9)), Region((-1, 5), (0, 9))]
)
def test_a_region_beyond_the_image_is_refused(model: Model, region: Region) -> None:
    with pytest.raises(GemError, match="region"):
        encode(picture(50, 50), model, region=region)


@pytest.mark.parametrize("step", [2, 3, 7])
def test_a_preview_is_the_result_on_a_coarser_grid(model: Model, step: int) -> None:
    features = encode(picture(150, 101), model)
    prompts = (Prompt(("cat",)), Prompt(("dog",)))
    whole = segment(features, prompts, model)
    rough_result = run(segment_steps(model, features, prompts, step=step))
    assert rough_result.labels.shape == (-(-150 // step), -(-101 // step))
    middle = (step - 1) // 2
    if step % 2:  # then a preview's pixel has one in its middle
        fine = whole.probabilities[:, middle::step, middle::step]
        rough = rough_result.probabilities[:, : fine.shape[1], : fine.shape[2]]
        assert np.allclose(fine, rough, atol=1e-5)
    assert np.allclose(rough_result.shares, whole.shares, atol=0.1)


def test_scores_that_are_kept_change_nothing(model: Model) -> None:
    features, cache = encode(picture(64, 64), model), ScoreCache()
    prompts = (Prompt(("cat",)), Prompt(("dog",)))
    results = [
        run(segment_steps(model, features, order, cache=cache))
        for order in (prompts, prompts[::-1])
    ]
    plain = segment(features, prompts, model)
    assert (results[0].probabilities == plain.probabilities).all()
    assert (results[1].probabilities == plain.probabilities[::-1]).all()
    assert cache.nbytes == 3 * 8 * 8 * 4


def test_classes_keep_their_ids_and_off_ones_do_not_count(model: Model) -> None:
    features = encode(picture(64, 64), model)
    prompts = [
        Prompt(("cat",), label=9, title="Cats"),
        Prompt(("house",), on=False),
        Prompt(("dog",), label=4),
    ]
    result = segment(features, prompts, model)
    assert set(np.unique(result.labels)) <= {0, 9, 4}
    assert [prompt.name for prompt in result.recipe.prompts] == ["Cats", "dog"]
    alone = segment(features, ["cat", "dog"], model)
    assert (result.probabilities == alone.probabilities).all()
    with pytest.raises(GemError, match="off"):
        segment(features, [Prompt(("cat",), on=False)], model)
    with pytest.raises(GemError, match="different"):
        segment(features, [Prompt(("a",), label=2), Prompt(("b",), label=2)], model)


def test_weight_and_threshold_move_the_border_to_the_background(model: Model) -> None:
    features = encode(picture(64, 64), model)
    areas = [
        segment(
            features, "cat", model, parameters=replace(SCORE, background_weight=weight)
        ).shares[0]
        for weight in (0.01, 1, 100)
    ]
    assert areas[0] > areas[1] > areas[2] or areas[0] == 1 > areas[2]
    by_weight = segment(
        features, "cat", model, parameters=replace(SCORE, background_weight=0.25)
    )
    by_threshold = segment(features, [Prompt(("cat",), threshold=0.2)], model)
    assert (by_weight.labels == by_threshold.labels).mean() > 0.999
    with pytest.raises(GemError, match="weight"):
        segment(
            features, "cat", model, parameters=replace(SCORE, background_weight=0.0)
        )


def test_the_whole_image_may_weigh_the_classes(model: Model) -> None:
    features = encode(picture(40, 40), model)
    words = ["cat", "dog"]
    plain, weighted = (
        segment(features, words, model, parameters=replace(SCORE, image_weight=weight))
        for weight in (0.0, -0.3)
    )
    vectors = embed_words(model.backbone, words, SCORE.templates, model.texts)
    cat, dog = vectors @ features.image_embedding
    change = [np.log(result.probabilities) for result in (plain, weighted)]
    moved = change[1] - change[0]
    expected = -0.3 * SCORE.scale * (cat - dog)
    np.testing.assert_allclose(moved[0] - moved[1], expected, atol=1e-3)


def test_what_is_probably_absent_is_found_less(model: Model) -> None:
    features = encode(picture(40, 40), model)
    vectors = embed_words(model.backbone, ["cat", "dog"], SCORE.templates, model.texts)
    cosines = dict(zip(("cat", "dog"), vectors @ features.image_embedding, strict=True))
    present, absent = sorted(cosines, key=lambda word: -cosines[word])
    limit = float(np.mean([*cosines.values()]))
    score = replace(SCORE, present=limit, background=())
    less = replace(score, absent_weight=3.0)
    before, after = (
        segment(features, [present, absent], model, parameters=p) for p in (score, less)
    )
    assert after.shares[1] > MOST_SHARE
    assert before.absent == after.absent == ()  # it has labels, so it is not called so
    most = replace(less, absent_weight=10.0, present=float(cosines[present]))
    gone = segment(features, [present, absent], model, parameters=most)
    assert gone.shares[1] < MOST_SHARE
    assert gone.absent == (absent,)
    moved = np.log(after.probabilities) - np.log(before.probabilities)
    lost = 3 * SCORE.scale * (limit - cosines[absent])
    np.testing.assert_allclose(moved[0] - moved[1], lost, rtol=1e-3)
    shown = [present, Prompt((absent,), examples=(Example((5, 5)),))]
    kept, same = (segment(features, shown, model, parameters=p) for p in (score, less))
    np.testing.assert_array_equal(kept.probabilities, same.probabilities)


def test_a_small_thing_is_in_the_image_if_it_is_in_a_tile(model: Model) -> None:
    four = EncodeParameters(tile=3, overlap=1)
    features = encode(picture(40, 40), model, parameters=four)
    words = ["cat", "dog"]
    vectors = embed_words(model.backbone, words, SCORE.templates, model.texts)
    of_a_dog = unit_vectors(vectors[1] - vectors[0])
    tile_embeddings = np.stack([features.image_embedding] * 3 + [of_a_dog])
    features = replace(features, tile_embeddings=tile_embeddings)
    limit = float((vectors @ features.image_embedding).max()) + 0.01
    score = replace(SCORE, present=limit, background=(), absent_weight=1.0)
    prompts = parse_prompts(words)
    whole, by_tile = (
        run(word_steps(model, features, prompts, replace(score, presence=presence)))
        for presence in ("image", "tile")
    )
    assert whole.lacking == [True, True]
    assert by_tile.lacking == [True, False]


def test_a_background_word_of_other_images_competes_only_if_a_prompt_is_likelier(
    model: Model,
) -> None:
    features = encode(picture(40, 40), model)
    words = ["cat", "roof", "stroma"]
    score = replace(SCORE, background=("roof", "stroma"), near=2.0, domain="histology")
    embedded = embed_words(model.backbone, words, SCORE.templates, model.texts)
    for likely, left in (("cat", {"roof", "stroma"}), ("roof", {"stroma"})):
        image = embedded[words.index(likely)]
        seen = replace(features, image_embedding=image)
        read = run(word_steps(model, seen, parse_prompts(["cat"]), score))
        assert set(read.competing) == left
        assert len(read.groups[-1]) == len(left)
    general = replace(score, domain="general")
    read = run(word_steps(model, seen, parse_prompts(["cat"]), general))
    assert read.competing == ("roof", "stroma")


def test_plurals_of_prompts_compete_in_recipes_without_a_domain_only(
    model: Model,
) -> None:
    features = encode(picture(40, 40), model)
    score = replace(SCORE, background=("cats", "fat"), near=2.0)
    for domain, left in (("general", ("cats", "fat")), ("histology", ("fat",))):
        asked = replace(score, domain=domain)
        result = segment(features, ["cat"], model, parameters=asked)
        assert result.recipe.competing == left


def test_the_weight_of_the_background_may_grow_with_the_classes(model: Model) -> None:
    features = encode(picture(40, 40), model)
    words, score = ["cat", "dog", "cow", "hen"], replace(SCORE, background_weight=0.5)
    grown = replace(score, background_growth=0.5)
    whole = segment(
        features, words, model, parameters=replace(score, background_weight=1.0)
    )
    same = segment(features, words, model, parameters=grown)  # 4 ** 0.5 = 2
    np.testing.assert_allclose(same.probabilities, whole.probabilities, atol=1e-6)
    one = segment(features, "cat", model, parameters=grown)
    alike = segment(features, "cat", model, parameters=score)
    np.testing.assert_array_equal(one.probabilities, alike.probabilities)


def test_the_surest_patches_join_the_words_but_not_examples(model: Model) -> None:
    pixels = picture(96, 96)
    pixels[30:60, 30:60] = 240
    features = encode(pixels, model)
    more = replace(SCORE, prototype_weight=0.5)
    plain, joined = (
        segment(features, ["cat", "dog"], model, parameters=p) for p in (SCORE, more)
    )
    assert not np.allclose(plain.probabilities, joined.probabilities, atol=1e-3)
    assert joined.recipe.score.prototype_weight == 0.5
    clicked = [Prompt((w,), examples=(Example((44.0, 44.0)),)) for w in ("cat", "dog")]
    without = replace(more, background=())
    first, second = (
        segment(features, clicked, model, parameters=p)
        for p in (replace(without, prototype_weight=0.0), without)
    )
    np.testing.assert_array_equal(first.probabilities, second.probabilities)


def test_smoothing_and_minimum_size_calm_the_labels(model: Model) -> None:
    features = encode(picture(120, 120), model)
    prompts = ["cat", "dog", "house"]
    rough = segment(features, prompts, model)
    calm = segment(features, prompts, model, parameters=replace(SCORE, smoothing=24.0))

    def borders(labels: np.ndarray) -> int:
        wide = labels.astype(int)
        return int((np.diff(wide, axis=0) != 0).sum())

    assert borders(calm.labels) < borders(rough.labels)
    large = segment(
        features, prompts, model, label=LabelParameters(minimum_size=120 * 120)
    )
    assert not large.labels.any()
    assert (large.probabilities == rough.probabilities).all()
    assert large.recipe.label.minimum_size == 120 * 120


def test_a_region_of_an_encoded_image_needs_no_encoding(model: Model) -> None:
    pixels, region = picture(150, 100), Region((60, 90), (10, 40))
    score = replace(SCORE, present=0.0, background=("sky", "soil", "sea", "sand"))
    part = encode(pixels, model, region=region)
    cut = restrict(encode(pixels, model), region)
    assert np.allclose(part.image_embedding, cut.image_embedding)
    first, second = (
        segment(features, ["cat"], model, parameters=score) for features in (part, cut)
    )
    assert (first.probabilities == second.probabilities).all()


def test_examples_are_joined_with_words_and_kept_in_the_recipe(model: Model) -> None:
    pixels = picture(96, 96)
    pixels[30:60, 30:60] = 240
    features = encode(pixels, model)
    words = Prompt(("cat",), label=2)
    clicked = replace(words, examples=(Example((44.0, 44.0)), Example((500.0, 1.0))))
    plain = segment(features, [words, "dog"], model)
    joined = segment(features, [clicked, "dog"], model)
    inside, outside = np.s_[0, 36:54, 36:54], np.s_[0, 70:, 70:]
    gain = joined.probabilities - plain.probabilities
    assert gain[inside].mean() > gain[outside].mean()
    assert any("outside" in notice for notice in joined.notices)
    first, second = joined.recipe.prompts[0].examples
    assert first.point == (44.0, 44.0)
    assert len(first.vector) == 32
    assert not second.vector
    kept = replace(words, examples=(replace(first, point=None),))
    again = segment(features, [kept, "dog"], model)
    assert np.allclose(again.probabilities, joined.probabilities, atol=1e-3)


def test_a_class_may_have_examples_only(model: Model) -> None:
    pixels = picture(96, 96)
    pixels[30:60, 30:60] = 240
    shown = Prompt((), title="this", examples=(Example((44.0, 44.0)),))
    result = segment(encode(pixels, model), [shown], model)
    assert result.probabilities[0, 44, 44] > result.probabilities[0].mean()
