"""What the worker says, made ready for the main thread."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_gem import layers
from napari_gem.types import Failed, Finished, GemError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from napari_gem._qt.ask import Ask
    from napari_gem.layers import LayerData
    from napari_gem.types import Event

    Maps = tuple[NDArray[np.float32], NDArray[np.unsignedinteger[Any]]]


def make_results(
    event: Finished, ask: Ask, load_maps: Callable[[Finished], Maps]
) -> tuple[Event, list[LayerData] | None]:
    """Read the maps of a finished run and make layer data of them.

    Takes a while: not for the main thread.

    Parameters
    ----------
    event
        From the worker.
    ask
        What was asked.
    load_maps
        As `napari_gem.client.WorkerClient.load_maps`.

    Returns
    -------
    event
        The same, or `Failed` if this failed.
    results
        As `napari_gem.layers.result_layers`; None if this failed.
    """
    try:
        maps, labels = load_maps(event)
        size, unit = ask.image.pixel_size  # the worker gets pixels without a size
        recipe = replace(event.recipe, pixel_size=size, unit=unit)
        event = replace(event, recipe=recipe)
        results = layers.result_layers(
            maps,
            labels,
            event.recipe,
            ask.image,
            step=event.step,
            classes=ask.prompts,
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
