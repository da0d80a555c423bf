"""Runs of the worker process: from a request to its last event."""

from __future__ import annotations

import logging
import os
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gem.core.batch import BatchReport, ImageOutcome
from napari_gem.core.bounds import is_large
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown
from napari_gem.core.memory import free_memory
from napari_gem.core.progress import Progress
from napari_gem.core.results import Segmentation, StoredSegmentation
from napari_gem.core.validation import check_recipe, is_cluster
from napari_gem.encoding.interim import Watch
from napari_gem.images.rendering import check_image
from napari_gem.images.scene import Scene, scene_of
from napari_gem.images.valid import Filled, valid_of_values
from napari_gem.models.weight_sources import weight_source
from napari_gem.segmentation.image_cache import Encoded, ImageCache
from napari_gem.worker.arrays import load_array, save_array
from napari_gem.worker.messages import (
    PREVIEW_SIDE,
    BatchFinished,
    Compared,
    Finished,
    ImageFinished,
    Interim,
    Request,
    Storage,
    check_request,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_gem.cluster.connection import Cluster
    from napari_gem.core.results import Features, Job
    from napari_gem.images.references import ImageReference
    from napari_gem.models.card import ModelCard
    from napari_gem.models.model import Model
    from napari_gem.segmentation.job import Resources
    from napari_gem.segmentation.writing import Filling
    from napari_gem.worker.messages import BatchImage, BatchOrder

Answer = Finished | Compared | BatchFinished

_log = logging.getLogger(__name__)

AGAIN = "The image is no longer encoded. Press Run to encode it again."


class LostImageError(GemError):
    """The encoded image that was asked for is not there any more."""


class Session:
    """Runs requests one after the other, and keeps what the next may need.

    Maps are written to the folder; the storage bounds what is kept of encoded images.
    """

    def __init__(self, folder: Path, storage: Storage | None = None) -> None:
        self._storage = storage or Storage()
        self.images = ImageCache(self._storage.memory << 20)
        self._folder = folder
        self._model: Model | None = None
        self._model_key: object = None

    def steps(
        self, request: Request
    ) -> Generator[Progress | Interim | ImageFinished, None, Answer]:
        """Run a request, with a yield wherever it can be stopped.

        Raises
        ------
        GemError
            As `napari_gem.segmentation.job` and `napari_gem.models.find`.
        """
        from napari_gem.cluster.placing import connect_steps

        check_request(request)
        if request.batch is not None:
            return (yield from self._batch_steps(request, request.batch))
        if request.image is not None:
            return (yield from self._batch_image_steps(request, request.image))
        # words of an encoded image need no cluster, which may be gone by now
        place = "" if request.encoded else request.job.device
        cluster = yield from connect_steps(place)
        with cluster or nullcontext():
            resources = self._resources(request, cluster)
            if request.encoded:
                encoded = self.images.find(request.encoded)
                if encoded is None or self._model is None:
                    raise LostImageError(AGAIN)
                encoded = replace(encoded, name=request.encoded, is_new=False)
                if request.order is not None:
                    return (yield from self._compare_steps(request, encoded))
            else:
                scene = _open(request)
                check_image(scene.levels[0], request.job.appearance)
                yield from self._load_steps(request)
                encoded = yield from self._encode_steps(request, scene, resources)
            fill = resources.place.filling
            return (yield from self._score_steps(request, encoded, fill))

    def _batch_steps(
        self, request: Request, order: BatchOrder
    ) -> Generator[Progress | ImageFinished, None, BatchFinished]:
        """Follow a recipe for many files; its model takes the place of the last one."""
        from napari_gem.images.listing import list_images
        from napari_gem.segmentation.batch import batch_steps
        from napari_gem.segmentation.replay import (
            load_recipe_model_steps,
            recipe_batch,
        )

        yield Progress("Looking for images")
        images = list_images(order.places, order.pattern)
        folder = Path(order.folder)
        check_recipe(order.recipe)
        self.forget()
        model = yield from load_recipe_model_steps(
            order.recipe,
            device=request.job.device,
            download=request.download,
            # the words and settings of the dock, which nobody has run yet
            other_weights=not order.recipe.revision,
        )
        recipe = replace(order.recipe, revision=model.revision)
        batch = recipe_batch(recipe, images.paths, folder, order.options)
        with closing(batch_steps(batch, model)) as steps:
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    report: BatchReport = end.value
                    break
                if isinstance(step, ImageOutcome):
                    yield ImageFinished(request.run, step)
                else:
                    yield step
        notices = (*images.notices, *report.notices)
        return BatchFinished(request.run, replace(report, notices=notices))

    def _batch_image_steps(
        self, request: Request, image: BatchImage
    ) -> Generator[Progress, None, BatchFinished]:
        """Do one image of a batch; the model stays for the next."""
        from napari_gem.models.find import load_model_steps
        from napari_gem.segmentation.batch import Batch, ImagePlace, image_steps

        where = request.job.device, image.precision
        key = image.card, where, image.revision
        if self._model is None or self._model_key != key:
            self._model = yield from load_model_steps(
                image.card, device=where[0], precision=where[1]
            )
            self._model_key = key
        if self._model.revision != image.revision:
            raise GemError("The model's file has changed since the batch began.")
        path = Path(os.fsdecode(image.path.encode("latin-1")))
        how = image.asked, image.options, image.outlines
        batch = Batch((path,), Path(image.folder), *how)
        place = ImagePlace(0, path, image.name)
        outcome = yield from image_steps(batch, self._model, image.key, place)
        # what is no text cannot be sent; who asked knows the path
        outcome = replace(outcome, path="", problem=shown(outcome.problem))
        return BatchFinished(request.run, BatchReport(image.folder, (outcome,)))

    def _resources(self, request: Request, cluster: Cluster | None) -> Resources:
        from napari_gem.cluster.placing import ClusterPlace
        from napari_gem.encoding.feature_cache import FeatureCache
        from napari_gem.segmentation.job import Resources

        storage = self._storage
        resources = Resources(memory=self.images)
        if storage.disk:
            folder, limit = storage.folder or None, storage.disk << 30
            resources = replace(resources, disk=lambda: FeatureCache(folder, limit))
        if cluster is not None:
            precision = request.job.precision
            place = ClusterPlace(
                cluster,
                precision,
                lambda: _reference(request),
                has_mask=not request.valid,
            )
            resources = replace(resources, place=place)
        return resources

    def _load_steps(self, request: Request) -> Generator[Progress, None, None]:
        """Load the model of a request, unless it is loaded already."""
        from napari_gem.models.find import find_model
        from napari_gem.segmentation.job import load_steps

        job = request.job
        card = find_model(job.model, job.architecture)
        # on a cluster's behalf the model only reads words here
        where = (
            ("auto", "auto") if is_cluster(job.device) else (job.device, job.precision)
        )
        key = (card, where, _files_state(card))
        if self._model is not None and self._model_key == key:
            return
        if self._model is not None:
            self._model = None  # two models at once may not fit
            free_memory()
        # what another model encoded cannot be compared with this one's words
        self.images.forget_names()
        self._model = yield from load_steps(job, download=request.download)
        self._model_key = key

    def _encode_steps(
        self, request: Request, scene: Scene, resources: Resources
    ) -> Generator[Progress | Interim, None, Encoded]:
        """Encode the image; of a large one, tell between tiles what is known of it."""
        from napari_gem.segmentation.job import encode_job_steps

        model, job = self._loaded(), request.job
        if request.detail:
            zoom = model.backbone.patch_size / request.detail
            encode = replace(job.encode or model.card.encode, zoom=zoom)
            job = replace(job, encode=encode)
        watch = Watch() if request.folder and _has_words(job) else None
        resources = replace(resources, watch=watch)
        large = bool(request.folder)
        pixels, valid = scene.levels[0], scene.mask
        steps = encode_job_steps(
            job, pixels, model, resources, large=large, valid=valid
        )
        if watch is None:
            return (yield from steps)
        looks = 0
        with closing(steps):
            while True:
                try:
                    yield next(steps)
                except StopIteration as end:
                    encoded: Encoded = end.value
                    return encoded
                if (seen := watch.look()) is not None:
                    looks += 1
                    seen = replace(seen, valid=valid)
                    preview = self._look(request, seen, looks)
                    if preview is not None:
                        yield Interim(request.run, preview)

    def _look(self, request: Request, seen: Features, number: int) -> Finished | None:
        """Score the features that are there so far; None if that fails."""
        from napari_gem.core.progress import run

        score = replace(request.job.score or self._loaded().card.score, refinement=0)
        prompts = tuple(replace(one, examples=()) for one in request.job.prompts)
        job = replace(request.job, score=score, prompts=prompts, region=seen.region)
        glance = replace(request, job=job, preview=True)
        try:
            return run(self._score_steps(glance, Encoded(seen), number=number))
        except Exception:  # noqa: BLE001 (the result is still to come)
            _log.warning("A look at the image failed.", exc_info=True)
            return None

    def _score_steps(
        self,
        request: Request,
        encoded: Encoded,
        fill: Filling | None = None,
        number: int = 0,
    ) -> Generator[Progress, None, Finished]:
        """Score an encoded image, with maps in files of that number or in a folder."""
        from napari_gem.segmentation.job import score_job_steps

        model, job, features = self._loaded(), request.job, encoded.features
        folder = None if request.preview or not request.folder else request.folder
        step = 1
        if request.preview:
            step = -(-max(features.image_shape) // PREVIEW_SIDE)
            if is_large(features.image_shape):  # refinement would read the whole image
                score = replace(job.score or model.card.score, refinement=0)
                job = replace(job, score=score)
        result = yield from score_job_steps(
            job,
            model,
            encoded,
            folder=Path(folder) if folder else None,
            step=step,
            filling=fill,
        )
        if isinstance(result, Segmentation):
            yield Progress("Writing maps")
            result = self._save(result, features, f"{number}-{request.run}.npy")
        return Finished(
            request.run,
            result,
            encoded.is_new,
            encoded=encoded.name,
            step=step,
            folder=folder or "",
        )

    def _compare_steps(
        self, request: Request, encoded: Encoded
    ) -> Generator[Progress, None, Compared]:
        """Compare words on an encoded image, with their maps in a file."""
        from napari_gem.segmentation.compare_words import compare_steps

        order, job = request.order, request.job
        labels = [prompt.label for prompt in job.prompts]
        if order is None or order.label not in labels:
            raise GemError("The class of these words is not in the table any more.")
        done = yield from compare_steps(
            self._loaded(),
            encoded.features,
            job.prompts,
            labels.index(order.label),
            order.words,
            job.score,
            encoded.scores,
        )
        path = self._folder / f"compared-{request.run}.npy"
        save_array(path, np.stack([done.probabilities, done.winners]))
        return Compared(request.run, done.compared, str(path))

    def _save(
        self, result: Segmentation, features: Features, ending: str
    ) -> StoredSegmentation:
        probabilities = self._folder / f"probabilities-{ending}"
        labels = self._folder / f"labels-{ending}"
        save_array(probabilities, result.probabilities)
        save_array(labels, result.labels)
        return StoredSegmentation(
            labels=str(labels),
            probabilities=str(probabilities),
            shape=features.image_shape,
            patch=features.patch,
            recipe=result.recipe,
            notices=result.notices,
            shares=result.shares,
            absent=result.absent,
        )

    def _loaded(self) -> Model:
        if self._model is None:
            raise LostImageError(AGAIN)
        return self._model

    def forget(self) -> None:
        """Give memory back: the model and all images."""
        self._model = None
        self.images.clear()
        free_memory()


def _scene_of_copy(pixels: NDArray[Any], request: Request) -> Scene:
    """Say where pixels hold data; previews of large images note it while they read."""
    if request.valid:
        mask = load_array(Path(request.valid), mapped=True)
        return Scene((pixels,), valid=(mask,))
    valid = valid_of_values(pixels, rgb=request.job.appearance.rgb)
    if valid is None or not is_large(pixels.shape):
        return scene_of(pixels)
    return Scene((Filled(pixels, valid, fill=False),), valid=(valid,))


def _open(request: Request) -> Scene:
    if request.reference is None:
        pixels = load_array(Path(request.pixels), mapped=True)
        return _scene_of_copy(pixels, request)
    from napari_gem.images.references import open_referenced_scene

    scene = open_referenced_scene(request.reference)
    if scene is None:
        raise GemError(
            f"The image in '{request.reference.path}' is not what was shown. Look "
            "whether it is still there, or open it again."
        )
    return scene


def _reference(request: Request) -> ImageReference | None:
    """Say where the image is, for the workers of a cluster."""
    from napari_gem.images.references import make_reference

    if request.reference is not None:
        return request.reference
    return make_reference(load_array(Path(request.pixels), mapped=True), request.pixels)


def _has_words(job: Job) -> bool:
    return all(prompt.words for prompt in job.prompts)


def _files_state(card: ModelCard) -> object:
    """Tell when somebody wrote new weights to the place of the old ones."""
    path = weight_source(card).own_path
    if path is None:
        return None
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    states = [(file, file.stat()) for file in files]
    return [(file.name, state.st_mtime_ns, state.st_size) for file, state in states]
