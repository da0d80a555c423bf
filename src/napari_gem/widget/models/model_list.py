"""The list of models: grouped by what they are good for, searched by typing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QModelIndex, QSize, QSortFilterProxyModel, Qt
from qtpy.QtGui import QPalette, QStandardItem, QStandardItemModel
from qtpy.QtWidgets import (
    QComboBox,
    QCompleter,
    QSizePolicy,
    QStyledItemDelegate,
    QWidget,
)

from napari_gem.core.foreign_text import shown
from napari_gem.models.card import size_text
from napari_gem.models.catalogue import group_models
from napari_gem.widget.models.model_dialog import NamedModel
from napari_gem.widget.parts.plain import tip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_gem.models.card import ModelCard

NAMED = Qt.ItemDataRole.UserRole
"""Role of the `NamedModel` of an item; headings have none."""
SEARCH = Qt.ItemDataRole.UserRole + 1
DETAIL = Qt.ItemDataRole.UserRole + 2
USUAL = Qt.ItemDataRole.UserRole + 3
"""Role of the detail that is shown while a model is not on disk."""
ON_DISK = "✓ on disk"
OTHERS = "Others"


class ModelList(QComboBox):
    """Offers models under headings; typing finds them by name, use and id."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Model")
        self._items = QStandardItemModel(self)
        self.setModel(self._items)
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMaxVisibleItems(24)
        self.setItemDelegate(_WithDetail(self))
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        search = _Search(self._items, self)
        search.activated[QModelIndex].connect(self._on_completed)
        self.setCompleter(search)
        self.lineEdit().textEdited.connect(self._dress)
        self.lineEdit().textChanged.connect(self._show_start)
        self.lineEdit().editingFinished.connect(self._show_chosen)
        self.lineEdit().setAccessibleName("Search models")
        self.lineEdit().setToolTip("Type to search models by name, use or id")
        self.lineEdit().setPlaceholderText("Type to search")
        self.reload()
        self.currentIndexChanged.connect(self._show_chosen)

    def reload(self) -> None:
        """Read the catalogue again; what is chosen stays chosen if it is there."""
        chosen, others = self.named(), self._unlisted()
        self.blockSignals(True)
        self._items.clear()
        for domain, cards in group_models().items():
            self._add_heading(f"{domain[0].upper()}{domain[1:]}")
            for card in cards:
                self._append(card.name, NamedModel(card.id), card)
        known = set(self._named_rows())
        others = [(name, named) for name, named in others if named not in known]
        for name, named in others:
            self.add(named, name)
        row = self._named_rows().get(chosen, 1)
        self.setCurrentIndex(row)
        self.blockSignals(False)
        self._show_chosen()

    def named(self) -> NamedModel:
        """Model that is chosen."""
        named = self.currentData(NAMED)
        return named if isinstance(named, NamedModel) else NamedModel("embedded")

    def add(self, named: NamedModel, name: str) -> int:
        """Add a model that no catalogue has, if it is not there; give its row."""
        rows = self._named_rows()
        # recipes tell the architecture of the user's own models too
        row = rows.get(named, rows.get(NamedModel(named.model)))
        if row is None:
            if self.findText(OTHERS) < 0:
                self._add_heading(OTHERS)
            self._append(name, named)
            row = self.count() - 1
        return row

    def mark(self, ids: Iterable[str]) -> None:
        """Mark the models of the catalogue that are on this computer."""
        on_disk = set(ids)
        for named, row in self._named_rows().items():
            item = self._items.item(row)
            detail = ON_DISK if named.model in on_disk else item.data(USUAL)
            item.setData(detail, DETAIL)
        self._show_start()  # Qt writes the name once more

    def showPopup(self) -> None:  # noqa: N802 (Qt's name)
        """Open the list wide enough for names and what stands beside them."""
        self.view().setMinimumWidth(self._width())
        super().showPopup()

    def _width(self) -> int:
        bar = self.view().verticalScrollBar().sizeHint().width()
        return int(self.view().sizeHintForColumn(0) + bar)

    def _append(
        self, name: str, named: NamedModel, card: ModelCard | None = None
    ) -> None:
        item = QStandardItem(shown(name))
        item.setData(named, NAMED)
        words = [name, named.model]
        if card is not None:
            words += [card.domain, card.good_for]
            licence = card.licence.partition(":")[0]
            if licence == "not found":
                licence = "licence not found"
            size = size_text(card.size).removeprefix("about ")
            item.setData(shown(f"{size}, {licence}") if card.size else "", DETAIL)
            about = f"For {card.good_for}.\n{card.id}\nLicence: {card.licence}\n"
            item.setToolTip(tip(about + card.source))
        item.setData(item.data(DETAIL), USUAL)
        item.setData(" ".join(words), SEARCH)
        self._items.appendRow(item)

    def _add_heading(self, name: str) -> None:
        item = QStandardItem(name)
        item.setFlags(Qt.ItemFlag.NoItemFlags)
        font = item.font()
        font.setBold(True)
        item.setFont(font)
        self._items.appendRow(item)

    def _named_rows(self) -> dict[NamedModel, int]:
        pairs = ((self.itemData(row, NAMED), row) for row in range(self.count()))
        return {named: row for named, row in pairs if named is not None}

    def _unlisted(self) -> list[tuple[str, NamedModel]]:
        start = self.findText(OTHERS)
        rows = range(start + 1, self.count()) if start >= 0 else ()
        return [(self.itemText(row), self.itemData(row, NAMED)) for row in rows]

    def _dress(self) -> None:
        """Give what is found the viewer's theme: it opens in a window of its own."""
        sheets = []
        above: QWidget | None = self
        while above is not None:
            sheets.append(above.styleSheet())
            above = above.parentWidget()
        popup = self.completer().popup()
        sheet = "\n".join(filter(None, reversed(sheets)))
        if popup.styleSheet() != sheet:
            popup.setStyleSheet(sheet)
        popup.setFont(self.font())
        popup.setMinimumWidth(max(self.width(), self._width()))

    def _on_completed(self, index: QModelIndex) -> None:
        row = self._named_rows().get(index.data(NAMED))
        if row is not None:
            self.setCurrentIndex(row)
        self._show_chosen()

    def _show_start(self) -> None:
        """Show how a long name begins, not how it ends, unless somebody types it."""
        if not self.lineEdit().isModified():
            self.lineEdit().setCursorPosition(0)

    def _show_chosen(self) -> None:
        """Show what is chosen: what was typed was a search."""
        self.setEditText(self.itemText(self.currentIndex()))
        self.lineEdit().setCursorPosition(0)


