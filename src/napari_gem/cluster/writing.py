"""Who writes labels and probabilities: the workers of a dask cluster."""

from __future__ import annotations

import time
import uuid
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gem._version import __version__
from napari_gem.cluster.schedule import Tasks
from napari_gem.cluster.tasks import MARK, FillOrder, fill_part
from napari_gem.core.errors import GemError
from napari_gem.core.memory import IfItFits
from napari_gem.encoding.stored_features import StoredFeatures
from napari_gem.segmentation.writing import fill, fill_locally, parts

if TYPE_CHECKING:
    from collections.abc import Generator
    from threading import Event

    import zarr

    from napari_gem.cluster.connection import Cluster
    from napari_gem.images.references import ImageReference
    from napari_gem.scoring.patch_scores import RowRanges
    from napari_gem.segmentation.segment import Scored
    from napari_gem.segmentation.writing import Filled

END_SECONDS = 2.0
"""Workers get this long to end what they write; they look after each strip."""


class FillOnCluster:
    """Has parts written by a cluster: a `napari_gem.segmentation.writing.Filling`.

    Workers need to see the features on disk, the folder of the results and, for refined
    scores and images with no data, the image. What they do not see is written here, as
    are features in memory.

    Parameters
    ----------
    cluster
        A connection.
    image
        Where workers may find the image; None if they cannot.
    has_mask
        Whether what they find says where the image holds data.
    """

    def __init__(
        self,
        cluster: Cluster,
        image: ImageReference | None = None,
        *,
        has_mask: bool = True,
    ) -> None:
        self._cluster = cluster
        self._image, self._has_mask = image, has_mask

    def __call__(
        self,
        scored: Scored,
        labels: zarr.Array[Any],
        maps: zarr.Array[Any],
        folder: Path,
        /,
    ) -> Generator[Filled | str, None, None]:
        """Keep the workers busy, and tell what they have written."""
        features, refined = scored.features, scored.shifts is not None
        masked = features.valid is not None
        unseen = (refined or masked) and self._image is None
        unseen = unseen or (masked and not self._has_mask)
        if not isinstance(features.array, StoredFeatures) or unseen:
            yield from fill_locally(scored, labels, maps)
            return
        order = FillOrder(
            version=__version__,
            scored=replace(
                scored,
                features=replace(
                    features, tile_embeddings=None, picture=None, valid=None
                ),
                shifts=None,
            ),
            image=self._image if refined or masked else None,
            is_refined=refined,
            is_masked=masked,
            features=str(features.array.path.absolute()),
            folder=str(folder.absolute()),
            labels=_place(labels),
            maps=_place(maps),
            token=uuid.uuid4().hex,
        )
        (folder / MARK).write_text(order.token)
        tasks = Tasks(self._cluster, "Scoring")
        waiting: deque[tuple[RowRanges, Event]] = deque()
        left = deque(parts(labels, maps))
        try:
            while waiting or left:
                while left and len(waiting) <= 2 * tasks.slots():
                    part = left.popleft()
                    waiting.append((part, tasks.send(fill_part, order, part)))
                part, ready = waiting.popleft()
                pieces = None
                with IfItFits():
                    pieces = yield from tasks.receive(ready)
                if pieces is None:  # that worker lacks memory, or sees no folders
                    pieces = fill(scored, part, labels, maps)
                yield from pieces
        except GemError:
            # who does not answer any more may still write: it looks for the mark
            (folder / MARK).unlink(missing_ok=True)
            time.sleep(END_SECONDS)
            raise
        finally:
            (folder / MARK).unlink(missing_ok=True)
            tasks.cancel(END_SECONDS)


def _place(array: zarr.Array[Any]) -> str:
    return str(Path(array.store.root).absolute() / array.path)
