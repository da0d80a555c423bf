"""What was used last, read from its file: what cannot be used is left out and said."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from napari_gem.cluster.address import read_address
from napari_gem.core.bounds import LONGEST_NAME
from napari_gem.core.errors import GemError
from napari_gem.core.json_records import from_dict, to_dict
from napari_gem.core.parameters import DOMAINS, PRECISIONS, ScoreParameters
from napari_gem.core.prompts import Prompt, label_ids
from napari_gem.core.sentences import some_of
from napari_gem.core.validation import (
    check_detail,
    check_device,
    check_prompts,
    check_score,
    is_cluster,
)
from napari_gem.models.own_list import FRESH, config_folder
from napari_gem.models.presets import list_presets
from napari_gem.prompts.parsing import parse_prompts
from napari_gem.prompts.word_lists import list_templates
from napari_gem.widget.parameters.settings import (
    FILE_NAME,
    SCHEMA,
    SCHEMA_KEY,
    SHOWN,
    LastUsed,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

logger = logging.getLogger(__name__)

LARGEST_FILE = 32 << 20
"""Bytes: kept examples take some thousand each, nothing takes more."""

MOST_CLASSES = 1000

NAMES = {
    "prompts": "classes",
    "background": "background words",
    "templates": "sentences of the set",
}
"""What the user calls a field, where that is not its name."""


@dataclass(frozen=True)
class Recalled:
    """What the widget starts with.

    Attributes
    ----------
    last
        What can be used; the defaults for all else.
    notice
        A sentence for the user about what was left out; empty if that is nothing.
    """

    last: LastUsed
    notice: str = ""


def load_last() -> Recalled:
    """Read what was used last; never raises.

    The defaults stand for what is missing, and for what cannot be used.
    """
    if os.environ.get(FRESH):
        return Recalled(LastUsed())
    path = config_folder() / FILE_NAME
    try:
        content = _read(path)
    except FileNotFoundError:
        return Recalled(LastUsed())
    # whatever somebody put there
    except Exception as error:
        logger.warning("'%s' cannot be read and is left out (%s)", path, _why(error))
        logger.debug("Why", exc_info=True)
        return Recalled(
            LastUsed(),
            f"What was used last cannot be read and is left out ({_why(error)}; "
            f"'{path}').",
        )
    last, wrong = _take(content)
    if not wrong:
        return Recalled(last)
    logger.warning("Of '%s' this is left out: %s", path, ", ".join(wrong))
    return Recalled(
        last, f"Of what was used last, this cannot be used: {some_of(wrong)}."
    )


def _read(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():
        raise GemError("it is no file")
    with path.open("rb") as file:
        text = file.read(LARGEST_FILE + 1)
    if len(text) > LARGEST_FILE:
        raise GemError("it is too large")
    content = json.loads(text)
    if not isinstance(content, dict):
        raise GemError("it is no table")
    if content.get(SCHEMA_KEY) != SCHEMA:
        raise GemError("it is of another version")
    return content


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) if isinstance(error, GemError) else "it is damaged"


def _take(content: dict[str, Any]) -> tuple[LastUsed, list[str]]:
    """Take each field for itself, and name those that cannot be used."""
    last, wrong = LastUsed(), []
    for name in (field.name for field in fields(LastUsed)):
        if name not in content or name in ("advanced", "prompts"):
            continue
        try:
            value = getattr(from_dict(LastUsed, {name: content[name]}), name)
            _check(name, value)
            last = replace(last, **{name: value})
        except Exception:  # whatever a wrong value makes of it
            logger.debug("'%s' cannot be used", name, exc_info=True)
            wrong.append(NAMES.get(name, name))
    advanced, more = _take_advanced(content.get("advanced", {}))
    prompts, lost = _take_prompts(content.get("prompts", []))
    return replace(last, advanced=advanced, prompts=prompts), [*wrong, *more, *lost]


def _take_advanced(content: object) -> tuple[dict[str, Any], list[str]]:
    if not isinstance(content, dict):
        return {}, ["advanced values"]
    taken: dict[str, Any] = {}
    wrong = []
    for name in (*SHOWN, *_LISTS):
        value = content.get(name)
        if value is None:
            continue
        fits = value in _LISTS[name]() if name in _LISTS else SHOWN[name].fits(value)
        if fits:
            taken[name] = value
        else:
            wrong.append(name.replace("_", " "))
    return taken, wrong


def _take_prompts(content: object) -> tuple[tuple[Prompt, ...], list[str]]:
    """Take the classes that can be looked for, and say how many cannot."""
    if not isinstance(content, list):
        return (), [NAMES["prompts"]]
    fit: list[Prompt] = []
    for entry in content[:MOST_CLASSES]:
        try:
            (prompt,) = from_dict(LastUsed, {"prompts": [entry]}).prompts
            # what cannot be written again, such as a half of a character, is no text
            json.dumps(to_dict(prompt), ensure_ascii=False).encode()
            check_prompts([prompt])
            fit.append(prompt)
        except Exception:  # as above
            logger.debug("A class cannot be used", exc_info=True)
    kept = fit if _go_together(fit) else []
    if fit and not kept:
        for prompt in fit:
            if _go_together([*kept, prompt]):
                kept.append(prompt)
    lost = len(content) - len(kept)
    return tuple(kept), [f"{lost} of {len(content)} classes"] if lost else []


def _go_together(prompts: list[Prompt]) -> bool:
    """Tell whether no two classes have the same words or the same id."""
    try:
        label_ids(prompts)
        return len(parse_prompts(prompts)) == len(prompts)
    except GemError:
        return False


def _check(name: str, value: Any) -> None:
    """Refuse a value that no widget could show or no run could use."""
    if value is not None and name in _CHECKS:
        _CHECKS[name](value)


def _check_name(name: str) -> None:
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise GemError("This is no name.")


def _check_model(name: str) -> None:
    _check_name(name)
    if not name.strip():
        raise GemError("This is no name.")


def _check_domain(name: str) -> None:
    if name not in ("", *DOMAINS):
        raise GemError("There is no such kind of images.")


def _check_device(name: str) -> None:
    _check_name(name)
    if is_cluster(name):
        read_address(name)
    else:
        check_device(name)


_CHECKS: dict[str, Callable[[Any], None]] = {
    "model": _check_model,
    "architecture": _check_name,
    "device": _check_device,
    "domain": _check_domain,
    "detail": check_detail,
    "background": lambda words: check_score(ScoreParameters(background=words)),
    "templates": lambda lines: check_score(ScoreParameters(templates=lines)),
}

_LISTS: dict[str, Callable[[], tuple[str, ...]]] = {
    "precision": lambda: PRECISIONS,
    "preset": list_presets,
    "templates": list_templates,
}
