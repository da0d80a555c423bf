from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest

from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.parameters import (
    EncodeParameters,
    LabelParameters,
    ScoreParameters,
)
from napari_gem.core.prompts import Example, Prompt
from napari_gem.core.validation import (
    check_appearance,
    check_encode,
    check_label,
    check_prompts,
    check_score,
)
from napari_gem.models.card import ModelCard
from napari_gem.models.find import list_models


@pytest.mark.parametrize("card", list_models(), ids=lambda card: card.id)
def test_the_catalogue_is_within_its_ranges(card: ModelCard) -> None:
    check_encode(card.encode)
    check_score(card.score)


def test_defaults_and_numpy_numbers_pass() -> None:
    used = EncodeParameters(zoom=np.float32(2), tile=np.int64(8), overlap=np.uint8(2))
    check_encode(used)
    check_score(ScoreParameters(np.float32(40)))
    check_score(ScoreParameters(near=1.1, smoothing=np.float64(0), present=1))
    check_label(LabelParameters())
    check_appearance(Appearance())
    check_encode(EncodeParameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"zoom": inf}, "zoom of inf came"),
        ({"zoom": nan}, "zoom of nan came"),
        ({"zoom": 1e-9}, "zoom of 1e-09 came; expected a number from 1/64 to 64"),
        ({"zoom": 0}, "zoom of 0 came"),
        ({"zoom": -1}, "zoom of -1 came"),
        ({"zoom": "2"}, "zoom of 2 came"),
        ({"tile": 0, "overlap": 0}, "tile of 0 patches"),
        ({"tile": 7, "overlap": 7}, "overlap of 7"),
        ({"overlap": -1}, "overlap of -1"),
        ({"tile": 8.5}, "tile of 8.5 patches .* whole numbers"),
        ({"tile": inf}, "tile of inf"),
    ],
)
def test_encode_parameters_out_of_range(change: dict, message: str) -> None:
    with pytest.raises(GemError, match=message):
        check_encode(replace(EncodeParameters(), **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": nan}, "scale of nan"),
        ({"scale": 0}, "scale of 0 came; expected a finite number above 0"),
        ({"scale": -3}, "scale of -3"),
        ({"scale": inf}, "scale of inf"),
        ({"background_weight": 0}, "background weight of 0"),
        ({"background_weight": nan}, "background weight of nan"),
        ({"smoothing": -1}, "smoothing of -1"),
        ({"smoothing": 1e9}, "smoothing of .* from 0 to 10,000"),
        ({"synonyms": "best"}, "'best' came for synonyms; expected max or mean"),
        ({"image_weight": nan}, "image weight of nan"),
        ({"image_weight": -11}, "image weight of -11"),
        ({"absent_weight": -1}, "absent weight of -1"),
        ({"presence": "patch"}, "'patch' came for presence; expected image or tile"),
        ({"prototype_weight": 1.1}, "prototype weight of 1.1"),
        ({"near": nan}, "near"),
        ({"present": 2}, "present"),
        ({"templates": ()}, "There is no template"),
        ({"templates": ("a photo",)}, "'a photo' came; expected a sentence with {}"),
        ({"templates": "a {}"}, "came as templates; expected texts in a tuple"),
        ({"background": "sky"}, "'sky' came as background words"),
        ({"background": ("sky", " ")}, "background words is empty"),
        ({"background": (3,)}, "came as background words"),
    ],
)
def test_score_parameters_out_of_range(change: dict, message: str) -> None:
    with pytest.raises(GemError, match=message):
        check_score(replace(ScoreParameters(), **change))


@pytest.mark.parametrize("size", [-1, nan, inf])
def test_a_minimum_size_out_of_range(size: float) -> None:
    with pytest.raises(GemError, match=f"minimum size of {size} came; .* from 0 to"):
        check_label(LabelParameters(size))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gamma": 0}, "gamma of 0 came"),
        ({"gamma": nan}, "gamma of nan came"),
        ({"limits": (1, 1)}, "limits are 1 and 1"),
        ({"limits": (0, inf)}, "limits are 0 and inf"),
        ({"lut": ((0.0, 0.0, 0.0),)}, "colormap of 1 colours"),
        ({"lut": ((0, 0, 0), (0, 2, 0))}, r"colour \(0, 2, 0\) came"),
        ({"channels": (Appearance(), Appearance(gamma=-1))}, "gamma of -1 came"),
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
        (Prompt(("a",), threshold=1.01), "threshold of 'a' of 1.01 came"),
        (Prompt(("a",), threshold=-0.1), "expected a finite number from 0 to 1"),
        (Prompt(("a",), threshold=nan), "threshold of 'a' of nan"),
        (Prompt(("a",), color=(0, 0, 256)), "colour"),
        (Prompt(("a",), color=(0, 0)), "colour"),
        (Prompt(("a", " ")), "words of a class is empty"),
        (Prompt("cell"), "'cell' came as words of a class"),
        (Prompt((3,)), "came as words"),
        (Prompt(()), "without words and without a title"),
        (Prompt((), examples=(Example((1, 1)),)), "without a title"),
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
