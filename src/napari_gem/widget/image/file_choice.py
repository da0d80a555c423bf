"""Which bands of a file are shown, and which value stands for no data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QLineEdit, QSizePolicy, QWidget

from napari_gem.core.errors import GemError
from napari_gem.images.readers.bands import band_names, choose_bands
from napari_gem.images.valid import nodata_value
from napari_gem.layers.opening import shown_bands, view_of
from napari_gem.widget.parts.plain import Label, tip

if TYPE_CHECKING:
    from collections.abc import Sequence

AS_STORED = "as the file shows them"
SHOWN_PRESETS = {"true colour": "true-color", "colour infrared": "color-infrared"}
"""Composites that are offered, by what the list calls them."""

BANDS_TIP = (
    "Which bands are shown as red, green and blue, each with its own contrast. Type "
    "numbers or names with commas between, such as 4,3,2.\nBands: {bands}"
)
CHANNELS_TIP = (
    "Which channels are shown together. Type numbers or names with commas between.\n"
    "Channels: {bands}"
)
NODATA_TIP = (
    "Pixels of this value hold no data: they get no label and count in no share. "
    "Leave this empty to take what the file says, or type none."
)


class FileChoice(QWidget):
    """Asks for bands of files that have several, and for the value of no data."""

    reopen_requested = Signal(str, str)
    """Bands and the value for no data, for layers that we opened from a file."""
    nodata_changed = Signal()
    """Another value for no data, for other layers."""
    message_sent = Signal(str, str)
    """``warning``, and a sentence for the user."""

    def __init__(self) -> None:
        super().__init__()
        self._layers: Sequence[Any] = ()
        self._nodata: dict[str, str] = {}  # of layers that are no file's
        self.bands = QComboBox()
        self.bands.setEditable(True)
        self.bands.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.bands.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.bands.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.bands.setAccessibleName("Bands")
        self.bands.setToolTip("Which bands of the file are shown")
        self.nodata = QLineEdit()
        self.nodata.setAccessibleName("Value for no data")
        self.nodata.setToolTip(NODATA_TIP)
        self.bands_label = Label("Bands")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow(self.bands_label, self.bands)
        form.addRow("No data", self.nodata)
        self.bands.activated.connect(lambda _index: self._on_bands())
        self.bands.lineEdit().editingFinished.connect(self._on_bands)
        self.nodata.editingFinished.connect(self._on_nodata)
        self.set_layers(())

    def value(self, layer: Any) -> str:
        """Return the value for no data of a layer that we did not open from a file."""
        return self._nodata.get(str(getattr(layer, "unique_id", "")), "")

    def title(self) -> tuple[str, ...]:
        """Say what is chosen."""
        kind = self.bands_label.text()
        shown = self._shown_text()
        parts = [f"{kind}: {shown}"] if shown and self._has_bands() else []
        nodata = self._nodata_now()
        return (*parts, f"No data: {nodata}") if nodata else tuple(parts)

    def set_nodata(self, nodata: str) -> None:
        """Take a value for no data for the layer, if we did not open it from a file."""
        if self._layers and view_of(self._layers[0]) is None:
            self._nodata[str(self._layers[0].unique_id)] = nodata
            self.refresh()

    def set_layers(self, layers: Sequence[Any]) -> None:
        """Show what is chosen for layers that are taken together."""
        self._layers = tuple(layers)
        self.refresh()

    def refresh(self) -> None:
        """Show what is chosen now."""
        view = view_of(self._layers[0]) if self._layers else None
        several = self._has_bands()
        for part in (self.bands_label, self.bands):
            part.setVisible(several)
        with QSignalBlocker(self.nodata):
            self.nodata.setText(self._nodata_now())
            self.nodata.setPlaceholderText("as the file says" if view else "none")
        if view is None or not several:
            return
        bands, channels = view.stack.bands, view.stack.are_channels
        self.bands_label.setText("Channels" if channels else "Bands")
        listed = band_names(bands, len(bands))
        text = (CHANNELS_TIP if channels else BANDS_TIP).format(bands=listed)
        self.bands.setToolTip(tip(text))
        offered = [] if channels else self._presets()
        with QSignalBlocker(self.bands):
            self.bands.clear()
            self.bands.addItems([AS_STORED, *offered])
            self.bands.setEditText(self._shown_text() or AS_STORED)

    def _has_bands(self) -> bool:
        view = view_of(self._layers[0]) if self._layers else None
        return view is not None and len(view.stack.bands) > 1

    def _shown(self) -> str:
        """Bands that the layers show; empty for a picture's colours."""
        return shown_bands(self._layers)

    def _shown_text(self) -> str:
        """Name the bands that the layers show, or number them if names do not do."""
        view, numbers = (
            view_of(self._layers[0]) if self._layers else None,
            self._shown(),
        )
        if view is None or not numbers:
            return ""
        every = [band.name for band in view.stack.bands]
        names = [every[int(number) - 1] for number in numbers.split(",")]
        usable = all(
            name and "," not in name and every.count(name) == 1 for name in names
        )
        return ", ".join(names) if usable else numbers

    def _nodata_now(self) -> str:
        view = view_of(self._layers[0]) if self._layers else None
        if view is not None:
            return view.stack.nodata
        return self.value(self._layers[0]) if self._layers else ""

    def _presets(self) -> list[str]:
        """Name the composites for which the file has the bands."""
        offered = []
        for text, preset in SHOWN_PRESETS.items():
            try:
                self._choose(preset)
            except GemError:
                continue
            offered.append(text)
        return offered

    def _choose(self, bands: str) -> None:
        """Refuse bands that the file does not have."""
        view = view_of(self._layers[0])
        if view is not None:
            stack = view.stack
            choose_bands(bands, stack.bands, len(stack.bands), stack.path.name)

    def _on_bands(self) -> None:
        text = self.bands.currentText().strip()
        bands = "" if text == AS_STORED else SHOWN_PRESETS.get(text, text)
        if not self._has_bands() or bands in (self._shown(), self._shown_text()):
            return
        try:
            if bands:
                self._choose(bands)
        except GemError as error:
            self.message_sent.emit("warning", str(error))
            return
        self.reopen_requested.emit(bands, self._nodata_now())

    def _on_nodata(self) -> None:
        text = self.nodata.text().strip()
        if not self._layers or text == self._nodata_now():
            return
        layer = self._layers[0]
        try:
            nodata_value(text, layer.dtype)
        except GemError as error:
            self.message_sent.emit("warning", str(error))
            return
        if view_of(layer) is None:
            self._nodata[str(layer.unique_id)] = text
            self.nodata_changed.emit()
        else:
            self.reopen_requested.emit(self._shown(), text)
