from __future__ import annotations

import numpy as np
import pytest

from napari_gem.postprocess.largest import label_type, largest


def test_background_is_zero_and_classes_count_from_one() -> None:
    maps = np.array([[[0.6, 0.1, 0.2]], [[0.3, 0.8, 0.2]], [[0.1, 0.1, 0.6]]])
    labels = largest(maps.astype(np.float32))
    assert labels.tolist() == [[1, 2, 0]]
    assert labels.dtype == np.uint8


@pytest.mark.parametrize(("classes", "dtype"), [(255, np.uint8), (256, np.uint16)])
def test_every_class_has_a_label(classes: int, dtype: type) -> None:
    assert label_type(classes) is dtype
    maps = np.zeros((classes + 1, 1, 1), np.float32)
    maps[classes - 1] = 1
    assert largest(maps)[0, 0] == classes
