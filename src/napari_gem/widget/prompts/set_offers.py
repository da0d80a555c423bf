"""Sets that suit the model: buttons below an empty table, and entries of its menu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from napari_gem.core.foreign_text import shown
from napari_gem.core.sentences import some_of
from napari_gem.prompts.vocabulary import offered_sets, unknown_words
from napari_gem.widget.parts.plain import Label, menu_text, tip
from napari_gem.widget.parts.style import BUTTON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.core.prompts import Prompt
    from napari_gem.prompts.vocabulary import SetOffer

MOST_BUTTONS = 3
MOST_IN_TIP = 60


class SetOffers(QWidget):
    """Offers sets while the table is empty; else names words that the model misses."""

    chosen = Signal(str)
    """Name of a set that comes with the package."""

    def __init__(self) -> None:
        super().__init__()
        self.offers: tuple[SetOffer, ...] = ()
        self._known: frozenset[str] = frozenset()
        self._domain: str | None = None
        self._prompts: Sequence[Prompt] = ()
        self.sentence = Label()
        self.sentence.setWordWrap(True)
        self.buttons = [QToolButton() for _ in range(MOST_BUTTONS)]
        line = QHBoxLayout()
        line.setContentsMargins(0, 0, 0, 0)
        for number, button in enumerate(self.buttons):
            button.setStyleSheet(BUTTON)
            button.clicked.connect(lambda _=False, n=number: self._choose(n))
            line.addWidget(button)
        line.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.sentence)
        layout.addLayout(line)
        self.set_model("", frozenset())

    def set_model(self, domain: str, known_words: frozenset[str]) -> None:
        """Offer what suits a model, as `napari_gem.prompts.vocabulary` tells."""
        if (domain, known_words) == (self._domain, self._known):
            return
        self._domain, self._known = domain, known_words
        self.offers = offered_sets(domain, known_words)
        self._show()

    def set_prompts(self, prompts: Sequence[Prompt]) -> None:
        """Follow the classes of the table."""
        self._prompts = prompts
        self._show()

    def _show(self) -> None:
        usable = [offer for offer in self.offers if not offer.needs_another_model]
        for number, button in enumerate(self.buttons):
            offer = usable[number] if number < len(usable) else None
            button.setVisible(offer is not None and not self._prompts)
            if offer is not None:
                button.setText(menu_text(offer.title))
                button.setAccessibleName(f"Load the set {offer.title}")
                button.setToolTip(tip(f"Load the classes of this set. {offer.about}"))
        missing = unknown_words((p for p in self._prompts if p.on), self._known)
        text = ""
        if not self._prompts:
            text = "Or begin with a set:"
        elif missing:
            named = some_of(missing, quoted=True)
            text = (
                f"The model does not know {named}. Choose a CLIP model for free words."
            )
        self.sentence.setText(shown(text))
        self.sentence.setToolTip(tip(some_of(missing, MOST_IN_TIP)))
        self.setVisible(bool(text))

    def _choose(self, number: int) -> None:
        usable = [offer for offer in self.offers if not offer.needs_another_model]
        self.chosen.emit(usable[number].name)
