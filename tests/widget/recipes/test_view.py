"""Recipes opened in the widget, and copied as commands that are really run."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from qtpy.QtGui import QGuiApplication

from napari_gem.core.appearance import Appearance
from napari_gem.core.parameters import LabelParameters
from napari_gem.core.prompts import Example, Prompt
from napari_gem.core.region import Region
from napari_gem.core.results import Recipe
from napari_gem.images.samples import read_sample
from napari_gem.models.find import find_model
from napari_gem.models.presets import with_preset
from napari_gem.models.used_list import note_used
from napari_gem.prompts.sets import PromptSet, write_set
from napari_gem.results.recipe import read_recipe, write_recipe
from napari_gem.widget.dock import GemWidget
from napari_gem.widget.image.region_choice import SHAPE, WHOLE
from napari_gem.widget.image.slice_choice import ALL
from napari_gem.widget.run.controller import Controller
from napari_gem.widget.state import Encoded, LastResult
from tests.tiny import write_tiny_model
from tests.widget.hand_client import HandClient

PATIENCE = 600_000
CARD = find_model("embedded")
LUT = ((0.0, 0.0, 0.0), (0.25, 0.5, 0.75), (1.0, 1.0, 1.0))
POLYGON = Region((2, 30), (4, 38), ((1.5, 4.0), (29.4, 10.5), (12.0, 37.4)))
RECIPE = Recipe(
    version="0",
    model="embedded",
    revision="abc",
    prompts=(Prompt(("nuclei",), label=4), Prompt(("filaments",), label=2)),
    encode=CARD.encode,
    score=CARD.score,
    appearance=Appearance(limits=(10.0, 200.0), gamma=0.8, lut=LUT),
    device="cpu",
    precision="float32",
)


@pytest.fixture
def widget(qtbot):
    viewer = ViewerModel()
    widget = GemWidget(viewer, Controller(viewer, HandClient))
    qtbot.addWidget(widget)
    widget.asks = []
    widget.controller.run = widget.asks.append
    widget.prompt_table.set_prompts((), undoable=False)
    yield widget
    widget.controller.close()


def last_message(widget):
    return widget.run_bar.status.text()


def add_image(widget, shape=(40, 50), **kwargs):
    return widget._viewer.add_image(np.zeros(shape, np.uint8), **kwargs)


def test_everything_that_a_recipe_holds_is_shown(widget):
    layer = add_image(
        widget, (5, 40, 50), scale=(3, 0.5, 0.5), translate=(7, 1, 2), rotate=30
    )
    widget.image_panel.slice_choice.choose(ALL)
    example = Example((7.0, 9.0), (1.0, 0.0), "m")
    far = Example((70.0, 9.0), (0.0, 1.0), "m")
    nuclei = Prompt(("nuclei",), label=4, threshold=0.3, examples=(example, far))
    recipe = replace(
        RECIPE,
        prompts=(nuclei, RECIPE.prompts[1]),
        encode=replace(
            CARD.encode, zoom=1.25, gem=replace(CARD.encode.gem, depth=4, iterations=2)
        ),
        score=replace(
            CARD.score,
            background=("dust", "glare"),
            templates=("a {}",),
            background_weight=0.8,
            smoothing=2.5,
        ),
        label=LabelParameters(30),
        region=POLYGON,
        patch=6.4,
        index=(3,),
    )
    widget.recipe_menu.opened.emit(recipe)
    assert widget.asks, last_message(widget)
    (ask,) = widget.asks
    assert ask.more == ()
    assert ask.image.position == {0: 3}
    assert ask.image.appearance == replace(
        recipe.appearance, lut=ask.image.appearance.lut
    )
    np.testing.assert_allclose(ask.image.appearance.lut[::255], LUT[::2], atol=1e-6)
    assert ask.job.region.rows == POLYGON.rows
    assert ask.job.region.columns == POLYGON.columns
    np.testing.assert_allclose(ask.job.region.polygon, POLYGON.polygon)
    assert ask.detail == recipe.patch
    assert replace(ask.job.encode, zoom=1.25) == recipe.encode
    assert (ask.job.score, ask.job.label) == (recipe.score, recipe.label)
    assert (ask.job.model, ask.job.precision) == ("embedded", "float32")
    assert [p.label for p in ask.job.prompts] == [4, 2]
    assert ask.job.prompts[0].threshold == 0.3
    kept, place = ask.job.prompts[0].examples
    assert kept == replace(far, point=None)
    np.testing.assert_allclose(place.point, (7, 9))
    assert widget._viewer.layers.selection.active == layer
    # the views say the same once more: what was encoded is current
    assert widget.inputs().encoding == ask.encoding
    widget.recipe_menu.opened.emit(replace(RECIPE, region=Region((1, 9), (0, 50))))
    assert widget.inputs().job.region == Region((1, 9), (0, 50))
    assert widget.image_panel.detail() is None
    widget.recipe_menu.opened.emit(RECIPE)
    assert widget.inputs().job.region is None
    assert widget.image_panel.region_choice.where.currentText() == WHOLE


@pytest.mark.parametrize(
    ("now", "patch", "zoom"),
    [
        ({"scale": (0.25, 0.25), "units": "µm"}, 16, 1.25),
        ({"scale": (0.25, 0.25), "units": "µm"}, 16, CARD.encode.zoom),
        ({"scale": (1000, 1000), "units": "nm"}, 4, 1.25),
        ({"scale": (0.5, 0.5), "units": "µm"}, 8, 1.25),
        ({"scale": (0.5, 0.5), "units": "µm"}, None, CARD.encode.zoom),
        ({}, 8, 1.25),
        ({}, None, CARD.encode.zoom),
    ],
)
def test_detail_carries_over_to_another_magnification(widget, now, patch, zoom):
    """A patch stays as large in the world: 8 px of 0.5 µm are 16 px of 0.25 µm."""
    add_image(widget, **now)
    encode = replace(CARD.encode, zoom=zoom)
    recipe = replace(RECIPE, encode=encode, patch=8.0, pixel_size=(0.5, 0.5), unit="µm")
    widget.recipe_menu.opened.emit(recipe)
    (ask,) = widget.asks
    assert ask.detail == (patch if patch is None else pytest.approx(patch))


def add_pyramid(widget, depth=1, **kwargs):
    levels = [
        np.zeros((max(1, depth // 2**i), 512 // 2**i, 640 // 2**i), np.uint8)
        for i in range(4)
    ]
    if depth == 1:
        levels = [level[0] for level in levels]
    return widget._viewer.add_image(levels, multiscale=True, **kwargs)


@pytest.mark.parametrize("units", [{}, {"scale": (0.5, 0.5), "units": "µm"}])
@pytest.mark.parametrize("detail", [4.0, 16.0, 32.0, 48.0, 64.0, 400.0])
def test_the_detail_of_a_pyramid_comes_back(widget, detail, units):
    add_pyramid(widget, **units)
    panel = widget.image_panel
    panel.set_detail(detail)
    ask = widget.inputs()
    size, unit = ask.image.pixel_size
    recipe = replace(
        RECIPE,
        encode=replace(CARD.encode, zoom=8 / ask.detail),
        patch=ask.detail,
        pixel_size=size,
        unit=unit,
        factor=ask.image.factor,
    )
    panel.set_detail(None)
    widget.recipe_menu.opened.emit(recipe)
    again = widget.asks[-1]
    usual = recipe.encode.zoom == CARD.encode.zoom and ask.image.factor == 1
    assert again.detail == (None if usual else pytest.approx(ask.detail))
    assert again.image.shape == ask.image.shape


def test_each_resolution_is_another_encoding(widget):
    layer = add_pyramid(widget)
    panel, asked = widget.image_panel, []
    for detail in (8.0, 16.0, 32.0, 64.0):
        panel.set_detail(detail)
        asked.append(widget.inputs())
    assert [ask.detail for ask in asked] == [8.0] * 4  # in pixels of each
    panel.set_detail(None)
    for level in (0, 1):
        layer.locked_data_level = level
        asked.append(widget.inputs())
    encodings = [repr(ask.encoding) for ask in asked]
    assert len(set(encodings)) == len(encodings)


def test_a_slice_is_one_of_the_resolution_of_the_recipe(widget):
    add_pyramid(widget, depth=40)
    widget.image_panel.set_detail(64.0)  # whose resolution has five slices
    encode = replace(CARD.encode, zoom=1.0)
    recipe = replace(RECIPE, encode=encode, patch=8.0, index=(30,))
    widget.recipe_menu.opened.emit(recipe)
    assert widget.asks[-1].image.position == {0: 30}
    assert "slice" not in last_message(widget)


def test_a_preset_is_found_again(widget):
    add_image(widget)
    aerial = with_preset(CARD, "remote-sensing")
    gem = replace(aerial.encode.gem, depth=4)
    recipe = replace(
        RECIPE,
        encode=replace(aerial.encode, gem=gem),
        score=replace(aerial.score, smoothing=2.0, background=("dust",)),
    )
    widget.recipe_menu.opened.emit(recipe)
    assert widget.advanced_panel.state()["preset"] == "remote-sensing"
    assert (widget.asks[-1].job.encode, widget.asks[-1].job.score) == (
        recipe.encode,
        recipe.score,
    )
    widget.recipe_menu.opened.emit(RECIPE)
    assert widget.advanced_panel.state().get("preset") is None
    count = len(widget.asks)
    widget.recipe_menu.opened.emit(replace(RECIPE, squash=448))
    assert len(widget.asks) == count
    assert "cannot set the recipe's squash" in last_message(widget)


def test_the_architecture_of_a_weights_file_is_kept(widget, tmp_path):
    add_image(widget)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"")
    recipe = replace(RECIPE, model=str(path), architecture="ViT-B-32")
    note_used(find_model(recipe.model, recipe.architecture))
    widget.recipe_menu.opened.emit(recipe)
    assert widget.model_choice.named().architecture == "ViT-B-32"
    assert widget.inputs().job.architecture == "ViT-B-32"


@pytest.fixture
def unused(tmp_path, monkeypatch):
    """A model's folder of somebody else; nothing was used on this computer."""
    monkeypatch.setenv("NAPARI_GEM_CONFIG", str(tmp_path / "settings"))
    return write_tiny_model(tmp_path / "of somebody else")


