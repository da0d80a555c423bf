"""Commands of napari's command palette."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import napari

from napari_gem.core.napari_version import check_napari

if TYPE_CHECKING:
    import napari.viewer

    from napari_gem.widget.dock import GemWidget

PLUGIN = "napari-gem"
WIDGET = "GEM"


def run() -> None:
    """Run the widget of the current viewer; it is docked if there is none."""
    check_napari()
    viewer = napari.current_viewer()
    if viewer is not None:
        open_widget(viewer).run()


def open_files() -> None:
    """Open image files in the current viewer, with their place and bands."""
    check_napari()
    viewer = napari.current_viewer()
    if viewer is not None:
        open_widget(viewer).image_panel.open_button.ask_files()


def cancel() -> None:
    """Cancel the run of the current viewer, if there is one."""
    check_napari()
    viewer = napari.current_viewer()
    widget = None if viewer is None else find_widget(viewer)
    if widget is not None:
        widget.controller.cancel()


def find_widget(viewer: napari.viewer.Viewer) -> GemWidget | None:
    """Return the widget that is docked in a viewer; None if there is none."""
    from napari_gem.widget.dock import GemWidget

    docked: Any = viewer.window.dock_widgets.values()
    return next((widget for widget in docked if isinstance(widget, GemWidget)), None)


def open_widget(viewer: napari.viewer.Viewer) -> GemWidget:
    """Return the widget that is docked in a viewer, or dock one."""
    widget = find_widget(viewer)
    if widget is None:
        _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    return widget
