"""Layers to files and back, on napari's own layers."""

from __future__ import annotations

import json
import zipfile

import npe2
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes
from napari_builtins.io import napari_write_labels
from tifffile import TiffFile, imwrite

from napari_gem import layers
from napari_gem.core.errors import GemError
from napari_gem.layers.derived import (
    DERIVED_KINDS,
    DerivedOptions,
    derive_layer,
    read_labels,
)
from napari_gem.layers.files import storage
from napari_gem.layers.files.describe import describe_layer
from napari_gem.layers.files.files import get_reader, read_layers, write_layers
from napari_gem.layers.files.sidecar import Sidecar
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


def save(tmp_path, *saved, name="saved.gem"):
    data = [layer.as_layer_data_tuple() for layer in saved]
    return write_layers(tmp_path / name, data)


def save_old(tmp_path, *saved, name="saved"):
    """Write layers as older versions did: files beside one another."""
    records, arrays = [], {}
    for layer in saved:
        number = f".{len(arrays) + 1}" if arrays else ""
        file = f"{name}{number}.gem.tif"
        record, pixels = describe_layer(*layer.as_layer_data_tuple(), file)
        records.append(record)
        if pixels is not None:
            arrays[file] = pixels.astype(np.uint8) if pixels.dtype == bool else pixels
    for file, pixels in arrays.items():
        imwrite(tmp_path / file, pixels, compression="zlib")
    sidecar = Sidecar(software="0.1", layers=records)
    text = sidecar.model_dump_json(by_alias=True, indent=1)
    (tmp_path / f"{name}.napari-gem.json").write_text(text, encoding="utf-8")


