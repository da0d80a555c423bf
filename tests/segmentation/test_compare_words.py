"""Words are compared as a run would score them, one after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import napari_gem
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import EncodeParameters, GemParameters, ScoreParameters
from napari_gem.core.progress import run
from napari_gem.core.prompts import Example, Prompt
from napari_gem.core.region import Region
from napari_gem.core.word_comparison import NOBODY
from napari_gem.results.compared_words import save_words, winning_shares, word_lines
from napari_gem.scoring.separation import separation
from napari_gem.segmentation import compare_words
from napari_gem.segmentation.compare_words import compare_steps
from napari_gem.segmentation.pipeline import encode
from napari_gem.segmentation.segment import segment_steps
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

    from napari_gem.models.model import Model

ENCODE = EncodeParameters(gem=GemParameters(), zoom=1.0, tile=6, overlap=2)
SCORE = ScoreParameters(background=("sky", "soil"), templates=("{}", "a {}."), near=2)
CLASSES = (
    Prompt(("cat",), 1),
    Prompt(("dog", "hound"), 2),
    Prompt(("ox",), 3, on=False),
)
WORDS = ("cat", "kitten", "dog")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    loaded = napari_gem.load_model(str(folder))
    return replace(loaded, card=replace(loaded.card, encode=ENCODE, score=SCORE))


@pytest.fixture(scope="module")
def features(model: Model):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 56, 3)).astype(np.uint8)
    return encode(pixels, model)


def test_each_map_is_that_of_a_run_with_the_word(model: Model, features) -> None:
    done = run(compare_steps(model, features, CLASSES, 0, WORDS))
    assert {word.word for word in done.compared.words} == set(WORDS)
    assert done.compared.step == 1
    for number, figures in enumerate(done.compared.words):
        other = tuple(word for word in ("dog", "hound") if word != figures.word)
        asked = (Prompt((figures.word,), 1), Prompt(other, 2))
        result = run(segment_steps(model, features, asked))
        expected = result.probabilities[0]
        np.testing.assert_allclose(
            done.probabilities[number] / 255, expected, atol=0.5 / 255 + 1e-6
        )
        assert figures.share == pytest.approx(result.shares[0])
        assert figures.separation == separation(expected)
        assert (done.winners[number] == 0).mean() == pytest.approx(result.shares[0])
        shares = winning_shares(done, number)
        assert sum(share for *_, share in shares) == pytest.approx(1)
        named = {name: share for _, name, share in shares[1:]}
        assert named.get("dog", named.get("hound", 0)) == pytest.approx(
            result.shares[1]
        )
        assert set(named) <= {"dog", "hound", "sky", "soil"}
    ranks = [word.rank for word in done.compared.words]
    assert ranks == sorted(ranks, reverse=True)


def test_unknown_words_come_last_and_examples_count(model: Model, features) -> None:
    limited = replace(model, card=replace(model.card, known_words=frozenset({"cat"})))
    done = run(compare_steps(limited, features, CLASSES[:1], 0, ("kitten", "cat")))
    assert [word.word for word in done.compared.words] == ["cat", "kitten"]
    assert [word.known for word in done.compared.words] == [True, False]
    maps = {
        word.word: done.probabilities[n].astype(int)
        for n, word in enumerate(done.compared.words)
    }
    lead = maps["kitten"] - maps["cat"]
    best, worst = (
        tuple(map(int, np.unravel_index(at, lead.shape)))
        for at in (lead.argmax(), lead.argmin())
    )
    clicked = replace(
        CLASSES[0], examples=(Example(best), Example(worst, positive=False))
    )
    done = run(compare_steps(model, features, (clicked,), 0, ("cat", "kitten")))
    fits = {word.word: word.agreement for word in done.compared.words}
    assert all(0 <= fit <= 1 for fit in fits.values())
    assert set(fits.values()) != {None}


def test_only_the_region_counts(model: Model, features) -> None:
    part = replace(features, region=Region((0, 20), (0, 56)))
    done = run(compare_steps(model, part, CLASSES, 0, WORDS))
    assert (done.winners[:, 20:] == NOBODY).all()
    assert (done.winners[:, :20] < NOBODY).all()


def test_features_on_disk_are_thinned(
    model: Model, features, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OnDisk:
        def __init__(self, array):
            self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
            self._array = array

        def __getitem__(self, index):
            return self._array[index]

    monkeypatch.setattr(compare_words, "GRID_SIDE", 5)
    far = replace(features, array=OnDisk(features.array))
    done = run(compare_steps(model, far, CLASSES, 0, WORDS))
    assert done.winners.shape == (3, 40, 56)


@pytest.mark.parametrize("count", [0, 25])
def test_no_word_and_too_many_are_refused(model: Model, features, count: int) -> None:
    words = tuple(f"w{n}" for n in range(count))
    with pytest.raises(GemError, match="There "):
        run(compare_steps(model, features, CLASSES, 0, words))


def test_they_are_written_as_picture_and_table(
    model: Model, features, tmp_path: Path
) -> None:
    words = ("cat", "=SUM(1)", "细胞核", "long " * 40)
    done = run(compare_steps(model, features, CLASSES[:1], 0, words))
    picture, table = save_words(done, tmp_path / "new")
    assert picture.stat().st_size > 1000
    text = table.read_text(encoding="utf-8")
    assert text.startswith("word,known,clearness,agreement,share,rivals\n")
    assert "'=SUM(1)" in text
    assert "细胞核" in text
    assert len(word_lines(done)) == 4
