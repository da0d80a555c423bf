"""From a model's card to a backbone: the half of `models` that needs torch.

Folder, weights file, open_clip tag and hub repository all end in the same call of
`open_clip.create_model`, with weights that are already on this computer and a folder of
what passed `napari_gem.models.configurations`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from platform import machine
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from napari_gem.backbones import build_backbone, check_text
from napari_gem.backbones.open_clip_import import import_open_clip
from napari_gem.backbones.open_clip_text import tokenizing
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown_error
from napari_gem.core.memory import (
    ERRORS,
    NoMemoryError,
    free_memory,
    is_out_of_memory,
    places,
    short_of_memory,
)
from napari_gem.core.parameters import PRECISIONS
from napari_gem.core.progress import Progress
from napari_gem.core.validation import check_precision
from napari_gem.models.build import build_empty, build_tokenizer, fill
from napari_gem.models.card import DownloadNeeded
from napari_gem.models.configurations import (
    CONFIG,
    TOWER,
    check_model,
    read_file,
    read_short,
)
from napari_gem.models.configurations.staging import staged
from napari_gem.models.download.hub import TOKENIZER, HubFiles
from napari_gem.models.first_bytes import check_begin
from napari_gem.models.model import Model
from napari_gem.models.weight_sources import architecture_configuration, weight_source
from napari_gem.models.weights import hash_file, misfit, read_weights, shapes

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_gem.backbones import Backbone
    from napari_gem.core.memory import Place
    from napari_gem.models.card import ModelCard

DTYPES = {name: getattr(torch, name) for name in PRECISIONS if name != "auto"}
"""What torch calls the precisions."""

_TOKENIZER = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model")
"""One of these makes a tokenizer."""


@dataclass(frozen=True)
class _Source:
    """What a model is to be built of.

    Attributes
    ----------
    stated
        Configuration, as `napari_gem.models.configurations.check_model` returns it.
    weights
        The file.
    options
        What else `open_clip.create_model` gets.
    folder
        Where the tokenizer's files lie, if the model brings its own.
    """

    stated: dict[str, Any]
    weights: Path
    options: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def text(self) -> dict[str, Any]:
        """Configuration of the text tower."""
        text: dict[str, Any] = self.stated["model_cfg"]["text_cfg"]
        return text


class _TextFiles(NamedTuple):
    """What the package transformers needs, checked; None and nothing if it does not."""

    tower: bytes | None
    tokenizer: dict[str, bytes]


def load_steps(
    card: ModelCard,
    device: str,
    precision: str,
    *,
    download: bool,
    exact: bool = False,
) -> Generator[Progress, None, Model]:
    """Load a model step by step, as `napari_gem.models.find.load_model_steps` says.

    If the memory does not suffice, it is loaded in half the precision, or on the
    processor, unless it is to be ``exact``.
    """
    where = choose_device(device)
    kind = choose_precision(precision, where)
    yield Progress("Loading model", 0, 3)
    source = yield from _source_steps(card, download)
    texts = yield from _text_steps(card, source, download)
    yield Progress("Loading model", 1, 3)
    check_begin(source.weights)  # what is no file has no end
    revision = hash_file(source.weights)
    yield Progress("Loading model", 2, 3)
    for place in places(str(where), kind):
        try:
            backbone = _backbone(card, source, texts, place)
        except ERRORS as error:
            if not is_out_of_memory(error):
                raise
        else:
            if hash_file(source.weights) != revision:
                raise GemError(
                    f"'{source.weights}' was changed while it was read. Load the model "
                    "again once the file is whole."
                )
            notice = ""
            if place.given_up:
                notice = short_of_memory(f"the model was loaded {place.given_up}")
            yield Progress("Loading model", 3, 3)
            return Model(
                card, revision, place.device, place.precision, backbone, notice
            )
        free_memory()
        if exact:
            break
    raise NoMemoryError(
        f"The memory does not suffice to load {card.name}. Close other programs, or "
        "choose a smaller model."
    )


def _backbone(
    card: ModelCard, source: _Source, texts: _TextFiles, place: Place
) -> Backbone:
    precision = DTYPES[place.precision]
    clip, tokenizer = _create(card, source, texts, precision)
    clip = clip.eval().requires_grad_(False).to(place.device, precision)
    preprocess = import_open_clip().get_model_preprocess_cfg(clip)
    return build_backbone(clip, tokenizer, preprocess["mean"], preprocess["std"])


def choose_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps`` into a device.

    Raises
    ------
    GemError
        If there is no such device; the message names those there are.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    devices = [f"cuda:{number}" for number in range(count)]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    devices += ["cpu"]
    wanted = {"auto": devices[0], "cuda": "cuda:0", "mps:0": "mps"}.get(name, name)
    if wanted not in devices:
        raise GemError(
            f"This computer has no device '{name}'; it has {', '.join(devices)}. "
            "Choose one of these, or auto."
        )
    return torch.device(wanted)


def choose_precision(name: str, device: torch.device) -> str:
    """Turn ``auto`` or the name of a precision into the name of a precision.

    ``auto`` is float16 on CUDA and float32 elsewhere: on a CPU bfloat16 gains little
    (docs/speed.md), and with float32 all processors give the same labels.
    """
    if name == "auto":
        return "float16" if device.type == "cuda" else "float32"
    check_precision(name)
    if not has_precision(name, device):
        raise GemError(
            f"The device {device} cannot compute with {name}, or only very slowly. "
            "Choose auto or float32."
        )
    return name


def has_precision(name: str, device: torch.device) -> bool:
    """Whether a device computes with a precision of `DTYPES`.

    An x86 processor without instructions for float16 does so dozens of times slower
    than with float32; that counts as no.
    """
    if name == "float16" and device.type == "cpu" and machine() in ("x86_64", "AMD64"):
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    try:
        one = torch.ones(1, 1, device=device, dtype=DTYPES[name])
        float(one @ one)
    except (RuntimeError, TypeError) as error:
        return is_out_of_memory(error)  # it has it, only no room now
    return True


def _source_steps(
    card: ModelCard, download: bool
) -> Generator[Progress, None, _Source]:
    """Get the weights, and read what the model is to be built of."""
    source = weight_source(card)
    weights, folder = yield from source.get_steps(download=download)
    if folder is not None:
        path = folder / CONFIG
        stated = check_model(read_short(path), str(path))
        return _Source(stated, weights, source.card_options(), folder)
    stated = {"model_cfg": architecture_configuration(card)}
    return _Source(stated, weights, source.build_options())


def _text_steps(
    card: ModelCard, source: _Source, download: bool
) -> Generator[Progress, None, _TextFiles]:
    """Get what the transformers package needs to read texts, besides weights."""
    check_text(card.name, source.stated["model_cfg"])
    tower = source.text.get("hf_model_name")
    described = None
    if tower:
        files = HubFiles(tower, ((TOWER,),))
        described = read_file((yield from _text_file_steps(card, files, download)))
    repository, folder = source.text.get("hf_tokenizer_name"), source.folder
    if not repository:
        return _TextFiles(described, {})
    if folder is None:
        files = HubFiles(repository, (_TOKENIZER,), TOKENIZER)
        folder = (yield from _text_file_steps(card, files, download)).parent
    paths = [folder / name for name in TOKENIZER]
    tokenizer = {path.name: read_file(path) for path in paths if path.is_file()}
    if not tokenizer.keys() & set(_TOKENIZER):
        raise GemError(
            f"The folder '{folder}' holds none of {', '.join(_TOKENIZER)}, which the "
            f"texts of {card.name} need. Copy the tokenizer's files there."
        )
    return _TextFiles(described, tokenizer)


def _text_file_steps(
    card: ModelCard, files: HubFiles, download: bool
) -> Generator[Progress, None, Path]:
    paths = files.find()
    if not paths and not download:
        raise DownloadNeeded(files.look_up(card))
    return (paths or (yield from files.fetch_steps()))[0]


def _create(
    card: ModelCard, source: _Source, texts: _TextFiles, dtype: torch.dtype
) -> tuple[Any, Any]:
    """Have open_clip make the model and its tokenizer, and give it its weights."""
    weights = read_weights(source.weights, dtype)
    given = shapes(weights)
    clip = None
    try:
        with staged(source.stated, *texts) as folder:
            clip = build_empty(folder, source.options)
            with tokenizing():
                tokenizer = build_tokenizer(folder, source.text)
        fill(clip, weights)
    except GemError:
        raise
    except Exception as error:  # other people's configurations and weights
        if is_out_of_memory(error):
            raise
        wanted = shapes(clip.state_dict()) if clip is not None else {}
        reason = (wanted and misfit(given, wanted)) or shown_error(error)
        fits = card.architecture or CONFIG
        raise GemError(
            f"'{source.weights}' does not fit {fits}: {reason}. Choose the "
            "architecture that the weights were trained with."
        ) from error
    return clip, tokenizer
