"""What a weights file may hold: it takes no more memory than it promises.

Reading with ``weights_only`` runs no code of the file, but still does what the file
says: fill memory, multiply texts, or make a matrix of gigabytes of one number.
"""

from __future__ import annotations

import pickletools
import re
from math import prod
from typing import IO, TYPE_CHECKING, Any
from zipfile import ZIP_STORED, ZipFile

import torch

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOST_WEIGHTS = 20_000
"""The largest models have about two thousand."""

MOST_PICKLED = 16 << 20
"""Bytes beside the numbers: some hundred a weight, and what training kept."""

MOST_OPERATIONS = 4_000_000
"""Of a pickle: each makes a value, and a weight takes some forty."""

MOST_TIMES = 2
"""So often the file's size may the weights take: some are stored once for two names."""

MOST_DECODED = 256 << 20
"""Characters of bytes that are kept as text, such as numbers of numpy."""

KINDS = frozenset(
    {
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.float8_e4m3fn, torch.float8_e5m2, torch.bool),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    }
)
"""Numbers that weights are stored as."""

_UNUSED = "text_decoder."
"""What CoCa writes captions with: open_clip leaves a part of it as it was allocated."""

_OLD = 5
"""Pickles at the begin of a file of torch before 1.6: of the fourth are the weights."""

_NUMBERS = re.compile(r"/data(\.pkl$|/)", re.IGNORECASE)
_PUTS = {"BINPUT", "LONG_BINPUT", "PUT"}
_GETS = {"BINGET", "LONG_BINGET", "GET"}
_GROWING = re.compile(r"(hex|base_?64|uu|quopri)(_codec)?|quoted_?printable")
"""Codecs that make more bytes of bytes, and could be applied again and again."""


def check_pickle(path: Path, *, is_zip: bool) -> None:
    """Refuse a file of `torch.save` that would fill the memory while it is read."""
    if not is_zip:
        with path.open("rb") as file:
            _check_pickles(path, file, _OLD)
        return
    with ZipFile(path) as archive:
        # what torch.load reads; a program beside it is told as such later
        members = [m for m in archive.infolist() if _NUMBERS.search(m.filename)]
        # torch.save compresses nothing
        if any(member.compress_type != ZIP_STORED for member in members):
            raise GemError(_refusal(path, "it is compressed inside"))
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise GemError(_refusal(path, "it promises more than there is"))
        pickles = [m for m in members if m.filename.casefold().endswith(".pkl")]
        if len(pickles) > 1:
            raise GemError(_refusal(path, "it holds two tables of contents"))
        for member in pickles:
            with archive.open(member) as file:
                _check_pickles(path, file, 1)


def check_table(path: Path, table: Mapping[str, torch.Tensor]) -> None:
    """Refuse weights that are no plain numbers, or more than the file has."""
    check_count(path, len(table))
    total = 0
    for name, value in table.items():
        check_plain(path, name, value)
        total += value.element_size() * prod(value.shape)
    if total > MOST_TIMES * path.stat().st_size:
        raise GemError(_refusal(path, "its weights are larger than the file"))


def check_count(path: Path, count: int) -> None:
    """Refuse a file of more weights than any model has."""
    if count > MOST_WEIGHTS:
        raise GemError(
            _refusal(path, f"it holds {count} weights, and models have {MOST_WEIGHTS}")
        )


def check_plain(path: Path, name: str, value: torch.Tensor) -> None:
    """Refuse a weight that is sparse, quantised, complex, or without numbers."""
    plain = (
        value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and not value.is_nested
    )
    if not plain or value.dtype not in KINDS:
        raise GemError(
            f"'{path}' holds '{shown(name, 100)}' as something else than a full table "
            "of numbers (it is sparse, quantised, complex or empty of numbers). Save "
            "the weights anew as float32 or float16, with safetensors."
        )


def check_finite(
    path: Path, name: str, value: torch.Tensor, read: torch.Tensor
) -> None:
    """Refuse a weight with which nothing can be computed."""
    if _UNUSED in name or _is_finite(read):
        return
    if _is_finite(value):
        raise GemError(
            f"'{path}' holds numbers in '{shown(name, 100)}' that are too large for "
            f"{str(read.dtype).removeprefix('torch.')}. Choose precision float32."
        )
    raise GemError(
        f"'{path}' is damaged: its '{shown(name, 100)}' holds what is no finite number "
        "(NaN or infinity), as when training went wrong. Copy or download it again, or "
        "save an earlier state."
    )


def _is_finite(value: torch.Tensor) -> bool:
    if not value.is_floating_point() or not value.numel():
        return True
    if value.element_size() == 1:
        value = value.to(torch.float16)
    least, most = torch.aminmax(value)  # which takes no memory; NaN is both
    return bool(torch.isfinite(least) and torch.isfinite(most))


def _check_pickles(path: Path, file: IO[bytes], count: int) -> None:
    start = file.tell()
    for _ in range(count):
        texts = _Texts()
        # each operation with its place, and nothing is done of what it says
        operations = enumerate(pickletools.genops(file))
        for number, (operation, argument, place) in operations:
            if (place or 0) - start > MOST_PICKLED or number > MOST_OPERATIONS:
                raise GemError(_refusal(path, "it holds too much beside weights"))
            # of any length, and filled at once
            if operation.name == "GLOBAL" and str(argument).endswith(" bytearray"):
                raise GemError(_refusal(path, "it holds bytes of unknown length"))
            texts.see(operation.name, argument)
        if texts.calls and (texts.grow or texts.calls * texts.longest > MOST_DECODED):
            raise GemError(_refusal(path, "it holds too many bytes as text"))


class _Texts:
    """How often, and of what, a pickle makes bytes: each call may take any text."""

    def __init__(self) -> None:
        self.calls, self.longest, self.grow = 0, 0, False
        self._kept: set[Any] = set()
        self._on_top = False

    def see(self, operation: str, argument: object) -> None:
        """Note an operation; the function is got by its name, or where it was put."""
        if operation in _PUTS:
            if self._on_top:
                self._kept.add(argument)
            return
        named = operation == "GLOBAL" and argument == "_codecs encode"
        self._on_top = named or (operation in _GETS and argument in self._kept)
        self.calls += self._on_top
        if isinstance(argument, str) and operation != "GLOBAL":
            self.longest = max(self.longest, len(argument))
            self.grow |= _grows(argument)


def _grows(text: str) -> bool:
    """Tell whether Python would take a text for the name of such a codec."""
    plain = "".join(c if c.isalnum() else "_" for c in text if c.isascii()).lower()
    return bool(_GROWING.fullmatch(re.sub("_+", "_", plain).strip("_")))


def _refusal(path: Path, why: str) -> str:
    return (
        f"'{path}' is not read as weights, since {why}. Where you trust it, save its "
        "state_dict() with safetensors, and use that file."
    )
