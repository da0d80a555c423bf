"""Values beside the words: quick ones for labels, and those of the method."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider, QLabeledSlider

from napari_gem.core.parameters import (
    MOST_ROUNDS,
    EncodeParameters,
    GemParameters,
    LabelParameters,
    ScoreParameters,
)
from napari_gem.models.presets import list_presets, read_preset, with_preset
from napari_gem.prompts.word_lists import list_templates, read_templates
from napari_gem.widget.parameters.settings import Advanced
from napari_gem.widget.parts.fold import Fold
from napari_gem.widget.parts.plain import Label

if TYPE_CHECKING:
    from napari_gem.models.card import ModelCard

REST = 250
"""Milliseconds without a change after which a slider counts as resting."""

SUGGESTED = "As the model suggests"
PREFERRED = "As in Preferences"
PRECISIONS = ("auto", "float32", "bfloat16", "float16")

LABELS = ("background_weight", "smoothing", "minimum_size")
SCORE = ("background_weight", "smoothing", "refinement")
GEM = ("depth", "iterations", "temperature_scale", "residual")

NAMES = {
    "preset": "Preset",
    "background_weight": "Background",
    "smoothing": "Smoothing",
    "minimum_size": "Minimum size",
    "depth": "Depth",
    "iterations": "Iterations",
    "temperature_scale": "Temperature",
    "residual": "Residual",
    "refinement": "Refinement",
    "templates": "Templates",
    "precision": "Precision",
}

TIPS = {
    "preset": "Values for a kind of images, in place of the model's own. GEM as it was "
    "released (paper) is for the command line: it squashes the whole image to a small "
    "square, which no layer, region or tile can follow.",
    "background_weight": "Weight of the background: below 1 classes grow, above 1 "
    "they shrink.",
    "smoothing": "Smooths the scores before labels are made: standard deviation of "
    "a Gaussian in image pixels.",
    "minimum_size": "Connected regions of a class with fewer pixels become background.",
    "depth": "The last depth - 1 blocks of the model take part. More blocks keep "
    "regions together, fewer keep what is small.",
    "iterations": "Rounds of self-self attention: more make regions more even.",
    "temperature_scale": "Factor on the inverse temperature that is computed from the "
    "image: above 1 only patches that are much alike are joined.",
    "residual": "Whether the method starts from the model's own features (the paper) "
    "or from zero, which suits large models.",
    "refinement": "How far labels are drawn to the edges of the image: steps among "
    "pixels of like colour; 0 for not. 10 suit patches of 4 pixels, 20 those of 16.",
    "templates": "Sentences that each word is put into; their text embeddings are "
    "averaged.",
    "precision": "Numbers that the model computes with. Half precision is faster on "
    "GPUs; on processors bfloat16 takes half the memory.",
}


class AdvancedPanel(QWidget):
    """Two foldable groups of values, and a button back to the model's own.

    What the user has not changed follows the model's card.
    """

    score_changed = Signal(bool)
    """Other labels from the same encoding; True while a slider still moves."""
    encode_changed = Signal()
    """The model must run again."""
    preset_changed = Signal()
    """Other values are the usual ones; said before the others."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._card: ModelCard | None = None
        self._preset: str | None = None
        self._moving = False
        self._usual: dict[str, Any] = _values(
            ScoreParameters(), GemParameters(), LabelParameters()
        )
        self._fields = {
            "preset": _combo((SUGGESTED, *panel_presets())),
            "background_weight": _slider(QLabeledDoubleSlider, 0.05, 5, 0.05, 2),
            "smoothing": _slider(QLabeledDoubleSlider, 0, 50, 0.5, 1),
            "minimum_size": _slider(QLabeledSlider, 0, 5000, 10),
            "depth": _spin(QSpinBox, 1, 64, 1),
            "iterations": _spin(QSpinBox, 0, 20, 1),
            "temperature_scale": _spin(QDoubleSpinBox, 0.1, 64, 0.5),
            "residual": QCheckBox(),
            "refinement": _spin(QSpinBox, 0, MOST_ROUNDS, 5),
            "templates": _combo((SUGGESTED, *list_templates())),
            "precision": _combo((PREFERRED, *PRECISIONS)),
        }
        self._captions = {name: Label(NAMES[name]) for name in self._fields}
        self.reset_button = QPushButton("Reset")
        self.reset_button.setToolTip("Take all values as the model suggests")
        self.summary = Label()
        self.summary.setWordWrap(True)
        self._rest = QTimer(self, interval=REST, singleShot=True)
        self._lay_out()
        self._connect()
        self._show_values(self._usual)

    def set_card(self, card: ModelCard) -> None:
        """Take the values of a model's card as the usual ones.

        Values that the user changed stay, but those of the method only as long as
        the model does. Says nothing: whoever changes the model runs it anyway.
        """
        changed = self._changed()
        if self._card is None or card.id != self._card.id:
            changed = {n: v for n, v in changed.items() if n not in GEM}
        self._card = card
        self._suggest(self._preset)
        self._show_values(self._usual | changed)

    def suggested(self, card: ModelCard) -> ModelCard:
        """Lay the chosen preset over a model's card."""
        return with_preset(card, self._preset or "")

    def reset(self) -> None:
        """Go back to the model's card."""
        changed = self._changed()
        self._suggest(None)
        self._show_values(self._usual)
        self._report(changed)

    def score(self, base: ScoreParameters) -> ScoreParameters:
        """Lay what the user changed over other parameters."""
        changed = self._changed()
        values = {n: changed[n] for n in SCORE if n in changed}
        if "templates" in changed:
            values["templates"] = read_templates(changed["templates"])
        return replace(base, **values)

    def encode(self, base: EncodeParameters) -> EncodeParameters:
        """Lay what the user changed over other parameters."""
        values = {n: v for n, v in self._changed().items() if n in GEM}
        return replace(base, gem=replace(base.gem, **values))

    def label(self) -> LabelParameters:
        """Parameters of labels."""
        return LabelParameters(minimum_size=self._value("minimum_size"))

    def precision(self) -> str | None:
        """``auto``, ``float32`` ...; None takes the one of the Preferences."""
        chosen: str | None = self._value("precision")
        return chosen

    def state(self) -> Advanced:
        """Tell what the user changed."""
        return Advanced(**self._changed())

    def set_state(self, state: Advanced) -> None:
        """Bring back what the user changed; says nothing.

        Lists of templates that there are no more are left out.
        """
        told = {f.name: getattr(state, f.name) for f in fields(state)}
        changed = {name: value for name, value in told.items() if value is not None}
        self._suggest(state.preset if state.preset in panel_presets() else None)
        self._show_values(self._usual | changed)

    def _suggest(self, preset: str | None) -> None:
        """Take the values of the model's card, with a preset, as the usual ones."""
        self._preset = preset
        if self._card is not None:
            card = self.suggested(self._card)
            self._usual = _values(card.score, card.encode.gem, LabelParameters())

    def _lay_out(self) -> None:
        self.labels_group = Fold("Labels")
        self.method_group = Fold("Advanced")
        self.labels_group.toggleButton().setToolTip(
            "How labels are made of the scores; shows at once"
        )
        self.method_group.toggleButton().setToolTip(
            "The method itself; all but the templates need a new run"
        )
        quick, method = QFormLayout(), QFormLayout()
        for form in (quick, method):
            form.setContentsMargins(0, 0, 0, 0)
            form.setFieldGrowthPolicy(
                QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
            )
        for name, widget in self._fields.items():
            form = quick if name in LABELS else method
            caption = self._captions[name]
            caption.setBuddy(widget)
            widget.setAccessibleName(NAMES[name])
            form.addRow(caption, widget)
        for group, form in ((self.labels_group, quick), (self.method_group, method)):
            inside = QWidget()
            inside.setLayout(form)
            group.addWidget(inside)
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

    def _connect(self) -> None:
        for name in LABELS:
            slider = self._fields[name]
            slider.valueChanged.connect(self._on_moved)
            slider.sliderReleased.connect(self._on_rest)
        for name in ("depth", "iterations", "temperature_scale"):
            self._fields[name].valueChanged.connect(self._on_encode)
        self._fields["residual"].toggled.connect(self._on_encode)
        self._fields["precision"].currentIndexChanged.connect(self._on_encode)
        self._fields["templates"].currentIndexChanged.connect(self._on_score)
        self._fields["refinement"].valueChanged.connect(self._on_score)
        self._fields["preset"].currentIndexChanged.connect(self._on_preset)
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
        kept = {n: v for n, v in self._changed().items() if n not in GEM}
        self._suggest(self._value("preset"))
        self._show_values(self._usual | kept)
        self.preset_changed.emit()
        self.encode_changed.emit()

    def _report(self, changed: dict[str, Any]) -> None:
        if "preset" in changed:
            self.preset_changed.emit()
        if {*GEM, "precision", "preset"} & changed.keys():
            self.encode_changed.emit()
        elif changed:
            self.score_changed.emit(False)

    def _value(self, name: str) -> Any:
        widget = self._fields[name]
        if isinstance(widget, QCheckBox):
            return widget.isChecked()
        if isinstance(widget, QComboBox):
            return widget.currentText() if widget.currentIndex() else None
        value = widget.value()
        return value if isinstance(value, int) else round(value, 6)

    def _show_values(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            widget = self._fields[name]
            with QSignalBlocker(widget):
                if isinstance(widget, QCheckBox):
                    widget.setChecked(value)
                elif isinstance(widget, QComboBox):
                    widget.setCurrentIndex(max(0, widget.findText(value or "")))
                else:
                    # what a file or a model's card says may lie beyond the scale
                    widget.setMinimum(min(widget.minimum(), value))
                    widget.setMaximum(max(widget.maximum(), value))
                    widget.setValue(value)
        self._rest.stop()
        self._moving = False
        self._mark()

    def _changed(self) -> dict[str, Any]:
        """Values that are not the usual ones."""
        now = {name: self._value(name) for name in self._fields}
        return {name: v for name, v in now.items() if v != self._usual[name]}

    def _mark(self) -> None:
        """Show which values are not the usual ones."""
        changed = self._changed()
        for name, caption in self._captions.items():
            font = caption.font()
            font.setBold(name in changed)
            caption.setFont(font)
            tip = f"{TIPS[name]}\n{_suggestion(name, self._usual[name])}"
            for widget in (caption, self._fields[name]):
                widget.setToolTip(f"<p>{tip.replace(chr(10), '<br>')}</p>")
        named = ", ".join(NAMES[name].lower() for name in changed)
        self.summary.setText(f"Changed: {named}" if named else "As the model suggests")
        self.reset_button.setEnabled(bool(changed))


@cache
def panel_presets() -> tuple[str, ...]:
    """Names of the presets for layers: all but those that squash the image."""
    return tuple(name for name in list_presets() if not read_preset(name).squash)


def _values(
    score: ScoreParameters, gem: GemParameters, label: LabelParameters
) -> dict[str, Any]:
    return {
        "preset": None,
        "background_weight": score.background_weight,
        "smoothing": score.smoothing,
        "minimum_size": label.minimum_size,
        **{name: getattr(gem, name) for name in GEM},
        "refinement": score.refinement,
        "templates": None,
        "precision": None,
    }


def _suggestion(name: str, usual: Any) -> str:
    if usual is None:
        return ""
    shown = {True: "on", False: "off"}[usual] if name == "residual" else f"{usual:g}"
    return f"The model suggests {shown}."


def _slider(
    kind: type[QWidget], low: float, high: float, step: float, decimals: int = 0
) -> Any:
    slider: Any = kind(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setSingleStep(step)
    slider.setPageStep(10 * step)
    if decimals:
        slider.setDecimals(decimals)
    return slider


def _spin(kind: type[QWidget], low: float, high: float, step: float) -> Any:
    spin: Any = kind()
    spin.setRange(low, high)
    spin.setSingleStep(step)
    # a number that is being typed is no value yet
    spin.setKeyboardTracking(False)
    return spin


def _combo(items: tuple[str, ...]) -> QComboBox:
    combo = QComboBox()
    combo.addItems(items)
    combo.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    combo.setMinimumContentsLength(8)
    return combo
