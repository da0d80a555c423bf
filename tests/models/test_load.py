from __future__ import annotations

import argparse
import json
import pickle
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file, save_model

from napari_gem import backbones
from napari_gem.backbones.open_clip_import import import_open_clip
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import GemParameters
from napari_gem.core.progress import Progress
from napari_gem.models import architectures, find, load
from napari_gem.models.card import DownloadNeeded, ModelCard
from napari_gem.models.catalogue import list_models, make_card
from napari_gem.models.download.hub import HubFiles
from napari_gem.models.find import is_available, load_model
from napari_gem.models.model import Model
from napari_gem.models.weight_sources import weight_source
from napari_gem.models.weights import hash_file, read_weights, shapes
from tests import peak
from tests.hub import point_at, serve
from tests.tiny import CONFIG, PATCH, write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    Weights = dict[str, torch.Tensor]

ARCHITECTURE = "tiny-for-tests"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def weights(folder: Path) -> Weights:
    return load_file(folder / "open_clip_model.safetensors")


@pytest.fixture
def architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an open_clip architecture with the tiny model's shape."""
    path = tmp_path / f"{ARCHITECTURE}.json"
    path.write_text(json.dumps(CONFIG))
    open_clip = import_open_clip()
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", [])
    monkeypatch.setattr(
        open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS)
    )
    open_clip.add_model_config(path)
    known = architectures.open_clip_architectures() | {ARCHITECTURE: CONFIG}
    for module in (architectures, find):
        monkeypatch.setattr(module, "open_clip_architectures", lambda: known)
    return ARCHITECTURE


def see(model: Model) -> torch.Tensor:
    """Whole-image embedding of a fixed picture."""
    picture = torch.linspace(0, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    with torch.inference_mode():
        return model.backbone.encode_patches(picture, GemParameters()).image


def test_a_folder_loads(folder: Path) -> None:
    seen: list[Progress] = []
    model = load_model(str(folder), device="cpu", progress=seen.append)
    assert (model.device, model.precision) == ("cpu", "float32")
    assert model.card.id == str(folder)
    assert model.revision == hash_file(folder / "open_clip_model.safetensors")
    assert len(model.revision) == 16
    assert model.backbone.patch_size == PATCH
    assert [step.done for step in seen] == [0, 1, 2, 3]
    assert bool(torch.isfinite(see(model)).all())


def test_the_model_is_the_one_in_the_file(folder: Path, tmp_path: Path) -> None:
    first = see(load_model(str(folder), device="cpu"))
    again = see(load_model(str(folder), device="cpu"))
    other = see(load_model(str(write_tiny_model(tmp_path, seed=1)), device="cpu"))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=0.1)


