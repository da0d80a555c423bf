"""Progress as a line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_gem.core.foreign_text import shown

if TYPE_CHECKING:
    from napari_gem.core.progress import Progress


def progress_text(progress: Progress) -> str:
    """Write progress as a line.

    Examples
    --------
    >>> from napari_gem.core.progress import Progress
    >>> progress_text(Progress("Encoding", 3, 12, 130.0))
    'Encoding: 25 %, about 2 min left'
    """
    text = shown(progress.stage)
    if progress.total:
        text += f": {100 * progress.done // progress.total} %"
    left = progress.seconds_left
    if left is None:
        return text
    if left < 100:
        return f"{text}, about {max(1, round(left))} s left"
    if left < 6000:
        return f"{text}, about {round(left / 60)} min left"
    return f"{text}, about {round(left / 3600)} h left"
