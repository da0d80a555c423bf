"""A comma in a box of numbers is no mark of thousands."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QLocale
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDoubleSpinBox

from napari_gem.widget.parts.decimals import DecimalSigns

LANGUAGES = QLocale.Language.English, QLocale.Language.German


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("typed", ["0.35", "0,35"])
def test_both_signs_are_the_decimal_point(qtbot, language, typed):
    box = QDoubleSpinBox()
    qtbot.addWidget(box)
    box.setLocale(QLocale(language))
    box.setRange(0, 1)
    DecimalSigns(box)
    box.show()
    box.selectAll()
    QTest.keyClicks(box, typed)
    assert box.value() == pytest.approx(0.35)
