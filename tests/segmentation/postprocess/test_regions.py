from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import label

from napari_gem.core.progress import run
from napari_gem.segmentation.postprocess.regions import count_steps


@given(st.integers(1, 30), st.integers(1, 12), st.integers(1, 9))
def test_bands_count_what_the_whole_has(height: int, width: int, band: int) -> None:
    rng = np.random.default_rng(height * width)
    labels = rng.choice([0, 1, 1, 7], (height, width)).astype(np.uint8)
    rows = [slice(at, min(at + band, height)) for at in range(0, height, band)]
    counted = run(count_steps(labels, rows))
    expected = {
        int(number): (
            int((labels == number).sum()),
            int(label(labels == number, connectivity=1).max()),
        )
        for number in np.unique(labels)
        if number
    }
    assert counted == expected
