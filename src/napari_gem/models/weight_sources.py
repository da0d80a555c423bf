"""Where the weights of a model come from: a class for each kind.

The field ``weights`` of a `ModelCard` names the kind; `weight_source` alone reads it.
Neither torch nor open_clip is imported, but for open_clip's tags outside the catalogue.
"""

from __future__ import annotations

import difflib
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_gem.backbones import check_text, check_tower
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import Domain
from napari_gem.core.progress import Progress, aside_steps
from napari_gem.core.sentences import some_of
from napari_gem.models.architectures import PACKAGE, carried, configuration
from napari_gem.models.card import DownloadNeeded, ModelCard
from napari_gem.models.configurations import (
    CONFIG,
    TOWER,
    check_architecture,
    check_file_name,
    check_repository,
    is_repository,
)
from napari_gem.models.download.hub import (
    MODEL,
    TOKENIZER,
    WEIGHTS,
    HubFiles,
    find_cached,
    read_config,
)
from napari_gem.models.download.web import WebFile
from napari_gem.prompts.domains import domain_named

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_gem.models.download.files import CachedFile

RemoteFiles = HubFiles | WebFile
"""What a model is downloaded from."""

_SUFFIXES = (".safetensors", ".bin", ".pth")
"""How weights end that open_clip takes from a folder."""


class LocalWeights(NamedTuple):
    """A weights file on this computer, and the folder that describes its model.

    The folder holds the configuration and the tokenizer's files; None if the
    architecture of the card tells the configuration.
    """

    file: Path
    folder: Path | None = None


class DomainWords(NamedTuple):
    """Words of a domain that a model was trained on.

    Attributes
    ----------
    classes
        The phrases of each class, which mean the same.
    background
        What competes with classes that are asked for.
    covers
        A word, and words for all or a part of what it means, which do not compete with
        it.
    """

    classes: tuple[tuple[str, ...], ...]
    background: tuple[str, ...]
    covers: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        """The phrases of all classes."""
        return tuple(phrase for phrases in self.classes for phrase in phrases)


@cache
def _words_by_domain(path: Path) -> dict[Domain, DomainWords]:
    """Read ``prompts.json``: phrases of each class, and background, by domain.

    Domains that are the same to us are joined.
    """
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    joined: dict[Domain, DomainWords] = {}
    covers = tuple((word, tuple(ws)) for word, ws in content.get("covers", {}).items())
    for name, classes in content["prompts"].items():
        domain = domain_named(name)
        if not domain:  # of images that we do not tell apart
            continue
        before = joined.get(domain, DomainWords((), ()))
        background = (*before.background, *content["background"].get(name, ()))
        joined[domain] = DomainWords(
            (*before.classes, *map(tuple, classes.values())),
            tuple(dict.fromkeys(background)),
            covers,
        )
    return joined


