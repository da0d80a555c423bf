"""The built wheel beside napari in an empty environment, used as by a new user.

``python tests/wheel.py wheel-BINDING-VERSIONS [REQUIREMENT ...]``, as tox calls it
with the name of its environment. BINDING is ``pyqt6`` or ``pyside6``. VERSIONS is
``newest``, ``lowest`` (the oldest that ``pyproject.toml`` allows) or ``pre``.
Requirements, such as ``torch==2.13.0``, narrow what may be installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
BINDINGS = {"pyqt6": "PyQt6", "pyside6": "PySide6"}
VERSIONS = ("newest", "lowest", "pre")

BROKEN = "PySide6!=6.12.0; python_version < '3.12'"
"""It loses references of None, True and False, which ends Python 3.11 with any dock."""


def call(*command: str | Path) -> None:
    """Run a command, or end as it did."""
    print("$", *command, flush=True)
    status = subprocess.run(command).returncode
    if status:
        sys.exit(status)


def make_environment(folder: Path) -> Path:
    """Make an empty environment; return its Python."""
    venv.create(folder, clear=True, with_pip=True)
    if os.name == "nt":
        return folder / "Scripts" / "python.exe"
    return folder / "bin" / "python"


def write_oldest(path: Path, requirements: tuple[str, ...]) -> None:
    """Write the oldest versions that `pyproject.toml` allows, of all that it names.

    What it does not name, such as the Qt binding, is the newest that fits.
    """
    asked = path.with_suffix(".in")
    asked.write_text("\n".join(requirements), encoding="utf-8")
    oldest = ["--resolution", "lowest-direct", "--python", sys.executable]
    project = ["--extra", "napari", ROOT / "pyproject.toml", asked]
    uv = [sys.executable, "-m", "uv", "pip", "compile", "-q", "--no-header"]
    call(*uv, *oldest, *project, "-o", path)


def install(
    python: Path, wheel: Path, binding: str, versions: str, limits: Path
) -> None:
    """Install napari with a Qt binding, then the wheel as a user does."""
    pip = [python, "-m", "pip", "install", "-qq", "-c", limits]
    pip += ["--pre"] if versions == "pre" else []
    call(*pip, "napari", binding)
    call(*pip, wheel)
    call(python, "-m", "pip", "check")


def use(python: Path, folder: Path, binding: str) -> int:
    """Run `installed.py` outside of the checkout; tracebacks are failures, too."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment |= {"QT_API": binding, "NAPARI_ENSURE_PLUGIN_MAIN_THREAD": "1"}
    environment["NAPARI_CONFIG"] = str(folder / "settings.yaml")
    script = Path(__file__).with_name("installed.py")
    errors = folder / "errors.txt"
    with errors.open("wb") as file:
        status = subprocess.run(
            [python, "-I", script], cwd=folder, env=environment, stderr=file
        ).returncode
    said = errors.read_text(encoding="utf-8", errors="replace")
    print(said, file=sys.stderr)
    if status:
        print(f"installed.py ended with {status}.", file=sys.stderr)
        return 1
    return int("Traceback" in said)


def main(name: str, *requirements: str) -> int:
    """Build, install and use the wheel."""
    _wheel, binding, versions = name.split("-")
    if binding not in BINDINGS or versions not in VERSIONS:
        sys.exit(f"There is no '{name}'.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        pip = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps"]
        call(*pip, "-w", folder, ROOT)
        (wheel,) = folder.glob("*.whl")
        limits = folder / "limits.txt"
        if versions == "lowest":
            write_oldest(limits, requirements)
        else:
            limits.write_text("\n".join(requirements), encoding="utf-8")
        with limits.open("a", encoding="utf-8") as file:
            file.write(f"\n{BROKEN}\n")
        python = make_environment(folder / "environment")
        install(python, wheel, BINDINGS[binding], versions, limits)
        return use(python, folder, binding)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
