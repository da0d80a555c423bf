"""Which plane of an image layer is shown, where it lies and how it looks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.appearance import Appearance
from napari_gem.core.bounds import is_large
from napari_gem.core.errors import GemError
from napari_gem.images.levels import coarsest_that_shows, factor_of
from napari_gem.images.stack import Overview, as_view
from napari_gem.images.valid import holds_data, nodata_value, without_nodata
from napari_gem.layers.transform import transform_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_gem.core.arrays import LazyArray
    from napari_gem.images.stack import FilePlane

LARGEST_LEVEL = 8192 * 8192
"""Most pixels of the level that is taken of a multiscale image, unless the user locked
one in the layer controls or chose a detail."""

LUT_SIZE = 256

NO_UNIT = ("", "px", "pixel")
"""Units of layers whose pixel size is not known."""

SYMBOLS = {"deg": "degree", "sft": "us-ft"}
"""Units that napari abbreviates otherwise."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where the pixels of an image plane lie in the world.

    Attributes
    ----------
    transform
        ``scale``, ``translate``, ``rotate``, ``shear``, ``affine``, ``units`` and
        ``axis_labels`` of a layer that holds only this plane, with as many axes as
        the image.
    displayed
        Axes of the image that run down and right on the screen.
    """

    transform: Mapping[str, Any]
    displayed: tuple[int, int]

    def place(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Give a (height, width) plane the axes of the image, as a view."""
        down, right = self.displayed
        ordered = plane if down < right else plane.T
        others = set(range(len(self.transform["scale"]))) - {down, right}
        return np.expand_dims(ordered, tuple(others))


@dataclass(frozen=True, eq=False)
class Plane:
    """One channel of a `LayerImage`, or all of it; nothing has been read of it.

    Attributes
    ----------
    data
        Data of a layer, or of one level of it.
    index
        What is taken of each axis: all, a number, or a range to be projected.
    projection
        ``mean``, ``sum``, ``max`` or ``min``: how ranges become a plane.
    displayed
        Axes that run down and right on the screen.
    """

    data: Any = field(repr=False)
    index: tuple[slice | int, ...]
    projection: str
    displayed: tuple[int, int]

    @property
    def is_whole(self) -> bool:
        """Whether this is all of the data as it is."""
        everything = all(part == slice(None) for part in self.index)
        return everything and self.displayed == (0, 1)

    def read(self, step: int = 1, rows: slice = slice(None)) -> NDArray[Any]:
        """Read (height, width), or (height, width, 3 or 4); see `LayerImage.read`."""
        index = list(self.index)
        stride = step if step > 1 else None
        down, right = self.displayed
        index[down] = slice(rows.start, rows.stop, stride)
        index[right] = slice(None, None, stride)
        pixels = np.asarray(self.data[tuple(index)])
        thick = [axis for axis, part in enumerate(self.index) if _is_range(part)]
        if thick:
            # axes with a whole number are gone already
            gone = [i for i, part in enumerate(self.index) if isinstance(part, int)]
            axes = tuple(axis - sum(g < axis for g in gone) for axis in thick)
            pixels = getattr(np, self.projection)(pixels, axis=axes)
        return pixels if down < right else np.swapaxes(pixels, 0, 1)


