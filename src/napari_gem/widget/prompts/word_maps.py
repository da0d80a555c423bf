"""Small maps of words, and who wins where: pictures for the dock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPalette, QPixmap
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_gem.core.foreign_text import shown
from napari_gem.results.compared_words import (
    map_picture,
    rival_color,
    winner_picture,
    winning_shares,
)
from napari_gem.widget.prompts.cells import share_text

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qtpy.QtGui import QPaintEvent

    from napari_gem.core.word_comparison import ComparedMaps

ROWS = 7
"""Names beside the picture at most: the word, and those that win most."""


def map_pixmap(probability: NDArray[np.uint8], color: QColor, side: int) -> QPixmap:
    """Draw the map of a word in the colour of its class."""
    return _pixmap(map_picture(probability, _parts(color)), side)


def _parts(color: QColor) -> tuple[int, int, int]:
    return color.red(), color.green(), color.blue()


def _pixmap(pixels: NDArray[np.uint8], side: int) -> QPixmap:
    """Make a picture that fits a square."""
    height, width = pixels.shape[:2]
    held = np.ascontiguousarray(pixels)
    kind = QImage.Format.Format_RGB888
    image = QImage(held.data, width, height, held.strides[0], kind)
    return QPixmap.fromImage(image).scaled(
        side,
        side,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )


class WinnerPicture(QWidget):
    """Shows which word or background word gets which place."""

    def __init__(self) -> None:
        super().__init__()
        self._picture = QPixmap()
        self._rows: list[tuple[QColor, str]] = []
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Which word wins where")

    def clear(self) -> None:
        """Show nothing."""
        self._rows, self._picture = [], QPixmap()
        self.updateGeometry()
        self.update()

    def show_word(self, maps: ComparedMaps, number: int, color: QColor) -> None:
        """Show who wins beside a word; the colour is that of its class."""
        own, *rivals = winning_shares(maps, number)
        self._rows = [(color, _line(*own[1:]))]
        room = ROWS - 1 if len(rivals) < ROWS else ROWS - 2
        for winner, name, share in rivals[:room]:
            self._rows.append((QColor(*rival_color(winner)), _line(name, share)))
        if rivals[room:]:
            rest = sum(share for _, _, share in rivals[room:])
            self._rows.append((QColor("transparent"), _line("others", rest)))
        side = self.sizeHint().height() - 4
        picture = winner_picture(maps.winners[number], _parts(color))
        self._picture = _pixmap(picture, side)
        self.setAccessibleDescription(", ".join(text for _, text in self._rows))
        self.updateGeometry()
        self.update()

    def texts(self) -> list[str]:
        """Return the shares and names that are shown."""
        return [text for _, text in self._rows]

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Ask for a line for each name."""
        rows = ROWS if self._rows else 0
        return QSize(0, rows * self.fontMetrics().height() + (8 if rows else 0))

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Draw the picture and the names beside it."""
        painter = QPainter(self)
        painter.drawPixmap(0, 2, self._picture)
        line = self.fontMetrics().height()
        left = self._picture.width() + 8
        for row, (ink, text) in enumerate(self._rows):
            top = 2 + row * line
            painter.fillRect(QRectF(left, top + 3, line - 6, line - 6), ink)
            room = self.width() - left - line
            cut = self.fontMetrics().elidedText(
                text, Qt.TextElideMode.ElideMiddle, room
            )
            painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
            place = QRectF(left + line, top, room, line)
            painter.drawText(place, int(Qt.AlignmentFlag.AlignVCenter.value), cut)
        painter.end()


def _line(name: str, share: float) -> str:
    return f"{share_text(share)} {shown(name)}"
