"""What must not be imported where: torch in the viewer, napari in the core."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"


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


def names_of_modules() -> dict[str, Path]:
    paths = sorted(SOURCE.glob("napari_gem/**/*.py"))
    inside = {path: path.relative_to(SOURCE).with_suffix("").parts for path in paths}
    return {
        ".".join(parts[:-1] if parts[-1] == "__init__" else parts): path
        for path, parts in inside.items()
    }


def imports_of(path: Path) -> Iterator[str]:
    """Everything that a module imports, also in functions and for types only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = names_of_modules()
    needed = {
        name: {other for other in imports_of(path) if other in modules} - {name}
        for name, path in modules.items()
    }
    order = list(TopologicalSorter(needed).static_order())  # or raises CycleError
    assert len(order) == len(modules)
