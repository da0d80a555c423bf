"""What the worker says, made ready for the main thread."""

from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gem import layers
from napari_gem.core.errors import GemError
from napari_gem.layers.writing.large import coarse_layers, stored_layers
from napari_gem.results.temporary import ResultFolder
from napari_gem.worker.messages import Failed, Finished

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from napari_gem.layers import LayerData
    from napari_gem.widget.run.question import Ask

    Maps = tuple[NDArray[np.float32], NDArray[np.unsignedinteger[Any]]]


def make_results(
    event: Finished,
    ask: Ask,
    load_maps: Callable[[Finished], Maps],
    large: bool = False,
) -> tuple[Finished | Failed, list[LayerData] | None]:
    """Read the maps of a finished run and make layer data of them.

    Takes a while: not for the main thread.

    Parameters
    ----------
    event
        From the worker.
    ask
        What was asked.
    load_maps
        As `napari_gem.worker.client.WorkerClient.load_maps`.
    large
        Whether the layers get levels, of what is on disk or of a preview.

    Returns
    -------
    event
        The same, or `Failed` if this failed.
    results
        As `napari_gem.layers.result_layers`; None if this failed.
    """
    try:
        size, unit = ask.image.pixel_size  # the worker gets pixels without a size
        factor = ask.image.factor
        result = event.result
        recipe = replace(result.recipe, pixel_size=size, unit=unit, factor=factor)
        event = replace(event, result=replace(result, recipe=recipe))
        made_of = recipe, ask.image
        if event.folder:
            folder = ResultFolder(Path(event.folder))
            return event, stored_layers(folder, *made_of, ask.prompts)
        make = coarse_layers if large else layers.result_layers
        results = make(
            *load_maps(event), *made_of, step=event.step, classes=ask.prompts
        )
    except GemError as error:
        return Failed(event.run, str(error)), None
    except MemoryError:
        message = (
            "The memory does not suffice for the maps. Crop the image or ask for "
            "fewer classes."
        )
        return Failed(event.run, message), None
    except Exception as error:  # noqa: BLE001 (told to the user with details)
        message = f"The layers could not be made ({error}). Run again."
        return Failed(event.run, message, traceback.format_exc()), None
    return event, results
