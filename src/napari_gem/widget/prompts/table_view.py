"""The classes as a table: what the mouse and keys do in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qtpy.QtCore import (
    QItemSelectionModel,
    QModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from qtpy.QtGui import QIcon, QKeySequence, QPainter, QPalette, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QDoubleSpinBox,
    QHeaderView,
    QSizePolicy,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeView,
)

from napari_gem.widget.parts.column import scroll_area_of
from napari_gem.widget.parts.decimals import DecimalSigns
from napari_gem.widget.prompts.cells import NOT_HERE, Column, color_of
from napari_gem.widget.prompts.class_edit import is_run
from napari_gem.widget.prompts.table_model import PromptModel

if TYPE_CHECKING:
    from qtpy.QtCore import QEvent
    from qtpy.QtGui import (
        QColor,
        QKeyEvent,
        QMouseEvent,
        QPaintEvent,
        QResizeEvent,
    )
    from qtpy.QtWidgets import QWidget

    from napari_gem.core.prompts import Prompt

ROWS = 4
"""Least rows that are seen."""

LETTERS = 6
"""Least letters of a name and of words that are seen; else the table scrolls."""


CHECK_BOX = 32
"""Pixels of a check box and its margins, which napari's style fixes."""

HINT_MARGIN = 8
"""Pixels beside a hint."""

FINE = 0.1
"""How far a threshold goes while Shift is held, as a part of the usual."""

DIM = 0.45
"""Opacity of what is off, or only a hint."""

EMPTY = "Type what you see, e.g. nucleus, and press Enter"


@dataclass(frozen=True)
class _Drag:
    """A threshold while it is dragged; ``x`` is where the mouse is, in pixels."""

    label: int
    start: float
    value: float
    x: float
    moved: bool = False


def _swatch(color: QColor, size: QSize) -> QIcon:
    pixmap = QPixmap(size)
    pixmap.fill(color)
    icon = QIcon(pixmap)
    # else the colour of a selected row would be mixed with the selection's
    icon.addPixmap(pixmap, QIcon.Mode.Selected)
    return icon


def _is_hint(index: QModelIndex) -> bool:
    """Tell whether the words of a class are only its name."""
    prompt = index.model().prompt_at(index.row())
    return bool(index.column() == Column.WORDS and prompt and prompt.is_its_name)


