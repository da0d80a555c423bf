"""What a worker of a dask cluster does: it encodes tiles with a model it loads once."""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin, get_worker

from napari_gem._version import __version__
from napari_gem.cluster.stored_tiles import StoredTiles, open_tiles
from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.memory import NoMemoryError, free_memory
from napari_gem.core.parameters import EncodeParameters
from napari_gem.core.progress import run
from napari_gem.encoding.batches import encode_tiles
from napari_gem.encoding.scheduling import LocalSchedule, TileWork
from napari_gem.images.references import ImageReference, open_referenced_scene
from napari_gem.images.tile_reading import Picture
from napari_gem.models.card import DownloadNeeded, ModelCard
from napari_gem.models.find import find_model, is_available, load_model_steps
from napari_gem.models.weight_sources import weight_source
from napari_gem.scoring.refinement import shifts_in_bands
from napari_gem.segmentation.writing import Filled, fill

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_gem.encoding.batches import TileFeatures
    from napari_gem.images.scene import Scene
    from napari_gem.models.model import Model
    from napari_gem.scoring.patch_scores import RowRanges
    from napari_gem.segmentation.segment import Scored

MARK = "being-filled"
"""File in a folder that workers write to."""

NAME = "napari-gem"
"""Of the plugin of workers."""


@dataclass(frozen=True)
class Order:
    """How tiles of an image are to be encoded.

    The version is that of the sender's napari-gem. Pixels come with the order if there
    is no reference to the image; features are sent back if there is no folder of tiles.
    """

    version: str
    card: ModelCard
    revision: str
    precision: str
    parameters: EncodeParameters
    appearance: Appearance
    patch_size: int
    image: ImageReference | None = None
    tiles: str = ""
    token: str = ""


@dataclass(frozen=True, eq=False)
class FillOrder:
    """What is to be written, and where.

    Features are on disk, and the image is only needed if scores are refined, or masked
    where it holds no data. As long as the folder is to be filled, its file `MARK` has
    the token.
    """

    version: str
    scored: Scored
    image: ImageReference | None
    is_refined: bool
    is_masked: bool
    features: str
    folder: str
    labels: str
    maps: str
    token: str


@dataclass(frozen=True)
class WorkerReport:
    """What a worker tells about itself.

    Attributes
    ----------
    address, host
        Where it is.
    version, torch
        Of napari-gem and torch.
    devices
        Names of its GPUs; empty if it has none.
    model
        Where the model was loaded and its precision; empty if none was to be loaded.
    revision
        Of the model that was loaded.
    problem
        A sentence, if something failed.
    """

    address: str
    host: str
    version: str
    torch: str
    devices: tuple[str, ...]
    model: str = ""
    revision: str = ""
    problem: str = ""


class Encoder(WorkerPlugin):
    """Keeps the model and the image that a worker has in use."""

    name = NAME
    idempotent = True

    def setup(self, worker: Any) -> None:
        """Begin with nothing; called by dask in each worker."""
        self._address = str(worker.address)
        self._lock = Lock()
        self._model: tuple[object, Model] | None = None
        self._image: tuple[object, Scene | None] | None = None
        self._tiles: tuple[object, StoredTiles | None] | None = None

    def model(self, card: ModelCard, precision: str) -> Model:
        """Load a model, or take the one that is loaded.

        Raises
        ------
        GemError
            If it is not on the worker, or does not load.
        """
        key = card, precision
        with self._lock:
            if self._model is None or self._model[0] != key:
                self._model = None
                free_memory()
                self._model = key, self._load(card, precision)
            return self._model[1]

    def scene(self, reference: ImageReference) -> Scene | None:
        """Open an image; None if this worker does not see it."""
        with self._lock:
            if self._image is None or self._image[0] != reference:
                self._image = reference, open_referenced_scene(reference)
            return self._image[1]

    def tiles(self, order: Order) -> StoredTiles | None:
        """Open the tiles to write to; None if this worker does not see them."""
        key = order.tiles, order.token
        with self._lock:
            if self._tiles is None or self._tiles[0] != key:
                tiles = open_tiles(Path(order.tiles), order.token) if key[0] else None
                self._tiles = key, tiles
            return self._tiles[1]

    def _load(self, card: ModelCard, precision: str) -> Model:
        missing = GemError(
            f"The model {card.name} is not on the worker {self._address}. "
            f"{_how_to_bring(card)}"
        )
        if weight_source(card).remote_files() and not is_available(card):
            raise missing  # else the hub would be asked for its size
        try:
            return run(load_model_steps(card, precision=precision, exact=True))
        except NoMemoryError as error:
            raise NoMemoryError(f"On the worker {self._address}: {error}") from error
        except DownloadNeeded:
            raise missing from None
        except GemError as error:
            raise GemError(f"On the worker {self._address}: {error}") from error


