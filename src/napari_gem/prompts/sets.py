"""Prompt sets: classes with ids, colours and words, as JSON files that can be shared.

The sets that come with the package are the files in ``sets/``. A file holds the fields
of `PromptSet`; a field that is left out takes its default.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from napari_gem.core.atomic import write_whole
from napari_gem.core.bounds import LONGEST_NOTE
from napari_gem.core.errors import GemError
from napari_gem.core.json_records import from_dict, parse_json, read_text, to_dict
from napari_gem.core.parameters import ScoreParameters
from napari_gem.core.prompts import Prompt
from napari_gem.core.validation import (
    check_length,
    check_prompts,
    check_score,
    check_sentences,
)

SCHEMA = 1
"""Version of the files' schema."""

ENDING = ".json"

_FOLDER = Path(__file__).parent / "sets"


@dataclass(frozen=True)
class PromptSet:
    """Classes that belong together, with background words and templates for them.

    Attributes
    ----------
    name
        Name that the user reads.
    about
        One line: which images it is for.
    source
        The nomenclature that names the classes, with its page.
    tested
        The images and weights with which the words were tried.
    domains
        Domains of the models that the set suits, as their cards name them.
    prompts
        The classes. A label id of 0 is replaced by a free one when the set is loaded.
    background
        Words for things that belong to no class; empty keeps those of the model.
    templates
        Sentences with ``{}`` for the word; empty keeps those of the model.
    schema
        Version of the file's schema.
    """

    name: str
    about: str = ""
    source: str = ""
    tested: str = ""
    domains: tuple[str, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    background: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    schema: int = SCHEMA


def check_set(prompt_set: PromptSet) -> None:
    """Refuse a set that could not be used.

    Raises
    ------
    GemError
        If two classes have the same label id or share a word, or as
        `napari_gem.core.validation.check_prompts`; if a template has no place for the
        word, or a background word is empty.
    """
    check_prompts(prompt_set.prompts)
    owners: dict[str, str] = {}
    for prompt in prompt_set.prompts:
        for word in {" ".join(word.split()).casefold() for word in prompt.words}:
            if word in owners:
                raise GemError(
                    f"'{word}' stands in two classes, '{owners[word]}' and "
                    f"'{prompt.name}'. Keep it in one of them only."
                )
            owners[word] = prompt.name
    templates = prompt_set.templates or ScoreParameters().templates
    score = ScoreParameters(background=prompt_set.background, templates=templates)
    check_score(score)
    check_sentences(prompt_set.prompts, score)
    for name in ("name", "about", "source", "tested"):
        check_length(f"'{name}'", getattr(prompt_set, name), LONGEST_NOTE)
    for domain in prompt_set.domains:
        check_length("'domains'", domain, LONGEST_NOTE)


@cache
def list_sets() -> tuple[str, ...]:
    """Names of the sets that come with the package, for `read_set`."""
    return tuple(sorted(path.stem for path in _FOLDER.glob(f"*{ENDING}")))


def read_set(name_or_path: str | Path) -> PromptSet:
    """Read a prompt set.

    Parameters
    ----------
    name_or_path
        One of `list_sets`, or the path of a file.

    Raises
    ------
    GemError
        If there is no such set, the file cannot be read, is no prompt set or one of
        another schema, or as `check_set`; the message says which file and where.
    """
    if name_or_path in list_sets():
        path = _FOLDER / f"{name_or_path}{ENDING}"
    else:
        path = Path(name_or_path)
    try:
        text = read_text(path)
    except UnicodeDecodeError as error:
        raise GemError(
            f"'{path}' is no prompt set: it is not text in UTF-8. Choose a JSON file."
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise GemError(
            f"The prompt set '{path}' cannot be read ({reason}). Give the path of a "
            f"JSON file, or one of {', '.join(list_sets())}."
        ) from error
    try:
        return _parse(text)
    except GemError as error:
        raise GemError(f"'{path.name}' is no usable prompt set. {error}") from error


def write_set(path: str | Path, prompt_set: PromptSet) -> Path:
    """Write a prompt set to a file in an existing folder, and return its path.

    An older file of this name stays until the new one is complete.

    Raises
    ------
    GemError
        If the file cannot be written, or as `check_set`.
    """
    check_set(prompt_set)
    path = Path(path)
    text = json.dumps(to_dict(prompt_set), indent=2, ensure_ascii=False) + "\n"
    try:
        write_whole(path, text)
    except OSError as error:
        raise GemError(
            f"The prompt set '{path}' cannot be written ({error.strerror or error}). "
            "Choose another place."
        ) from error
    return path


def portable(prompt_set: PromptSet) -> PromptSet:
    """Keep of the examples what can be used on another image: their vectors."""
    prompts = tuple(
        replace(
            prompt,
            examples=tuple(replace(e, point=None) for e in prompt.examples if e.vector),
        )
        for prompt in prompt_set.prompts
    )
    return replace(prompt_set, prompts=prompts)


def _parse(text: str) -> PromptSet:
    try:
        content = parse_json(text)
    except json.JSONDecodeError as error:
        raise GemError(
            f"Line {error.lineno}, column {error.colno} is no JSON: {error.msg}. "
            "Mend the file there."
        ) from error
    except ValueError as error:
        raise GemError(f"It is no JSON of a prompt set: {error}.") from error
    schema = content.get("schema", SCHEMA) if isinstance(content, dict) else SCHEMA
    if schema != SCHEMA:
        raise GemError(
            f"Its schema is {schema!r}, but this napari-gem reads only schema "
            f"{SCHEMA}. Install a newer napari-gem, or save the set again with the one "
            "that it came from."
        )
    prompt_set = from_dict(PromptSet, content)
    check_set(prompt_set)
    return prompt_set
