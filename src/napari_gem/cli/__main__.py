"""Where the command line begins, also as ``python -m napari_gem.cli``.

Little is loaded before `main`, so that Ctrl-C ends it without a traceback from then on.
"""

import sys

from napari_gem.cli import STOPPED


def main() -> None:
    """Load the command line and run it."""
    try:
        from napari_gem.cli.app import main as run

        run()
    except KeyboardInterrupt:  # typer catches it only while a command runs
        sys.stderr.write("Aborted!\n")
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()
