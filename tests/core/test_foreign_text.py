"""What somebody else wrote is shown, and commands nothing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import (
    LONGEST,
    commands_in,
    is_command,
    shown,
    shown_error,
    shown_lines,
    table_cell,
    without_tags,
)

pytestmark = pytest.mark.contact("foreign text")

COMMANDS = [
    ("\x00", "\\x00"),
    ("\x1b[2J", "\\x1b[2J"),
    ("\x9b2J", "\\x9b2J"),
    ("\n", "\\n"),
    ("\r", "\\r"),
    ("\t", "\\t"),
    ("\x7f", "\\x7f"),
    ("\x85", "\\x85"),
    ("\u2028", "\\u2028"),
    ("\u202e", "\\u202e"),
    ("\u2066", "\\u2066"),
    ("\u206f", "\\u206f"),
    ("\ufffe", "\\ufffe"),
    ("\uffff", "\\uffff"),
    ("\ud800", "\\ud800"),
]
WORDS = [
    "cell nucleus",
    "核",
    "נוקלאוס\u200f",
    "خلية\u200c\u200d",
    "e\u0301\u0323",
    "👩\u200d🔬",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "ភ\u200bាសា",
    "5 < 6 & 'so' \"on\"",
    "back\\slash",
]


@pytest.mark.parametrize(("text", "spelled"), COMMANDS, ids=lambda t: ascii(t))
def test_commands_are_spelled(text, spelled):
    assert shown(f"a{text}b") == f"a{spelled}b"
    assert shown(shown(f"a{text}b")) == f"a{spelled}b"
    assert (
        str(GemError(f"The file 'a{text}b' came.")) == f"The file 'a{spelled}b' came."
    )
    assert commands_in(f"a{text}b") == spelled[: len(commands_in(f"a{text}b"))] != ""


@pytest.mark.parametrize("word", WORDS, ids=lambda t: ascii(t))
def test_words_of_all_languages_stay(word):
    assert shown(word) == word
    assert table_cell(word) == word
    assert without_tags(word) == word
    assert commands_in(word) == ""


@given(st.text(st.characters(codec=None), max_size=60))
def test_nothing_that_commands_is_left(text):
    for safe in (shown(text), without_tags(text), table_cell(text)):
        assert not any(map(is_command, safe))
        safe.encode()  # no lone surrogates
    assert all(unicodedata.category(c) != "Cc" or c == "\n" for c in shown_lines(text))


def test_long_texts_are_cut():
    assert len(shown("x" * 10**6)) == LONGEST
    assert len(shown("\x00" * 10**6)) == LONGEST
    assert len(shown_lines("\x00\n" * 10**6)) == LONGEST
    assert shown("nuclei", 4) == "nuc…"


def test_lines_stay_lines():
    assert shown_lines("a\x1b\r\nb\tc") == "a\\x1b\nb\\tc"


def test_an_error_is_one_line():
    assert shown_error(ValueError("a\n   b\x1b[0m")) == "a b\\x1b[0m"
    assert shown_error(KeyboardInterrupt()) == "KeyboardInterrupt"


@pytest.mark.parametrize(
    "text", ["<img src=x>", "</b>", "<!--", "<?xml", "a <script>", "<IMG/SRC=x>"]
)
def test_no_tag_is_left(text):
    assert "<" not in without_tags(text)


@pytest.mark.parametrize(
    "cell",
    [
        '=HYPERLINK("http://x","y")',
        "+1+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        " =1",
        "\uff1d1",
    ],
)
def test_no_cell_is_run(cell):
    assert table_cell(cell).startswith("'")