FAMILIES = {
    "CoCa": {
        "model_cfg": {
            **CONFIG,
            "custom_text": True,
            "multimodal_cfg": CONFIG["text_cfg"] | {"layers": 1},
            "text_cfg": CONFIG["text_cfg"] | {"embed_cls": True, "output_tokens": True},
            "vision_cfg": CONFIG["vision_cfg"]
            | {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
        }
    },
    "BiomedCLIP": {
        "model_cfg": {
            **CONFIG,
            "vision_cfg": {
                "timm_model_name": "vit_tiny_patch16_224",
                "timm_pool": "",
                "timm_proj": "linear",
                "image_size": 224,
            },
        }
    },
    # its tables of rotations are in no file
    "Perception Encoder": {
        "model_cfg": {
            **CONFIG,
            "vision_cfg": {
                "timm_model_name": "vit_pe_core_tiny_patch16_384",
                "timm_pool": "map",
                "timm_proj": None,
                "image_size": 384,
            },
        }
    },
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_each_family_loads(family: str, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(
        json.dumps(FAMILIES[family] | {"preprocess_cfg": {}})
    )
    place = f"local-dir:{tmp_path}"
    open_clip = import_open_clip()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        clip = open_clip.create_model(place, load_weights=False)
    save_model(clip, str(tmp_path / "open_clip_model.safetensors"))
    clip.eval().requires_grad_(False)
    model = load_model(str(tmp_path), device="cpu")
    own = (model.backbone.mean, model.backbone.std)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in own)
    side = model.backbone.image_size
    picture = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(3))
    expected = clip.encode_image((picture - mean) / std, normalize=False)
    actual = model.backbone.encode_patches(picture).image
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    words = clip.encode_text(open_clip.get_tokenizer(place)(["a cat"]))
    torch.testing.assert_close(model.backbone.encode_texts(["a cat"]), words)


@pytest.mark.skipif(
    not is_available(list_models()[0]), reason="the embedded model is not built"
)
def test_the_embedded_model_loads() -> None:
    model = load_model(device="cpu")
    assert model.card.id == "embedded"
    score = model.card.score
    words = {part for word in score.background for part in word.split()}
    words |= {part for line in score.templates for part in line.split()} - {"{}"}
    assert words <= model.card.known_words


WRAPPED: dict[str, Callable[[Weights], object]] = {
    "bare": lambda weights: weights,
    "state_dict": lambda weights: {"epoch": 3, "name": "x", "state_dict": weights},
    "module": lambda weights: {
        "state_dict": {f"module.{name}": value for name, value in weights.items()}
    },
    "half": lambda weights: {name: value.half() for name, value in weights.items()},
}


@pytest.mark.parametrize("case", WRAPPED)
def test_files_load(
    case: str, weights: Weights, folder: Path, tmp_path: Path, architecture: str
) -> None:
    path = tmp_path / "mine.pt"
    torch.save(WRAPPED[case](weights), path)
    model = load_model(str(path), architecture=architecture, device="cpu")
    assert model.precision == "float32"
    expected = see(load_model(str(folder), device="cpu"))
    assert torch.nn.functional.cosine_similarity(see(model), expected) > 0.999


def test_a_card_knows_activation_and_normalisation(
    folder: Path, architecture: str
) -> None:
    weights = f"file:{folder / 'open_clip_model.safetensors'}"
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    plain = make_card("x", "X", architecture=architecture, weights=weights)
    quick = replace(plain, activation="QuickGELU", mean=mean, std=std)
    first, second = (load_model(card, device="cpu") for card in (plain, quick))
    assert (second.backbone.mean, second.backbone.std) == (mean, std)
    assert first.backbone.mean != mean
    kinds = [
        {type(m).__name__ for m in model.backbone._tower.modules()}
        for model in (first, second)
    ]
    assert "GELU" in kinds[0]
    assert "QuickGELU" not in kinds[0]
    assert "QuickGELU" in kinds[1]


@pytest.mark.parametrize(
    ("name", "mean"),
    [
        ("PE-Core-B-16", (0.5,) * 3),
        ("ViT-B-16-SigLIP2", (0.5,) * 3),
        ("ViT-B-16", (0.48145466, 0.4578275, 0.40821073)),
        ("ViT-L-14", None),  # OpenAI's and LAION's differ
        ("no such one", None),
    ],
)
def test_the_usual_colours_of_an_architecture(name: str, mean: Any) -> None:
    card = make_card("x", "X", architecture=name, weights="file:x.pt")
    options = weight_source(card).build_options()
    colours = options.get("force_preprocess_cfg", {})
    assert colours.get("mean") == mean


def test_a_file_is_normalised_as_others_of_its_architecture(
    folder: Path, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    table = {architecture: {"mine": usual}}
    monkeypatch.setattr(import_open_clip().pretrained, "_PRETRAINED", table)
    path = str(folder / "open_clip_model.safetensors")
    model = load_model(path, architecture=architecture, device="cpu")
    assert (model.backbone.mean, model.backbone.std) == ((0.5,) * 3, (0.25,) * 3)
    colours = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    model = load_model(replace(model.card, **colours), device="cpu")
    assert model.backbone.mean == colours["mean"]


def test_a_single_file_of_the_hub_loads(
    weights: Weights, folder: Path, architecture: str, tmp_path: Path
) -> None:
    module = {f"module.{name}": value for name, value in weights.items()}
    torch.save({"state_dict": module}, tmp_path / "mine.pt")
    files = {"ckpt/mine.pt": (tmp_path / "mine.pt").read_bytes()}
    place = "hf-hub:tiny/model/ckpt/mine.pt"
    card = make_card("x", "X", architecture=architecture, weights=place, size=9)
    with serve(files) as hub, point_at(hub.address, tmp_path / "cache"):
        assert not find.is_available(card)
        with pytest.raises(DownloadNeeded):
            load_model(card, device="cpu")
        model = load_model(card, device="cpu", download=True)
        assert find.is_available(card)
    expected = see(load_model(str(folder), device="cpu"))
    assert torch.nn.functional.cosine_similarity(see(model), expected) > 0.999


def test_a_tokenizer_of_the_hub_is_asked_for(
    folder: Path, architecture: str, tmp_path: Path
) -> None:
    known = import_open_clip().factory._MODEL_CONFIGS
    text = CONFIG["text_cfg"] | {"hf_tokenizer_name": "tiny/model"}
    known[architecture] = {**CONFIG, "text_cfg": text}
    path = str(folder / "open_clip_model.safetensors")
    files = {"vocab.txt": b"[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\na\n"}
    files["tokenizer_config.json"] = b'{"tokenizer_class": "BertTokenizer"}'
    files["config.json"] = b'{"model_type": "bert"}'
    with serve(files) as hub, point_at(hub.address, tmp_path / "cache"):
        with pytest.raises(DownloadNeeded) as caught:
            load_model(path, architecture=architecture, device="cpu")
        assert caught.value.card.size == sum(map(len, files.values())) - 22
        assert not any("resolve" in line for line in hub.asked)
        load_model(path, architecture=architecture, device="cpu", download=True)
        constants.HF_HUB_OFFLINE = True  # point_at sets it back
        load_model(path, architecture=architecture, device="cpu")


def test_a_safetensors_file_loads(folder: Path, architecture: str) -> None:
    path = folder / "open_clip_model.safetensors"
    model = load_model(str(path), architecture=architecture, device="cpu")
    assert model.revision == hash_file(path)


def damaged(weights: Weights, path: Path, suffix: str) -> bytes:
    whole = path.with_name(f"whole{suffix}")
    if suffix == ".pt":
        torch.save(weights, whole)
    else:
        save_file(weights, whole)
    return whole.read_bytes()


NO_WEIGHTS = "damaged or no weights file|is no weights file|is empty|git-lfs|web page"

UNREADABLE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "cut pt": (".pt", lambda whole: whole[: len(whole) // 2]),
    "cut safetensors": (".safetensors", lambda whole: whole[: len(whole) // 2]),
    "empty pt": (".pt", lambda _: b""),
    "empty safetensors": (".safetensors", lambda _: b""),
    "text": (".pt", lambda _: b"this is no checkpoint" * 20),
    "web page": (".pt", lambda _: b"<html><body>404</body></html>" * 20),
    "pointer": (".safetensors", lambda _: b"version https://git-lfs.github.com/sp"),
    "pickle": (".pt", lambda _: pickle.dumps({"a": print})),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_damaged_files_are_told(
    case: str, weights: Weights, tmp_path: Path, architecture: str
) -> None:
    suffix, change = UNREADABLE[case]
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(change(damaged(weights, path, suffix)))
    with pytest.raises(GemError, match=NO_WEIGHTS) as caught:
        load_model(str(path), architecture=architecture)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"args": argparse.Namespace(rate=1)}, "more than weights.*safetensors"),
        (torch.nn.Linear(2, 2), "more than weights.*safetensors"),
        ({}, "no table of named weights"),
        (torch.zeros(3), "no table of named weights"),
    ],
)
def test_other_content_is_refused(
    content: object, message: str, tmp_path: Path, architecture: str
) -> None:
    path = tmp_path / "mine.pt"
    torch.save(content, path)
    with pytest.raises(GemError, match=message):
        load_model(str(path), architecture=architecture)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_an_archive_of_code_is_refused(tmp_path: Path, architecture: str) -> None:
    path = tmp_path / "mine.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    with pytest.raises(GemError, match="more than weights"):
        load_model(str(path), architecture=architecture)


def test_another_architecture_is_told_by_its_weights(
    folder: Path, weights: Weights, tmp_path: Path, architecture: str
) -> None:
    path = str(folder / "open_clip_model.safetensors")
    with pytest.raises(GemError, match=r"does not fit ViT-S-32-alt.*missing: .* more"):
        load_model(path, architecture="ViT-S-32-alt")
    changed = {**weights, "extra": torch.zeros(1), "ln_final.bias": torch.zeros(7)}
    del changed["visual.proj"]
    save_file(changed, tmp_path / "changed.safetensors")
    with pytest.raises(GemError) as caught:
        load_model(str(tmp_path / "changed.safetensors"), architecture=architecture)
    assert "missing: visual.proj; not expected: extra;" in str(caught.value)
    assert "ln_final.bias (7 instead of 32)" in str(caught.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("[", "no configuration of open_clip"),
        ("[1]", "no configuration of open_clip"),
        ("{}", "no configuration of open_clip"),
        ('{"model_cfg": {"vision_cfg": {}}}', "no configuration of open_clip"),
        (json.dumps({"model_cfg": {**CONFIG, "wrong": 1}}), "holds 'model_cfg.wrong'"),
        (
            json.dumps(
                {"model_cfg": {**CONFIG, "text_cfg": {"hf_model_name": "roberta-base"}}}
            ),
            r'pip install "napari-gem\[hf\]"',
        ),
    ],
)
def test_wrong_configurations_are_told(
    config: str, message: str, folder: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(backbones, "find_spec", lambda _: None)
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "open_clip_config.json").write_text(config)
    with pytest.raises(GemError, match=message):
        load_model(str(copy))


def test_weights_of_a_folder_are_found(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    named = copy / "open_clip_model.safetensors"
    other = copy / "other.safetensors"
    shutil.copy(write_tiny_model(tmp_path / "b", 1) / named.name, other)
    assert load_model(str(copy)).revision == hash_file(named)
    named.unlink()
    assert load_model(str(copy)).revision == hash_file(other)
    shutil.copy(other, copy / "third.safetensors")
    with pytest.raises(
        GemError, match=r"it holds other.safetensors, third.safetensors"
    ):
        load_model(str(copy))
    for path in copy.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(GemError, match="it holds none"):
        load_model(str(copy))


def test_mean_and_std_are_those_of_the_configuration(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert given(monkeypatch, str(folder))[1:] == (
        (0.48, 0.46, 0.41),
        (0.27, 0.26, 0.28),
    )


def given(patch: pytest.MonkeyPatch, name: str) -> tuple[Any, Any, Any]:
    """Model, mean and deviation that the backbone is built from."""
    got: list[tuple[Any, Any, Any]] = []
    build = load.build_backbone

    def spy(clip: Any, tokenizer: Any, mean: Any, std: Any) -> Any:
        got.append((clip, tuple(mean), tuple(std)))
        return build(clip, tokenizer, mean, std)

    patch.setattr(load, "build_backbone", spy)
    load_model(name, device="cpu", download=True)
    return got[0]


@pytest.mark.parametrize(
    ("stated", "activation"), [({"quick_gelu": True}, "QuickGELU"), ({}, "GELU")]
)
def test_a_tag_decides_activation_and_colours(
    stated: dict[str, bool],
    activation: str,
    folder: Path,
    architecture: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tag = {"hf_hub": "someone/model/", "mean": (0.5,) * 3, "std": (0.25,) * 3, **stated}
    table = {architecture: {"mine": tag}}
    monkeypatch.setattr(import_open_clip().pretrained, "_PRETRAINED", table)

    def fetch(files: HubFiles) -> Generator[Any]:
        assert files.repository == "someone/model"
        yield Progress("Downloading")
        return (folder / "open_clip_model.safetensors",)

    monkeypatch.setattr(HubFiles, "look_up", lambda _, card: card)
    monkeypatch.setattr(HubFiles, "fetch_steps", fetch)
    clip, mean, std = given(monkeypatch, f"{architecture}/mine")
    kinds = {type(module).__name__ for module in clip.modules()}
    assert kinds & {"GELU", "QuickGELU"} == {activation}
    assert (mean, std) == ((0.5,) * 3, (0.25,) * 3)
    assert not clip.training
    assert not any(parameter.requires_grad for parameter in clip.parameters())


@pytest.mark.parametrize(
    "card",
    [card for card in list_models() if card.weights.startswith("open_clip:")],
    ids=lambda card: card.id,
)
def test_the_catalogue_agrees_with_open_clip(card: ModelCard) -> None:
    open_clip = import_open_clip()
    tag = open_clip.get_pretrained_cfg(card.architecture, card.id.split("/")[1])
    assert card.source == f"https://huggingface.co/{tag['hf_hub']}".rstrip("/")
    config = open_clip.get_model_config(card.architecture)
    assert config.get("quick_gelu", False) == tag.get("quick_gelu", False)


def test_an_unknown_tag_is_told_with_others() -> None:
    with pytest.raises(GemError, match=r"no weights 'opnai' for ViT-B-16.*openai"):
        load_model("ViT-B-16/opnai")


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "", "cuda:x"])
def test_a_device_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(GemError, match=f"no device '{name}'.*cpu"):
        load.choose_device(name)


def test_cuda_where_there_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(GemError, match="no device 'cuda'"):
        load.choose_device("cuda")


def test_the_best_device_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert str(load.choose_device("auto")) == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert str(load.choose_device("auto")) == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert str(load.choose_device("auto")) == "cuda:0"
    assert str(load.choose_device("cuda:1")) == "cuda:1"


def test_precision() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda:0")
    assert load.choose_precision("auto", cpu) == "float32"
    assert load.choose_precision("auto", cuda) == "float16"
    assert load.choose_precision("bfloat16", cpu) == "bfloat16"
    with pytest.raises(GemError, match="no precision 'double'"):
        load.choose_precision("double", cpu)


def test_a_precision_that_the_device_lacks_is_told() -> None:
    # nothing can be computed on this device
    with pytest.raises(GemError, match="cannot compute with bfloat16"):
        load.choose_precision("bfloat16", torch.device("meta"))


@pytest.mark.parametrize("exists", [False, True])
def test_a_processor_without_float16_is_told(
    exists: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "machine", lambda: "x86_64")
    fast = SimpleNamespace(_is_mkldnn_fp16_supported=lambda: exists)
    monkeypatch.setattr(load.torch.ops, "mkldnn", fast)
    cpu = torch.device("cpu")
    if exists:
        assert load.choose_precision("float16", cpu) == "float16"
    else:
        with pytest.raises(GemError, match=r"cpu cannot compute with float16.*float32"):
            load.choose_precision("float16", cpu)
    monkeypatch.setattr(load, "machine", lambda: "arm64")
    assert load.choose_precision("float16", cpu) == "float16"


def test_a_model_in_half_precision(folder: Path) -> None:
    model = load_model(str(folder), device="cpu", precision="bfloat16")
    assert model.precision == "bfloat16"
    assert bool(torch.isfinite(see(model)).all())


def test_shapes_are_read(folder: Path) -> None:
    read_back = shapes(read_weights(folder / "open_clip_model.safetensors"))
    assert read_back["visual.conv1.weight"] == (48, 3, PATCH, PATCH)


def test_a_hash_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = hash_file(path)
    path.write_bytes(b"other")
    assert hash_file(path) != first


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_loading_takes_little_more_than_the_weights(tmp_path: Path) -> None:
    wide = {
        "embed_dim": 512,
        "vision_cfg": {
            "image_size": 224,
            "layers": 3,
            "width": 768,
            "patch_size": 16,
        },
        "text_cfg": {"vocab_size": 20_000, "width": 512, "heads": 8, "layers": 2},
    }
    plain = peak.write_model(tmp_path / "wide", wide)
    # a checkpoint of a training: what the optimizer keeps is not read
    trained = shutil.copytree(plain, tmp_path / "trained")
    path = trained / "open_clip_model.safetensors"
    weights = load_file(path)
    path.unlink()
    kept = {name: torch.zeros(2, *value.shape) for name, value in weights.items()}
    checkpoint = {"state_dict": weights, "optimizer": kept}
    torch.save(checkpoint, trained / "open_clip_pytorch_model.bin")
    for bytes_used in peak.measure(plain, trained):
        assert bytes_used["weights"] > 100e6
        # loaded twice it would be 2; large models take less (docs/speed.md)
        assert bytes_used["peak"] < 1.3 * bytes_used["weights"]


def test_weights_do_not_follow_their_file(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    model = load_model(str(copy), device="cpu")
    before = see(model)
    path = copy / "open_clip_model.safetensors"
    with path.open("r+b") as file:
        file.truncate(1000)
        file.seek(0)
        file.write(bytes(1000))
    assert torch.equal(see(model), before)


def test_text_weights_of_older_files_find_their_place(
    folder: Path, weights: Weights, tmp_path: Path
) -> None:
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"] |= {"custom_text": True, "nonscalar_logit_scale": True}
    config["model_cfg"]["init_logit_bias"] = -10
    config["model_cfg"]["vision_cfg"] = CONFIG["vision_cfg"] | {"image_size": 48}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    save_file(weights, tmp_path / "open_clip_model.safetensors")
    backbone = load_model(str(tmp_path), device="cpu").backbone
    expected = load_model(str(folder), device="cpu").backbone
    texts = ["a cat", "a dog"]
    torch.testing.assert_close(
        backbone.encode_texts(texts), expected.encode_texts(texts)
    )
    assert backbone.image_size == 48
