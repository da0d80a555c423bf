"""Words for a class are compared on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from napari_gem.images.samples import read_sample
from napari_gem.results.recipe import read_recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def stained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stained") / "image.png"
    pixels = read_sample("histology")[0].pixels[:96, :96]
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    "words", [("nuclei", "brown stain"), ("brown stain", "nuclei")]
)
def test_all_words_say_which_domain_is_meant(
    call: Call, stained: Path, tmp_path: Path, words: tuple[str, str]
) -> None:
    options = [part for word in words for part in ("-w", word)]
    said = call("words", stained, *options, "--domain", "", "-o", tmp_path)
    assert said[0] == 0, said[2]
    assert "Stained tissue" in said[1]
    assert "as 'brown stain' says" in said[1]
    assert {path.name for path in tmp_path.iterdir()} == {"words.csv", "words.png"}


def test_an_empty_domain_is_decided_by_the_words(
    call: Call, stained: Path, tmp_path: Path
) -> None:
    options = ["-p", "brown stain", "--domain", "", "-o", tmp_path / "out"]
    status, _, error = call("segment", stained, *options)
    assert status == 0, error
    assert read_recipe(tmp_path / "out").score.domain == "histology"
