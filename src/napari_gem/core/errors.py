"""The error whose text the user reads."""

from __future__ import annotations

from napari_gem.core.foreign_text import shown


class GemError(Exception):
    """Bad input or a failed step, in one plain sentence with a way out.

    Everything that a user can cause raises this class; its text may be shown as it is,
    since control characters of names, and of what other libraries said, are spelled.
    """

    def __str__(self) -> str:
        return shown(super().__str__())


def no_numbers(part: str, precision: str) -> str:
    """Say that a model or a part of it computes nothing, and what to do."""
    wrong = f"{part} gave no finite numbers in {precision}."
    if precision == "float32":
        return f"{wrong} Its weights do not suit it. Choose another model."
    return f"{wrong} Choose precision float32."