@dataclass(frozen=True)
class WeightSource:
    """What all kinds of weights can do; alone it stands for a kind that is not known.

    Attributes
    ----------
    card
        The model.
    """

    card: ModelCard

    @property
    def place(self) -> str:
        """What follows the kind in the card's field."""
        return self.card.weights.partition(":")[2]

    @property
    def _kind(self) -> str:
        return self.card.weights.partition(":")[0]

    @property
    def origin(self) -> str:
        """Where the model comes from, for whoever decides whether to trust it."""
        if self.own_path:
            return f"the {self._kind} '{self.place}'"
        return f"'{self.card.source or self.card.weights}'"

    @property
    def own_path(self) -> Path | None:
        """File or folder of the user's own."""
        return None

    def check(self) -> None:
        """Refuse a place that no weights can have; nothing is looked for."""

    def known_words(self) -> frozenset[str]:
        """Words that the model was trained on, if the list is closed."""
        return frozenset()

    def words_by_domain(self) -> dict[Domain, DomainWords]:
        """Words that the model was trained on, by the domain of the images."""
        return {}

    def stated_configuration(self) -> dict[str, Any]:
        """Read the configuration beside the weights; empty while there is none here."""
        return {}

    def remote_files(
        self, stated: dict[str, Any] | None = None
    ) -> tuple[RemoteFiles, ...]:
        """List the files of the hub or the web that the model needs.

        Parameters
        ----------
        stated
            Configuration in its repository; None takes what the cache has of it.

        Returns
        -------
        tuple[RemoteFiles, ...]
            The model's own first; then what its text tower needs besides weights. Empty
            for models of this computer, and for open_clip's tags outside the catalogue,
            whose repository open_clip alone knows.
        """
        text = self._configuration(stated).get("text_cfg", {})
        main = self._own_files(text)
        return () if main is None else (main, *_tower_files(text))

    def is_on_disk(self) -> bool:
        """Tell whether the model can be loaded without a download."""
        files = self.remote_files()
        return bool(files) and all(part.find() for part in files)

    def find(self) -> LocalWeights | None:
        """Find the weights on this computer; None if they are to be downloaded.

        Raises
        ------
        GemError
            If they are not where they are to be, or there are no such weights.
        """
        main = self._main_files()
        paths = main.find() if main else None
        return _local_weights(paths) if paths else None

    def check_exists(self) -> None:
        """Refuse a model of the user's own whose file or folder is gone.

        Raises
        ------
        GemError
            With its place.
        """
        if self.own_path and not self.is_on_disk():
            raise GemError(
                f"{self.card.name} is to be in '{self.own_path}', which is not there. "
                "Put it back, or take the model off the list and add it again."
            )

    def describe(self) -> ModelCard:
        """Tell what a download would bring, before anybody agrees to it.

        The hub is asked for models outside the catalogue.

        Returns
        -------
        ModelCard
            With the bytes still to come, and source and licence as the hub states
            them; as it was for the catalogue and for models that need no download.

        Raises
        ------
        GemError
            If there is no such model, it could not be loaded once it is here, or the
            hub cannot be asked. If a file of the user's own is gone.
        """
        self.check_exists()
        main = self._main_files()
        if main is None:
            return self.card
        # the catalogue tells the size without the hub
        known = self.card.size is not None
        card = self.card if known else main.look_up(self.card)
        self._check_readable(main)
        return card

    def fetch_steps(self) -> Generator[Progress, None, None]:
        """Download the model without loading it; closing the generator cancels that.

        Raises
        ------
        GemError
            If the download fails, or if what comes could not be loaded.
        """
        if self.is_on_disk():
            return
        self.check_exists()
        main = self._needed_files()
        check = partial(self._check_readable, main)
        yield from aside_steps("Asking the hub", check)
        yield from main.fetch_steps()
        # its configuration, which is here now, may name more
        for part in _tower_files(self._configuration().get("text_cfg", {})):
            if not part.find():
                yield from part.fetch_steps()

    def get_steps(self, *, download: bool) -> Generator[Progress, None, LocalWeights]:
        """Find the weights on this computer or, if the user agreed, download them."""
        local = self.find()
        if local:
            return local
        main = self._needed_files()
        card = yield from aside_steps(f"Asking the {main.server}", self.describe)
        if not download:
            raise DownloadNeeded(card)
        return _local_weights((yield from main.fetch_steps()))

    def card_options(self) -> dict[str, Any]:
        """Give what the card knows better than open_clip's configuration."""
        options: dict[str, Any] = {}
        if self.card.mean and self.card.std:
            colours = {"mean": self.card.mean, "std": self.card.std}
            options["force_preprocess_cfg"] = colours
        if self.card.activation == "QuickGELU":
            options["force_quick_gelu"] = True
        return options

    def build_options(self) -> dict[str, Any]:
        """Give what open_clip is told where only an architecture describes the model.

        Configurations of architectures have no mean and deviation: those of all weights
        that open_clip knows for it are taken if they agree.
        """
        open_clip, name = _open_clip(), self.card.architecture
        tags = open_clip.list_pretrained_tags_by_model(name)
        stated = [open_clip.get_pretrained_cfg(name, tag) for tag in tags]
        colours = {(tuple(t["mean"]), tuple(t["std"])) for t in stated if "mean" in t}
        options = {}
        if len(colours) == 1:
            ((mean, std),) = colours
            options["force_preprocess_cfg"] = {"mean": mean, "std": std}
        return options | self.card_options()

    def cached_files(self) -> tuple[CachedFile, ...]:
        """List the downloaded files that loading takes: configuration first.

        Of alternative files it is one.
        """
        parts = reversed(self.remote_files())
        return tuple(file for part in parts for file in part.cached_files())

    def cached_bytes(self) -> int:
        """Count the bytes that removing the model frees at most."""
        parts = self.remote_files()[:1]
        files = [file for part in parts for file in part.cached_files()]
        return sum(file.path.stat().st_size for file in files)

    def remove(self) -> int:
        """Remove the downloaded files and nothing else.

        The small configuration of a text tower stays, since models share it. What other
        programs have of the same repository stays too.

        Returns
        -------
        int
            Bytes that were freed.

        Raises
        ------
        GemError
            If a file cannot be removed.
        """
        try:
            return sum(part.remove() for part in self.remote_files()[:1])
        except OSError as error:
            raise GemError(
                f"{self.card.name} could not be removed ({error}). Close what uses it, "
                "and try again."
            ) from error

    def _own_files(self, _text: dict[str, Any]) -> RemoteFiles | None:
        """Name the files of the model itself; its text tower may need a tokenizer."""
        return None

    def _main_files(self) -> RemoteFiles | None:
        """Name the files of the model itself, also where open_clip must be asked."""
        return next(iter(self.remote_files()), None)

    def _needed_files(self) -> RemoteFiles:
        main = self._main_files()
        if main is None:
            raise GemError(
                f"There is no place such as '{self.card.weights}' for weights. Correct "
                "the entry of the model."
            )
        return main

    def _configuration(self, stated: dict[str, Any] | None = None) -> dict[str, Any]:
        config = configuration(self.card) or stated
        if config:
            return config
        try:
            return self.stated_configuration()
        except GemError:  # loading says why, and the model can still be removed
            return {}

    def _check_readable(self, main: RemoteFiles) -> None:
        """Refuse a model that could not be loaded once it is here."""
        config = configuration(self.card)
        if config is None:
            if self.card.architecture or isinstance(main, WebFile):
                return  # one that a program added to open_clip, which knows it
            config = main.read_configuration()
        check_tower(self.card.name, config)
        check_text(self.card.name, config)