@dataclass(frozen=True, eq=False)
class LayerImage:
    """A plane of one or several image layers, as it is shown.

    Attributes
    ----------
    planes
        What is read: one, or one for each of the appearance's channels.
    shape
        (height, width) of the plane on the screen.
    appearance
        How values are shown.
    geometry
        Where the plane lies.
    source
        Tells which layers; stays the same as long as they exist.
    whole
        Shape of the finest level of the layer, without colours.
    factors
        Pixels of the finest level per pixel of the plane, for each axis; along an
        axis of channels, their number.
    position
        Position along each axis that is neither on the screen nor holds channels.
    notice
        A sentence for the user; empty if there is nothing to say.
    coarsest
        Pixels of the finest level, along a side, for one pixel of the coarsest.
    nodata
        The value that stands for no data; empty for none, or what the file says.
    """

    planes: tuple[Plane, ...]
    shape: tuple[int, int]
    appearance: Appearance
    geometry: Geometry
    source: str
    whole: tuple[int, ...]
    factors: tuple[float, ...]
    position: Mapping[int, int]
    notice: str = ""
    coarsest: float = 1.0
    nodata: str = ""

    @property
    def plane(self) -> tuple[int, ...]:
        """Tells the planes of one layer apart."""
        return *self.geometry.displayed, *(p for _, p in sorted(self.position.items()))

    @property
    def title(self) -> str:
        """Tells the planes apart for the user: ``slice 3``; empty for 2-D images."""
        if not self.position:
            return ""
        return f"slice {', '.join(str(p) for _, p in sorted(self.position.items()))}"

    @property
    def index(self) -> tuple[int, ...] | None:
        """Position along each axis but the last two, which are on the screen.

        None if it is no plane of that kind: other axes are on the screen, a thick
        slice is shown, planes of several channels, or a coarser level.
        """
        coarser = any(factor != 1 for factor in self.factors[-2:])
        return None if coarser else self._index

    @property
    def _index(self) -> tuple[int, ...] | None:
        """As `index`, of any level."""
        axes = len(self.factors)
        (first, *others) = self.planes
        hidden = first.index[:-2]
        if (
            self.geometry.displayed != (axes - 2, axes - 1)
            or any(not isinstance(part, int) for part in hidden)
            or any(plane.index != first.index for plane in others)
        ):
            return None
        return tuple(part for part in hidden if isinstance(part, int))

    @property
    def file_plane(self) -> FilePlane | None:
        """Which plane of a file this is, if it is one; see `StackView`."""
        views = [as_view(plane.data) for plane in self.planes]
        planes = [view.file_plane for view in views if view is not None]
        index = self._index
        if index is None or len(planes) < len(views):
            return None
        bands = ",".join(plane.bands for plane in planes if plane.bands)
        if len({replace(plane, bands="") for plane in planes}) > 1:
            return None
        if len(planes) > 1 and not all(plane.bands for plane in planes):
            return None
        return replace(planes[0], index=index, bands=bands)

    def valid(self) -> LazyArray | None:
        """Tell which rows of pixels hold data; None where their values tell all."""
        masks = tuple(
            replace(plane, data=mask, projection="max")
            for plane in self.planes
            if (view := as_view(plane.data)) and (mask := view.valid())
        )
        if len(masks) < len(self.planes):
            masks = ()  # one of them holds data everywhere
        if self.nodata == "none" or not (masks or self.nodata):
            return None
        return ValidRows(self, masks)

    @property
    def factor(self) -> float:
        """Pixels of the finest level, along a side, for one pixel of the plane."""
        down, right = self.geometry.displayed
        return factor_of((self.whole[down], self.whole[right]), self.shape)

    @property
    def is_large(self) -> bool:
        """Whether results are written to disk rather than held in memory."""
        return is_large(self.shape)

    def rows(self) -> Rows:
        """Give the pixels as what is read when its rows are sliced."""
        return Rows(self)

    def read(self, step: int = 1, rows: slice = slice(None)) -> NDArray[Any]:
        """Read the pixels; for lazy data this is the step that takes time.

        Parameters
        ----------
        step
            Only every step-th row and column is read.
        rows
            Only these rows.

        Returns
        -------
        NDArray
            (height, width); (height, width, 3 or 4) for RGB(A); (height, width,
            channels) if the appearance has channels.
        """
        pixels = self.read_stored(step, rows)
        return without_nodata(pixels, nodata_value(self.nodata, pixels.dtype))

    def read_stored(self, step: int = 1, rows: slice = slice(None)) -> NDArray[Any]:
        """Read pixels also where they hold no data; parameters as `read`."""
        read = [plane.read(step, rows) for plane in self.planes]
        return np.stack(read, axis=-1) if self.appearance.channels else read[0]

    @property
    def pixel_size(self) -> tuple[tuple[float, float] | None, str]:
        """(height, width) of a pixel and its unit; None and empty without a unit."""
        units = self.units
        if units[0] != units[1] or units[0] in NO_UNIT:
            return None, ""
        return self.patch_extent(1), units[0]

    @property
    def units(self) -> tuple[str, str]:
        """Symbols of the units along rows and columns, as `Location` has them."""
        of_axes = self.geometry.transform["units"]
        down, right = (f"{of_axes[axis]:~P}" for axis in self.geometry.displayed)
        return SYMBOLS.get(down, down), SYMBOLS.get(right, right)

    def patch_extent(self, patch: float) -> tuple[float, float]:
        """Height and width of so many pixels in the units of the layer."""
        scale = self.geometry.transform["scale"]
        down, right = self.geometry.displayed
        return float(abs(scale[down]) * patch), float(abs(scale[right]) * patch)


