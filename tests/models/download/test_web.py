"""Weights at an address of the web, from the list to a loaded model, over real HTTP."""

from __future__ import annotations

import hashlib
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from huggingface_hub import constants

from napari_gem import encode
from napari_gem.core.errors import GemError
from napari_gem.core.progress import Progress, run
from napari_gem.models import archive
from napari_gem.models.add import add_address
from napari_gem.models.archive import export_steps, import_steps
from napari_gem.models.card import DownloadNeeded, ModelCard, size_text
from napari_gem.models.catalogue import list_models, make_card, own_errors
from napari_gem.models.download import transfer
from napari_gem.models.download.web import WebFile
from napari_gem.models.find import find_model, is_available, load_model
from napari_gem.models.own_list import add_own, forget_own
from napari_gem.models.weight_sources import weight_source
from tests.hub import Hub, point_at, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Call = Callable[..., tuple[int, str, str]]

NAME = "my model.pt"
CONTENT = b"PK\x03\x04" + bytes(range(251)) * 8000
HALF = len(CONTENT) // 2
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ARCHITECTURE = "ViT-B-32-quickgelu"


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_GEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("NAPARI_GEM_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.05)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Hub]:
    # the hub at the same address is never asked
    with serve({NAME: CONTENT}) as server, point_at(server.address, tmp_path / "hub"):
        yield server


@pytest.fixture
def card(server: Hub) -> ModelCard:
    return add_address(f"{server.address}/web/{NAME}".replace(" ", "%20"), *REST)


REST = (SHA256, ARCHITECTURE)


def file_of(card: ModelCard) -> Path:
    return WebFile(card.weights, card.sha256).path


def fetch(card: ModelCard) -> list[Progress]:
    seen: list[Progress] = []
    run(weight_source(card).fetch_steps(), seen.append)
    return seen


def left_over(tmp_path: Path) -> list[str]:
    paths = (tmp_path / "weights").glob("*/*")
    return sorted(path.name for path in paths if path.suffix != ".lock")


def cancel_half_way(server: Hub, card: ModelCard) -> None:
    server.go_on.clear()
    steps = weight_source(card).fetch_steps()
    while next(steps).done < HALF or not server.held:
        pass
    steps.close()
    assert server.held  # it was not waited for
    assert not is_available(card)
    server.go_on.set()
    for thread in threading.enumerate():
        if thread.name.startswith("download"):
            thread.join(10)


# --- what is such a model


def test_an_address_is_listed_described_and_fetched(
    server: Hub, card: ModelCard, tmp_path: Path
) -> None:
    assert card in list_models()
    assert (card.id, card.activation) == ("my-model", "QuickGELU")
    assert card.size is None
    assert not is_available(card)
    assert not server.asked, "nothing is asked before somebody wants it"
    described = weight_source(card).describe()
    assert (described.size, described.source) == (len(CONTENT), card.weights)
    assert size_text(described.size) == "about 2 MB"
    seen = fetch(card)
    assert file_of(card).read_bytes() == CONTENT
    assert file_of(card) == tmp_path / "weights" / SHA256 / NAME
    assert seen[-1].done == seen[-1].total == len(CONTENT)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert {"Asking the server", "Downloading"} <= {p.stage for p in seen}
    assert is_available(card)
    assert weight_source(card).describe().size == 0
    assert weight_source(card).cached_bytes() == len(CONTENT)
    server.asked.clear()
    fetch(card)
    assert not server.asked


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sha256": ""}, r"need their SHA-256, .*there is none"),
        ({"sha256": "abc"}, "this is 'abc'"),
        ({"url": "https://example.org/"}, r"no address of a weights file.*safetensors"),
        ({"url": "https://example.org/page.html"}, "no address of a weights file"),
        ({"url": "ftp://example.org/model.pt"}, "no address of a weights file"),
        ({"architecture": ""}, r"'model.pt' is a single file. Name its open_clip"),
        ({"architecture": "ViT-B-61"}, "Near it: ViT-B-16"),
        ({"architecture": "RN50"}, "RN50"),
        ({"name": "embedded"}, "a model 'embedded' already"),
    ],
)
def test_what_is_no_such_model_is_refused(wrong: dict[str, str], message: str) -> None:
    given = {"url": "https://example.org/model.pt", "sha256": SHA256}
    given |= {"architecture": "ViT-B-16"} | wrong
    with pytest.raises(GemError, match=message):
        add_address(**given)
    assert not own_errors()
    assert list_models()[-1].weights.startswith("hf-hub:")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sha256": ""}, "need their SHA-256"),
        ({"architecture": ""}, "names no architecture"),
        ({"weights": "https://example.org/page"}, "no address of a weights file"),
    ],
)
def test_an_entry_needs_hash_architecture_and_file(
    wrong: dict[str, str], message: str
) -> None:
    entry = {"id": "x", "name": "X", "architecture": "ViT-B-16", "sha256": SHA256}
    entry |= {"weights": "https://example.org/model.pt/content?download=1"}
    assert file_of(make_card(**entry)).name == "model.pt"
    with pytest.raises(GemError, match=message):
        make_card(**entry | wrong)
    add_own(entry | wrong)
    assert message in own_errors()[0]


