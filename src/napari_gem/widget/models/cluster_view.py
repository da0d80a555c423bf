"""A dask cluster: its address, and what its workers say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_gem.cluster.connection import ASKING, connect_steps
from napari_gem.core.errors import GemError
from napari_gem.widget.parts.job import BackgroundJob
from napari_gem.widget.parts.plain import Label
from napari_gem.widget.parts.progress_text import progress_text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from napari_gem.cluster.tasks import WorkerReport
    from napari_gem.core.progress import Progress
    from napari_gem.models.card import ModelCard

MOST_LISTED = 6
"""Workers that get a line of their own."""


class ClusterView(QWidget):
    """Takes the address of a scheduler, and tests the connection."""

    changed = Signal()

    def __init__(
        self, card: Callable[[], ModelCard], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._card = card
        self._address = ""
        self.edit = QLineEdit()
        self.edit.setAccessibleName("Address of the dask scheduler")
        self.edit.setPlaceholderText("tcp://host:8786")
        self.edit.setToolTip(
            "Address that 'dask scheduler' prints. Only in a network that you trust:\n"
            "whoever reaches the scheduler can run any code on its workers, and a\n"
            "hostile scheduler can run any code on this computer."
        )
        self.button = QPushButton("Test connection")
        self.button.setToolTip(
            "Ask each worker for its GPUs and versions, and load the model there"
        )
        self.answer = Label()
        self.answer.setWordWrap(True)
        self.answer.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
        )
        self.answer.hide()
        self.job = BackgroundJob(self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.edit, self.button, self.answer):
            column.addWidget(widget)
        self.edit.editingFinished.connect(self._on_edited)
        self.button.clicked.connect(self._on_button)
        self.job.progressed.connect(lambda step: self._show(progress_text(step)))
        self.job.failed.connect(self._show)
        self.job.ended.connect(lambda: self.button.setText("Test connection"))

    def address(self) -> str:
        """Address as it was typed."""
        return self.edit.text().strip()

    def set_address(self, address: str) -> None:
        """Show an address."""
        self.edit.setText(address)
        self._on_edited()

    def stop(self) -> None:
        """End a test."""
        self.job.cancel()

    def _on_edited(self) -> None:
        if self.address() != self._address:
            self._address = self.address()
            self._show("")
            self.changed.emit()

    def _on_button(self) -> None:
        if self.job.busy:
            self.job.cancel()
            self._show("")
            return
        try:
            card = self._card()
        except GemError as error:
            self._show(str(error))
            return
        address = self.address()
        self.button.setText("Cancel")
        self._show(f"{ASKING}…")
        self.job.run(
            lambda: report_steps(address, card),
            lambda reports: self._show(report_text(reports, card, address)),
        )

    def _show(self, text: str) -> None:
        self.answer.setText(text)
        self.answer.setVisible(bool(text))


def report_steps(
    address: str, card: ModelCard
) -> Generator[Progress, None, list[WorkerReport]]:
    """Ask each worker what it has, and whether the model loads there.

    Raises
    ------
    GemError
        As `Cluster` and `Cluster.report_steps`.
    """
    with (yield from connect_steps(address)) as cluster:
        if not (yield from cluster.workers_steps()):
            return []
        return (yield from cluster.report_steps(card))


def report_text(reports: Sequence[WorkerReport], card: ModelCard, address: str) -> str:
    """Write the answers of workers, a line each."""
    if not reports:
        return (
            "The scheduler answers, but it has no workers yet. Start some with 'dask "
            f"worker {address}'; a run waits for them."
        )
    gpus = sum(len(one.devices) for one in reports)
    versions = sorted({f"napari-gem {r.version}, torch {r.torch}" for r in reports})
    lines = [f"{_count(len(reports), 'worker')}, {_count(gpus, 'GPU')}", *versions]
    if all(one.model for one in reports):
        lines.append(f"{card.name} loads on each.")
    for one in reports[:MOST_LISTED]:
        has = ", ".join(one.devices) or "no GPU"
        lines.append(f"{one.host}: {has}; {one.problem or one.model}")
    if len(reports) > MOST_LISTED:
        lines.append(f"and {len(reports) - MOST_LISTED} more")
    return "\n".join(lines)


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number or 'no'} {name}s"
