"""A layer before napari makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from napari_gem.layers.entry import KEY, LayerEntry


@dataclass(frozen=True, eq=False)
class LayerData:
    """What napari makes a layer of.

    Attributes
    ----------
    data
        An array; of large images a list of levels, each read where it is sliced.
    kwargs
        Arguments of the layer, without ``metadata``.
    kind
        Of layer.
    entry
        What its metadata say.
    """

    data: Any
    kwargs: dict[str, Any]
    kind: Literal["image", "labels", "points", "shapes"]
    entry: LayerEntry

    @property
    def is_large(self) -> bool:
        """Whether it has levels that are read where they are shown."""
        return bool(self.kwargs.get("multiscale"))

    def as_tuple(self) -> tuple[Any, dict[str, Any], str]:
        """Give data, arguments and kind, as `napari.layers.Layer.create` takes them."""
        stored = self.entry.to_dict()
        metadata = {KEY: stored} if stored else {}
        return self.data, {**self.kwargs, "metadata": metadata}, self.kind
