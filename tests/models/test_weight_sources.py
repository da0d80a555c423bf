"""Which kind of weights a card names, and what each kind says without the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_gem.core.errors import GemError
from napari_gem.core.progress import run
from napari_gem.models.card import ModelCard
from napari_gem.models.download.hub import HubFiles
from napari_gem.models.find import find_model
from napari_gem.models.weight_sources import (
    FileWeights,
    FolderWeights,
    HubWeights,
    OpenClipWeights,
    PackageWeights,
    WebWeights,
    WeightSource,
    weight_source,
)

if TYPE_CHECKING:
    from collections.abc import Generator

WEB = "https://example.org/weights.pt"


def card_of(weights: str) -> ModelCard:
    return ModelCard("x", "X", "ViT-B-32", weights, size=9, sha256="0" * 64)


@pytest.mark.parametrize(
    ("weights", "kind", "origin", "own_path"),
    [
        ("package:embedded", PackageWeights, "'package:embedded'", None),
        ("folder:/a/b", FolderWeights, "the folder '/a/b'", Path("/a/b")),
        ("file:/a/b.pt", FileWeights, "the file '/a/b.pt'", Path("/a/b.pt")),
        ("hf-hub:a/b", HubWeights, "'hf-hub:a/b'", None),
        ("open_clip:openai", OpenClipWeights, "'open_clip:openai'", None),
        (WEB, WebWeights, f"'{WEB}'", None),
        ("elsewhere", WeightSource, "'elsewhere'", None),
    ],
)
def test_a_card_names_its_kind(
    weights: str, kind: type[WeightSource], origin: str, own_path: Path | None
) -> None:
    source = weight_source(card_of(weights))
    assert type(source) is kind
    assert (source.origin, source.own_path) == (origin, own_path)
    assert source.is_on_disk() == (kind is PackageWeights)
    assert bool(source.remote_files()) == (kind in (HubWeights, WebWeights))


def test_weights_of_no_kind_are_refused() -> None:
    source = weight_source(card_of("elsewhere"))
    assert source.describe() == source.card
    with pytest.raises(GemError, match="no place such as 'elsewhere'"):
        run(source.get_steps(download=True))
    with pytest.raises(GemError, match="no place such as 'elsewhere'"):
        run(source.fetch_steps())


def test_files_of_the_users_own_are_not_downloaded_or_removed(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    source = weight_source(card_of(f"file:{path}"))
    with pytest.raises(GemError, match="which is not there"):
        source.describe()
    with pytest.raises(GemError, match="which is not there"):
        run(source.fetch_steps())
    path.write_bytes(b"weights")
    run(source.fetch_steps())
    assert (source.cached_bytes(), source.remove()) == (0, 0)
    assert path.is_file()


def test_a_text_tower_comes_with_a_tag_outside_the_catalogue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetched: list[str] = []

    def fetch_steps(files: HubFiles) -> Generator[None, None, None]:
        fetched.append(files.repository)
        yield from ()

    monkeypatch.setattr(HubFiles, "fetch_steps", fetch_steps)
    monkeypatch.setattr(HubFiles, "find", lambda _: None)
    card = find_model("roberta-ViT-B-32/laion2b_s12b_b32k")
    run(weight_source(card).fetch_steps())
    assert fetched == [
        "laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k",
        "roberta-base",
    ]
