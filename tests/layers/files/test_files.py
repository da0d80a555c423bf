"""Layers to files and back, on napari's own layers."""

from __future__ import annotations

import json

import npe2
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes
from napari_builtins.io import napari_write_labels

from napari_gem import layers
from napari_gem.core.errors import GemError
from napari_gem.layers.derived import (
    DERIVED_KINDS,
    DerivedOptions,
    derive_layer,
    read_labels,
)
from napari_gem.layers.files.files import get_reader, read_layers, write_layers
from tests.layers.test_derived import PLACED, show

RNG = np.random.default_rng(3)
LOOKS = ("name", "opacity", "blending", "visible", "units", "axis_labels")
PLACES = ("scale", "translate", "rotate", "shear", "affine")


def same(one, other):
    assert type(one) is type(other)
    for name in LOOKS:
        assert getattr(one, name) == getattr(other, name), name
    for name in PLACES:
        assert np.array_equal(
            np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
        ), name
    assert json.dumps(one.metadata) == json.dumps(other.metadata)
    if hasattr(one, "features"):
        assert one.features.equals(other.features)
    if isinstance(one, Shapes):
        pairs = zip(one.data, other.data, strict=True)
        assert all(np.array_equal(*pair) for pair in pairs)
    else:
        assert one.data.shape == other.data.shape
        assert one.data.dtype == other.data.dtype
        assert np.array_equal(one.data, other.data)


def save(tmp_path, *found, name="saved.gem.tif"):
    made = [layer.as_layer_data_tuple() for layer in found]
    return write_layers(tmp_path / name, made)


def back(path):
    return [Layer.create(*each) for each in read_layers(path)]


@pytest.fixture
def viewer():
    return ViewerModel()


def test_a_result_and_all_that_is_made_of_it_come_back(viewer, tmp_path):
    labels = show(viewer, viewer.add_image(RNG.random((20, 30)), **PLACED, shear=[0.1]))
    for kind in DERIVED_KINDS:
        source = read_labels(labels, viewer.layers)
        made = derive_layer(source, kind, DerivedOptions())
        viewer.add_layer(Layer.create(*made.as_tuple()))
    written = save(tmp_path, *viewer.layers)
    assert [path.rpartition("/")[2] for path in written] == [
        "saved.gem.tif",
        *(f"saved.{number}.gem.tif" for number in range(2, 7)),
        "saved.napari-gem.json",
    ]
    loaded = back(tmp_path / "saved.napari-gem.json")
    assert len(loaded) == len(viewer.layers)
    for one, other in zip(viewer.layers, loaded, strict=True):
        same(one, other)
    for one, other in zip(viewer.layers, loaded, strict=True):
        if isinstance(one, Image):
            assert np.allclose(one.colormap.colors, other.colormap.colors)
            assert one.contrast_limits == other.contrast_limits
        elif isinstance(one, Labels):
            assert type(one.colormap) is type(other.colormap)
            if hasattr(one.colormap, "color_dict"):
                assert (
                    one.colormap.color_dict.keys() == other.colormap.color_dict.keys()
                )
            for label in range(1, 10):
                assert np.allclose(one.get_color(label), other.get_color(label))
        elif isinstance(one, Points):
            assert np.allclose(one.face_color, other.face_color)
            assert (one.size == other.size).all()
        elif isinstance(one, Shapes):
            assert np.allclose(one.edge_color, other.edge_color)
            assert one.shape_type == other.shape_type


def test_what_is_read_counts_as_the_users_own(viewer, tmp_path):
    labels = show(viewer, viewer.add_image(RNG.random((20, 30))))
    entry = labels.metadata[layers.KEY]
    labels.metadata[layers.KEY] = {**entry, "layer": str(labels.unique_id)}
    assert layers.is_result(labels)
    save(tmp_path, labels)
    (loaded,) = back(tmp_path / "saved.gem.tif")
    assert loaded.metadata[layers.KEY]["recipe"] == entry["recipe"]
    assert not layers.is_result(loaded)


GREY = ["bool", "uint8", "int16", "uint16", "int64", "float16", "float32", "float64"]


