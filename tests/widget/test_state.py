"""What the dock says about the chosen image, as a table of states, without a window."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_gem.core.appearance import Appearance
from napari_gem.core.parameters import EncodeParameters, ScoreParameters
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Recipe
from napari_gem.widget.state import (
    DockState,
    Encoded,
    LastResult,
    Running,
    Shown,
    shown,
)

CELL = Prompt(("cell",), label=1)
ROAD = Prompt(("road", "street"), label=2)
OFF = replace(CELL, on=False)
BOTH = (CELL, ROAD)
RECIPE = Recipe(
    version="1",
    model="embedded",
    revision="abc",
    prompts=BOTH,
    encode=EncodeParameters(),
    score=ScoreParameters(),
    appearance=Appearance(),
    device="cpu",
    precision="float32",
)
DONE = LastResult(RECIPE, (0.33, 0.2), ("road",), message=("info", "Done."))

LIVE, KEPT, LOOKING, NO = (
    Encoded.LIVE,
    Encoded.KEPT,
    Encoded.LOOKING,
    Encoded.NO,
)
HERE, ELSEWHERE = Running.HERE, Running.ELSEWHERE
READY = DockState(prompts=BOTH)

# of the image in front, the table, what the worker has and a run: what is said
OPEN = "○ Open an image, or a sample: File > Open Sample > GEM."
TYPE = "Type a class, such as nucleus, then press Run."
ALL_OFF = "Every class is switched off. Switch one on."
AT_ONCE = "● Encoded: words and sliders show at once."
BEFORE = "◐ Encoded before: Run shows it in a moment."
FIRST = "○ Not encoded yet: Run encodes this {} first."
LOOKS = "○ Looking whether this {} is encoded..."
GOES_ON = "○ A run on this {} goes on."
OTHER = "○ A run on another image, slice or region goes on."
WRONG = "○ This cannot be run as it is chosen."
GET = "○ The model is not on this computer: Run asks before it is downloaded."

SENTENCES = {
    "nothing open": ({"image": False}, OPEN),
    "nothing open, no class": ({"image": False, "prompts": ()}, OPEN),
    "nothing open, a problem": ({"image": False, "problem": "No."}, OPEN),
    "nothing open, a run elsewhere": ({"image": False, "running": ELSEWHERE}, OPEN),
    "nothing open, no model": ({"image": False, "download": True}, OPEN),
    "new image": ({}, FIRST.format("image")),
    "new region": ({"region": True}, FIRST.format("region")),
    "new image, no class": ({"prompts": ()}, f"○ {TYPE}"),
    "new region, no class": ({"prompts": (), "region": True}, f"○ {TYPE}"),
    "new image, all off": ({"prompts": (OFF,)}, f"○ {ALL_OFF}"),
    "new image, one off": ({"prompts": (OFF, ROAD)}, FIRST.format("image")),
    "new image, no model": ({"download": True}, GET),
    "new region, no model": ({"download": True, "region": True}, GET),
    "new image, no model, no class": ({"download": True, "prompts": ()}, f"○ {TYPE}"),
    "new image, looked for": ({"encoded": LOOKING}, LOOKS.format("image")),
    "new region, looked for": (
        {"encoded": LOOKING, "region": True},
        LOOKS.format("region"),
    ),
    "looked for, no class": ({"encoded": LOOKING, "prompts": ()}, f"○ {TYPE}"),
    "encoded before": ({"encoded": KEPT}, BEFORE),
    "encoded before, region": ({"encoded": KEPT, "region": True}, BEFORE),
    "encoded before, no class": ({"encoded": KEPT, "prompts": ()}, f"◐ {TYPE}"),
    "encoded before, all off": ({"encoded": KEPT, "prompts": (OFF,)}, f"◐ {ALL_OFF}"),
    "encoded before, model gone": ({"encoded": KEPT, "download": True}, GET),
    "encoded": ({"encoded": LIVE}, AT_ONCE),
    "encoded region": ({"encoded": LIVE, "region": True}, AT_ONCE),
    "encoded, no class": ({"encoded": LIVE, "prompts": ()}, f"● {TYPE}"),
    "encoded, all off": ({"encoded": LIVE, "prompts": (OFF,)}, f"● {ALL_OFF}"),
    "encoded, file of the model gone": ({"encoded": LIVE, "download": True}, AT_ONCE),
    "encoded, run before": ({"encoded": LIVE, "last": DONE}, AT_ONCE),
    "run before, other detail": ({"last": DONE}, FIRST.format("image")),
    "run here": ({"running": HERE}, GOES_ON.format("image")),
    "run here, region": ({"running": HERE, "region": True}, GOES_ON.format("region")),
    "run here, class removed": (
        {"running": HERE, "prompts": ()},
        GOES_ON.format("image"),
    ),
    "run here, encoded": ({"running": HERE, "encoded": LIVE}, GOES_ON.format("image")),
    "run elsewhere": ({"running": ELSEWHERE}, OTHER),
    "run elsewhere, encoded": ({"running": ELSEWHERE, "encoded": LIVE}, OTHER),
    "run elsewhere, run before": ({"running": ELSEWHERE, "last": DONE}, OTHER),
    "run elsewhere, no class": ({"running": ELSEWHERE, "prompts": ()}, OTHER),
    "3-D view": ({"problem": "Show it in 2-D."}, WRONG),
    "empty region": ({"problem": "The region is empty.", "region": True}, WRONG),
    "no such model": ({"problem": "There is no such model.", "prompts": ()}, WRONG),
    "problem during a run elsewhere": (
        {"problem": "Show it in 2-D.", "running": ELSEWHERE},
        OTHER,
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_the_sentence_fits_the_image_in_front(name):
    changes, sentence = SENTENCES[name]
    assert shown(replace(READY, **changes)).sentence == sentence


RENAMED = replace(ROAD, title="way")
OTHER_WORDS = replace(CELL, words=("nucleus",))
NEW = Prompt(("tree",), label=3)
WITH_THRESHOLD = replace(CELL, threshold=0.9)

FIGURES = {
    "never run": ({}, {}, set()),
    "run": ({"last": DONE}, {1: 0.33, 2: 0.2}, {2}),
    "run, the worker forgot it": (
        {"last": DONE, "encoded": NO},
        {1: 0.33, 2: 0.2},
        {2},
    ),
    "run, live": ({"last": DONE, "encoded": LIVE}, {1: 0.33, 2: 0.2}, {2}),
    "run, one deleted": ({"last": DONE, "prompts": (CELL,)}, {1: 0.33}, set()),
    "run, all deleted": ({"last": DONE, "prompts": ()}, {}, set()),
    "run, one new": ({"last": DONE, "prompts": (*BOTH, NEW)}, {1: 0.33, 2: 0.2}, {2}),
    "run, other words": (
        {"last": DONE, "prompts": (OTHER_WORDS, ROAD)},
        {2: 0.2},
        {2},
    ),
    "run, renamed": (
        {"last": DONE, "prompts": (CELL, RENAMED)},
        {1: 0.33, 2: 0.2},
        {2},
    ),
    "run, threshold moved": (
        {"last": DONE, "prompts": (WITH_THRESHOLD, ROAD)},
        {1: 0.33, 2: 0.2},
        {2},
    ),
    "run, another goes on": (
        {"last": DONE, "running": ELSEWHERE},
        {1: 0.33, 2: 0.2},
        {2},
    ),
    "no image": ({"image": False}, {}, set()),
}


@pytest.mark.parametrize("name", FIGURES)
def test_shares_are_those_of_the_image_in_front(name):
    changes, shares, absent = FIGURES[name]
    status = shown(replace(READY, **changes))
    assert (status.shares, status.absent) == (shares, absent)


@pytest.mark.parametrize("region", [False, True])
def test_shares_say_what_they_are_parts_of(region):
    whole = shown(replace(READY, region=region)).whole
    assert whole == ("region" if region else "image")


@pytest.mark.parametrize("encoded", Encoded)
def test_run_says_what_it_does(encoded):
    text = shown(replace(READY, encoded=encoded, region=True)).run
    assert "region" in text
    assert ("Encode the region" in text) == (encoded in (NO, LOOKING))


@pytest.mark.parametrize(
    "changes", [{"image": False}, {"prompts": ()}, {"problem": "x"}]
)
def test_run_says_that_something_is_missing(changes):
    assert "missing" in shown(replace(READY, **changes)).run


def test_what_is_shown_needs_no_result():
    assert shown(DockState(image=False)).last is None
    assert isinstance(shown(READY), Shown)
