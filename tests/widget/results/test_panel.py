"""The panel, and what its buttons make in a viewer."""

from __future__ import annotations

import csv
from threading import Event

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QFileDialog

from napari_gem import layers
from napari_gem.layers.derived import (
    DERIVED_KINDS,
    DerivedOptions,
    derive_layer,
    maps_of,
)
from napari_gem.widget.image.image_choice import ImageChoice
from napari_gem.widget.results import derived as derived_module
from napari_gem.widget.results.derived import (
    BUSY,
    NO_RESULT,
    DerivedLayers,
    choose_labels,
    merge_targets,
)
from napari_gem.widget.results.panel import ResultsPanel
from tests.layers.test_derived import show

NARROW = 320
PATIENCE = 60_000


@pytest.fixture
def panel(qtbot):
    panel = ResultsPanel()
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def labels(viewer):
    return show(viewer, viewer.add_image(np.zeros((20, 30)), scale=(2, 2)))


@pytest.fixture
def derived(viewer):
    derived_layers = DerivedLayers(
        PublicOnlyProxy(viewer)
    )  # as napari gives it to a plugin
    derived_layers.heard = []
    derived_layers.message_sent.connect(
        lambda kind, sentence: derived_layers.heard.append((kind, sentence))
    )
    yield derived_layers
    derived_layers.close()


@pytest.fixture
def wait(qtbot, derived):
    return lambda: qtbot.waitUntil(lambda: not derived.busy, timeout=PATIENCE)


@pytest.fixture
def gate(monkeypatch):
    """Holds what is being made until it is opened; says when it begins and ends."""
    begun, opened, finished = Event(), Event(), Event()

    def hold(*arguments):
        begun.set()
        opened.wait(PATIENCE / 1000)
        result = derive_layer(*arguments)
        finished.set()
        return result

    monkeypatch.setattr(derived_module, "derive_layer", hold)
    yield begun, opened, finished
    opened.set()


# --- panel


@pytest.mark.parametrize("kind", DERIVED_KINDS)
def test_buttons_ask_with_options(panel, qtbot, kind):
    panel.controls["method"].value = "watershed"
    panel.controls["minimum_size"].value = 12
    panel.controls["seed_distance"].value = 7
    panel.controls["peak_distance"].value = 3
    panel.controls["peak_threshold"].value = 0.8
    with qtbot.waitSignal(getattr(panel, f"{kind}_requested")) as asked:
        qtbot.mouseClick(getattr(panel, f"{kind}_button"), Qt.MouseButton.LeftButton)
    assert asked.args == [DerivedOptions("watershed", 12, 7, 3, 0.8)]


def test_the_table_asks_for_a_file(panel, qtbot, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("t.csv", ""))
    with qtbot.waitSignal(panel.table_requested) as asked:
        qtbot.mouseClick(panel.table_button, Qt.MouseButton.LeftButton)
    assert asked.args == [DerivedOptions(), "t.csv"]
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    with qtbot.assertNotEmitted(panel.table_requested):
        qtbot.mouseClick(panel.table_button, Qt.MouseButton.LeftButton)


def test_busy_and_method_disable(panel):
    panel.set_busy(True)
    assert not panel.instances_button.isEnabled()
    assert not panel.table_button.isEnabled()
    panel.set_busy(False)
    assert panel.instances_button.isEnabled()
    assert not panel.controls["seed_distance"].enabled
    panel.controls["method"].value = "watershed"
    assert panel.controls["seed_distance"].enabled


def test_it_fits_a_narrow_dock_and_is_folded_at_first(panel):
    assert not panel.fold.isExpanded()
    panel.fold.expand()
    assert panel.minimumSizeHint().width() <= NARROW


def test_it_grows_with_what_it_says(panel, qtbot):
    panel.resize(NARROW, 700)
    panel.show()
    panel.fold.expand()
    panel.show_stale(["instances · labels · GEM", "uncertainty · labels · GEM"])
    inside = panel.fold.content()
    qtbot.waitUntil(lambda: inside.height() >= inside.heightForWidth(inside.width()))
    assert panel.stale.isVisible()
    panel.fold.collapse()
    qtbot.waitUntil(lambda: inside.maximumHeight() == 0)


def test_merging_asks_which_layer_and_how(qtbot):
    targets = []
    panel = ResultsPanel(merge_targets=lambda: targets)
    qtbot.addWidget(panel)
    menu = panel.merge_button.menu()
    menu.aboutToShow.emit()
    (none,) = menu.actions()
    assert not none.isEnabled()
    targets.append(ViewerModel().add_labels(np.eye(4, dtype=int), name="mine"))
    menu.aboutToShow.emit()
    (into,) = menu.actions()
    assert into.text() == "Copy of 'mine'"
    for action, policy in zip(into.menu().actions(), ("fill", "replace"), strict=True):
        with qtbot.waitSignal(panel.merge_button.requested) as asked:
            action.trigger()
        assert asked.args == [targets[0], policy]