def test_a_bare_address_is_told_how_to_be_used() -> None:
    with pytest.raises(GemError, match="with its SHA-256 and architecture"):
        find_model("https://example.org/model.pt")


def test_names_in_addresses_cannot_leave_the_folder(tmp_path: Path) -> None:
    for part in ("..%2F..%2Fescape.pt", "..%5Cescape.pt", "%00.pt"):
        path = WebFile(f"https://example.org/{part}", SHA256).path
        assert path.resolve().parent == tmp_path / "weights" / SHA256


# --- the download


def test_a_download_is_asked_for(card: ModelCard) -> None:
    with pytest.raises(DownloadNeeded, match=r"about 2 MB from http.*licence see the"):
        load_model(card)
    assert not is_available(card)


def test_what_came_before_a_cancel_is_not_fetched_again(
    server: Hub, card: ModelCard
) -> None:
    cancel_half_way(server, card)
    seen = fetch(card)
    before, after = server.starts
    assert (before, after >= HALF) == (0, True)
    assert next(p.done for p in seen if p.stage == "Downloading") >= HALF
    assert file_of(card).read_bytes() == CONTENT


def test_a_broken_connection_goes_on_where_it_broke(
    server: Hub, card: ModelCard
) -> None:
    server.cuts = 1
    fetch(card)
    assert [first for _, first, _ in server.sent][:2] == [0, HALF]
    assert file_of(card).read_bytes() == CONTENT


@pytest.mark.parametrize("whole", [False, True], ids=["half is here", "all is here"])
def test_a_server_that_hides_the_size_is_read_to_its_end(
    server: Hub, card: ModelCard, whole: bool
) -> None:
    server.tells_size = False
    assert weight_source(card).describe().size is None
    partial = file_of(card).with_name(f"{NAME}.napari-gem.incomplete")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT[: None if whole else HALF])
    fetch(card)
    assert file_of(card).read_bytes() == CONTENT


@pytest.mark.contact("silent servers")
@pytest.mark.parametrize("tells", [False, True])
def test_an_answer_without_end_does_not_fill_the_disk(
    server: Hub, card: ModelCard, monkeypatch: pytest.MonkeyPatch, tells: bool
) -> None:
    size = HALF if tells else None
    monkeypatch.setattr(transfer, "url_size", lambda _: size)
    monkeypatch.setattr(transfer, "MOST_BYTES", HALF)
    message = f"more of {NAME} than the {HALF} bytes" if tells else "disk has room for"
    with pytest.raises(GemError, match=message):
        fetch(card)
    assert not is_available(card)
    partial = file_of(card).with_name(f"{NAME}.napari-gem.incomplete")
    assert partial.stat().st_size == 0


def test_other_content_than_the_hash_says_is_not_kept(
    server: Hub, card: ModelCard, tmp_path: Path
) -> None:
    server.spoiled.add(NAME)
    with pytest.raises(GemError, match=f"{NAME} came damaged"):
        fetch(card)
    assert left_over(tmp_path) == []
    assert not is_available(card)
    server.spoiled.clear()
    fetch(card)
    assert is_available(card)


def test_a_silent_server_times_out(
    server: Hub, card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    monkeypatch.setattr(transfer, "TRIES", 1)
    server.go_on.clear()
    with pytest.raises(GemError, match=r"timed out.*what came is kept"):
        fetch(card)
    server.go_on.set()
    (left,) = left_over(tmp_path)
    assert left.endswith(".incomplete")


def test_a_disk_without_room_is_told_before(
    server: Hub, card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=1_500_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(GemError, match=r"needs about 2 MB.*NAPARI_GEM_WEIGHTS"):
        fetch(card)
    assert not server.sent


def test_a_full_disk_is_told_and_what_came_is_kept(
    server: Hub, card: ModelCard
) -> None:
    resource = pytest.importorskip("resource", reason="no limit on the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, before[1]))
    try:
        with pytest.raises(GemError, match=r"The disk of .*weights is full"):
            fetch(card)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    fetch(card)
    assert server.starts[-1] > HALF - (2 << 20)
    assert is_available(card)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, r"wants a login \(answer 401\).*models add"),
        (404, r"nothing at http.*\(answer 404\).*new address"),
        (418, "refused .answer 418"),
    ],
)
@pytest.mark.parametrize("ask", [lambda card: weight_source(card).describe(), fetch])
def test_refusals_are_told(
    server: Hub, card: ModelCard, ask: Any, status: int, message: str
) -> None:
    server.status = status
    with pytest.raises(GemError, match=message):
        ask(card)


