"""What hovering tells, in the viewer model and in napari's window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtWidgets import QApplication, QLabel, QStatusBar

from napari_gem import layers
from napari_gem.core.prompts import Prompt
from napari_gem.widget.results.status import StatusProbe, text_at
from tests.layers.scene import results_of
from tests.layers.test_derived import PLACED, show


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    viewer.mouse_over_canvas = True
    return viewer


def hover(viewer, layer, place):
    """The status that napari shows when the cursor is on a pixel of a layer."""
    viewer.cursor.position = tuple(layer.data_to_world(place))
    viewer.update_status_from_cursor()
    status = viewer.status
    return status if isinstance(status, str) else status["coordinates"]


def test_class_and_probabilities_are_added_whatever_is_selected(viewer):
    image = viewer.add_image(np.zeros((20, 30)), **PLACED)
    labels = show(viewer, image)
    probe = StatusProbe(viewer)
    viewer.layers.selection.active = image
    assert hover(viewer, image, (3, 5)).endswith("; nuclei: nuclei 0.90, fibre 0.00")
    assert hover(viewer, image, (8, 15)).endswith("; fibre: fibre 0.75, nuclei 0.00")
    assert "background: " in hover(viewer, image, (0, 0))
    viewer.layers.selection.active = labels
    text = hover(viewer, image, (3, 5))
    assert "class: nuclei" in text
    assert text.endswith("; nuclei 0.90, fibre 0.00")
    assert text.count("0.90") == 1
    viewer.layers.selection = {image, labels}
    assert hover(viewer, image, (3, 5)).endswith("nuclei 0.90, fibre 0.00")
    probe.detach()
    viewer.layers.selection.active = image
    assert "nuclei" not in hover(viewer, image, (3, 6))


def test_outside_and_without_maps_nothing_is_added(viewer):
    image = viewer.add_image(np.zeros((20, 30)))
    StatusProbe(viewer)
    assert "nuclei" not in hover(viewer, image, (3, 5))
    show(viewer, image)
    assert "nuclei" in hover(viewer, image, (3, 6))
    assert "nuclei" not in hover(viewer, image, (-3, 6))
    assert "nuclei" not in hover(viewer, image, (3, 60))
    viewer.mouse_over_canvas = False
    viewer.status = "Ready"
    assert viewer.status == "Ready"


@pytest.mark.contact("remembered state")
def test_two_docks_and_another_plugin_add_to_it_once_each(viewer):
    image = viewer.add_image(np.zeros((20, 30)))
    show(viewer, image)
    probes = [StatusProbe(viewer), StatusProbe(viewer)]

    def another(_event):
        if not str(viewer.status["coordinates"]).endswith("!"):
            text = viewer.status["coordinates"] + "!"
            viewer.status = {**viewer.status, "coordinates": text}

    assert hover(viewer, image, (3, 5)).count("nuclei 0.90") == 1
    viewer.events.status.connect(another)
    assert hover(viewer, image, (8, 15)).count("fibre 0.75") == 1
    for probe in probes:
        probe.detach()


def test_words_of_others_are_left_alone(viewer):
    image = viewer.add_image(np.zeros((20, 30)))
    show(viewer, image)
    probe = StatusProbe(viewer)
    hover(viewer, image, (3, 5))
    viewer.status = "Saved."
    assert viewer.status == "Saved."
    probe.detach()


def test_maps_of_the_selected_image_come_first(viewer):
    first = viewer.add_image(np.zeros((20, 30)))
    show(viewer, first)
    second = viewer.add_image(np.ones((20, 30)))
    others = show(viewer, second)
    for layer in viewer.layers:
        if layer.metadata.get(layers.KEY, {}).get("source") == str(second.unique_id):
            layer.data = np.zeros_like(layer.data)
    everything = list(viewer.layers)
    assert text_at(everything, first, (3, 5)).startswith("nuclei: nuclei 0.90")
    assert text_at(everything, second, (3, 5)).startswith("background: nuclei 0.00")
    assert text_at(everything, others, (3, 5)).startswith("nuclei 0.00")
    assert text_at(everything, None, (3, 5)).startswith("background: ")


def test_classes_that_are_off_and_strange_metadata(viewer):
    image = viewer.add_image(np.zeros((20, 30)))
    labels = show(viewer, image)
    entry = labels.metadata[layers.KEY]
    for off, text in (
        ({"2": "fibre"}, "nuclei: nuclei 0.90"),
        ({"x": [1]}, "nuclei: nuclei 0.90, fibre 0.00"),
        ([3], "nuclei: nuclei 0.90, fibre 0.00"),
    ):
        labels.metadata[layers.KEY] = {**entry, "off": off}
        assert text_at(list(viewer.layers), image, (3, 5)) == text
    viewer.layers[1].metadata[layers.KEY] = {"role": "probability", "source": [1]}
    assert text_at(list(viewer.layers), image, (3, 5)) == "nuclei: fibre 0.00"


def test_only_the_slice_that_is_shown_counts(viewer):
    layer = viewer.add_image(np.zeros((4, 20, 30)))
    viewer.dims.set_current_step(0, 2)
    show(viewer, layer)
    assert text_at(list(viewer.layers), layer, (2, 3, 5)).startswith("nuclei: ")
    assert text_at(list(viewer.layers), layer, (1, 3, 5)) == ""


def test_the_labels_say_the_class_and_words_that_say_more(viewer):
    image = layers.read_layer(viewer.add_image(np.zeros((20, 30))), viewer.dims)
    prompts = Prompt(("nuclei", "nucleus")), Prompt(("fibre",))
    *_, labels = results_of(image, *prompts)
    layer = Labels(np.arange(3)[None].repeat(3, 0), **labels.as_tuple()[1])
    said = [layer.get_status((0, i), world=True)["coordinates"] for i in range(3)]
    assert [text.split("; ")[1:] for text in said] == [
        ["class: background"],
        ["class: nuclei, words: nuclei, nucleus"],
        ["class: fibre"],
    ]


def test_the_window_shows_it(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(np.zeros((20, 30)))
    show(viewer, image)
    probe = StatusProbe(viewer)
    viewer.mouse_over_canvas = True
    viewer.cursor.position = (3, 5)
    viewer.update_status_from_cursor()  # a thread does so, but not in tests
    bars = [w for w in QApplication.allWidgets() if isinstance(w, QStatusBar)]
    texts = [label.text() for bar in bars for label in bar.findChildren(QLabel)]
    assert any("nuclei 0.90" in text for text in texts), texts
    probe.detach()
