"""napari's Preferences, and what was used last."""

from __future__ import annotations

import json
import logging

import pytest

from napari_gem.core.prompts import Example, Prompt
from napari_gem.models import own_list
from napari_gem.widget.parameters import settings
from napari_gem.widget.parameters.recall import Recalled, load_last
from napari_gem.widget.parameters.settings import (
    FRESH,
    LastUsed,
    Settings,
    read_settings,
    save_last,
)
from napari_gem.worker.messages import Storage


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where what was used last is kept; made when it is."""
    monkeypatch.setenv("NAPARI_GEM_CONFIG", str(tmp_path / "a" / "b"))
    return tmp_path / "a" / "b"


@pytest.fixture
def preferences(plugin_settings, npe2pm):
    """napari's settings of the plugin, in a folder of the test."""
    from napari.settings import get_plugin_settings
    from npe2 import PluginManifest

    npe2pm.register(PluginManifest.from_distribution("napari-gem"))
    return get_plugin_settings("napari-gem")


EVERYTHING = LastUsed(
    model="/a/model.safetensors",
    architecture="ViT-B-16",
    device="cuda:1",
    prompts=(
        Prompt(
            ("Zelle", "細胞"),
            label=3,
            color=(0.1, 0.2, 0.3),
            threshold=0.7,
            on=False,
            examples=(Example(None, (0.6, 0.8), "embedded", False),),
        ),
    ),
    background=("sky",),
    detail=2.5,
    advanced={"smoothing": 2.0, "depth": 5, "residual": True, "templates": "bare"},
)


def test_preferences_are_read(preferences):
    assert read_settings() == Settings()
    preferences.gemcompute.device = "cuda:1"
    preferences.gemcompute.precision = "bfloat16"
    preferences.gemcompute.memory = 512
    preferences.gemcompute.disk = 0
    preferences.gemcompute.cache_folder = " /a/b "
    storage = Storage(512, 0, "/a/b")
    assert read_settings() == Settings("cuda:1", "bfloat16", storage)
    with pytest.raises(ValueError, match="enum"):
        preferences.gemcompute.precision = "float8"
    with pytest.raises(ValueError, match="greater"):
        preferences.gemcompute.memory = 0


def test_without_preferences_the_defaults_are_taken(plugin_settings, npe2pm, caplog):
    # the plugin is not registered here
    assert read_settings() == Settings()
    assert "could not be read" in caplog.text


def test_what_an_earlier_version_kept_is_read(folder):
    """It kept an entry for each value, without a number where none was chosen."""
    folder.mkdir(parents=True)
    advanced = {"smoothing": 2.0, "minimum_size": None, "residual": False}
    content = {"napari_gem_last": 1, "device": "cpu", "advanced": advanced}
    (folder / "last.json").write_text(json.dumps(content))
    assert load_last() == Recalled(
        LastUsed(device="cpu", advanced={"smoothing": 2.0, "residual": False})
    )


def test_a_demo_recalls_and_keeps_nothing(folder, monkeypatch):
    save_last(EVERYTHING)
    kept = (folder / "last.json").read_bytes()
    monkeypatch.setenv(FRESH, "1")
    assert load_last().last == LastUsed()
    save_last(LastUsed(device="cpu"))
    assert (folder / "last.json").read_bytes() == kept


def test_what_was_used_last_comes_back(folder):
    assert load_last().last == LastUsed()
    save_last(EVERYTHING)
    assert load_last().last == EVERYTHING
    save_last(LastUsed(model="embedded"))
    assert load_last().last == LastUsed(model="embedded")
    assert [path.name for path in folder.iterdir()] == ["last.json"]


def test_places_of_examples_are_not_kept(folder):
    kept = Example((1.0, 2.0), (0.6, 0.8), "embedded")
    prompt = Prompt(("a",), examples=(Example((3.0, 4.0)), kept))
    save_last(LastUsed(prompts=(prompt,)))
    (loaded,) = load_last().last.prompts
    assert loaded.examples == (Example(None, (0.6, 0.8), "embedded"),)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b"{}",
        json.dumps({"napari_gem_last": 2, "model": "x"}).encode(),
        json.dumps({"napari_gem_last": 1, "model": 3}).encode(),
        json.dumps({"napari_gem_last": 1, "prompts": [{}]}).encode(),
    ],
)
def test_a_file_that_cannot_be_read_is_left_out(folder, content, caplog):
    folder.mkdir(parents=True)
    (folder / "last.json").write_bytes(content)
    assert load_last().last == LastUsed()
    assert "left out" in caplog.text
    save_last(EVERYTHING)
    assert load_last().last == EVERYTHING


def test_what_cannot_be_written_is_only_logged(folder, caplog):
    folder.parent.mkdir()
    folder.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        save_last(EVERYTHING)
    assert "cannot be kept" in caplog.text
    assert load_last().last == LastUsed()


def test_the_folder_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("NAPARI_GEM_CONFIG", raising=False)
    place = lambda *a, **k: tmp_path / a[0]  # noqa: E731
    monkeypatch.setattr(own_list, "user_config_path", place)
    assert settings.config_folder() == tmp_path / "napari-gem"
