"""Choice of what the model computes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown
from napari_gem.core.validation import is_cluster
from napari_gem.widget.models.cluster_view import ClusterView

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_gem.models.card import ModelCard

CLUSTER = "cluster"

DEVICES = {
    "This computer": "auto",
    "CUDA (NVIDIA GPU)": "cuda",
    "MPS (Apple GPU)": "mps",
    "CPU": "cpu",
    "Dask cluster": CLUSTER,
}


class DeviceChoice(QWidget):
    """Offers this computer, its devices, and a cluster."""

    changed = Signal()

    def __init__(
        self, card: Callable[[], ModelCard], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.combo = QComboBox()
        for name, device in DEVICES.items():
            self.combo.addItem(name, device)
        self.combo.setAccessibleName("Compute on")
        self.combo.setToolTip(
            "This computer takes CUDA, else MPS, else the CPU.\n"
            "Workers of a dask cluster encode tiles for you."
        )
        self.cluster = ClusterView(card)
        self.cluster.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.combo)
        column.addWidget(self.cluster)
        self.combo.currentIndexChanged.connect(self._on_chosen)
        self.cluster.changed.connect(self.changed)

    def device(self) -> str:
        """Device as in a `Request`.

        Raises
        ------
        GemError
            If a cluster is chosen and its address is none.
        """
        device = str(self.combo.currentData())
        if device != CLUSTER:
            return device
        address = self.cluster.address()
        if not is_cluster(address):
            raise GemError(
                f"'{address}' is no address of a dask scheduler: give tcp://host:port "
                "under 'Compute on'."
            )
        return address

    def set_device(self, device: str) -> None:
        """Choose a device; one that is not offered is added."""
        if is_cluster(device):
            self.cluster.set_address(device)
            device = CLUSTER
        if self.combo.findData(device) < 0:
            self.combo.addItem(shown(device), device)
        self.combo.setCurrentIndex(self.combo.findData(device))

    def stop(self) -> None:
        """End a test: the widget is closed."""
        self.cluster.stop()

    def _on_chosen(self) -> None:
        self.cluster.setVisible(self.combo.currentData() == CLUSTER)
        self.changed.emit()
