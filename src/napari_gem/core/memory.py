"""What to try when the memory does not suffice.

What is done in portions is done in smaller ones (`Portion`), what only saves time is
left out (`IfItFits`), an image is encoded with less (`rungs`), a model computes
elsewhere (`places`); a notice tells what changes results. If nothing helps, the run
ends with `NoMemoryError`, a sentence (`explained`).
"""

from __future__ import annotations

import errno
import gc
import sys
from dataclasses import dataclass, replace
from functools import wraps
from traceback import clear_frames
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from napari_gem.core.errors import GemError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from napari_gem.core.parameters import EncodeParameters

Parameters = ParamSpec("Parameters")
Step = TypeVar("Step")
Returned = TypeVar("Returned")
Result = TypeVar("Result")

SMALLEST_TILE = 8
"""Patches: models see too little in smaller ones."""

HALF = {"cuda": "float16", "mps": "float16", "cpu": "bfloat16"}
"""Precision with half the memory, by kind of device."""

NO_MEMORY = (
    "The memory does not suffice for this. Choose a smaller detail (zoom), smaller "
    "tiles or fewer classes, crop the image, or choose the device cpu."
)

NO_THREADS = (
    "The system gives this program no more threads or processes: a limit is reached. "
    "Close other programs, or raise the limits ('ulimit -v', 'ulimit -u')."
)

NO_FILES = (
    "Too many files are open. Close other programs, or raise the limit ('ulimit -n')."
)

FEWEST_FILES = 64
"""Files that a program must be allowed to open: with less even libraries fail."""

ERRORS = (MemoryError, RuntimeError, OSError)
"""What a lack of memory is raised as; `is_out_of_memory` tells."""

_SIGNS = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "ALLOC_FAILED",
    "unable to mmap",
)


class NoMemoryError(GemError):
    """The memory suffices for nothing that was tried."""


class Portion:
    """How much is done at a time: half as much when the memory does not suffice.

    Parameters
    ----------
    size
        Rows, images or texts, at first.
    """

    def __init__(self, size: int) -> None:
        self.size = max(1, size)

    def over(
        self, whole: slice, work: Callable[[slice], Result]
    ) -> Iterator[tuple[slice, Result]]:
        """Work on all, a portion at a time, and yield each with what was made of it.

        Raises
        ------
        Exception
            What the work raises; a lack of memory only for a portion of one.
        """
        start = whole.start
        while start < whole.stop:
            some = slice(start, min(start + self.size, whole.stop))
            try:
                result = work(some)
            except ERRORS as error:
                if some.stop - start == 1 or not is_out_of_memory(error):
                    raise
            else:
                yield some, result
                start = some.stop
                continue
            self.size = (some.stop - start) // 2
            free_memory()


class IfItFits:
    """Around what only saves time: it is left out if the memory does not suffice."""

    def __enter__(self) -> None:
        """Try it."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        """Go on after a lack of memory."""
        if error is None or not is_out_of_memory(error):
            return False
        clear_frames(error.__traceback__)  # which hold what did not fit
        free_memory()
        return True


@dataclass(frozen=True)
class Place:
    """Where, and in which precision, a model computes.

    Attributes
    ----------
    device, precision
        See `napari_gem.models.model.Model`.
    given_up
        What was given up, such as ``on the processor``; empty for what was asked for.
    """

    device: str
    precision: str
    given_up: str = ""


def places(device: str, precision: str) -> Iterator[Place]:
    """List what was asked for and what takes less memory, the dearest first.

    Half the precision, then the processor; see `rungs` for images.
    """
    yield Place(device, precision)
    kind = device.partition(":")[0]
    half = HALF.get(kind, precision)
    if precision == "float32" and half != precision:
        yield Place(device, half, f"in {half}")
    if kind != "cpu":
        for place in places("cpu", "float32"):
            yield replace(place, given_up="on the processor")


@dataclass(frozen=True)
class Rung:
    """A way to encode an image.

    Attributes
    ----------
    device, precision
        See `napari_gem.models.model.Model`.
    parameters
        How to encode.
    notice
        A sentence for the user: what was given up; empty for what was asked for.
    """

    device: str
    precision: str
    parameters: EncodeParameters
    notice: str = ""


def rungs(device: str, precision: str, parameters: EncodeParameters) -> Iterator[Rung]:
    """List what was asked for and what takes less memory, the dearest first.

    Smaller tiles, then half the precision, then the same on the processor. Batches
    are halved before all of this, where they are made.
    """
    yield Rung(device, precision, parameters)
    smallest = parameters
    while smallest.tile > SMALLEST_TILE:
        smallest = _halved(smallest)
        change = f"the image was encoded in tiles of {smallest.tile} patches"
        yield Rung(device, precision, smallest, short_of_memory(change))
    kind = device.partition(":")[0]
    half = HALF.get(kind, precision)
    if precision == "float32" and half != precision:
        yield Rung(device, half, smallest, short_of_memory(f"it was encoded in {half}"))
    if kind != "cpu":
        for rung in rungs("cpu", "float32", parameters):
            yield replace(
                rung, notice=short_of_memory("the processor encoded the image")
            )


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether the memory of the computer or its GPU did not suffice."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(s in str(error) for s in _SIGNS)


def shortage(error: BaseException) -> str:
    """Say in a sentence what ran out: memory, threads, open files; empty for others."""
    if is_out_of_memory(error):
        return NO_MEMORY
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return NO_THREADS
    if isinstance(error, OSError) and error.errno == errno.EAGAIN:
        return NO_THREADS
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return NO_FILES
    if isinstance(error, RuntimeError) and "Too many open files" in str(error):
        return NO_FILES
    return ""


def check_open_files() -> None:
    """Refuse to begin where the system lets a program open only a few files.

    Raises
    ------
    GemError
        With the limit, and how it is raised.
    """
    if sys.platform == "win32":
        return
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if 0 <= limit < FEWEST_FILES:
        raise GemError(
            f"The system lets a program open {limit} files here, which is too few. "
            "Raise the limit, such as by 'ulimit -n 1024'."
        )


def explained(
    steps: Callable[Parameters, Generator[Step, None, Returned]],
) -> Callable[Parameters, Generator[Step, None, Returned]]:
    """Let steps raise `NoMemoryError`, which says what to do, if the memory is gone."""

    @wraps(steps)
    def run(
        *arguments: Parameters.args, **options: Parameters.kwargs
    ) -> Generator[Step, None, Returned]:
        try:
            return (yield from steps(*arguments, **options))
        except ERRORS as error:
            sentence = shortage(error)
            if not sentence:
                raise
            raise NoMemoryError(sentence) from error

    return run


def free_memory() -> None:
    """Give back what is not used, on all devices."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def _halved(parameters: EncodeParameters) -> EncodeParameters:
    tile = max(SMALLEST_TILE, parameters.tile // 2)
    overlap = parameters.overlap * tile // parameters.tile
    return replace(parameters, tile=tile, overlap=overlap)


def short_of_memory(change: str) -> str:
    """Say what was given up."""
    return f"The memory did not suffice, so {change}; results may differ a little."