class Rows:
    """Pixels of a `LayerImage`, of which only the rows that are sliced are read.

    Parameters
    ----------
    image
        The image.

    Attributes
    ----------
    shape, dtype, ndim
        Of what `LayerImage.read` gives.
    chunk
        Rows that are best read together: a lazy array computes all of them at once.
    whole
        What these pixels are all of, if nothing is chosen of it, joined or turned.
    file_plane, valid
        See `LayerImage`.
    """

    def __init__(self, image: LayerImage) -> None:
        self._image = image
        first = image.read(rows=slice(0, 1))
        self.shape = (image.shape[0], *first.shape[1:])
        self.dtype, self.ndim = first.dtype, first.ndim
        self.chunk = max(_chunk(plane) for plane in image.planes)
        (plane, *others) = image.planes
        whole = not (others or image.appearance.channels) and plane.is_whole
        self.whole = plane.data if whole and not image.nodata else None
        self.file_plane, self.valid = image.file_plane, image.valid()

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        return self._image.read(rows=rows)


class ValidRows:
    """Tells of rows of a `LayerImage` which of their pixels hold data.

    A pixel has data if one of the masks says so, and its value is not the one that the
    user gave for no data.
    """

    def __init__(self, image: LayerImage, masks: tuple[Plane, ...]) -> None:
        self._image, self._masks = image, masks
        self.shape, self.dtype, self.ndim = image.shape, np.dtype(bool), 2

    def __getitem__(self, rows: slice) -> NDArray[np.bool_]:
        masks = [mask.read(rows=rows) for mask in self._masks]
        valid: NDArray[np.bool_] = np.any(masks, axis=0)
        if not self._image.nodata:
            return valid
        pixels = self._image.read_stored(rows=rows)
        given = holds_data(pixels, nodata_value(self._image.nodata, pixels.dtype))
        return given & valid if masks else given


def read_layer(
    layer: Any,
    dims: Any,
    *,
    position: Mapping[int, int] | None = None,
    wanted: float | None = None,
    largest: int | None = None,
) -> LayerImage:
    """Say which plane of an image layer is shown and how.

    Parameters
    ----------
    layer
        An image layer: 2-D or more, single-channel or RGB(A), perhaps multiscale.
    dims
        The viewer's ``dims``: ``point``, ``order``, ``ndisplay``, ``margin_left``,
        ``margin_right`` and ``units`` are read.
    position
        Slices to take instead of those that are shown, as in `LayerImage.position`.
    wanted
        Pixels of the finest level for one pixel that is looked at: of a multiscale
        image the coarsest level that shows it is taken. None takes the finest one of
        at most `LARGEST_LEVEL`. A level that the user locked comes before both.
    largest
        Pixels: the finest level with at most as many is taken, whatever is wanted.

    Returns
    -------
    LayerImage
        The image; its pixels are read by its `LayerImage.read`.

    Raises
    ------
    GemError
        If it is no image layer, or no plane of numbers of it is shown.
    """
    check_layer(layer)
    axes = len(layer.scale)
    if dims.ndisplay != 2 and axes > 2:
        raise GemError(
            "The viewer shows a volume. Switch to 2D (button at the lower left) and "
            "move to the slice that is to be segmented."
        )
    order = layer_axes(dims.order, axes)
    down, right = order[-2:]
    shapes = level_shapes(layer, axes, overviews=largest is not None)
    level = _choose_level(layer, shapes, (down, right), wanted, largest)
    factors = tuple(float(f) for f in np.divide(shapes[0], shapes[level]))
    asked = {axis: number * factors[axis] for axis, number in (position or {}).items()}
    ranges = _shown_ranges(layer, dims, order[:-2], shapes[0], asked)
    index: list[slice | int] = [slice(None)] * axes
    at: dict[int, int] = {}
    for axis, (low, high, point) in ranges.items():
        length = shapes[level][axis]
        at[axis] = int(np.clip(round(point / factors[axis]), 0, length - 1))
        first, end = _thick(low / factors[axis], high / factors[axis], length)
        index[axis] = slice(first, end) if end - first > 1 else first
    data = layer.data[level] if layer.multiscale else layer.data
    shape = int(shapes[level][down]), int(shapes[level][right])
    return LayerImage(
        planes=(Plane(data, tuple(index), str(layer.projection_mode), (down, right)),),
        shape=shape,
        appearance=read_appearance(layer),
        geometry=geometry_of(layer, (down, right), factors, at),
        source=str(layer.unique_id),
        whole=shapes[0],
        factors=factors,
        position=at,
        notice="" if _is_chosen(layer, wanted) else _level_notice(level, shape),
        coarsest=factor_of(*((s[down], s[right]) for s in (shapes[0], shapes[-1]))),
    )


