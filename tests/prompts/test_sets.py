"""Prompt sets: rules for those that come with the package, reading and writing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000, rgb2lab

import napari_gem
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import commands_in
from napari_gem.core.prompts import Example, Prompt
from napari_gem.prompts.sets import (
    SCHEMA,
    PromptSet,
    list_sets,
    portable,
    read_set,
    write_set,
)

EMBEDDED = Path(napari_gem.__file__).parent / "models" / "embedded" / "prompts.json"
DOMAINS = {
    "fluorescence": "fluorescence",
    "histology": "histology",
    "aerial": "aerial",
    "land-cover": "aerial",
}
WORLD_COVER = (
    "#006400 #ffbb22 #ffff4c #f096ff #fa0000 #b4b4b4 #f0f0f0 #0064c8 #0096a0 #00cf75 "
    "#fae6a0"
).split()
DISTINGUISHABLE = 10
"""CIEDE2000 difference; 2 is just noticeable side by side."""


def test_five_sets_come_with_the_package():
    assert list_sets() == (
        "aerial",
        "electron-microscopy",
        "fluorescence",
        "histology",
        "land-cover",
    )


@pytest.mark.parametrize("name", list_sets())
def test_rules_for_built_in_sets(name):
    prompt_set = read_set(name)
    assert prompt_set.schema == SCHEMA
    assert prompt_set.name.casefold().replace(" ", "-") == name
    assert prompt_set.about
    assert re.search(r"arXiv \d{4}\.\d{5}|\w\.org", prompt_set.source)
    assert "untested with real weights" in prompt_set.tested.casefold()
    prompts = prompt_set.prompts
    assert len(prompts) >= 10
    assert [p.label for p in prompts] == list(range(1, len(prompts) + 1))
    titles = [p.title for p in prompts]
    assert all(titles)
    assert len({t.casefold() for t in titles}) == len(titles)
    assert all(1 <= len(p.words) <= 4 for p in prompts)
    assert all(p.on and p.threshold == 0.5 and not p.examples for p in prompts)
    words = {w.casefold() for p in prompts for w in p.words}
    assert all(w == " ".join(w.split()) and "," not in w for w in words)
    assert len(prompt_set.background) >= 3
    assert not words & {w.casefold() for w in prompt_set.background}
    assert prompt_set.templates
    assert all(template.count("{}") == 1 for template in prompt_set.templates)


@pytest.mark.parametrize("name", list_sets())
def test_colours_of_built_in_sets_can_be_told_apart(name):
    lab = rgb2lab(np.array([p.color for p in read_set(name).prompts]))
    differences = deltaE_ciede2000(lab[:, None], lab[None])
    np.fill_diagonal(differences, np.inf)
    assert differences.min() >= DISTINGUISHABLE


@pytest.mark.parametrize("name", DOMAINS)
def test_sets_say_which_words_the_embedded_model_knows(name):
    prompt_set = read_set(name)
    known = json.loads(EMBEDDED.read_text(encoding="utf-8"))["prompts"][DOMAINS[name]]
    vocabulary = {w.casefold() for words in known.values() for w in words}
    mine = {w for p in prompt_set.prompts for w in p.words}
    said = set(re.findall("'([^']+)'", prompt_set.tested))
    assert said == {w for w in mine if w.casefold() in vocabulary}
    # each thing that the model knows is there, but one a class
    if name == DOMAINS[name]:
        for words in known.values():
            assert mine & set(words), words


def test_land_cover_has_the_colours_of_its_nomenclature():
    for prompt, color in zip(read_set("land-cover").prompts, WORLD_COVER, strict=True):
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert prompt.color == pytest.approx(parts, abs=1e-3)


# --- files

FULL = PromptSet(
    "Mine",
    about="µm",
    prompts=(
        Prompt(("a", "b, c"), 7, "A", (0.1, 0.2, 0.3), 0.25, False),
        Prompt((), 2, "B", examples=(Example(None, (0.5, -0.5), "m", False),)),
    ),
    background=("dark",),
    templates=("{}!",),
)


def test_a_set_survives_its_file(tmp_path):
    path = write_set(tmp_path / "mine.json", FULL)
    assert read_set(path) == FULL
    assert read_set(str(path)) == FULL
    assert [p.name for p in tmp_path.iterdir()] == ["mine.json"]


def test_only_examples_with_vectors_are_portable():
    with_vector = Example((1.0, 2.0), (0.5,), "m", False)
    prompt = Prompt(("a",), examples=(with_vector, Example((3.0, 4.0))))
    (kept,) = portable(PromptSet("x", prompts=(prompt,))).prompts
    assert kept == Prompt(("a",), examples=(Example(None, (0.5,), "m", False),))


words = st.text("abcdefg", min_size=1, max_size=3)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(words, unique=True, max_size=5),
    st.lists(st.integers(1, 65535), unique=True, min_size=5, max_size=5),
    st.floats(0, 1),
    st.text(st.characters(codec="utf-8")).filter(lambda text: not commands_in(text)),
)
def test_any_set_survives_its_file(tmp_path, names, labels, threshold, title):
    prompts = tuple(
        Prompt((name,), label, title, threshold=threshold)
        for name, label in zip(names, labels, strict=False)
    )
    wanted = PromptSet(title, prompts=prompts)
    assert read_set(write_set(tmp_path / "any.json", wanted)) == wanted


def test_what_is_left_out_takes_its_default(tmp_path):
    path = tmp_path / "short.json"
    path.write_text('{"name": "short", "prompts": [{"words": ["a"]}]}')
    assert read_set(path) == PromptSet("short", prompts=(Prompt(("a",)),))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"name": "x",\n "prompts": [}', "Line 2, column 14"),
        ("", "Line 1, column 1"),
        ("[" * 100_000, "no JSON"),
        ("[1]", "no valid PromptSet"),
        ('{"schema": 2}', "Its schema is 2, but this napari-gem reads only schema 1"),
        ('{"name": "x", "prompts": [{"words": 3}]}', "prompts.0.words"),
        (
            '{"name": "x", "prompts": [{"words": ["a"], "label": 1},'
            '{"words": ["b"], "label": 1}]}',
            "label ids",
        ),
        (
            '{"name": "x", "prompts": [{"words": ["Cell  body"]},'
            '{"words": ["b", "cell body"]}]}',
            "'cell body' stands in two classes",
        ),
        ('{"name": "x", "templates": ["no place"]}', "no place"),
        ('{"name": "x", "background": [" "]}', "background"),
        ('{"name": "x", "prompts": [{"words": []}]}', "neither words"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, text, said):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(GemError, match=re.escape(said)) as raised:
        read_set(path)
    assert "bad.json" in str(raised.value)


def test_files_that_cannot_be_read_are_told(tmp_path):
    with pytest.raises(GemError, match="fluorescence"):
        read_set("no such set")
    with pytest.raises(GemError, match="cannot be read"):
        read_set(tmp_path)
    with pytest.raises(GemError, match="cannot be read"):
        read_set("a\0b")
    (tmp_path / "latin.json").write_bytes(b'{"name": "\xb5"}')
    with pytest.raises(GemError, match="UTF-8"):
        read_set(tmp_path / "latin.json")


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = write_set(tmp_path / "mine.json", FULL)
    before = path.read_bytes()
    bad = PromptSet("bad", prompts=(Prompt(("a",), 1), Prompt(("b",), 1)))
    with pytest.raises(GemError, match="label ids"):
        write_set(path, bad)
    assert path.read_bytes() == before
    with pytest.raises(GemError, match="cannot be written"):
        write_set(tmp_path / "none" / "mine.json", FULL)
    (tmp_path / "folder").mkdir()
    with pytest.raises(GemError, match="cannot be written"):
        write_set(tmp_path / "folder", FULL)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "mine.json"]