class _DescribedFolder(WeightSource):
    """A folder with a configuration and weights."""

    @property
    def folder(self) -> Path:
        return Path(self.place)

    def stated_configuration(self) -> dict[str, Any]:
        return read_config(self.folder / CONFIG)

    def find(self) -> LocalWeights:
        """Find the weights that open_clip takes from a folder."""
        _check_is_file(self.folder / CONFIG)
        files = [path for path in self.folder.iterdir() if path.suffix in _SUFFIXES]
        named = [self.folder / name for name in WEIGHTS if self.folder / name in files]
        if named or len(files) == 1:
            return LocalWeights((named or files)[0], self.folder)
        names = some_of(sorted(path.name for path in files)) or "none"
        raise GemError(
            f"The folder '{self.folder}' must hold one weights file; it holds "
            f"{names}. Name it {' or '.join(WEIGHTS)}."
        )


class PackageWeights(_DescribedFolder):
    """``package:FOLDER``: a model that comes with napari-gem."""

    @property
    def folder(self) -> Path:
        """Folder inside the package."""
        return PACKAGE / self.place

    def check(self) -> None:
        """Refuse what is no folder of napari-gem."""
        if not self.place.isidentifier():
            raise GemError(
                f"The model {self.card.id} has {self.card.weights[:120]!r} for "
                "weights, which is no folder of napari-gem. Correct the catalogue."
            )

    def known_words(self) -> frozenset[str]:
        """Read the words in the folder."""
        path = self.folder / "words.json"
        if not path.is_file():
            return frozenset()
        return frozenset(json.loads(path.read_text(encoding="utf-8")))

    def words_by_domain(self) -> dict[Domain, DomainWords]:
        """Read the words of each domain in the folder."""
        return _words_by_domain(self.folder / "prompts.json")

    def is_on_disk(self) -> bool:
        """Tell whether the folder was installed."""
        return (self.folder / CONFIG).is_file()


class FolderWeights(_DescribedFolder):
    """``folder:PATH``: a folder of the user's own."""

    @property
    def own_path(self) -> Path:
        """The folder."""
        return self.folder

    def is_on_disk(self) -> bool:
        """Tell whether there is such a folder."""
        return _exists(self.folder)


class FileWeights(WeightSource):
    """``file:PATH``: a weights file of the user's own."""

    @property
    def own_path(self) -> Path:
        """The file."""
        return Path(self.place)

    def is_on_disk(self) -> bool:
        """Tell whether there is such a file."""
        return _exists(self.own_path)

    def find(self) -> LocalWeights:
        """Find the file."""
        _check_is_file(self.own_path)
        return LocalWeights(self.own_path)


class HubWeights(WeightSource):
    """``hf-hub:OWNER/REPOSITORY`` with a configuration, or ``.../FILE`` alone."""

    def check(self) -> None:
        """Refuse a place that leads out of a repository of the hub."""
        repository, file = self._names
        check_repository(repository)
        if self.place.count("/") > 1:
            check_file_name(file)

    def stated_configuration(self) -> dict[str, Any]:
        """Read what the cache has of a repository outside the catalogue."""
        cached = None
        if is_repository(self.place):
            cached = find_cached(self.place, [[CONFIG]])
        return read_config(cached[0]) if cached else {}

    @property
    def _names(self) -> tuple[str, str]:
        owner, name, file = (*self.place.split("/", maxsplit=2), "", "")[:3]
        return f"{owner}/{name}", file

    def _own_files(self, _text: dict[str, Any]) -> HubFiles:
        repository, file = self._names
        revision = self.card.revision or None
        if file:
            return HubFiles(repository, ((file,),), revision=revision)
        return HubFiles(repository, MODEL, TOKENIZER, revision)