# --- into the viewer


@pytest.mark.parametrize("kind", DERIVED_KINDS)
def test_a_second_time_updates_and_what_was_changed_stays(
    viewer, labels, derived, wait, kind
):
    derived.make(labels, kind)
    assert derived.busy
    wait()
    (first,) = [x for x in viewer.layers if role(x) == kind]
    assert layers.is_result(first)
    first.name, first.opacity, first.visible = "mine", 0.3, False
    labels.scale = (3, 3)
    if kind != "peaks" and kind != "uncertainty":
        labels.data = np.where(labels.data == 2, 0, labels.data)
    derived.make(labels, kind)
    wait()
    assert [x for x in viewer.layers if role(x) == kind] == [first]
    assert (first.name, first.opacity, first.visible) == ("mine", 0.3, False)
    assert first.scale.tolist() == [3, 3]
    if kind in ("instances", "boxes"):
        assert set(first.features["class"]) <= {"background", "nuclei"}
    if kind == "instances":
        assert first.data.max() == 2
    elif kind == "boxes":
        assert len(first.data) == 2
    change(first, kind)
    before = [np.array(part) for part in first.data]
    derived.make(labels, kind)
    wait()
    assert len([x for x in viewer.layers if role(x) == kind]) == 2
    assert all(map(np.array_equal, before, first.data))
    assert derived.heard[-1][0] == "info"
    assert derived.heard[-1][1].startswith("Added")


def change(layer, kind):
    if kind == "instances":
        layer.paint((18, 25), 3)
    elif kind == "uncertainty":
        layer.data = layer.data * 0.5
    elif kind == "peaks":
        layer.add((1, 1))
    else:
        layer.features = {**layer.features, "class": ["mine"] * len(layer.data)}


def role(layer):
    return layer.metadata.get(layers.KEY, {}).get("role")


def test_from_something_to_nothing_and_back(viewer, labels, derived, wait):
    data = labels.data.copy()
    for kind in ("instances", "boxes", "peaks"):
        labels.data = data
        for options, some in ((0.5, True), (0.99, False), (0.5, True)):
            labels.data = data if some else np.zeros_like(data)
            derived.make(labels, kind, DerivedOptions(peak_threshold=options))
            wait()
            assert derived.heard[-1][0] == "info", derived.heard
            (layer,) = [x for x in viewer.layers if role(x) == kind]
            filled = layer.data.max() > 0 if kind == "instances" else len(layer.data)
            assert bool(filled) == some
            assert ("none found" in derived.heard[-1][1]) != some


def test_only_one_thing_at_a_time(viewer, labels, derived, wait):
    derived.make(labels, "instances")
    derived.make(labels, "boxes")
    assert derived.heard == [("error", BUSY)]
    wait()
    assert role(viewer.layers[-1]) == "instances"
    assert len(viewer.layers) == 5


@pytest.mark.parametrize("kind", DERIVED_KINDS)
def test_labels_moved_meanwhile(viewer, labels, derived, wait, kind, gate):
    _, opened, _ = gate
    derived.make(labels, kind)
    labels.translate, labels.rotate = (5, 6), 10
    opened.set()
    wait()
    new_layer = viewer.layers[-1]
    assert role(new_layer) == kind
    assert np.allclose(new_layer.data_to_world((3, 4)), labels.data_to_world((3, 4)))


def test_labels_removed_meanwhile(viewer, labels, derived, wait):
    derived.make(labels, "instances")
    viewer.layers.remove(labels)
    wait()
    assert derived.heard == [("info", "The labels were removed, so nothing was made.")]
    assert len(viewer.layers) == 3


def test_closed_meanwhile(viewer, labels, derived, qtbot, gate):
    begun, opened, finished = gate
    derived.make(labels, "instances")
    assert begun.wait(PATIENCE / 1000)
    derived.close()
    opened.set()
    assert finished.wait(PATIENCE / 1000)
    qtbot.wait(100)
    assert len(viewer.layers) == 4
    derived.make(labels, "instances")
    assert not derived.busy


@pytest.mark.slow
def test_viewer_closed_meanwhile(make_napari_viewer, qtbot, gate):
    begun, opened, finished = gate
    viewer = make_napari_viewer()
    labels = show(viewer, viewer.add_image(np.zeros((20, 30))))
    panel = ResultsPanel()
    viewer.window.add_dock_widget(panel)
    derived = DerivedLayers(viewer, parent=panel)
    derived.make(labels, "instances")
    assert begun.wait(PATIENCE / 1000)
    # napari waits for its workers when it closes
    QTimer.singleShot(100, opened.set)
    viewer.close()
    opened.set()
    assert finished.wait(PATIENCE / 1000)
    qtbot.wait(100)


