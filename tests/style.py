"""Check style, types and import contracts side by side, and print what each said."""

from __future__ import annotations

import subprocess
import sys

COMMANDS = "mypy", "lint-imports", "ruff check .", "ruff format --check ."


def main() -> int:
    """Return 1 if a check failed, else 0."""
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    running = [subprocess.Popen(command.split(), **quiet) for command in COMMANDS]
    failed = 0
    for command, process in zip(COMMANDS, running, strict=True):
        said, _ = process.communicate()
        print(f"--- {command}\n{said}", flush=True)
        failed |= process.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