@pytest.mark.parametrize(
    ("dtype", "rgb"),
    [*((dtype, False) for dtype in GREY), ("uint8", True), ("float32", True)],
)
def test_images_of_all_types(tmp_path, dtype, rgb):
    data = (RNG.random((5, 7, 3) if rgb else (1, 5, 3)) * 200).astype(dtype)
    if rgb and dtype == "float32":
        data /= 200
    layer = Image(data, rgb=rgb, gamma=0.5, colormap=None if rgb else "magma")
    save(tmp_path, layer)
    (loaded,) = back(tmp_path / "saved.gem.tif")
    same(layer, loaded)
    assert loaded.rgb == rgb
    assert loaded.gamma == 0.5
    if not rgb:
        assert loaded.colormap.name == "magma"


def test_labels_in_automatic_colors_and_features_of_all_kinds(tmp_path):
    features = {
        "index": [0, 1, 7],
        "class": ["background", "ä", 'c, "d"'],
        "share": [0.5, np.nan, 1.0],
        "seen": [True, False, True],
    }
    layer = Labels(RNG.integers(0, 9, (5, 7)), features=features)
    layer.new_colormap(seed=3)
    save(tmp_path, layer)
    (loaded,) = back(tmp_path / "saved.gem.tif")
    same(layer, loaded)
    assert (loaded.features.dtypes == layer.features.dtypes).all()
    for label in range(9):
        assert np.array_equal(layer.get_color(label), loaded.get_color(label))


def test_several_resolutions_are_saved_as_the_finest(tmp_path):
    data = RNG.random((8, 8))
    save(tmp_path, Image([data, data[::2, ::2]], multiscale=True))
    (loaded,) = back(tmp_path / "saved.gem.tif")
    assert np.array_equal(loaded.data, data)
    assert not loaded.multiscale


def test_empty_points_and_shapes(tmp_path):
    points, shapes = Points(ndim=3), Shapes(ndim=3)
    assert len(save(tmp_path, points, shapes, name="items")) == 1
    loaded = back(tmp_path / "items.napari-gem.json")
    assert [(type(x), x.ndim, len(x.data)) for x in loaded] == [
        (Points, 3, 0),
        (Shapes, 3, 0),
    ]


def test_metadata_that_is_no_text_is_left_out_and_told(tmp_path):
    layer = Labels(np.ones((2, 2), int), metadata={"a": object(), "b": np.arange(2)})
    with pytest.warns(UserWarning, match="'a' of 'Labels'"):
        save(tmp_path, layer)
    assert back(tmp_path / "saved.gem.tif")[0].metadata == {"b": [0, 1]}


def test_one_file_of_several_and_a_folder(tmp_path):
    first, second = Labels(np.ones((2, 2), int)), Image(np.ones((3, 3)))
    save(tmp_path, first, second)
    assert [type(x) for x in back(tmp_path / "saved.gem.tif")] == [Labels]
    assert [type(x) for x in back(tmp_path / "saved.2.gem.tif")] == [Image]
    assert [type(x) for x in back(tmp_path)] == [Labels, Image]
    for path in (tmp_path, tmp_path / "saved.gem.tif", tmp_path / "saved.2.gem.tif"):
        assert get_reader(str(path)) is not None


def test_what_has_no_sidecar_is_left_to_napari(tmp_path):
    layer = Labels(np.ones((2, 2), int))
    data, state, _ = layer.as_layer_data_tuple()
    napari_write_labels(str(tmp_path / "own.tif"), data, state)
    save(tmp_path, layer)
    (tmp_path / "saved.9.gem.tif").write_bytes(b"")  # not told of
    for name in ("own.tif", "saved.9.gem.tif", "missing.tif", "picture.png"):
        assert get_reader(str(tmp_path / name)) is None
    (tmp_path / "empty").mkdir()
    assert get_reader(str(tmp_path / "empty")) is None
    assert get_reader([str(tmp_path / "saved.gem.tif")]) is None
    with pytest.raises(GemError, match="napari's own reader"):
        read_layers(tmp_path / "own.tif")


def test_nothing_is_replaced_that_was_not_named(tmp_path):
    layer = Labels(np.ones((2, 2), int))
    save(tmp_path, layer, layer)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(GemError, match="there already"):
        save(tmp_path, layer, name="saved.tif")
    with pytest.raises(GemError, match="there already"):
        save(tmp_path, layer, name="saved")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    layer.data = np.zeros((2, 2), int)
    save(tmp_path, layer, layer)
    assert back(tmp_path / "saved.gem.tif")[0].data.max() == 0


