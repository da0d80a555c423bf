from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest

from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.fields import check_fields
from napari_gem.core.parameters import (
    EncodeParameters,
    LabelParameters,
    ScoreParameters,
)
from napari_gem.core.prompts import Example, Prompt
from napari_gem.core.validation import (
    check_appearance,
    check_encode,
    check_prompts,
    check_score,
)
from napari_gem.models.card import ModelCard
from napari_gem.models.catalogue import list_models


@pytest.mark.parametrize("card", list_models(), ids=lambda card: card.id)
def test_the_catalogue_is_within_its_ranges(card: ModelCard) -> None:
    check_encode(card.encode)
    check_score(card.score)


def test_defaults_and_numpy_numbers_pass() -> None:
    used = EncodeParameters(zoom=np.float32(2), tile=np.int64(8), overlap=np.uint8(2))
    check_encode(used)
    check_score(ScoreParameters(np.float32(40)))
    check_score(ScoreParameters(near=1.1, smoothing=np.float64(0), present=1))
    check_fields(LabelParameters())
    check_appearance(Appearance())
    check_encode(EncodeParameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"zoom": inf}, "Zoom is inf; give"),
        ({"zoom": nan}, "Zoom is nan; give"),
        ({"zoom": 1e-9}, "Zoom is 1e-09; give a number from 0.015625 to 64"),
        ({"zoom": 0}, "Zoom is 0; give"),
        ({"zoom": -1}, "Zoom is -1; give"),
        ({"zoom": "2"}, "Zoom is '2'; give"),
        ({"tile": 0, "overlap": 0}, "Tile is 0; give"),
        ({"tile": 7, "overlap": 7}, "overlap by 7"),
        ({"overlap": -1}, "Overlap is -1"),
        ({"tile": 8.5}, "Tile is 8.5; give a whole number"),
        ({"tile": inf}, "Tile is inf"),
    ],
)
def test_encode_parameters_out_of_range(change: dict, message: str) -> None:
    with pytest.raises(GemError, match=message):
        check_encode(replace(EncodeParameters(), **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": nan}, "Scale is nan"),
        ({"scale": 0}, "Scale is 0; give a number from 1e-06 to"),
        ({"scale": -3}, "Scale is -3"),
        ({"scale": inf}, "Scale is inf"),
        ({"background_weight": 0}, "Background weight is 0"),
        ({"background_weight": nan}, "Background weight is nan"),
        ({"smoothing": -1}, "Smoothing is -1"),
        ({"smoothing": 1e9}, "Smoothing is .* from 0 to 10,000"),
        ({"synonyms": "best"}, "Synonyms is 'best'; choose max or mean"),
        ({"image_weight": nan}, "Image weight is nan"),
        ({"image_weight": -11}, "Image weight is -11"),
        ({"absent_weight": -1}, "Absent weight is -1"),
        ({"presence": "patch"}, "Presence is 'patch'; choose image or tile"),
        ({"prototype_weight": 1.1}, "Prototype weight is 1.1"),
        ({"near": nan}, "Near is nan"),
        ({"present": 2}, "Present is 2"),
        ({"templates": ()}, "There is no template"),
        ({"templates": ("a photo",)}, "is 'a photo'; give a sentence with {}"),
        ({"templates": "a {}"}, "was given as templates; give texts in a tuple"),
        ({"background": "sky"}, "'sky' was given as background words"),
        ({"background": ("sky", " ")}, "background words is empty"),
        ({"background": (3,)}, "was given as background words"),
    ],
)
def test_score_parameters_out_of_range(change: dict, message: str) -> None:
    with pytest.raises(GemError, match=message):
        check_score(replace(ScoreParameters(), **change))


@pytest.mark.parametrize("size", [-1, nan, inf])
def test_a_minimum_size_out_of_range(size: float) -> None:
    with pytest.raises(GemError, match=f"Minimum size is {size}; .* from 0 to"):
        check_fields(LabelParameters(size))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gamma": 0}, "Gamma is 0; give"),
        ({"gamma": nan}, "Gamma is nan; give"),
        ({"limits": (1, 1)}, "limits are 1 and 1"),
        ({"limits": (0, inf)}, "limits are 0 and inf"),
        ({"lut": ((0.0, 0.0, 0.0),)}, "colormap has 1 colours"),
        ({"lut": ((0, 0, 0), (0, 2, 0))}, r"colour is \(0, 2, 0\)"),
        ({"channels": (Appearance(), Appearance(gamma=-1))}, "Gamma is -1; give"),
    ],
)
def test_appearances_out_of_range(change: dict, message: str) -> None:
    with pytest.raises(GemError, match=message):
        check_appearance(replace(Appearance(), **change))


def test_prompts_within_range_pass() -> None:
    near = Example(point=(3.0, 4.5))
    kept = Example(vector=(0.6, 0.8), model="embedded")
    check_prompts(
        [
            Prompt(("a", "b"), threshold=0, color=(0, 0.5, 1)),
            Prompt(("c",), label=7, threshold=np.float32(1)),
            Prompt((), title="shown", examples=(near, kept)),
        ]
    )


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Prompt(("a",), threshold=1.01), "threshold of 'a' is 1.01; give"),
        (Prompt(("a",), threshold=-0.1), "give a number from 0 to 1"),
        (Prompt(("a",), threshold=nan), "threshold of 'a' is nan"),
        (Prompt(("a",), color=(0, 0, 256)), "colour"),
        (Prompt(("a",), color=(0, 0)), "colour"),
        (Prompt(("a", " ")), "words of a class is empty"),
        (Prompt("cell"), "'cell' was given as words of a class"),
        (Prompt((3,)), "was given as words"),
        (Prompt(()), "neither words nor a title"),
        (Prompt((), examples=(Example((1, 1)),)), "neither words nor a title"),
        (Prompt((), title="cell"), "'cell' has neither words nor examples"),
        (Prompt(("a",), examples=(Example(),)), "is nowhere"),
        (Prompt(("a",), examples=(Example((nan, 1)),)), "no finite number"),
        (Prompt(("a",), examples=(Example(vector=(inf,)),)), "no finite number"),
        (Prompt(("a",), label=70_000), "label ids"),
    ],
)
def test_prompts_out_of_range(prompt: Prompt, message: str) -> None:
    with pytest.raises(GemError, match=message):
        check_prompts([Prompt(("good",)), prompt])


def test_label_ids_that_collide() -> None:
    with pytest.raises(GemError, match="label ids"):
        check_prompts([Prompt(("a",), label=2), Prompt(("b",), label=2)])
