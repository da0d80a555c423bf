"""Weights files that would fill the memory, wait for ever, or compute nothing."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import napari_gem
from napari_gem.core.errors import GemError
from napari_gem.models import weights_bounds
from napari_gem.models.find import find_model
from napari_gem.models.load import load_steps
from napari_gem.models.weights import read_weights
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.contact("weights files")


def one(count: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.zeros(count, dtype=dtype)


ODD: dict[str, tuple[object, str]] = {
    "one number, gigabytes": ({"a": one().expand(10**5, 10**5)}, "larger than the"),
    "overlapping": ({"a": one(9).as_strided((10**5, 10**5), (0, 0))}, "larger than"),
    "many": ({f"a{i}": one().expand(10**4, 10**4) for i in range(9)}, "larger than"),
    "sparse": ({"a": torch.eye(3).to_sparse()}, "full table"),
    "without numbers": ({"a": torch.zeros(9**9, 9**9, device="meta")}, "full table"),
    "complex": ({"a": one(2, torch.complex64)}, "full table"),
    "NaN": ({"a": torch.full((2, 2), torch.nan)}, "no finite number"),
    "infinity": ({"a": torch.tensor([0, -torch.inf])}, "no finite number"),
    "bytes": ({"a": one(), "more": bytearray(10)}, "bytes of unknown length"),
}


@pytest.mark.parametrize("old", [False, True], ids=["zip", "pickle"])
@pytest.mark.parametrize("case", ODD)
def test_what_is_no_table_of_numbers_is_refused(
    case: str, old: bool, tmp_path: Path
) -> None:
    path, (content, message) = tmp_path / "mine.pt", ODD[case]
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    with pytest.raises(GemError, match=message) as error:
        read_weights(path)
    assert str(path) in str(error.value)


def test_tied_weights_and_what_training_keeps_pass(tmp_path: Path) -> None:
    path, table = tmp_path / "mine.pt", torch.zeros(1000, 100)
    stepped = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(stepped.parameters())
    stepped(torch.zeros(1, 2)).sum().backward()
    optimizer.step()
    content = {
        "model": {"embed": table, "head": table, "one": torch.nn.Parameter(one())},
        "optimizer": optimizer.state_dict(),
        "scheduler": torch.optim.lr_scheduler.MultiStepLR(optimizer, [1]).state_dict(),
        "rng": torch.get_rng_state(),
        "history": {"acc": [np.float64(n) for n in range(1000)], "all": np.zeros(5000)},
        "args": {"about": "x" * 10_000},
    }
    torch.save(content, path)
    weights = read_weights(path)
    assert weights.keys() == content["model"].keys()
    assert not any(value.requires_grad for value in weights.values())


def test_what_is_not_used_may_hold_anything(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    weights = {"a": one(), "text_decoder.text_projection": one() * torch.nan}
    torch.save({"state_dict": {f"module.{n}": w for n, w in weights.items()}}, path)
    assert read_weights(path).keys() == weights.keys()


def pickled(content: bytes, path: Path, **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("a/data.pkl", content)
        archive.writestr("a/version", "3\n")
        archive.writestr("a/byteorder", "little")
    return path


def call(module: str, name: str, *arguments: object) -> bytes:
    stated = pickle.dumps(arguments, 2)[2:-1]
    return f"\x80\x02c{module}\n{name}\n".encode("latin1") + stated + b"R."


PICKLES = {
    "zeros": (call("builtins", "bytearray", 2 * 10**10), "bytes of unknown length"),
    "zeros, old name": (call("__builtin__", "bytearray", 9**12), "unknown length"),
    "doubled": (call("_codecs", "encode", "x", "latin1", "HEX-Codec"), "bytes as text"),
    "again and again": (
        b"\x80\x02(c_codecs\nencode\nq\x00"
        + b"0X\x00\x00\x10\x00" + b"x" * (1 << 20) + b"q\x01"
        + b"h\x00h\x01\x85R" * 300 + b"l.",
        "bytes as text",
    ),
    "long": (b"\x80\x02]" + b"]a" * 1000 + b".", "too much beside"),
}  # fmt: skip


@pytest.mark.parametrize("case", PICKLES)
def test_what_would_grow_is_not_run(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, message = PICKLES[case]
    monkeypatch.setattr(weights_bounds, "MOST_OPERATIONS", 1900)
    path = pickled(content, tmp_path / "mine.pt")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(GemError, match=message):
        read_weights(path)


def test_what_is_compressed_is_not_unpacked(tmp_path: Path) -> None:
    path = pickled(bytes(10**6), tmp_path / "a.pt", compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(GemError, match="compressed inside"):
        read_weights(path)


def test_two_tables_of_contents_are_refused(tmp_path: Path) -> None:
    path = pickled(b"\x80\x02}.", tmp_path / "mine.pt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("A/DATA.PKL", b"\x80\x02}.")
    with pytest.raises(GemError, match="two tables"):
        read_weights(path)


def test_a_program_is_still_told_as_such(tmp_path: Path) -> None:
    path = pickled(b"\x80\x02}.", tmp_path / "mine.pt")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/constants.pkl", b"\x80\x02).")
        archive.writestr("a/code/x.py", b"pass\n" * 100)
    with pytest.raises(GemError, match="holds more than weights"):
        read_weights(path)


def safetensors(path: Path, header: dict[str, Any], body: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def test_kinds_and_counts_of_safetensors_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.safetensors"
    half = {"dtype": "F4", "shape": [2, 4], "data_offsets": [0, 4]}
    # older versions of safetensors cannot read the header of such a file
    with pytest.raises(GemError, match=r"full table|is damaged"):
        read_weights(safetensors(path, {"a": half}, bytes(4)))
    monkeypatch.setattr(weights_bounds, "MOST_WEIGHTS", 10)
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    with pytest.raises(GemError, match="holds 11 weights"):
        read_weights(safetensors(path, {str(n): empty for n in range(11)}, b""))


def test_too_large_for_half_precision_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    torch.save({"a": torch.full((2, 2), 1e6)}, path)
    assert read_weights(path, torch.float32)["a"][0, 0] == 1e6
    with pytest.raises(
        GemError, match=r"too large for float16\. Choose precision float"
    ):
        read_weights(path, torch.float16)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_in_the_place_of_weights_is_not_waited_for(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    weights = folder / "open_clip_model.safetensors"
    weights.unlink()
    os.mkfifo(weights)
    for load in (read_weights, lambda _: napari_gem.load_model(str(folder))):
        with pytest.raises(GemError, match="is no file"):
            load(weights)


def test_weights_that_change_while_they_are_read_are_told(tmp_path: Path) -> None:
    """Else a recipe would name other weights than those that made its labels."""
    folder = write_tiny_model(tmp_path / "tiny")
    other = write_tiny_model(tmp_path / "other", seed=1)
    steps = load_steps(find_model(str(folder)), "cpu", "float32", download=False)
    with pytest.raises(GemError, match="was changed while it was read"):
        for progress in steps:
            if progress.done == 2:
                name = "open_clip_model.safetensors"
                (other / name).replace(folder / name)


def test_a_text_tower_that_computes_nothing_is_told(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    path = folder / "open_clip_model.safetensors"
    weights = load_file(path)
    weights["text_projection"] *= 1e38
    weights["ln_final.weight"] *= 1e38
    torch.save(weights, folder / "open_clip_pytorch_model.bin")
    path.unlink()
    model = napari_gem.load_model(str(folder), device="cpu")
    pixels = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(GemError, match=r"text tower .* no finite numbers in float32"):
        napari_gem.segment(pixels, ["cat"], model=model)
