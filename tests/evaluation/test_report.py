from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_gem.core.parameters import EncodeParameters, GemParameters, ScoreParameters
from napari_gem.evaluation.controls import Control
from napari_gem.evaluation.datasets import Dataset, DatasetClass
from napari_gem.evaluation.metrics import IGNORED, OTHER
from napari_gem.evaluation.pictures import KEPT, Pictures, extremes, picture_path
from napari_gem.evaluation.protocols import find_protocol
from napari_gem.evaluation.report import table, write_report
from napari_gem.evaluation.store import PICTURES, ImageResult, Run, Store
from napari_gem.evaluation.tally import Tally

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = (DatasetClass("rest", (), background=True), DatasetClass("<b>", ("b",)))
RANDOM = np.random.default_rng(0)


@pytest.fixture
def tally() -> Tally:
    return Tally(len(CLASSES))


@pytest.fixture
def store(tmp_path: Path, tally: Tally) -> Store:
    run = Run(
        kind="folder",
        title="Rock & roll",
        folder="there",
        split="",
        classes=tuple(entry.name for entry in CLASSES),
        images=9,
        model="embedded",
        revision="0",
        protocol="paper",
        details=find_protocol("paper"),
        short_side=336,
        gem=GemParameters(),
        control=Control("noise", 0.1),
        version="1",
        device="cpu",
        precision="float32",
    )
    return Store(tmp_path / "out", run, tally, resume=False)


def _fill(store: Store, scores: list[float]) -> None:
    pictures = Pictures(store, Dataset("folder", "", CLASSES, (), None))
    for number, score in enumerate(scores):
        truth = RANDOM.integers(IGNORED, 2, (30, 40)).astype(np.int16)
        predicted = RANDOM.choice([OTHER, 0, 1], (30, 40)).astype(np.int16)
        picture = RANDOM.random((30, 40, 3)).astype(np.float32)
        result = ImageResult(f"image <{number}>", score)
        store.add(result)
        pictures.offer(result, picture, truth, predicted)


def test_only_best_and_worst_pictures_are_kept(store: Store) -> None:
    scores = [0.5, 0.1, 0.9, 0.4, 0.6, 0.45, 0.3, 0.2, 0.8, 0.7, 0.55]
    _fill(store, scores)
    best, worst = extremes(store.done)
    assert [result.score for result in best] == [0.9, 0.8, 0.7, 0.6]
    assert [result.score for result in worst] == [0.1, 0.2, 0.3, 0.4]
    kept = {picture_path(store.folder, r.name).name for r in [*best, *worst]}
    assert {path.name for path in (store.folder / PICTURES).iterdir()} == kept
    assert len(kept) == 2 * KEPT


class _Page(HTMLParser):
    """Collects what a page loads and the text of its cells."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.cells: list[str] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag in ("td", "th"):
            self.cells.append("")
        self._in_cell = tag in ("td", "th", "i")

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.cells[-1] += data.strip()


def test_the_report_is_one_file_that_shows_everything(
    store: Store, tally: Tally
) -> None:
    _fill(store, [0.1, 0.9])
    store.add(ImageResult("bad", error="The mask 'bad' is missing."))
    text = write_report(store, tally).read_text()
    page = _Page()
    page.feed(text)
    assert len(page.loaded) == 2
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.loaded)
    assert not re.search(r"https?://", text)
    assert "<b>" not in text and "<b>" in page.cells
    assert {"noise 0.1", "2 of 9 images measured, 1 left out"} <= set(page.cells)
    assert "The mask &#x27;bad&#x27; is missing." in text


def test_the_report_tells_the_models_own_parameters(store: Store, tally: Tally) -> None:
    score = ScoreParameters(scale=9.5, background=("sky", "sea"), templates=("a {}",))
    store.run = replace(store.run, encode=EncodeParameters(zoom=2.0), score=score)
    page = _Page()
    page.feed(write_report(store, tally).read_text())
    assert {"zoom 2, tile 28, overlap 7", "sky, sea", "1, first 'a {}'"} <= {
        *page.cells
    }
    assert any("scale 9.5" in cell for cell in page.cells)


def test_a_table_of_nothing_has_no_figures(store: Store, tally: Tally) -> None:
    assert table(store, tally).splitlines() == [
        "class",
        "rest",
        "<b>",
        "mean",
        "0 of 9 images measured",
    ]