def test_a_failure_leaves_everything_as_it_was(tmp_path, monkeypatch):
    layer = Labels(np.ones((2, 2), int))
    save(tmp_path, layer)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("tifffile.imwrite", fail)
    with pytest.raises(GemError, match="disk full"):
        save(tmp_path, layer)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(GemError, match="cannot be written"):
        save(tmp_path / "missing", layer)


def test_what_cannot_be_saved_is_told(tmp_path):
    viewer = ViewerModel()
    vectors = viewer.add_vectors(np.zeros((1, 2, 2)))
    with pytest.raises(GemError, match="vectors layer"):
        save(tmp_path, vectors)
    assert list(tmp_path.iterdir()) == []


def test_napari_finds_writer_and_reader(viewer, tmp_path):
    npe2.PluginManager.instance().discover()
    labels = show(viewer, viewer.add_image(np.zeros((20, 30)), **PLACED))
    assert viewer.layers.save(str(tmp_path / "all.gem.tif"))
    viewer.layers.selection = {labels}
    viewer.layers.save(str(tmp_path / "one.gem.tif"), selected=True)
    viewer.layers.save(str(tmp_path / "plain.tif"), selected=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "all.2.gem.tif",
        "all.3.gem.tif",
        "all.4.gem.tif",
        "all.gem.tif",
        "all.napari-gem.json",
        "one.gem.tif",
        "one.napari-gem.json",
        "plain.tif",
    ]
    everything = ViewerModel()
    everything.open(str(tmp_path / "all.napari-gem.json"), plugin=None)
    for one, other in zip(viewer.layers, everything.layers, strict=True):
        same(one, other)
    (alone,) = everything.open(str(tmp_path / "one.gem.tif"), plugin="napari-gem")
    assert np.array_equal(alone.data, labels.data)
    assert (alone.features["class"] == labels.features["class"]).all()
    (plain,) = everything.open(str(tmp_path / "plain.tif"), plugin=None)
    assert plain.metadata.get(layers.KEY) is None


BREAKS = {
    "no json": lambda text: text[:-20],
    "empty": lambda text: "",
    "a list": lambda text: "[]",
    "deep": lambda text: "[" * 100_000,
    "another schema": lambda text: text.replace("napari-gem layers", "other"),
    "unknown field": lambda text: text.replace('"software"', '"hardware"'),
    "kind": lambda text: text.replace('"labels"', '"surface"'),
    "file elsewhere": lambda text: text.replace("saved.gem.tif", "../saved.gem.tif"),
    "absolute file": lambda text: text.replace("saved.gem.tif", "/etc/x.tif"),
    "other disk": lambda text: text.replace("saved.gem.tif", "C:x.tif"),
    "object type": lambda text: text.replace('"uint8"', '"object"'),
    "float labels": lambda text: text.replace('"uint8"', '"float32"'),
    "scale": lambda text: text.replace('"scale": [', '"scale": [1.0, '),
    "zero scale": lambda text: text.replace("0.25\n", "0.0\n"),
    "nan": lambda text: text.replace("0.25", "NaN"),
    "unit": lambda text: text.replace('"micrometer"', "\"__import__('os')\""),
    "color": lambda text: text.replace('"other": [\n    0.5', '"other": [\n    "red"'),
    "feature": lambda text: text.replace('"background"', "3"),
    "length": lambda text: text.replace('"background",', ""),
}


@pytest.mark.parametrize("name", BREAKS)
def test_broken_sidecars_are_told(viewer, tmp_path, name):
    labels = show(viewer, viewer.add_image(RNG.random((20, 30)), **PLACED))
    save(tmp_path, labels)
    path = tmp_path / "saved.napari-gem.json"
    text = path.read_text()
    broken = BREAKS[name](text)
    assert broken != text
    path.write_text(broken)
    for each in (path, tmp_path / "saved.gem.tif"):
        reader = get_reader(str(each))
        assert reader is not None
        with pytest.raises(GemError, match="no valid file of saved layers"):
            reader(str(each))


