"""Weights files as others saved them, and what lies in the place of one."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_gem.core.errors import GemError
from napari_gem.core.progress import run
from napari_gem.models.download import transfer
from napari_gem.models.download.hub import HubFiles
from napari_gem.models.first_bytes import check_begin
from napari_gem.models.weights import read_weights
from tests.hub import point_at, serve
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Weights = dict[str, torch.Tensor]
    Wrap = Callable[[Weights], object]

pytestmark = pytest.mark.contact("weights files")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    return load_file(folder / "open_clip_model.safetensors")


def named(weights: Weights, prefix: str) -> Weights:
    return {prefix + name: value for name, value in weights.items()}


def in_itself(weights: Weights) -> object:
    table: dict[str, object] = {"state_dict": weights}
    table["model"] = table
    return table


def averaged(weights: Weights) -> object:
    model = torch.nn.ParameterDict()
    swa = torch.optim.swa_utils.AveragedModel(model).state_dict()
    return {**swa, **named(weights, "module.")}


WRAPPED: dict[str, Wrap] = {
    "state_dict": lambda weights: {"epoch": 3, "state_dict": weights},
    "model": lambda weights: {"model": weights, "optimizer": {"state": {}}},
    "model_state_dict": lambda weights: {"model_state_dict": OrderedDict(weights)},
    "state_dict_ema": lambda weights: {"state_dict_ema": weights, "args": None},
    "ema": lambda weights: {"ema": weights, "step": 1},
    "averaged beside": lambda weights: {
        "state_dict_ema": {name: value + 1 for name, value in weights.items()},
        "state_dict": weights,
    },
    "averaged beside, in another": lambda weights: {
        "model": {"ema": named(weights, "x."), "state_dict": weights},
    },
    "module": lambda weights: {"module": weights},
    "in another": lambda weights: {"model": {"epoch": 1, "state_dict": weights}},
    "in itself": in_itself,
    "one table, two names": lambda weights: {"model": weights, "state_dict": weights},
    "compiled": lambda weights: named(weights, "_orig_mod."),
    "parts compiled": lambda weights: {
        name.replace("visual.", "visual._orig_mod."): value
        for name, value in weights.items()
    },
    "lightning": lambda weights: {"state_dict": named(weights, "model.")},
    "in a class": lambda weights: named(weights, "clip."),
    "parallel twice": lambda weights: named(weights, "module.module."),
    "all": lambda weights: {
        "model": named(weights, "module._orig_mod.model.clip.module.")
    },
    "averaged": averaged,
    "scalar": lambda weights: {
        "best_acc": np.float64(0.5),
        "epoch": np.int64(3),
        "good": np.bool_(True),
        "seen": np.arange(3),
        "names": np.array(["a", "b"]),
        "state_dict": weights,
    },
}


@pytest.mark.parametrize("old", [False, True], ids=["zip", "pickle"])
@pytest.mark.parametrize("case", WRAPPED)
def test_what_training_tools_put_around_is_taken_off(
    case: str, old: bool, weights: Weights, tmp_path: Path
) -> None:
    path = tmp_path / "mine.pt"
    content = WRAPPED[case](weights)
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    read_back = read_weights(path)
    assert read_back.keys() == weights.keys()
    assert all(torch.equal(read_back[name], value) for name, value in weights.items())


def test_prefixes_are_taken_off_in_safetensors(
    weights: Weights, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    save_file(named(weights, "_orig_mod.module."), path)
    assert read_weights(path).keys() == weights.keys()


def test_it_does_not_guess(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    other = {name: value + 1 for name, value in weights.items()}
    torch.save({"model": weights, "model_ema": other}, path)
    with pytest.raises(GemError, match="tables of weights: model, model_ema"):
        read_weights(path)
    torch.save({"model": {"ema": weights, "module": other}}, path)
    with pytest.raises(GemError, match="weights: model/module, model/ema"):
        read_weights(path)
    some = dict(list(weights.items())[:2])
    torch.save({**some, **named(some, "_orig_mod.")}, path)
    with pytest.raises(GemError, match="two weights of one name"):
        read_weights(path)
    # what not all names share is part of them
    torch.save({**named(some, "model."), "loss.scale": torch.ones(1)}, path)
    assert "loss.scale" in read_weights(path)
    assert f"model.{next(iter(some))}" in read_weights(path)


class Marks:
    """Unpickled by pickle it would leave a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self.mark).touch, (self.mark,))


def test_beside_numbers_of_numpy_nothing_else_is_read(
    weights: Weights, tmp_path: Path
) -> None:
    """Else the second try, with names of numpy, would open a way."""
    path, mark = tmp_path / "mine.pt", tmp_path / "mark"
    for more in (Marks(mark), np.random.default_rng(0), np.load):
        torch.save({"acc": np.float64(1), "more": more, "model": weights}, path)
        with pytest.raises(GemError, match="more than weights"):
            read_weights(path)
    objects = np.array([Marks(mark)], dtype=object)
    torch.save({"acc": objects, "model": weights}, path)
    with pytest.raises(GemError, match="more than weights"):
        read_weights(path)
    assert not mark.exists()
    assert pickle.loads(pickle.dumps(Marks(mark))) is None
    assert mark.exists()  # it would have been left


def test_a_dtype_of_numpy_is_told_nothing(weights: Weights, tmp_path: Path) -> None:
    """It would take eight bytes of the file for the address of an object."""

    class Kind:
        def __reduce__(self) -> tuple[object, ...]:
            fields = {"a": (np.dtype("O"), 0)}
            state = (3, "|", None, ("a",), fields, 8, 1, 63)
            return (np.dtype, ("V8", False, True), state)

    class Scalar:
        def __reduce__(self) -> tuple[object, ...]:
            scalar = np.float64(0).__reduce__()[0]
            return (scalar, (Kind(), b"\x01" * 8))

    path = tmp_path / "mine.pt"
    torch.save({"best": Scalar(), "model": weights}, path)
    assert read_weights(path).keys() == weights.keys()


PAGE = b"\n<!DOCTYPE html><html><head><title>Sign in</title></head></html>"
INSTEAD = {
    "empty": (b"", "is empty"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "lfs pull"),
    "page": (PAGE, "is a web page, such as one to sign in"),
    "page with a mark": (b"\xef\xbb\xbf" + PAGE, "is a web page"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied', "is a web page"),
    "message": (b'{"error": "Invalid credentials"}', "is a text"),
    "anything": (b"\x89PNG\r\n\x1a\n", "is no weights file of torch or safetensors"),
}


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".safetensors"])
@pytest.mark.parametrize("case", INSTEAD)
def test_what_lies_in_the_place_of_weights_is_told(
    case: str, suffix: str, tmp_path: Path
) -> None:
    content, message = INSTEAD[case]
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(content)
    for look in (check_begin, read_weights):
        with pytest.raises(GemError) as error:
            look(path)
        assert message in str(error.value)
        assert str(path) in str(error.value)


def test_a_page_that_comes_instead_of_a_download_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "TRIES", 1)
    files = HubFiles("tiny/model", (("weights.safetensors",),))
    with serve({"weights.safetensors": b"x" * len(PAGE)}) as hub:
        hub.spoil_with = PAGE
        hub.spoiled.add("weights.safetensors")
        with point_at(hub.address, tmp_path / "hub"), pytest.raises(GemError) as error:
            run(files.fetch_steps())
    assert "is a web page, such as one to sign in" in str(error.value)
    assert "was not kept" in str(error.value)
    assert not list(tmp_path.rglob("*.incomplete"))
