from __future__ import annotations

import time

import pytest

from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.json_records import (
    from_json,
    parse_json,
    read_text,
    to_dict,
    to_json,
)
from napari_gem.core.parameters import EncodeParameters, GemParameters, ScoreParameters
from napari_gem.core.prompts import Prompt
from napari_gem.core.results import Job, Recipe
from napari_gem.worker.messages import Failed, Request

RECORDS = [
    Request(
        3,
        Job(
            appearance=Appearance(lut=((0.0, 0.5, 1.0), (1.0, 1.0, 1.0))),
            prompts=(Prompt(("a", "ä")), Prompt(("b",))),
            encode=EncodeParameters(
                gem=GemParameters(inverse_temperature=2.5), zoom=2.0
            ),
            score=ScoreParameters(background=("sky",)),
        ),
        "pixels.npy",
    ),
    Recipe(
        version="1",
        model="m",
        revision="r",
        prompts=(Prompt(("a",)),),
        encode=EncodeParameters(),
        score=ScoreParameters(),
        appearance=Appearance(),
        device="cpu",
        precision="float32",
    ),
    Failed(1, "line\nbreak 'quote' µ"),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_survive_json_on_one_line(record: object) -> None:
    text = to_json(record)
    assert "\n" not in text
    assert from_json(type(record), text) == record
    assert isinstance(to_dict(record), dict)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(GemError, match=r"Request record: job"):
        from_json(Request, '{"run": 1}')
    with pytest.raises(GemError, match="JSON"):
        from_json(Request, "no json")


def test_a_message_takes_little_of_the_processor() -> None:
    """What checks records is kept: making it takes milliseconds."""
    times = []
    for _ in range(5):
        start = time.thread_time()
        from_json(Request, to_json(RECORDS[0]))
        times.append(time.thread_time() - start)
    assert min(times) < 1e-3


@pytest.mark.contact("damaged files")
@pytest.mark.parametrize(
    ("encoding", "said"), [("utf-8-sig", None), ("utf-16", "save it as UTF-8")]
)
def test_files_that_went_through_an_editor_of_windows(tmp_path, encoding, said):
    path = tmp_path / "set.json"
    path.write_text('{"a": "ä"}', encoding=encoding)
    if said is None:
        assert parse_json(read_text(path)) == {"a": "ä"}
    else:
        with pytest.raises(ValueError, match=said):
            read_text(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "words is missing"),
        ('{"words": "a"}', "words must be a list"),
        ('{"words": [1]}', r"words\.0 must be a text"),
        ('{"words": ["a"], "label": 1.5}', "label must be a whole number"),
        ('{"words": ["a"], "color": [0, 0, 0, 0]}', "color has too many entries"),
        ('{"words": ["a"], "on": "perhaps"}', "on must be true or false"),
        ("7", "the text must be a table"),
    ],
)
def test_what_does_not_fit_is_told_in_words(text: str, said: str) -> None:
    with pytest.raises(GemError, match=f"no valid Prompt record: {said}"):
        from_json(Prompt, text)
