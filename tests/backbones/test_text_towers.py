"""Text towers and tokenizers of transformers, made small and kept in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_gem import backbones
from napari_gem.backbones import build_backbone, check_text
from napari_gem.backbones.open_clip_import import import_open_clip
from napari_gem.core.errors import GemError
from tests.backbones.towers import MEAN, NATIVE, STD

transformers = pytest.importorskip("transformers")

WORDS = "a cat dog cell of the photo nucleus ##us one two three four five".split()
CONTEXT, MOST = 8, 40


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay down a tower and a tokenizer as PubMedBERT has them."""
    folder = tmp_path_factory.mktemp("bert")
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join([*marks, *WORDS]))
    transformers.BertConfig(
        vocab_size=len(marks) + len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=MOST,
    ).save_pretrained(folder)
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay down a tokenizer that ends a text and does not start it, as SigLIP's."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(
        "$A </s>", special_tokens=[("</s>", 1)]
    )
    folder = tmp_path_factory.mktemp("sentences")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
    ).save_pretrained(folder)
    return folder


def make(text: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Make model, tokenizer and backbone by open_clip's ways."""
    open_clip = import_open_clip()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        clip = open_clip.model.CustomTextCLIP(24, NATIVE, text).eval()
    clip.requires_grad_(False)
    tokenizer = open_clip.tokenizer.HFTokenizer(
        text["hf_tokenizer_name"],
        context_length=text["context_length"],
        **text.get("tokenizer_kwargs", {}),
    )
    return clip, tokenizer, build_backbone(clip, tokenizer, MEAN, STD)


@pytest.fixture(scope="module")
def biomed(bert: Path) -> tuple[Any, Any, Any]:
    return make(
        {
            "hf_model_name": str(bert),
            "hf_tokenizer_name": str(bert),
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "hf_model_pretrained": False,
            "context_length": CONTEXT,
        }
    )


@pytest.fixture(scope="module")
def siglip(sentences: Path) -> tuple[Any, Any, Any]:
    return make(
        {
            "hf_tokenizer_name": str(sentences),
            "tokenizer_kwargs": {"clean": "canonicalize"},
            "context_length": CONTEXT,
            "vocab_size": 40,
            "width": 16,
            "heads": 2,
            "layers": 1,
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
        }
    )


@pytest.fixture(params=["biomed", "siglip"])
def model(request: pytest.FixtureRequest) -> tuple[Any, Any, Any]:
    return request.getfixturevalue(request.param)


def test_texts_are_the_models_own(model: tuple[Any, Any, Any]) -> None:
    clip, tokenizer, backbone = model
    texts = [f"a photo of {word}" for word in WORDS] * 20
    actual = backbone.encode_texts(texts)
    expected = torch.cat([clip.encode_text(tokenizer(text)) for text in texts])
    torch.testing.assert_close(actual, expected)
    assert float(actual.std(dim=0).min()) > 0


def test_what_is_read_is_what_the_configuration_says(
    model: tuple[Any, Any, Any],
) -> None:
    # a tower of transformers could read up to MOST
    assert model[2].context_length == CONTEXT


def test_long_text(model: tuple[Any, Any, Any]) -> None:
    backbone = model[2]
    # BERT marks start and end, T5 and Gemma the end
    marks = 2 if hasattr(model[0].text, "config") else 1
    long = "one two three four five cat dog of the photo"
    assert backbone.count_tokens(["a cat", long]) == [2 + marks, 10 + marks]
    kept = backbone.kept_text(long)
    assert kept == " ".join(long.split()[: CONTEXT - marks])
    cut, same = backbone.encode_texts([long, kept])
    torch.testing.assert_close(cut, same)


def test_pieces_of_words_count(biomed: tuple[Any, Any, Any]) -> None:
    assert biomed[2].count_tokens(["cat", "catus", "unheard"]) == [3, 4, 3]


@pytest.mark.parametrize("key", ["hf_model_name", "hf_tokenizer_name"])
def test_a_missing_package_is_named(key: str, monkeypatch: Any) -> None:
    config = {"text_cfg": {key: "some/where"}}
    check_text("BiomedCLIP", config)
    monkeypatch.setattr(backbones, "find_spec", lambda _: None)
    with pytest.raises(GemError, match=r'BiomedCLIP .*pip install "napari-gem\[hf\]"'):
        check_text("BiomedCLIP", config)
    check_text("ViT-B-16", {"text_cfg": {}})


def test_checks_need_neither_torch_nor_transformers() -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from napari_gem.backbones import check_text, check_tower\n"
        f"config = {json.dumps({'vision_cfg': {}, 'text_cfg': {}})}\n"
        "check_text('x', config), check_tower('x', config)\n"
        "print(sorted({'torch', 'timm', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.contact("configurations")
def test_a_tokenizer_that_panics_ends_in_a_sentence(siglip: tuple[Any, ...]) -> None:
    """Its panic is no Exception, and would end the worker."""
    from tokenizers import pre_tokenizers

    inner = siglip[1].tokenizer.backend_tokenizer
    usual = inner.pre_tokenizer
    inner.pre_tokenizer = pre_tokenizers.FixedLength(length=0)
    try:
        for read in (siglip[2].kept_text, lambda text: siglip[2].encode_texts([text])):
            with pytest.raises(GemError, match="tokenizer of the model cannot read"):
                read("a cat")
    finally:
        inner.pre_tokenizer = usual


@pytest.mark.contact("configurations")
def test_a_tokenizer_of_another_model_is_told(siglip: tuple[Any, ...]) -> None:
    siglip[1].tokenizer.add_tokens([f"more{number}" for number in range(40)])
    with pytest.raises(GemError, match="and the model knows 40: the tokenizer's files"):
        siglip[2].encode_texts(["more39"])
