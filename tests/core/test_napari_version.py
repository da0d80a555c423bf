"""A napari that is too old is told in a sentence, before anything is built."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from napari.layers import Layer

from napari_gem.core.errors import GemError
from napari_gem.core.napari_version import OLDEST, check_napari, too_old
from napari_gem.images import samples
from napari_gem.layers.files import files
from tests.old_napari import pretend

pytestmark = pytest.mark.contact("versions")


@pytest.fixture
def old(tmp_path, monkeypatch):
    """An installation of napari 0.6.6, of which only the version is there."""
    pretend(tmp_path / "old", "0.6.6")
    monkeypatch.syspath_prepend(tmp_path / "old")


def test_the_floor_is_that_of_the_package():
    path = Path(__file__).parents[2] / "pyproject.toml"
    project = tomllib.loads(path.read_text("utf-8"))["project"]
    named = [
        one
        for extra in project["optional-dependencies"].values()
        for one in extra
        if re.match(r"napari\b(?!-)", one)
    ]
    assert named
    assert {one.partition(">=")[2] for one in named} == {OLDEST}


@pytest.mark.parametrize(
    ("version", "refused"),
    [
        ("0.4.19", True),
        ("0.6.6", True),
        ("0.8.9.post1", True),
        ("0.9.0rc1", False),
        ("0.9.0", False),
        ("0.10.0a2.dev3+gabc", False),
        ("1.0", False),
        ("unknown", True),
    ],
)
def test_versions_are_compared_as_numbers(tmp_path, monkeypatch, version, refused):
    pretend(tmp_path, version)
    monkeypatch.syspath_prepend(tmp_path)
    message = too_old()
    assert bool(message) == refused
    if refused:
        assert version in message
        assert OLDEST in message
        with pytest.raises(GemError, match=re.escape(version)):
            check_napari()


def test_this_napari_is_new_enough():
    assert not too_old()


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_samples_say_so(old, name):
    with pytest.raises(GemError, match=r"0\.6\.6"):
        getattr(samples, f"load_{name}")()


def test_reader_and_writer_say_so_and_nothing_is_written(tmp_path, monkeypatch):
    layer = Layer.create(*samples.load_fluorescence()[0]).as_layer_data_tuple()
    result = tmp_path / "result.gem"
    written = files.write_layers(result, [layer])
    before = sorted(path.name for path in tmp_path.iterdir())
    pretend(tmp_path / "old", "0.6.6")
    monkeypatch.syspath_prepend(tmp_path / "old")
    with pytest.raises(GemError, match=r"0\.6\.6"):
        files.get_reader(written[-1])
    assert files.get_reader(str(tmp_path / "other.tif")) is None
    with pytest.raises(GemError, match=r"0\.6\.6"):
        files.write_layers(tmp_path / "again", [layer])
    assert sorted({*before, "old"}) == sorted(path.name for path in tmp_path.iterdir())


def test_the_demo_says_so_before_it_computes(old, call, tmp_path, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":none")
    status, said, errors = call("demo", "-o", tmp_path / "demo")
    assert status == 2
    assert "0.6.6" in errors
    assert OLDEST in errors
    assert not said
    assert not (tmp_path / "demo").exists()
