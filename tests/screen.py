"""Run a command with a screen for Qt.

``python tests/screen.py [--always] COMMAND ...`` installs what Qt and a virtual screen
need on Debian and Ubuntu if it is missing and may be installed, starts Xvfb on Linux
where there is no screen (with ``--always`` also where there is one, so that tests open
no windows), and runs the command.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from ctypes.util import find_library

PACKAGES = """
xvfb libegl1 libopengl0 libgl1 libgl1-mesa-dri libxkbcommon-x11-0 libxcb-cursor0
libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0
libxcb-xinerama0 libxcb-shape0 libdbus-1-3 libfontconfig1
""".split()
LIBRARIES = "EGL OpenGL GL xkbcommon-x11 xcb-cursor xcb-icccm xcb-image".split()


def missing(need_xvfb: bool) -> bool:
    """Tell whether Qt's libraries or Xvfb are missing."""
    return any(find_library(name) is None for name in LIBRARIES) or (
        need_xvfb and shutil.which("Xvfb") is None
    )


def install() -> None:
    """Install the packages, or end with one line that names them."""
    line = f"apt-get install --no-install-recommends {' '.join(PACKAGES)}"
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        sys.exit(f"Qt needs system packages. On Debian or Ubuntu: sudo {line}")
    print(f"Installing system packages for Qt: {line}", flush=True)
    quiet = {"stdout": subprocess.DEVNULL, "check": True}
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, **quiet)
    subprocess.run([*line.split(), "-y", "-qq"], env=environment, **quiet)


def start_xvfb() -> tuple[subprocess.Popen[bytes], str]:
    """Start Xvfb on a display number of its own choice."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24"]
    server = subprocess.Popen(
        [*command, "-nolisten", "tcp"], pass_fds=[write], stderr=subprocess.DEVNULL
    )
    os.close(write)
    with os.fdopen(read) as pipe:
        number = pipe.readline().strip()
    if not number:
        sys.exit("Xvfb did not start; run it by hand to see why.")
    return server, f":{number}"


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    always = arguments[:1] == ["--always"]
    command = arguments[1:] if always else arguments
    if sys.platform != "linux":
        return subprocess.run(command).returncode
    has_screen = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    virtual = always or not has_screen
    if missing(need_xvfb=virtual):
        install()
    if not virtual:
        return subprocess.run(command).returncode
    server, display = start_xvfb()
    environment = {**os.environ, "DISPLAY": display, "NAPARI_GEM_VIRTUAL_SCREEN": "1"}
    environment.pop("WAYLAND_DISPLAY", None)
    try:
        return subprocess.run(command, env=environment).returncode
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
