from __future__ import annotations

from napari_gem.core.colors import class_color


def test_classes_have_colors_of_their_own() -> None:
    colors = [class_color(i) for i in range(200)]
    assert len({tuple(round(255 * c) for c in color) for color in colors}) == 200
    assert all(0 <= part <= 1 for color in colors for part in color)