def test_errors_are_told(viewer, labels, derived, wait):
    own = viewer.add_labels(np.eye(4, dtype=int))
    derived.make(own, "uncertainty")
    wait()
    assert derived.heard[-1][0] == "error"
    assert "no probability maps" in derived.heard[-1][1]
    derived.make(viewer.layers[0], "instances")
    assert derived.heard[-1][0] == "error"
    viewer.layers.clear()
    derived.make(None, "instances")
    assert "There are no labels" in derived.heard[-1][1]
    assert len(derived.heard) == 3


def test_table_to_a_file(viewer, labels, derived, wait, tmp_path):
    tables = []
    derived.table_created.connect(tables.append)
    derived.make_table(None, path=tmp_path / "t.csv")
    wait()
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][:4] == ["instance", "class", "label", "area (px)"]
    assert len(rows) == 4
    assert tables[0]["label"].tolist() == [1, 2, 1]
    assert derived.heard == [
        ("info", f"3 instances were written to '{tmp_path / 't.csv'}'.")
    ]
    derived.make_table(labels, path=tmp_path / "missing" / "t.csv")
    wait()
    assert derived.heard[-1][0] == "error"
    assert "cannot be written" in derived.heard[-1][1]


def test_what_is_made_of_earlier_labels_is_marked(
    viewer, labels, derived, wait, qtbot, panel
):
    messages = []
    derived.stale_changed.connect(messages.append)
    derived.stale_changed.connect(panel.show_stale)
    for kind in ("instances", "uncertainty"):
        viewer.layers.selection.active = labels
        derived.make(None, kind)
        wait()
    instances, uncertainty = list(viewer.layers)[-2:]
    before = labels.data.copy()
    labels.paint((0, 0), 2)
    names = [instances.name, uncertainty.name]
    qtbot.waitUntil(lambda: bool(messages))
    assert sorted(messages[-1]) == sorted(names)
    assert instances.metadata[layers.KEY]["stale"]
    assert instances.name in panel.stale.text()
    labels.data = before
    qtbot.waitUntil(lambda: messages[-1] == [])
    assert not panel.stale.text()
    # maps count as well
    map_layer = maps_of(labels, viewer.layers)[0]
    entry = {**map_layer.metadata[layers.KEY], "recipe": {"another": 1}}
    map_layer.metadata = {layers.KEY: entry}
    derived.find_stale()
    assert sorted(messages[-1]) == sorted(names)
    derived.make(labels, "instances")
    wait()
    assert messages[-1] == [uncertainty.name]
    assert not instances.metadata[layers.KEY].get("stale")


def test_a_result_is_merged_into_a_copy(viewer, labels, derived, wait):
    own = np.zeros((20, 30), np.uint8)
    own[:4] = 9
    mine = viewer.add_labels(own.copy(), name="mine", scale=(2, 2))
    viewer.add_labels(np.eye(4, dtype=int), name="another shape")
    before = labels.data.copy()
    assert merge_targets(viewer) == [mine]
    derived.merge(mine)
    wait()
    copy = viewer.layers[-1]
    assert copy.name == "mine · merged"
    assert (copy.data[:4] == 9).all()
    assert np.array_equal(copy.data[4:], before[4:])
    assert np.array_equal(mine.data, own)
    assert np.array_equal(labels.data, before)
    assert not layers.is_result(copy)
    assert derived.heard[-1] == (
        "info",
        "Added 'mine · merged'; 'mine' stays as it was.",
    )
    viewer.layers.selection.active = copy
    assert choose_labels(viewer) is copy
    viewer.layers.remove(labels)
    derived.merge(mine)
    assert derived.heard[-1] == ("error", NO_RESULT)
    assert merge_targets(viewer) == []


def test_labels_that_are_chosen(viewer, labels, derived, wait):
    derived.make(None, "instances")
    wait()
    viewer.layers.selection.active = viewer.layers[-1]
    assert role(viewer.layers[-1]) == "instances"
    assert choose_labels(viewer) is labels
    own = viewer.add_labels(np.eye(4, dtype=int))
    assert choose_labels(viewer) is own
    viewer.layers.selection.active = viewer.layers[0]
    assert choose_labels(viewer) is labels


def test_what_is_made_is_not_taken_for_an_image_to_segment(
    viewer, labels, derived, wait, qtbot
):
    choice = ImageChoice(viewer)
    qtbot.addWidget(choice)
    image = choice.layer()
    chosen = []
    choice.picture_changed.connect(lambda: chosen.append(1))
    derived.make(labels, "uncertainty")
    wait()
    new_layer = viewer.layers.selection.active
    assert role(new_layer) == "uncertainty"
    assert choice.layer() == image
    assert not chosen
