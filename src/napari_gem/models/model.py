"""A model that is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_gem.backbones import Backbone
    from napari_gem.core.parameters import EncodeParameters
    from napari_gem.models.card import ModelCard


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model.

    Attributes
    ----------
    card
        What is known of it, with its defaults.
    revision
        First 16 digits of the SHA-256 of the weights file.
    device, precision
        Where and how it computes: ``cpu``, ``cuda:0`` ...; ``float32`` ...
    backbone
        Reads images and texts.
    notice
        A sentence for the user if the memory did not suffice for what was asked for.
    texts
        Text embeddings made so far; whoever embeds words adds to it.
    neutral
        Mean features of pictures that show nothing, by the parameters of encoding
        (`napari_gem.scoring.word_levels`).
    """

    card: ModelCard
    revision: str
    device: str
    precision: str
    backbone: Backbone
    notice: str = ""
    texts: dict[tuple[str, tuple[str, ...]], NDArray[np.float32]] = field(
        default_factory=dict, repr=False
    )
    neutral: dict[EncodeParameters, NDArray[np.float32]] = field(
        default_factory=dict, repr=False
    )
