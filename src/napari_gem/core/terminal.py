"""What is said on a terminal: text that it can show, and that cannot command it."""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

SILENCED = ("asyncio", "tifffile")
"""Libraries that log what we say in a sentence, or leave out on purpose."""


def show_anything() -> None:
    r"""Let both streams replace what the console has no characters for.

    A console without Chinese then shows escapes such as ``\u6838``. Streams that are
    missing, or are none of Python's own, stay as they are.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def say(*lines: str, aside: bool = False) -> None:
    """Write lines; each stays one, whatever it holds.

    Parameters
    ----------
    lines
        What there is to say. Control characters are shown as such.
    aside
        Whether it is no result, so that results can be piped: to the error stream.

    Raises
    ------
    GemError
        If a result cannot be said, such as to a file on a full disk.
    BrokenPipeError
        If nobody reads on.
    """
    try:
        for line in lines:
            typer.echo(shown(line), err=aside)  # noqa: TID251 (the one place)
    except BrokenPipeError:
        raise
    except OSError as error:
        if aside:
            return  # nobody would read it
        raise GemError(
            f"What there is to say cannot be written ({error.strerror or error}). Look "
            "where the output goes to, such as a file on a full disk."
        ) from error


@contextmanager
def others_safe() -> Iterator[None]:
    """Show what other libraries log, and warn of, in lines that command nothing.

    Names and texts of files are in them.
    """
    handler = _Lines()
    root, before = logging.getLogger(), warnings.showwarning
    root.addHandler(handler)
    warnings.showwarning = _show_warning
    try:
        yield
    finally:
        root.removeHandler(handler)
        # a test, or who calls this, may have set another one meanwhile
        if warnings.showwarning is _show_warning:
            warnings.showwarning = before


class _Lines(logging.Handler):
    """Says warnings, one a line, without tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".")[0] not in SILENCED:
            say(record.getMessage(), aside=True)


def _show_warning(
    message: Warning | str, category: type[Warning], *_: object, **__: object
) -> None:
    say(f"{category.__name__}: {message}", aside=True)
