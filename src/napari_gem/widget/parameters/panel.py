"""Values beside the words: quick ones for labels, and those of the method."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QAbstractSlider,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_gem.core.fields import parameters_of, values_of, with_values
from napari_gem.core.parameters import (
    PRECISIONS,
    EncodeParameters,
    GemParameters,
    LabelParameters,
    ScoreParameters,
)
from napari_gem.models.presets import list_presets, read_preset, with_preset
from napari_gem.prompts.word_lists import list_templates, read_templates
from napari_gem.widget.parameters.settings import SHOWN
from napari_gem.widget.parts.controls import form, list_control, number_control
from napari_gem.widget.parts.fold import Fold
from napari_gem.widget.parts.plain import Label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.models.card import ModelCard

REST = 250
"""Milliseconds without a change after which a slider counts as resting."""

SUGGESTED = "As the model suggests"
PREFERRED = "As in Preferences"

QUICK = tuple(
    name
    for name, each in SHOWN.items()
    if each.about.control is not None and each.about.control.slider
)
GEM = tuple(each.name for each in parameters_of(GemParameters) if each.name in SHOWN)


class Choice(NamedTuple):
    """A list to choose from, whose first item leaves the value to somebody else."""

    label: str
    first: str
    help: str


CHOICES = {
    "preset": Choice(
        "Preset",
        SUGGESTED,
        "Values for a kind of images, in place of the model's own. GEM as it was "
        "released (paper) is for the command line: it squashes the whole image to a "
        "small square, which no layer, region or tile can follow.",
    ),
    "templates": Choice(
        "Templates",
        SUGGESTED,
        "Sentences that each word is put into; their text embeddings are averaged.",
    ),
    "precision": Choice(
        "Precision",
        PREFERRED,
        "Numbers that the model computes with. Half precision is faster on GPUs; on "
        "processors bfloat16 takes half the memory.",
    ),
}


class AdvancedPanel(QWidget):
    """Two foldable groups of values, and a button back to the model's own.

    What the user has not changed follows the model's card.
    """

    score_changed = Signal(bool)
    """Other labels from the same encoding; True while a slider still moves."""
    encode_changed = Signal()
    """The model must run again."""
    summarized = Signal(str)
    """What differs from the usual values, in words; empty if nothing does."""
    preset_changed = Signal()
    """The preset changed, and the usual values with it; emitted before the others."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._card: ModelCard | None = None
        self._preset: str | None = None
        self._moving = False
        self._usual = _usual(ScoreParameters(), EncodeParameters())
        items = {
            "preset": panel_presets(),
            "templates": list_templates(),
            "precision": PRECISIONS,
        }
        quick = {name: number_control(SHOWN[name]) for name in QUICK}
        method = {
            name: number_control(SHOWN[name]) for name in SHOWN if name not in QUICK
        }
        lists = {
            name: list_control((choice.first, *items[name]))
            for name, choice in CHOICES.items()
        }
        self._controls: dict[str, Any] = {
            "preset": lists["preset"],
            **quick,
            **method,
            "templates": lists["templates"],
            "precision": lists["precision"],
        }
        self._labels = {name: Label(_label(name)) for name in self._controls}
        self.labels_group = Fold("Labels")
        self.method_group = Fold("Advanced")
        self.reset_button = QPushButton("Reset")
        self.summary = Label()
        self._rest = QTimer(self, interval=REST, singleShot=True)
        self._lay_out(tuple(quick), ("preset", *method, "templates", "precision"))
        self._connect()
        self._show_values(self._usual)

    def set_card(self, card: ModelCard) -> None:
        """Take the values of a model's card as the usual ones, without a signal.

        Values that the user changed stay, but those of the method only as long as
        the model does.
        """
        changed = self.state()
        if self._card is None or card.id != self._card.id:
            changed = {n: v for n, v in changed.items() if n not in GEM}
        self._card = card
        self._suggest(self._preset)
        self._show_values(self._usual | changed)

    @property
    def preset(self) -> str:
        """Name of the chosen preset; empty for none."""
        return self._preset or ""

    def suggested(self, card: ModelCard) -> ModelCard:
        """Lay the chosen preset over a model's card."""
        return with_preset(card, self.preset)

    def reset(self) -> None:
        """Go back to the model's card."""
        changed = self.state()
        self._suggest(None)
        self._show_values(self._usual)
        if "preset" in changed:
            self.preset_changed.emit()
        if {*GEM, "precision", "preset"} & changed.keys():
            self.encode_changed.emit()
        elif changed:
            self.score_changed.emit(False)

    def score(self, base: ScoreParameters) -> ScoreParameters:
        """Lay what the user changed over other parameters."""
        changed = self.state()
        if "templates" in changed:
            changed["templates"] = read_templates(changed["templates"])
        return with_values(base, changed)

    def encode(self, base: EncodeParameters) -> EncodeParameters:
        """Lay what the user changed over other parameters."""
        return with_values(base, self.state())

    def label(self) -> LabelParameters:
        """Parameters of labels."""
        return with_values(LabelParameters(), self.state())

    def precision(self) -> str | None:
        """``auto``, ``float32`` ...; None takes the one of the Preferences."""
        chosen: str | None = self._value("precision")
        return chosen

    def state(self) -> dict[str, Any]:
        """Values that are not the usual ones, by name."""
        now = {name: self._value(name) for name in self._controls}
        return {name: v for name, v in now.items() if v != self._usual[name]}

    def set_state(self, changed: dict[str, Any]) -> None:
        """Bring back what the user changed, without a signal.

        Lists of templates that there are no more are left out.
        """
        preset = changed.get("preset")
        self._suggest(preset if preset in panel_presets() else None)
        self._show_values(self._usual | changed)

    def _suggest(self, preset: str | None) -> None:
        """Take the values of the model's card, with a preset, as the usual ones."""
        self._preset = preset
        if self._card is not None:
            card = self.suggested(self._card)
            self._usual = _usual(card.score, card.encode)

    def _lay_out(self, quick: Sequence[str], method: Sequence[str]) -> None:
        self.labels_group.set_tooltip(
            "How labels are made of the scores; shows at once"
        )
        self.method_group.set_tooltip(
            "The method itself; all but the templates need a new run"
        )
        self.reset_button.setAccessibleName("Reset settings")
        self.reset_button.setToolTip("Take all values as the model suggests")
        self.summary.setWordWrap(True)
        self.labels_group.addWidget(self._form(quick))
        self.method_group.addWidget(self._form(method))
        bottom = QHBoxLayout()
        bottom.setContentsMargins(0, 6, 0, 0)
        bottom.addWidget(self.summary, 1)
        bottom.addWidget(self.reset_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.labels_group)
        layout.addWidget(self.method_group)
        layout.addLayout(bottom)
        self.labels_group.expand()

    def _form(self, names: Sequence[str]) -> QWidget:
        rows = [(self._labels[name], self._controls[name].native) for name in names]
        inside = QWidget()
        inside.setLayout(form(rows))
        return inside

    def _connect(self) -> None:
        for name, control in self._controls.items():
            if name in QUICK:
                control.changed.connect(self._on_moved)
                slider = control.native.findChild(QAbstractSlider)
                slider.sliderReleased.connect(self._on_rest)
            elif name == "preset":
                control.changed.connect(self._on_preset)
            elif name in (*GEM, "precision"):
                control.changed.connect(self._on_encode)
            else:
                control.changed.connect(self._on_score)
        self._rest.timeout.connect(self._on_rest)
        self.reset_button.clicked.connect(self.reset)

    def _on_moved(self) -> None:
        self._mark()
        self._moving = True
        self._rest.start()
        self.score_changed.emit(True)

    def _on_rest(self) -> None:
        self._rest.stop()
        if self._moving:
            self._moving = False
            self.score_changed.emit(False)

    def _on_encode(self) -> None:
        self._mark()
        self.encode_changed.emit()

    def _on_score(self) -> None:
        self._mark()
        self.score_changed.emit(False)

    def _on_preset(self) -> None:
        kept = {n: v for n, v in self.state().items() if n not in GEM}
        self._suggest(self._value("preset"))
        self._show_values(self._usual | kept)
        self.preset_changed.emit()
        self.encode_changed.emit()

    def _value(self, name: str) -> Any:
        value = self._controls[name].value
        if name in CHOICES:
            return None if value == CHOICES[name].first else value
        return round(value, 6) if isinstance(value, float) else value

    def _show_values(self, values: dict[str, Any]) -> None:
        for name, control in self._controls.items():
            value = values[name]
            with control.changed.blocked():
                if name in CHOICES:
                    known = value in control.choices
                    control.value = value if known else CHOICES[name].first
                elif isinstance(value, bool):
                    control.value = value
                else:
                    # what a file or a model's card says may lie beyond the scale
                    control.min = min(control.min, value)
                    control.max = max(control.max, value)
                    control.value = value
        self._rest.stop()
        self._moving = False
        self._mark()

    def _mark(self) -> None:
        """Show which values are not the usual ones."""
        changed = self.state()
        for name, label in self._labels.items():
            font = label.font()
            font.setBold(name in changed)
            label.setFont(font)
            text = f"<p>{_help(name)}<br>{_suggestion(self._usual[name])}</p>"
            for widget in (label, self._controls[name].native):
                widget.setToolTip(text)
        named = ", ".join(_label(name).lower() for name in changed)
        self.summary.setText(f"Changed: {named}" if named else SUGGESTED)
        self.reset_button.setEnabled(bool(changed))
        self.summarized.emit(named)


@cache
def panel_presets() -> tuple[str, ...]:
    """Names of the presets for layers: all but those that squash the image."""
    return tuple(name for name in list_presets() if not read_preset(name).squash)


def _usual(score: ScoreParameters, encode: EncodeParameters) -> dict[str, Any]:
    values = values_of(score) | values_of(encode) | values_of(LabelParameters())
    return {name: values[name] for name in SHOWN} | dict.fromkeys(CHOICES)


def _label(name: str) -> str:
    return CHOICES[name].label if name in CHOICES else SHOWN[name].label


def _help(name: str) -> str:
    return CHOICES[name].help if name in CHOICES else SHOWN[name].about.help


def _suggestion(usual: Any) -> str:
    if usual is None:
        return ""
    shown = ("off", "on")[usual] if isinstance(usual, bool) else f"{usual:g}"
    return f"The model suggests {shown}."
