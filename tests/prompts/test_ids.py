"""Label ids of classes that come from files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_gem.core.colors import class_color
from napari_gem.core.errors import GemError
from napari_gem.core.prompts import Prompt
from napari_gem.prompts.ids import (
    LARGEST_LABEL,
    check_name,
    class_key,
    keep_ids,
    moved_ids,
    next_label,
    number_classes,
)


def ids(prompts):
    return [prompt.label for prompt in prompts]


CASES = {
    "a set for an empty table": ({}, [("a", 3), ("b", 1)], [3, 1]),
    "the same classes": ({1: "a", 2: "b"}, [("b", 2), ("a", 1)], [2, 1]),
    "the same class with another id": ({4: "A "}, [("a", 1)], [4]),
    "its own id among several": ({1: "a", 2: "a"}, [("a", 2)], [2]),
    "an id that is another class": ({1: "b"}, [("a", 1)], [2]),
    "classes change places": ({1: "b", 2: "a"}, [("a", 1), ("b", 2)], [2, 1]),
    "no id of their own": ({2: "a"}, [("b", 0), ("a", 0)], [0, 2]),
    "a free id is not given twice": ({1: "x"}, [("a", 1), ("b", 2)], [3, 2]),
    "two classes of one name": ({5: "a"}, [("a", 1), ("a", 2)], [5, 2]),
}


@pytest.mark.parametrize("case", CASES)
def test_ids_of_classes_that_come(case):
    known, came, wanted = CASES[case]
    prompts = [Prompt((), label, title) for title, label in came]
    assert ids(keep_ids(prompts, known)) == wanted


def test_two_classes_with_one_id_are_refused():
    with pytest.raises(GemError, match="label ids"):
        keep_ids([Prompt(("a",), 3), Prompt(("b",), 3)], {})


name = st.sampled_from("abcde")
label = st.integers(1, 6)


@given(
    st.dictionaries(label, name),
    st.lists(st.tuples(name, label | st.just(0)), max_size=6),
)
def test_an_id_stands_for_one_class(known, came):
    used = set()
    prompts = [
        Prompt((title,), 0 if own in used else used.add(own) or own)
        for title, own in came
    ]
    kept = keep_ids(prompts, known)
    given_ids = [i for i in ids(kept) if i]
    assert len(set(given_ids)) == len(given_ids)
    assert [p.words for p in kept] == [p.words for p in prompts]
    for prompt in kept:
        assert known.get(prompt.label, prompt.name) == prompt.name
    for before, after in zip(prompts, kept, strict=True):
        if (
            before.label
            and before.label not in known
            and before.name not in (known.values())
        ):
            assert after.label == before.label


def test_new_classes_get_reserved_and_free_ids_and_colours():
    mine = Prompt(("a",), 2, color=class_color(0))
    new = [Prompt(("b",)), mine, Prompt(("c",)), Prompt(("d",), color=(1.0, 1.0, 1.0))]
    numbered = number_classes(new, {1: "x", 2: "b", 5: "C"})
    assert ids(numbered) == [3, 2, 5, 4]
    assert numbered[1] is mine
    assert numbered[3].color == (1.0, 1.0, 1.0)
    assert len({prompt.color for prompt in numbered}) == 4


def test_no_class_is_called_as_the_background_or_as_another():
    check_name("cell", [Prompt(("nucleus",))])
    with pytest.raises(GemError, match=r"name of label 0.* make it a background word"):
        check_name(" BackGround")
    with pytest.raises(GemError, match=r"a class 'Cell wall' already\. Give this one"):
        check_name("cell  WALL", [Prompt(("x",), title="Cell wall")])


def test_what_moved_is_said():
    before = [Prompt((each,), i) for i, each in enumerate("abcde")]
    after = [Prompt((each,), i + 10) for i, each in enumerate("abcde")]
    assert moved_ids(before, before) == ""
    sentence = moved_ids(before, after)
    assert (
        sentence == "Label ids that differ from the file: b 11, c 12, d 13 and 1 more."
    )


def test_the_next_id():
    assert next_label(()) == 1
    assert next_label({7}) == 1
    assert next_label({1, 2, 4, LARGEST_LABEL}) == 3
    with pytest.raises(GemError, match="label ids"):
        next_label(range(1, LARGEST_LABEL + 1))


def test_names_that_read_the_same():
    assert class_key(" Cell  Wall") == class_key("cell wall")
