"""What a download would bring, and whether it could be read: asked before it begins.

Neither torch nor open_clip is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.backbones import check_text, check_tower
from napari_gem.models.catalogue import configuration
from napari_gem.models.download import hub as downloads
from napari_gem.models.download.web import WebFile

if TYPE_CHECKING:
    from napari_gem.models.card import ModelCard
    from napari_gem.models.download.hub import Files


def check_readable(card: ModelCard, files: Files) -> None:
    """Refuse a model that could not be loaded once it is here.

    The hub is asked for the configuration where the catalogue has none.

    Raises
    ------
    GemError
        If its image tower cannot be read, or a package for its texts is missing.
    """
    config = configuration(card)
    if config is None:
        if card.architecture or isinstance(files, WebFile):
            return  # one that was added to open_clip by a program: it knows itself
        config = downloads.look_at_config(files.repository, files.revision)
    check_tower(card.name, config)
    check_text(card.name, config)


def describe(card: ModelCard, files: Files) -> ModelCard:
    """Fill up the card of a downloaded model: see `napari_gem.models.find.describe`."""
    # the catalogue tells it without the hub
    told = card if card.size is not None else downloads.describe(card, files)
    check_readable(card, files)
    return told
