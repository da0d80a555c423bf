from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path

import pytest

import napari_gem
from napari_gem import backbones
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import EncodeParameters, GemParameters, ScoreParameters
from napari_gem.models import find
from napari_gem.models.card import ModelCard
from napari_gem.models.catalogue import list_models
from napari_gem.models.find import find_model, is_available
from napari_gem.prompts import word_lists
from tests.tiny import CONFIG

PACKAGE = Path(napari_gem.__file__).parent


def fields(record: type) -> set[str]:
    return {field.name for field in dataclasses.fields(record)}


def test_the_embedded_model_comes_first_and_needs_no_download() -> None:
    first = list_models()[0]
    assert first.id == "embedded"
    assert first.size == 0
    assert first.encode.gem.temperature_scale > 1


def test_ids_are_unique() -> None:
    ids = [card.id for card in list_models()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("card", list_models(), ids=lambda card: card.id)
def test_a_card_tells_what_the_user_wants_to_know(card: ModelCard) -> None:
    assert card.name
    assert card.good_for
    assert card.licence
    assert card.size == 0 or card.source.startswith("https://")
    assert card.score.background
    assert all("{}" in template for template in card.score.templates)
    assert card.encode.overlap < card.encode.tile


def test_the_catalogue_has_no_misspelt_field() -> None:
    catalogue = tomllib.loads((PACKAGE / "models" / "models.toml").read_text())
    layers = [catalogue["defaults"], catalogue["large"], *catalogue["model"]]
    for layer in layers:
        encode = layer.get("encode", {})
        assert layer.keys() <= fields(ModelCard)
        assert encode.keys() <= fields(EncodeParameters)
        assert encode.get("gem", {}).keys() <= fields(GemParameters)
        assert layer.get("score", {}).keys() <= fields(ScoreParameters)


@pytest.mark.parametrize(
    ("typed", "id_", "architecture", "weights"),
    [
        ("embedded", "embedded", "", "package:embedded"),
        (" Embedded ", "embedded", "", "package:embedded"),
        (
            "ViT-B-16/openai",
            "ViT-B-16-quickgelu/openai",
            "ViT-B-16-quickgelu",
            "open_clip:openai",
        ),
        (
            "vit-b-16-quickgelu/OPENAI",
            "ViT-B-16-quickgelu/openai",
            "ViT-B-16-quickgelu",
            "open_clip:openai",
        ),
        (
            "ViT-L-14/laion2b_s32b_b82k",
            "ViT-L-14/laion2b_s32b_b82k",
            "ViT-L-14",
            "open_clip:laion2b_s32b_b82k",
        ),
        ("hf-hub:some.one/a-model", "hf-hub:some.one/a-model", "", None),
    ],
)
def test_names_become_cards(
    typed: str, id_: str, architecture: str, weights: str | None
) -> None:
    card = find_model(typed)
    assert card.id == id_
    assert card.architecture == architecture
    assert card.weights == (weights or typed)
    assert card.score.background


@pytest.mark.parametrize(
    "name",
    [
        "ViT-L-14-quickgelu/openai",
        "ViT-L-14/laion2b_s32b_b82k",
        "ViT-H-14/laion2b_s32b_b79k",
        "hf-hub:someone/microscopy-vit-L-14",
    ],
)
def test_large_models_start_from_zero(name: str) -> None:
    assert not find_model(name).encode.gem.residual
    assert find_model("ViT-B-16/openai").encode.gem.residual


def test_a_folder_becomes_a_card(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG}))
    card = find_model(str(tmp_path))
    assert card.id == str(tmp_path)
    assert card.weights == f"folder:{tmp_path}"
    assert card.name == tmp_path.name
    assert is_available(card)


def test_a_file_becomes_a_card(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    path.touch()
    card = find_model(str(path), "ViT-B-32")
    assert card.weights == f"file:{path}"
    assert card.architecture == "ViT-B-32"
    path.unlink()
    assert not is_available(card)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("enbedded", "Did you mean embedded"),
        ("", "no model ''"),
        ("ViT-B-16-quikgelu/openai", "Did you mean ViT-B-16-quickgelu/openai"),
        ("nonsense/openai", "no model 'nonsense/openai'"),
        ("hf-hub:nobody", "hf-hub:OWNER/REPOSITORY"),
        ("/no/such/place/at/all", "no file or folder '/no/such"),
    ],
)
def test_other_names_are_told_with_what_comes_near(typed: str, message: str) -> None:
    with pytest.raises(GemError, match=message):
        find_model(typed)


