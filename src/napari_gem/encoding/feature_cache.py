"""Features of encoded images on disk, found again by what decides them.

An entry is a folder, made under another name and renamed when it is complete. Locks of
files keep two processes from writing one unfinished entry, and entries in use from
being removed; the system drops them with the process. All of an entry has checksums,
and whatever is raised while it is read is damage: it is removed and made anew.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from napari_gem.core import atomic
from napari_gem.core.appearance import Appearance
from napari_gem.core.arrays import bands
from napari_gem.core.checked_files import (
    DamagedError,
    hash_file,
    read_checked,
    write_checked,
)
from napari_gem.core.errors import GemError
from napari_gem.core.folders import FOLDER_VARIABLE, default_folder
from napari_gem.core.json_records import from_json, to_json
from napari_gem.core.memory import IfItFits, explained, is_out_of_memory
from napari_gem.core.parameters import EncodeParameters
from napari_gem.core.path_names import is_too_long
from napari_gem.core.progress import Progress
from napari_gem.core.region import Region
from napari_gem.core.results import Encoding, Features, Job
from napari_gem.core.sentences import bytes_text
from napari_gem.encoding.encode import encode_steps, restrict
from napari_gem.encoding.key import encoding_name, key_steps, region_key
from napari_gem.encoding.stored_features import (
    RowWriter,
    StoredFeatures,
    create_features,
)
from napari_gem.encoding.tiles import plan_tiles
from napari_gem.images.tile_reading import Picture, hash_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.encoding.encode import Partial, Watch
    from napari_gem.encoding.scheduling import Schedule
    from napari_gem.models.model import Model

LIMIT = 20 << 30
"""Bytes to keep."""

IN_MEMORY = 1 << 29
"""Features of at most so many bytes are read into memory."""

LOCK_SECONDS = 60.0
"""Locks younger than this are not looked at: they may be about to be taken."""


ENCODED_ANEW = (
    "The image was encoded anew, since what was kept of it on disk was damaged."
)


class CacheError(GemError):
    """The folder cannot be used; the image can be encoded without it."""


PART = ".part"
GONE = ".gone-"
TILES = "tiles"
FEATURES, ENTRY, STATE, TILE_EMBEDDINGS = "features", "entry", "state", "views"

INSIDE = f"{'0' * 32}{PART}/{FEATURES}/c/100/100/0.{'0' * 32}.partial"
"""The longest path in the folder, as a rule."""

# the folder is the user's choice and may hold other things, which are never touched
_OURS = re.compile(r"[0-9a-f]{32}(\.[0-9a-f]{32})?(\.part)?(\.gone-[0-9a-f]{32})?")
_OUR_LOCK = re.compile(r"[0-9a-f]{32}([.-][0-9a-f]{32})?\.lock")
_LEFT = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{32}\.part|.*\.gone-[0-9a-f]{32}")


@dataclass(frozen=True, eq=False, kw_only=True)
class _Entry(Encoding):
    """Features but for their arrays, and the hash of the metadata of theirs."""

    image_embedding: tuple[float, ...]
    metadata: str


@dataclass(frozen=True)
class _State:
    """What an unfinished entry is to become, and how far it is.

    Attributes
    ----------
    metadata
        Hash of the metadata of its array.
    done
        Rows of patches that are written.
    """

    shape: tuple[int, int, int]
    parameters: EncodeParameters
    where: str
    metadata: str = ""
    done: int = 0


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
        self._damaged: set[str] = set()
        if is_too_long(self.folder / INSIDE):
            raise CacheError(
                f"The path of the folder '{self.folder}' for encoded images is too "
                f"long for Windows. Set {FOLDER_VARIABLE} to one with a shorter path, "
                "or switch on long paths in Windows (LongPathsEnabled)."
            )
        try:
            (self.folder / "locks").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheError(
                f"The folder '{self.folder}' for encoded images cannot be made "
                f"({error.strerror}). Set {FOLDER_VARIABLE} to another one."
            ) from error

    def entries(self) -> dict[str, int]:
        """Size in bytes of each entry, the one used longest ago first.

        Raises
        ------
        CacheError
            If the folder cannot be read.
        """
        try:
            paths = [path for path in self.folder.iterdir() if _is_ours(path)]
        except OSError as error:
            raise CacheError(
                f"The folder '{self.folder}' for encoded images cannot be read "
                f"({error.strerror or error}). Set {FOLDER_VARIABLE} to another one."
            ) from error
        return {path.name: _size(path) for path in sorted(paths, key=_age)}

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

    def check_room(self, shape: tuple[int, int, int]) -> None:
        """Refuse features for which no room could be made, which cannot be here either.

        Parameters
        ----------
        shape
            Their rows, columns and channels.

        Raises
        ------
        CacheError
            If they take more than is free and all entries together.
        """
        if 2 * prod(shape) > shutil.disk_usage(self.folder).free:
            _check_room(self.folder, shape, kept=sum(self.entries().values()))

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
        watch: Watch | None = None,
        key: str = "",
    ) -> Generator[Progress, None, Features]:
        """Encode an image, or find it encoded; parameters as `encode.encode_steps`.

        An image that was stopped half-way goes on where it was. The key is that of
        `key.key_steps`, which is asked if it is empty.

        Raises
        ------
        CacheError
            If the disk is full, or the folder cannot be written.
        GemError
            As `encode.encode_steps`.
        """
        parameters = parameters or model.card.encode
        picture = Picture(pixels, appearance)
        key = key or (yield from key_steps(model, pixels, appearance, parameters))
        kept = yield from self.find_steps(key, region, picture)
        if kept is not None:
            return kept
        name = region_key(key, region)
        self._sweep_parts()
        with _Writing(self.folder, name) as writing:
            if (yield from writing.check_steps()):
                self._damaged.add(name)
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
            known = name not in self._damaged
            kept = writing.seal(features, self._remove, trusted=known)
        if kept is None:
            kept = yield from self._find_steps(name, check=False)
        self.trim()
        if kept is None:
            raise CacheError("The encoded image was removed meanwhile. Run again.")
        if self._damaged & {name, region_key(key, None)}:
            self._damaged.clear()
            kept = replace(kept, notices=(*kept.notices, ENCODED_ANEW))
        return replace(kept, picture=picture)

    def holds_steps(
        self, job: Job, pixels: LazyArray
    ) -> Generator[Progress, None, bool]:
        """Tell whether the image of a job is kept here, without its model.

        Entries say which model made them, of which weights, and how: the pixels are
        hashed only if there are some of this model, shape and appearance.

        Parameters
        ----------
        job
            With its `encode`; a device or precision of ``auto`` may be any.
        pixels
            As `encode_steps` takes them.
        """
        names = {name: self._peek(name) for name in self.entries()}
        like = {
            name: entry for name, entry in names.items() if _fits(entry, job, pixels)
        }
        if not like:
            return False
        digest = yield from hash_steps(pixels)
        return any(
            entry is not None and encoding_name(digest, entry) == name
            for name, entry in like.items()
        )

    def _peek(self, name: str) -> _Entry | None:
        """Read how an entry was encoded; None if it cannot be read."""
        try:
            return from_json(_Entry, read_checked(self.folder / name / ENTRY))
        except Exception:  # noqa: BLE001 (unfinished, damaged, or just removed)
            return None

    @explained
    def find_steps(
        self, key: str, region: Region | None, picture: Picture
    ) -> Generator[Progress, None, Features | None]:
        """Find an encoded region, or the whole of which it is one; None if not."""
        for area in dict.fromkeys((region, None)):
            kept = yield from self._find_steps(region_key(key, area))
            if kept is not None:
                return restrict(replace(kept, picture=picture), region)
        return None

    def _find_steps(
        self, name: str, *, check: bool = True
    ) -> Generator[Progress, None, Features | None]:
        """Read an entry and check it; one that is damaged is removed."""
        folder = self.folder / name
        lock = self._use(name)
        if not os.path.lexists(folder):
            lock.release()
            return None
        try:
            features = _read(folder, lock)
            if check:
                count = len(bands(features.array))
                for number, band in enumerate(bands(features.array)):
                    yield Progress("Checking features", number, count)
                    features.array[band]
        # zarr, numpy and the file system raise their own classes
        except Exception as error:
            lock.release()
            if is_out_of_memory(error):
                raise
            self._remove(name)
            self._damaged.add(name)
            return None
        with suppress(OSError):
            os.utime(folder)
        return _taken(features, lock)

    def _use(self, name: str) -> FileLock:
        lock = FileLock(self.folder / "locks" / f"{name}-{uuid.uuid4().hex}.lock")
        _acquire(lock)
        return lock

    def _sweep(self) -> None:
        """Remove locks that nobody holds any more, but none that is being taken."""
        with suppress(OSError):
            for path in (self.folder / "locks").iterdir():
                with suppress(OSError):
                    ours = _OUR_LOCK.fullmatch(path.name)
                    if ours and time.time() - path.stat().st_mtime > LOCK_SECONDS:
                        _drop(path)

    def _sweep_parts(self) -> None:
        """Remove what dead processes left, but not what can be gone on with."""
        with suppress(OSError):
            for path in list(self.folder.iterdir()):
                if _is_ours(path) and _LEFT.fullmatch(path.name):
                    self._remove(path.name)

    def _remove(self, name: str) -> bool:
        """Remove an entry, whatever is left of it, unless it is in use."""
        path = self.folder / name
        if GONE in name:
            atomic.remove(path)
            return not os.path.lexists(path)
        entry = name.removesuffix(PART)
        for lock in (self.folder / "locks").glob(f"{entry}*.lock"):
            if not _drop(lock):
                return False
        gone = self.folder / f"{name}{GONE}{uuid.uuid4().hex}"
        try:
            path.rename(gone)
        except OSError:
            return False
        atomic.remove(gone)
        return True


class _Writing:
    """An entry while it is made."""

    def __init__(self, folder: Path, name: str) -> None:
        self._target = folder / name
        self._part = folder / (name + PART)
        self._lock = FileLock(folder / "locks" / f"{name}.lock")
        self._sink: _Sink | None = None
        self._stays = False

    def __enter__(self) -> _Writing:
        try:
            _acquire(self._lock, timeout=0)
        except Timeout:  # another process makes it: this one makes its own
            self._take_own()
        return self

    def __exit__(self, *error: object) -> None:
        if self._stays:
            return  # the lock goes with the features
        self._lock.release()
        if self._part.name != self._target.name + PART:
            atomic.remove(self._part)

    def check_steps(self) -> Generator[Progress, None, bool]:
        """Remove what a stopped run left if it is damaged, and tell whether it was."""
        if not os.path.lexists(self._part):
            return False
        damaged = False
        try:
            state = _read_state(self._part)
            _read_tile_embeddings(self._part)
            array = _open_features(self._part, state.metadata)
            for band in bands(array):
                if band.start < state.done:
                    yield Progress("Checking features", band.start, state.done)
                    array[band.start : min(band.stop, state.done)]
        # zarr, numpy and the file system raise their own classes
        except Exception as error:
            if is_out_of_memory(error):
                raise
            # one that was killed before it wrote anything has no state
            damaged = not isinstance(error, FileNotFoundError)
            atomic.remove(self._part)
        if os.path.lexists(self._part) and damaged:
            self._lock.release()
            self._take_own()
        return damaged

    def begin(
        self, shape: tuple[int, int, int], parameters: EncodeParameters, where: str
    ) -> _Sink:
        try:
            self._sink = _Sink(self._part, _State(shape, parameters, where))
        except OSError as error:
            raise _full(self._part, error) from error
        return self._sink

    def seal(
        self, features: Features, remove: Callable[[str], bool], *, trusted: bool
    ) -> Features | None:
        """Give the entry its place, unless a trusted one is there.

        Returns None if an entry is in the place; else features to be read where they
        lie.
        """
        entry = _Entry(
            **_encoding(features),
            image_embedding=tuple(float(x) for x in features.image_embedding),
            metadata=hash_file(_metadata(self._part)),
        )
        try:
            write_checked(self._part / ENTRY, to_json(entry).encode())
        except OSError as error:
            raise _full(self._part, error) from error
        atomic.remove(self._part / TILES)
        for _ in range(2):
            if os.path.lexists(self._target):
                if trusted and _is_whole(self._target):  # somebody else was faster
                    atomic.remove(self._part)
                    return None
                remove(self._target.name)
            try:
                atomic.move(self._part, self._target)
            except OSError as error:
                if atomic.is_in_use(error):
                    break
            else:
                # until here a later run could have gone on with it
                atomic.remove(self._target / STATE)
                return None
        self._stays = True
        kept = _taken(_read(self._part, self._lock), self._lock)
        where = (
            f"The encoded image could not be moved to its place in "
            f"'{self._target.parent}', since another program uses that. It is used "
            "where it lies, and moved in a later run."
        )
        return replace(kept, notices=(*kept.notices, where))

    def _take_own(self) -> None:
        own = f"{self._target.name}.{uuid.uuid4().hex}"
        self._part = self._part.with_name(own + PART)
        self._lock = FileLock(Path(self._lock.lock_file).with_name(f"{own}.lock"))
        _acquire(self._lock)


class _Sink:
    """Writes features to an unfinished entry, or goes on with it."""

    def __init__(self, folder: Path, wanted: _State) -> None:
        self.folder = folder
        known = self._resume(wanted)
        shape, used = wanted.shape, wanted.parameters
        if known is None:
            atomic.remove(folder)
            folder.mkdir(parents=True)
            _check_room(folder.parent, shape)
            array = create_features(folder / FEATURES, shape)
            tiles = len(plan_tiles(*shape[:2], used.tile, used.overlap))
            self.tile_embeddings = np.zeros((tiles, shape[2]), np.float32)
        else:
            import zarr

            array = zarr.open_array(store=str(folder / FEATURES), mode="r+")
            self.tile_embeddings = _read_tile_embeddings(folder)
        self._state = replace(wanted, metadata=hash_file(_metadata(folder)))
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
        return StoredFeatures(self.folder / FEATURES)

    def _save(self) -> None:
        content = io.BytesIO()
        np.save(content, self.tile_embeddings)
        write_checked(self.folder / TILE_EMBEDDINGS, content.getvalue())
        state = replace(self._state, done=self._writer.done)
        write_checked(self.folder / STATE, to_json(state).encode())

    def _resume(self, wanted: _State) -> int | None:
        """Rows of an unfinished entry, which was checked; None if it is another."""
        try:
            state = _read_state(self.folder)
        except (OSError, GemError):
            return None
        same = wanted == replace(state, metadata="", done=0)
        return state.done if same else None


def _acquire(lock: FileLock, timeout: float = -1) -> None:
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise
    except (OSError, NotImplementedError) as error:
        raise CacheError(
            f"'{lock.lock_file}' cannot be locked ({error}). Set {FOLDER_VARIABLE} to "
            "a folder of your own on a disk of this computer."
        ) from error


def _drop(path: Path) -> bool:
    """Remove a lock unless somebody holds it."""
    try:
        with FileLock(path, timeout=0):
            pass
        path.unlink(missing_ok=True)
    except Timeout:
        return False
    # gone, or the system does not let go of it yet
    except (OSError, NotImplementedError):
        return not path.exists()
    return True


def _read(folder: Path, lock: FileLock) -> Features:
    """Read an entry but for its array; what is damaged raises anything."""
    entry = from_json(_Entry, read_checked(folder / ENTRY))
    return Features(
        **_encoding(entry),
        array=_open_features(folder, entry.metadata, lock),
        image_embedding=np.array(entry.image_embedding, np.float32),
        tile_embeddings=_read_tile_embeddings(folder),
    )


def _encoding(record: Encoding) -> dict[str, Any]:
    """Fields that features and entries share."""
    return {one.name: getattr(record, one.name) for one in fields(Encoding)}


def _taken(features: Features, lock: FileLock) -> Features:
    """Read small features into memory, which lets the entry go."""
    if 2 * int(np.prod(features.array.shape)) <= IN_MEMORY:
        with IfItFits():
            array = np.asarray(features.array[:])
            lock.release()
            return replace(features, array=array)
    return features


def _is_whole(folder: Path) -> bool:
    """Tell whether somebody made an entry that can be read, but for its array."""
    try:
        entry = from_json(_Entry, read_checked(folder / ENTRY))
        _read_tile_embeddings(folder)
        _open_features(folder, entry.metadata)
    except Exception:  # noqa: BLE001 (as in _find_steps)
        return False
    return True


def _fits(entry: _Entry | None, job: Job, pixels: LazyArray) -> bool:
    """Tell whether an entry may be of this job: what it says but for the pixels."""
    return (
        entry is not None
        and entry.image_shape == tuple(pixels.shape[:2])
        and entry.model == job.model
        and entry.parameters == job.encode
        and entry.appearance == job.appearance
        and entry.region in (job.region, None)
        and (job.device == "auto" or entry.device.startswith(job.device))
        and job.precision in ("auto", entry.precision)
    )


def _open_features(folder: Path, metadata: str, lock: object = None) -> StoredFeatures:
    """Open the array if its metadata are those that were written."""
    if hash_file(_metadata(folder)) != metadata:
        raise DamagedError(f"'{folder}' is damaged.")
    return StoredFeatures(folder / FEATURES, lock)


def _read_state(folder: Path) -> _State:
    return from_json(_State, read_checked(folder / STATE))


def _read_tile_embeddings(folder: Path) -> NDArray[np.float32]:
    content = io.BytesIO(read_checked(folder / TILE_EMBEDDINGS))
    embeddings: NDArray[np.float32] = np.load(content)
    return embeddings


def _metadata(folder: Path) -> Path:
    return folder / FEATURES / "zarr.json"


def _is_ours(path: Path) -> bool:
    return _OURS.fullmatch(path.name) is not None


def _age(path: Path) -> int:
    with suppress(OSError):  # being moved
        return path.lstat().st_mtime_ns
    return 0


def _check_room(folder: Path, shape: tuple[int, int, int], kept: int = 0) -> None:
    size, free = 2 * prod(shape), shutil.disk_usage(folder).free
    if free + kept < size:
        raise CacheError(
            f"The features take {bytes_text(size)} in '{folder}', where "
            f"{bytes_text(free)} are free. Make room, choose a coarser detail, or "
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