def test_newer_versions_missing_and_other_files_are_told(tmp_path):
    save(tmp_path, Labels(np.ones((2, 2), int)))
    path, tiff = tmp_path / "saved.napari-gem.json", tmp_path / "saved.gem.tif"
    text, pixels = path.read_text(), tiff.read_bytes()
    path.write_text(text.replace('"version": 1', '"version": 2'))
    with pytest.raises(GemError, match="Update napari-gem"):
        read_layers(path)
    path.write_text(text)
    tiff.write_bytes(pixels[:40])
    with pytest.raises(GemError, match="cannot be read"):
        read_layers(path)
    tiff.unlink()
    with pytest.raises(GemError, match="missing"):
        read_layers(path)
    napari_write_labels(str(tiff), np.ones((3, 2), int), {})
    with pytest.raises(GemError, match="tells of"):
        read_layers(path)
    with pytest.raises(GemError, match="cannot be read"):
        read_layers(tmp_path / "other.napari-gem.json")


def change(path, text):
    """Write a sidecar of somebody else."""
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.contact("numbers")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda told: "[" * 50_000, "nested too deep"),
        (lambda told: '{"a":' * 99 + "1" + "}" * 99, "nested too deep"),
        (lambda told: "[" + "1," * 9_000_000 + "1]", "more than 8000000 values"),
        (lambda told: json.dumps(told | {"layers": told["layers"] * 2000}), "layers: "),
        (lambda told: json.dumps(told | {"version": 10**30}), "newer napari-gem"),
        (
            lambda told: json.dumps(told)[:-1] + ', "layers": []}',
            "'layers' stands there twice",
        ),
    ],
)
def test_a_sidecar_of_elsewhere_is_bounded(viewer, tmp_path, make, message):
    save(tmp_path, viewer.add_points([(1.0, 2.0)], name="points"))
    path = tmp_path / "saved.napari-gem.json"
    change(path, make(json.loads(path.read_text())))
    with pytest.raises(GemError, match=message) as error:
        read_layers(path)
    assert len(str(error.value)) < 500 + len(str(tmp_path))


@pytest.mark.contact("numbers")
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("shape", [10**30, 4], "layers.0.image.shape.0"),
        ("shape", [1] * 40, "layers.0.image.shape"),
        ("name", "a" * 10**6, "layers.0.image.name"),
        ("contrast_limits", [0, float("nan")], "contrast_limits"),
        ("gamma", float("inf"), "gamma"),
    ],
)
def test_numbers_of_a_sidecar_are_bounded(viewer, tmp_path, key, value, message):
    save(tmp_path, viewer.add_image(np.zeros((4, 4), np.uint8)))
    path = tmp_path / "saved.napari-gem.json"
    told = json.loads(path.read_text())
    told["layers"][0][key] = value
    change(path, json.dumps(told))
    with pytest.raises(GemError, match=message):
        read_layers(path)


@pytest.mark.contact("numbers")
def test_of_a_sidecar_of_gigabytes_no_more_than_some_is_read(tmp_path):
    path = tmp_path / "saved.napari-gem.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # nothing but its end is on the disk
    with pytest.raises(GemError, match="larger than the 128 MiB"):
        read_layers(path)


@pytest.mark.contact("numbers")
def test_what_could_not_be_read_back_is_not_written(viewer, tmp_path, monkeypatch):
    points = viewer.add_points(RNG.random((50, 2)), name="points")
    monkeypatch.setattr("napari_gem.layers.files.files.SIDECAR_VALUES", 400)
    with pytest.raises(GemError, match="too many for a file of this kind"):
        save(tmp_path, points)
    monkeypatch.setattr("napari_gem.layers.files.files.MOST_LAYERS", 1)
    with pytest.raises(GemError, match="2 layers came"):
        save(tmp_path, points, points)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.contact("damaged files")
def test_a_name_that_is_too_long_for_the_disk_is_told(tmp_path):
    layer = Image(np.zeros((4, 4)), name="a").as_layer_data_tuple()
    with pytest.raises(GemError, match="too long for this disk"):
        write_layers(tmp_path / f"{'n' * 300}.gem.tif", [layer])
    assert not list(tmp_path.iterdir())
