"""The slider of the detail alone."""

from __future__ import annotations

from napari_gem.widget.image.detail_choice import STEPS, DetailChoice, nearest_step


def test_detail_is_the_models_until_it_is_chosen(qtbot):
    choice = DetailChoice()
    qtbot.addWidget(choice)
    changes, hints = [], []
    choice.changed.connect(lambda: changes.append(choice.detail()))
    choice.patch_hovered.connect(hints.append)
    assert choice.value.text() == "as the model suggests"
    choice.set_suggested(8.0)
    assert choice.detail() is None
    assert STEPS[choice.slider.value()] == 8
    assert choice.value.text() == "8 px per patch · default"
    choice.set_image(lambda patch: f"{patch / 4:g} µm")
    choice.slider.setValue(choice.slider.maximum())
    assert choice.detail() == 2
    assert choice.value.text() == "2 px per patch · 0.5 µm"
    assert hints[-1] == 2
    choice.set_detail(5.3)
    assert choice.detail() == 5.3
    assert STEPS[choice.slider.value()] == 6
    choice.reset_button.click()
    assert choice.detail() is None
    assert changes == [2, 5.3, None]
    assert nearest_step(1e6) == 0