class OpenClipWeights(WeightSource):
    """``open_clip:TAG``: weights that open_clip has for the card's architecture."""

    def build_options(self) -> dict[str, Any]:
        """Give what open_clip says of a tag.

        The weights decide the activation, whatever the architecture's name says.
        """
        stated = self._stated()
        keep = ("mean", "std", "interpolation", "resize_mode")
        return {
            "force_preprocess_cfg": {key: stated[key] for key in keep if key in stated},
            "force_quick_gelu": stated.get("quick_gelu", False),
        }

    def _own_files(self, text: dict[str, Any]) -> HubFiles | None:
        # of the hub's address or a mirror's, as HF_ENDPOINT says
        repository = "/".join(self.card.source.split("/")[-2:])
        if not is_repository(repository):
            return None
        return self._files(repository, WEIGHTS, text)

    def _main_files(self) -> RemoteFiles:
        return super()._main_files() or self._ask_open_clip()

    def _ask_open_clip(self) -> HubFiles:
        """Find the repository of a tag outside the catalogue."""
        place = self._stated().get("hf_hub")
        if not place:
            open_clip, name = _open_clip(), self.card.architecture
            tags = open_clip.list_pretrained_tags_by_model(name)
            near = difflib.get_close_matches(self.place, tags, cutoff=0.3) or tags[:5]
            raise GemError(
                f"open_clip has no weights '{self.place}' for {name}. "
                f"It has: {', '.join(near) or 'none'}."
            )
        # OWNER/REPOSITORY/FILE, where an empty FILE means open_clip's usual names
        repository, _, file = place.rpartition("/")
        names = (Path(file).stem + ".safetensors", file) if file else WEIGHTS
        text = architecture_configuration(self.card)["text_cfg"]
        return self._files(repository, names, text)

    def _files(
        self, repository: str, names: tuple[str, ...], text: dict[str, Any]
    ) -> HubFiles:
        revision = self.card.revision or None
        if "hf_tokenizer_name" in text:
            # the repository has the tokenizer, which open_clip would fetch by itself
            return HubFiles(repository, MODEL, TOKENIZER, revision)
        return HubFiles(repository, (names,), revision=revision)

    def _stated(self) -> dict[str, Any]:
        stated: dict[str, Any]
        stated = _open_clip().get_pretrained_cfg(self.card.architecture, self.place)
        return stated


class WebWeights(WeightSource):
    """``https://...``: weights at an address, pinned by the card's SHA-256."""

    def check(self) -> None:
        """Refuse what is no address of weights, or comes without hash."""
        WebFile(self.card.weights, self.card.sha256)  # refuses what is none
        if not self.card.architecture:
            raise GemError(
                f"The model {self.card.id} names no architecture, which weights at an "
                "address need. Correct the catalogue."
            )

    def _own_files(self, _text: dict[str, Any]) -> WebFile:
        return WebFile(self.card.weights, self.card.sha256)


_KINDS: dict[str, type[WeightSource]] = {
    "package": PackageWeights,
    "folder": FolderWeights,
    "file": FileWeights,
    "hf-hub": HubWeights,
    "open_clip": OpenClipWeights,
    "http": WebWeights,
    "https": WebWeights,
}


def weight_source(card: ModelCard) -> WeightSource:
    """Tell where the weights of a model come from."""
    kind = card.weights.partition(":")[0]
    return _KINDS.get(kind, WeightSource)(card)


def architecture_configuration(card: ModelCard) -> dict[str, Any]:
    """Find the configuration that a card's architecture has, also by a program."""
    name = card.architecture
    stated = carried(name) or _open_clip().get_model_config(name)
    if not stated:
        raise GemError(
            f"open_clip has no architecture '{name}', which {card.name} is said to "
            "have. Install a newer open_clip, or correct the entry of the model."
        )
    return check_architecture(stated, name)


def _open_clip() -> Any:
    from napari_gem.backbones.open_clip_import import import_open_clip

    return import_open_clip()


def _tower_files(text: dict[str, Any]) -> tuple[HubFiles, ...]:
    """Name the configuration of a text tower that lies in another repository."""
    name = text.get("hf_model_name")
    return (HubFiles(name, ((TOWER,),)),) if name else ()


def _local_weights(paths: tuple[Path, ...]) -> LocalWeights:
    *others, weights = paths
    return LocalWeights(weights, others[0].parent if others else None)


def _exists(path: Path) -> bool:
    with suppress(OSError):  # too long a name, no right to look
        return path.exists()
    return False


def _check_is_file(path: Path) -> None:
    if not path.is_file():
        raise GemError(f"'{path}' is not there. Check the path, or install again.")