@pytest.mark.contact("configurations")
@pytest.mark.slow
def test_a_model_that_was_not_used_before_waits_for_run(widget, unused):
    add_image(widget)
    recipe = replace(RECIPE, model=str(unused))
    widget.recipe_menu.opened.emit(recipe)
    assert widget.asks == []
    assert widget.controller._client.requests == []
    # its name and its place stand beside Run, and its words are in the table
    assert "'of somebody else'" in last_message(widget)
    assert f"the folder '{unused}', which you have not used before" in last_message(
        widget
    )
    assert widget.run_bar.run_button.isEnabled()
    prompts = widget.inputs().job.prompts
    assert [p.words for p in prompts] == [("nuclei",), ("filaments",)]
    assert not (unused.parent / "settings" / "used_models.json").exists()
    # opening it once more, or changing words, starts nothing either
    widget.recipe_menu.opened.emit(recipe)
    widget.prompt_table.set_prompts((Prompt(("cell",)),), undoable=False)
    assert widget.asks == []
    assert widget.controller._client.requests == []
    widget.run_bar.run_button.click()
    assert [ask.job.model for ask in widget.asks] == [str(unused)]


@pytest.mark.contact("configurations")
def test_a_model_that_was_used_before_runs_at_once(widget, unused):
    add_image(widget)
    card = find_model(str(unused))
    note_used(card)
    fits = {"model": card.id, "encode": card.encode, "score": card.score}
    widget.recipe_menu.opened.emit(replace(RECIPE, **fits))
    assert [ask.job.model for ask in widget.asks] == [str(unused)], last_message(widget)