def test_no_network_and_offline_mode_are_told(
    server: Hub, card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = add_address("http://127.0.0.1:9/model.pt", SHA256, "ViT-B-16")
    with pytest.raises(GemError, match=r"could not be downloaded.*models import"):
        fetch(gone)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(GemError, match=r"offline mode is on.*weights\."):
        fetch(card)
    assert not server.asked


def test_the_token_of_the_hub_is_never_shown(
    server: Hub, card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    fetch(card)
    assert set(server.shown_web) == {""}


def test_two_at_once_fetch_it_once(server: Hub, card: ModelCard) -> None:
    server.go_on.clear()
    first = weight_source(card).fetch_steps()
    while next(first).done < HALF:
        pass
    second = weight_source(card).fetch_steps()
    while next(second).stage != "Waiting for another download":
        pass
    server.go_on.set()
    run(first)
    run(second)
    assert sum(size for _, _, size in server.sent) == len(CONTENT)


# --- a model that loads


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Weights of the smallest architecture of open_clip with a tower we read."""
    import torch

    from napari_gem.backbones.open_clip_import import import_open_clip

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = import_open_clip().create_model("ViT-S-32-alt").half()
    path = tmp_path_factory.mktemp("weights") / "small.pt"
    torch.save({"state_dict": model.state_dict()}, path)
    return path.read_bytes()


def test_it_loads_and_goes_by_file_to_another_computer(
    server: Hub,
    weights: bytes,
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.files["small.pt"] = weights
    digest = hashlib.sha256(weights).hexdigest()
    url = f"{server.address}/web/small.pt"
    options = ["--architecture", "ViT-S-32-alt", "--sha256", digest, "--name", "Small"]
    options += ["--licence", "CC0", "--source", "https://example.org/small"]
    status, _, said = call("models", "add", url, *options)
    assert status == 0, said
    status, said, _ = call("models", "info", "Small")
    assert f"SHA-256:          {digest}" in said
    assert "not pinned" not in said
    status, _, said = call("models", "download", "Small", "-y")
    assert status == 0, said
    assert "MB in " + str(tmp_path / "weights") in call("models", "info", "Small")[1]
    file = tmp_path / "small.gem-model.zip"
    assert call("models", "export", "Small", file)[0] == 0
    size = len(weights)
    said = call("models", "remove", "Small", "-y")[2]
    assert f"{size / 1e6:,.1f} MB are free again" in said
    assert "still on your list" in said
    assert not (tmp_path / "weights" / digest).exists()
    assert call("models", "remove", "Small")[2] == "Small is off your list.\n"
    server.status = 404
    # another computer
    monkeypatch.setenv("NAPARI_GEM_CONFIG", str(tmp_path / "other"))
    monkeypatch.setenv("NAPARI_GEM_WEIGHTS", str(tmp_path / "there"))
    status, _, said = call("models", "import", file)
    assert status == 0, said
    card = find_model("Small")
    assert (card.licence, card.source) == ("CC0", "https://example.org/small")
    model = load_model("Small", device="cpu")
    assert model.revision == digest[:16]
    features = encode(np.zeros((64, 64, 3), np.uint8), model)
    assert features.array.shape == (2, 2, 256)


def test_an_archive_cannot_bring_other_weights_or_entries(
    card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.models.test_archive import changed

    fetch(card)
    good = tmp_path / "a.zip"
    run(export_steps(card, good))
    forget_own(card.id)
    weight_source(card).remove()
    entry = archive.from_json(
        archive.Manifest, archive.ZipFile(good).read("manifest.json")
    ).entry
    wrong: list[tuple[dict[str, Any], dict[int, dict[str, Any]], str]] = [
        ({}, {0: {"sha256": "0" * 64}}, "other weights"),
        ({"entry": entry | {"sha256": "0" * 64}}, {}, "pinned to another version"),
        ({"entry": entry | {"weights": "file:/etc/passwd"}}, {}, "no model"),
        ({"entry": entry | {"id": "other"}}, {}, "no model"),
        ({"entry": entry | {"weights": "https://x.org/b.pt"}}, {}, "does not need"),
        ({"entry": {}}, {}, "no model"),
        ({"entry": {"id": card.id}}, {}, "no model"),
        ({"entry": entry | {"size": "large"}}, {}, "size"),
    ]
    for number, (fields, entries, message) in enumerate(wrong):
        bad = tmp_path / f"{number}.zip"
        changed(good, bad, entries=entries, manifest=fields)
        with pytest.raises(GemError, match=message):
            run(import_steps(bad))
        assert card not in list_models()
        assert not (tmp_path / "weights" / SHA256).exists()
    run(import_steps(good))
    assert find_model(card.id) == card
    assert is_available(card)
