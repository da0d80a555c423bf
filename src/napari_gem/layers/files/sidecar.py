"""What is written beside a TIFF file, so that its layer comes back as it was.

The records are checked field by field on the way in: a sidecar may come from anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from napari_gem.core.bounds import (
    LARGEST_LENGTH,
    LONGEST_NOTE,
    MOST_AXES,
    MOST_COLORS,
    MOST_LAYERS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

VERSION = 1
"""Raised when a sidecar of today cannot be read by the package of yesterday."""

Text = Annotated[str, Field(max_length=LONGEST_NOTE)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Color = tuple[Fraction, Fraction, Fraction, Fraction]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_ +-]{1,40}$")]
FileName = Annotated[str, Field(pattern=r'^[^/\\:*?"<>|\x00-\x1f]+\.tiff?$')]
"""A name only: a sidecar names no files elsewhere."""
Unit = Annotated[str, Field(pattern=r"^[\w µμΩ°%*/.^()-]{1,60}$")]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")


class Column(_Record):
    """A column of a features table."""

    name: str
    type: Literal["int", "float", "bool", "text"]
    values: list[int | float | bool | str | None]

    @model_validator(mode="after")
    def _check(self) -> Column:
        kinds = {"int": int, "float": (int, float), "bool": bool, "text": str}
        kind: Any = kinds[self.type]
        empty = self.type in ("float", "text")
        for value in self.values:
            if not isinstance(value, kind) and not (value is None and empty):
                raise ValueError(f"'{value}' is no value of type {self.type}")
        return self

    @classmethod
    def from_values(cls, name: str, values: Iterable[Any]) -> Column:
        """Describe a column; what is neither number nor text becomes text."""
        plain: list[Any] = [
            each.item() if hasattr(each, "item") else each for each in values
        ]
        known = [each for each in plain if each is not None]
        if known and all(isinstance(each, bool) for each in plain):
            return cls(name=name, type="bool", values=plain)
        numbers = not any(isinstance(each, bool) for each in known)
        if numbers and known and all(isinstance(each, int) for each in plain):
            return cls(name=name, type="int", values=plain)
        if numbers and all(isinstance(each, int | float) for each in known) and known:
            return cls(name=name, type="float", values=plain)
        texts: list[Any] = [
            None if each is None or each != each else str(each)  # NaN is missing
            for each in plain
        ]
        return cls(name=name, type="text", values=texts)

    def array(self) -> NDArray[Any]:
        """Give the values as napari takes them."""
        if self.type == "float":
            numbers = [np.nan if each is None else each for each in self.values]
            return np.array(numbers, np.float64)
        kinds: dict[str, type] = {"int": np.int64, "bool": np.bool_, "text": object}
        return np.array(self.values, kinds[self.type])


class Transform(_Record):
    """Where a layer lies."""

    scale: list[Finite]
    translate: list[Finite]
    rotate: list[list[Finite]]
    shear: list[Finite]
    affine: list[list[Finite]]
    units: list[Unit]
    axis_labels: list[Text]

    def check(self, axes: int) -> None:
        """Refuse another number of axes; pydantic tells the reader of it."""
        expected = (
            (np.shape(self.scale), (axes,)),
            (np.shape(self.translate), (axes,)),
            (_shape(self.rotate), (axes, axes)),
            (np.shape(self.shear), (axes * (axes - 1) // 2,)),
            (_shape(self.affine), (axes + 1, axes + 1)),
            (np.shape(self.units), (axes,)),
            (np.shape(self.axis_labels), (axes,)),
        )
        if any(came != wanted for came, wanted in expected) or 0 in self.scale:
            raise ValueError(f"the transform does not fit {axes} axes")


class ImageColors(_Record):
    """Colormap of an image layer."""

    name: Text
    colors: Annotated[list[Color], Field(max_length=MOST_COLORS)]
    controls: list[Finite]
    interpolation: Word

    @model_validator(mode="after")
    def _check(self) -> ImageColors:
        steps = len(self.colors) + (self.interpolation == "zero")
        if len(self.colors) < 2 or len(self.controls) != steps:
            raise ValueError("the colormap's colours and controls do not fit")
        return self


class _Layer(_Record):
    name: Text
    transform: Transform
    opacity: Fraction
    blending: Word
    visible: bool
    metadata: dict[str, JsonValue]
    features: list[Column] = []

    @property
    def length(self) -> int | None:
        """Rows that the features must have; None for any number."""
        return None

    @model_validator(mode="after")
    def _check_features(self) -> _Layer:
        lengths = {len(column.values) for column in self.features}
        wanted = {self.length} if self.length is not None else lengths
        if len(lengths) > 1 or (lengths and lengths != wanted):
            raise ValueError("the columns of the features have different lengths")
        return self


class _Raster(_Layer):
    file: FileName
    shape: Annotated[
        list[Annotated[int, Field(ge=1, le=LARGEST_LENGTH)]],
        Field(max_length=MOST_AXES),
    ]
    dtype: Annotated[
        str, Field(pattern=r"^(bool|u?int(8|16|32|64)|float(16|32|64)|complex\d+)$")
    ]

    def axes(self) -> int:
        return len(self.shape)

    @model_validator(mode="after")
    def _check_transform(self) -> _Raster:
        self.transform.check(self.axes())
        return self


class ImageRecord(_Raster):
    """An image layer."""

    kind: Literal["image"] = "image"
    rgb: bool
    colormap: ImageColors | None
    contrast_limits: tuple[Finite, Finite]
    gamma: Annotated[Finite, Field(gt=0)]
    interpolation2d: Word
    projection_mode: Word

    def axes(self) -> int:
        """Axes in the viewer; the colours of RGB are none."""
        return len(self.shape) - self.rgb


class LabelsRecord(_Raster):
    """A labels layer: colours of listed ids, or else those that ids take in turn."""

    kind: Literal["labels"] = "labels"
    colors: dict[int, Color] | None
    other: Color | None
    cycle: list[Color] | None

    @model_validator(mode="after")
    def _check_dtype(self) -> LabelsRecord:
        if "int" not in self.dtype and self.dtype != "bool":
            raise ValueError("labels are whole numbers")
        return self


class _Items(_Layer):
    axes: Annotated[int, Field(ge=2, le=32)]
    face_color: list[Color]

    @property
    def length(self) -> int | None:
        return len(self.face_color)

    @model_validator(mode="after")
    def _check_transform(self) -> _Items:
        self.transform.check(self.axes)
        return self


class PointsRecord(_Items):
    """A points layer."""

    kind: Literal["points"] = "points"
    data: list[list[Finite]]
    size: list[Annotated[Finite, Field(ge=0)]]
    symbol: list[Word]
    border_color: list[Color]
    border_width: list[Annotated[Finite, Field(ge=0)]]
    border_width_is_relative: bool

    @model_validator(mode="after")
    def _check_lengths(self) -> PointsRecord:
        columns = (self.size, self.symbol, self.border_color, self.border_width)
        if any(len(each) != len(self.data) for each in (*columns, self.face_color)):
            raise ValueError("there are not as many sizes or colours as points")
        if any(len(place) != self.axes for place in self.data):
            raise ValueError(f"a point has not {self.axes} coordinates")
        return self


class ShapesRecord(_Items):
    """A shapes layer."""

    kind: Literal["shapes"] = "shapes"
    data: list[list[list[Finite]]]
    shape_type: list[Word]
    edge_color: list[Color]
    edge_width: list[Annotated[Finite, Field(ge=0)]]

    @model_validator(mode="after")
    def _check_lengths(self) -> ShapesRecord:
        columns = (self.shape_type, self.edge_color, self.edge_width, self.face_color)
        if any(len(each) != len(self.data) for each in columns):
            raise ValueError("there are not as many types or colours as shapes")
        for shape in self.data:
            if not shape or any(len(place) != self.axes for place in shape):
                raise ValueError(f"a corner has not {self.axes} coordinates")
        return self


LayerRecord = ImageRecord | LabelsRecord | PointsRecord | ShapesRecord


class Sidecar(_Record):
    """The whole file."""

    schema_: Literal["napari-gem layers"] = Field(
        default="napari-gem layers", alias="schema"
    )
    version: Literal[1] = 1
    software: str
    layers: Annotated[
        list[Annotated[LayerRecord, Field(discriminator="kind")]],
        Field(max_length=MOST_LAYERS),
    ]


def _shape(rows: list[list[float]]) -> tuple[int, ...]:
    widths = {len(row) for row in rows}
    return (len(rows), *widths)
