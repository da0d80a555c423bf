"""A model that brings code with it, through every entry: the code never runs."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from huggingface_hub import constants
from PIL import Image

from napari_gem.cluster.tasks import Encoder
from napari_gem.core.errors import GemError
from napari_gem.core.progress import run
from napari_gem.models.archive import export_steps, import_steps
from napari_gem.models.catalogue import list_models, make_card
from napari_gem.models.find import find_model, load_model
from napari_gem.models.own_list import add_own
from napari_gem.models.weight_sources import weight_source
from tests.hub import COMMIT, Hub, point_at, serve
from tests.planted import CLASS, ELSEWHERE, write_planted_model
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Call = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.contact("configurations")
pytest.importorskip("transformers")

NAME = "hf-hub:tiny/model"
TRUSTING = {"tokenizer_kwargs": {"trust_remote_code": True}}
USUAL = {"hf_tokenizer_name": "tiny/model"}
PLANTED: dict[str, tuple[dict[str, Any], str]] = {
    "told to trust": (USUAL | TRUSTING, CLASS),
    "not told": (USUAL, CLASS),
    "elsewhere": (USUAL | TRUSTING, ELSEWHERE),
}
CODE = "asks for code from elsewhere to be run"


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


@pytest.fixture(params=PLANTED)
def folder(request: pytest.FixtureRequest, tmp_path: Path, mark: Path) -> Path:
    return write_planted_model(tmp_path / "planted", mark, *PLANTED[request.param])


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub that has nothing until a test puts it there, and the cache of who asks."""
    with serve({}) as server, point_at(server.address, tmp_path / "cache"):
        yield server


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(path)
    return path


@pytest.fixture(autouse=True)
def own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_GEM_CONFIG", str(tmp_path / "config"))
    # what transformers would run is copied there first
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))


def put(folder: Path, cache: Path, repository: str = "tiny/model") -> None:
    """Lay a folder into the hub's cache as if it had been downloaded."""
    place = cache / f"models--{repository.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs/main").write_text(COMMIT)


def test_a_folder(
    folder: Path, image: Path, mark: Path, hub: Hub, call: Call, tmp_path: Path
) -> None:
    with pytest.raises(GemError, match=CODE):
        load_model(str(folder), device="cpu")
    command = ("segment", image, "-p", "a", "-o", tmp_path / "out", "-m", folder)
    status, _, said = call(*command)
    assert status != 0
    assert CODE in " ".join(said.split())
    assert not mark.exists()
    assert not hub.asked


def test_a_recipe_with_such_a_folder(
    folder: Path, image: Path, mark: Path, hub: Hub, call: Call, tmp_path: Path
) -> None:
    good = write_tiny_model(tmp_path / "good")
    out, again = tmp_path / "out", tmp_path / "again"
    assert call("segment", image, "-p", "a", "-o", out, "-m", good)[0] == 0
    recipe = json.loads((out / "recipe.json").read_text())
    (out / "recipe.json").write_text(json.dumps(recipe | {"model": str(folder)}))
    command = ("replay", out / "recipe.json", image, "-o", again)
    assert call(*command)[0] != 0  # nobody agreed to the model
    assert not mark.exists()
    status, _, said = call(*command, "--model", folder)
    assert status != 0
    assert CODE in " ".join(said.split())
    assert not mark.exists()
    assert not again.exists()
    assert not hub.asked


def test_a_repository_of_the_hub(folder: Path, mark: Path, hub: Hub) -> None:
    hub.files |= {path.name: path.read_bytes() for path in folder.iterdir()}
    card = find_model(NAME)
    for download in (False, True):
        with pytest.raises(GemError):
            load_model(card, device="cpu", download=download)
    with pytest.raises(GemError, match=CODE):
        load_model(card, device="cpu", download=True)
    assert not mark.exists()
    assert not any("evil" in line or "planted" in line for line in hub.asked)


def test_a_repository_that_says_so_itself_is_not_downloaded(
    mark: Path, hub: Hub, tmp_path: Path
) -> None:
    folder = write_planted_model(tmp_path / "planted", mark, USUAL | TRUSTING)
    hub.files |= {path.name: path.read_bytes() for path in folder.iterdir()}
    card = find_model(NAME)
    with pytest.raises(GemError, match=CODE):
        weight_source(card).describe()
    with pytest.raises(GemError, match=CODE):
        run(weight_source(card).fetch_steps())
    with pytest.raises(GemError, match=CODE):
        load_model(card, download=True)
    assert not any("safetensors" in line for line in hub.asked)


