"""A recipe said as a Python script."""

from __future__ import annotations

import textwrap
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from napari_gem.core.foreign_text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_gem.core.results import Recipe

WIDTH = 88


def as_python(
    recipe: Recipe,
    image: Path | str = "image.tif",
    *,
    index: Sequence[int] = (),
    output: str = "segmentation",
) -> str:
    """Say a recipe as a script that reads an image and writes a folder of results.

    Parameters
    ----------
    recipe
        How a result was made.
    image
        The image file that the script reads.
    index
        Positions along its leading axes, as for `napari_gem.images.files.read_image`.
    output
        The folder that it writes.
    """
    source = repr(str(image)) + (f", {tuple(index)!r}" if index else "")
    for name in ("bands", "nodata", "factor"):
        value = getattr(recipe, name)
        if value not in ("", 1):
            source += f", {name}={value!r}"
    if recipe.squash:
        return _SQUASHED.format(source=source, output=output)
    code = _Code()
    appearance = code.write(recipe.appearance)
    encode = code.write(recipe.encode)
    region = code.write(recipe.region)
    prompts = [code.write(prompt) for prompt in recipe.prompts]
    score = code.write(recipe.score)
    label = code.write(recipe.label)
    count = 0 if recipe.bands else len(recipe.appearance.channels)
    note = (
        f"  # pixels must be (height, width, {count}): channels last" if count else ""
    )
    options = f"precision={recipe.precision!r}"
    if recipe.architecture:
        options += f", architecture={recipe.architecture!r}"
    listed = "\n".join(f"    {prompt}," for prompt in prompts)
    return f"""\
# Made by napari-gem {shown(recipe.version)} with weights {shown(recipe.revision)}.
import napari_gem
from napari_gem import (
{code.imports()}
)

image = napari_gem.read_image({source}){note}
model = napari_gem.load_model({recipe.model!r}, {options})
features = napari_gem.encode(
    image.pixels,
    model,
    appearance={appearance},
    parameters={encode},
    region={region},
    valid=image.mask,
)
prompts = [
{listed}
]
result = napari_gem.segment(
    features,
    prompts,
    model,
    parameters={score},
    label={label},
)
napari_gem.save(result, image, {output!r})
"""


_SQUASHED = """\
import napari_gem

image = napari_gem.read_image({source})
recipe = napari_gem.read_recipe("recipe.json")
result = napari_gem.replay(recipe, image.pixels, valid=image.mask)
napari_gem.save(result, image, {output!r})
"""


class _Code:
    """Writes records as Python and remembers which ones there were."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def imports(self) -> str:
        """Names of the records, a line each."""
        return "\n".join(f"    {name}," for name in sorted(self._used))

    def write(self, value: object, indent: int = 4) -> str:
        """Write a value on one line if it fits, else one part a line."""
        line = self._line(value)
        room = WIDTH - indent - 14  # for a field's name
        if len(line) <= room:
            return line
        inner = " " * (indent + 4)
        if is_dataclass(value):
            head = f"{type(value).__name__}("
            parts = [
                f"{inner}{name}={self.write(part, indent + 4)},"
                for name, part in _given(value)
            ]
        elif isinstance(value, tuple):
            head = "("
            numbers = all(isinstance(part, int | float) for part in value)
            parts = (
                [inner + row for row in textwrap.wrap(line[1:-1], WIDTH - indent - 4)]
                if numbers
                else [f"{inner}{self.write(part, indent + 4)}," for part in value]
            )
        else:
            return line
        return "\n".join([head, *parts, " " * indent + ")"])

    def _line(self, value: object) -> str:
        if is_dataclass(value):
            name = type(value).__name__
            self._used.add(name)
            parts = (f"{key}={self._line(part)}" for key, part in _given(value))
            return f"{name}({', '.join(parts)})"
        if isinstance(value, tuple):
            inside = ", ".join(self._line(part) for part in value)
            return f"({inside},)" if len(value) == 1 else f"({inside})"
        # numpy's floats are floats too, but do not read so
        return repr(float(value)) if isinstance(value, float) else repr(value)


def _given(record: Any) -> Iterator[tuple[str, object]]:
    """Fields that are not at their defaults."""
    for field in fields(record):
        value = getattr(record, field.name)
        if value != _default(field):
            yield field.name, value


def _default(field: Field[Any]) -> object:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default
