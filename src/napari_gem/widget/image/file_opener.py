"""Opens image files as layers with their place, bands and contrast."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer
from qtpy.QtCore import QObject, Signal

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown
from napari_gem.images.stack import as_view
from napari_gem.layers.files.result_folder import read_result_folder
from napari_gem.layers.opening import KEY, file_layers, view_of
from napari_gem.widget.parts.job import BackgroundJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from napari.components import ViewerModel

    from napari_gem.layers.opening import LayerTuple


MOST_STEPS = 1 << 30
"""Pixels from one end of all layers to the other: half of what napari can count."""


class FileOpener(QObject):
    """Reads files beside the viewer's thread, and adds their layers to the viewer."""

    opened = Signal(list)
    """Layers of one file that are to be taken together."""
    message_sent = Signal(str, str)
    """``info``, ``warning`` or ``error``, and a sentence for the user."""

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._job = BackgroundJob(self)
        self._waiting: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
        self._job.ended.connect(self._begin)
        self._job.failed.connect(lambda text: self.message_sent.emit("error", text))

    @property
    def busy(self) -> bool:
        """Whether a file is being read."""
        return self._job.busy or bool(self._waiting)

    def open(self, paths: Iterable[Path | str]) -> None:
        """Open files; a sentence says what cannot be opened."""
        for path in paths:
            name = Path(path).name
            work = partial(_read_first, path)
            self._read(work, self._add, f"'{name}' is read...")

    def open_result(self, path: Path) -> None:
        """Open the labels of a folder of results, by a file in it."""

        def add(read: list[LayerTuple]) -> None:
            for one in read:
                self._viewer.add_layer(Layer.create(*one))

        name = path.parent.name
        self._read(partial(read_result_folder, path), add, f"'{name}' is read...")

    def reopen(
        self,
        layers: Sequence[Any],
        bands: str,
        nodata: str,
        then: Callable[[], object] = lambda: None,
    ) -> None:
        """Show other bands of a file, or take another value for no data.

        Parameters
        ----------
        layers
            Layers of the file that are shown now.
        bands, nodata
            As for `napari_gem.images.files.open_scene`.
        then
            Called when they are shown.
        """
        view = view_of(layers[0])
        if view is None:
            return
        path = view.file_plane.path

        def show(read: list[LayerTuple]) -> None:
            self._show(path, nodata, read)
            then()

        work = partial(file_layers, path, bands=bands, nodata=nodata)
        self._read(work, show, f"'{Path(path).name}' is read...")

    def stop(self) -> None:
        """Open nothing any more."""
        self._waiting.clear()
        self._job.cancel()

    def _read(
        self, work: Callable[[], Any], use: Callable[[Any], None], sentence: str
    ) -> None:
        self._waiting.append((work, use))
        self.message_sent.emit("info", shown(sentence))
        if not self._job.busy:
            self._begin()

    def _begin(self) -> None:
        if self._waiting and not self._job.busy:
            self._job.call(*self._waiting.pop(0))

    def _add(self, read: list[LayerTuple]) -> None:
        """Add the layers of a file, and look at them if they lie elsewhere."""
        layers = [Layer.create(*one) for one in read]
        if not _can_be_beside(layers[0], self._viewer.layers):
            raise GemError(
                f"'{layers[0].name}' and the images that are open differ so much in "
                "size that napari cannot show them together. Close those, or open it "
                "in another window."
            )
        self._finish(layers, [self._viewer.add_layer(layer) for layer in layers])

    def _show(self, path: str, nodata: str, read: list[LayerTuple]) -> None:
        """Show the wanted bands of a file, and hide its others."""
        known = {}
        for layer in self._viewer.layers:
            view = view_of(layer) if hasattr(layer, "rgb") else None
            if view is not None and view.file_plane.path == path:
                known[view.bands, view.stack.nodata] = layer
                layer.visible = False
        shown_now = []
        for data, arguments, kind in read:
            view = as_view(data[0] if isinstance(data, list) else data)
            layer = known.get((view.bands, nodata)) if view else None
            if layer is None:
                layer = self._viewer.add_layer(Layer.create(data, arguments, kind))
            else:
                for name in ("colormap", "blending"):
                    if name in arguments:
                        setattr(layer, name, arguments[name])
                layer.visible = True
            shown_now.append(layer)
        self._finish([], shown_now)

    def _finish(self, new: Sequence[Any], layers: list[Any]) -> None:
        notices = layers[0].metadata[KEY]["notices"]
        self.message_sent.emit("warning" if notices else "info", " ".join(notices))
        if new and _is_apart(new[0], self._viewer.layers):
            self._viewer.reset_view()
        self.opened.emit(layers)


def _read_first(path: Path | str) -> list[LayerTuple]:
    """Read a file, and import here what napari imports for its first layer.

    xarray and pandas take more than a second on the viewer's thread.
    """
    with suppress(Exception):  # napari does without
        import_module("xarray")
    return file_layers(path)


def _can_be_beside(layer: Any, layers: Iterable[Any]) -> bool:
    """Tell whether napari can count the steps from one end of all layers to the other.

    Its sliders count the pixels of the smallest size, and break beyond 31 bits.
    """
    # layers without shapes or points lie nowhere
    placed = (one for one in layers if np.isfinite(one.extent.world).all())
    everything = [layer, *(one for one in placed if one.ndim >= 2)]
    units = {str(one.units[-1].dimensionality) for one in everything}
    common = len(units) == 1
    starts, ends, steps = [], [], []
    for one in everything:
        factor = 1.0
        if common:
            factor = float((1 * one.units[-1]).to_base_units().magnitude)
        start, end = one.extent.world[:, -2:] * factor
        starts.append(start)
        ends.append(end)
        steps.append(np.abs(one.extent.step[-2:]) * factor)
    span = np.max(ends, axis=0) - np.min(starts, axis=0)
    return bool(np.all(span / np.min(steps, axis=0) < MOST_STEPS))


def _is_apart(layer: Any, layers: Iterable[Any]) -> bool:
    """Tell whether no other image touches the rectangle in which a layer lies."""
    first, last = layer.extent.world[:, -2:]
    for other in layers:
        if other is layer or other.ndim < 2 or not hasattr(other, "rgb"):
            continue
        start, end = other.extent.world[:, -2:]
        if all(start <= last) and all(first <= end):
            return False
    return True
