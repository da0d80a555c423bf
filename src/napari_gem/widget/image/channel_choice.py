"""Which layers, or which channels of a layer, are shown together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QColorDialog,
    QComboBox,
    QFormLayout,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QWidget,
)

from napari_gem.core.foreign_text import shown
from napari_gem.images.rendering import channel_colors
from napari_gem.layers import difference, is_made, slice_axes
from napari_gem.widget.parts.fold import Fold
from napari_gem.widget.parts.plain import Label, tip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel

    from napari_gem.core.appearance import Appearance

    Color = tuple[float, float, float]
    Limits = tuple[float, float]

MANY = 64
"""An axis with more slices than this holds no channels."""


class ChannelChoice(Fold):
    """Offers other layers of the same shape, and axes of channels.

    Parameters
    ----------
    viewer
        Whose layers are offered.
    parent
        Widget that it is part of.
    """

    changed = Signal()
    """Another choice."""

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__("Channels", parent)
        self._count = 1
        self._viewer = viewer
        self._layer: Any = None
        self._others: list[Any] = []
        self._colors: dict[int, Color] = {}
        self._limits: tuple[Limits, ...] = ()
        self.toggleButton().setToolTip(
            "Show several layers, or several channels of one layer, as one image"
        )
        self.axis = QComboBox()
        self.axis.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.axis.setToolTip(
            "Axis of the layer that holds channels. It must not be on the screen."
        )
        self.list = QListWidget()
        self.list.setToolTip("What is shown together as one image")
        self.list.setIconSize(QSize(16, 16))
        self.stretch = QCheckBox("Contrast of each channel by itself")
        self.stretch.setToolTip(
            "Stretch each channel between its own percentiles 0.5 and 99.5. Else all "
            "have the contrast limits of the layer."
        )
        self._about = Label()
        self._about.setWordWrap(True)
        content = QWidget()
        form = QFormLayout(content)
        form.setContentsMargins(0, 0, 0, 0)
        self._axis_label = Label("Axis")
        form.addRow(self._axis_label, self.axis)
        form.addRow(self._about)
        form.addRow(self.list)
        form.addRow(self.stretch)
        self.addWidget(content)
        self.content().layout().setContentsMargins(0, 2, 0, 2)
        self.axis.currentIndexChanged.connect(self._on_axis)
        self.list.itemChanged.connect(self._on_item)
        self.list.itemDoubleClicked.connect(self._on_color)
        self.stretch.toggled.connect(self._on_stretch)
        self.set_layer(None)

    def layers(self) -> list[Any]:
        """Other layers that are shown together with the chosen one."""
        if self.channel_axis() is not None:
            return []
        rows = range(self.list.count())
        return [self._others[row] for row in rows if self._is_checked(row)]

    def channel_axis(self) -> int | None:
        """Axis of the layer that holds channels."""
        axis = self.axis.currentData()
        return None if axis is None else int(axis)

    def channels(self) -> tuple[int, ...]:
        """Channels of the axis that are chosen."""
        if self.channel_axis() is None:
            return ()
        return tuple(row for row in range(self.list.count()) if self._is_checked(row))

    def choice(self) -> dict[str, Any]:
        """Keywords for `napari_gem.layers.read_layers`."""
        channels = self.channels()
        if not channels:
            return {}
        limits = self._limits if len(self._limits) == len(channels) else ()
        return {
            "channel_axis": self.channel_axis(),
            "channels": channels,
            "colors": tuple(self._color(channel, channels) for channel in channels),
            "limits": limits if self.stretch.isChecked() else (),
        }

    def wants_limits(self) -> bool:
        """Whether the contrast limits of each channel are yet to be measured."""
        stretched = self.stretch.isChecked() and bool(self.channels())
        return stretched and len(self._limits) != len(self.channels())

    def set_limits(self, limits: tuple[Limits, ...]) -> None:
        """Take measured contrast limits."""
        self._limits = limits
        self.changed.emit()

    def forget_limits(self) -> None:
        """Measure the contrast limits anew: the data are others."""
        self._limits = ()

    def set_layer(self, layer: Any) -> None:
        """Offer what goes with a layer; a choice made for another is dropped."""
        if layer != self._layer:
            self._colors, self._limits = {}, ()
            self._layer = layer
            self._fill([], None)
        self.refresh()

    def refresh(self) -> None:
        """Offer what the viewer has now; what is chosen stays if it is still there."""
        self._fill(self.layers(), self.channel_axis(), self.channels())

    def choose(self, count: int) -> bool:
        """Choose so many layers or channels, those that are chosen now if they are.

        Returns
        -------
        bool
            False if it is not clear which, and nothing was chosen.
        """
        if self._count == count:
            return True
        if count == 1:
            self._fill([], None)
            return self._chosen()
        of_length = [axis for axis, (_, n) in self._axes().items() if n == count]
        self._fill([], None)
        if 1 + len(self._others) == count and not of_length:
            self._fill(list(self._others), None)
        elif len(of_length) == 1:
            self._fill([], of_length[0])
        return self._chosen() and self._count == count

    def _chosen(self) -> bool:
        self._limits = ()
        self.changed.emit()
        return True

    def show(self, channels: Sequence[Appearance]) -> None:
        """Give the channels that are chosen these colours and contrast limits."""
        for channel, look in zip(self.channels(), channels, strict=True):
            self._colors[channel] = (
                (1.0, 1.0, 1.0) if look.lut is None else look.lut[-1]
            )
        self._limits = tuple(look.limits for look in channels)
        self._block(True)
        self._paint()
        self._block(False)
        self.stretch.blockSignals(True)
        self.stretch.setChecked(True)
        self.stretch.blockSignals(False)
        self.changed.emit()

    def _fill(
        self, chosen: list[Any], axis: int | None, channels: tuple[int, ...] = ()
    ) -> None:
        axes = self._axes()
        self._block(True)
        self.axis.clear()
        self.axis.addItem("none", None)
        for number, (name, length) in axes.items():
            self.axis.addItem(shown(f"{name} ({length})"), number)
        self.axis.setCurrentIndex(max(0, self.axis.findData(axis)))
        for part in (self.axis, self._axis_label):
            part.setVisible(bool(axes))
        self.list.clear()
        self._others = []
        axis = self.channel_axis()
        if axis is None:
            self._fill_layers(chosen)
        else:
            self._fill_channels(axes[axis][1], channels)
        self.stretch.setVisible(axis is not None)
        rows = self.list.count()
        self.list.setVisible(rows > 0)
        if rows:
            height = rows * self.list.sizeHintForRow(0) + 2 * self.list.frameWidth() + 4
            self.list.setFixedHeight(height)  # what holds it scrolls
        self._block(False)
        self._describe()

    def _fill_layers(self, chosen: list[Any]) -> None:
        for layer in reversed(self._viewer.layers):
            if not self._is_candidate(layer):
                continue
            found = difference(self._layer, layer)
            if found in ("shape", "colours"):
                continue
            item = self._add(layer.name, layer in chosen)
            item.setToolTip(
                tip(f"Show '{layer.name}' together with '{self._layer.name}'")
            )
            if found:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
                item.setToolTip(
                    tip(f"'{layer.name}' has another {found} than '{self._layer.name}'")
                )
            self._others.append(layer)

    def _fill_channels(self, length: int, channels: tuple[int, ...]) -> None:
        for channel in range(length):
            item = self._add(f"channel {channel}", not channels or channel in channels)
            item.setToolTip("Double-click to choose the colour")
        self._paint()

    def _add(self, text: str, checked: bool) -> QListWidgetItem:
        item = QListWidgetItem(shown(text))
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
        item.setCheckState(
            Qt.CheckState.Checked if checked else Qt.CheckState.Unchecked
        )
        self.list.addItem(item)
        return item

    def _is_candidate(self, layer: Any) -> bool:
        return (
            self._layer is not None
            and layer != self._layer
            and isinstance(layer, Image)
            and not is_made(layer)
        )

    def _axes(self) -> dict[int, tuple[str, int]]:
        """Name and length of the axes that may hold channels."""
        if self._layer is None or self._layer.rgb:
            return {}
        found = slice_axes(self._layer, self._viewer.dims)
        labels = self._layer.axis_labels
        return {
            axis: (_axis_name(labels[axis], axis), length)
            for axis, length in found.items()
            if 1 < length <= MANY
        }

    def _is_checked(self, row: int) -> bool:
        item = self.list.item(row)
        usable = bool(item.flags() & Qt.ItemFlag.ItemIsEnabled)
        return usable and item.checkState() == Qt.CheckState.Checked

    def _color(self, channel: int, channels: tuple[int, ...]) -> Color:
        """Colour of a channel: the user's, or the next default of those shown."""
        if channel in self._colors:
            return self._colors[channel]
        return channel_colors(len(channels))[channels.index(channel)]

    def _paint(self) -> None:
        """Show the colours of the channels that are chosen."""
        channels = self.channels()
        for row in range(self.list.count()):
            pixmap = QPixmap(16, 16)
            pixmap.fill(QColor(0, 0, 0, 0))
            if row in channels:
                pixmap.fill(QColor.fromRgbF(*self._color(row, channels)))
            self.list.item(row).setIcon(QIcon(pixmap))

    def _describe(self) -> None:
        axis, channels = self.channel_axis(), self.channels()
        beside = self.layers()
        text = ""
        if axis is not None and not channels:
            text = "Choose at least one channel."
        elif axis is None and self.list.count():
            text = "Show together with the image:"
        elif axis is None:
            text = "No other image layer of this shape."
        self._about.setText(text)
        self._about.setVisible(bool(text))
        self._count = len(channels) if axis is not None else 1 + len(beside)
        together = f": {self._count} together" if self._count > 1 else ""
        self.set_title(f"Channels{together}")

    def _on_axis(self, _index: int) -> None:
        self._limits = ()
        self.refresh()
        self.changed.emit()

    def _on_item(self, _item: QListWidgetItem) -> None:
        self._limits = ()
        if self.channel_axis() is not None:
            self._block(True)
            self._paint()
            self._block(False)
        self._describe()
        self.changed.emit()

    def _on_color(self, item: QListWidgetItem) -> None:
        row = self.list.row(item)
        channels = self.channels()
        if row not in channels:
            return
        now = QColor.fromRgbF(*self._color(row, channels))
        chosen = QColorDialog.getColor(now, self, f"Colour of channel {row}")
        if chosen.isValid():
            self.set_color(row, (chosen.redF(), chosen.greenF(), chosen.blueF()))

    def set_color(self, channel: int, color: Color) -> None:
        """Choose the colour of a channel."""
        self._colors[channel] = color
        self._block(True)
        self._paint()
        self._block(False)
        self.changed.emit()

    def _on_stretch(self, _on: bool) -> None:
        self._limits = ()
        self.changed.emit()

    def _block(self, on: bool) -> None:
        self.axis.blockSignals(on)
        self.list.blockSignals(on)


def _axis_name(label: str, axis: int) -> str:
    """Name of an axis; napari's own default says nothing."""
    return f"axis {axis}" if label.startswith("axis ") else label
