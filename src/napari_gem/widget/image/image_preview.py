"""A small picture of what the model sees."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from napari_gem.core.errors import GemError
from napari_gem.images.rendering import render
from napari_gem.layers import channel_limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from qtpy.QtGui import QPaintEvent

    from napari_gem.core.region import Region
    from napari_gem.layers import LayerImage

    Request = tuple[LayerImage, bool]

logger = logging.getLogger(__name__)

HEIGHT, WIDTH = 56, 72
"""Pixels of the picture, which stands beside what is chosen."""
SIDE = 240
"""Most pixels along each axis that are read for the picture."""

NO_IMAGE = "Open an image"
READING = "Reading the image..."

WAIT = 60
"""Milliseconds before a change is drawn: sliders change many times in that."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An RGB picture of uint8, or a sentence why there is none."""

    rgb: NDArray[np.uint8] | None = None
    limits: tuple[tuple[float, float], ...] = ()  # of each channel, if measured
    sentence: str = ""


def make_picture(image: LayerImage, measure: bool) -> Picture:
    """Read some of the pixels and render them; runs on a thread of its own."""
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
    """Draws the image that was requested last.

    Pictures are made on a thread of their own, one at a time; of the requests that come
    meanwhile only the last counts.
    """

    drawn = Signal()
    """There is a new picture, or a sentence why there is none."""
    limits_measured = Signal(object)
    """Contrast limits of each channel, as a tuple of pairs."""

    _picture_drawn = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._picture_drawn.connect(self._on_picture)
        self.setFixedSize(WIDTH, HEIGHT)
        # so that nothing jumps while there is a sentence instead
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.setSizePolicy(policy)
        self.setAccessibleName("What the model sees")
        self.setToolTip(
            "What the model sees: the layer as it is shown, with its contrast and "
            "colours. The dashed line is the part that is segmented."
        )
        self.sentence = ""
        self._image: QImage | None = None
        self._shape = self._next_shape = (1, 1)
        self._region: Region | None = None
        self._request: Callable[[], Request | None] | None = None
        self._busy = False
        self._stale = False
        self._source = self._read_source = ""  # of the image that is to be drawn, read
        self._stopped = False
        self._timer = QTimer(self, singleShot=True, interval=WAIT)
        self._timer.timeout.connect(self._start)

    def request(self, request: Callable[[], Request | None]) -> None:
        """Draw a new picture soon.

        ``request`` is called on the main thread when its turn comes. It returns the
        image, and whether the contrast limits of its channels are to be measured; None
        for no image. It may raise `GemError`.
        """
        self._request = request
        self._timer.start()

    def set_region(self, region: Region | None) -> None:
        """Mark the part that is segmented; None for all."""
        if region != self._region:
            self._region = region
            self.update()

    def stop(self) -> None:
        """Draw nothing any more."""
        self._stopped = True
        self._timer.stop()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Draw the picture, if there is one."""
        if self._image is None:
            return
        painter = QPainter(self)
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
        box = [(top, left), (top, right), (bottom, right), (bottom, left)]
        polygon = [(row + 0.5, column + 0.5) for row, column in region.polygon]
        height, width = place.height() / self._shape[0], place.width() / self._shape[1]
        return QPolygonF(
            [
                QPointF(place.left() + column * width, place.top() + row * height)
                for row, column in polygon or box
            ]
        )

    def _start(self) -> None:
        if self._stopped or self._request is None:
            return
        self._source = ""
        try:
            request = self._request()
        except GemError as error:
            self._show(Picture(sentence=str(error)))
            return
        except Exception as error:
            logger.exception("The image of the preview could not be described")
            self._show(Picture(sentence=f"There is no preview ({error})."))
            return
        if request is None:
            self._show(Picture(sentence=NO_IMAGE))
            return
        image, measure = request
        self._source = image.source
        if image.source != self._read_source:
            self._show(Picture(sentence=READING))  # not the picture of another image
        if self._busy:
            self._stale = True
            return
        self._read_source = image.source
        self._busy, self._stale = True, False
        self._next_shape = image.shape
        thread = Thread(
            target=self._make,
            args=(image, measure),
            name="napari-gem preview",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError:  # the system gives no thread
            self._on_picture(Picture(sentence="There is no preview at the moment."))

    def _make(self, image: LayerImage, measure: bool) -> None:
        """Make a picture, on a thread that outlives a viewer that is closed."""
        picture = make_picture(image, measure)
        with suppress(RuntimeError):  # Qt has deleted this meanwhile
            self._picture_drawn.emit(picture)

    def _on_picture(self, picture: Picture) -> None:
        self._busy = False
        if self._stopped:
            return
        is_in_front = self._read_source == self._source
        if is_in_front:
            self._shape = self._next_shape
            self._show(picture)
        if self._stale:
            self._stale = False
            self._timer.start()
        elif picture.limits and is_in_front and not self._timer.isActive():
            # with another request under way they may be of other channels
            self.limits_measured.emit(picture.limits)

    def _show(self, picture: Picture) -> None:
        self.sentence = picture.sentence
        self._image = None if picture.rgb is None else _to_image(picture.rgb)
        self.update()
        self.drawn.emit()


def _to_image(rgb: NDArray[Any]) -> QImage:
    height, width = rgb.shape[:2]
    image = QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return image.copy()  # which owns its pixels
