"""A small picture of what the model sees."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget
from superqt.utils import create_worker

from napari_gem.core.errors import GemError
from napari_gem.images.rendering import render
from napari_gem.layers import channel_limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from qtpy.QtGui import QPaintEvent

    from napari_gem.core.region import Region
    from napari_gem.layers import LayerImage

logger = logging.getLogger(__name__)

HEIGHT = 120
SIDE = 240
"""Pixels along each axis that are read for the picture, at most."""

NO_IMAGE = "Open an image, or a sample:\nFile > Open Sample > GEM"

WAIT = 60
"""Milliseconds before a change is drawn: sliders change many times in that."""


@dataclass(frozen=True, eq=False)
class Picture:
    """What the private thread gives back.

    Attributes
    ----------
    rgb
        (height, width, 3) uint8; None if it could not be made.
    limits
        Contrast limits of each channel, if they were asked for.
    sentence
        Why there is no picture.
    """

    rgb: NDArray[np.uint8] | None = None
    limits: tuple[tuple[float, float], ...] = ()
    sentence: str = ""


def make_picture(image: LayerImage, measure: bool) -> Picture:
    """Read a part of the pixels and render them; runs on a private thread."""
    try:
        pixels = image.read(-(-max(image.shape) // SIDE))
        limits = channel_limits(pixels) if measure else ()
        shown = np.round(render(pixels, image.appearance) * 255).astype(np.uint8)
        return Picture(np.ascontiguousarray(shown), limits)
    except GemError as error:
        return Picture(sentence=str(error))
    except Exception as error:
        # data on disk can fail in any way
        logger.exception("The preview could not be made")
        return Picture(sentence=f"The pixels could not be read ({error}).")


class ImagePreview(QWidget):
    """Draws the picture that it is asked for, in its own time.

    Pictures are made on a private thread, one at a time; what was asked for meanwhile
    comes next, all but the last is left out.
    """

    drawn = Signal()
    """There is a new picture, or a sentence why there is none."""
    measured = Signal(object)
    """Contrast limits of each channel, as a tuple of pairs."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(HEIGHT)
        self.setToolTip(
            "What the model sees: the layer as it is shown, with its contrast and "
            "colours. The dashed line is the part that is segmented."
        )
        self.sentence = ""
        self._image: QImage | None = None
        self._shape = self._coming = (1, 1)
        self._region: Region | None = None
        self._ask: Callable[[], tuple[LayerImage, bool] | None] | None = None
        self._busy = False
        self._stale = False
        self._closed = False
        self._timer = QTimer(self, singleShot=True, interval=WAIT)
        self._timer.timeout.connect(self._start)

    def ask(self, ask: Callable[[], tuple[LayerImage, bool] | None]) -> None:
        """Ask for a new picture soon.

        Parameters
        ----------
        ask
            Called on the main thread when its turn comes: gives what is to be drawn,
            and whether the channels' contrast limits are to be measured; None for
            nothing. It may raise `GemError`.
        """
        self._ask = ask
        self._timer.start()

    def set_region(self, region: Region | None) -> None:
        """Mark the part that is segmented; None for all."""
        if region != self._region:
            self._region = region
            self.update()

    def has_picture(self) -> bool:
        """Whether a picture is shown."""
        return self._image is not None

    def is_waiting(self) -> bool:
        """Whether a picture is being made or asked for."""
        return self._busy or self._timer.isActive()

    def close_down(self) -> None:
        """Draw nothing any more."""
        self._closed = True
        self._timer.stop()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Width of a dock, height of the picture."""
        return QSize(200, HEIGHT)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Draw the picture, or the sentence."""
        painter = QPainter(self)
        if self._image is None:
            painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect(), int(flags), self.sentence)
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        place = self._place()
        painter.drawImage(place, self._image)
        if self._region is not None:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            outline = self._outline(self._region, place)
            for color, style in (
                ("black", Qt.PenStyle.SolidLine),
                ("white", Qt.PenStyle.DashLine),
            ):
                painter.setPen(QPen(QColor(color), 1, style))
                painter.drawPolygon(outline)

    def _place(self) -> QRectF:
        height, width = self._shape
        factor = min(self.width() / width, self.height() / height)
        size = width * factor, height * factor
        left, top = (self.width() - size[0]) / 2, (self.height() - size[1]) / 2
        return QRectF(left, top, *size)

    def _outline(self, region: Region, place: QRectF) -> QPolygonF:
        (top, bottom), (left, right) = region.rows, region.columns
        corners = [(row + 0.5, column + 0.5) for row, column in region.polygon] or [
            (top, left),
            (top, right),
            (bottom, right),
            (bottom, left),
        ]
        down, along = place.height() / self._shape[0], place.width() / self._shape[1]
        return QPolygonF(
            [
                QPointF(place.left() + column * along, place.top() + row * down)
                for row, column in corners
            ]
        )

    def _start(self) -> None:
        if self._busy:
            self._stale = True
            return
        if self._closed or self._ask is None:
            return
        try:
            asked = self._ask()
        except GemError as error:
            self._show(Picture(sentence=str(error)))
            return
        except Exception as error:
            logger.exception("The preview could not be asked for")
            self._show(Picture(sentence=f"There is no preview ({error})."))
            return
        if asked is None:
            self._show(Picture(sentence=NO_IMAGE))
            return
        image, measure = asked
        self._busy, self._stale = True, False
        self._coming = image.shape
        create_worker(
            make_picture,
            image,
            measure,
            _connect={"returned": self._on_picture},
            _start_thread=True,
        )

    def _on_picture(self, picture: Picture) -> None:
        self._busy = False
        if self._closed:
            return
        self._shape = self._coming
        self._show(picture)
        if self._stale:
            self._stale = False
            self._timer.start()
        elif picture.limits and not self._timer.isActive():
            # else they may be those of other channels
            self.measured.emit(picture.limits)

    def _show(self, picture: Picture) -> None:
        self.sentence = picture.sentence
        self._image = None if picture.rgb is None else _to_image(picture.rgb)
        self.update()
        self.drawn.emit()


def _to_image(rgb: NDArray[Any]) -> QImage:
    height, width = rgb.shape[:2]
    image = QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return image.copy()  # which owns its pixels
