"""What must not be imported where: torch in the viewer, napari in the core."""

from __future__ import annotations

import subprocess
import sys

import pytest


def imported(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    names = set(done.stdout.split())
    return names | {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    "statement",
    [
        "import napari_gem",
        "import napari_gem.cli.app, napari_gem.cli.cluster",
        "import napari_gem.worker.client",
        "import napari_gem.layers",
        "import napari_gem.models.find; napari_gem.models.find.list_models()",
        "import napari_gem.scoring.text, napari_gem.images.samples",
    ],
)
def test_light_parts_load_nothing_heavy(statement: str) -> None:
    heavy = {
        "distributed",
        "torch",
        "torchvision",
        "open_clip",
        "napari",
        "qtpy",
        "PyQt6",
        "scipy",
        "skimage",
    }
    assert not imported(statement) & heavy


def test_the_library_needs_no_napari() -> None:
    loaded = imported("from napari_gem import encode, load_model; load_model()")
    assert "torch" in loaded
    assert not loaded & {"napari", "qtpy", "PyQt6", "magicgui"}


def test_the_dock_loads_no_torch_and_no_part_that_computes() -> None:
    loaded = imported("import napari_gem.widget.dock")
    assert not loaded & {"torch", "torchvision", "open_clip"}
    # scipy.sparse and more: a third of a second that nobody waits for
    assert not loaded & {
        "napari_gem.encoding.encode",
        "napari_gem.segmentation.segment",
    }