PATHS = (
    "/nothere/x.safetensors",
    "/nothere/folder",
    "~/nothere",
    "./nothere",
    "../nothere/x",
    "nothere.pt",
    "RN50/x.SAFETENSORS",
    "some/folder/here",
    "C:\\models\\x.bin",
    "d:/models/x",
    "models\\x",
)


@pytest.mark.parametrize("typed", PATHS)
def test_paths_that_are_not_there_are_told_as_such(typed: str) -> None:
    with pytest.raises(GemError, match="There is no file or folder") as caught:
        find_model(typed)
    assert f"'{typed}'" in str(caught.value)
    assert ".safetensors" in str(caught.value)
    assert "open_clip_config.json" in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("RN50/openai", r"tower of RN50 \(resnet\) has no attention.*ViT-B-16"),
        ("convnext_base_w/laion2b_s13b_b82k", r"\(convnext_base\) has no attention"),
        ("ViTamin-L/datacomp1b", r"\(vitamin_large_224\) has no attention"),
        ("MobileCLIP-S1/datacompdr", r"\(fastvit_mci1\) has no attention"),
    ],
)
def test_towers_that_cannot_be_read_are_refused(
    typed: str, message: str, tmp_path: Path
) -> None:
    architecture = typed.split("/")[0]
    with pytest.raises(GemError, match=message):
        find_model(typed)
    weights = tmp_path / "mine.pt"
    weights.touch()
    with pytest.raises(GemError, match=message):
        find_model(str(weights), architecture)
    config = {"model_cfg": find.open_clip_architectures()[architecture]}
    folder = tmp_path / architecture
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(GemError, match=message):
        find_model(str(folder))


def test_only_what_can_be_read_is_suggested() -> None:
    with pytest.raises(GemError) as caught:
        find_model("RN51/openai")
    assert "RN" not in str(caught.value).replace("RN51/openai", "")
    with pytest.raises(GemError, match="ViT-B-16-SigLIP/webli"):
        find_model("ViT-B-16-SigLP/webli")


@pytest.mark.parametrize(
    "name",
    ["ViT-B-32", "ViT-L-14-336-quickgelu", "ViT-H-14-CLIPA", "roberta-ViT-B-32"],
)
def test_native_towers_can_be_read(name: str) -> None:
    assert find_model(f"{name}/tag").architecture == name


def test_every_family_says_what_it_reads() -> None:
    folder = Path(backbones.__file__).parent
    families = [p for p in folder.glob("*.py") if "\nFAMILY = " in p.read_text()]
    assert len(backbones.readable()) == len(families) > 0


def test_a_family_makes_its_towers_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = {"timm_model_name": "vit_.*_siglip_.*"}
    monkeypatch.setattr(backbones, "readable", lambda: (reads,))
    assert find_model("ViT-B-16-SigLIP/webli").architecture == "ViT-B-16-SigLIP"
    with pytest.raises(GemError, match="not supported"):
        find_model("ViT-B-16/tag")


def test_a_folder_without_configuration_is_told(tmp_path: Path) -> None:
    with pytest.raises(GemError, match="holds no open_clip_config"):
        find_model(str(tmp_path))


def test_a_file_needs_an_architecture_of_open_clip(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    path.touch()
    with pytest.raises(GemError, match="Name its open_clip architecture"):
        find_model(str(path))
    with pytest.raises(GemError, match=r"Near it: .*ViT-B-16"):
        find_model(str(path), "ViT-B16")


def test_lists_of_words_are_found_by_their_file() -> None:
    assert "one" in word_lists.list_templates()
    assert word_lists.read_templates("one") == ("a photo of a {}.",)
    assert word_lists.read_background("general")
    with pytest.raises(GemError, match=r"no list of background 'nothing'.*general"):
        word_lists.read_background("nothing")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, path.stem)
        for kind in ("templates", "background")
        for path in sorted((PACKAGE / "prompts" / kind).glob("*.toml"))
    ],
)
def test_lists_are_whole(kind: str, name: str) -> None:
    path = PACKAGE / "prompts" / kind / f"{name}.toml"
    content = tomllib.loads(path.read_text())
    assert content.keys() == {"about", "source", "lines"}
    assert content["about"]
    assert len(content["lines"]) == len(set(content["lines"])) > 0
    assert all(line == line.strip() for line in content["lines"])
    assert all(("{}" in line) == (kind == "templates") for line in content["lines"])