def slice_axes(
    layer: Any,
    dims: Any,
    *,
    channel_axis: int | None = None,
    wanted: float | None = None,
) -> dict[int, int]:
    """Tell the axes of a layer that are not on the screen, and their slices.

    Parameters
    ----------
    layer
        An image layer.
    dims
        The viewer's ``dims``.
    channel_axis
        An axis that holds channels; it is left out.
    wanted
        See `read_layer`.

    Returns
    -------
    dict[int, int]
        Number of slices along each axis, as `LayerImage.position` counts them.
    """
    axes = len(layer.scale)
    order = layer_axes(dims.order, axes)
    shapes = level_shapes(layer, axes)
    level = _choose_level(layer, shapes, order[-2:], wanted)
    hidden = sorted(order[:-2])
    return {axis: shapes[level][axis] for axis in hidden if axis != channel_axis}


def read_appearance(layer: Any) -> Appearance:
    """Say how an image layer shows its values.

    Opacity and blending are left out: they mix the layer with others.
    """
    low, high = layer.contrast_limits
    rgb = bool(layer.rgb)
    return Appearance(
        rgb=rgb,
        limits=(float(low), float(high)),
        gamma=float(layer.gamma),
        lut=None if rgb else _lut(layer.colormap),
        contrast="shown",
    )


def _lut(colormap: Any) -> tuple[tuple[float, float, float], ...] | None:
    grey = np.linspace(0, 1, LUT_SIZE)
    mapped = np.asarray(colormap.map(grey), np.float64)
    # see-through colours are laid on the black canvas
    colors = mapped[:, :3] * mapped[:, 3:]
    if np.allclose(colors, grey[:, None], atol=1e-6):
        return None
    return tuple((float(r), float(g), float(b)) for r, g, b in colors)


def check_layer(layer: Any) -> None:
    """Refuse what is no image layer of numbers."""
    if not (hasattr(layer, "rgb") and hasattr(layer, "contrast_limits")):
        raise GemError(
            f"'{layer.name}' is a {type(layer).__name__} layer; only image layers can "
            "be segmented. Choose an image layer."
        )
    dtype = np.dtype(layer.dtype)
    if dtype.kind not in "buif":
        raise GemError(
            f"'{layer.name}' holds values of type {dtype}, which cannot be shown. "
            "Choose a layer of whole numbers, floats or booleans: of a complex image "
            "the real part or the magnitude."
        )


def layer_axes(order: Sequence[int], axes: int) -> tuple[int, ...]:
    """Turn an order of the viewer's axes to that of a layer, which has the last."""
    offset = len(order) - axes
    if offset < 0:
        return (*range(-offset), *(axis - offset for axis in order))
    return tuple(axis - offset for axis in order if axis >= offset)


def level_shapes(
    layer: Any, axes: int, *, overviews: bool = False
) -> list[tuple[int, ...]]:
    """Shape of each level's first axes, the finest level first.

    Overviews, which we made for the viewer, are no levels of the image.
    """
    levels = layer.data if layer.multiscale else [layer.data]
    shapes = [
        tuple(int(n) for n in level.shape[:axes])
        for level in levels
        if overviews or not isinstance(level, Overview)
    ]
    if 0 in shapes[0]:
        raise GemError(
            f"'{layer.name}' has no pixels: its shape is {shapes[0]}. Choose another."
        )
    return shapes


def _choose_level(
    layer: Any,
    shapes: Sequence[tuple[int, ...]],
    displayed: Sequence[int],
    wanted: float | None = None,
    largest: int | None = None,
) -> int:
    locked = getattr(layer, "locked_data_level", None)
    if locked is not None and largest is None:
        return min(int(locked), len(shapes) - 1)
    down, right = displayed
    sides = [(shape[down], shape[right]) for shape in shapes]
    if wanted is not None and largest is None:
        return coarsest_that_shows(wanted, sides)
    for level, (height, width) in enumerate(sides):
        if height * width <= (largest or LARGEST_LEVEL):
            return level
    return len(shapes) - 1


