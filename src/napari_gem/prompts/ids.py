"""Label ids: in a session each id means one class only."""

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


def moved_ids(before: Sequence[Prompt], after: Sequence[Prompt], most: int = 3) -> str:
    """Say in a sentence which classes got new ids; empty if none did.

    It names the first ``most`` of them.
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
    """Choose the id after the largest taken one, or else the lowest free one.

    Raises
    ------
    GemError
        If all are taken.
    """
    label = max(taken, default=0) + 1
    if label <= LARGEST_LABEL:
        return label
    free = (label for label in range(1, LARGEST_LABEL + 1) if label not in taken)
    lowest = next(free, None)
    if lowest is None:
        raise GemError(
            f"All {LARGEST_LABEL} label ids were used in this table. Save the set and "
            "load it in a new window."
        )
    return lowest


def class_key(name: str) -> str:
    """Reduce a name so that names that differ only in case and blanks are equal."""
    return " ".join(name.split()).casefold()
