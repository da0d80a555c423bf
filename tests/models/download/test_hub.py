from __future__ import annotations

import hashlib
import json
import re
import threading
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import constants

from napari_gem import backbones
from napari_gem.backbones.open_clip_import import import_open_clip
from napari_gem.core.errors import GemError
from napari_gem.core.progress import Progress, run
from napari_gem.models.card import DownloadNeeded, size_text
from napari_gem.models.catalogue import make_card
from napari_gem.models.configurations import towers
from napari_gem.models.download import hub as download
from napari_gem.models.find import (
    find_model,
    is_available,
    load_model,
    load_model_steps,
)
from napari_gem.models.weight_sources import weight_source
from tests.hub import COMMIT, Hub, point_at, serve
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "hf-hub:tiny/model"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = write_tiny_model(tmp_path_factory.mktemp("model"))
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | {"README.md": b"# tiny", "vocab.txt": b"a\nb\n"}


@pytest.fixture
def hub(files: dict[str, bytes], tmp_path: Path) -> Iterator[Hub]:
    with serve(dict(files)) as server, point_at(server.address, tmp_path / "cache"):
        yield server


def test_a_model_is_fetched_once_and_loads(hub: Hub, files: dict[str, bytes]) -> None:
    card = find_model(NAME)
    assert not is_available(card)
    seen: list[Progress] = []
    model = load_model(NAME, download=True, progress=seen.append)
    weights = files["open_clip_model.safetensors"]
    assert model.revision == hashlib.sha256(weights).hexdigest()[:16]
    got = [step for step in seen if step.stage == "Downloading"]
    assert got[-1].done == got[-1].total == sum(map(len, files.values())) - 6
    assert [step.done for step in got] == sorted(step.done for step in got)
    assert is_available(card)

    hub.asked.clear()
    assert load_model(NAME).revision == model.revision
    assert not hub.asked


def test_size_source_and_licence_are_told_before_a_download(
    hub: Hub, files: dict[str, bytes]
) -> None:
    card = find_model(NAME)
    assert card.size is None
    with pytest.raises(DownloadNeeded, match="not on this computer") as caught:
        load_model(card)
    described = caught.value.card
    assert described == weight_source(card).describe()
    assert described.size == sum(map(len, files.values())) - len(files["README.md"])
    assert described.source == f"{hub.address}/tiny/model"
    assert described.licence == "cc-by-4.0"
    assert size_text(described.size) == "about 7 MB"
    for part in ("about 7 MB", described.source, "cc-by-4.0", "Allow the download"):
        assert part in str(caught.value)
    assert not any("safetensors" in line for line in hub.asked)
    assert not is_available(described)
    load_model(card, download=True)
    assert is_available(described)
    assert weight_source(card).describe().size == 0


@pytest.mark.parametrize(
    ("stated", "licence"),
    [
        ({}, "see model card"),
        ({"license": "other", "license_name": "apple-ascl"}, "apple-ascl"),
        ({"license": ["mit", "cc0-1.0"]}, "mit, cc0-1.0"),
    ],
)
def test_licences_are_read(hub: Hub, stated: dict, licence: str) -> None:
    hub.card_data = stated
    assert weight_source(find_model(NAME)).describe().licence == licence