class RowDelegate(QStyledItemDelegate):
    """Paints paler what is off or only a hint."""

    def initStyleOption(  # noqa: N802 (Qt's name)
        self, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Show the colour of the class, and paler what is off or a hint."""
        super().initStyleOption(option, index)
        prompt = index.model().prompt_at(index.row())
        if prompt is not None and index.column() == Column.COLOR:
            option.icon = _swatch(color_of(prompt), option.decorationSize)
        if index.column() == Column.WORDS:
            option.textElideMode = Qt.TextElideMode.ElideRight  # the first says most
        hints = _is_hint(index)
        width = option.fontMetrics.horizontalAdvance(option.text) + HINT_MARGIN
        if hints and option.rect.width() < width:
            option.text = ""  # words of other classes and names need the room
        if prompt is not None and (hints or not prompt.on):
            for role in (QPalette.ColorRole.Text, QPalette.ColorRole.HighlightedText):
                color = option.palette.color(role)
                color.setAlphaF(DIM)
                option.palette.setColor(role, color)

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:  # noqa: N802
        """Leave room around the colour and the threshold's bar."""
        hint: QSize = super().sizeHint(option, index)
        # names need the room of a hint, which is shown where there is some left
        width = 0 if _is_hint(index) else hint.width()
        return QSize(width, max(hint.height(), option.fontMetrics.height() + 6))


class ThresholdDelegate(RowDelegate):
    """Paints a threshold as a bar with its number; a spin box to type it."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Draw the bar behind the number."""
        prompt: Prompt = index.model().prompt_at(index.row())
        self.initStyleOption(option, index)
        text, option.text = option.text, ""
        widget = option.widget
        style = widget.style() if widget else QApplication.style()
        style.drawControl(
            QStyle.ControlElement.CE_ItemViewItem, option, painter, widget
        )
        frame = QRectF(option.rect).adjusted(2.5, 3.5, -2.5, -3.5)
        ink = option.palette.color(QPalette.ColorRole.Text)
        bar = QRectF(frame)
        bar.setWidth(frame.width() * prompt.threshold)
        painter.save()
        ink.setAlphaF(0.3 if prompt.on else 0.15)
        painter.fillRect(bar, ink)
        ink.setAlphaF(0.6 if prompt.on else 0.3)
        painter.setPen(ink)
        painter.drawRect(frame)
        painter.setPen(option.palette.color(QPalette.ColorRole.Text))
        painter.setFont(option.font)
        painter.drawText(frame, int(Qt.AlignmentFlag.AlignCenter.value), text)
        painter.restore()

    def createEditor(  # noqa: N802 (Qt's name)
        self,
        parent: QWidget,
        option: QStyleOptionViewItem,  # noqa: ARG002
        index: QModelIndex,  # noqa: ARG002
    ) -> QWidget:
        """Make the spin box."""
        box = QDoubleSpinBox(parent)
        box.setRange(0, 1)
        box.setSingleStep(0.05)
        box.setDecimals(2)
        box.setFrame(False)
        DecimalSigns(box)
        box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        return box


class PromptView(QTreeView):
    """Table of classes; asks for changes by signals."""

    threshold_dragged = Signal(int, float, bool)
    """Label id, threshold, and whether it still moves."""
    color_requested = Signal(int)
    """Label id of the class that is to get another colour."""
    toggle_requested = Signal(int)
    """Label id of the class that is to be switched on or off."""
    remove_requested = Signal()
    """The selected classes are to be removed."""
    move_requested = Signal(int)
    """The selected classes are to go up (-1) or down (1)."""

    def __init__(self, model: PromptModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._classes = model
        self._drag: _Drag | None = None
        self.setModel(model)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setAlternatingRowColors(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDragDropOverwriteMode(False)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.setTabKeyNavigation(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionsMovable(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setMinimumSectionSize(1)
        self.setItemDelegate(RowDelegate(self))
        self.setItemDelegateForColumn(Column.THRESHOLD, ThresholdDelegate(self))
        self.setAccessibleName("Classes")
        self.setToolTip("Classes to look for; double-click changes a cell")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._resized = QTimer(self, singleShot=True, interval=0)
        self._resized.timeout.connect(self._keep_focus_visible)
        # all rows are shown: what holds the table scrolls
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        model.changed.connect(self._on_changed)
        self.fit_columns()

    def _on_changed(self, moving: bool) -> None:
        if not moving:
            self.fit_columns()

    def fit_columns(self) -> None:
        """Give numbers and names the width that they need, and words the rest."""
        side, header = self.fontMetrics().height(), self.header()
        self.setIconSize(QSize(side - 2, side - 2))
        widths = {Column.COLOR: side + CHECK_BOX}
        digit = self.fontMetrics().horizontalAdvance("0")
        longest = self.fontMetrics().horizontalAdvance(NOT_HERE) + digit
        for column, needed in ((Column.THRESHOLD, 6 * digit), (Column.SHARE, longest)):
            widths[column] = max(needed, header.sectionSizeHint(column))
        rest = self.viewport().width() - sum(widths.values())
        least = LETTERS * digit
        names = self.sizeHintForColumn(Column.NAME)
        words = self.sizeHintForColumn(Column.WORDS)
        # names say most; who needs less than its part leaves the rest to the other
        names = min(names, max(rest - words, rest * 3 // 5))
        widths[Column.NAME] = max(least, min(names, rest - least))
        widths[Column.WORDS] = max(least, rest - widths[Column.NAME])
        for column, width in widths.items():
            header.resizeSection(column, width)
        self.fit_rows()

    def fit_rows(self) -> None:
        """Be as high as all rows, and `ROWS` at least."""
        row = max(self.sizeHintForRow(0), self.fontMetrics().height() + 6)
        rows = max(ROWS, self._classes.rowCount()) * row
        bar = self.horizontalScrollBar()
        below = bar.sizeHint().height() if bar.maximum() else 0
        edges = 2 * self.frameWidth() + below
        height = self.header().sizeHint().height() + rows + edges
        if height != self.height():
            self.setFixedHeight(height)
            self._resized.start()

    def scrollTo(  # noqa: N802 (Qt's name)
        self,
        index: QModelIndex,
        hint: QAbstractItemView.ScrollHint = (
            QAbstractItemView.ScrollHint.EnsureVisible
        ),
    ) -> None:
        """Show a row, also where the table is in a scroll area."""
        super().scrollTo(index, hint)
        area = scroll_area_of(self)
        if area is not None:
            row = self.visualRect(index)
            center = self.viewport().mapTo(area.widget(), row.center())
            area.ensureVisible(0, center.y(), 0, row.height())

    def _keep_focus_visible(self) -> None:
        """Scroll to the focused widget: more rows may have pushed it down."""
        area, focus = scroll_area_of(self), QApplication.focusWidget()
        if area is not None and focus is not None and area.isAncestorOf(focus):
            area.ensureWidgetVisible(focus, 0, self.fontMetrics().height())

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Say what to do while there is no class."""
        super().paintEvent(event)
        if self._classes.rowCount():
            return
        painter = QPainter(self.viewport())
        painter.setFont(self.font())
        ink = self.palette().color(QPalette.ColorRole.Text)
        ink.setAlphaF(2 * DIM)
        painter.setPen(ink)
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(self.viewport().rect(), int(flags.value), EMPTY)
        painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 (Qt's name)
        """Fit columns to the width."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.fit_columns()
        else:
            self.fit_rows()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 (Qt's name)
        """Fit columns to another font."""
        super().changeEvent(event)
        if event.type() in (event.Type.FontChange, event.Type.StyleChange):
            self.fit_columns()

    def selected_labels(self) -> list[int]:
        """Label ids of the selected classes, from the top."""
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        prompts = [self._classes.prompt_at(row) for row in rows]
        return [prompt.label for prompt in prompts if prompt is not None]

    def current_prompt(self) -> Prompt | None:
        """Class of the current row."""
        return self._classes.prompt_at(self.currentIndex().row())

    def go_to(self, row: int) -> None:
        """Make a row the current one and select it alone."""
        flags = QItemSelectionModel.SelectionFlag
        # the view's own method extends or toggles the selection while Ctrl is held
        self.selectionModel().setCurrentIndex(
            self._classes.index(row, Column.NAME), flags.ClearAndSelect | flags.Rows
        )

    # --- mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's name)
        """Begin to drag a threshold."""
        index = self.indexAt(event.position().toPoint())
        prompt = self._classes.prompt_at(index.row())
        left = event.button() == Qt.MouseButton.LeftButton
        if left and prompt is not None and index.column() == Column.THRESHOLD:
            self.go_to(index.row())
            x = event.position().x()
            self._drag = _Drag(prompt.label, prompt.threshold, prompt.threshold, x)
            event.accept()
        else:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's name)
        """Drag a threshold."""
        drag = self._drag
        if drag is None:
            super().mouseMoveEvent(event)
            return
        distance = event.position().x() - drag.x
        if not drag.moved and abs(distance) < QApplication.startDragDistance() / 2:
            return
        fine = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        step = distance / self.columnWidth(Column.THRESHOLD) * (FINE if fine else 1)
        value = min(1.0, max(0.0, drag.value + step))
        self._drag = replace(drag, value=value, x=event.position().x(), moved=True)
        self.threshold_dragged.emit(drag.label, round(value, 2), True)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's name)
        """Let go of a threshold."""
        drag, self._drag = self._drag, None
        if drag is None:
            super().mouseReleaseEvent(event)
        elif drag.moved:
            self.threshold_dragged.emit(drag.label, round(drag.value, 2), False)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Ask for a colour, or edit a cell."""
        point = event.position().toPoint()
        index = self.indexAt(point)
        prompt = self._classes.prompt_at(index.row())
        self._drag = None
        if prompt is not None and index.column() == Column.THRESHOLD:
            # Qt would take it for a press, since it never saw the first one
            self.edit(index)
        elif prompt is None or index.column() != Column.COLOR:
            super().mouseDoubleClickEvent(event)
        elif self.check_rect(index).contains(point):
            self.toggle_requested.emit(prompt.label)
        else:
            self.color_requested.emit(prompt.label)

    def check_rect(self, index: QModelIndex) -> QRect:
        """Rectangle of the check box of a cell, in pixels of the viewport."""
        option = QStyleOptionViewItem()
        self.initViewItemOption(option)
        option.rect = self.visualRect(index)
        self.itemDelegateForIndex(index).initStyleOption(option, index)
        part = QStyle.SubElement.SE_ItemViewItemCheckIndicator
        rect: QRect = self.style().subElementRect(part, option, self)
        return rect

    # --- keys

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's name)
        """Remove, switch and move classes; Escape puts a dragged threshold back."""
        key, prompt = event.key(), self.current_prompt()
        alt = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        if key == Qt.Key.Key_Escape and self._drag is not None:
            drag, self._drag = self._drag, None
            self.threshold_dragged.emit(drag.label, drag.start, False)
        elif event.matches(QKeySequence.StandardKey.Delete) or key == (
            Qt.Key.Key_Backspace
        ):
            self.remove_requested.emit()
        elif key == Qt.Key.Key_Space and prompt is not None:
            self.toggle_requested.emit(prompt.label)
        elif alt and key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.move_requested.emit(-1 if key == Qt.Key.Key_Up else 1)
        elif is_run(event):
            event.ignore()
        else:
            super().keyPressEvent(event)
