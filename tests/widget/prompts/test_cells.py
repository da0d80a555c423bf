"""Texts of the cells of the table of classes."""

from __future__ import annotations

import pytest

from napari_gem.core.prompts import Prompt
from napari_gem.widget.prompts.cells import Column, cell_value, share_text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (0.0005, "<0.1 %"),
        (0.001, "0.1 %"),
        (0.0996, "10 %"),
        (1, "100 %"),
    ],
)
def test_share_in_words(share, text):
    assert share_text(share) == text


def test_an_editor_begins_with_the_value_of_the_cell():
    prompt = Prompt(("cell", "cells"), 3, threshold=0.25)
    values = [cell_value(prompt, column) for column in Column]
    assert values == [None, "cell", "cell, cells", 0.25, None]