class _Search(QCompleter):
    """Finds models, not headings, by name, use and id; shows their names."""

    def __init__(self, items: QStandardItemModel, parent: ModelList) -> None:
        super().__init__(parent)
        self._models = _OnlyModels(self)
        self._models.setSourceModel(items)
        self.setModel(self._models)
        self.setCompletionRole(SEARCH)
        self.setFilterMode(Qt.MatchFlag.MatchContains)
        self.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        self.setMaxVisibleItems(12)
        self.popup().setItemDelegate(_WithDetail(self))

    def pathFromIndex(self, index: QModelIndex) -> str:  # noqa: N802 (Qt's name)
        """Text that goes into the line when a model is taken."""
        return str(index.data(Qt.ItemDataRole.DisplayRole))


class _OnlyModels(QSortFilterProxyModel):
    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:  # noqa: N802
        index = self.sourceModel().index(row, 0, parent)
        return index.data(NAMED) is not None


class _WithDetail(QStyledItemDelegate):
    """Draws size and licence, or that it is on disk, at the right of a name."""

    def paint(self, painter: Any, option: Any, index: QModelIndex) -> None:
        super().paint(painter, option, index)
        detail = index.data(DETAIL)
        if detail:
            painter.save()
            color = option.palette.color(QPalette.ColorRole.Text)
            color.setAlphaF(1.0 if detail == ON_DISK else 0.6)
            painter.setPen(color)
            middle = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(option.rect.adjusted(0, 0, -6, 0), middle, detail)
            painter.restore()

    def sizeHint(self, option: Any, index: QModelIndex) -> QSize:  # noqa: N802
        size = super().sizeHint(option, index)
        room = option.fontMetrics.horizontalAdvance(f"    {index.data(DETAIL) or ''}")
        return QSize(size.width() + room + 12, size.height())