def test_a_repository_that_was_downloaded_before(
    folder: Path, mark: Path, hub: Hub, tmp_path: Path
) -> None:
    put(folder, tmp_path / "cache")
    with pytest.raises(GemError, match=CODE):
        load_model(NAME, device="cpu")
    with pytest.raises(GemError, match=CODE):
        load_model(NAME, device="cpu", download=True)
    assert not mark.exists()
    assert not hub.asked


def test_an_archive(
    folder: Path, mark: Path, hub: Hub, tmp_path: Path, monkeypatch: Any
) -> None:
    put(folder, tmp_path / "cache")
    archive, other = tmp_path / "a.gem-model.zip", tmp_path / "other"
    run(export_steps(find_model(NAME), archive))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(other))
    with pytest.raises(GemError, match=CODE), closing(import_steps(archive)) as steps:
        run(steps)
    assert not other.exists()
    assert not mark.exists()
    assert not hub.asked


def test_a_model_of_the_own_list(
    folder: Path, mark: Path, hub: Hub, tmp_path: Path
) -> None:
    put(folder, tmp_path / "cache")
    add_own({"id": "mine", "name": "Mine", "weights": f"folder:{folder}"})
    add_own({"id": "hub", "name": "Hub", "weights": NAME})
    assert {card.id for card in list_models()} >= {"mine", "hub"}
    for name in ("mine", "hub"):
        with pytest.raises(GemError, match=CODE):
            load_model(name, device="cpu")
    assert not mark.exists()
    assert not hub.asked


def test_a_worker_of_a_cluster(
    folder: Path, mark: Path, hub: Hub, monkeypatch: Any
) -> None:
    encoder = Encoder()
    monkeypatch.setattr(encoder, "_address", "tcp://here", raising=False)
    card = make_card("x", "X", weights=f"folder:{folder}")
    with pytest.raises(GemError, match=f"tcp://here.*{CODE}"):
        encoder._load(card, "float32")
    assert not mark.exists()
    assert not hub.asked


def test_a_text_tower(mark: Path, hub: Hub, tmp_path: Path) -> None:
    """`config.json` of the text tower may name code, too."""
    text = {"hf_model_name": "roberta-base", "hf_proj_type": "mlp"}
    folder = write_planted_model(tmp_path / "planted", mark, text)
    (folder / "tokenizer_config.json").unlink()
    tower = tmp_path / "tower"
    shutil.copytree(folder, tower)
    stated = {"model_type": "planted", "auto_map": {"AutoConfig": CLASS}}
    (tower / "config.json").write_text(json.dumps(stated))
    put(tower, tmp_path / "cache", "roberta-base")
    with pytest.raises(GemError, match=CODE):
        load_model(str(folder), device="cpu")
    assert not mark.exists()
    assert not hub.asked


@pytest.mark.parametrize("key", ["hf_model_name", "hf_tokenizer_name"])
@pytest.mark.parametrize(
    "name", ["evil/code", ".", "/tmp", "../x", "a/b/c", "hf-hub:a/b"]
)
def test_a_name_that_leads_elsewhere(
    key: str, name: str, mark: Path, hub: Hub, tmp_path: Path
) -> None:
    folder = write_planted_model(tmp_path / "planted", mark, {key: name})
    with pytest.raises(GemError):
        load_model(str(folder), device="cpu", download=True)
    assert not mark.exists()
    assert not hub.asked


def test_nothing_is_asked_while_a_model_is_built(
    hub: Hub, mark: Path, tmp_path: Path
) -> None:
    """All that is needed is here; a library that asked the hub would be seen."""
    transformers = pytest.importorskip("transformers")
    text = {
        "hf_model_name": "roberta-base",
        "hf_tokenizer_name": "roberta-base",
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": 8,
    }
    folder = write_planted_model(tmp_path / "model", mark, text)
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "BertTokenizer"}'
    )
    tower = tmp_path / "tower"
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    transformers.BertConfig(vocab_size=8, **small).save_pretrained(tower)
    put(tower, tmp_path / "cache", "roberta-base")
    fill_planted(folder, tower)
    model = load_model(str(folder), device="cpu")
    assert model.backbone.encode_texts(["a"]).shape == (1, 32)
    assert model.backbone.context_length == 8
    assert not mark.exists()
    assert not hub.asked


def fill_planted(folder: Path, tower: Path) -> None:
    """Write weights that fit the configuration."""
    from safetensors.torch import save_model

    from napari_gem.models.build import build_empty
    from napari_gem.models.configurations import check_model, read_file
    from napari_gem.models.configurations.staging import staged

    path = folder / "open_clip_config.json"
    stated = check_model(path.read_bytes(), "x")
    with staged(stated, read_file(tower / "config.json"), {}) as place:
        clip = build_empty(place, {})
    for parameter in clip.parameters():  # until now any numbers, or none
        parameter.data.fill_(0.5)
    save_model(clip, str(folder / "open_clip_model.safetensors"))
