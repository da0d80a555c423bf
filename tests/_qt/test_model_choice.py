"""What the user reads of a model before and at its download."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_gem._qt.model_choice import (
    ModelChoice,
    ModelDialog,
    NamedModel,
    download_box,
)
from napari_gem.models import find_model


def about(choice):
    return choice._about.text()


def test_a_model_outside_the_catalogue_promises_its_size(qtbot):
    choice = ModelChoice()
    qtbot.addWidget(choice)
    assert "download" not in about(choice)
    choice.add(NamedModel("hf-hub:owner/repository"), "repository")
    assert "its size is told first" in about(choice)
    assert "not known" not in about(choice)
    assert "https://huggingface.co/owner/repository" in choice.combo.toolTip()


def test_the_box_tells_what_the_hub_said(qtbot):
    card = find_model("hf-hub:owner/repository")
    asked = replace(card, size=1_234_000_000, source="https://hub/x/y", licence="mit")
    box = download_box(asked)
    qtbot.addWidget(box)
    told = box.informativeText().splitlines()
    assert told == ["Size: about 1,234 MB", "From: https://hub/x/y", "Licence: mit"]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("RN50/openai", "no attention"),
        ("/nothere/x.safetensors", "no file or folder"),
    ],
)
def test_the_dialog_refuses_what_can_never_load(qtbot, typed, message):
    dialog = ModelDialog()
    qtbot.addWidget(dialog)
    dialog.model.setText(typed)
    dialog.accept()
    assert message in dialog.error.text()
    assert dialog.chosen is None
