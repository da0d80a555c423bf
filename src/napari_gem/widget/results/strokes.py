"""napari's own undo of painting, where we replace what was painted on."""

from __future__ import annotations

from typing import Any


def forget_strokes(layer: Any) -> None:
    """Empty a layer's history of painting; its mode stays.

    To be called when we gave a labels layer other data: napari 0.9.2 keeps the history
    then, and its Undo or Redo would write earlier pixels into the new ones
    (``Labels.data``, ``Labels.undo``). A layer that becomes uneditable forgets it
    (``Labels._on_editable_changed``), which is the only public way.

    Layers without painting, or that cannot be edited, have no history: they are left
    alone.
    """
    if not hasattr(layer, "selected_label") or not layer.editable:
        return
    mode = layer.mode
    layer.editable = False
    layer.editable = True
    layer.mode = mode
