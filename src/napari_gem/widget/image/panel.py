"""What the model sees: which image, which channels, how fine, and where."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QVBoxLayout, QWidget

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown_lines
from napari_gem.core.sentences import some_of
from napari_gem.layers import (
    patch_in_view,
    read_layers,
    read_view_appearance,
    slice_axes,
)
from napari_gem.layers.opening import shown_bands, view_of
from napari_gem.layers.reading.alpha import has_band_as_opacity
from napari_gem.layers.reading.source import NO_UNIT, unit_factors
from napari_gem.widget.image.channel_choice import ChannelChoice
from napari_gem.widget.image.detail_choice import DetailChoice
from napari_gem.widget.image.file_choice import FileChoice
from napari_gem.widget.image.file_opener import FileOpener
from napari_gem.widget.image.image_choice import ImageChoice
from napari_gem.widget.image.image_preview import SIDE, ImagePreview
from napari_gem.widget.image.open_button import OpenButton
from napari_gem.widget.image.patch_hint import PatchHint
from napari_gem.widget.image.region_choice import RegionChoice
from napari_gem.widget.image.slice_choice import SHOWN, SliceChoice
from napari_gem.widget.parts.fold import Fold
from napari_gem.widget.parts.links import Links
from napari_gem.widget.parts.plain import Label
from napari_gem.widget.parts.two_lines import TwoLines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from napari.components import ViewerModel

    from napari_gem.core.appearance import Appearance
    from napari_gem.core.region import Region
    from napari_gem.layers import LayerImage

logger = logging.getLogger(__name__)

WAIT = 100
"""Milliseconds without a change before `ImagePanel.changed`."""

LAYER_EVENTS = (
    *("contrast_limits", "gamma", "colormap", "opacity", "blending"),
    *("projection_mode", "units", "scale", "translate", "rotate", "shear", "affine"),
    "locked_data_level",  # newer napari only
)
"""Events of an image layer that change what the model sees of it."""

NO_SIZE = "pixel size not known"

BAND_AS_OPACITY = (
    "The fourth band is shown as opacity, but it has as many values as an image, such "
    "as near infrared. Open the file with Open here: it stays a band there."
)

SHAPES_EVENTS = ("data", "highlight", "scale", "translate", "rotate", "affine")


@dataclass(frozen=True)
class ModelPatch:
    """Side of a model's patches in pixels of its input, and of the image.

    The model suggests ``image_pixels``; 0 if not known.
    """

    side: float = 16.0
    image_pixels: float = 0.0


class ImagePanel(QWidget):
    """Lets the user say what is segmented, and shows what the model sees of it.

    Nothing that happens in the viewer makes it raise; the user gets a message instead.
    Methods that read the image raise `GemError` if there is no such image.
    """

    changed = Signal()
    """A new encoding is needed; sent when nothing changed for `WAIT`."""
    layer_changed = Signal(object)
    """The layer that is chosen now, or None."""
    message_sent = Signal(str, str)
    """``info``, ``warning`` or ``error``, and a sentence; an empty one: all is well."""

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._message = ""
        self._model_patch = ModelPatch()
        self._recalled: float | None = None
        self._layer: Any = None
        self._state: object = None
        self._detached = False
        self.image_choice = ImageChoice(viewer)
        self.open_button = OpenButton()
        self.opener = FileOpener(viewer, self)
        self.file_choice = FileChoice()
        self.preview = ImagePreview()
        self.channel_choice = ChannelChoice(viewer)
        self.detail_choice = DetailChoice()
        self.region_choice = RegionChoice(viewer)
        self.slice_choice = SliceChoice()
        self._hint = PatchHint(viewer)
        self._timer = QTimer(self, singleShot=True, interval=WAIT)
        self._layer_links = Links(self._update_later, self)
        self._data_links = Links(self._on_data, self)
        self._shapes_links = Links(self._update_later, self)
        self._viewer_links = Links(self._update_later, self)
        self._list_links = Links(self._on_list, self)
        self._lay_out()
        self._connect()
        self._on_picture()
        self._state = self._make_state()
        self._show_title()
        self._message = ""  # nobody is connected yet

    # --- what is chosen

    def layer(self) -> Any:
        """Image layer that is chosen; None if there is none."""
        return self.image_choice.layer()

    def layers(self) -> list[Any]:
        """All layers that are shown together, the chosen one first."""
        layer = self.layer()
        if layer is None:
            return []
        others = self.channel_choice.layers()
        if view_of(layer) is not None:
            others.reverse()  # the lowest first: as the bands were named
        return [layer, *others]

    def read(
        self, position: Mapping[int, int] | None = None, largest: int | None = None
    ) -> LayerImage:
        """Describe the image; its pixels are read by `LayerImage.read`.

        ``position`` is the index along each axis of slices; None for the shown slice.
        ``largest`` limits the pixels of a pyramid's plane; None for what the detail
        needs.
        """
        image = read_layers(
            self.layers(),
            self._viewer.dims,
            **self.channel_choice.choice(),
            position=position,
            wanted=self._wanted(),
            largest=largest,
        )
        nodata = self.file_choice.value(self.layer())
        return replace(image, nodata=nodata) if nodata else image

    def show_bands(self, bands: str, nodata: str, then: Callable[[], None]) -> bool:
        """Show what a recipe says of a file, and call ``then`` when it is shown.

        False if that is shown already, or if the layer is not one that we opened.
        """
        layers = self.layers()
        view = view_of(layers[0]) if layers else None
        if view is None:
            self.file_choice.set_nodata(nodata)
            return False
        now = shown_bands(layers), view.stack.nodata
        wanted = bands or view.stack.usual_bands, nodata
        if now == wanted:
            return False
        self.opener.reopen(layers, bands, nodata, then)
        return True

    def region(self) -> Region | None:
        """Return the part of the image that is chosen; None for all.

        Raises
        ------
        GemError
            If there is no such image or part.
        """
        return self.region_choice.region(self.layer(), self.read())

    def positions(self) -> list[dict[int, int]] | None:
        """Return the slices that are chosen, the shown one first; None for only that.

        Raises
        ------
        GemError
            If there is no image, or the range is empty.
        """
        image = self.read()
        self._show_slices()
        return self.slice_choice.positions(image.position)

    def appearance(self) -> Appearance:
        """Return how the image is shown now, without a look at its pixels."""
        return read_view_appearance(self.layers(), **self.channel_choice.choice())

    def detail(self) -> float | None:
        """Image pixels per patch; None for what the model suggests.

        Of a pyramid these are pixels of its finest resolution.
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
        """Choose the detail of another session, except for a pyramid.

        A fine detail of a photo would take the finest resolution of a whole slide.
        """
        self._recalled = value
        self.set_detail(value)
        self._forget_recalled(self.layer())

    def set_model_patch(self, patch: ModelPatch) -> None:
        """Take the patch of the model: it decides the resolution of a pyramid."""
        self._model_patch = patch
        with self._errors_as_messages():
            self._show_patch(None if self.layer() is None else self.read())
        self._update_later()

    def show_slice(self, index: Sequence[int]) -> str:
        """Show a slice, and choose it alone; return why there is no such slice.

        ``index`` is its position along each axis that is not on the screen; empty keeps
        the slice that is shown.
        """
        self.slice_choice.choose(SHOWN)
        layer, dims = self.layer(), self._viewer.dims
        self.read()
        if not index:
            return ""
        axes = self._slice_axes(None)
        if len(axes) > len(index):
            axes = self._slice_axes(self.channel_choice.channel_axis())
        if len(axes) != len(index) or any(
            not 0 <= number < length
            for number, length in zip(index, axes.values(), strict=True)
        ):
            return f"'{layer.name}' has no slice {', '.join(map(str, index))}."
        point = np.asarray(layer.world_to_data(dims.point[-layer.ndim :]))
        point[list(axes)] = index
        world = np.asarray(layer.data_to_world(point)) / unit_factors(layer, dims)
        for axis in axes:
            dims.set_point(dims.ndim - layer.ndim + axis, world[axis])
        return ""

    def show_region(self, region: Region | None) -> str:
        """Choose a part, by a new Shapes layer; return why it does not fit."""
        try:
            self.region_choice.show_region(region, self.layer(), self.read())
        except GemError as error:
            return str(error)
        return ""

    def detach(self) -> None:
        """Stop listening to the viewer, and take away what is drawn in it."""
        if self._detached:
            return
        self._detached = True
        self._timer.stop()
        self.preview.stop()
        self.image_choice.detach()
        self.opener.stop()
        self._hint.hide()
        for links in (
            *(self._viewer_links, self._list_links),
            *(self._layer_links, self._data_links, self._shapes_links),
        ):
            links.clear()

    # --- layout and connections

    def _lay_out(self) -> None:
        content = QWidget()
        form = QFormLayout(content)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self._slices_label = Label("Slices")
        self._slices_label.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._left_out = Label()
        self._left_out.setWordWrap(True)
        self._no_picture = TwoLines()
        form.addRow(self.channel_choice)
        form.addRow(self.file_choice)
        form.addRow("Detail", self.detail_choice)
        form.addRow("Where", self.region_choice)
        form.addRow(self._slices_label, self.slice_choice)
        self.fold = Fold()
        self.fold.set_tooltip("Which channels, how fine, and which part is segmented")
        self.fold.addWidget(content)
        beside = QVBoxLayout()
        beside.addWidget(self.image_choice)
        beside.addWidget(self.open_button)
        beside.addWidget(self._no_picture)
        beside.addStretch(1)
        top = QHBoxLayout()
        top.addWidget(Label("Image"), 0, Qt.AlignmentFlag.AlignTop)
        top.addLayout(beside, 1)
        top.addWidget(self.preview)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(top)
        column.addWidget(self._left_out)
        column.addWidget(self.fold)
        self._show_picture()

    def _connect(self) -> None:
        dims, layers = self._viewer.dims.events, self._viewer.layers.events
        camera, canvas = self._viewer.scene.camera.events, self._viewer.canvas.events
        self._viewer_links.connect(
            [dims.point, dims.ndisplay, dims.margin_left, dims.margin_right]
        )
        self._viewer_links.connect([camera.center, camera.zoom, canvas.size])
        self._list_links.connect(
            [layers.inserted, layers.removed, layers.renamed, dims.order]
        )
        self.image_choice.picture_changed.connect(self._on_picture)
        self.open_button.paths_chosen.connect(self.opener.open)
        self.opener.opened.connect(self._on_opened)
        self.file_choice.reopen_requested.connect(self._on_reopen)
        self.file_choice.nodata_changed.connect(self._on_data)
        self.file_choice.message_sent.connect(self._send_message)
        self.channel_choice.changed.connect(self._on_channels)
        self.detail_choice.changed.connect(self._update_later)
        self.detail_choice.patch_hovered.connect(self._draw_patch)
        self.region_choice.changed.connect(self._on_region)
        self.slice_choice.changed.connect(self._update_later)
        self.preview.limits_measured.connect(self.channel_choice.set_limits)
        self.preview.drawn.connect(self._show_picture)
        self._timer.timeout.connect(self._update)
        # the window deletes a dock without closing it
        self.destroyed.connect(self._hint.hide)

    def _listen_to_layers(self) -> None:
        """Listen to the layers that are shown together, and to no others."""
        self._layer_links.clear()
        self._data_links.clear()
        self._show_left_out()
        self._show_file()
        for layer in self.layers():
            self._data_links.connect([layer.events.data])
            self._layer_links.connect(_emitters(layer, LAYER_EVENTS))

    def _show_left_out(self) -> None:
        """Say which layers and bands are seen but are not taken."""
        left_out = self.image_choice.left_out()
        said = left_out_text(left_out) if left_out else ""
        if any(map(has_band_as_opacity, self.layers())):
            said = f"{said}\n{BAND_AS_OPACITY}".strip()
        self._left_out.setText(shown_lines(said))
        self._left_out.setVisible(bool(said))

    def _listen_to_shapes(self) -> None:
        self._shapes_links.clear()
        shapes = self.region_choice.shapes_layer()
        if shapes is not None:
            self._shapes_links.connect(_emitters(shapes, SHAPES_EVENTS))

    # --- slots

    def _on_picture(self) -> None:
        layer = self.layer()
        members = reversed(self.image_choice.picture().members)
        with self._errors_as_messages():
            others = [member for member in members if member != layer]
            self.channel_choice.set_layer(layer, others)
            self.region_choice.set_layer(layer)
            self._listen_to_layers()
            self._forget_recalled(layer)
        self._update_later()
        if layer != self._layer:
            self._layer = layer
            self.layer_changed.emit(layer)

    def _on_opened(self, layers: list[Any]) -> None:
        """Choose the layers of a file that was opened."""
        with self._errors_as_messages():
            self._viewer.layers.selection.active = layers[0]
            self.image_choice.choose_together(layers)
            self._show_file()

    def _on_reopen(self, bands: str, nodata: str) -> None:
        self.opener.reopen(self.layers(), bands, nodata)

    def _show_file(self) -> None:
        self.file_choice.set_layers(self.layers())

    def _forget_recalled(self, layer: Any) -> None:
        recalled = self._recalled is not None and self.detail() == self._recalled
        if recalled and getattr(layer, "multiscale", False):
            self.set_detail(None)

    def _on_channels(self) -> None:
        with self._errors_as_messages():
            if self.layer() is not None:
                members = [self.layer(), *self.channel_choice.members()]
                self.image_choice.take_together(members)
            self._listen_to_layers()
        self._update_later()

    def _show_picture(self) -> None:
        """Say why there is no picture where there is none."""
        self._no_picture.setText(self.preview.sentence)
        self._no_picture.setVisible(bool(self.preview.sentence))
        self.preview.setVisible(not self.preview.sentence)

    def _show_title(self) -> None:
        """Say in the title of the fold what is chosen in it."""
        detail, where = self.detail(), self.region_choice.where.currentText()
        file = self.file_choice.title()
        parts = (
            *(file or [self.channel_choice.title()]),
            *self.slice_choice.title(),
            f"Detail: {f'{detail:.3g} px' if detail else 'automatic'}",
            f"Where: {where.lower()}",
        )
        self.fold.set_title(" · ".join(filter(None, parts)))

    def _on_region(self) -> None:
        self._listen_to_shapes()
        self._update_later()

    def _on_list(self, _event: Any = None) -> None:
        with self._errors_as_messages():
            self.channel_choice.refresh()
            self.region_choice.refresh()
            self._listen_to_layers()
            self._listen_to_shapes()
        self._update_later()

    def _on_data(self, _event: Any = None) -> None:
        with self._errors_as_messages():
            self.channel_choice.forget_limits()
            self.channel_choice.refresh()
            self._listen_to_layers()
        self._state = None
        self._update_later()

    def _draw_patch(self, patch: float) -> None:
        """Draw a patch of so many image pixels in the viewer; 0 takes it away."""
        if not patch or self._detached:
            self._hint.hide()
            return
        with self._errors_as_messages():
            image = self.read()
            size = patch / image.factor
            dims = self._viewer.dims
            self._hint.show(*patch_in_view(self.layer(), image, dims, size))

    def _update_later(self, _event: Any = None) -> None:
        if not self._detached:
            self.preview.request(self._preview_request)
            self._timer.start()

    def _preview_request(self) -> tuple[LayerImage, bool] | None:
        if self.layer() is None:
            return None
        return self.read(largest=SIDE * SIDE), self.channel_choice.wants_limits()

    def _update(self) -> None:
        """Follow the viewer, and emit `changed` if that needs a new encoding."""
        with self._errors_as_messages():
            state = self._make_state()
            self._show_title()
            if state != self._state:
                self._state = state
                self.changed.emit()

    def _make_state(self) -> object:
        """Show what depends on the viewer; return all that an encoding depends on."""
        layer = self.layer()
        if layer is None:
            self._show_slices()
            self._show_patch(None)
            self.preview.set_region(None)
            return None
        try:
            self._show_slices()
            image = self.read()
            self._show_patch(image)
            region = self.region_choice.region(layer, image)
            positions = self.slice_choice.positions(image.position)
        except GemError as error:
            self.preview.set_region(None)
            self._send_message("warning", str(error))
            return str(error)
        self._send_message("info", "")
        self.preview.set_region(region)
        return (
            image.source,
            image.plane,
            image.shape,
            image.appearance,
            image.nodata,
            self.channel_choice.channels(),
            region,
            positions,
            self.detail(),
        )

    def _show_patch(self, image: LayerImage | None) -> None:
        """Show the size of a patch, and what the model suggests."""
        suggested = self._model_patch.image_pixels
        if image is None:
            self.detail_choice.set_suggested(suggested)
            self.detail_choice.set_image(lambda _patch: "")
            return
        self.detail_choice.set_suggested(suggested * image.factor)
        self.detail_choice.set_image(partial(patch_text, image), image.coarsest)

    def _show_slices(self) -> None:
        """Offer the slices that the layer has now."""
        layer, axes = self.layer(), {}
        if layer is not None:
            axes = self._slice_axes(self.channel_choice.channel_axis())
        names = {axis: str(layer.axis_labels[axis]) for axis in axes}
        self.slice_choice.set_axes(axes, names)
        for part in (self.slice_choice, self._slices_label):
            part.setVisible(bool(axes))

    def _slice_axes(self, channel_axis: int | None) -> dict[int, int]:
        return slice_axes(
            self.layer(),
            self._viewer.dims,
            channel_axis=channel_axis,
            wanted=self._wanted(),
        )

    def _wanted(self) -> float | None:
        """Pixels of the finest resolution for one pixel of the model's input."""
        detail = self.detail()
        return None if detail is None else detail / self._model_patch.side

    @contextmanager
    def _errors_as_messages(self) -> Iterator[None]:
        """Turn errors into messages: none is raised into the viewer's events."""
        try:
            yield
        except GemError as error:
            self._send_message("warning", str(error))
        except Exception as error:
            logger.exception("The image panel could not follow the viewer")
            self._send_message("error", f"The image could not be looked at ({error}).")

    def _send_message(self, kind: str, sentence: str) -> None:
        if sentence != self._message:
            self._message = sentence
            self.message_sent.emit(kind, sentence)


