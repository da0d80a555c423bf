"""A client that is driven by hand."""

from __future__ import annotations

import threading

import numpy as np
from napari.components import ViewerModel

from napari_gem.core.parameters import EncodeParameters, ScoreParameters
from napari_gem.core.results import Recipe, StoredSegmentation
from napari_gem.widget.dock import GemWidget
from napari_gem.widget.run.controller import Controller
from napari_gem.worker.messages import Finished

PATCH = 4.0


def hand_driven_dock(qtbot):
    """Make a viewer, its dock, and the client by which a test drives the dock."""
    viewer, clients = ViewerModel(), []

    def make_client(on_event):
        clients.append(HandClient(on_event))
        return clients[0]

    widget = GemWidget(viewer, Controller(viewer, make_client))
    qtbot.addWidget(widget)
    return viewer, widget, clients[0]


class HandClient:
    """Notes what it is told and sends events when the test says so."""

    def __init__(self, on_event):
        self.on_event = on_event
        self.requests = []
        self.pixels = []
        self.large = []
        self.cancels = 0
        self.closed = 0
        self.loading, self.loaded = threading.Event(), threading.Event()
        self.loaded.set()
        self.error = None
        self.label = 1  # of every pixel

    process_id = None

    def start(self):
        pass

    def submit(self, pixels, request, *, large=False):
        self.large.append(large)
        read = None if pixels is None else np.asarray(pixels()[:])
        self.pixels.append(self.pixels[-1] if read is None else read)
        self.requests.append(request)
        return len(self.requests)

    def cancel(self):
        self.cancels += 1

    def close(self):
        self.closed += 1

    def load_maps(self, finished):
        assert threading.current_thread() is not threading.main_thread()
        self.loading.set()
        assert self.loaded.wait(10)
        if self.error is not None:
            raise self.error
        count = len(finished.result.recipe.prompts)
        shape = self.pixels[finished.run - 1].shape[:2]
        shape = tuple(-(-length // finished.step) for length in shape)
        maps = np.full((count, *shape), 0.5, np.float32)
        return maps, np.full(shape, self.label, np.uint8)

    def send(self, event, wait=True):
        """From a thread of its own, as the real one does."""
        thread = threading.Thread(target=self.on_event, args=(event,))
        thread.start()
        if wait:
            thread.join()

    def finished(self, run, notices=(), step=1, folder="", *, shares=(), absent=()):
        request = self.requests[run - 1]
        recipe = Recipe(
            version="0",
            model=request.job.model,
            revision="abc",
            prompts=request.job.prompts,
            encode=EncodeParameters(),
            score=ScoreParameters(),
            appearance=request.job.appearance,
            device="cpu",
            precision="float32",
            patch=PATCH,
            region=request.job.region,
        )
        result = StoredSegmentation(
            labels="l.npy",
            probabilities="p.npy",
            shape=self.pixels[run - 1].shape[:2],
            patch=PATCH,
            recipe=recipe,
            notices=notices,
            shares=shares or (1.0, *[0.0] * (len(request.job.prompts) - 1)),
            absent=absent,
        )
        return Finished(
            run,
            result,
            is_new=not request.encoded,
            encoded=request.encoded or f"image {run}",
            step=step,
            folder=str(folder),
        )
