"""The kind of images, in one line, with what it brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Signal

from napari_gem.core.parameters import DOMAINS
from napari_gem.core.sentences import some_of
from napari_gem.prompts.domains import domain_line, domain_title
from napari_gem.widget.parts.combo import Combo
from napari_gem.widget.parts.plain import tip

if TYPE_CHECKING:
    from qtpy.QtWidgets import QStyleOptionComboBox

    from napari_gem.core.parameters import ScoreParameters
    from napari_gem.prompts.domains import Decision

MOST = 40
"""Words or sentences that the tooltip lists."""


class DomainChoice(Combo):
    """A list of domains; the line says what the one that is meant brings."""

    domain_chosen = Signal(str)
    """The user chose this domain; empty for automatic."""

    _line = ""

    def __init__(self) -> None:
        super().__init__("Kind of images", "")
        # napari's room beside the text would cost the last word
        self.setStyleSheet("DomainChoice { padding: 3px 0px 3px 5px; }")
        titles = [(domain_title(name), name) for name in DOMAINS]
        self.set_choices([("Automatic", ""), *titles], "")
        self.activated.connect(lambda _: self.domain_chosen.emit(self.domain()))

    def domain(self) -> str:
        """Domain that is chosen; empty for automatic."""
        return str(self.currentData() or "")

    def set_domain(self, name: str) -> None:
        """Choose a domain, or automatic, without a signal."""
        with QSignalBlocker(self):
            self.choose(name)

    def show_decision(self, decision: Decision, score: ScoreParameters) -> None:
        """Say which domain is meant and why, and what it brings."""
        self._line = domain_line(decision.domain, score)
        title = domain_title(decision.domain)
        first = f"Automatic: {title.lower()}" if not self.domain() else "Automatic"
        self.setItemText(0, first)
        about = [
            f"Kind of images: {title}, {decision.reason}.",
            f"Background words: {some_of(score.background, MOST) or 'none'}.",
            "Sentences:",
            *score.templates[:MOST],
        ]
        self.setToolTip(tip("\n".join(about)))
        self.setAccessibleDescription(f"{self._line}, {decision.reason}")
        self.update()

    def shown_text(self) -> str:
        """Leave out what the tooltip lists too, rather than the middle of the line."""
        whole = self._line
        for line in (whole, whole.partition(",")[0], whole.partition(":")[0]):
            self._line = line
            text = super().shown_text()
            if text == line:
                break
        self._line = whole
        return text

    def initStyleOption(self, option: QStyleOptionComboBox) -> None:  # noqa: N802
        """Show the line in the place of the choice."""
        super().initStyleOption(option)
        option.currentText = self._line or option.currentText