@pytest.mark.contact("configurations")
@pytest.mark.parametrize("name", ["hf-hub:some/body", "RN50/openai"])
def test_a_model_of_the_hub_outside_the_catalogue_waits(widget, unused, name):
    add_image(widget)
    widget.recipe_menu.opened.emit(replace(RECIPE, model=name))
    assert widget.asks == []
    assert widget.controller._client.requests == []


@pytest.mark.contact("configurations")
@pytest.mark.parametrize("name", [r"\\host\share\model", "//host/share/model"])
def test_another_computer_is_not_asked_because_a_recipe_says_so(widget, name):
    add_image(widget)
    widget.recipe_menu.opened.emit(replace(RECIPE, model=name))
    assert widget.asks == []
    assert "on another computer" in last_message(widget)
    assert widget.model_choice.named().model == "embedded"


@pytest.mark.contact("configurations")
def test_opening_a_prompt_set_starts_nothing(widget, tmp_path):
    add_image(widget)
    prompt_set = PromptSet("cells", prompts=RECIPE.prompts, background=("dust",))
    path = write_set(tmp_path / "set.json", prompt_set)
    widget.prompt_table.load_set(path)
    assert len(widget.inputs().job.prompts) == 2
    assert widget.asks == []
    assert widget.controller._client.requests == []


