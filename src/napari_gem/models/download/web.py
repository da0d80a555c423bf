"""Weights at an address of the web: pinned by their hash, kept in the user's cache."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote, urlsplit

from platformdirs import user_cache_path

from napari_gem.core.atomic import delete, move
from napari_gem.core.errors import GemError
from napari_gem.core.folders import named_folder
from napari_gem.core.progress import Progress, aside_steps
from napari_gem.models.download import transfer
from napari_gem.models.download.errors import explain_connection, failures
from napari_gem.models.download.files import CachedFile, Meter, check_room

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_gem.models.card import ModelCard

FOLDER_VARIABLE = "NAPARI_GEM_WEIGHTS"
"""Environment variable: folder for weights from the web."""

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
"""How weights files end."""

_ADDRESS = re.compile(r"https?://[^/\s]+/\S+")
_SHA256 = re.compile("[0-9a-f]{64}")


def weights_folder() -> Path:
    """Folder that has a folder for each file, named by its hash."""
    return named_folder(FOLDER_VARIABLE) or user_cache_path("napari-gem") / "weights"


def is_address(text: str) -> bool:
    """Tell whether a text is meant as an address of the web."""
    return text.startswith(("https:", "http:"))


@dataclass(frozen=True)
class WebFile:
    """A weights file of the web.

    Attributes
    ----------
    url
        With a part of the path that ends as weights files do.
    sha256
        Of the content, 64 hexadecimal digits: an address alone pins nothing.
    """

    url: str
    sha256: str
    server: ClassVar[str] = "server"

    def __post_init__(self) -> None:
        if not (_ADDRESS.fullmatch(self.url) and self._names()):
            raise GemError(
                f"'{self.url}' is no address of a weights file. Give one with https "
                f"that names the file ({', '.join(SUFFIXES)})."
            )
        if not _SHA256.fullmatch(self.sha256):
            given = f"this is '{self.sha256}'" if self.sha256 else "there is none"
            raise GemError(
                f"Weights at an address need their SHA-256, 64 digits of 0 to 9 and a "
                f"to f ({given}), since an address alone may bring anything. Take it "
                "from the page of the weights; where it has none, download the file "
                "yourself and give its path."
            )

    @property
    def repository(self) -> str:
        """The address, where files of the hub have their repository."""
        return self.url

    @property
    def revision(self) -> str:
        """The hash, where files of the hub have their commit."""
        return self.sha256

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The file's name, as for files of the hub."""
        return ((self.path.name,),)

    @property
    def extra(self) -> tuple[str, ...]:
        """Nothing else comes."""
        return ()

    @property
    def cache(self) -> Path:
        """Folder of all weights from the web."""
        return weights_folder()

    @property
    def path(self) -> Path:
        """Where the file is, or would be."""
        return self.cache / self.sha256 / self._names()[-1]

    def find(self) -> tuple[Path, ...] | None:
        """Find the file on this computer; None if it is not there."""
        return (self.path,) if self.path.is_file() else None

    def look_up(self, card: ModelCard) -> ModelCard:
        """Fill in the bytes still to come, if the server tells them."""
        size = 0 if self.find() else self.size()
        return replace(card, size=size, source=card.source or self.url)

    def size(self) -> int | None:
        """Ask the server for the bytes; None if it does not tell."""
        try:
            return transfer.url_size(self.url)
        except failures() as error:
            raise GemError(_explain(error, self)) from error

    def fetch_steps(self) -> Generator[Progress, None, tuple[Path, ...]]:
        """Download the file; what came of it is kept unless its hash is wrong.

        Raises
        ------
        GemError
            If the download fails.
        """
        if not self.find():
            size = (yield from aside_steps("Asking the server", self.size)) or 0
            check_room(size, self.cache, FOLDER_VARIABLE)
            steps = transfer.fetch_url_steps(self.url, self.sha256, self.path)
            try:
                yield from Meter(size).steps(steps, size)
            except failures() as error:
                raise GemError(_explain(error, self)) from error
            if size:
                yield Progress("Downloading", size, size)
        return (self.path,)

    def cached_files(self) -> list[CachedFile]:
        """List the file, if it is there."""
        paths = self.find() or ()
        return [CachedFile(self.url, self.sha256, path.name, path) for path in paths]

    def remove(self) -> int:
        """Delete the file and what is left of downloads; give the bytes freed."""
        size = self.path.stat().st_size if self.find() else 0
        delete(self.path.parent)
        return size

    def take_in(self, path: Path, _name: str, _revision: str) -> None:
        """Move a checked file to where it is looked for."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        move(path, self.path)

    def _names(self) -> list[str]:
        """Parts of the path that end as weights files do."""
        names = [unquote(part) for part in urlsplit(self.url).path.split("/")]
        plain = [re.sub(r"[^\w. -]", "_", name) for name in names]
        return [name for name in plain if name.lower().endswith(SUFFIXES)]


def _explain(error: Exception, file: WebFile) -> str:
    """Say in a sentence what the server or the system refused, and what to do."""
    from huggingface_hub import errors

    by_hand = (
        "download it with a browser, and give the file's path ('napari-gem models add')"
    )
    if isinstance(error, errors.HfHubHTTPError) and error.response is not None:
        status = error.response.status_code
        if status in (401, 403, 407):
            return f"{file.url} wants a login (answer {status}). Log in, {by_hand}."
        if status in (404, 410):
            return (
                f"There is nothing at {file.url} (answer {status}). Look on the page "
                "of the weights for their new address."
            )
        return f"{file.url} was refused (answer {status}). Try again later."
    return explain_connection(
        error,
        f"{file.url} could not be downloaded",
        file.url,
        file.cache,
        FOLDER_VARIABLE,
    )
