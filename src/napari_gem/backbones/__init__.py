"""CLIP models behind one interface: pixels to patch features, text to embeddings.

Each family of image towers is a module of this package that has a ``FAMILY``; there is
no list of them to edit (docs/how-to/new-backbone.md).
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Protocol

from napari_gem.core.errors import GemError
from napari_gem.core.parameters import GemParameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import Tensor

Rgb = tuple[float, float, float]

NO_ATTENTION = re.compile("(convnext|fastvit|resnet|swin|vitamin).*")
"""Towers of timm that have convolutions or windows where GEM needs attention among all
patches. ViTamin and FastViT have attention, but after convolutions that mix patches."""

INSTEAD = (
    "Choose a model with a vision transformer, such as ViT-B-16 of OpenAI, LAION, "
    "DataComp or MetaCLIP, SigLIP 2 or PE-Core-B-16."
)

TEXT_EXTRA = 'pip install "napari-gem[hf]"'
"""Command that installs the packages that some text towers and tokenizers need."""


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """Features of a batch of images.

    Attributes
    ----------
    patches
        (B, rows, columns, channels): features in the space of the text embeddings,
        not of unit length.
    image
        (B, channels): the model's own image embedding, not of unit length, whatever
        the method.
    """

    patches: Tensor
    image: Tensor


class Backbone(Protocol):
    """A CLIP model that gives features of patches.

    Attributes
    ----------
    patch_size
        Side of a patch in pixels.
    image_size
        Side in pixels of the images that the model was trained on.
    channels
        Length of an embedding.
    mean, std
        The model's normalisation of red, green, blue (0..1).
    context_length
        Tokens of a text that the model reads, start and end marks included.
    device, dtype
        Where and in what precision it computes.
    """

    @property
    def patch_size(self) -> int: ...  # noqa: D102
    @property
    def image_size(self) -> int: ...  # noqa: D102
    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def mean(self) -> Rgb: ...  # noqa: D102
    @property
    def std(self) -> Rgb: ...  # noqa: D102
    @property
    def context_length(self) -> int: ...  # noqa: D102
    @property
    def device(self) -> torch.device: ...  # noqa: D102
    @property
    def dtype(self) -> torch.dtype: ...  # noqa: D102

    def encode_patches(
        self, pixels: Tensor, parameters: GemParameters = ...
    ) -> PatchFeatures:
        """Encode images, with the method and settings given (default: the paper).

        Parameters
        ----------
        pixels
            (B, 3, height, width), floats 0..1, not normalised by mean and std; height
            and width are multiples of ``patch_size`` and may differ.
        parameters
            How features are taken from the model.

        Raises
        ------
        GemError
            If the shape does not fit or a parameter is out of range.
        """

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts: (texts, channels), not of unit length; long ones are cut."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count each text's tokens, marks included, before it is cut."""

    def kept_text(self, text: str) -> str:
        """Return the part of a text that the model reads, as its tokens spell it."""


class Family(Protocol):
    """Interface of a module's ``FAMILY``, usually the class of its backbone."""

    def accepts(self, clip: Any) -> bool:
        """Whether this family knows the model's image tower."""

    def __call__(self, clip: Any, tokenizer: Any, mean: Rgb, std: Rgb) -> Backbone:
        """Build the backbone; raise GemError if a part of the tower is not known."""


@cache
def families() -> tuple[Family, ...]:
    """Families of towers in this package, by the names of their modules."""
    names = sorted(module.name for module in iter_modules(__path__))
    modules = [import_module(f"{__name__}.{name}") for name in names]
    return tuple(m.FAMILY for m in modules if hasattr(m, "FAMILY"))


@cache
def readable() -> tuple[dict[str, str], ...]:
    """List the ``READS`` of each family's module: the towers that it reads.

    They are read from the source without importing the module, since processes without
    torch refuse models too, before their weights are downloaded.
    """
    paths = sorted(Path(__file__).parent.glob("*.py"))
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in paths)
    return tuple(
        ast.literal_eval(line.value)
        for tree in trees
        for line in tree.body
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "READS"
    )


def check_tower(name: str, config: Mapping[str, Any]) -> None:
    """Refuse a model whose image tower no family reads, by its configuration.

    Parameters
    ----------
    name
        Name of the model for the user.
    config
        Configuration of open_clip with the tower in ``vision_cfg``. The ``READS`` of a
        family have a regular expression for the text of each value that matters; the
        text of a missing value is empty.

    Raises
    ------
    GemError
        With the reason and what to choose instead.
    """
    tower = config["vision_cfg"]
    for reads in readable():
        if all(re.fullmatch(reads[k], str(tower.get(k, ""))) for k in reads):
            return
    trunk = tower.get("timm_model_name") or ""
    if isinstance(tower.get("layers"), list):
        trunk = "resnet"
    if NO_ATTENTION.fullmatch(trunk):
        why = (
            f"({trunk}) has no attention among all its patches in each of its layers, "
            "which GEM needs"
        )
    elif trunk:
        why = f"is timm's {trunk}, which is not supported yet"
    else:
        why = "pools or attends in a way that is not supported yet"
    raise GemError(f"The image tower of {name} {why}. {INSTEAD}")


def check_text(name: str, config: Mapping[str, Any]) -> None:
    """Refuse a model whose texts need the package transformers, if it is not there.

    Parameters
    ----------
    name
        Name of the model for the user.
    config
        Configuration of open_clip with text tower and tokenizer in ``text_cfg``.

    Raises
    ------
    GemError
        With the command that installs it.
    """
    text = config["text_cfg"]
    needed = text.get("hf_model_name") or text.get("hf_tokenizer_name")
    if needed and find_spec("transformers") is None:
        raise GemError(
            f"{name} reads text with the package transformers, which is not installed. "
            f"Install it with: {TEXT_EXTRA}"
        )


def build_backbone(
    clip: Any, tokenizer: Any, mean: Sequence[float], std: Sequence[float]
) -> Backbone:
    """Find the family of a model and make its backbone.

    Parameters
    ----------
    clip
        An open_clip model in evaluation mode, on its device and in its precision. It
        is used, neither copied nor changed.
    tokenizer
        The model's open_clip tokenizer.
    mean, std
        The model's normalisation, three numbers each.

    Raises
    ------
    GemError
        If no family knows the model's image tower.
    """
    red, green, blue = (float(value) for value in mean)
    r, g, b = (float(value) for value in std)
    for family in families():
        if family.accepts(clip):
            return family(clip, tokenizer, (red, green, blue), (r, g, b))
    tower = getattr(clip, "visual", clip)
    name = type(getattr(tower, "trunk", tower)).__name__
    raise GemError(
        f"The image tower {name} has no patches that can be compared with text. "
        f"{INSTEAD}"
    )