def _how_to_bring(card: ModelCard) -> str:
    """Say how a model comes to this worker, whose list need not have it."""
    try:
        known = find_model(card.id).weights == card.weights
    except GemError:
        known = False
    if known:
        return f"Run 'napari-gem models download {card.id}' there."
    return (
        "Nor is it on the list there. Run 'napari-gem models export "
        f"{card.id} FILE' here and 'napari-gem models import FILE' there."
    )


def encode(
    order: Order,
    numbers: Sequence[int],
    images: Sequence[NDArray[np.float32]] | None = None,
) -> list[TileFeatures | None] | None:
    """Encode tiles on a worker.

    Parameters
    ----------
    order
        How.
    numbers
        Of the tiles.
    images
        What the model sees of each, if the order refers to no image.

    Returns
    -------
    list[TileFeatures | None] | None
        Features of each tile, None for one that was written to the order's folder;
        None if the worker does not see the image.

    Raises
    ------
    GemError
        If the worker has another version, another model or none.
    """
    worker = get_worker()
    _check_version(worker, order.version)
    encoder: Encoder = worker.plugins[NAME]
    scene = encoder.scene(order.image) if order.image else None
    if scene is None and images is None:
        return None
    try:
        model = encoder.model(order.card, order.precision)
    except NoMemoryError as error:
        raise MemoryError(str(error)) from error  # so that less is tried elsewhere
    if model.revision != order.revision:
        raise GemError(
            f"The weights of {order.card.name} on the worker {worker.address} are not "
            "those of this computer. Copy the same file to both."
        )
    if scene is None:
        encoded = list(encode_tiles(model, images or (), order.parameters, None))
    else:
        work = TileWork(
            scene.levels[0], order.appearance, order.parameters, order.patch_size
        )
        encoded = list(LocalSchedule(model)(work, numbers))
    stored = encoder.tiles(order)
    if stored is None:
        return [*encoded]
    for number, features in zip(numbers, encoded, strict=True):
        stored.put(number, features)
    return [None] * len(encoded)


def fill_part(order: FillOrder, part: RowRanges) -> list[Filled] | None:
    """Write a part of labels and probabilities; None if the worker does not see all."""
    import zarr

    worker = get_worker()
    _check_version(worker, order.version)
    folder = Path(order.folder)
    if not (Path(order.features).is_dir() and _is_wanted(folder, order.token)):
        return None
    scored = order.scored
    if order.image:
        scene = worker.plugins[NAME].scene(order.image)
        if scene is None or (order.is_masked and scene.mask is None):
            return None
        scored = _with_image(scored, scene, order)
    arrays = (zarr.open_array(at, mode="r+") for at in (order.labels, order.maps))
    done = []
    for filled in fill(scored, part, *arrays):
        done.append(filled)
        if not _is_wanted(folder, order.token):
            break
    if not _is_wanted(folder, order.token):
        # the run has ended: what was written since must not be left there
        shutil.rmtree(folder, ignore_errors=True)
    return done


def _with_image(scored: Scored, scene: Scene, order: FillOrder) -> Scored:
    """Mask and refine scores by the image that this worker sees."""
    features = scored.features
    if order.is_masked:
        features = replace(features, valid=scene.mask)
    scored = replace(scored, features=features)
    if not order.is_refined:
        return scored
    picture = Picture(scene.levels[0], features.appearance)
    shifts = shifts_in_bands(features, picture, scored.parameters.refinement)
    return replace(scored, shifts=shifts)


def _is_wanted(folder: Path, token: str) -> bool:
    try:
        return (folder / MARK).read_text() == token
    except OSError:
        return False


def _check_version(worker: Any, version: str) -> None:
    if version != __version__:
        raise GemError(
            f"The worker {worker.address} has napari-gem {__version__}, this computer "
            f"{version}. Install the same version on both."
        )


def report(card: ModelCard | None = None, precision: str = "auto") -> WorkerReport:
    """Tell what a worker is and has, and whether a model loads there."""
    import torch

    worker = get_worker()
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    about = WorkerReport(
        address=str(worker.address),
        host=socket.gethostname(),
        version=__version__,
        torch=str(torch.__version__),
        devices=tuple(torch.cuda.get_device_name(i) for i in range(count)),
    )
    if card is None:
        return about
    try:
        model = worker.plugins[NAME].model(card, precision)
    except GemError as error:
        return replace(about, problem=str(error))
    where = f"{model.device}, {model.precision}"
    return replace(about, model=where, revision=model.revision)
