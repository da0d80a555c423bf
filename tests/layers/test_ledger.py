"""Whether somebody changed a layer: copies of all kinds, and checksums of labels."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels, Points, Shapes

from napari_gem.layers.ledger import Basis, Ledger, own_pixels

LAYERS = {
    "image": lambda: Image(np.zeros((4, 5)), rgb=False),
    "labels": lambda: Labels(np.eye(4, dtype=np.uint8)),
    "points": lambda: Points([(1, 2)], features={"class": ["a"]}),
    "shapes": lambda: Shapes([[(0, 0), (2, 3)]], shape_type="rectangle"),
}


def move(layer):
    if isinstance(layer, Shapes):
        layer.data = [each + 1 for each in layer.data]
    else:
        layer.data = layer.data + 1


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_of_all_kinds_are_compared_with_what_was_noted(kind):
    ledger, layer = Ledger(), LAYERS[kind]()
    ledger.note(layer)
    assert not ledger.is_changed(layer)
    move(layer)
    assert ledger.is_changed(layer)
    ledger.note(layer)
    assert not ledger.is_changed(layer)
    ledger.put(layer, None)
    assert ledger.get(layer) is None


def test_features_count_too():
    ledger, layer = Ledger(), LAYERS["points"]()
    ledger.note(layer)
    layer.features = {"class": ["b"]}
    assert ledger.is_changed(layer)


def test_pixels_of_the_user():
    ledger, layer = Ledger(), LAYERS["labels"]()
    ledger.note(layer)
    assert own_pixels(layer.data, ledger.get(layer)) is None
    layer.data[0, 0] = 0
    (place,) = np.argwhere(own_pixels(layer.data, ledger.get(layer)))
    assert place.tolist() == [0, 0]
    unknown = own_pixels(layer.data, None)
    assert np.array_equal(unknown, layer.data != 0)


def test_a_basis_tells_changed_labels():
    labels = LAYERS["labels"]()
    basis = Basis.take(labels, [])
    assert basis.is_equal(Basis.take(labels, []))
    labels.data[0, 0] = 5
    assert not basis.is_equal(Basis.take(labels, []))
    assert basis.labels() is labels
