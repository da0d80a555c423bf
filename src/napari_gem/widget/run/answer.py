"""What the worker sends, made ready for the main thread."""

from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gem import layers
from napari_gem.core.errors import GemError
from napari_gem.layers.writing.large import coarse_layers, stored_layers
from napari_gem.results.temporary import ResultFolder
from napari_gem.worker.messages import Failed, Finished, Interim

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from napari_gem.layers import LayerData
    from napari_gem.widget.run.inputs import RunInputs
    from napari_gem.worker.messages import Event

    Maps = tuple[NDArray[np.float32], NDArray[np.unsignedinteger[Any]]]


def make_results(
    event: Event,
    inputs: RunInputs,
    load_maps: Callable[[Finished], Maps],
    large: bool = False,
) -> tuple[Event, list[LayerData] | None]:
    """Make layer data of what an event brings; takes a while: not for the main thread.

    Parameters
    ----------
    event
        From the worker.
    inputs
        Of the run.
    load_maps
        See `napari_gem.worker.client.WorkerClient.load_maps`.
    large
        Whether the layers get levels, of what is on disk or of a preview.

    Returns
    -------
    event
        With the pixel size in its recipe; `Failed` if no layers could be made of a
        result.
    results
        See `napari_gem.layers.result_layers`; None if there are none.
    """
    if isinstance(event, Interim):  # a part that fails is left out
        return event, make_results(event.preview, inputs, load_maps, large)[1]
    if not isinstance(event, Finished):
        return event, None
    try:
        job = inputs.job
        recipe = replace(
            event.result.recipe,
            pixel_size=job.pixel_size,
            unit=job.unit,
            factor=inputs.image.factor,
        )
        event = replace(event, result=replace(event.result, recipe=recipe))
        if event.folder:
            folder = ResultFolder(Path(event.folder))
            return event, stored_layers(
                folder, recipe, inputs.image, inputs.job.prompts
            )
        make = coarse_layers if large else layers.result_layers
        return event, make(
            *load_maps(event),
            recipe,
            inputs.image,
            step=event.step,
            classes=inputs.job.prompts,
        )
    except GemError as error:
        return Failed(event.run, str(error)), None
    except MemoryError:
        message = (
            "The memory does not suffice for the maps. Crop the image or ask for "
            "fewer classes."
        )
        return Failed(event.run, message), None
    except Exception as error:  # noqa: BLE001 (shown to the user with details)
        message = f"The layers could not be made ({error}). Run again."
        return Failed(event.run, message, traceback.format_exc()), None
