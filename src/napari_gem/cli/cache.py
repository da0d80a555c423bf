"""The command line's ``napari-gem cache``: encoded images that are kept on disk."""

from __future__ import annotations

import typer

from napari_gem.core.sentences import bytes_text
from napari_gem.core.terminal import say

app = typer.Typer(help="List or clear the encoded images on disk.")


@app.callback(invoke_without_command=True)
def _list(context: typer.Context) -> None:
    """List the encoded images, the one used longest ago first, and their size."""
    if context.invoked_subcommand:
        return
    from napari_gem.encoding.feature_cache import LIMIT, FeatureCache

    cache = FeatureCache()
    entries = cache.entries()
    for name, size in entries.items():
        say(f"{bytes_text(size):>12}  {name}")
    total = bytes_text(sum(entries.values()))
    say(f"{total} of at most {bytes_text(LIMIT)} in '{cache.folder}'.")


@app.command()
def clear() -> None:
    """Remove all that no process uses."""
    from napari_gem.encoding.feature_cache import FeatureCache

    cache = FeatureCache()
    removed = cache.clear()
    left = len(cache.entries())
    more = f"; {left} in use were left" if left else ""
    say(f"{bytes_text(removed)} removed{more}.")
