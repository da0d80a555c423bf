"""open_clip models filled with weights, without having both in memory twice."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from napari_gem.backbones.open_clip_import import import_open_clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from napari_gem.models.weights import Weights

_CHANGES = {"add_", "clamp_", "div_", "erfinv_", "fill_", "mul_", "zero_"}
_INITIALISES = _CHANGES | {name for name in dir(torch.nn.init) if name.endswith("_")}
_FOLDER = "local-dir:"
"""How open_clip calls a model that is a folder."""

_POSITIONS = "text.transformer.embeddings.position_ids"


class _Uninitialised(TorchFunctionMode):
    """Leaves parameters as they were allocated: all of them come from the file.

    Memory that nobody writes to is not taken, and nobody waits for random numbers.
    Buffers, which the file may lack, are made as ever.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        changed = args[0] if args else options.get("tensor")
        name = getattr(func, "__name__", "")
        if isinstance(changed, torch.nn.Parameter) and name in _INITIALISES:
            return changed
        return func(*args, **options)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back open_clip's warning that a model without weights is random."""

    def other(record: logging.LogRecord) -> bool:
        return "open_clip" not in record.pathname

    root = logging.getLogger()
    root.addFilter(other)
    try:
        yield
    finally:
        root.removeFilter(other)


def build_empty(folder: Path, options: Mapping[str, Any]) -> Any:
    """Have open_clip build a model whose parameters hold anything."""
    with _Uninitialised(), _quiet():
        # else open_clip has transformers fetch weights of the text tower
        return import_open_clip().create_model(
            f"{_FOLDER}{folder}", load_weights=False, pretrained_text=False, **options
        )


def build_tokenizer(folder: Path, text: Mapping[str, Any]) -> Any:
    """Have open_clip build a tokenizer of the files in a folder alone."""
    options = {}
    if text.get("hf_tokenizer_name"):
        options = {"trust_remote_code": False, "local_files_only": True}
    return import_open_clip().get_tokenizer(f"{_FOLDER}{folder}", **options)


def fill(clip: Any, weights: Weights) -> None:
    """Give a model its weights: they become its parameters, no copy is made.

    What older files have otherwise is set right as `open_clip.load_checkpoint` does;
    that function reads the file by itself, and copies.

    Parameters
    ----------
    clip
        A model of open_clip, on the CPU.
    weights
        In memory of their own.

    Raises
    ------
    RuntimeError
        If weights are missing, not known or of another shape.
    """
    known = clip.state_dict()
    weights = import_module("open_clip.convert").convert_state_dict(clip, weights)
    parts = import_open_clip().model
    if "positional_embedding" in weights and "positional_embedding" not in known:
        weights = parts.convert_to_custom_text_state_dict(weights)
    for name in {"logit_scale", "logit_bias"} & known.keys():
        # numbers by which training scales cosines, in older files of another shape
        given = weights.get(name, torch.zeros(()))
        if given.numel() == 1:
            weights[name] = given.reshape(known[name].shape)
    if _POSITIONS not in known:
        weights.pop(_POSITIONS, None)
    parts.resize_pos_embed(weights, clip)
    parts.resize_text_pos_embed(weights, clip)
    clip.load_state_dict(weights, strict=True, assign=True)
