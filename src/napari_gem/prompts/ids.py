"""Label ids: in a session an id stands for one class only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError
from napari_gem.core.prompts import label_ids

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from napari_gem.core.prompts import Prompt

LARGEST_LABEL = 65535


def keep_ids(
    prompts: Sequence[Prompt], stands_for: Mapping[int, str]
) -> tuple[Prompt, ...]:
    """Give classes that come from a file ids that stand for nothing else yet.

    A class that the session has by the same name takes the id that it has there. The
    others keep their own id where it is free, else they get a new one.

    Parameters
    ----------
    prompts
        The classes; those with label 0 have no id of their own.
    stands_for
        Name of the class that each id stands for in the session. Where a name stands
        at several ids, the first is taken.

    Returns
    -------
    tuple[Prompt, ...]
        In the same order. New classes with label 0 are as they came.

    Raises
    ------
    GemError
        If two classes came with the same id, or there is no free id.
    """
    label_ids(prompts)
    names = {label: class_key(name) for label, name in stands_for.items()}
    keys = [class_key(prompt.name) for prompt in prompts]
    found: dict[int, int] = {}
    for number, prompt in enumerate(prompts):
        if names.get(prompt.label) == keys[number]:
            found[number] = prompt.label
    for number, key in enumerate(keys):
        if number not in found:
            given = set(found.values())
            same = (i for i, name in names.items() if name == key and i not in given)
            label = next(same, 0)
            if label:
                found[number] = label
    taken = {*names, *(prompt.label for prompt in prompts)} - {0}
    for number, prompt in enumerate(prompts):
        if number not in found and prompt.label:
            free = prompt.label not in names
            found[number] = prompt.label if free else next_label(taken)
            taken.add(found[number])
    return tuple(
        replace(prompt, label=found.get(number, 0))
        for number, prompt in enumerate(prompts)
    )


def moved_ids(before: Sequence[Prompt], after: Sequence[Prompt], most: int = 3) -> str:
    """Tell which classes got other ids than they came with.

    Returns
    -------
    str
        A sentence that names the first ``most`` classes; empty if there are none.
    """
    moved = [
        f"{new.name} {new.label}"
        for old, new in zip(before, after, strict=True)
        if old.label not in (0, new.label)
    ]
    if not moved:
        return ""
    more = f" and {len(moved) - most} more" if len(moved) > most else ""
    return f"Label ids that differ from the file: {', '.join(moved[:most])}{more}."


def next_label(taken: Collection[int]) -> int:
    """Choose the id behind the largest that is taken; at the end the lowest free one.

    Raises
    ------
    GemError
        If all are taken.
    """
    label = max(taken, default=0) + 1
    if label <= LARGEST_LABEL:
        return label
    free = (label for label in range(1, LARGEST_LABEL + 1) if label not in taken)
    found = next(free, None)
    if found is None:
        raise GemError(
            f"All {LARGEST_LABEL} label ids were used in this table. Save the set and "
            "load it in a new window."
        )
    return found


def class_key(name: str) -> str:
    """Spell a class's name so that names that read the same are equal."""
    return " ".join(name.split()).casefold()
