"""Label ids and names of classes: in a session each id means one class only."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from napari_gem.core.colors import class_color
from napari_gem.core.errors import GemError
from napari_gem.core.prompts import label_ids
from napari_gem.core.sentences import some_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from napari_gem.core.prompts import Prompt

LARGEST_LABEL = 65535

BACKGROUND = "background"
"""What label 0 is called."""


def keep_ids(
    prompts: Sequence[Prompt], names_by_id: Mapping[int, str]
) -> tuple[Prompt, ...]:
    """Give classes from a file ids that mean no other class in the session.

    A class takes the id that a class of the same name has in the session. The others
    keep their own id if it is free, and get a new one if it is not.

    Parameters
    ----------
    prompts
        The classes; those with label 0 have no id of their own.
    names_by_id
        Name of the class that each id means in the session. If a name has several ids,
        the first is taken.

    Returns
    -------
    tuple[Prompt, ...]
        In the same order. New classes with label 0 keep it.

    Raises
    ------
    GemError
        If two classes came with the same id, or there is no free id.
    """
    label_ids(prompts)
    names = {label: class_key(name) for label, name in names_by_id.items()}
    keys = [class_key(prompt.name) for prompt in prompts]
    ids: dict[int, int] = {}
    for number, prompt in enumerate(prompts):
        if names.get(prompt.label) == keys[number]:
            ids[number] = prompt.label
    for number, key in enumerate(keys):
        if number not in ids:
            given = set(ids.values())
            same = (i for i, name in names.items() if name == key and i not in given)
            label = next(same, 0)
            if label:
                ids[number] = label
    taken = {*names, *(prompt.label for prompt in prompts)} - {0}
    for number, prompt in enumerate(prompts):
        if number not in ids and prompt.label:
            free = prompt.label not in names
            ids[number] = prompt.label if free else next_label(taken)
            taken.add(ids[number])
    return tuple(
        replace(prompt, label=ids.get(number, 0))
        for number, prompt in enumerate(prompts)
    )


def number_classes(
    prompts: Sequence[Prompt], reserved: Mapping[int, str]
) -> tuple[Prompt, ...]:
    """Give classes without a label id one, and a colour if they have none.

    Parameters
    ----------
    prompts
        The classes; those with a label id stay as they are.
    reserved
        Name of the class that an id stands for. A class of this name gets it; others
        get the lowest ids that are free.

    Raises
    ------
    GemError
        If there is no free id.
    """
    used = {prompt.label for prompt in prompts} - {0}
    free = {label: name for label, name in reserved.items() if label not in used}
    new = iter(keep_ids([prompt for prompt in prompts if not prompt.label], free))
    numbered = [prompt if prompt.label else next(new) for prompt in prompts]
    taken = {*reserved, *(prompt.label for prompt in numbered)}
    colors = {prompt.color for prompt in prompts}
    for row, prompt in enumerate(numbered):
        if prompt.label in used:
            continue
        label = prompt.label or next_label(taken)
        color = prompt.color or _free_color(label - 1, colors)
        numbered[row] = replace(prompt, label=label, color=color)
        taken.add(label)
        colors.add(color)
    return tuple(numbered)


def _free_color(first: int, used: Collection[object]) -> tuple[float, float, float]:
    """Choose the next colour, from the ``first``, that no other class has."""
    return next(c for number in count(first) if (c := class_color(number)) not in used)


def moved_ids(before: Sequence[Prompt], after: Sequence[Prompt]) -> str:
    """Say in a sentence which classes got new ids; empty if none did."""
    moved = [
        f"{new.name} {new.label}"
        for old, new in zip(before, after, strict=True)
        if old.label not in (0, new.label)
    ]
    return f"Label ids that differ from the file: {some_of(moved)}." if moved else ""


def next_label(taken: Collection[int]) -> int:
    """Choose the lowest free id.

    Raises
    ------
    GemError
        If all are taken.
    """
    free = (label for label in range(1, LARGEST_LABEL + 1) if label not in taken)
    lowest = next(free, None)
    if lowest is None:
        raise GemError(
            f"All {LARGEST_LABEL} label ids are used. Remove results from the viewer, "
            "or save the set and load it in a new window."
        )
    return lowest


def check_name(name: str, others: Iterable[Prompt] = ()) -> None:
    """Refuse the name of a new class that would be taken for something else.

    Raises
    ------
    GemError
        If it is the name of the background or of another class; case and blanks do not
        count.
    """
    key = class_key(name)
    if key == BACKGROUND:
        raise GemError(
            f"'{name}' is the name of label 0, which stands for all that belongs to no "
            "class. Call the class something else, or make it a background word."
        )
    for other in others:
        if class_key(other.name) == key:
            raise GemError(
                f"There is a class '{other.name}' already. Give this one another name."
            )


def class_key(name: str) -> str:
    """Reduce a name so that names that differ only in case and blanks are equal."""
    return " ".join(name.split()).casefold()
