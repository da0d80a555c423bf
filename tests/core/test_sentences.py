"""Names in sentences."""

from __future__ import annotations

from napari_gem.core.sentences import LONGEST, some_of


def test_a_few_names_and_how_many_there_are_besides():
    assert some_of([]) == ""
    assert some_of(["a", "b", "c"]) == "a, b, c"
    assert some_of("abcd", quoted=True) == "'a', 'b', 'c' and 1 more"
    assert some_of({1: "x", 2: "y"}, 1) == "1 and 1 more"


def test_names_of_others_are_short_and_command_nothing():
    assert some_of(["x" * 500]) == "x" * (LONGEST - 1) + "…"
    assert some_of(["a\x1b[0m"]) == r"a\x1b[0m"
