"""Numbers and texts from elsewhere are within bounds, or told in a sentence."""

from __future__ import annotations

import json
import os
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_gem.core import bounds
from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import (
    EncodeParameters,
    GemParameters,
    LabelParameters,
    ScoreParameters,
)
from napari_gem.core.prompts import Example, Prompt, label_ids
from napari_gem.core.region import Region
from napari_gem.core.results import Job, Recipe
from napari_gem.core.validation import check_recipe
from napari_gem.prompts.sets import PromptSet, read_set, write_set
from napari_gem.results.recipe import read_recipe, recipe_text, write_recipe
from napari_gem.worker.messages import Request, check_request
from tests.change_request import change

pytestmark = pytest.mark.contact("numbers")

EXAMPLE = Example((3.0, 4.5), (0.6, 0.8), "embedded")
LUT = ((0.0, 0.0, 0.0), (1.0, 0.5, 0.0))

RECIPE = Recipe(
    version="1",
    model="embedded",
    revision="0123456789abcdef",
    prompts=(
        Prompt(("nuclei", "nucleus"), 7, "Nuclei", (1.0, 0.5, 0.0), 0.4),
        Prompt(("filaments",), examples=(EXAMPLE,)),
    ),
    encode=EncodeParameters(),
    score=ScoreParameters(background=("dust",)),
    appearance=Appearance(channels=(Appearance(lut=LUT), Appearance())),
    device="cpu",
    precision="float32",
    region=Region((0, 8), (2, 9), ((0.0, 2.0), (8.0, 2.0), (4.0, 9.0))),
    patch=8.0,
    index=(2,),
    pixel_size=(0.5, 0.5),
    unit="µm",
)
LONG = "a" * 10_000_000


def read_changed(folder: Path, place: tuple[Any, ...], value: object) -> Recipe:
    """Read a recipe of which one entry is another one."""
    content = json.loads(recipe_text(RECIPE))
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path = folder / "recipe.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return read_recipe(path)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("encode", "gem", "iterations"), 10**9, "Iterations is 1000000000; give"),
        (("encode", "gem", "iterations"), 10**400, "Iterations is a number of more"),
        (("encode", "gem", "depth"), 10**9, "Depth is 1000000000"),
        (("encode", "gem", "temperature_scale"), 1e300, "Temperature scale"),
        (("encode", "gem", "neighbours"), -1e300, "Neighbours is"),
        (("encode", "gem", "neighbour_width"), 1e300, "Neighbour width"),
        (("encode", "gem", "repair"), 1e300, "Repair is"),
        (("encode", "tile"), 10**6, "Tile is 1000000; give .* to 1,024"),
        (("encode", "zoom"), 1e9, "Zoom is"),
        (("score", "scale"), 1e30, "Scale is"),
        (("score", "refinement"), 10**9, "Refinement is"),
        (("score", "smoothing"), 1e9, "Smoothing is"),
        (("score", "templates"), ["a {}"] * 100_000, "100000 templates"),
        (("score", "templates"), ["{}" * 400], "The template"),
        (("score", "background"), ["w"] * 100_000, "There are 100000 background words"),
        (("score", "background"), [LONG], "10000000 characters .* 'aaa"),
        (("label", "minimum_size"), 10**400, "Minimum size is a number of more"),
        (("squash",), 10**6, "square .* is 1000000;"),
        (("squash",), -1, "square .* is -1;"),
        (("prompts",), [{"words": ["a"]}] * 10_000, "There are 10000 classes"),
        (("prompts", 0, "words"), ["a"] * 100_000, "100000 words of a class"),
        (("prompts", 0, "words"), [LONG], "has 10000000 characters"),
        (("prompts", 0, "title"), LONG, "has 10000000 characters"),
        (("prompts", 1, "examples", 0, "vector"), [0.1] * 100_000, "100000 numbers"),
        (("prompts", 1, "examples"), [{"vector": [1]}] * 20_000, "20000 examples"),
        (("appearance", "channels", 0, "lut"), LUT * 50_000, "100000 colours"),
        (("appearance", "channels"), [{}] * 100_000, "100000 channels"),
        (("appearance", "channels", 0, "channels"), [{}], "channels of its own"),
        (("appearance", "gamma"), 1e300, "Gamma is"),
        (("region", "rows"), [0, 10**30], "region has rows"),
        (("region", "polygon"), [[1, 2]] * 200_000, "200000 corners"),
        (("index",), [0] * 100_000, "slice"),
        (("index",), [-1], "slice"),
        (("factor",), 0, "factor of the resolution is 0"),
        (("patch",), 1e300, "Patch is"),
        (("model",), LONG, "text for model has 10000000 characters"),
        (("more",), [[]] * 5_000_000, "it holds more than 4000000 values"),
    ],
    ids=lambda value: "-".join(map(str, value))[:40] if type(value) is tuple else "",
)
def test_numbers_and_texts_of_a_recipe_are_bounded(
    tmp_path: Path, place: tuple[Any, ...], value: object, message: str
) -> None:
    with pytest.raises(GemError, match=message) as error:
        read_changed(tmp_path, place, value)
    assert len(str(error.value)) < 600 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested too deep"),
        ('{"a":' * 100 + "1" + "}" * 100, "nested too deep"),
        ('{"napari_gem_recipe": 1, "squash": NaN}', "NaN is no number"),
        ('{"napari_gem_recipe": 1, "squash": -Infinity}', "-Infinity is no number"),
        ('{"napari_gem_recipe": 1, "model": "a", "model": "b"}', "'model' stands"),
        ('{"napari_gem_recipe": 1, "squash": ' + "9" * 5000 + "}", "digits"),
        ('{"napari_gem_recipe": 1' + " " * (bounds.MOST_BYTES) + "}", "larger than"),
    ],
)
def test_json_of_elsewhere_is_bounded(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GemError, match=message):
        read_recipe(path)
    path.write_text(text.replace("napari_gem_recipe", "schema"), encoding="utf-8")
    with pytest.raises(GemError, match=message):
        read_set(path)


