"""``python -m napari_gem.cli``."""

from napari_gem.cli.app import main

main()
