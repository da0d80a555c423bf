"""Choice of the device."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QWidget

DEVICES = {
    "Automatic": "auto",
    "CUDA (NVIDIA GPU)": "cuda",
    "MPS (Apple GPU)": "mps",
    "CPU": "cpu",
}


class DeviceChoice(QComboBox):
    """Where the model computes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        for name, device in DEVICES.items():
            self.addItem(name, device)
        self.setToolTip("Automatic takes CUDA, else MPS, else the CPU")

    def device(self) -> str:
        """Device as in a `Request`."""
        return str(self.currentData())

    def set_device(self, device: str) -> None:
        """Choose a device; one that is not offered is added."""
        if self.findData(device) < 0:
            self.addItem(device, device)
        self.setCurrentIndex(self.findData(device))