def _emitters(layer: Any, names: Sequence[str]) -> list[Any]:
    emitters = layer.events.emitters
    return [emitters[name] for name in names if name in emitters]


def left_out_text(layers: Sequence[Any]) -> str:
    """Name layers that are seen with the chosen ones but are not taken."""
    names = [
        f"'{layer.name}'" if layer.visible else f"'{layer.name}' (hidden)"
        for layer in layers
    ]
    return f"Not taken: {some_of(names)}"


def patch_text(image: LayerImage, patch: float) -> str:
    """Write the size of a patch in the layer's unit, and the resolution of a pyramid.

    ``patch`` is its side in pixels of the finest resolution.
    """
    size = _size_text(image, patch / image.factor)
    if image.coarsest <= 1:
        return size
    used = f"in {image.shape[0]} x {image.shape[1]} px"
    return f"{size} · {used}" if size else used


def _size_text(image: LayerImage, patch: float) -> str:
    units = image.units
    if any(unit in NO_UNIT for unit in units):
        return NO_SIZE
    down, right = image.patch_extent(patch)
    if units[0] != units[1]:
        return f"{down:.3g} {units[0]} x {right:.3g} {units[1]}"
    if abs(down - right) <= 0.01 * down:
        return f"{down:.3g} {units[0]}"
    return f"{down:.3g} x {right:.3g} {units[0]}"
