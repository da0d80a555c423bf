"""'Segment a folder' in a viewer's model, with a client that answers at once."""

from __future__ import annotations

from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image

import napari_gem
from napari_gem.core.batch import BatchReport, ClassMeasure, ImageOutcome
from napari_gem.core.progress import Progress
from napari_gem.core.prompts import Example
from napari_gem.core.region import Region
from napari_gem.core.results import Job
from napari_gem.models.catalogue import patch_size
from napari_gem.models.find import find_model
from napari_gem.results.recipe import write_recipe
from napari_gem.widget.batch.folder_widget import (
    MEASURED,
    OF_DOCK,
    OF_RECIPE,
    SegmentFolder,
)
from napari_gem.worker.messages import (
    BatchFinished,
    Cancelled,
    Failed,
    ImageFinished,
    Progressed,
    from_line,
    to_line,
)


class Client:
    """Keeps requests; the test sends the events."""

    def __init__(self, send):
        self.send, self.requests, self.cancelled, self.closed = send, [], 0, False

    def submit(self, pixels, request):
        self.requests.append(from_line(to_line(replace(request, run=1))))
        return 1

    def cancel(self):
        self.cancelled += 1

    def close(self):
        self.closed = True


@pytest.fixture
def folder(tmp_path):
    """A folder with one image, and a result in memory of it."""
    pixels = np.random.default_rng(0).integers(0, 255, (40, 56, 3)).astype(np.uint8)
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images/a.png")
    return tmp_path


@pytest.fixture(scope="module")
def result():
    pixels = np.random.default_rng(0).integers(0, 255, (40, 56, 3)).astype(np.uint8)
    return napari_gem.segment(pixels, ["nuclei", "filaments"])


@pytest.fixture
def widget(qtbot):
    made = SegmentFolder(ViewerModel(), Client)
    qtbot.addWidget(made)
    return made


def fill(widget, folder, result):
    write_recipe(result.recipe, folder / "recipe.json")
    for name, value in (
        ("recipe", "recipe.json"),
        ("images", "images"),
        ("output", "o"),
    ):
        widget._fields[name].value = folder / value


def test_what_is_missing_is_said(widget):
    widget.run()
    assert "Choose a recipe" in widget.message.text()
    assert widget._client.requests == []


def test_a_batch_runs_and_its_images_open_with_their_results(
    widget, folder, result, qtbot
):
    fill(widget, folder, result)
    widget._fields["contrast"].value = MEASURED
    widget.run()
    (request,) = widget._client.requests
    order = request.batch
    assert order.recipe.revision == result.recipe.revision
    assert order.recipe.appearance.contrast == "percentiles"
    assert order.places == (str(folder / "images"),)
    assert not widget.run_button.isEnabled()
    measure = ClassMeasure("nuclei", 1, 0.25, 10, 2)
    path = str(folder / "images/a.png")
    done = ImageOutcome("a", path, "done", classes=(measure,))
    wrong = ImageOutcome("b", "b.png", "kept", "Replace them by --overwrite.")
    widget._client.send(Progressed(1, Progress("Images", 1, 2, 30.0)))
    assert widget.message.text() == "1 of 2 images, about 30 s left"
    for outcome in (done, wrong):
        widget._client.send(ImageFinished(1, outcome))
    report = BatchReport(str(folder / "o"), (done, wrong), ("One notice.",))
    widget._client.send(BatchFinished(1, report))
    assert widget.run_button.isEnabled()
    assert "1 of 2 images are done. 1 were not" in widget.message.text()
    assert widget.table.item(0, 1).text() == "nuclei 25.0%"
    assert "'Replace other results'" in widget.table.item(1, 1).text()
    image = napari_gem.read_image(path)
    napari_gem.save(result, image, folder / "o/a")
    widget.table.itemDoubleClicked.emit(widget.table.item(0, 0))
    layers = widget._opener._viewer.layers
    qtbot.waitUntil(lambda: len(layers) == 2, timeout=20_000)
    assert [type(layer).__name__ for layer in layers] == ["Image", "Labels"]
    assert np.array_equal(layers[1].data, result.labels)


def test_cancel_and_failures_are_said(widget, folder, result):
    fill(widget, folder, result)
    widget.run()
    widget.cancel()
    assert widget._client.cancelled == 1
    widget._client.send(Cancelled(1))
    assert "What is done stays" in widget.message.text()
    widget.run()
    widget._client.send(Failed(1, "The disk is full."))
    assert widget.message.text() == "The disk is full."
    assert widget.run_button.isEnabled()


def dock_of(result, **changes):
    """What the form takes of a dock that shows a result."""
    plain = {each.name: getattr(result.recipe, each.name) for each in fields(Job)}
    inputs = SimpleNamespace(job=Job(**{**plain, **changes}), detail=None)
    typed = SimpleNamespace(take_typed=lambda: None)
    menu = SimpleNamespace(recipe=result.recipe)
    return SimpleNamespace(
        inputs=lambda: inputs, prompt_table=typed, recipe_menu=menu, asked=inputs
    )


def test_the_words_of_the_dock_are_taken(qtbot, folder, result):
    region = Region((0, 10), (0, 10))
    dock = dock_of(result, region=region, score=None)
    widget = SegmentFolder(ViewerModel(), Client, lambda: dock)
    qtbot.addWidget(widget)
    assert widget._fields["what"].value == OF_DOCK
    assert not widget._fields["recipe"].enabled
    for name in ("images", "output"):
        widget._fields[name].value = folder / name
    dock.asked.detail = 8.0
    widget.run()
    (request,) = widget._client.requests
    recipe = request.batch.recipe
    assert recipe.prompts == result.recipe.prompts
    assert recipe.region is None
    assert recipe.revision == ""
    assert recipe.encode.zoom == patch_size(find_model("embedded")) / 8
    widget._client.send(Cancelled(1))
    # an example is a place in the image of the dock, until a run has seen it
    first, second = result.recipe.prompts
    point = Example((3.0, 4.0))
    dock.asked.job = replace(
        dock.asked.job, prompts=(replace(first, examples=(point,)), second)
    )
    widget.run()
    assert "Press Run there first" in widget.message.text()
    seen = replace(first, examples=(Example((3.0, 4.0), (1.0, 0.0), "embedded"),))
    dock.recipe_menu.recipe = replace(result.recipe, prompts=(seen, second))
    widget.run()
    recipe = widget._client.requests[-1].batch.recipe
    assert recipe.prompts[0].examples == (Example(None, (1.0, 0.0), "embedded"),)


def test_without_a_dock_a_recipe_is_needed(widget):
    assert widget._fields["what"].value == OF_RECIPE
    assert widget._fields["recipe"].enabled
    widget._fields["what"].value = OF_DOCK
    widget.run()
    assert "GEM widget is not open" in widget.message.text()
    assert widget._client.requests == []
