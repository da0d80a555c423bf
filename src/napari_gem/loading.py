"""From a model's card to a backbone: the half of `models` that needs torch.

Folder, weights file, open_clip tag and hub repository all end in the same call of
`open_clip.create_model`, with weights that are already on this computer.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from napari_gem import download as downloads
from napari_gem.backbones import build_backbone
from napari_gem.backbones.open_clip_import import import_open_clip
from napari_gem.types import GemError, Progress
from napari_gem.weights import hash_file, misfit, read_shapes

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_gem.backbones import Backbone
    from napari_gem.types import ModelCard
    from napari_gem.weights import Shapes

PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

_PACKAGE = Path(__file__).parent
_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pth")


class Loaded(NamedTuple):
    """A backbone and what is to be known of it."""

    revision: str
    device: str
    precision: str
    backbone: Backbone


@dataclass(frozen=True)
class _Source:
    """What open_clip is to be called with."""

    name: str
    weights: Path
    options: dict[str, Any] = field(default_factory=dict)


def load_steps(
    card: ModelCard, device: str, precision: str, *, download: bool
) -> Generator[Progress, None, Loaded]:
    """Load a model step by step.

    Parameters
    ----------
    card
        Which one.
    device, precision, download
        As for `napari_gem.load_model`.

    Yields
    ------
    Progress
        Of the download and of loading.

    Returns
    -------
    Loaded
        The backbone in evaluation mode, on its device.

    Raises
    ------
    GemError
        If it is not here, does not fit or does not load.
    """
    where = choose_device(device)
    kind = choose_precision(precision, where)
    yield Progress("Loading model", 0, 3)
    source = yield from _source_steps(card, download)
    yield from _text_tower_steps(card, source, download)
    yield Progress("Loading model", 1, 3)
    revision = hash_file(source.weights)
    yield Progress("Loading model", 2, 3)
    clip, tokenizer = _create(card, source)
    clip = clip.eval().requires_grad_(False).to(where, PRECISIONS[kind])
    preprocess = import_open_clip().get_model_preprocess_cfg(clip)
    backbone = build_backbone(clip, tokenizer, preprocess["mean"], preprocess["std"])
    yield Progress("Loading model", 3, 3)
    return Loaded(revision, str(where), kind, backbone)


def choose_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps`` into a device.

    Raises
    ------
    GemError
        If there is no such device; the message names those there are.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = [f"cuda:{number}" for number in range(count)]
    there += ["mps"] if torch.backends.mps.is_available() else []
    there += ["cpu"]
    wanted = {"auto": there[0], "cuda": "cuda:0", "mps:0": "mps"}.get(name, name)
    if wanted not in there:
        raise GemError(
            f"The device '{name}' came; this computer has {', '.join(there)}. "
            "Choose one of these, or auto."
        )
    return torch.device(wanted)


def choose_precision(name: str, device: torch.device) -> str:
    """Turn ``auto`` or the name of a precision into the name of a precision."""
    if name == "auto":
        return "float16" if device.type == "cuda" else "float32"
    if name not in PRECISIONS:
        raise GemError(
            f"The precision '{name}' came; expected auto or {', '.join(PRECISIONS)}."
        )
    return name


def _source_steps(
    card: ModelCard, download: bool
) -> Generator[Progress, None, _Source]:
    kind, _, value = card.weights.partition(":")
    if kind == "package":
        return _folder_source(_PACKAGE / value)
    if kind == "folder":
        return _folder_source(Path(value))
    if kind == "file":
        return _Source(card.architecture, _there(Path(value)))
    if kind == "hf-hub":
        return (yield from _repository_steps(card, value, download))
    return (yield from _tag_steps(card, value, download))


def _repository_steps(
    card: ModelCard, repository: str, download: bool
) -> Generator[Progress, None, _Source]:
    config, weights = yield from downloads.fetch_steps(
        card,
        repository,
        downloads.MODEL,
        downloads.TOKENIZER,
        allowed=download,
    )
    return _folder_source(config.parent, weights)


def _folder_source(folder: Path, weights: Path | None = None) -> _Source:
    config = _there(folder / downloads.CONFIG)
    try:
        stated = json.loads(config.read_text(encoding="utf-8"))
        stated["model_cfg"]["vision_cfg"], stated["model_cfg"]["text_cfg"]
    except (ValueError, KeyError, TypeError) as error:
        raise GemError(
            f"'{config}' is no configuration of open_clip ({error!r}). It needs "
            "'model_cfg' with 'vision_cfg' and 'text_cfg'."
        ) from error
    return _Source(f"local-dir:{folder}", weights or _weights_in(folder))


def _weights_in(folder: Path) -> Path:
    """Find the weights that open_clip takes from a folder."""
    files = [path for path in folder.iterdir() if path.suffix in _WEIGHT_SUFFIXES]
    named = [folder / name for name in downloads.WEIGHTS if folder / name in files]
    if named or len(files) == 1:
        return (named or files)[0]
    came = ", ".join(sorted(path.name for path in files)) or "none"
    raise GemError(
        f"The folder '{folder}' must hold one weights file ({came} came). Name it "
        f"{' or '.join(downloads.WEIGHTS)}."
    )


def _tag_steps(
    card: ModelCard, tag: str, download: bool
) -> Generator[Progress, None, _Source]:
    open_clip = import_open_clip()
    stated = open_clip.get_pretrained_cfg(card.architecture, tag)
    if not stated.get("hf_hub"):
        tags = open_clip.list_pretrained_tags_by_model(card.architecture)
        near = difflib.get_close_matches(tag, tags, cutoff=0.3) or tags[:5]
        raise GemError(
            f"open_clip has no weights '{tag}' for {card.architecture}. "
            f"It has: {', '.join(near) or 'none'}."
        )
    # OWNER/REPOSITORY/FILE, where an empty FILE means open_clip's usual names
    repository, _, file = stated["hf_hub"].rpartition("/")
    if "hf_tokenizer_name" in open_clip.get_model_config(card.architecture)["text_cfg"]:
        # the repository has the tokenizer, which open_clip would fetch by itself
        return (yield from _repository_steps(card, repository, download))
    names = (Path(file).stem + ".safetensors", file) if file else downloads.WEIGHTS
    (weights,) = yield from downloads.fetch_steps(
        card, repository, [names], allowed=download
    )
    keep = ("mean", "std", "interpolation", "resize_mode")
    options = {
        "force_preprocess_cfg": {key: stated[key] for key in keep if key in stated},
        # the weights decide the activation, whatever the architecture's name says
        "force_quick_gelu": stated.get("quick_gelu", False),
    }
    return _Source(card.architecture, weights, options)


def _text_tower_steps(
    card: ModelCard, source: _Source, download: bool
) -> Generator[Progress, None, None]:
    """Get what a text tower of the transformers package needs besides weights."""
    text = import_open_clip().get_model_config(source.name)["text_cfg"]
    tower = text.get("hf_model_name")
    if not tower and not text.get("hf_tokenizer_name"):
        return
    if find_spec("transformers") is None:
        raise GemError(
            f"{card.name} reads text with the package transformers. Install it with "
            "'pip install transformers'."
        )
    if tower:
        yield from downloads.fetch_steps(
            card, tower, [("config.json",)], allowed=download
        )


def _create(card: ModelCard, source: _Source) -> tuple[torch.nn.Module, Any]:
    """Have open_clip make the model and its tokenizer."""
    open_clip = import_open_clip()
    shapes = read_shapes(source.weights)
    try:
        clip = open_clip.create_model(
            source.name, pretrained=_as_argument(source), **source.options
        )
        return clip, open_clip.get_tokenizer(source.name)
    except Exception as error:  # other people's configurations and weights
        reason = _why(source, shapes, error)
        fits = card.architecture or downloads.CONFIG
        raise GemError(
            f"'{source.weights}' does not fit {fits}: {reason}. Choose the "
            "architecture that the weights were trained with."
        ) from error


def _why(source: _Source, shapes: Shapes, error: Exception) -> str:
    try:
        empty = import_open_clip().create_model(
            source.name, load_weights=False, **source.options
        )
    except Exception:  # noqa: BLE001 (then the configuration is wrong, as error says)
        return str(error)
    wanted = {name: tuple(value.shape) for name, value in empty.state_dict().items()}
    return misfit(shapes, wanted) or str(error)


def _as_argument(source: _Source) -> str | None:
    return None if source.name.startswith("local-dir:") else str(source.weights)


def _there(path: Path) -> Path:
    if path.is_file():
        return path
    raise GemError(f"'{path}' is not there. Check the path, or install again.")
