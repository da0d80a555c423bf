"""Whatever is kept from last time, the dock opens, says what is left out, and runs."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_gem.core.colors import class_color
from napari_gem.core.json_records import to_dict
from napari_gem.core.prompts import Example, Prompt
from napari_gem.models.own_list import config_folder
from napari_gem.widget.parameters.last_used import last_used
from napari_gem.widget.parameters.recall import LARGEST_FILE, Recalled, load_last
from napari_gem.widget.parameters.settings import LastUsed, save_last
from tests.widget.hand_client import hand_driven_dock

pytestmark = pytest.mark.contact("remembered state")

WHOLE = LastUsed(
    device="cpu",
    prompts=(
        Prompt(
            ("cell",),
            label=3,
            color=class_color(2),
            examples=(Example(None, (0.6, 0.8), "embedded"),),
        ),
        Prompt(("nucleus", "nuclei"), label=4, color=class_color(3)),
    ),
    background=("sky",),
    maps="chosen",
    templates=("a drawing of {}", "{}"),
    detail=2.5,
    advanced={
        "background_weight": 0.8,
        "smoothing": 2.0,
        "minimum_size": 30,
        "depth": 5,
        "iterations": 2,
        "temperature_scale": 1.5,
        "residual": True,
        "templates": "bare",
        "precision": "float16",
        "refinement": 15,
    },
)


SHOWN = replace(
    WHOLE,
    prompts=tuple(replace(p, label=i) for i, p in enumerate(WHOLE.prompts, 1)),
)
"""Label ids of another session are free in this one."""


def changed(**fields):
    """What is kept, with other fields."""
    return json.dumps({"napari_gem_last": 1, **to_dict(WHOLE), **fields})


def advanced(**fields):
    return changed(advanced={**to_dict(WHOLE)["advanced"], **fields})


def classes(*more):
    return changed(prompts=[*to_dict(WHOLE)["prompts"], *more])


NOTHING = "left out"
DAMAGED = {
    "an empty file": ("", NOTHING),
    "a file cut short": (changed()[:200], NOTHING),
    "binary": (b"\x00\xff\xfe\x80", NOTHING),
    "nested too deep": ("[" * 100_000, NOTHING),
    "a list": ("[]", NOTHING),
    "of a future version": (changed(napari_gem_last=99), "another version"),
    "a number too long": ('{"napari_gem_last": ' + "1" * 9999 + "}", NOTHING),
    "huge": (" " * (LARGEST_FILE + 1), "too large"),
    "a repository with a typing error": (changed(model="hf-hub:a--b/c"), ""),
    "a repository that ends in .git": (changed(model="hf-hub:a/b.git"), ""),
    "a repository with points": (changed(model="hf-hub:a/b..c"), ""),
    "a model that is gone": (changed(model="/no/such/model.pt"), "mbedded"),
    "an empty model": (changed(model=""), "model"),
    "a model with NUL": (changed(model="a\x00b"), "model"),
    "a model whose name is too long": (changed(model="/" + "a" * 4000), "mbedded"),
    "a model with half a character": (changed(model="\ud800"), "model"),
    "a model that is a number": (changed(model=3), "model"),
    "an architecture that is none": (changed(architecture=["x"]), "architecture"),
    "a device that is none": (changed(device="toaster"), "device"),
    "a cluster with a new line": (changed(device="tcp://a\nb"), "device"),
    "a device that is a table": (changed(device={}), "device"),
    "a class without words": (classes({"words": []}), "1 of 3 classes"),
    "a class of a wrong kind": (classes(7, None), "2 of 4 classes"),
    "the same id twice": (classes({"words": ["x"], "label": 3}), "1 of 3 classes"),
    "an id too large": (classes({"words": ["x"], "label": 1 << 70}), "1 of 3"),
    "the same words twice": (classes({"words": ["cell"]}), "1 of 3 classes"),
    "a colour of four": (classes({"words": ["x"], "color": [0] * 4}), "1 of 3"),
    "a threshold that is no number": (
        classes({"words": ["x"], "threshold": float("nan")}),
        "1 of 3",
    ),
    "classes that are a text": (changed(prompts="cell"), "classes"),
    "a background of numbers": (changed(background=[1]), "background words"),
    "sentences without a place": (changed(templates=["a cell"]), "sentences"),
    "a detail below 0": (changed(detail=-1), "detail"),
    "a detail without end": (changed(detail=1e400), "detail"),
    "advanced values that are a list": (changed(advanced=[]), "advanced values"),
    "maps that are none": (changed(maps="every"), "maps"),
    "a depth of many": (advanced(depth=10**12), "depth"),
    "iterations below 0": (advanced(iterations=-3), "iterations"),
    "a temperature that is no number": (
        advanced(temperature_scale=float("nan")),
        "temperature",
    ),
    "a minimum size of many": (advanced(minimum_size=1 << 70), "minimum size"),
    "a weight that is a text": (advanced(background_weight="much"), "background w"),
    "a smoothing without end": (advanced(smoothing=float("inf")), "smoothing"),
    "a residual that is none": (advanced(residual="perhaps"), "residual"),
    "templates that there are no more": (advanced(templates="gone"), "templates"),
    "a preset that there is no more": (advanced(preset="gone"), "preset"),
    "a precision that is none": (advanced(precision="float8"), "precision"),
    "refinement of many": (advanced(refinement=10**9), "refinement"),
}


@pytest.fixture
def make_dock(qtbot):
    """Make the widget with a client that is driven by hand; both are given."""

    def make():
        viewer, widget, client = hand_driven_dock(qtbot)
        viewer.add_image(np.zeros((8, 8)))
        return widget, client

    return make


def keep(content):
    config_folder().mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else content.encode()
    (config_folder() / "last.json").write_bytes(data)


def check_it_runs(widget, client):
    if not widget.prompt_table.prompts():
        widget.prompt_table.add_text("cell")
    widget.run()
    assert len(client.requests) == 1, widget.run_bar.status.text()
    assert client.requests[0].job.prompts


def test_what_is_whole_is_all_taken(make_dock):
    save_last(WHOLE)
    assert load_last() == Recalled(WHOLE)
    widget, client = make_dock()
    assert last_used(widget) == SHOWN
    assert not widget._recall_message
    check_it_runs(widget, client)


@pytest.mark.parametrize("name", DAMAGED)
def test_the_dock_opens_whatever_was_kept(name, make_dock):
    content, message = DAMAGED[name]
    keep(content)
    widget, client = make_dock()
    assert message in widget.run_bar._sentence
    if message not in ("", NOTHING, "another version", "too large"):
        # one thing is left out, the rest is not
        kept, whole = to_dict(last_used(widget)), to_dict(SHOWN)
        if name == "advanced values that are a list":
            kept["advanced"] = whole["advanced"]
        kept |= kept.pop("advanced")
        whole |= whole.pop("advanced")
        assert len([n for n in whole if kept.get(n) != whole[n]]) <= 1
    check_it_runs(widget, client)


def test_a_folder_in_the_place_of_the_file_is_told(make_dock):
    (config_folder() / "last.json").mkdir(parents=True)
    widget, client = make_dock()
    assert "it is no file" in widget.run_bar._sentence
    check_it_runs(widget, client)


def test_a_file_that_may_not_be_read_is_told(make_dock, monkeypatch):
    keep(changed())
    (config_folder() / "last.json").chmod(0)
    if os.access(config_folder() / "last.json", os.R_OK):
        pytest.skip("this user may read everything")
    widget, client = make_dock()
    assert "left out" in widget.run_bar._sentence
    check_it_runs(widget, client)


def test_what_a_view_cannot_show_is_left_out_too(make_dock, monkeypatch):
    save_last(WHOLE)

    def fail(*_):
        raise OverflowError("value too large")

    for name in ("models.device_choice.DeviceChoice.set_device",):
        monkeypatch.setattr(f"napari_gem.widget.{name}", fail)
    monkeypatch.setattr("napari_gem.widget.image.panel.ImagePanel.recall_detail", fail)
    widget, client = make_dock()
    assert "The device of last time cannot be used" in widget.run_bar._sentence
    assert "The detail of last time cannot be used" in widget.run_bar._sentence
    assert last_used(widget).prompts == SHOWN.prompts
    check_it_runs(widget, client)


def test_own_models_that_cannot_be_read_are_told_beside(make_dock):
    keep(changed(device="toaster"))
    (config_folder() / "models.toml").write_text(
        "[[model]]\nid = 'x'\nname = 'x'\nweights = 'hf-hub:a--b/c d'\nsize = 'much'\n"
    )
    widget, client = make_dock()
    widget.show()
    assert "device" in widget.run_bar._sentence
    assert "Your list of models" in widget.run_bar._sentence
    check_it_runs(widget, client)


@pytest.mark.parametrize("folder", ["/", ".", "a\0b", "~nobody/x", "x" * 5000])
def test_the_dock_opens_with_any_folder_in_the_preferences(
    folder, make_dock, monkeypatch
):
    from napari_gem.widget import dock as module
    from napari_gem.widget.parameters.settings import Settings
    from napari_gem.worker.messages import Storage

    given = Settings(storage=Storage(disk=5, folder=folder))
    monkeypatch.setattr(module, "read_settings", lambda: given)
    check_it_runs(*make_dock())


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=5,
)
FIELDS = (*to_dict(WHOLE), *WHOLE.advanced)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=4))
@pytest.mark.slow
def test_any_value_of_a_field_is_used_or_said(fields):
    inside = {k: v for k, v in fields.items() if k in WHOLE.advanced}
    outside = {k: v for k, v in fields.items() if k in to_dict(WHOLE)}
    outside.setdefault("advanced", {**WHOLE.advanced, **inside})
    keep(changed(**outside))
    recalled = load_last()
    assert recalled.notice or recalled.last != LastUsed()
    save_last(recalled.last)
    assert load_last() == Recalled(recalled.last)
