"""What is known of a model without loading it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from napari_gem.core.errors import GemError
from napari_gem.core.parameters import EncodeParameters, ScoreParameters


@dataclass(frozen=True)
class ModelCard:
    """What is known of a model without loading it (an entry of ``models.toml``).

    Attributes
    ----------
    id
        What the user types: ``embedded``, ``ViT-B-16-quickgelu/openai`` ...
    name
        What the user reads.
    architecture
        Name of an open_clip model configuration; empty if the weights' folder or
        repository brings its own.
    weights
        Where the weights come from: ``package:FOLDER`` (shipped with us),
        ``open_clip:TAG``, ``hf-hub:OWNER/REPOSITORY``,
        ``hf-hub:OWNER/REPOSITORY/FILE`` (weights alone), ``https://...`` (weights
        alone, with ``sha256``), ``file:PATH`` or ``folder:PATH``.
    revision
        Commit of the hub's repository that is downloaded; empty if not pinned, so
        that the newest is.
    sha256
        Hash of the weights at an address of the web, 64 hexadecimal digits.
    domain
        ``demonstration``, ``general``, ``histology`` ...
    good_for
        One line.
    size
        Bytes to download; 0 if nothing is, None if not known.
    licence
        As far as known, else ``see model card``.
    source
        Page to read before downloading.
    activation
        ``GELU`` or ``QuickGELU``, as the weights were trained; empty if the model's own
        configuration decides.
    mean, std
        Normalisation of red, green, blue (0..1); None if the model's own configuration
        decides.
    context_length
        Tokens of a text that the model reads; None if not known before loading.
    citation
        Where it was published.
    encode, score
        Defaults that suit this model.
    known_words
        Single lower-case words that the model was trained on, if the list is closed
        (the embedded model); empty means open vocabulary.
    """

    id: str
    name: str
    architecture: str
    weights: str
    domain: str = "general"
    good_for: str = ""
    size: int | None = None
    licence: str = "see model card"
    source: str = ""
    revision: str = ""
    sha256: str = ""
    activation: Literal["", "GELU", "QuickGELU"] = ""
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    context_length: int | None = None
    citation: str = ""
    encode: EncodeParameters = field(default_factory=EncodeParameters)
    score: ScoreParameters = field(default_factory=ScoreParameters)
    known_words: frozenset[str] = frozenset()


class DownloadNeeded(GemError):  # noqa: N818 (an answer that is missing, no error)
    """A model is not on this computer, and nobody agreed to its download yet.

    Attributes
    ----------
    card
        The model with size, source and licence, as far as they can be known.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__(
            f"The model {card.name} is not on this computer: {size_text(card.size)} "
            f"from {card.source}, licence {card.licence}. Allow the download to get "
            "it (--download, download=True)."
        )
        self.card = card


def size_text(size: int | None) -> str:
    """Write the bytes of a download for the user."""
    if size is None:
        return "size not known"
    return f"about {size / 1e6:,.0f} MB" if size >= 1e6 else "less than 1 MB"
