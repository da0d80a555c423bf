"""Combo box of the viewer's images: layers, and channels that are seen together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Qt, QTimer, Signal

from napari_gem.layers import (
    composites,
    is_result_of_ours,
    picture_name,
    same_origin,
    visible_layers,
)
from napari_gem.widget.parts.combo import Combo
from napari_gem.widget.parts.links import Links
from napari_gem.widget.parts.plain import tip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari.components import ViewerModel

LAYER_EVENTS = (
    *("visible", "blending", "units"),
    *("scale", "translate", "rotate", "shear", "affine"),
)
"""Events of an image layer that change which layers are seen together."""


@dataclass(frozen=True, eq=False)
class Picture:
    """What is offered as one image: layers, hidden ones too.

    The first one names the results; two pictures of the same layers are equal.
    """

    members: tuple[Any, ...] = ()

    def _ids(self) -> frozenset[str]:
        return frozenset(str(layer.unique_id) for layer in self.members)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and self._ids() == other._ids()

    def __hash__(self) -> int:
        return hash(self._ids())

    @property
    def layers(self) -> tuple[Any, ...]:
        """Those that are taken."""
        return visible_layers(self.members)


class ImageChoice(Combo):
    """Offers all image layers except our own maps, and follows the active layer.

    Layers that the viewer shows as the channels of one picture are offered together,
    before each of them alone. The channels of one file or array are chosen together
    unless the user chose otherwise; a layer that is added later never joins them by
    itself.
    """

    picture_changed = Signal()
    """Other layers are taken now, or none."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__("Image", "What is segmented, as it is shown now")
        self._viewer = viewer
        self._picture = Picture()
        self._taken: tuple[Any, ...] = ()
        self._composites: list[Picture] = []
        # layers with the same number came together, or were chosen together
        self._numbers: dict[str, int] = {}
        self._chosen_numbers: set[int] = set()
        self._next = 0
        self._burst = QTimer(self, singleShot=True, interval=0)
        self._burst.timeout.connect(self._next_number)
        events = viewer.layers.events
        self._links = Links(
            self._update_choices,
            self,
            [events.inserted, events.removed, events.reordered, events.renamed],
        )
        self._active_links = Links(
            self._follow_active, self, [viewer.layers.selection.events.active]
        )
        self._layer_links = Links(self._update_choices, self)
        self._linked: list[Any] = []
        self.currentIndexChanged.connect(self._on_index)
        self._update_choices()
        self._follow_active()

    def layer(self) -> Any:
        """Layer that is chosen, or the first one; None if there is no image layer."""
        return self._taken[0] if self._taken else None

    def picture(self) -> Picture:
        """Return what is chosen; it has no members if there is no image layer."""
        return self._picture

    def left_out(self) -> list[Any]:
        """Layers that are seen together with the chosen ones, but are not taken."""
        return [
            layer
            for whole in self._composites
            if any(layer in whole.members for layer in self._taken)
            for layer in whole.members
            if layer not in self._taken
        ]

    def take_together(self, layers: Iterable[Any]) -> None:
        """Choose layers that the user combines, without a signal."""
        picture = Picture(tuple(layers))
        if picture == self._picture:
            return
        self._picture = picture
        self._remember(picture.members)
        self._fill()
        self._taken = self._picture.layers

    def choose_together(self, layers: Iterable[Any]) -> None:
        """Choose layers that the user opened together."""
        self._update_choices()
        self._picture = Picture(tuple(layers))
        self._remember(self._picture.members)
        self._fill()
        self._announce()

    def detach(self) -> None:
        """Stop listening to the viewer."""
        for links in (self._links, self._active_links, self._layer_links):
            links.clear()

    # --- what is offered

    def _images(self) -> list[Any]:
        """Layers that can be segmented, the lowest first."""
        # reversed: this gives the layers themselves, not napari's proxies of them
        images = [
            layer
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, Image) and not is_result_of_ours(layer)
        ]
        return images[::-1]

    def _update_choices(self, _event: Any = None) -> None:
        images = self._images()
        known = self._numbers.keys()
        active = self._viewer.layers.selection.active
        # a new layer may become active before its insertion is announced
        is_new = active in images and str(active.unique_id) not in known
        self._number(images)
        self._composites = [Picture(picture) for picture in composites(images)]
        if images != self._linked:
            self._linked = images
            self._layer_links.clear()
            for layer in images:
                self._layer_links.connect(
                    getattr(layer.events, name) for name in LAYER_EVENTS
                )
        members = tuple(x for x in self._picture.members if x in images)
        if is_new:
            self._picture = self._usual(images[images.index(active)])
        elif not members and images:
            self._picture = self._usual(images[-1])
        else:
            self._picture = Picture(members)
        self._fill()
        self._announce()

    def _number(self, images: Sequence[Any]) -> None:
        """Give layers that come at the same moment the same number."""
        ids = [str(layer.unique_id) for layer in images]
        self._numbers = {i: self._numbers.get(i, self._next) for i in ids}
        self._burst.start()

    def _next_number(self) -> None:
        self._next += 1

    def _fill(self) -> None:
        """Offer what there is, and show what is chosen."""
        images = self._images()
        pictures = [Picture((layer,)) for layer in reversed(images)]
        for whole in reversed(self._composites):
            together = self._parts(whole)
            together += [whole] if whole not in together else []
            first = min(pictures.index(Picture((x,))) for x in whole.members)
            pictures[first:first] = together
        if self._picture.members and self._picture not in pictures:
            pictures.insert(0, self._picture)
        choices = [(_text(picture), picture) for picture in pictures]
        self.set_choices(choices or [("no image layer", Picture())], self._picture)
        with QSignalBlocker(self):
            for row, picture in enumerate(pictures):
                names = ", ".join(str(layer.name) for layer in picture.layers)
                self.setItemData(row, tip(names), Qt.ItemDataRole.ToolTipRole)
        self.setEnabled(bool(images))

    def _parts(self, whole: Picture) -> list[Picture]:
        """Layers of a picture that came or were chosen together."""
        parts: dict[int, list[Any]] = {}
        for layer in whole.members:
            parts.setdefault(self._numbers[str(layer.unique_id)], []).append(layer)
        return [
            Picture(tuple(part))
            for number, part in parts.items()
            if len(part) > 1 and (number in self._chosen_numbers or same_origin(part))
        ]

    def _usual(self, layer: Any) -> Picture:
        """Find what is chosen with a layer if the user says nothing."""
        parts = (part for whole in self._composites for part in self._parts(whole))
        return next((x for x in parts if layer in x.members), Picture((layer,)))

    # --- what is chosen

    def _follow_active(self, _event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        if active is None or active in self._picture.members:
            return
        images = self._images()
        if active in images:
            self._picture = self._usual(images[images.index(active)])
            self._fill()
            self._announce()

    def _on_index(self, _index: int = 0) -> None:
        """Take what the user chose."""
        self._picture = self.currentData() or Picture()
        self._remember(self._picture.members)
        self._announce()

    def _remember(self, members: Sequence[Any]) -> None:
        """Keep what the user chose together, or apart from others seen with it."""
        apart: list[Any] = []
        if len(members) == 1:
            wholes = [x.members for x in self._composites if members[0] in x.members]
            apart = [layer for whole in wholes for layer in whole]
        for layer in apart:
            self._next += 1
            self._numbers[str(layer.unique_id)] = self._next
        if len(members) > 1:
            self._next += 1
            self._chosen_numbers.add(self._next)
            for layer in members:
                self._numbers[str(layer.unique_id)] = self._next
        self._next += 1

    def _announce(self) -> None:
        taken = self._picture.layers
        if taken != self._taken:
            self._taken = taken
            self.picture_changed.emit()


def _text(picture: Picture) -> str:
    """Name of a picture; of several layers it tells how many are hidden."""
    text = picture_name(picture.layers)
    hidden = len(picture.members) - len(picture.layers)
    return f"{text}, {hidden} hidden" if hidden else text
