"""Style sheets that several parts share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.theme import get_theme

if TYPE_CHECKING:
    from qtpy.QtWidgets import QPushButton

BUTTON = (
    "QToolButton { padding: 2px 14px 2px 6px; border-radius: 2px; "
    "border: 1px solid rgba(128, 128, 128, 50%); }"
)

EMPHASIS = "emphasis"
"""Property of a button: ``primary`` for the one that is most important, or ``flat``."""


def emphasize(button: QPushButton, emphasis: str) -> None:
    """Make a button ``primary`` or ``flat``, as `emphasis_style` draws them."""
    button.setProperty(EMPHASIS, emphasis)


def emphasis_style(theme: str) -> str:
    """Make the style sheet for emphasized buttons in a theme of napari."""
    color = get_theme(theme).current.as_rgb_tuple()[:3]
    red, green, blue = color
    is_bright = 0.299 * red + 0.587 * green + 0.114 * blue > 140
    ink = "black" if is_bright else "white"
    primary, flat = (f'QPushButton[{EMPHASIS}="{x}"]' for x in ("primary", "flat"))
    line = "border: 1px solid rgba(128, 128, 128, 50%);"
    return (
        f"{primary} {{ background: rgb{color}; color: {ink}; font-weight: bold; }} "
        f"{primary}:hover {{ border: 2px solid {ink}; }} "
        f"{primary}:focus {{ border: 2px solid {ink}; }} "
        f"{primary}:disabled {{ background: transparent; color: gray; {line} }} "
        f"{flat} {{ background: transparent; {line} }} "
        f"{flat}:hover, {flat}:focus {{ border: 1px solid rgb{color}; }} "
        f"{flat}:disabled {{ color: gray; }}"
    )