CHANNELS = (
    Appearance(limits=(0.0, 9.0), lut=((0.0, 0.0, 0.0), (1.0, 0.5, 0.0))),
    Appearance(limits=(1.0, 5.0), lut=((0.0, 0.0, 0.0), (0.0, 0.25, 1.0))),
)


def test_channels_of_several_layers_are_set(widget):
    for name in "ab":
        add_image(widget, name=name, opacity=0.5)
    for blending in ("minimum", "additive"):
        look = Appearance(channels=CHANNELS, blending=blending)
        widget.recipe_menu.opened.emit(replace(RECIPE, appearance=look))
        assert widget.asks, last_message(widget)
        ask = widget.asks[-1]
        assert len(ask.layers) == 2
        seen = ask.image.appearance
        assert seen.blending == blending
        assert [c.limits for c in seen.channels] == [(0, 9), (1, 5)]
        np.testing.assert_allclose(seen.channels[0].lut[-1], (1, 0.5, 0), atol=1e-6)


def test_channels_of_an_axis_are_set(widget):
    add_image(widget, (2, 40, 50))
    look = Appearance(channels=CHANNELS)
    widget.recipe_menu.opened.emit(replace(RECIPE, appearance=look))
    assert widget.asks, last_message(widget)
    (ask,) = widget.asks
    seen = ask.image.appearance
    assert [c.limits for c in seen.channels] == [(0, 9), (1, 5)]
    np.testing.assert_allclose(seen.channels[1].lut[-1], (0, 0.25, 1), atol=1e-6)
    widget.recipe_menu.opened.emit(RECIPE)
    assert not widget.inputs().image.appearance.channels


MISFITS = {
    "another kind of image": ({"appearance": Appearance(rgb=True)}, "colours"),
    "channels": ({"appearance": Appearance(channels=CHANNELS)}, "2 channels"),
    "no such slice": ({"index": (3,)}, "no slice 3"),
    "a region outside": ({"region": Region((0, 99), (0, 9))}, "row 99"),
    "a region of other pixels": (
        {"region": replace(POLYGON, rows=(5, 9))},
        "cannot set the recipe's region",
    ),
    "detail of an earlier version": (
        {"encode": replace(CARD.encode, zoom=3.0)},
        "detail",
    ),
    "no control": ({"score": replace(CARD.score, scale=7.0)}, "scale"),
    "no control of the method": (
        {"encode": replace(CARD.encode, gem=replace(CARD.encode.gem, method="vv"))},
        "method",
    ),
}


def test_what_does_not_fit_is_said_and_nothing_runs(widget):
    add_image(widget)
    for name, (change, said) in MISFITS.items():
        widget.recipe_menu.opened.emit(replace(RECIPE, **change))
        assert widget.asks == [], name
        assert said in last_message(widget), name
        assert "Run does the rest" in last_message(widget), name
        assert [p.label for p in widget.prompt_table.prompts()] == [4, 2], name
    widget.run()
    assert len(widget.asks) == 1


def test_without_an_image_nothing_is_set(widget):
    widget.recipe_menu.opened.emit(RECIPE)
    assert widget.asks == []
    assert "no image layer" in last_message(widget)
    assert widget.prompt_table.prompts() == ()


# --- commands


def test_where_there_is_no_command_a_sentence_says_so(widget):
    menu = widget.recipe_menu
    QGuiApplication.clipboard().setText("before")
    several = replace(RECIPE, appearance=Appearance(channels=CHANNELS))
    menu.set_result(LastResult(several, file="a.tif", index=()))
    menu.copy_command.trigger()
    assert "no command for channels" in last_message(widget)
    menu.set_result(LastResult(RECIPE, file="a.tif"))
    menu.copy_command.trigger()
    assert "no single plane" in last_message(widget)
    assert QGuiApplication.clipboard().text() == "before"
    menu.copy_python.trigger()
    assert "Fill in how" in last_message(widget)
    menu.set_result(LastResult(RECIPE, file="a.zarr", index=()))
    menu.copy_command.trigger()
    assert "image.tif" in QGuiApplication.clipboard().text()
    assert "Save the image as image.tif" in last_message(widget)
    # of files that we opened the recipe says which bands were read
    opened = LastResult(
        replace(several, bands="4,1"), file="a.zarr", index=(2,), is_opened=True
    )
    menu.set_result(opened)
    menu.copy_command.trigger()
    assert " replay recipe.json a.zarr --index 2 " in QGuiApplication.clipboard().text()
    menu.copy_python.trigger()
    assert (
        "read_image('a.zarr', (2,), bands='4,1')" in QGuiApplication.clipboard().text()
    )
    assert "Fill in how" not in last_message(widget)


