from __future__ import annotations

from pathlib import Path

import pytest

from napari_gem.models.find import load_model
from napari_gem.models.model import Model
from training.make_folder import write_folder


@pytest.fixture(scope="session")
def model() -> Model:
    return load_model("embedded", device="cpu", precision="float32")


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "scenes", "aerial", 4, side=64)
