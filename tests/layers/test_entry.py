"""Our entry in the metadata of a layer, also one that comes from anybody."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from napari_gem.core.region import Region
from napari_gem.layers.entry import KEY, LayerEntry, is_result, read_entry, write_entry

MAP = {
    "role": "probability",
    "class": "nuclei",
    "label": 3,
    "stable": True,
    "color": None,
    "source": "an id",
    "plane": [0, 1, 4],
    "step": 1,
    "recipe": {"model": "m", "region": None},
    "patch": 16.0,
    "off": True,
    "given_name": "nuclei · GEM",
    "shown_name": "nuclei · GEM [1]",
    "layer": "another id",
}
LABELS = {
    "role": "labels",
    "source": "an id",
    "plane": [0, 1],
    "step": 4,
    "recipe": {"region": {"rows": [1, 5], "columns": [2, 6], "polygon": [[1, 2]]}},
    "classes": {"3": "nuclei"},
    "off": {"4": "fibre"},
    "colors": {"3": [0.5, 1, 0]},
    "fixed": [3],
    "fingerprint": "abc",
}


def test_entries_of_earlier_versions_are_read():
    entry = LayerEntry.from_dict(MAP)
    assert (entry.class_name, entry.label, entry.stable) == ("nuclei", 3, True)
    assert (entry.color, entry.plane, entry.patch) == ((), (0, 1, 4), 16.0)
    assert entry.is_hidden
    assert entry.off_classes == {}
    assert entry.region is None
    entry = LayerEntry.from_dict(LABELS)
    assert (entry.classes, entry.off_classes) == ({3: "nuclei"}, {4: "fibre"})
    assert (entry.colors, entry.fixed) == ({3: (0.5, 1, 0)}, (3,))
    assert not entry.is_hidden
    assert entry.region == Region((1, 5), (2, 6), ((1.0, 2.0),))


@pytest.mark.parametrize("stored", [MAP, LABELS])
def test_what_is_written_is_plain_and_read_as_it_was(stored):
    entry = LayerEntry.from_dict(stored)
    written = json.loads(json.dumps(entry.to_dict()))
    assert LayerEntry.from_dict(written) == entry
    usual = {"color": None, "step": 1}
    assert {**usual, **written} == {**usual, **stored}


@pytest.mark.parametrize("stored", [None, "?", [1], 5, {"prompts": "nuclei"}])
def test_what_is_no_entry_is_empty(stored):
    assert LayerEntry.from_dict(stored) == LayerEntry()
    assert LayerEntry().to_dict() == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("role", ["labels"]),
        ("source", [1]),
        ("plane", "01"),
        ("plane", [0, True]),
        ("step", "4"),
        ("recipe", [1]),
        ("label", 2.5),
        ("off", 5),
        ("off", {"x": "fibre", "4": 3, "9" * 5000: "fibre"}),
        ("colors", {"3": ["red"]}),
        ("fixed", {"3": 3}),
        ("prompts", ["nuclei", 3]),
    ],
)
def test_what_is_malformed_is_left_out(key, value):
    assert LayerEntry.from_dict({key: value}) == LayerEntry()


def test_other_metadata_stay():
    layer = SimpleNamespace(metadata={"mine": 5}, unique_id="an id")
    assert read_entry(layer) == LayerEntry()
    assert not is_result(layer)
    write_entry(layer, LayerEntry(role="labels", layer="an id"))
    assert layer.metadata == {"mine": 5, KEY: {"role": "labels", "layer": "an id"}}
    assert is_result(layer)