def _level_notice(level: int, shape: tuple[int, int]) -> str:
    if level == 0:
        return ""
    return (
        f"The image has several resolutions; the one of {shape[0]} x {shape[1]} "
        "pixels is used. Choose a detail, or lock one in the layer controls, to take "
        "another."
    )


def _is_chosen(layer: Any, wanted: float | None) -> bool:
    """Whether the user decided which level is taken."""
    return wanted is not None or getattr(layer, "locked_data_level", None) is not None


def _shown_ranges(
    layer: Any,
    dims: Any,
    hidden: Sequence[int],
    shape: tuple[int, ...],
    asked: Mapping[int, float],
) -> dict[int, tuple[float, float, float]]:
    """First, last and middle position of the slice along each axis not on screen."""
    if not hidden:
        return {}
    axes = list(hidden)
    count = len(shape)
    origin = np.asarray(layer.world_to_data(np.zeros(count)))
    steps = [np.asarray(layer.world_to_data(unit)) - origin for unit in np.eye(count)]
    # the viewer, too, leaves out how hidden axes depend on those on the screen
    inverse = np.stack(steps, axis=-1)[np.ix_(axes, axes)]
    inverse = inverse * unit_factors(layer, dims)[axes]

    def along(values: Sequence[float]) -> NDArray[np.float64]:
        return np.asarray(values, np.float64)[-count:][axes]

    points = inverse @ along(dims.point) + origin[axes]
    before = inverse @ along(dims.margin_left)
    behind = inverse @ along(dims.margin_right)
    ranges = {}
    thick = layer.projection_mode != "none"
    for axis, shown, left, right in zip(axes, points, before, behind, strict=True):
        point = asked.get(axis, shown)
        low, high = (point - left, point + right) if thick else (point, point)
        if round(high) < 0 or round(low) > shape[axis] - 1:
            which = "that is shown" if axis not in asked else f"{point:g}"
            raise GemError(
                f"'{layer.name}' has nothing at the slice {which}. Move the slider "
                "below the image to one of its slices."
            )
        ranges[axis] = (float(low), float(high), float(point))
    return ranges


def _thick(low: float, high: float, length: int) -> tuple[int, int]:
    """First position of a thick slice and the one behind its last, as napari does."""
    first = min(max(round(low), 0), length - 1)
    end = round(high) + bool(np.isclose(round(high), high))
    return first, min(max(end, first + 1), length)


def unit_factors(layer: Any, dims: Any) -> NDArray[np.float64]:
    """Layer units per world unit: the viewer shows µm and mm in one common unit."""
    units = getattr(dims, "units", None)
    count = len(layer.units)
    if units is None or len(units) < count:
        return np.ones(count)
    pairs = zip(units[-count:], layer.units, strict=True)
    return np.array([(1 * world).to(own).magnitude for world, own in pairs])


def geometry_of(
    layer: Any,
    displayed: tuple[int, int],
    factors: Sequence[float],
    position: Mapping[int, int],
) -> Geometry:
    """Say where a plane of a layer lies, at the level that the factors tell."""
    # Where the plane's pixel (0, 0) is, in pixels of the finest level. A pixel of a
    # coarser level covers several, so its middle lies further in; and a plane of
    # channels covers all of them, so that it is shown with each.
    start = (np.asarray(factors, np.float64) - 1) / 2
    for axis, number in position.items():
        start[axis] = number * factors[axis]
    affine = np.asarray(layer.affine, np.float64)
    zero = np.asarray(layer.data_to_world(np.zeros(len(start))))
    shift = np.asarray(layer.data_to_world(start)) - zero
    translate = layer.translate + np.linalg.solve(affine[:-1, :-1], shift)
    return Geometry(
        transform={
            **transform_of(layer),
            "scale": np.asarray(layer.scale) * factors,
            "translate": translate,
        },
        displayed=displayed,
    )


def _chunk(plane: Plane) -> int:
    """Rows of a chunk of zarr's or dask's arrays."""
    chunks = getattr(plane.data, "chunks", None)
    if not chunks:
        return 1
    rows = chunks[plane.displayed[0]]
    return int(rows if np.ndim(rows) == 0 else max(rows))


def _is_range(part: slice | int) -> bool:
    return isinstance(part, slice) and part != slice(None)
