"""What the model sees: which image, which channels, how fine, and where."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_gem.core.errors import GemError
from napari_gem.layers import (
    patch_in_view,
    read_layers,
    read_view_appearance,
    slice_axes,
)
from napari_gem.layers.reading.source import unit_factors
from napari_gem.widget.image.channel_choice import ChannelChoice
from napari_gem.widget.image.detail_choice import DetailChoice
from napari_gem.widget.image.image_choice import ImageChoice
from napari_gem.widget.image.image_preview import SIDE, ImagePreview
from napari_gem.widget.image.patch_hint import PatchHint
from napari_gem.widget.image.region_choice import SHOWN, RegionChoice, SliceChoice
from napari_gem.widget.parts.links import Links
from napari_gem.widget.parts.plain import Label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari.components import ViewerModel

    from napari_gem.core.appearance import Appearance
    from napari_gem.core.region import Region
    from napari_gem.layers import LayerImage

logger = logging.getLogger(__name__)

WAIT = 100
"""Milliseconds that a change must rest before it is told."""


@dataclass(frozen=True)
class Suggested:
    """What a model suggests.

    Attributes
    ----------
    patch_size
        Side of its patches in pixels.
    patch
        Pixels of the image for a patch, as the model suggests; 0 if not known.
    """

    patch_size: float = 16.0
    patch: float = 0.0


class ImagePanel(QWidget):
    """Lets the user say what is segmented, and shows what the model sees of it.

    Nothing that happens in the viewer makes it raise; what is wrong is told.

    Parameters
    ----------
    viewer
        Gives layers, slices and the view.
    parent
        Widget that it is part of.
    """

    changed = Signal()
    """Something changed that needs a new encoding; told once it rests."""
    data_changed = Signal()
    """Pixels of the chosen layers were replaced: nothing encoded of them holds."""
    layer_chosen = Signal(object)
    """The layer now chosen, or None."""
    message_sent = Signal(str, str)
    """``info``, ``warning`` or ``error``, and a sentence for the user."""

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._told = ""
        self._model = Suggested()
        self._recalled: float | None = None
        self._state: object = None
        self._detached = False
        self.image_choice = ImageChoice(viewer)
        self.preview = ImagePreview()
        self.channel_choice = ChannelChoice(viewer)
        self.detail_choice = DetailChoice()
        self.region_choice = RegionChoice(viewer)
        self.slice_choice = SliceChoice()
        self._hint = PatchHint(viewer)
        self._timer = QTimer(self, singleShot=True, interval=WAIT)
        self._viewer_links = Links(self._on_view, self)
        self._list_links = Links(self._on_list, self)
        self._layer_links = Links(self._on_view, self)
        self._data_links = Links(self._on_data, self)
        self._shape_links = Links(self._on_view, self)
        self._lay_out()
        self._connect()
        self._on_layer(self.layer())
        self._state = self._make_state()
        self._told = ""  # nobody has listened yet

    # --- what is chosen

    def layer(self) -> Any:
        """Image layer that is chosen; None if there is none."""
        return self.image_choice.layer()

    def layers(self) -> list[Any]:
        """All layers that are shown together, the chosen one first."""
        layer = self.layer()
        return [] if layer is None else [layer, *self.channel_choice.layers()]

    def read(self) -> LayerImage:
        """Say what is shown; its pixels are read by `LayerImage.read`.

        Raises
        ------
        GemError
            If there is no such image.
        """
        return self._read()

    def read_at(self, position: Mapping[int, int]) -> LayerImage:
        """Say what would be shown at another slice; as `read`."""
        return self._read(position=position)

    def region(self) -> Region | None:
        """Part of the image that is chosen; None for all.

        Raises
        ------
        GemError
            If there is no such part.
        """
        return self.region_choice.region(self.layer(), self._read())

    def positions(self) -> list[dict[int, int]] | None:
        """Slices that are chosen, the shown one first; None for only the shown one.

        Raises
        ------
        GemError
            If there is no image, or the range is empty.
        """
        image = self._read()
        self._show_slices()
        return self.slice_choice.positions(image.position)

    def appearance(self) -> Appearance:
        """How the image is shown now; cheap, for comparison with an encoded one.

        Raises
        ------
        GemError
            If there is no such image.
        """
        return read_view_appearance(self.layers(), **self.channel_choice.choice())

    def detail(self) -> float | None:
        """Image pixels per patch, of a pyramid those of its finest resolution.

        None for what the model suggests.
        """
        return self.detail_choice.detail()

    def detail_of(self, image: LayerImage) -> float | None:
        """Turn `detail` to pixels of the resolution that is used."""
        detail = self.detail()
        return None if detail is None else detail / image.factor

    def set_detail(self, value: float | None) -> None:
        """Choose image pixels per patch; None takes what the model suggests."""
        self.detail_choice.set_detail(value)

    def recall_detail(self, value: float | None) -> None:
        """Choose the detail of another session; a pyramid goes back to its own.

        A fine detail of a photo would take the finest resolution of a whole slide.
        """
        self._recalled = value
        self.set_detail(value)
        self._forget_recalled(self.layer())

    def set_model(self, suggested: Suggested) -> None:
        """Tell what is known of the model: it decides the resolution of a pyramid."""
        self._model = suggested
        with self._telling():
            self._show_suggested(None if self.layer() is None else self._read())
        self._later()

    def show_slice(self, index: Sequence[int]) -> str:
        """Show a slice, and choose it alone.

        Parameters
        ----------
        index
            Its position along each axis that is not on the screen; empty keeps the
            one that is shown.

        Returns
        -------
        str
            Why there is no such slice; empty if there is.
        """
        self.slice_choice.choose(SHOWN)
        layer, dims = self.layer(), self._viewer.dims
        self._read()
        if not index:
            return ""
        axes = self._slice_axes(None)
        if len(axes) > len(index):
            axes = self._slice_axes(self.channel_choice.channel_axis())
        inside = len(axes) == len(index) and all(
            0 <= number < length
            for number, length in zip(index, axes.values(), strict=True)
        )
        if not inside:
            return f"'{layer.name}' has no slice {', '.join(map(str, index))}."
        place = np.asarray(layer.world_to_data(dims.point[-layer.ndim :]))
        place[list(axes)] = index
        world = np.asarray(layer.data_to_world(place)) / unit_factors(layer, dims)
        for axis in axes:
            dims.set_point(dims.ndim - layer.ndim + axis, world[axis])
        return ""

    def show_region(self, region: Region | None) -> str:
        """Choose a part of the image; a Shapes layer is added for it.

        Returns
        -------
        str
            Why it does not fit; empty if it does.
        """
        try:
            self.region_choice.show_region(region, self.layer(), self._read())
        except GemError as error:
            return str(error)
        return ""

    def detach(self) -> None:
        """Stop listening to the viewer, and take away what is drawn in it."""
        if self._detached:
            return
        self._detached = True
        self._timer.stop()
        self.preview.close_down()
        self.image_choice.detach()
        self._hint.hide()
        for links in self._all_links():
            links.clear()

    # --- how it is made

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Image", self.image_choice)
        form.addRow(self.preview)
        form.addRow(self.channel_choice)
        form.addRow("Detail", self.detail_choice)
        form.addRow("Where", self.region_choice)
        self._slices_label = Label("Slices")
        self._slices_label.setAlignment(Qt.AlignmentFlag.AlignTop)
        form.addRow(self._slices_label, self.slice_choice)

    def _connect(self) -> None:
        dims, layers = self._viewer.dims.events, self._viewer.layers.events
        scene, canvas = self._viewer.scene.camera.events, self._viewer.canvas.events
        self._viewer_links.connect(
            [dims.point, dims.ndisplay, dims.margin_left, dims.margin_right]
        )
        self._viewer_links.connect([scene.center, scene.zoom, canvas.size])
        self._list_links.connect([layers.inserted, layers.removed, layers.renamed])
        self._list_links.connect([dims.order])
        self.image_choice.layer_chosen.connect(self._on_layer)
        self.channel_choice.changed.connect(self._on_channels)
        self.detail_choice.changed.connect(self._later)
        self.detail_choice.hinted.connect(self._on_hint)
        self.region_choice.changed.connect(self._on_region)
        self.slice_choice.changed.connect(self._later)
        self.preview.measured.connect(self.channel_choice.set_limits)
        self._timer.timeout.connect(self._on_rest)
        # a dock that the window deletes is not closed before
        self.destroyed.connect(self._hint.hide)

    def _all_links(self) -> tuple[Links, ...]:
        return (
            self._viewer_links,
            self._list_links,
            self._layer_links,
            self._data_links,
            self._shape_links,
        )

    def _read(
        self, position: Mapping[int, int] | None = None, largest: int | None = None
    ) -> LayerImage:
        return read_layers(
            self.layers(),
            self._viewer.dims,
            **self.channel_choice.choice(),
            position=position,
            wanted=self._wanted(),
            largest=largest,
        )

    def _slice_axes(self, channel_axis: int | None) -> dict[int, int]:
        return slice_axes(
            self.layer(),
            self._viewer.dims,
            channel_axis=channel_axis,
            wanted=self._wanted(),
        )

    def _wanted(self) -> float | None:
        """Pixels of the finest resolution for one that the model looks at."""
        detail = self.detail()
        return None if detail is None else detail / self._model.patch_size

    # --- what happens

    def _on_layer(self, layer: Any) -> None:
        with self._telling():
            self.channel_choice.set_layer(layer)
            self.region_choice.set_layer(layer)
            self._watch()
            self._forget_recalled(layer)
        self._later()
        self.layer_chosen.emit(layer)

    def _forget_recalled(self, layer: Any) -> None:
        recalled = self._recalled is not None and self.detail() == self._recalled
        if recalled and getattr(layer, "multiscale", False):
            self.set_detail(None)

    def _on_channels(self) -> None:
        with self._telling():
            self._watch()
        self._later()

    def _on_region(self) -> None:
        self._watch_shapes()
        self._later()

    def _on_list(self, _event: Any = None) -> None:
        with self._telling():
            self.channel_choice.refresh()
            self.region_choice.refresh()
            self._watch()
            self._watch_shapes()
        self._later()

    def _on_view(self, _event: Any = None) -> None:
        self._later()

    def _on_data(self, _event: Any = None) -> None:
        with self._telling():
            self.channel_choice.forget_limits()
            self.channel_choice.refresh()
            self._watch()
        self._state = None
        self.data_changed.emit()
        self._later()

    def _on_hint(self, patch: float) -> None:
        if not patch or self._detached:
            self._hint.hide()
            return
        with self._telling():
            layer, image = self.layer(), self._read()
            patch /= image.factor
            size = patch_in_view(layer, image, self._viewer.dims, patch)
            self._hint.show(*size)

    def _later(self) -> None:
        if not self._detached:
            self.preview.ask(self._picture)
            self._timer.start()

    def _picture(self) -> tuple[LayerImage, bool] | None:
        if self.layer() is None:
            return None
        return self._read(largest=SIDE * SIDE), self.channel_choice.wants_limits()

    def _on_rest(self) -> None:
        """Follow the viewer, and tell if that changes what is encoded."""
        with self._telling():
            state = self._make_state()
            if state != self._state:
                self._state = state
                self.changed.emit()

    def _make_state(self) -> object:
        """Everything that a new encoding depends on."""
        layer = self.layer()
        if layer is None:
            self._show_slices()
            self._show_suggested(None)
            self.preview.set_region(None)
            return None
        try:
            self._show_slices()
            image = self._read()
            self._show_suggested(image)
            region = self.region_choice.region(layer, image)
            positions = self.slice_choice.positions(image.position)
        except GemError as error:
            self.preview.set_region(None)
            self._tell("warning", str(error))
            return str(error)
        self._tell("info", "")
        self.preview.set_region(region)
        return (
            image.source,
            image.plane,
            image.shape,
            image.appearance,
            self.channel_choice.channels(),
            region,
            positions,
            self.detail(),
        )

    def _show_suggested(self, image: LayerImage | None) -> None:
        """Tell the size of a patch, and what the model suggests."""
        if image is None:
            self.detail_choice.set_model_patch(self._model.patch)
            self.detail_choice.set_extent(lambda _patch: "")
            return
        self.detail_choice.set_model_patch(self._model.patch * image.factor)
        extent = partial(extent_text, image)
        self.detail_choice.set_extent(extent, image.coarsest)

    def _show_slices(self) -> None:
        """Offer the slices that the layer has now."""
        layer, axes = self.layer(), {}
        if layer is not None:
            axes = self._slice_axes(self.channel_choice.channel_axis())
        names = {axis: str(layer.axis_labels[axis]) for axis in axes}
        self.slice_choice.set_axes(axes, names)
        for part in (self.slice_choice, self._slices_label):
            part.setVisible(bool(axes))

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell what goes wrong: nothing is raised into the viewer's events."""
        try:
            yield
        except GemError as error:
            self._tell("warning", str(error))
        except Exception as error:
            logger.exception("The image panel could not follow the viewer")
            self._tell("error", f"The image could not be looked at ({error}).")

    def _tell(self, kind: str, sentence: str) -> None:
        if sentence != self._told:
            self._told = sentence
            self.message_sent.emit(kind, sentence)

    def _watch(self) -> None:
        """Listen to the layers that are shown together, and to no others."""
        self._layer_links.clear()
        self._data_links.clear()
        self.image_choice.set_beside(self.channel_choice.layers())
        for layer in self.layers():
            events = layer.events
            self._data_links.connect([events.data])
            self._layer_links.connect(
                [events.contrast_limits, events.gamma, events.colormap, events.opacity]
            )
            self._layer_links.connect(
                [events.blending, events.projection_mode, events.units, events.scale]
            )
            self._layer_links.connect(
                [events.translate, events.rotate, events.shear, events.affine]
            )
            if "locked_data_level" in events.emitters:
                self._layer_links.connect([events.locked_data_level])

    def _watch_shapes(self) -> None:
        self._shape_links.clear()
        shapes = self.region_choice.chosen_shapes()
        if shapes is not None:
            events = shapes.events
            self._shape_links.connect([events.data, events.highlight, events.scale])
            self._shape_links.connect([events.translate, events.rotate, events.affine])


def extent_text(image: LayerImage, patch: float) -> str:
    """Size of a patch in the layer's unit, and the resolution of a pyramid.

    Parameters
    ----------
    image
        As it is read.
    patch
        Side of a patch in pixels of the finest resolution.
    """
    size = _size_text(image, patch / image.factor)
    if image.coarsest <= 1:
        return size
    used = f"in {image.shape[0]} x {image.shape[1]} px"
    return f"{size} · {used}" if size else used


def _size_text(image: LayerImage, patch: float) -> str:
    axes = image.geometry.displayed
    units = [f"{image.geometry.transform['units'][axis]:~P}" for axis in axes]
    if any(unit in ("", "px", "pixel") for unit in units):
        return ""
    down, right = image.patch_extent(patch)
    if units[0] == units[1]:
        if abs(down - right) <= 0.01 * down:
            return f"{down:.3g} {units[0]}"
        return f"{down:.3g} x {right:.3g} {units[0]}"
    return f"{down:.3g} {units[0]} x {right:.3g} {units[1]}"
