"""What is said on a terminal: text that it can show, and that cannot command it."""

from __future__ import annotations

import sys

import typer

from napari_gem.foreign_text import shown


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
    """
    for line in lines:
        typer.echo(shown(line), err=aside)  # noqa: TID251 (the one place)
