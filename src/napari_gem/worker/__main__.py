"""``python -m napari_gem.worker``: the process of `napari_gem.worker.client`."""

from napari_gem.worker.serve import main

main()