def change(path, alter):
    """Change the description in a file of layers."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    text = files["layers.json"].decode()
    files["layers.json"] = alter(text).encode()
    assert files["layers.json"].decode() != text
    write_zip(path, files)
    return path


def write_zip(path, files, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def back(path):
    return [Layer.create(*each) for each in read_layers(path)]


@pytest.fixture
def viewer():
    return ViewerModel()


def test_a_result_and_all_that_is_made_of_it_come_back(viewer, tmp_path):
    labels = show(viewer, viewer.add_image(RNG.random((20, 30)), **PLACED, shear=[0.1]))
    for kind in DERIVED_KINDS:
        source = read_labels(labels, viewer.layers)
        derived = derive_layer(source, kind, DerivedOptions())
        viewer.add_layer(Layer.create(*derived.as_tuple()))
    written = save(tmp_path, *viewer.layers)
    assert written == [str(tmp_path / "saved.gem")]
    assert [path.name for path in tmp_path.iterdir()] == ["saved.gem"]
    loaded = back(tmp_path / "saved.gem")
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
    (loaded,) = back(tmp_path / "saved.gem")
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
    (loaded,) = back(tmp_path / "saved.gem")
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
    (loaded,) = back(tmp_path / "saved.gem")
    same(layer, loaded)
    assert (loaded.features.dtypes == layer.features.dtypes).all()
    for label in range(9):
        assert np.array_equal(layer.get_color(label), loaded.get_color(label))


def test_several_resolutions_are_saved_as_the_finest(tmp_path):
    data = RNG.random((8, 8))
    save(tmp_path, Image([data, data[::2, ::2]], multiscale=True))
    (loaded,) = back(tmp_path / "saved.gem")
    assert np.array_equal(loaded.data, data)
    assert not loaded.multiscale


def test_empty_points_and_shapes(tmp_path):
    points, shapes = Points(ndim=3), Shapes(ndim=3)
    assert len(save(tmp_path, points, shapes, name="items")) == 1
    loaded = back(tmp_path / "items.gem")
    assert [(type(x), x.ndim, len(x.data)) for x in loaded] == [
        (Points, 3, 0),
        (Shapes, 3, 0),
    ]


def test_metadata_that_is_no_text_is_left_out_and_told(tmp_path):
    layer = Labels(np.ones((2, 2), int), metadata={"a": object(), "b": np.arange(2)})
    with pytest.warns(UserWarning, match="'a' of 'Labels'"):
        save(tmp_path, layer)
    assert back(tmp_path / "saved.gem")[0].metadata == {"b": [0, 1]}


def test_the_pixels_are_tiff_files_in_a_zip_file(tmp_path):
    first, second = Labels(np.ones((2, 2), int)), Image(RNG.random((3, 3)))
    save(tmp_path, first, Points([[1, 2]]), second)
    with zipfile.ZipFile(tmp_path / "saved.gem") as archive:
        assert archive.namelist() == ["layers.json", "1.tif", "3.tif"]
        assert archive.testzip() is None
        with archive.open("3.tif") as file, TiffFile(file) as tiff:
            assert np.array_equal(tiff.asarray(), second.data)


def test_files_of_older_versions(viewer, tmp_path):
    labels = show(viewer, viewer.add_image(RNG.random((20, 30)), **PLACED))
    mask = viewer.add_image(np.eye(4, dtype=bool))
    viewer.add_points([[1.0, 2.0]])
    save_old(tmp_path, *viewer.layers)
    loaded = back(tmp_path / "saved.napari-gem.json")
    for one, other in zip(viewer.layers, loaded, strict=True):
        same(one, other)
    same(mask, loaded[-2])
    number = viewer.layers.index(labels) + 1
    for name, wanted in (
        ("saved.gem.tif", viewer.layers[0]),
        (f"saved.{number}.gem.tif", labels),
    ):
        (alone,) = back(tmp_path / name)
        same(wanted, alone)
    assert len(back(tmp_path)) == len(viewer.layers)
    for name in ("", "saved.gem.tif", f"saved.{number}.gem.tif"):
        assert get_reader(str(tmp_path / name)) is not None


def test_what_has_no_sidecar_is_left_to_napari(tmp_path):
    layer = Labels(np.ones((2, 2), int))
    data, state, _ = layer.as_layer_data_tuple()
    napari_write_labels(str(tmp_path / "own.tif"), data, state)
    save_old(tmp_path, layer)
    (tmp_path / "saved.9.gem.tif").write_bytes(b"")  # not described
    for name in ("own.tif", "saved.9.gem.tif", "missing.tif", "picture.png"):
        assert get_reader(str(tmp_path / name)) is None
    (tmp_path / "empty").mkdir()
    assert get_reader(str(tmp_path / "empty")) is None
    assert get_reader([str(tmp_path / "saved.gem.tif")]) is None
    with pytest.raises(GemError, match="napari's own reader"):
        read_layers(tmp_path / "own.tif")


@pytest.mark.parametrize("name", ["saved", "saved.tif", "saved.gem.tif", "saved.GEM"])
def test_nothing_is_replaced_that_was_not_named(tmp_path, name):
    layer = Labels(np.ones((2, 2), int))
    save(tmp_path, layer, layer)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(GemError, match="there already"):
        save(tmp_path, layer, name=name)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    layer.data = np.zeros((2, 2), int)
    save(tmp_path, layer, layer)
    assert back(tmp_path / "saved.gem")[0].data.max() == 0


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


@pytest.fixture
def plugins():
    manager = npe2.PluginManager.instance()
    manager.discover()
    return manager


def test_napari_finds_writer_and_reader_without_a_question(viewer, plugins, tmp_path):
    labels = show(viewer, viewer.add_image(np.zeros((20, 30)), **PLACED))
    assert viewer.layers.save(str(tmp_path / "all.gem"))
    viewer.layers.selection = {labels}
    viewer.layers.save(str(tmp_path / "one.gem"), selected=True)
    viewer.layers.save(str(tmp_path / "plain.tif"), selected=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["all.gem", "one.gem", "plain.tif"]
    everything = ViewerModel()
    everything.open(
        str(tmp_path / "all.gem"), plugin=None
    )  # it raises if napari would ask
    for one, other in zip(viewer.layers, everything.layers, strict=True):
        same(one, other)
    assert [layer.source.path for layer in everything.layers] == [
        str(tmp_path / "all.gem")
    ] * len(viewer.layers)
    (alone,) = everything.open(str(tmp_path / "one.gem"), plugin=None)
    assert np.array_equal(alone.data, labels.data)
    assert (alone.features["class"] == labels.features["class"]).all()
    (plain,) = everything.open(str(tmp_path / "plain.tif"), plugin=None)
    assert plain.metadata.get(layers.KEY) is None


def test_napari_opens_files_of_older_versions(viewer, plugins, tmp_path):
    labels = show(viewer, viewer.add_image(np.zeros((20, 30)), **PLACED))
    save_old(tmp_path, labels)
    viewer.layers.clear()
    viewer.open(str(tmp_path / "saved.napari-gem.json"), plugin=None)
    viewer.open(str(tmp_path / "saved.gem.tif"), plugin="napari-gem")
    first, second = viewer.layers
    same(first, labels)
    assert np.array_equal(second.data, labels.data)
    assert list(second.features["class"]) == list(labels.features["class"])


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("a.gem", True),
        ("A.b c.GEM", True),
        ("recipe.json", True),
        ("a.tif", False),
        ("a.ome.tif", False),
        ("a.zip", False),
        ("a.json", False),
        ("my-recipe.json", False),
        ("a.gem.png", False),
        ("folder", False),
        ("folder.gem", False),
    ],
)
def test_other_files_are_no_matter_of_this_reader(plugins, tmp_path, name, ours):
    path = tmp_path / name
    path.mkdir() if name.startswith("folder") else path.write_bytes(b"")
    names = {reader.plugin_name for reader in plugins.iter_compatible_readers([path])}
    assert ("napari-gem" in names) == ours
    assert not ours or names == {"napari-gem"}


BREAKS = {
    "no json": lambda text: text[:-20],
    "empty": lambda text: "",
    "a list": lambda text: "[]",
    "deep": lambda text: "[" * 100_000,
    "another schema": lambda text: text.replace("napari-gem layers", "other"),
    "unknown field": lambda text: text.replace('"software"', '"hardware"'),
    "kind": lambda text: text.replace('"labels"', '"surface"'),
    "file elsewhere": lambda text: text.replace('"1.tif"', '"../1.tif"'),
    "absolute file": lambda text: text.replace('"1.tif"', '"/etc/x.tif"'),
    "other disk": lambda text: text.replace('"1.tif"', '"C:x.tif"'),
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
def test_broken_descriptions_are_told(viewer, tmp_path, name):
    labels = show(viewer, viewer.add_image(RNG.random((20, 30)), **PLACED))
    save(tmp_path, labels)
    path = change(tmp_path / "saved.gem", BREAKS[name])
    reader = get_reader(str(path))
    assert reader is not None
    with pytest.raises(GemError, match="no valid file of saved layers"):
        reader(str(path))


def test_a_broken_sidecar_of_older_versions_is_told(tmp_path):
    save_old(tmp_path, Labels(np.ones((2, 2), int)))
    sidecar = tmp_path / "saved.napari-gem.json"
    sidecar.write_text(sidecar.read_text()[:-20])
    for path in (sidecar, tmp_path / "saved.gem.tif"):
        reader = get_reader(str(path))
        assert reader is not None
        with pytest.raises(GemError, match="no valid file of saved layers"):
            reader(str(path))


def test_newer_versions_missing_and_other_files_are_told(tmp_path):
    save_old(tmp_path, Labels(np.ones((2, 2), int)))
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
    with pytest.raises(GemError, match="describes"):
        read_layers(path)
    for name in ("other.napari-gem.json", "other.gem"):
        with pytest.raises(GemError, match="cannot be read"):
            read_layers(tmp_path / name)


def entries(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_files_that_are_none_of_ours_are_told(tmp_path, monkeypatch):
    save(tmp_path, Labels(RNG.integers(0, 9, (40, 40))))
    path = tmp_path / "saved.gem"
    whole, files = path.read_bytes(), entries(path)

    def refused(message, content=None, **kwargs):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(GemError, match=message):
            read_layers(path)
        path.write_bytes(whole)

    refused("no zip file", b"")
    refused("no zip file", b"a picture")
    refused("no zip file", whole[: len(whole) // 2])
    refused("damaged", whole.replace(b"PK\3\4", b"PK\3\5"))
    write_zip(path, files, zipfile.ZIP_DEFLATED)
    refused("'layers.json' in it is compressed")
    write_zip(path, {"1.tif": files["1.tif"]})
    refused("there is no 'layers.json'")
    write_zip(path, {"layers.json": files["layers.json"]})
    refused("does not hold '1.tif'")
    write_zip(path, {**files, "1.tif": files["1.tif"][:60]})
    refused("Save the layers again")
    write_zip(path, {**files, "1.tif": b"no picture"})
    refused("cannot be read")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("1.tif", files["1.tif"])
    refused("same name")
    monkeypatch.setattr(storage, "LONGEST_LISTING", 50)
    refused("list of files is too long")


@pytest.mark.contact("numbers")
def test_a_zip_file_with_millions_of_names_is_not_listed(tmp_path):
    path = tmp_path / "saved.gem"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number}.tif", b"")
    with pytest.raises(GemError, match="list of files is too long"):
        read_layers(path)


@pytest.mark.contact("numbers")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda content: "[" * 50_000, "nested too deep"),
        (lambda content: '{"a":' * 99 + "1" + "}" * 99, "nested too deep"),
        (lambda content: "[" + "1," * 9_000_000 + "1]", "more than 8000000 values"),
        (
            lambda content: json.dumps(content | {"layers": content["layers"] * 2000}),
            "layers: ",
        ),
        (lambda content: json.dumps(content | {"version": 10**30}), "newer napari-gem"),
        (
            lambda content: json.dumps(content)[:-1] + ', "layers": []}',
            "'layers' stands there twice",
        ),
    ],
)
def test_a_sidecar_of_elsewhere_is_bounded(viewer, tmp_path, make, message):
    save(tmp_path, viewer.add_points([(1.0, 2.0)], name="points"))
    path = change(tmp_path / "saved.gem", lambda text: make(json.loads(text)))
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
    path = tmp_path / "saved.gem"

    def alter(text):
        described = json.loads(text)
        described["layers"][0][key] = value
        return json.dumps(described)

    change(path, alter)
    with pytest.raises(GemError, match=message):
        read_layers(path)


@pytest.mark.contact("numbers")
def test_of_a_sidecar_of_gigabytes_no_more_than_some_is_read(tmp_path, monkeypatch):
    path = tmp_path / "saved.napari-gem.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # nothing but its end is on the disk
    with pytest.raises(GemError, match="larger than the 128 MiB"):
        read_layers(path)
    # in a zip file the member says so of itself
    monkeypatch.setattr(storage, "SIDECAR_BYTES", 100)
    save(tmp_path, Points([[1, 2]]))
    with pytest.raises(GemError, match="larger than"):
        read_layers(tmp_path / "saved.gem")


@pytest.mark.contact("numbers")
def test_what_could_not_be_read_back_is_not_written(viewer, tmp_path, monkeypatch):
    points = viewer.add_points(RNG.random((50, 2)), name="points")
    monkeypatch.setattr("napari_gem.layers.files.files.SIDECAR_VALUES", 400)
    with pytest.raises(GemError, match="too many for a file of this kind"):
        save(tmp_path, points)
    monkeypatch.setattr("napari_gem.layers.files.files.MOST_LAYERS", 1)
    with pytest.raises(GemError, match="These are 2 layers"):
        save(tmp_path, points, points)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.contact("damaged files")
def test_a_name_that_is_too_long_for_the_disk_is_told(tmp_path):
    layer = Image(np.zeros((4, 4)), name="a").as_layer_data_tuple()
    with pytest.raises(GemError, match="too long for this disk"):
        write_layers(tmp_path / f"{'n' * 300}.gem", [layer])
    assert not list(tmp_path.iterdir())