def test_a_tag_is_described_and_fetched(
    hub: Hub, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_clip = import_open_clip()
    tag = {"hf_hub": "tiny/model/", "quick_gelu": True}
    table = {"ViT-S-32-alt": {"mine": tag}}
    monkeypatch.setattr(open_clip.pretrained, "_PRETRAINED", table)
    with pytest.raises(DownloadNeeded) as caught:
        load_model("ViT-S-32-alt/mine")
    described = caught.value.card
    assert described.size == len(files["open_clip_model.safetensors"])
    assert described.source == f"{hub.address}/tiny/model"
    # huggingface_hub's first request of a process may be one of its own
    asked = [line for line in hub.asked if "tiny/model" in line]
    assert asked == ["GET /api/models/tiny/model"]
    with pytest.raises(GemError, match="does not fit ViT-S-32-alt"):
        load_model("ViT-S-32-alt/mine", download=True)
    assert is_available(described)


def test_the_catalogue_tells_without_the_hub(hub: Hub) -> None:
    card = find_model("ViT-B-16-quickgelu/openai")
    assert weight_source(card).describe() == card
    with pytest.raises(DownloadNeeded, match=r"about 598 MB.*licence MIT") as caught:
        load_model(card)
    assert caught.value.card == card
    assert weight_source(find_model("embedded")).describe().size == 0
    assert not hub.asked


@pytest.mark.parametrize("allowed", [False, True])
def test_a_tower_that_cannot_be_read_is_refused_before_its_weights_come(
    hub: Hub, allowed: bool
) -> None:
    config = json.loads(hub.files[download.CONFIG])
    config["model_cfg"]["vision_cfg"]["timm_model_name"] = "convnext_base"
    hub.files[download.CONFIG] = json.dumps(config).encode()
    with pytest.raises(GemError, match=r"convnext_base.*no attention"):
        load_model(NAME, download=allowed)
    assert not any("safetensors" in line for line in hub.asked)


def test_a_missing_package_is_told_before_the_weights_come(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbones, "find_spec", lambda _: None)
    config = json.loads(hub.files[download.CONFIG])
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "some/tokenizer"
    hub.files[download.CONFIG] = json.dumps(config).encode()
    with pytest.raises(GemError, match=r'pip install "napari-gem\[hf\]"'):
        load_model(NAME, download=True)
    assert not any("safetensors" in line for line in hub.asked)


@pytest.mark.parametrize(
    "name",
    [
        "hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
        "ViT-B-16-SigLIP2/webli",
    ],
)
def test_a_missing_package_is_told_for_the_catalogue_without_the_hub(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(backbones, "find_spec", lambda _: None)
    card = find_model(name)
    with pytest.raises(GemError, match=r'pip install "napari-gem\[hf\]"'):
        weight_source(card).describe()
    with pytest.raises(GemError, match=r'pip install "napari-gem\[hf\]"'):
        run(weight_source(card).fetch_steps())
    with pytest.raises(GemError, match=r'pip install "napari-gem\[hf\]"'):
        load_model(card, download=True)
    assert not hub.asked


def test_a_text_tower_that_is_missing_is_asked_for(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbones, "find_spec", lambda _: True)
    monkeypatch.setattr(towers, "TEXT_TOWERS", ("tiny/model",))
    folder = write_tiny_model(tmp_path / "mine")
    config = json.loads((folder / download.CONFIG).read_text())
    config["model_cfg"]["text_cfg"] = {"hf_model_name": "tiny/model"}
    (folder / download.CONFIG).write_text(json.dumps(config))
    hub.files["config.json"] = b"{}"
    with pytest.raises(DownloadNeeded) as caught:
        load_model(str(folder))
    assert caught.value.card.size == len(b"{}")
    assert caught.value.card.source == f"{hub.address}/tiny/model"


def test_older_weights_are_taken_where_there_are_no_others(hub: Hub) -> None:
    hub.files["open_clip_pytorch_model.bin"] = hub.files.pop(
        "open_clip_model.safetensors"
    )
    with pytest.raises(GemError, match="no weights file"):
        load_model(NAME, download=True)
    assert any("pytorch_model.bin" in line for line in hub.asked)


def test_closing_the_steps_stops_the_download(hub: Hub, tmp_path: Path) -> None:
    hub.go_on.clear()
    steps = load_model_steps(NAME, download=True)
    while not any("safetensors" in line for line in hub.asked):
        next(steps)
    steps.close()
    hub.go_on.set()
    for thread in threading.enumerate():
        if thread.name.startswith("download"):
            thread.join(10)
    assert not is_available(find_model(NAME))

    assert run(load_model_steps(NAME, download=True)).device


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (404, "RepoNotFound", "no repository 'tiny/model'"),
        (401, "RepoNotFound", "or it is private"),
        (401, "", "no repository|answered 401.*HF_TOKEN"),
        (404, "EntryNotFound", "lacks a file"),
        (403, "", "answered 403.*HF_TOKEN"),
        (403, "GatedRepo", "terms accepted"),
        (418, "", "answered 418"),
    ],
)
def test_refusals_are_told(hub: Hub, status: int, error: str, message: str) -> None:
    hub.status, hub.error = status, error
    with pytest.raises(GemError, match=message):
        load_model(NAME, download=True)


def test_a_pinned_model_is_fetched_in_its_version_and_a_lost_one_is_told(
    hub: Hub, tmp_path: Path
) -> None:
    entry = {"architecture": "ViT-B-32", "weights": "hf-hub:tiny/model/vocab.txt"}
    card = make_card("pinned", "Pinned", revision=COMMIT, **entry)
    run(weight_source(card).fetch_steps())
    assert is_available(card)
    assert {name for name in hub.asked if "/resolve/" in name} == {
        f"{verb} /tiny/model/resolve/{COMMIT}/vocab.txt" for verb in ("HEAD", "GET")
    }
    lost = make_card("lost", "Lost", revision="a" * 40, **entry)
    assert not is_available(lost)
    with pytest.raises(GemError, match=r"has lost the version.*hf-hub:tiny/model"):
        run(weight_source(lost).fetch_steps())


def test_another_repository_is_not_taken_for_the_model(hub: Hub) -> None:
    with pytest.raises(GemError, match="no repository 'tiny/modell'"):
        weight_source(find_model("hf-hub:tiny/modell")).describe()


def test_a_repository_of_something_else_is_told(hub: Hub) -> None:
    del hub.files[download.CONFIG]
    with pytest.raises(GemError, match="holds no open_clip_config"):
        load_model(NAME, download=True)


def test_no_network_is_told(tmp_path: Path) -> None:
    with Hub({}) as server:
        address = server.address
    for allowed in (True, False):
        with (
            point_at(address, tmp_path / "cache"),
            pytest.raises(GemError, match=re.escape(str(tmp_path / "cache"))) as caught,
        ):
            load_model(NAME, download=allowed)
        assert address in str(caught.value)


@pytest.mark.parametrize("allowed", [False, True])
def test_offline_mode_is_told(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(GemError, match="offline mode is on"):
        load_model(NAME, download=allowed)
    assert not hub.asked
