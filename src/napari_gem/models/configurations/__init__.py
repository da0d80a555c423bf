"""The one gate for configurations of models: nothing else of them reaches a library.

open_clip, timm and the package transformers do what a configuration says, up to running
code that it names. A configuration from outside is data: a folder, a repository of the
hub, an archive, the user's own list, a recipe or a cluster's worker all end here. What
is known passes, as a new table or text made of it (docs/decisions/0015); anything else
is refused with a sentence.

Neither torch nor open_clip nor transformers is imported.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from napari_gem.core.errors import GemError
from napari_gem.models.configurations import pieces, text_tower, tokenizers
from napari_gem.models.configurations.fields import (
    UnusableError,
    check,
    given,
    parse,
    refuse_code,
)
from napari_gem.models.configurations.names import (
    check_file_name,
    check_repository,
    check_revision,
    is_repository,
)
from napari_gem.models.configurations.towers import ModelTable, Whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = [
    "CONFIG",
    "TOWER",
    "VOCABULARIES",
    "check_architecture",
    "check_file",
    "check_file_name",
    "check_model",
    "check_repository",
    "check_revision",
    "is_checked",
    "is_repository",
    "longest",
    "read_file",
]

CONFIG = "open_clip_config.json"
"""File that makes a folder or repository of weights a model of open_clip."""

TOWER = "config.json"
"""File that describes a text tower of the package transformers."""

VOCABULARIES = (
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
)
"""Files of a tokenizer that hold pieces of words."""

_SHORT, _LONG = 1 << 20, 1 << 27

Passed = TypeVar("Passed")


def check_model(content: bytes, name: str) -> dict[str, Any]:
    """Read the text of ``open_clip_config.json``.

    Parameters
    ----------
    content
        Of the file.
    name
        What messages call it.

    Returns
    -------
    dict
        ``model_cfg`` and perhaps ``preprocess_cfg``, as the file states them.

    Raises
    ------
    GemError
        If it is no such file, or says what is not known.
    """
    return _gate(lambda: given(check(Whole, _described(content))), CONFIG, name)


def check_architecture(stated: Any, name: str) -> dict[str, Any]:
    """Check a configuration that open_clip has by the name of an architecture."""
    return _gate(lambda: given(check(ModelTable, stated)), CONFIG, name)


def is_checked(file: str) -> bool:
    """Whether `check_file` knows a file of a model."""
    return file in _CHECKS


def longest(file: str) -> int:
    """Bytes that a file of a model may have at most."""
    return _LONG if file in VOCABULARIES else _SHORT


def check_file(file: str, content: bytes, name: str) -> bytes:
    """Check a file beside the weights.

    Parameters
    ----------
    file
        What it is called in the repository.
    content
        Of the file.
    name
        What messages call it.

    Returns
    -------
    bytes
        What may be handed on: the file, or a new one of what is used of it.

    Raises
    ------
    GemError
        If it is no such file, or says what is not known.
    """
    return _gate(lambda: _CHECKS[file](content), file, name)


def read_file(path: Path) -> bytes:
    """Read and check a file beside the weights: see `check_file`.

    Raises
    ------
    GemError
        If it cannot be read, is too long, or says what is not known.
    """
    return check_file(path.name, read_short(path), str(path))


def read_short(path: Path) -> bytes:
    """Read a file of a model that is not longer than it may be."""
    most = longest(path.name)
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise GemError(
            f"'{path}' could not be read ({error.strerror}). Check its permissions."
        ) from error
    if len(content) > most:
        raise GemError(_refusal(path.name, str(path), f"it has more than {most} bytes"))
    return content


def _gate(look: Callable[[], Passed], file: str, name: str) -> Passed:
    try:
        return look()
    except UnusableError as error:
        raise GemError(_refusal(file, name, str(error))) from error


_KINDS = {CONFIG: "configuration of open_clip", TOWER: "configuration of a text tower"}


def _refusal(file: str, name: str, why: str) -> str:
    kind = _KINDS.get(file, "file of a tokenizer")
    return (
        f"'{name}' is no {kind} that can be used: {why}. Nothing of the model was "
        "run. Choose another model, or correct the file if you trust it."
    )


def _described(content: bytes) -> Any:
    """Read what is not a list of words, any of which may be the name of a key."""
    stated = parse(content)
    refuse_code(stated)
    return stated


def _check_tower(content: bytes) -> bytes:
    stated = {"tower": text_tower.used(_described(content))}
    return _text(given(check(text_tower.Tower, stated))["tower"])


def _check_settings(content: bytes) -> bytes:
    known = check(tokenizers.Settings, tokenizers.used(_described(content)))
    class_ = known.tokenizer_class
    if class_ is not None and class_ not in tokenizers.CLASSES:
        raise UnusableError(
            f"'tokenizer_class' is {class_[:60]!r}, which is not known here"
        )
    return _text(given(known))


def _check_special(content: bytes) -> bytes:
    return _text(given(check(tokenizers.SpecialTokens, _described(content))))


def _check_pieces(content: bytes) -> bytes:
    stated = parse(content)
    check(tokenizers.Pieces, stated)
    pieces.check_pieces(stated)
    return content


def _check_vocabulary(content: bytes) -> bytes:
    pieces.check_vocabulary(parse(content))
    return content


def _pass(content: bytes) -> bytes:
    """Hand on a list of pieces of words: its readers know nothing else."""
    return content


def _check_lines(content: bytes) -> bytes:
    pieces.check_count(content.count(b"\n"))
    return content


def _text(table: dict[str, Any]) -> bytes:
    return json.dumps(table).encode()


_CHECKS: dict[str, Callable[[bytes], bytes]] = {
    **dict.fromkeys(VOCABULARIES, _pass),
    **dict.fromkeys(("merges.txt", "vocab.txt"), _check_lines),
    TOWER: _check_tower,
    "special_tokens_map.json": _check_special,
    "tokenizer.json": _check_pieces,
    "tokenizer_config.json": _check_settings,
    "vocab.json": _check_vocabulary,
}
