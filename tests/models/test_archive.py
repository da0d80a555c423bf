"""A model as one file, and the hub's cache it comes from and goes to."""

from __future__ import annotations

import json
import os
import random
import shutil
import zipfile
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from huggingface_hub import constants, scan_cache_dir

from napari_gem.core.errors import GemError
from napari_gem.core.progress import run
from napari_gem.models.archive import export_steps, import_steps
from napari_gem.models.find import find_model, is_available, load_model
from napari_gem.models.own_list import add_own, read_own
from napari_gem.models.weight_sources import weight_source
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from napari_gem.models.card import ModelCard

COMMIT = "0123456789" * 4
NAME = "hf-hub:tiny/model"
BERT = b'{"model_type": "bert", "vocab_size": 30522}'
TWO = ("first", "second")
"""Models of one repository."""


@pytest.fixture(autouse=True)
def two_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_GEM_CONFIG", str(tmp_path / "config"))
    for name in TWO:
        weights = f"hf-hub:some/pair/{name}.pt"
        add_own(
            {"id": name, "name": name, "weights": weights}
            | {"architecture": "ViT-B-32"}
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return use_cache(tmp_path / "cache", monkeypatch)


def use_cache(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return path


def fill(
    cache: Path, repository: str, files: dict[str, bytes], commit: str = COMMIT
) -> Path:
    """Write files as huggingface_hub does: blobs, and links to them."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    for number, (name, content) in enumerate(files.items()):
        blob = folder / "blobs" / f"{number}{abs(hash(name)):x}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        path = snapshot / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(blob)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs/main").write_text(commit)
    return folder


@pytest.fixture
def card(cache: Path, folder: Path) -> ModelCard:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    fill(cache, "tiny/model", files | {"vocab.txt": b"a\n", "README.md": b"# tiny"})
    return find_model(NAME)


@pytest.fixture
def archive(card: ModelCard, tmp_path: Path) -> Path:
    run(export_steps(card, tmp_path / "tiny.zip"))
    return tmp_path / "tiny.zip"


def test_a_model_goes_by_file_to_a_computer_without_network(
    card: ModelCard,
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = load_model(card, device="cpu")
    other = use_cache(tmp_path / "other", monkeypatch)
    assert not is_available(card)
    messages = []
    assert run(import_steps(archive), messages.append) == card
    assert messages[-1].done == messages[-1].total > 0
    after = load_model(NAME, device="cpu")
    assert after.revision == before.revision
    for name in ("refs/main", f"snapshots/{COMMIT}/vocab.txt"):
        assert (other / "models--tiny--model" / name).is_file()
    assert not list(other.glob("**/README.md"))
    assert [path.name for path in other.iterdir()] == ["models--tiny--model"]
    assert not scan_cache_dir(other).warnings
    # once more changes nothing
    assert run(import_steps(archive)) == card


def test_a_model_with_a_text_tower_of_another_repository(
    cache: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224"
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    card = find_model(name)
    fill(cache, name.removeprefix("hf-hub:"), files, card.revision)
    assert not is_available(card)
    text = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"
    fill(cache, text, {"config.json": BERT, "pytorch_model.bin": b"x"})
    assert is_available(card)
    run(export_steps(card, tmp_path / "a.zip"))
    other = use_cache(tmp_path / "other", monkeypatch)
    run(import_steps(tmp_path / "a.zip"))
    assert is_available(card)
    assert not list(other.glob("**/pytorch_model.bin"))


def test_a_text_tower_that_the_repository_names_goes_along(
    card: ModelCard, cache: Path, folder: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_model_name"] = "google/mt5-base"
    snapshot = cache / "models--tiny--model/snapshots" / COMMIT
    (snapshot / "open_clip_config.json").write_text(json.dumps(config))
    fill(cache, "google/mt5-base", {"config.json": BERT})
    run(export_steps(card, tmp_path / "a.zip"))
    wrong = changed(
        tmp_path / "a.zip", tmp_path / "b.zip", entries={0: {"repository": "a/victim"}}
    )
    other = use_cache(tmp_path / "other", monkeypatch)
    with pytest.raises(GemError, match=r"'config.json', which .* does not need"):
        run(import_steps(wrong))
    assert not list(other.glob("*"))
    run(import_steps(tmp_path / "a.zip"))
    assert is_available(card)


def test_import_leaves_what_the_cache_has_of_the_repository(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (find_model(name) for name in TWO)
    fill(cache, "some/pair", {"second.pt": b"large"})
    run(export_steps(second, tmp_path / "a.zip"))
    entries = {0: {"revision": "b" * 40}}
    newer = changed(tmp_path / "a.zip", tmp_path / "newer.zip", entries=entries)
    other = use_cache(tmp_path / "other", monkeypatch)
    folder = fill(other, "some/pair", {"first.pt": b"x"})
    run(import_steps(newer))
    assert (folder / "refs/main").read_text() == COMMIT
    assert is_available(first)
    assert is_available(second)
    files = weight_source(second).cached_files()
    assert [file.revision for file in files] == ["b" * 40]


def test_export_refuses_what_it_cannot_do(
    card: ModelCard, archive: Path, tmp_path: Path
) -> None:
    before = archive.read_bytes()
    with pytest.raises(GemError, match="is there already"):
        run(export_steps(card, archive))
    assert archive.read_bytes() == before
    run(export_steps(card, archive, replace=True))
    for name, message in (
        ("embedded", "only downloaded models can"),
        ("ViT-B-16/openai", "napari-gem models download ViT-B-16-quickgelu/openai"),
    ):
        with pytest.raises(GemError, match=message):
            run(export_steps(find_model(name), tmp_path / "x.zip"))
    with pytest.raises(GemError, match=r"cannot be written \(No such file"):
        run(export_steps(card, tmp_path / "nowhere" / "x.zip"))
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "config", "tiny.zip"}


def test_stopping_leaves_nothing(
    card: ModelCard, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(export_steps(card, tmp_path / "x.zip")) as steps:
        next(steps)
    assert not list(tmp_path.glob("*x*"))
    other = use_cache(tmp_path / "other", monkeypatch)
    with closing(import_steps(archive)) as steps:
        next(steps)
    assert list(other.iterdir()) == []


def changed(archive: Path, target: Path, **files: Any) -> Path:
    """Copy an archive with other members."""
    with zipfile.ZipFile(archive) as read:
        members = {name: read.read(name) for name in read.namelist()}
    manifest = json.loads(members["manifest.json"])
    manifest |= files.pop("manifest", {})
    for number, entry in files.pop("entries", {}).items():
        manifest["files"][number] |= entry
    members["manifest.json"] = json.dumps(manifest).encode()
    method = files.pop("method", zipfile.ZIP_STORED)
    members |= files.pop("members", {})
    with zipfile.ZipFile(target, "w", method) as write:
        for name, content in members.items():
            if content is not None:
                write.writestr(name, content)
    return target


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "climbs": ({"entries": {0: {"name": "../../../evil"}}}, "does not need"),
    "is absolute": ({"entries": {0: {"name": "/etc/passwd"}}}, "does not need"),
    "not needed": ({"entries": {0: {"name": "run.py"}}}, "does not need"),
    "repository": ({"entries": {0: {"repository": "../.."}}}, "does not need"),
    "other one": ({"entries": {0: {"repository": "other/one"}}}, "does not need"),
    "commit": ({"entries": {0: {"revision": "../main"}}}, "does not need"),
    "size": ({"entries": {0: {"size": 3}}}, "another size"),
    "hash": ({"entries": {0: {"sha256": "0" * 64}}}, "another hash"),
    "member": ({"members": {"files/0": None}}, "no item named 'files/0'"),
    "packed": ({"method": zipfile.ZIP_DEFLATED}, "compressed inside"),
    "packed by much": ({"method": zipfile.ZIP_LZMA}, "compressed inside"),
    "no manifest": ({"members": {"manifest.json": None}}, "manifest.json"),
    "manifest": ({"members": {"manifest.json": b"[]"}}, "no valid Manifest"),
    "newer": ({"manifest": {"napari_gem_model": 2}}, "newer version"),
    "unknown": ({"manifest": {"model": "nonsense"}}, "no model 'nonsense'"),
    "embedded": ({"manifest": {"model": "embedded"}}, "never comes by file"),
    "two commits": ({"entries": {0: {"revision": "a" * 40}}}, "several commits"),
    "empty": ({"manifest": {"files": []}}, "files of tiny/model are missing"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_archive_is_refused_and_nothing_is_written(
    case: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, message = WRONG[case]
    wrong = changed(archive, tmp_path / "wrong.zip", **change)
    other = use_cache(tmp_path / "other", monkeypatch)
    with pytest.raises(GemError, match=message) as caught:
        run(import_steps(wrong))
    assert "napari-gem models export" in str(caught.value)
    assert not list(other.glob("*"))
    assert not list(tmp_path.glob("**/evil"))


@pytest.mark.contact("configurations")
@pytest.mark.parametrize("id_", ["evil", "mine"])
def test_an_archive_puts_nothing_else_on_the_list(
    id_: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on the list is loaded without asking, and may be the user's own."""
    monkeypatch.setenv("NAPARI_GEM_CONFIG", str(tmp_path / "own"))
    mine = {"id": "mine", "name": "Mine", "weights": "hf-hub:my/own"}
    add_own(mine)
    entry = {"id": id_, "name": "Evil", "weights": "hf-hub:evil/code"}
    planted = changed(archive, tmp_path / "planted.zip", manifest={"entry": entry})
    use_cache(tmp_path / "other", monkeypatch)
    run(import_steps(planted))
    assert read_own() == (mine,)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path, cache: Path) -> None:
    os.mkfifo(tmp_path / "x.zip")
    with pytest.raises(GemError, match="it is no file"):
        run(import_steps(tmp_path / "x.zip"))


@pytest.mark.contact("damaged files")
def test_damaged_bytes_end_in_a_sentence(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cache(tmp_path / "other", monkeypatch)
    whole, path = archive.read_bytes(), tmp_path / "x.zip"
    chance = random.Random(1)
    for _ in range(100):
        content = bytearray(whole)
        for _ in range(3):
            content[-chance.randrange(1, 600)] = chance.randrange(256)
        path.write_bytes(content)
        with suppress(GemError):  # some of it matters to nobody
            run(import_steps(path))


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + bytes(99)])
def test_other_files_are_refused(content: bytes, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(GemError, match="cannot be imported"):
        run(import_steps(tmp_path / "x.zip"))
    with pytest.raises(GemError, match="cannot be imported"):
        run(import_steps(tmp_path / "none.zip"))


def test_a_cut_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    content = archive.read_bytes()
    rng = np.random.default_rng(0)
    for end in rng.integers(0, len(content), 5):
        (tmp_path / "cut.zip").write_bytes(content[:end])
        with pytest.raises(GemError, match="cannot be imported"):
            run(import_steps(tmp_path / "cut.zip"))


def test_a_full_disk_is_told_before(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cache(tmp_path / "other", monkeypatch)
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(GemError, match=r"0 MB are free\. Make room"):
        run(import_steps(archive))


# --- removing


def test_what_is_removed_is_the_model_alone(card: ModelCard, cache: Path) -> None:
    folder = cache / "models--tiny--model"
    (folder / "blobs/begun.incomplete").write_bytes(b"x" * 100)
    source = weight_source(card)
    size = source.cached_bytes()
    assert size == sum(file.path.stat().st_size for file in source.cached_files())
    assert source.remove() == size
    assert not is_available(card)
    # what another program wanted of it stays
    left = {path.name for path in folder.glob("snapshots/*/*")}
    assert left == {"README.md"}
    assert (folder / f"snapshots/{COMMIT}/README.md").read_bytes() == b"# tiny"
    assert weight_source(card).remove() == 0
    (folder / f"snapshots/{COMMIT}/README.md").unlink()
    weight_source(card).remove()
    assert not folder.exists()


def test_models_of_one_repository_are_removed_apart(cache: Path) -> None:
    names = ["first.pt", "second.pt"]
    fill(cache, "some/pair", {name: name.encode() for name in names})
    first, second = (find_model(name) for name in TWO)
    assert is_available(first)
    assert is_available(second)
    assert weight_source(first).remove() == len(names[0])
    assert not is_available(first)
    assert is_available(second)
    assert weight_source(second).remove() == len(names[1])
    assert list(cache.iterdir()) == []


def test_a_blob_that_two_snapshots_share_is_freed_once(cache: Path) -> None:
    card = find_model(TWO[0])
    name = "first.pt"
    folder = fill(cache, "some/pair", {name: b"12345"})
    (blob,) = folder.glob("blobs/*")
    (folder / "snapshots" / ("a" * 40)).mkdir()
    (folder / "snapshots" / ("a" * 40) / name).symlink_to(blob)
    assert weight_source(card).remove() == 5
    assert not folder.exists()


@pytest.mark.contact("leftovers")
@pytest.mark.parametrize("linked", [False, True])
def test_a_model_whose_weights_are_in_use_stays_whole(
    card: ModelCard, cache: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    folder = cache / "models--tiny--model"
    files = [file.path for file in weight_source(card).cached_files()]
    if not linked:  # as on Windows
        for path in folder.glob("snapshots/*/*"):
            content = path.read_bytes()
            path.unlink()
            path.write_bytes(content)
    largest = max(files, key=lambda path: path.stat().st_size).resolve()
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == largest:
            raise PermissionError(13, "used by another program")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(GemError, match="Close what uses it"):
        weight_source(card).remove()
    assert is_available(card)
    assert all(path.stat().st_size for path in files)
    monkeypatch.undo()
