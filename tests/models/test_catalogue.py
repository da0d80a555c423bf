"""Every entry of the catalogue: fields, configuration and full-size towers."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch

import napari_gem
from napari_gem.backbones import check_tower
from napari_gem.backbones.open_clip_import import import_open_clip
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import EncodeParameters, GemParameters, ScoreParameters
from napari_gem.models.architectures import (
    activation_of,
    configuration,
    open_clip_architectures,
)
from napari_gem.models.card import ModelCard
from napari_gem.models.catalogue import (
    DOMAINS,
    group_models,
    is_own,
    list_models,
    make_card,
    own_errors,
    patch_size,
)
from napari_gem.models.find import find_model, is_available
from napari_gem.models.own_list import add_own, forget_own, own_path, read_own
from napari_gem.models.weight_sources import weight_source
from napari_gem.prompts import word_lists
from napari_gem.prompts.word_lists import (
    list_templates,
    read_background,
    read_templates,
)
from tests.backbones import full_size
from tests.tiny import PATCH, write_tiny_model

CATALOGUE = tomllib.loads(
    (Path(napari_gem.__file__).parent / "models" / "models.toml").read_text(
        encoding="utf-8"
    )
)
NEEDED = ("id", "name", "good_for", "size", "licence")
NEEDED_OF_THE_HUB = ("source", "revision", "activation", "context_length", "citation")
PLAIN = ("general", "demonstration")
OWN = ("bare", "embedded", "microscopy")
"""Lists that we wrote."""
CARDS = [card for card in list_models() if card.id != "embedded"]


def by_id(card: ModelCard) -> str:
    return card.id


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_GEM_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


def fields(record: type) -> set[str]:
    return {field.name for field in dataclasses.fields(record)}


# --- schema


@pytest.mark.parametrize("entry", CATALOGUE["model"], ids=lambda entry: entry["id"])
def test_an_entry_is_whole(entry: dict[str, Any]) -> None:
    needed = NEEDED if entry["id"] == "embedded" else NEEDED + NEEDED_OF_THE_HUB
    assert not [name for name in needed if name not in entry]
    assert entry["good_for"]
    assert entry["licence"]
    assert ("mean" in entry) == ("std" in entry)
    assert entry.get("domain", "general") in DOMAINS
    assert re.fullmatch(r"([0-9a-f]{40})?", entry.get("revision", ""))
    if entry["id"] != "embedded":
        web = entry.get("weights", "").startswith("https://")
        assert web == ("sha256" in entry)
        page = "https://" if web else "https://huggingface.co/"
        assert entry["source"].startswith(page)
        assert entry["citation"]
        assert entry["size"] > 1e8


def test_no_field_is_misspelt() -> None:
    layers = [CATALOGUE["defaults"], CATALOGUE["large"], *CATALOGUE["model"]]
    for layer in layers:
        encode = layer.get("encode", {})
        assert layer.keys() <= fields(ModelCard)
        assert encode.keys() <= fields(EncodeParameters)
        assert encode.get("gem", {}).keys() <= fields(GemParameters)
        assert layer.get("score", {}).keys() <= fields(ScoreParameters)
    with pytest.raises(GemError, match="a field 'licens', which no model has"):
        make_card("x", "X", licens="MIT")
    with pytest.raises(GemError, match="activation"):
        make_card("x", "X", activation="ReLU")


def test_ids_and_names_are_unique() -> None:
    for name in ("id", "name"):
        values = [getattr(card, name).casefold() for card in list_models()]
        assert len(values) == len(set(values))


@pytest.mark.parametrize("card", CARDS, ids=by_id)
def test_a_card_tells_what_can_be_built(card: ModelCard) -> None:
    stated = configuration(card)
    assert stated is not None
    check_tower(card.name, stated)
    assert card.score.background
    assert card.score.templates
    assert card.context_length == stated["text_cfg"].get("context_length", 77)
    own = card.weights.startswith("hf-hub:") and card.weights.count("/") == 1
    assert own or (card.activation and card.mean and card.std)
    assert weight_source(card).remote_files()
    name = card.architecture
    assert card.encode.gem.residual == (not re.search("-[LHg]-", name))


@pytest.mark.parametrize(
    "card", [c for c in CARDS if c.weights.startswith("open_clip:")], ids=by_id
)
def test_a_tag_agrees_with_open_clip(card: ModelCard) -> None:
    tag = card.weights.removeprefix("open_clip:")
    stated = import_open_clip().get_pretrained_cfg(card.architecture, tag)
    assert card.mean == tuple(stated["mean"])
    assert card.std == tuple(stated["std"])
    assert (card.activation == "QuickGELU") == stated.get("quick_gelu", False)
    assert card.activation == activation_of(card.architecture)
    assert stated["hf_hub"] == f"{weight_source(card).remote_files()[0].repository}/"


def test_carried_architectures_are_those_that_open_clip_lacks() -> None:
    carried = CATALOGUE["architecture"]
    assert carried
    assert not carried.keys() & open_clip_architectures().keys()
    assert carried.keys() <= {card.architecture for card in CARDS}


# --- full size, without memory


@cache
def built(architecture: str, gem: GemParameters) -> tuple[Any, ...]:
    """Patch, image and channels of an architecture that gave features by GEM."""
    backbone = full_size.build(full_size.build_tower(architecture))
    side = backbone.patch_size
    empty = torch.empty(1, 3, 3 * side, 2 * side, device="meta")
    features = backbone.encode_patches(empty, gem)
    assert features.patches.shape == (1, 3, 2, backbone.channels)
    return backbone.patch_size, backbone.image_size, backbone.channels


@cache
def weights_size(architecture: str) -> int | None:
    """Bytes of all weights in full precision; None if the hub has the text tower."""
    stated = full_size.config(architecture)
    if "hf_model_name" in stated["text_cfg"]:
        return None
    build = import_open_clip().model._build_text_tower
    with torch.device("meta"):
        text = build(stated["embed_dim"], stated["text_cfg"])
    towers = (full_size.build_tower(architecture), text)
    return sum(p.numel() * 4 for tower in towers for p in tower.parameters())


@pytest.mark.parametrize("card", CARDS, ids=by_id)
def test_a_model_is_built_from_what_the_catalogue_says(card: ModelCard) -> None:
    assert configuration(card) == full_size.config(card.architecture)
    backbone = built(card.architecture, card.encode.gem)
    assert backbone == full_size.SHAPES[card.architecture]
    assert patch_size(card) == backbone[0]
    size = weights_size(card.architecture)
    assert size is None or card.size == pytest.approx(size, rel=0.01)


def test_patches_of_models_outside_the_catalogue(tmp_path: Path) -> None:
    assert patch_size(find_model("embedded")) == 8
    assert patch_size(find_model("ViT-L-14/laion2b_s32b_b82k")) == 14
    tiny = find_model(str(write_tiny_model(tmp_path / "tiny")))
    assert patch_size(tiny) == PATCH
    (tmp_path / "tiny" / "open_clip_config.json").write_text("{}")
    assert patch_size(tiny) is None
    assert patch_size(find_model("hf-hub:nobody/unknown")) is None


# --- the user's own models


def own(path: Path, **fields: Any) -> dict[str, Any]:
    entry = {"id": "mine", "name": "Mine", "architecture": "ViT-B-32"}
    return entry | {"weights": f"file:{path}", "size": 0} | fields


def test_own_models_are_added_replaced_and_forgotten(tmp_path: Path) -> None:
    assert read_own() == ()
    add_own(own(tmp_path / "a.pt", domain="my domain"))
    add_own(own(tmp_path / "b.pt") | {"id": "other"})
    assert [card.id for card in list_models()[-2:]] == ["mine", "other"]
    assert list(group_models())[-1] == "my domain"
    add_own(own(tmp_path / "c.pt"))
    assert [entry["id"] for entry in read_own()] == ["other", "mine"]
    assert list_models()[-1].weights == f"file:{tmp_path / 'c.pt'}"
    assert forget_own("mine")
    assert not forget_own("mine")
    assert list_models()[-1].id == "other"


@pytest.mark.contact("remembered state")
def test_an_own_catalogue_that_an_editor_of_windows_saved(tmp_path: Path) -> None:
    card = add_own(own(tmp_path / "c.pt"))
    text = own_path().read_text(encoding="utf-8")
    own_path().write_text(text + " ", encoding="utf-8-sig")
    assert not own_errors()
    assert list_models()[-1].id == "mine", card


@pytest.mark.contact("remembered state")
@pytest.mark.parametrize(
    "content", ["no toml", "model = 3", "[model]\nid = 3", f"model = {'[' * 9999}"]
)
def test_a_damaged_own_catalogue_is_left_alone(content: str, own_folder: Path) -> None:
    own_folder.mkdir()
    own_path().write_text(content)
    assert list_models() == (list_models()[0], *CARDS)
    assert [str(own_path()) in sentence for sentence in own_errors()] == [True]
    assert not is_own(CARDS[0])
    with pytest.raises(GemError, match="cannot be read"):
        add_own(own(own_folder / "a.pt"))
    assert own_path().read_text() == content


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"licens": "MIT"}, "'licens'"),
        ({"weights": 3}, "wrong kind"),
        ({"encode": 3}, "wrong kind"),
        ({"encode": {"gem": 3}}, "wrong kind"),
        ({"score": {"templates": 3}}, ""),
        ({"score": {"templates": "nonsense"}}, "nonsense"),
        ({"size": "large"}, "size"),
        ({"id": CARDS[0].id}, "two models"),
        ({"id": "other"}, "two models"),
    ],
)
def test_a_wrong_entry_is_told_and_leaves_the_others(
    tmp_path: Path, own_folder: Path, wrong: dict[str, Any], message: str
) -> None:
    entries = [own(tmp_path / "a.pt"), own(tmp_path / "b.pt", id="other")]
    entries.append(own(tmp_path / "c.pt", id="third") | wrong)
    own_folder.mkdir()
    own_path().write_text(tomli_w.dumps({"model": entries}))
    assert [card.id for card in list_models()[-2:]] == ["mine", "other"]
    (sentence,) = own_errors()
    assert message in sentence
    assert str(own_path()) in sentence


@pytest.mark.contact("remembered state")
@pytest.mark.parametrize(
    "entry",
    [
        'id = "x"',
        "id = 1\nname = 'x'",
        "id = 'x'\nname = 'x'\nweights = 'hf-hub:a--b/c d'",
        "id = 'x'\nname = 'x'\nweights = 'hf-hub:noslash'",
        "id = 'x'\nname = 'x'\nweights = 'hf-hub:a/../../b'",
        "id = 'hf-hub:a/b.git'\nname = 'x'",
        "id = 'x'\nname = 'x'\nweights = 'package:../../etc'",
        "id = 'x'\nname = 'x'\nweights = \"file:\\u0000\"",
        f"id = 'x'\nname = 'x'\nweights = 'file:/{'a' * 5000}'",
        f"id = 'x'\nname = 'x'\nweights = 'folder:{'a/' * 5000}'",
        "id = 'x'\nname = 'x'\nsize = 2000-01-01",
        "id = 'x'\nname = 'x'\nencode = {gem = {depth = nan}}",
        f"id = 'x'\nname = 'x'\nsize = {'9' * 300}",
        "id = 'x'\nname = 'x'\nscore = {templates = [[1]]}",
    ],
)
def test_one_bad_entry_is_left_out_and_nothing_that_lists_raises(
    entry: str, own_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_folder.mkdir()
    good = f"[[model]]\n{tomli_w.dumps(own(tmp_path / 'a.pt', id='good'))}"
    own_path().write_text(f"[[model]]\n{entry}\n{good}")
    ids = [card.id for card in list_models()]
    assert ids[-1] == "good"
    for card in list_models():
        assert is_available(card) in (True, False)
        weight_source(card).cached_files()
        patch_size(card)
    if len(ids) == len(CARDS) + 2:
        assert str(own_path()) in " ".join(own_errors())
    else:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with suppress(GemError):  # a sentence, and nothing else
            weight_source(find_model(ids[-2])).describe()
    add_own(own(tmp_path / "b.pt", id="another"))
    assert entry.splitlines()[0].partition(" = ")[2].strip("\"'") in (
        own_path().read_text()
    )


def test_an_own_catalogue_that_cannot_be_written_is_told(own_folder: Path) -> None:
    own_folder.write_text("a file where the folder should be")
    with pytest.raises(GemError, match=r"cannot be (read|written)"):
        add_own(own(own_folder / "a.pt"))


@pytest.mark.parametrize("card", [c for c in list_models() if c.domain not in PLAIN])
def test_a_model_of_a_domain_has_sentences_and_background_words_of_it(
    card: ModelCard,
) -> None:
    assert card.score.templates not in map(read_templates, ("openai-7", "openai-80"))
    assert card.score.background != read_background("general")
    photographs = {"sky", "carpet", "curtain", "origami", "video game", "itap"}
    texts = " ".join((*card.score.templates, *card.score.background))
    assert not any(word in texts for word in photographs)


@pytest.mark.parametrize("name", list_templates())
def test_a_list_of_templates_says_where_it_is_from(name: str) -> None:
    path = Path(word_lists.__file__).parent / "templates" / f"{name}.toml"
    content = tomllib.loads(path.read_text("utf-8"))
    assert content["about"]
    assert content["source"] or name in OWN
