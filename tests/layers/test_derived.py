"""Extras of results, on napari's own layers and viewer model without Qt."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer

from napari_gem import layers
from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import EncodeParameters, ScoreParameters
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Recipe
from napari_gem.layers.derived import (
    DERIVED_KINDS,
    DerivedOptions,
    derive_layer,
    instance_table,
    maps_of,
    read_labels,
)

RECIPE = Recipe(
    version="0",
    model="embedded",
    revision="abc",
    prompts=(Prompt(("nuclei", "nucleus")), Prompt(("fibre",))),
    encode=EncodeParameters(),
    score=ScoreParameters(),
    appearance=Appearance(),
    device="cpu",
    precision="float32",
)
PLACED = {
    "scale": (0.5, 0.25),
    "translate": (10, 20),
    "rotate": 30,
    "units": ("um", "um"),
}


def maps_and_labels(height=20, width=30):
    maps = np.zeros((2, height, width), np.float32)
    maps[0, 2:6, 3:9] = 0.9
    maps[0, 3, 4] = 0.95
    maps[0, 12:15, 20:24] = 0.6
    maps[1, 8:10] = 0.75
    labels = np.zeros((height, width), np.uint8)
    labels[maps[0] > 0.5] = 1
    labels[maps[1] > 0.5] = 2
    return maps, labels


def show(viewer, layer):
    """A result in the viewer; its labels layer."""
    image = layers.read_layer(layer, viewer.dims)
    maps, labels = maps_and_labels(*image.shape)
    data = layers.result_layers(maps, labels, RECIPE, image)
    for each in data:
        viewer.add_layer(Layer.create(*each.as_tuple()))
    return viewer.layers[-1]


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def labels(viewer):
    return show(viewer, viewer.add_image(np.zeros((20, 30)), **PLACED))


def make(labels, viewer, kind, **options):
    data = derive_layer(
        read_labels(labels, viewer.layers), kind, DerivedOptions(**options)
    )
    return Layer.create(*data.as_tuple())


@pytest.mark.parametrize("kind", DERIVED_KINDS)
def test_extras_lie_exactly_on_the_labels_and_carry_the_recipe(labels, viewer, kind):
    extra = make(labels, viewer, kind)
    places = np.random.default_rng(0).random((5, 2)) * 20
    for place in places:
        assert np.allclose(extra.data_to_world(place), labels.data_to_world(place))
    assert extra.units == labels.units
    assert extra.axis_labels == labels.axis_labels
    entry = extra.metadata[layers.KEY]
    entry_of_labels = labels.metadata[layers.KEY]
    assert entry["role"] == kind
    for key in ("source", "plane", "recipe"):
        assert entry[key] == entry_of_labels[key]


def test_instances_have_names_areas_and_probabilities(labels, viewer):
    extra = make(labels, viewer, "instances")
    assert extra.data.dtype == np.int32
    assert list(extra.features["index"]) == [0, 1, 2, 3]
    assert list(extra.features["class"]) == ["background", "nuclei", "fibre", "nuclei"]
    assert list(extra.features["area (px)"])[1:] == [24, 60, 12]
    assert np.allclose(
        extra.features["mean probability"][1:], [0.9 + 0.05 / 24, 0.75, 0.6], atol=1e-4
    )
    text = extra.get_status((3, 4), dims_displayed=[0, 1])["coordinates"]
    assert "class: nuclei" in text
    assert "background" in extra.get_status((0, 0), dims_displayed=[0, 1])["value"]


def test_what_was_painted_counts(labels, viewer):
    labels.paint((17, 3), 2)
    labels.data = np.where(labels.data == 1, 0, labels.data)
    extra = make(labels, viewer, "instances", minimum_size=1)
    assert set(extra.features["class"]) == {"background", "fibre"}
    labels.data[...] = 0  # later paint does not change what was made
    assert extra.data.max() > 0


def test_maps_of_classes_that_are_off_do_not_count(labels, viewer):
    labels.metadata[layers.KEY]["off"] = {"2": "fibre"}
    source = read_labels(labels, viewer.layers)
    assert list(source.maps) == [1]
    assert set(make(labels, viewer, "peaks").features["class"]) == {"nuclei"}


def test_instances_are_shades_of_their_class(labels, viewer):
    extra = make(labels, viewer, "instances")
    shades = [np.asarray(extra.get_color(i))[:3] for i in (1, 2, 3)]
    nuclei, fibre = (np.asarray(labels.get_color(i))[:3] for i in (1, 2))
    for shade, own, other in (
        (shades[0], nuclei, fibre),
        (shades[1], fibre, nuclei),
        (shades[2], nuclei, fibre),
    ):
        assert np.abs(shade - own).sum() < np.abs(shade - other).sum()
    assert not np.allclose(shades[0], shades[2])
    assert extra.get_color(0) is None


def test_options_are_followed(labels, viewer):
    assert make(labels, viewer, "instances", minimum_size=20).data.max() == 2
    assert len(make(labels, viewer, "boxes", minimum_size=20).data) == 2
    assert len(make(labels, viewer, "peaks", peak_threshold=0.8).data) < len(
        make(labels, viewer, "peaks", peak_threshold=0.5).data
    )


def test_peaks_and_boxes_tell_their_class_and_have_its_color(labels, viewer):
    peaks = make(labels, viewer, "peaks", peak_distance=3, peak_threshold=0.92)
    assert peaks.data.tolist() == [[3, 4]]
    assert list(peaks.features["class"]) == ["nuclei"]
    assert peaks.features["probability"][0] == pytest.approx(0.95)
    color = labels.colormap.color_dict[1]
    assert np.allclose(peaks.face_color[0], color)
    boxes = make(labels, viewer, "boxes")
    assert list(boxes.features["class"]) == ["nuclei", "fibre", "nuclei"]
    assert boxes.data[0].min(axis=0).tolist() == [1.5, 2.5]
    assert boxes.data[0].max(axis=0).tolist() == [5.5, 8.5]
    assert np.allclose(boxes.edge_color[0], color)
    assert boxes.shape_type == ["rectangle"] * 3


def test_uncertainty_of_the_maps(labels, viewer):
    extra = make(labels, viewer, "uncertainty")
    assert extra.data.dtype == np.float32
    assert extra.data[0, 0] == 0
    assert extra.data[2, 4] == pytest.approx(0.2, abs=1e-6)
    assert extra.contrast_limits == [0, 1]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 1, 0)])
@pytest.mark.parametrize("kind", DERIVED_KINDS)
def test_extras_of_a_slice_of_a_stack(viewer, order, kind):
    data = np.zeros((20, 30, 40))
    layer = viewer.add_image(data, scale=(2, 3, 0.5), translate=(1, 2, 3))
    viewer.dims.order = order
    viewer.dims.set_current_step(order[0], 5)
    labels = show(viewer, layer)
    extra = make(labels, viewer, kind)
    assert extra.ndim == 3
    if kind in ("instances", "uncertainty"):
        assert extra.data.shape == labels.data.shape
        same = extra.data > 0 if kind == "instances" else extra.data > 0.05
        assert (same == (labels.data > 0)).all()
    else:
        corners = np.concatenate(extra.data) if kind == "boxes" else extra.data
        assert (corners[:, order[0]] == 0).all()
        world = np.array([extra.data_to_world(c) for c in corners])
        assert np.allclose(world[:, order[0]], 5 * layer.scale[order[0]] + 1 + order[0])
        if kind == "peaks":
            ids = labels.data[tuple(extra.data.astype(int).T)]
            assert (ids == extra.features["label"]).all()


def test_labels_of_several_slices_are_parted_slice_by_slice(viewer):
    data = np.zeros((2, 6, 8), np.uint8)
    data[0, 1:3, 1:3] = data[1, 1:3, 1:3] = 1
    labels = viewer.add_labels(data)
    extra = make(labels, viewer, "instances")
    assert extra.data[0, 1, 1] == 1
    assert extra.data[1, 1, 1] == 2
    boxes = make(labels, viewer, "boxes")
    assert [set(box[:, 0]) for box in boxes.data] == [{0.0}, {1.0}]
    table = instance_table(read_labels(labels, viewer.layers), DerivedOptions())
    assert table["instance"].tolist() == [1, 2]
    assert table["axis 0 (px)"].tolist() == [0, 1]


def test_table_in_pixels_and_in_the_world(labels, viewer):
    table = instance_table(read_labels(labels, viewer.layers), DerivedOptions())
    assert list(table) == [
        "instance",
        "class",
        "label",
        "area (px)",
        "area (micrometer²)",
        "mean probability",
        "row (px)",
        "column (px)",
        "world axis 0 (micrometer)",
        "world axis 1 (micrometer)",
    ]
    assert table["class"].tolist() == ["nuclei", "fibre", "nuclei"]
    assert np.allclose(table["area (micrometer²)"], table["area (px)"] * 0.125)
    for number in range(3):
        place = table["row (px)"][number], table["column (px)"][number]
        world = table["world axis 0 (micrometer)"], table["world axis 1 (micrometer)"]
        assert np.allclose(
            [world[0][number], world[1][number]], labels.data_to_world(place)
        )


def test_labels_without_anything_on_them(labels, viewer):
    labels.data = np.zeros_like(labels.data)
    for kind in ("instances", "boxes"):
        extra = make(labels, viewer, kind)
        assert len(extra.features) == (1 if kind == "instances" else 0)
    assert len(make(labels, viewer, "peaks", peak_threshold=1.0).data) == 0
    table = instance_table(read_labels(labels, viewer.layers), DerivedOptions())
    assert len(table["instance"]) == 0


def test_labels_of_the_user_can_be_parted_but_have_no_maps(labels, viewer):
    own = viewer.add_labels(np.eye(4, dtype=int))
    extra = make(own, viewer, "instances")
    assert extra.data.max() == 4
    assert list(extra.features["class"])[1] == "label 1"
    with pytest.raises(GemError, match="no probability maps"):
        make(own, viewer, "uncertainty")


def test_maps_of_another_image_or_size_are_not_taken(labels, viewer):
    other = show(viewer, viewer.add_image(np.zeros((20, 30))))
    assert len(maps_of(labels, viewer.layers)) == 2
    assert set(maps_of(labels, viewer.layers)).isdisjoint(maps_of(other, viewer.layers))
    maps_of(labels, viewer.layers)[0].data = np.zeros((5, 5), np.float32)
    with pytest.raises(GemError, match="run again"):
        make(labels, viewer, "instances")


def test_what_is_no_labels_layer_is_refused(viewer):
    with pytest.raises(GemError, match="layer list"):
        read_labels(viewer.add_image(np.zeros((4, 4))), viewer.layers)
    with pytest.raises(GemError, match="instances, uncertainty"):
        make(viewer.add_labels(np.zeros((4, 4), int)), viewer, "holes")