def test_of_a_file_of_gigabytes_no_more_than_some_is_read(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # nothing but its end is on the disk
    with pytest.raises(GemError, match="larger than the 32 MiB"):
        read_recipe(path)
    with pytest.raises(GemError, match="larger than the 32 MiB"):
        read_set(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes as files")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    os.mkfifo(path)
    with pytest.raises(GemError, match="it is a pipe"):
        read_recipe(path)
    with pytest.raises(GemError, match="it is a pipe"):
        read_set(path)


FOREIGN = st.one_of(
    st.integers(),
    st.sampled_from([2**31, 2**63, 2**64, -(2**63), 10**400, -(10**400)]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", " ", "a" * 5000, "{}" * 99, "\x00", "\ud800", "1e999"]),
    st.sampled_from([True, None, [], {}, [[]], [1e308] * 4, [None], [[1e308, 2]]]),
    st.text(max_size=5),
)


def leaves(content: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Places of all entries, the tables and lists among them."""
    items: Any = ()
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, list):
        items = enumerate(content)
    places = [place] if place else []
    return places + [
        one for key, value in items for one in leaves(value, (*place, key))
    ]


PLACES = leaves(json.loads(recipe_text(RECIPE)))


@settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(place=st.sampled_from(PLACES), value=FOREIGN)
def test_whatever_stands_in_a_recipe_it_is_refused_or_within_bounds(
    tmp_path: Path, place: tuple[Any, ...], value: object
) -> None:
    try:
        recipe = read_changed(tmp_path, place, deepcopy(value))
    except GemError as error:
        assert len(str(error)) < 600 + len(str(tmp_path))
    else:
        check_recipe(recipe)
        write_recipe(recipe, tmp_path / "again.json")
        assert read_recipe(tmp_path / "again.json") == recipe


def test_what_users_have_is_within_the_bounds(tmp_path: Path) -> None:
    """Class lists of data sets, CLIP's templates, lookup tables of 16 bits."""
    classes = tuple(
        Prompt(tuple(f"class {number}, word {word}" for word in range(6)))
        for number in range(1203)
    )
    templates = tuple(f"photo {number} of a {{}}." for number in range(80))
    vectors = tuple(replace(EXAMPLE, vector=(0.123,) * 1024) for _ in range(200))
    known = replace(classes[0], examples=vectors)
    large = PromptSet("LVIS", prompts=(known, *classes[1:]), templates=templates)
    assert read_set(write_set(tmp_path / "set.json", large)) == large
    lut = tuple((i / 65535, 0.0, 0.0) for i in range(65536))
    recipe = replace(
        RECIPE,
        appearance=Appearance(channels=(Appearance(lut=lut),)),
        prompts=tuple(Prompt(p.words[:1]) for p in classes[:200]),
        encode=EncodeParameters(GemParameters(iterations=10, depth=64), 8.0, 128, 32),
        label=LabelParameters(10**9),
        squash=1024,
    )
    write_recipe(recipe, tmp_path / "recipe.json")
    assert read_recipe(tmp_path / "recipe.json") == recipe


def test_a_request_is_looked_at_before_its_model_is_loaded() -> None:
    job = Job(appearance=Appearance(), prompts=RECIPE.prompts, model="nowhere")
    request = Request(1, job, "pixels.npy")
    check_request(request)
    changes: list[dict[str, Any]] = [
        {"encode": EncodeParameters(GemParameters(iterations=10**9))},
        {"score": ScoreParameters(templates=("a {}",) * 10**5)},
        {"detail": 0.0},
        {"region": Region((0, 2**80), (0, 1))},
        {"prompts": (Prompt(("a" * 10**6,)),)},
        {"label": LabelParameters(-1)},
    ]
    for each in changes:
        with pytest.raises(GemError):
            check_request(change(request, **each))


def test_words_in_templates_are_counted_together() -> None:
    words = tuple(Prompt((f"word {number}",)) for number in range(5000))
    score = ScoreParameters(templates=tuple(f"{n} {{}}" for n in range(1000)))
    with pytest.raises(GemError, match="more sentences than a model reads"):
        check_recipe(replace(RECIPE, prompts=words, score=score))


def test_ids_of_many_classes() -> None:
    prompts = (Prompt(("a",), label=3),) + (Prompt(("b",)),) * 60_000
    assert label_ids(prompts)[:4] == (3, 1, 2, 4)
    with pytest.raises(GemError, match="There are 70000 classes"):
        label_ids((Prompt(("b",)),) * 70_000)
