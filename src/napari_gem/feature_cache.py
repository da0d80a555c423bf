"""Features of encoded images on disk, found again by what decides them.

An entry is a folder, made under another name and renamed when it is complete. Locks of
files keep two processes from writing one unfinished entry, and entries in use from
being removed; the system drops them with the process.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from napari_gem.cache_folder import FOLDER_VARIABLE, default_folder
from napari_gem.encoding import encode_steps, restrict
from napari_gem.memory import ERRORS, IfItFits, explained, is_out_of_memory
from napari_gem.reading import Picture, hash_steps
from napari_gem.records import from_json, to_json
from napari_gem.stored_array import RowWriter, StoredFeatures, create_features
from napari_gem.tiles import bands, plan_tiles
from napari_gem.types import (
    Appearance,
    EncodeParameters,
    Features,
    GemError,
    Progress,
    Region,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_gem.encoding import Partial, Watch
    from napari_gem.models import Model
    from napari_gem.scheduling import Schedule
    from napari_gem.types import LazyArray

LIMIT = 20 << 30
"""Bytes to keep."""

IN_MEMORY = 1 << 29
"""Features of at most so many bytes are read into memory."""

LOCK_SECONDS = 60.0
"""Locks younger than this are not looked at: they may be about to be taken."""


class CacheError(GemError):
    """The folder cannot be used; the image can be encoded without it."""


PART = ".part"
TILES = "tiles"


@dataclass(frozen=True)
class _Entry:
    """What is to be known of features besides their array."""

    image_embedding: tuple[float, ...]
    image_shape: tuple[int, int]
    patch: float
    model: str
    revision: str
    parameters: EncodeParameters
    appearance: Appearance
    region: Region | None
    device: str
    precision: str
    notices: tuple[str, ...]
    views: str


class FeatureCache:
    """Features on disk; those used longest ago go first.

    Parameters
    ----------
    folder
        Made if missing; None takes `default_folder`.
    limit
        Bytes to keep; the last entry and those in use are kept whatever their size.
    """

    def __init__(self, folder: Path | str | None = None, limit: int = LIMIT) -> None:
        self.folder = Path(folder) if folder else default_folder()
        self._limit = limit
        try:
            (self.folder / "locks").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheError(
                f"The folder '{self.folder}' for encoded images cannot be made "
                f"({error.strerror}). Set {FOLDER_VARIABLE} to another one."
            ) from error

    def entries(self) -> dict[str, int]:
        """Size in bytes of each entry, the one used longest ago first."""
        folders = [
            path
            for path in self.folder.iterdir()
            if path.is_dir() and path.name != "locks"
        ]
        by_age = sorted(folders, key=lambda path: path.stat().st_mtime_ns)
        return {path.name: _size(path) for path in by_age}

    def clear(self) -> int:
        """Remove all that is not in use, and count the bytes."""
        return sum(size for name, size in self.entries().items() if self._remove(name))

    def trim(self) -> None:
        """Remove what was used longest ago until the limit holds."""
        self._sweep()
        entries = self.entries()
        total = sum(entries.values())
        for name in list(entries)[:-1]:
            if total <= self._limit:
                break
            if self._remove(name):
                total -= entries[name]

    @explained
    def encode_steps(
        self,
        model: Model,
        pixels: LazyArray,
        appearance: Appearance,
        parameters: EncodeParameters | None = None,
        *,
        region: Region | None = None,
        partial: Partial | None = None,
        schedule: Schedule | None = None,
        digest: str = "",
        watch: Watch | None = None,
    ) -> Generator[Progress, None, Features]:
        """Encode an image, or find it encoded; parameters as `encoding.encode_steps`.

        An image that was stopped half-way goes on where it was. The digest is what
        `reading.hash_steps` gives; empty: it is computed.

        Raises
        ------
        CacheError
            If the disk is full, or the folder cannot be written.
        GemError
            As `encoding.encode_steps`.
        """
        parameters = parameters or model.card.encode
        picture = Picture(pixels, appearance)
        key = yield from _key_steps(model, pixels, appearance, parameters, digest)
        found = yield from self._find_any_steps(key, region, picture)
        if found is not None:
            return found
        name = _digest(key, region)
        with _Writing(self.folder, name) as writing:
            features = yield from encode_steps(
                model,
                pixels,
                appearance,
                parameters,
                region=region,
                partial=partial,
                keep=writing.begin,
                schedule=schedule,
                watch=watch,
            )
            writing.seal(features)
        found = yield from self._find_steps(name, check=False)
        self.trim()
        if found is None:
            raise CacheError("The encoded image was removed meanwhile. Run again.")
        return replace(found, picture=picture)

    @explained
    def find_steps(
        self,
        model: Model,
        pixels: LazyArray,
        appearance: Appearance,
        parameters: EncodeParameters,
        *,
        region: Region | None = None,
        digest: str = "",
    ) -> Generator[Progress, None, Features | None]:
        """Find an encoded image, or the whole of which it is a region; None if not."""
        picture = Picture(pixels, appearance)
        key = yield from _key_steps(model, pixels, appearance, parameters, digest)
        found = yield from self._find_any_steps(key, region, picture)
        return found

    def _find_any_steps(
        self, key: str, region: Region | None, picture: Picture
    ) -> Generator[Progress, None, Features | None]:
        for area in dict.fromkeys((region, None)):
            found = yield from self._find_steps(_digest(key, area))
            if found is not None:
                return restrict(replace(found, picture=picture), region)
        return None

    def _find_steps(
        self, name: str, *, check: bool = True
    ) -> Generator[Progress, None, Features | None]:
        """Read an entry and check it; one that is damaged is removed."""
        folder = self.folder / name
        lock = self._use(name)
        if not (folder / "entry.json").is_file():
            lock.release()
            return None
        try:
            features = _read(folder, lock)
            if check:
                count = len(bands(features.array))
                for number, band in enumerate(bands(features.array)):
                    yield Progress("Checking features", number, count)
                    features.array[band]
        except (GemError, ValueError, KeyError, *ERRORS) as error:
            lock.release()
            if is_out_of_memory(error) or type(error) is RuntimeError:
                raise
            self._remove(name)
            return None
        with suppress(OSError):
            os.utime(folder)
        if 2 * int(np.prod(features.array.shape)) <= IN_MEMORY:
            with IfItFits():
                array = np.asarray(features.array[:])
                lock.release()
                return replace(features, array=array)
        return features

    def _use(self, name: str) -> FileLock:
        lock = FileLock(self.folder / "locks" / f"{name}-{uuid.uuid4().hex}.lock")
        lock.acquire()
        return lock

    def _sweep(self) -> None:
        """Remove locks that nobody holds any more, but none that is being taken."""
        for path in (self.folder / "locks").iterdir():
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > LOCK_SECONDS:
                    _drop(path)

    def _remove(self, name: str) -> bool:
        entry = name.removesuffix(PART)
        for path in (self.folder / "locks").glob(f"{entry}*.lock"):
            if not _drop(path):
                return False
        gone = self.folder / f"{name}.gone-{uuid.uuid4().hex}"
        try:
            (self.folder / name).rename(gone)
        except OSError:
            return False
        shutil.rmtree(gone, ignore_errors=True)
        return True


class _Writing:
    """An entry while it is made."""

    def __init__(self, folder: Path, name: str) -> None:
        self._target = folder / name
        self._part = folder / (name + PART)
        self._lock = FileLock(folder / "locks" / f"{name}.lock")
        self._sink: _Sink | None = None

    def __enter__(self) -> _Writing:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:  # another process makes it: this one makes its own
            own = f"{self._target.name}.{uuid.uuid4().hex}"
            self._part = self._part.with_name(own + PART)
            self._lock = FileLock(Path(self._lock.lock_file).with_name(f"{own}.lock"))
            self._lock.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()
        if self._part.name != self._target.name + PART:
            shutil.rmtree(self._part, ignore_errors=True)

    def begin(
        self, shape: tuple[int, int, int], parameters: EncodeParameters, where: str
    ) -> _Sink:
        self._sink = _Sink(self._part, shape, parameters, where)
        return self._sink

    def seal(self, features: Features) -> None:
        views = self._part / "views.npy"
        entry = _Entry(
            image_embedding=tuple(float(x) for x in features.image_embedding),
            image_shape=features.image_shape,
            patch=features.patch,
            model=features.model,
            revision=features.revision,
            parameters=features.parameters,
            appearance=features.appearance,
            region=features.region,
            device=features.device,
            precision=features.precision,
            notices=features.notices,
            views=_hash(views),
        )
        (self._part / "entry.json").write_text(to_json(entry), encoding="utf-8")
        (self._part / "state.json").unlink(missing_ok=True)
        shutil.rmtree(self._part / TILES, ignore_errors=True)
        try:
            self._part.rename(self._target)
        except OSError:  # somebody else was faster
            shutil.rmtree(self._part, ignore_errors=True)


class _Sink:
    """Writes features to an unfinished entry, or goes on with it."""

    def __init__(
        self,
        folder: Path,
        shape: tuple[int, int, int],
        parameters: EncodeParameters,
        where: str,
    ) -> None:
        self.folder = folder
        self._state = {
            "shape": list(shape),
            "parameters": to_json(parameters),
            "where": where,
        }
        known = self._resume()
        tiles = len(plan_tiles(*shape[:2], parameters.tile, parameters.overlap))
        views = folder / "views.npy"
        if known is None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            _check_room(folder, 2 * shape[0] * shape[1] * shape[2])
            array = create_features(folder / "features", shape)
            np.save(views, np.zeros((tiles, shape[2]), np.float32))
        else:
            import zarr

            array = zarr.open_array(store=str(folder / "features"), mode="r+")
        self.views: NDArray[np.float32] = np.load(views)
        self._writer = RowWriter(array, done=known or 0)
        if known is None:
            self._save()

    @property
    def done(self) -> int:
        return self._writer.done

    def write(self, rows: slice, features: NDArray[np.float32]) -> None:
        try:
            if self._writer.write(rows, features.astype(np.float16)):
                self._save()
        except OSError as error:
            raise _full(self.folder, error) from error

    def finish(self) -> StoredFeatures:
        try:
            self._writer.close()
            self._save()
        except OSError as error:
            raise _full(self.folder, error) from error
        return StoredFeatures(self.folder / "features")

    def _save(self) -> None:
        np.save(self.folder / "views.new.npy", self.views)
        (self.folder / "views.new.npy").replace(self.folder / "views.npy")
        state = json.dumps(self._state | {"done": self._writer.done})
        (self.folder / "state.new").write_text(state)
        (self.folder / "state.new").replace(self.folder / "state.json")

    def _resume(self) -> int | None:
        try:
            state: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        except (OSError, ValueError):
            return None
        done = int(state.pop("done"))
        return done if state == self._state else None


def _key_steps(
    model: Model,
    pixels: LazyArray,
    appearance: Appearance,
    parameters: EncodeParameters,
    digest: str,
) -> Generator[Progress, None, str]:
    """Tell what decides the features, whatever the region."""
    if not digest:
        digest = yield from hash_steps(pixels)
    made_by = model.card.id, model.revision, model.device, model.precision
    return _digest(digest, appearance, made_by, parameters)


def _drop(path: Path) -> bool:
    """Remove a lock unless somebody holds it."""
    try:
        with FileLock(path, timeout=0):
            pass
        path.unlink(missing_ok=True)
    except Timeout:
        return False
    except OSError:  # gone, or the system does not let go of it yet
        return not path.exists()
    return True


def _read(folder: Path, lock: FileLock) -> Features:
    entry = from_json(_Entry, (folder / "entry.json").read_text(encoding="utf-8"))
    if _hash(folder / "views.npy") != entry.views:
        raise GemError("The views are damaged.")
    return Features(
        array=StoredFeatures(folder / "features", lock),
        image_embedding=np.array(entry.image_embedding, np.float32),
        image_shape=entry.image_shape,
        patch=entry.patch,
        model=entry.model,
        revision=entry.revision,
        parameters=entry.parameters,
        appearance=entry.appearance,
        region=entry.region,
        views=np.load(folder / "views.npy"),
        device=entry.device,
        precision=entry.precision,
        notices=entry.notices,
    )


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise CacheError(
            f"The features take {size / 2**30:.1f} GiB in '{folder.parent}', where "
            f"{free / 2**30:.1f} GiB are free. Make room, choose a coarser detail, or "
            f"set {FOLDER_VARIABLE} to a folder on another disk."
        )


def _full(folder: Path, error: OSError) -> CacheError:
    return CacheError(
        f"'{folder}' cannot be written ({error.strerror or error}). Look whether the "
        f"disk is full, or set {FOLDER_VARIABLE} to a folder on another one."
    )


def _size(folder: Path) -> int:
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):  # being moved
                total += (Path(root) / name).stat().st_size
    return total


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