@pytest.mark.slow
def test_which_plane_of_a_file_was_segmented(widget):
    panel, dims = widget.image_panel, widget._viewer.dims
    layer = add_image(widget, (2, 5, 40, 50))
    dims.set_point((0, 1), (1, 3))
    assert panel.read().index == (1, 3)
    panel.channel_choice._fill([], 0)
    panel.channel_choice.changed.emit()
    assert panel.read().index is None
    panel.channel_choice._fill([], None)
    dims.order = (0, 2, 1, 3)
    assert panel.read().index is None
    dims.order = (0, 1, 2, 3)
    layer.projection_mode = "mean"
    dims.margin_left = dims.margin_right = (0, 1, 0, 0)
    assert panel.read().index is None
    widget._viewer.layers.clear()
    add_image(widget)
    assert panel.read().index == ()


@pytest.mark.timeout(1200)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows quotes otherwise")
@pytest.mark.slow
def test_command_and_opened_recipe_give_the_same_labels(
    make_napari_viewer, qtbot, tmp_path
):
    """Of one slice of a file, with a region, detail and a class with another id."""
    pixels = read_sample("fluorescence")[0].pixels[100:164, 100:180].sum(axis=-1)
    stack = np.stack([pixels * 0, pixels[::-1], pixels]).astype(np.uint16)
    path = tmp_path / "a stack.tif"
    tifffile.imwrite(path, stack, photometric="minisblack")
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    (layer,) = viewer.open(path, plugin="napari")
    layer.contrast_limits = (20, 500)
    viewer.dims.set_point(0, 2)
    widget.prompt_table.set_prompts([Prompt(("nuclei",), 3), Prompt(("filaments",), 1)])
    widget.image_panel.set_detail(5.0)
    widget.image_panel.show_region(
        Region((2, 60), (4, 78), ((1.5, 4.0), (60.0, 10.5), (22.0, 78.0)))
    )
    labels, first = run(viewer, widget, qtbot)
    assert 0.02 < (first[2] == 3).mean() < 0.5
    widget.recipe_menu.copy_command.trigger()
    line = QGuiApplication.clipboard().text()
    assert "--index 2" in line
    write_recipe(widget.recipe_menu._recipe, tmp_path / "recipe.json")
    called = [sys.executable, "-m", "napari_gem.cli", *shlex.split(line)[1:]]
    done = subprocess.run(called, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    again = tifffile.imread(tmp_path / "segmentation" / "labels.tif")
    np.testing.assert_array_equal(again, first[2])
    # and in the widget, from quite other settings
    viewer.layers.remove(labels)
    for other in [x for x in viewer.layers if x != layer]:
        viewer.layers.remove(other)
    viewer.dims.set_point(0, 0)
    layer.contrast_limits = (0, 60000)
    layer.colormap = "red"
    widget.image_panel.set_detail(None)
    widget.image_panel.region_choice.choose(WHOLE)
    recipe = read_recipe(tmp_path / "recipe.json")
    _, second = run(
        viewer, widget, qtbot, lambda: widget.recipe_menu.opened.emit(recipe)
    )
    np.testing.assert_array_equal(second, first)
    assert widget.image_panel.region_choice.where.currentText() == SHAPE
    assert widget.controller.encoded(widget.inputs()) is Encoded.LIVE
    widget.controller.close()


def run(viewer, widget, qtbot, start=None):
    """Segment and return the labels layer and its data in the axes of the stack."""
    messages = []
    widget.controller.message_sent.connect(lambda *message: messages.append(message))
    (start or widget.run)()
    assert widget.controller.busy, widget.run_bar.status.text()
    qtbot.waitUntil(lambda: not widget.controller.busy, timeout=PATIENCE)
    assert messages[-1][1].startswith("Done"), messages
    labels = viewer.layers[-1]
    whole = np.zeros((3, 64, 80), np.uint8)
    whole[2] = labels.data[0]
    return labels, whole
