"""A batch in the worker's session."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import napari_gem
from napari_gem.core.batch import BatchOptions
from napari_gem.core.progress import Progress
from napari_gem.worker.messages import (
    BatchFinished,
    BatchOrder,
    ImageFinished,
    Request,
    from_line,
    to_line,
)
from napari_gem.worker.session import Session

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_a_session_follows_a_recipe_for_a_folder(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 56, 3)).astype(np.uint8)
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(tmp_path / "images" / name)
    (tmp_path / "images/b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = napari_gem.segment(pixels, ["nuclei", "filaments"])
    order = BatchOrder(
        result.recipe,
        (str(tmp_path / "images"),),
        str(tmp_path / "out"),
        options=BatchOptions(resume=True),
    )
    job = replace(result.recipe, device="cpu")
    request = from_line(to_line(Request(1, job, batch=order)))
    assert isinstance(request, Request)
    steps = Session(tmp_path).steps(request)
    events: list[object] = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            last = end.value
            break
    assert isinstance(last, BatchFinished)
    assert from_line(to_line(last)) == last
    came = [event for event in events if isinstance(event, ImageFinished)]
    assert [event.outcome.state for event in came] == ["done", "failed"]
    assert all(isinstance(e, Progress | ImageFinished) for e in events)
    assert (tmp_path / "out/report.csv").exists()
    labels = napari_gem.read_image(tmp_path / "out/a/labels.tif").pixels
    assert np.array_equal(labels, result.labels)
