"""Which layers, or which channels of a layer, are shown together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QColorDialog,
    QFormLayout,
    QListWidget,
    QListWidgetItem,
    QWidget,
)

from napari_gem.core.foreign_text import shown
from napari_gem.images.rendering import channel_colors
from napari_gem.layers import difference, is_result_of_ours, slice_axes
from napari_gem.widget.parts.combo import Combo
from napari_gem.widget.parts.fold import Fold
from napari_gem.widget.parts.plain import Label, tip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel

    from napari_gem.core.appearance import Appearance

    Color = tuple[float, float, float]
    Limits = tuple[float, float]

MOST_CHANNELS = 64
"""An axis with more slices than this holds no channels."""

WHITE = (1.0, 1.0, 1.0)


class ChannelChoice(Fold):
    """Offers other layers of the same shape, and axes of channels.

    The list has a row for each other layer, or for each channel if an axis is chosen.
    """

    changed = Signal()
    """Other layers or channels, or another look of them."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__("Channels")
        self._viewer = viewer
        self._layer: Any = None
        self._others: list[Any] = []  # other layers, as the rows of the list
        self._colors: dict[int, Color] = {}
        self._limits: tuple[Limits, ...] = ()
        self.set_tooltip(
            "Show several layers, or several channels of one layer, as one image"
        )
        self.axis = Combo(
            "Axis of channels",
            "Axis of the layer that holds channels. It must not be on the screen.",
        )
        self.list = QListWidget()
        self.list.setAccessibleName("Channels")
        self.list.setToolTip("What is shown together as one image")
        self.list.setIconSize(QSize(16, 16))
        self.stretch = QCheckBox("Contrast of each channel by itself")
        self.stretch.setToolTip(
            "Stretch each channel between its own percentiles 0.5 and 99.5. Else all "
            "have the contrast limits of the layer."
        )
        self._axis_label = Label("Axis")
        self._heading = Label()
        self._heading.setWordWrap(True)
        content = QWidget()
        form = QFormLayout(content)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(self._axis_label, self.axis)
        form.addRow(self._heading)
        form.addRow(self.list)
        form.addRow(self.stretch)
        self.addWidget(content)
        self.content().layout().setContentsMargins(0, 2, 0, 2)
        self.axis.currentIndexChanged.connect(self._on_axis)
        self.list.itemChanged.connect(self._on_item)
        self.list.itemDoubleClicked.connect(self._ask_color)
        self.stretch.toggled.connect(self._measure_again)
        self.set_layer(None)

    def title(self) -> str:
        """Say how many layers or channels are taken; empty if there is only one."""
        count, others = self._count(), self.list.count()
        if count == 1 and others and self.channel_axis() is None:
            return f"Channels: 1 of {1 + others}"
        return f"Channels: {count}" if count > 1 else ""

    def layers(self) -> list[Any]:
        """Other layers that are taken together with the chosen one."""
        return [layer for layer in self.members() if self._takes(layer)]

    def members(self) -> list[Any]:
        """Other layers that are combined with the chosen one, hidden ones too."""
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
        return tuple(filter(self._is_checked, range(self.list.count())))

    def choice(self) -> dict[str, Any]:
        """Keywords for `napari_gem.layers.read_layers`."""
        channels = self.channels()
        if not channels:
            return {}
        measured = self.stretch.isChecked() and len(self._limits) == len(channels)
        return {
            "channel_axis": self.channel_axis(),
            "channels": channels,
            "colors": tuple(self._color(channel) for channel in channels),
            "limits": self._limits if measured else (),
        }

    def wants_limits(self) -> bool:
        """Whether the contrast limits of each channel are yet to be measured."""
        channels = self.channels()
        stretched = self.stretch.isChecked() and bool(channels)
        return stretched and len(self._limits) != len(channels)

    def set_limits(self, limits: tuple[Limits, ...]) -> None:
        """Take measured contrast limits."""
        self._limits = limits
        self.changed.emit()

    def forget_limits(self) -> None:
        """Drop measured contrast limits: the layer has other data now."""
        self._limits = ()

    def set_layer(self, layer: Any, others: Sequence[Any] = ()) -> None:
        """Offer what goes with a layer; a choice made for another is dropped.

        ``others`` are combined with it.
        """
        if layer == self._layer and list(others) == self.members():
            self.refresh()
            return
        if layer != self._layer:
            self._layer = layer
            self._colors = {}
        self._limits = ()
        self._fill(others)

    def refresh(self) -> None:
        """Offer what the viewer has now; what is chosen stays if it is still there."""
        self._fill(self.members(), self.channel_axis(), self.channels())

    def choose_count(self, count: int) -> bool:
        """Show so many layers or channels together.

        Returns False if it is not clear which ones; then only the layer is chosen.
        """
        if self._count() == count:
            return True
        self._fill()
        axes = [axis for axis, (_, length) in self._axes().items() if length == count]
        if 1 + len(self._others) == count and not axes:
            self._fill(list(self._others))
        elif len(axes) == 1:
            self._fill(axis=axes[0])
        self._measure_again()
        return self._count() == count

    def set_looks(self, looks: Sequence[Appearance]) -> None:
        """Give the chosen channels these colours and contrast limits."""
        for channel, look in zip(self.channels(), looks, strict=True):
            self._colors[channel] = WHITE if look.lut is None else look.lut[-1]
        self._limits = tuple(look.limits for look in looks)
        with QSignalBlocker(self.stretch):
            self.stretch.setChecked(True)
        self._paint()
        self.changed.emit()

    def set_color(self, channel: int, color: Color) -> None:
        """Choose the colour of a channel."""
        self._colors[channel] = color
        self._paint()
        self.changed.emit()

    def _fill(
        self,
        layers: Sequence[Any] = (),
        axis: int | None = None,
        channels: Sequence[int] = (),
    ) -> None:
        """Fill axes and list; these are checked, or all channels if none are named."""
        axes = self._axes()
        names = [(f"{name} ({length})", a) for a, (name, length) in axes.items()]
        self.axis.set_choices([("none", None), *names], axis)
        axis = self.channel_axis()
        with QSignalBlocker(self.list):
            self.list.clear()
            self._others = []
            if axis is None:
                self._add_layers(layers)
            else:
                self._add_channels(axes[axis][1], channels)
        self._paint()
        for part in (self.axis, self._axis_label):
            part.setVisible(bool(axes))
        self.stretch.setVisible(axis is not None)
        rows = self.list.count()
        self.list.setVisible(rows > 0)
        if rows:
            height = rows * self.list.sizeHintForRow(0) + 2 * self.list.frameWidth() + 4
            self.list.setFixedHeight(height)  # what holds it scrolls
        self._describe()

    def _add_layers(self, checked: Sequence[Any]) -> None:
        for layer in reversed(self._viewer.layers):
            if not self._is_other_image(layer):
                continue
            differs_in = difference(self._layer, layer)
            if differs_in in ("shape", "colours"):
                continue
            item = self._add(layer.name, layer in checked)
            text = f"Show '{layer.name}' together with '{self._layer.name}'"
            if differs_in:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
                text = f"'{layer.name}' has another {differs_in} than "
                text += f"'{self._layer.name}'"
            elif not self._takes(layer):
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
                text = f"'{layer.name}' is hidden. Show it to take it."
            item.setToolTip(tip(text))
            self._others.append(layer)

    def _add_channels(self, length: int, checked: Sequence[int]) -> None:
        for channel in range(length):
            item = self._add(f"channel {channel}", not checked or channel in checked)
            item.setToolTip("Double-click to choose the colour")

    def _add(self, text: str, checked: bool) -> QListWidgetItem:
        item = QListWidgetItem(shown(text))
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
        state = Qt.CheckState.Checked if checked else Qt.CheckState.Unchecked
        item.setCheckState(state)
        self.list.addItem(item)
        return item

    def _is_other_image(self, layer: Any) -> bool:
        return (
            self._layer is not None
            and layer != self._layer
            and isinstance(layer, Image)
            and not is_result_of_ours(layer)
        )

    def _axes(self) -> dict[int, tuple[str, int]]:
        """Name and length of the axes that may hold channels."""
        if self._layer is None or self._layer.rgb:
            return {}
        labels = self._layer.axis_labels
        return {
            axis: (_axis_name(labels[axis], axis), length)
            for axis, length in slice_axes(self._layer, self._viewer.dims).items()
            if 1 < length <= MOST_CHANNELS
        }

    def _takes(self, layer: Any) -> bool:
        """Tell whether a layer can be seen beside the chosen one."""
        return bool(layer.visible or not self._layer.visible)

    def _is_checked(self, row: int) -> bool:
        return bool(self.list.item(row).checkState() == Qt.CheckState.Checked)

    def _count(self) -> int:
        """Layers or channels that are shown together; 0 if no channel is chosen."""
        if self.channel_axis() is None:
            return 1 + len(self.layers())
        return len(self.channels())

    def _color(self, channel: int) -> Color:
        """Colour of a channel: the user's, or the next default of those shown."""
        channels = self.channels()
        default = channel_colors(len(channels))[channels.index(channel)]
        return self._colors.get(channel, default)

    def _paint(self) -> None:
        """Show the colours of the channels that are chosen."""
        if self.channel_axis() is None:
            return
        channels = self.channels()
        with QSignalBlocker(self.list):
            for row in range(self.list.count()):
                pixmap = QPixmap(16, 16)
                pixmap.fill(Qt.GlobalColor.transparent)
                if row in channels:
                    pixmap.fill(QColor.fromRgbF(*self._color(row)))
                self.list.item(row).setIcon(QIcon(pixmap))

    def _describe(self) -> None:
        count = self._count()
        if self.channel_axis() is not None:
            heading = "" if count else "Choose at least one channel."
        elif self.list.count():
            heading = "Show together with the image:"
        else:
            heading = "No other image layer of this shape."
        self._heading.setText(heading)
        self._heading.setVisible(bool(heading))
        self.set_title(f"Channels: {count} together" if count > 1 else "Channels")

    def _on_axis(self, _index: int) -> None:
        self._fill(axis=self.channel_axis())
        self._measure_again()

    def _on_item(self, _item: QListWidgetItem) -> None:
        self._paint()
        self._describe()
        self._measure_again()

    def _measure_again(self, _on: bool = False) -> None:
        self._limits = ()
        self.changed.emit()

    def _ask_color(self, item: QListWidgetItem) -> None:
        row = self.list.row(item)
        if row not in self.channels():
            return
        now = QColor.fromRgbF(*self._color(row))
        chosen = QColorDialog.getColor(now, self, f"Colour of channel {row}")
        if chosen.isValid():
            self.set_color(row, (chosen.redF(), chosen.greenF(), chosen.blueF()))


def _axis_name(label: str, axis: int) -> str:
    """Name of an axis; napari's own default says nothing."""
    return f"axis {axis}" if label.startswith("axis ") else label
