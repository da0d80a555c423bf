"""magicgui's widgets for parameters, and forms of them whose labels align."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import FloatSlider, Slider, create_widget
from qtpy.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QFormLayout,
    QSizePolicy,
    QWidget,
)

from napari_gem.core.fields import Control
from napari_gem.widget.parts.decimals import DecimalSigns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_gem.core.fields import Parameter
    from napari_gem.widget.parts.plain import Label

READOUT = "min-width: 45px; max-width: 45px;"
"""Of the number beside a slider: napari's theme gives it more than the slider has."""


def number_control(parameter: Parameter) -> Any:
    """Make a box or a slider for a number, or a check box."""
    if parameter.kind is bool:
        return create_widget(annotation=bool, value=parameter.default)
    asked = parameter.about.control or Control()
    options: dict[str, Any] = {"min": asked.low, "max": asked.high, "step": asked.step}
    if asked.slider:
        options["widget_type"] = FloatSlider if parameter.kind is float else Slider
    value = max(asked.low, parameter.default)
    control = create_widget(annotation=parameter.kind, value=value, options=options)
    native = control.native
    if asked.slider:
        slider, box = _parts(native)
        slider.setPageStep(10 * slider.singleStep())
        slider.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        box.setStyleSheet(READOUT)
    else:
        box = native
    DecimalSigns(box)
    # a number that is being typed is no value yet
    box.setKeyboardTracking(False)
    return control


def list_control(items: Iterable[str | tuple[str, str]]) -> Any:
    """Make a list to choose from: of texts, or of what is shown and its value."""
    control = create_widget(widget_type="ComboBox", options={"choices": [*items]})
    box: QComboBox = control.native
    box.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    box.setMinimumContentsLength(8)
    return control


def form(rows: Iterable[tuple[Label, QWidget]]) -> QFormLayout:
    """Lay out labels and what they name; magicgui's own labels do not align.

    Controls get the text of the label as their name, also the parts of a slider.
    """
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for label, widget in rows:
        label.setBuddy(widget)
        kinds = (QAbstractSlider, QAbstractSpinBox)
        parts = [x for x in widget.findChildren(QWidget) if isinstance(x, kinds)]
        for part in (widget, *parts):
            part.setAccessibleName(label.text())
        layout.addRow(label, widget)
    return layout


def _parts(native: QWidget) -> tuple[QAbstractSlider, QAbstractSpinBox]:
    return native.findChild(QAbstractSlider), native.findChild(QAbstractSpinBox)
