"""A recipe of elsewhere does not load a model that this user has not used before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import typer

from napari_gem import results
from napari_gem.cli import consent
from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import EncodeParameters, ScoreParameters
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Recipe
from napari_gem.models import load as loading
from napari_gem.models.find import find_model, load_model
from napari_gem.models.own_list import FRESH
from napari_gem.models.used_list import FILE_NAME, MOST, note_used, place_of, was_used
from napari_gem.segmentation.replay import replay
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.contact("configurations")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of settings in which nothing was used."""
    folder = tmp_path / "settings"
    monkeypatch.setenv("NAPARI_GEM_CONFIG", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "of somebody")


@pytest.fixture
def recipe(folder: Path) -> Recipe:
    return Recipe(
        version="1",
        model=str(folder),
        revision="0" * 16,
        prompts=(Prompt(("cat",)),),
        encode=EncodeParameters(),
        score=ScoreParameters(),
        appearance=Appearance(limits=(0.0, 255.0)),
        device="cpu",
        precision="float32",
    )


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.zeros((32, 40), np.uint8))
    return path


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Models of which loading began."""
    begun = []
    load = loading.load_steps

    def note(card, *arguments, **options):  # type: ignore[no-untyped-def]
        begun.append(card.id)
        return load(card, *arguments, **options)

    monkeypatch.setattr(loading, "load_steps", note)
    return begun


def test_a_model_is_noted_when_it_was_loaded(settings: Path, folder: Path) -> None:
    card = find_model(str(folder))
    assert not was_used(card)
    load_model(str(folder), device="cpu")
    assert was_used(card)
    assert (settings / FILE_NAME).is_file()
    copied = write_tiny_model(folder.with_name("another"))
    assert not was_used(find_model(str(copied)))


def test_a_model_that_does_not_load_is_not_noted(settings: Path, folder: Path) -> None:
    (folder / "open_clip_model.safetensors").write_bytes(b"<html>")
    for path in folder.glob("*.safetensors"):
        path.write_bytes(b"<html>")
    with pytest.raises(GemError):
        load_model(str(folder), device="cpu")
    assert not was_used(find_model(str(folder)))


def test_the_list_of_models_needs_no_note(settings: Path) -> None:
    load_model("embedded", device="cpu")
    assert was_used(find_model("embedded"))
    assert was_used(find_model("ViT-L-14-quickgelu/openai"))
    assert not was_used(find_model("hf-hub:some/body"))
    assert not settings.exists()


@pytest.mark.parametrize("text", ["", "{", "[1, null]", "{}", "[" * 9999, "\x00"])
def test_a_damaged_note_is_none(settings: Path, folder: Path, text: str) -> None:
    card = find_model(str(folder))
    settings.mkdir()
    (settings / FILE_NAME).write_text(text)
    assert not was_used(card)
    note_used(card)
    assert was_used(card)


def test_a_demo_notes_nothing_and_the_oldest_are_forgotten(
    settings: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = find_model(str(folder))
    monkeypatch.setenv(FRESH, "1")
    note_used(card)
    assert not was_used(card)
    monkeypatch.delenv(FRESH)
    cards = [replace(card, id=f"hf-hub:some/{n}", weights="x") for n in range(3)]
    monkeypatch.setattr("napari_gem.models.used_list.MOST", 2)
    for each in cards:
        note_used(each)
    assert [was_used(each) for each in cards] == [False, True, True]
    assert MOST > 2


def test_replay_loads_nothing_that_was_not_used(
    settings: Path, recipe: Recipe, folder: Path, loads: list[str]
) -> None:
    pixels = np.zeros((32, 40), np.uint8)
    with pytest.raises(results.NotUsedError, match=r"model=\.\.\.") as error:
        replay(recipe, pixels)
    assert f"the folder '{folder}'" in str(error.value)
    assert loads == []
    again = replay(recipe, pixels, model=str(folder), other_weights=True)
    assert again.labels.shape == (32, 40)
    # it is used now
    replay(recipe, pixels, other_weights=True)


def test_the_command_line_asks(
    settings: Path,
    recipe: Recipe,
    folder: Path,
    image: Path,
    loads: list[str],
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = results.write_recipe(recipe, tmp_path / "recipe.json")
    command = ["replay", path, image, "-o", tmp_path / "out", "--other-weights"]
    # without a terminal, it says how to say yes; --download is another question
    for more in ([], ["--download"]):
        status, _, error = call(*command, *more)
        assert (status, loads) == (2, [])
        assert "which you have not used before" in error
        assert f"--model '{folder}'" in error
    monkeypatch.setattr(consent, "can_ask", lambda: True)
    asked: list[str] = []
    answers = iter((False, True))

    def confirm(text: str, **_: object) -> bool:
        asked.append(text)
        return next(answers)

    monkeypatch.setattr(typer, "confirm", confirm)
    for number, agreed in enumerate((False, True), start=1):
        status, _, error = call(*command)
        assert len(asked) == number
        assert f"From: the folder '{folder}'" in error
        assert status == (0 if agreed else 1), error
        assert bool(loads) == agreed
        assert (tmp_path / "out").exists() == agreed
    assert call(*command[:4], tmp_path / "again", command[5])[0] == 0
    assert len(asked) == 2


def test_naming_a_model_says_yes(
    settings: Path, recipe: Recipe, image: Path, call: Call, tmp_path: Path
) -> None:
    path = results.write_recipe(recipe, tmp_path / "recipe.json")
    command = ["replay", path, image, "-o", tmp_path / "out", "--other-weights"]
    status, _, error = call(*command, "-m", recipe.model)
    assert status == 0, error
    assert was_used(find_model(recipe.model))


@pytest.mark.parametrize("name", [r"\\\\host\\share", "//host/share", " //host/a"])
def test_another_computer_is_not_asked(recipe: Recipe, name: str) -> None:
    with pytest.raises(GemError, match="on another computer"):
        results.recipe_card(replace(recipe, model=name))


def test_places_are_told() -> None:
    hub = find_model("hf-hub:some/body")
    assert place_of(hub) == "'https://huggingface.co/some/body'"
