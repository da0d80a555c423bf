"""An old napari that is installed, as far as anybody may look at it."""

from __future__ import annotations

from pathlib import Path


def pretend(folder: Path, version: str) -> None:
    """Make a folder for the path of Python with a napari that cannot be imported."""
    metadata = folder / f"napari-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(
        f"Metadata-Version: 2.1\nName: napari\nVersion: {version}\n", encoding="utf-8"
    )
    package = folder / "napari" / "__init__.py"
    package.parent.mkdir()
    package.write_text("raise ImportError('napari was imported')\n", encoding="utf-8")
