"""A model whose tokenizer would run a file, and a mark that tells whether it did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.tiny import CONFIG, write_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

CLASS = "planted.Planted"
ELSEWHERE = f"evil/code--{CLASS}"
"""The same class in another repository."""


def planted_code(mark: Path) -> str:
    """Write a module that leaves the mark when it is imported."""
    return (
        "from pathlib import Path\n"
        f"Path({str(mark)!r}).write_text('it ran')\n"
        "from transformers import PreTrainedTokenizerFast\n"
        "class Planted(PreTrainedTokenizerFast):\n"
        "    pass\n"
    )


def write_planted_model(
    folder: Path, mark: Path, text: dict[str, Any], class_: str = CLASS
) -> Path:
    """Write a model that loads, but for what is planted.

    Parameters
    ----------
    folder
        Where it goes.
    mark
        File that the planted code writes.
    text
        What ``text_cfg`` says besides.
    class_
        Of the tokenizer, as ``tokenizer_config.json`` names it.
    """
    write_tiny_model(folder)
    stated = {"model_cfg": {**CONFIG, "text_cfg": {**CONFIG["text_cfg"], **text}}}
    (folder / "open_clip_config.json").write_text(json.dumps(stated))
    settings = {
        "tokenizer_class": "Planted",
        "auto_map": {"AutoTokenizer": [class_] * 2},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "vocab.txt").write_text("[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\na\n")
    (folder / "planted.py").write_text(planted_code(mark))
    return folder
