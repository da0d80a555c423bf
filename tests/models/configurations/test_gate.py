"""What passes the gate, and what does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from napari_gem.backbones.open_clip_import import import_open_clip
from napari_gem.core.errors import GemError
from napari_gem.models import configurations
from napari_gem.models.architectures import carried, open_clip_architectures
from napari_gem.models.catalogue import make_card
from napari_gem.models.configurations import towers
from napari_gem.models.download.hub import TOKENIZER, read_config
from napari_gem.models.find import find_model, is_available
from tests.tiny import CONFIG

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.contact("configurations")

CARRIED = "ViT-B-16-BiomedBERT-256"
SHIPPED = {**open_clip_architectures(), CARRIED: carried(CARRIED)}


@pytest.mark.parametrize("name", SHIPPED)
def test_what_open_clip_ships_passes_as_it_is(name: str) -> None:
    assert configurations.check_architecture(SHIPPED[name], name) == SHIPPED[name]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (towers.ImageTower, lambda: import_open_clip().model.CLIPVisionCfg),
        (towers.TextTower, lambda: import_open_clip().model.CLIPTextCfg),
        (towers.Decoder, lambda: import_open_clip().coca_model.MultimodalCfg),
    ],
)
def test_what_passes_is_known_to_open_clip(ours: Any, theirs: Any) -> None:
    assert ours.model_fields.keys() <= {field.name for field in fields(theirs())}


def changed(path: str, value: Any) -> bytes:
    """Write a good configuration with one value, at a path with dots, changed."""
    stated = json.loads(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    *steps, last = path.split(".")
    table = stated
    for step in steps:
        table = table.setdefault(step, {})
    table[last] = value
    return json.dumps(stated).encode()


GOOD = [
    ("model_cfg.text_cfg.tokenizer_kwargs", {"clean": "canonicalize"}),
    ("model_cfg.text_cfg.tokenizer_kwargs", None),
    ("model_cfg.text_cfg.mlp_ratio", 4),
    ("model_cfg.text_cfg.hf_tokenizer_name", "roberta-base"),
    ("model_cfg.vision_cfg.patch_size", [14, 14]),
    ("model_cfg.vision_cfg.timm_model_name", "vit_base_patch16_clip_224.openai"),
    ("model_cfg.init_logit_bias", -10),
    ("preprocess_cfg.mean", [0.5, 0.5, 0.5]),
]


@pytest.mark.parametrize(("path", "value"), GOOD)
def test_what_models_say_passes(path: str, value: Any) -> None:
    checked = configurations.check_model(changed(path, value), "x")
    for step in path.split("."):
        checked = checked[step]
    assert checked == value


TEXT, IMAGE = "model_cfg.text_cfg", "model_cfg.vision_cfg"
BAD = [
    ("more", 1),
    ("model_cfg.more", 1),
    ("model_cfg.cast_dtype", "x"),
    ("model_cfg.embed_dim", 10**9),
    ("model_cfg.embed_dim", "32"),
    ("model_cfg.custom_text", 1),
    ("model_cfg.custom_text", "yes"),
    ("model_cfg.init_logit_scale", "2.6"),
    ("model_cfg.init_logit_scale", 1e300),
    ("model_cfg.init_logit_scale", True),
    ("model_cfg.multimodal_cfg", {"layers": 10**6}),
    ("model_cfg.multimodal_cfg", {"hf_model_name": "evil/code"}),
    ("model_cfg.multimodal_cfg", []),
    ("model_cfg.text_cfg", None),
    (f"{TEXT}.layers", 10**6),
    (f"{TEXT}.layers", 0),
    (f"{TEXT}.layers", -1),
    (f"{TEXT}.layers", True),
    (f"{TEXT}.layers", 2.0),
    (f"{TEXT}.layers", "2"),
    (f"{TEXT}.layers", 10**400),
    (f"{TEXT}.width", 10**6),
    (f"{TEXT}.heads", 10**6),
    (f"{TEXT}.context_length", 10**6),
    (f"{TEXT}.vocab_size", 10**8),
    (f"{TEXT}.hf_model_pretrained", "yes"),
    (f"{TEXT}.hf_model_name", "evil/code"),
    (f"{TEXT}.hf_tokenizer_name", "./here"),
    (f"{TEXT}.hf_tokenizer_name", "\uff45vil/code"),
    (f"{TEXT}.tokenizer_mode", "x"),
    (f"{TEXT}.tokenizer_kwargs", {"trust_remote_code": True}),
    (f"{TEXT}.tokenizer_kwargs", {"trust_remote_code": False}),
    (f"{TEXT}.tokenizer_kwargs", {"clean": {"trust_remote_code": True}}),
    (f"{TEXT}.tokenizer_kwargs", {"subfolder": ".."}),
    (f"{TEXT}.tokenizer_kwargs", {"cache_dir": "/tmp"}),
    (f"{TEXT}.tokenizer_kwargs", {"bpe_path": "/etc/passwd"}),
    (f"{TEXT}.tokenizer_kwargs", {"tokenizer_type": "bert"}),
    (f"{TEXT}.tokenizer_kwargs", {"gguf_file": "x"}),
    (f"{TEXT}.tokenizer_kwargs", {"trust_remote_code\u200b": True}),
    (f"{TEXT}.act_kwargs", {"approximate": "other"}),
    (f"{TEXT}.norm_kwargs", {"device": "cuda"}),
    (f"{IMAGE}.layers", [10**6] * 4),
    (f"{IMAGE}.layers", [2, 2]),
    (f"{IMAGE}.image_size", 10**6),
    (f"{IMAGE}.patch_size", 0),
    (f"{IMAGE}.head_width", 0),
    (f"{IMAGE}.mlp_ratio", -1),
    (f"{IMAGE}.timm_model_pretrained", 1),
    (f"{IMAGE}.timm_model_name", "hf-hub:evil/code"),
    (f"{IMAGE}.timm_model_name", "hf_hub:evil/code"),
    (f"{IMAGE}.timm_model_name", "local-dir:/tmp"),
    (f"{IMAGE}.timm_model_name", "vit/../x"),
    (f"{IMAGE}.timm_model_name", "vit_base\n"),
    (f"{IMAGE}.pretrained_cfg", {"url": "https://example.org"}),
    (f"{IMAGE}.pretrained", "https://example.org"),
    ("preprocess_cfg.std", [0.0, 0.1, 0.1]),
    ("preprocess_cfg.mean", [0.5]),
    ("preprocess_cfg.interpolation", "x"),
    ("preprocess_cfg.size", 10**9),
]


@pytest.mark.parametrize(("path", "value"), BAD)
def test_what_is_not_known_is_refused(path: str, value: Any) -> None:
    with pytest.raises(GemError, match=r"'here' is no configuration .*: .*") as caught:
        configurations.check_model(changed(path, value), "here")
    said = str(caught.value)
    assert len(said) < 1200
    assert said.isprintable()


@pytest.mark.parametrize(
    "path", [f"{TEXT}.hf_model_pretrained", f"{IMAGE}.timm_model_pretrained"]
)
def test_weights_from_elsewhere_are_not_asked_for(path: str) -> None:
    """Who trained a model began with such weights; its own file has others."""
    checked = configurations.check_model(changed(path, True), "x")
    for step in path.split("."):
        checked = checked[step]
    assert checked is False


def test_towers_are_bounded_as_a_whole() -> None:
    """Each number may be large, but not all of them."""
    with pytest.raises(GemError, match=r"would have 4e\+11 parameters"):
        configurations.check_model(
            changed(TEXT, CONFIG["text_cfg"] | {"width": 16384, "layers": 128}), "x"
        )


ODD = {
    "empty": b"",
    "list": b"[]",
    "open": b'{"model_cfg": ',
    "no text": b"\xff\xfe",
    "mark": "\ufeff{}".encode(),
    "NaN": changed("model_cfg.embed_dim", 1).replace(b": 1,", b": NaN,", 1),
    "infinite": changed("model_cfg.init_logit_bias", 7).replace(b": 7", b": -Infinity"),
    "too large a float": changed("model_cfg.init_logit_bias", 7).replace(
        b": 7", b": 1e999"
    ),
    "digits": b'{"model_cfg": ' + b"1" * 10_000 + b"}",
    "deep": b'{"model_cfg":' * 100_000,
    "deep list": b"[" * 1000 + b"]" * 1000,
    "twice": changed("more", 0).replace(b'"more": 0', b'"model_cfg": {}'),
    "twice inside": changed("model_cfg.embed_dim", 32).replace(
        b'"embed_dim": 32', b'"embed_dim": 32, "embed_dim": 32'
    ),
    "half a letter": changed("model_cfg.more", 1).replace(b"more", b"\\ud800"),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_texts_are_refused(case: str) -> None:
    with pytest.raises(GemError, match="no configuration of open_clip"):
        configurations.check_model(ODD[case], "x")


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / configurations.CONFIG
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(GemError, match="more than 1048576 bytes"):
        read_config(path)


def test_a_link_is_told_without_what_it_leads_to(tmp_path: Path) -> None:
    secret, path = tmp_path / "secret", tmp_path / configurations.CONFIG
    secret.write_text("the password is 1234")
    path.symlink_to(secret)
    with pytest.raises(GemError) as caught:
        read_config(path)
    assert "password" not in str(caught.value)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(GemError):
        read_config(path)


Change = dict[str, Any]
SETTINGS = {
    "tokenizer_class": "T5Tokenizer",
    "added_tokens_decoder": {"0": {"content": "<pad>", "special": True}},
    "pad_token": {"content": "<pad>", "__type": "AddedToken"},
    "model_max_length": 1000000000000000019884624838656,
    "extra_ids": 0,
    "sp_model_kwargs": {},
}


def test_settings_of_a_tokenizer_pass_without_what_is_not_used() -> None:
    more = {"name_or_path": "/home/someone/x", "chat_template": "{{ x }}"}
    content = json.dumps(SETTINGS | more).encode()
    checked = configurations.check_file("tokenizer_config.json", content, "x")
    assert json.loads(checked) == SETTINGS


def test_tokens_that_a_model_alone_has_are_left_out() -> None:
    own = {"image_token": "<image>", "boi_token": {"content": "<boi>"}}
    content = json.dumps(SETTINGS | own).encode()
    checked = configurations.check_file("tokenizer_config.json", content, "x")
    assert json.loads(checked) == SETTINGS


@pytest.mark.parametrize(
    ("file", "stated"),
    [
        ("tokenizer_config.json", {"auto_map": {}}),
        ("tokenizer_config.json", {"sp_model_kwargs": {"auto_map": 1}}),
        ("tokenizer_config.json", {"trust_remote_code": True}),
        ("tokenizer_config.json", {"init_inputs": ["/etc/passwd"]}),
        ("tokenizer_config.json", {"fast_tokenizer_files": ["../x"]}),
        ("tokenizer_config.json", {"tokenizer_class": "os.system"}),
        ("tokenizer_config.json", {"tokenizer_class": "MistralCommonBackend"}),
        ("tokenizer_config.json", {"extra_ids": 10**9}),
        ("tokenizer_config.json", {"sp_model_kwargs": {"model_file": "x"}}),
        ("tokenizer_config.json", {"pad_token": {"content": "x", "evil": 1}}),
        ("tokenizer_config.json", []),
        ("special_tokens_map.json", {"vocab_file": "/etc/passwd"}),
        ("special_tokens_map.json", {"auto_map": {"AutoTokenizer": "a.b"}}),
        ("special_tokens_map.json", {"pad_token": 3}),
        ("tokenizer.json", {"model": {"type": "Pickle", "vocab": {}}}),
        ("tokenizer.json", {"model": {"type": "BPE", "vocab": 3}}),
        ("tokenizer.json", {"auto_map": {}}),
        ("tokenizer.json", {"padding": {"strategy": {"Fixed": 10**9}}}),
        ("tokenizer.json", {"normalizer": {"content": "x" * 3_000_000}}),
        ("vocab.json", 3),
        ("config.json", {"model_type": "planted"}),
        ("config.json", {"model_type": "bert", "auto_map": {}}),
        ("config.json", {"model_type": "bert", "num_hidden_layers": 10**6}),
        ("config.json", {"model_type": "bert", "_attn_implementation": "evil/kernel"}),
        ("config.json", {"model_type": "bert", "quantization_config": {}}),
        ("config.json", {"model_type": "bert", "vocab_size": True}),
        (
            "config.json",
            {"model_type": "bert", "hidden_size": 16384}
            | {"num_hidden_layers": 128, "intermediate_size": 65536},
        ),
    ],
)
def test_files_beside_the_weights_are_checked(file: str, stated: Any) -> None:
    usual: dict[str, Any] = {
        "tokenizer.json": {
            "version": "1.0",
            "model": {"type": "BPE", "vocab": {}, "merges": []},
        },
        "config.json": {"vocab_size": 100},
    }.get(file, {})
    content = json.dumps(usual | stated if isinstance(stated, dict) else stated)
    with pytest.raises(GemError, match="'here' is no "):
        configurations.check_file(file, content.encode(), "here")


def test_a_word_may_be_called_as_a_key_is() -> None:
    stated = {
        "version": "1.0",
        "model": {"type": "WordLevel", "vocab": {"auto_map": 1}},
    }
    content = json.dumps(stated).encode()
    assert configurations.check_file("tokenizer.json", content, "x") == content


def test_each_file_that_is_downloaded_is_checked() -> None:
    assert all(
        configurations.is_checked(name) for name in (*TOKENIZER, configurations.TOWER)
    )


NAMES = [
    *("a/b", "a/b.c", "A_b/c-d", "some.one/a-model", "a", "a/b/c", "/a", "a/", ""),
    *(
        "..",
        "a/..",
        "../a",
        "a..b/c",
        "a--b/c",
        "-a/b",
        "a-/b",
        "a/.b",
        "a/b.",
        "a/b.git",
    ),
    *(
        "a/b git",
        "a/b\n",
        "\uff41/b",
        "a/\u00e4",
        "a b/c",
        "a/b?x",
        "https://a/b",
        "a\\b",
    ),
    *("_a/b", "a/_b_", "a" * 96 + "/b", "a" * 97 + "/b", "a/" + "b" * 96, "hf-hub:a/b"),
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_those_of_the_hub(name: str) -> None:
    try:
        validate_repo_id(name)
        known = True
    except HFValidationError:
        known = False
    assert configurations.is_repository(name, with_owner=False) <= known
    # older versions of huggingface_hub know no longest name
    if known and name.isascii() and "\n" not in name and len(name) <= 98:
        assert configurations.is_repository(name, with_owner=False)


@pytest.mark.parametrize("name", ["a/b.git", "a--b/c", "../x", "a/b/c", "\uff41/b"])
def test_a_name_that_the_hub_does_not_have_is_told(name: str) -> None:
    with pytest.raises(GemError, match="no name of a repository on the hub"):
        find_model(f"hf-hub:{name}")
    if name != "a/b/c":  # the file c of the repository a/b
        with pytest.raises(GemError, match="no name of a repository on the hub"):
            make_card("x", "X", weights=f"hf-hub:{name}")
    assert not is_available(make_card("x", "X", weights="hf-hub:a/b/c"))


PLACES: dict[str, Change] = {
    "climbs": {"weights": "hf-hub:a/b/../../x"},
    "is absolute": {"weights": "hf-hub:a/b//etc/passwd"},
    "package": {"weights": "package:../../x"},
    "absolute package": {"weights": "package:/tmp"},
    "revision": {"weights": "hf-hub:a/b", "revision": "../../x"},
}


@pytest.mark.parametrize("case", PLACES)
def test_a_place_that_leads_out_is_refused(case: str) -> None:
    with pytest.raises(GemError, match="Correct"):
        make_card("x", "X", **PLACES[case])


def test_the_gate_needs_no_library_of_models() -> None:
    code = (
        "import sys, napari_gem.models.configurations.staging\n"
        "libraries = {'torch', 'timm', 'transformers', 'open_clip'}\n"
        "print(sorted(libraries & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ
    )
    assert done.stdout.strip() == "[]", done.stderr
