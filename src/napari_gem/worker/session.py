"""Runs of the worker process: from a request to its last event."""

from __future__ import annotations

import hashlib
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError
from napari_gem.core.memory import (
    free_memory,
)
from napari_gem.core.progress import Progress
from napari_gem.core.region import Region
from napari_gem.core.validation import check_request
from napari_gem.encoding.interim import Watch
from napari_gem.images.rendering import check_image
from napari_gem.scoring.cache import ScoreCache
from napari_gem.worker.arrays import load_array, save_array
from napari_gem.worker.image_cache import EncodedImage, ImageCache, Part
from napari_gem.worker.messages import (
    PREVIEW_SIDE,
    Finished,
    Interim,
    Request,
    Storage,
)
from napari_gem.worker.process import _log

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_gem.cluster.connection import Cluster
    from napari_gem.core.appearance import Appearance
    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.parameters import EncodeParameters
    from napari_gem.core.results import Features
    from napari_gem.encoding.feature_cache import FeatureCache
    from napari_gem.encoding.scheduling import Schedule
    from napari_gem.images.references import ImageReference
    from napari_gem.models.card import ModelCard
    from napari_gem.models.find import Model

    Encoding = Generator[Progress, None, tuple[Features, bool]]


AGAIN = "The image is no longer encoded. Press Run to encode it again."


class LostImageError(GemError):
    """The encoded image that was asked for is not there any more."""


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What is to be encoded; the digest is that of all pixels."""

    pixels: LazyArray
    appearance: Appearance
    parameters: EncodeParameters
    region: Region | None
    digest: str
    schedule: Schedule | None


class Session:
    """Runs requests, one after the other, and keeps what the next may need.

    Parameters
    ----------
    folder
        Where the maps are written.
    storage
        Room that encoded images may take.
    """

    def __init__(self, folder: Path, storage: Storage | None = None) -> None:
        self._storage = storage or Storage()
        self.images = ImageCache(self._storage.memory << 20)
        self._folder = folder
        self._model: Model | None = None
        self._model_key: object = None
        self._names: dict[str, tuple[str, Region | None]] = {}

    def steps(self, request: Request) -> Generator[Progress | Interim, None, Finished]:
        """Run a request, with a yield wherever it can be stopped.

        Raises
        ------
        GemError
            As `napari_gem.segmentation.pipeline` and `napari_gem.models.find`.
        """
        from napari_gem.cluster.placing import connect_steps

        check_request(request)
        encoded = not request.image
        # words of an encoded image need no cluster, which may be gone by now
        place = "" if request.image else request.device
        cluster = yield from connect_steps(place)
        with cluster or nullcontext():
            if request.image:
                name, part = request.image, self._encoded(request.image)
            else:
                name, part, encoded = yield from self._encode_steps(request, cluster)
            model = self._model
            if model is None:
                raise LostImageError(AGAIN)
            if request.folder and not request.preview:
                features = part.features
                result = yield from self._store_steps(model, request, features, cluster)
            else:
                result = yield from self._score_steps(model, request, part)
        recipe = replace(result.recipe, region=request.region)
        return replace(result, recipe=recipe, encoded=encoded, image=name)

    def _store_steps(
        self,
        model: Model,
        request: Request,
        features: Features,
        cluster: Cluster | None,
    ) -> Generator[Progress, None, Finished]:
        """Write labels and probabilities of a large image to its folder."""
        from napari_gem.cluster.placing import who_fills
        from napari_gem.segmentation.large import segment_large_steps

        stored = yield from segment_large_steps(
            model,
            features,
            request.prompts,
            Path(request.folder),
            request.score,
            request.label,
            pixel_size=request.pixel_size or (1.0, 1.0),
            unit=request.unit,
            filling=who_fills(cluster, _reference(request) if cluster else None),
        )
        return Finished(
            run=request.run,
            probabilities="",
            labels="",
            recipe=stored.recipe,
            notices=stored.notices,
            encoded=False,
            shares=stored.shares,
            absent=stored.absent,
            patch=features.patch,
            folder=request.folder,
        )

    def _score_steps(
        self, model: Model, request: Request, part: Part, number: int = 0
    ) -> Generator[Progress, None, Finished]:
        """Score an encoded image, with maps in files of that number."""
        from napari_gem.images.tile_reading import HELD_PIXELS
        from napari_gem.segmentation.pipeline import segment_steps

        features, score = part.features, request.score or model.card.score
        side = max(features.image_shape)
        step = -(-side // PREVIEW_SIDE) if request.preview else 1
        if request.preview and prod(features.image_shape) > HELD_PIXELS:
            score = replace(score, refinement=0)  # it would read the whole image
        result = yield from segment_steps(
            model,
            features,
            request.prompts,
            score,
            request.label,
            step=step,
            cache=part.scores,
        )
        yield Progress("Writing maps")
        ending = f"{number}-{request.run}.npy"
        probabilities = self._folder / f"probabilities-{ending}"
        labels = self._folder / f"labels-{ending}"
        save_array(probabilities, result.probabilities)
        save_array(labels, result.labels)
        return Finished(
            run=request.run,
            probabilities=str(probabilities),
            labels=str(labels),
            recipe=result.recipe,
            notices=result.notices,
            encoded=False,
            step=step,
            shares=result.shares,
            absent=result.absent,
            patch=features.patch,
        )

    def _looking_steps(
        self, steps: Encoding, model: Model, request: Request, watch: Watch
    ) -> Generator[Progress | Interim, None, tuple[Features, bool]]:
        """Encode, and tell between tiles what is known of a large image."""
        from napari_gem.core.progress import run

        number = 0
        with closing(steps):
            while True:
                try:
                    yield next(steps)
                except StopIteration as end:
                    found: tuple[Features, bool] = end.value
                    return found
                interim = None
                try:
                    seen = watch.look()
                    if seen is not None:
                        number += 1
                        part = Part(seen, ScoreCache())
                        glance = _at_a_glance(model, request)
                        looking = self._score_steps(model, glance, part, number)
                        interim = Interim(request.run, run(looking))
                except Exception:  # noqa: BLE001 (the result is still to come)
                    _log.warning("A look at the image failed.", exc_info=True)
                if interim is not None:
                    yield interim

    def _encode_steps(
        self, request: Request, cluster: Cluster | None
    ) -> Generator[Progress | Interim, None, tuple[str, Part, bool]]:
        """Encode what is asked, unless it is encoded already."""
        from napari_gem.cluster.placing import place_steps
        from napari_gem.images.tile_reading import hash_steps, held_picture
        from napari_gem.segmentation.pipeline import restrict

        pixels = _open(request)
        check_image(pixels, request.appearance)
        model = yield from self._load_steps(request)
        model, schedule = yield from place_steps(
            cluster, model, request.precision, lambda: _reference(request)
        )
        parameters = request.encode or model.card.encode
        if request.detail:
            zoom = model.backbone.patch_size / request.detail
            parameters = replace(parameters, zoom=zoom)
        found = yield from hash_steps(pixels)
        used = (model.card.id, model.revision, model.device, model.precision)
        key = _digest(found, request.appearance, used, parameters)
        image = self.images.get(key)
        region = request.region
        if region == Region((0, pixels.shape[0]), (0, pixels.shape[1])):
            region = None
        new = False
        if region not in image.parts and None in image.parts:
            whole = image.parts[None]
            image.add(region, Part(restrict(whole.features, region), whole.scores))
        elif region not in image.parts:
            what = _Wanted(
                pixels, request.appearance, parameters, region, found, schedule
            )
            watch = Watch() if request.folder and _has_words(request) else None
            steps = self._features_steps(model, what, image, watch)
            if watch is None:
                features, new = yield from steps
            else:
                features, new = yield from self._looking_steps(
                    steps, model, request, watch
                )
            # the file of the pixels goes away; of large ones what is open stays
            if not request.folder:
                features = replace(features, picture=held_picture(features.picture))
            image.add(region, Part(features, ScoreCache()))
        self._names = {name: at for name, at in self._names.items() if at[0] != key}
        name = _digest(key, region)
        self._names[name] = key, region
        return name, image.parts[region], new

    def _features_steps(
        self,
        model: Model,
        wanted: _Wanted,
        image: EncodedImage,
        watch: Watch | None = None,
    ) -> Generator[Progress, None, tuple[Features, bool]]:
        """Find features on disk or encode; tell whether they are new."""
        from napari_gem.encoding.feature_cache import CacheError
        from napari_gem.segmentation.pipeline import encode_steps

        what = wanted.pixels, wanted.appearance, wanted.parameters
        notice = ""
        try:
            stored = self._stored()
            if stored is not None:
                features = yield from stored.find_steps(
                    model, *what, region=wanted.region, digest=wanted.digest
                )
                if features is not None:
                    return features, False
                features = yield from stored.encode_steps(
                    model,
                    *what,
                    region=wanted.region,
                    partial=image.partial,
                    digest=wanted.digest,
                    schedule=wanted.schedule,
                    watch=watch,
                )
                return features, True
        except CacheError as error:
            notice = f"{error} The encoded image is kept in memory only."
        features = yield from encode_steps(
            model,
            *what,
            region=wanted.region,
            partial=image.partial,
            schedule=wanted.schedule,
            watch=watch,
        )
        if notice:
            features = replace(features, notices=(*features.notices, notice))
        return features, True

    def _stored(self) -> FeatureCache | None:
        """Images that were encoded earlier, if they are to be kept."""
        from napari_gem.encoding.feature_cache import FeatureCache

        if not self._storage.disk:
            return None
        return FeatureCache(self._storage.folder or None, self._storage.disk << 30)

    def _encoded(self, name: str) -> Part:
        key, region = self._names.get(name, ("", None))
        if key not in self.images or region not in self.images.get(key).parts:
            raise LostImageError(AGAIN)
        return self.images.get(key).parts[region]

    def forget(self) -> None:
        """Give memory back: the model and all images."""
        self._model = None
        self.images.clear()
        free_memory()

    def _load_steps(self, request: Request) -> Generator[Progress, None, Model]:
        from napari_gem.cluster.placing import is_cluster
        from napari_gem.models.find import find_model, load_model_steps

        if is_cluster(request.device):  # here it only reads words
            request = replace(request, device="auto", precision="auto")
        card = find_model(request.model, request.architecture)
        key = (card, request.device, request.precision, _files_state(card))
        if self._model is None or self._model_key != key:
            if self._model is not None:
                self._model = None  # two models at once may not fit
                free_memory()
            # what another model encoded cannot be compared with this one's words
            self._names.clear()
            self._model = yield from load_model_steps(
                request.model,
                device=request.device,
                precision=request.precision,
                architecture=request.architecture,
                download=request.download,
            )
            self._model_key = key
        return self._model


def _open(request: Request) -> LazyArray:
    if request.reference is None:
        return load_array(Path(request.pixels), mapped=True)
    from napari_gem.images.references import find

    pixels = find(request.reference)
    if pixels is None:
        raise GemError(
            f"The image in '{request.reference.path}' is not what was shown. Look "
            "whether it is still there, or open it again."
        )
    return pixels


def _reference(request: Request) -> ImageReference:
    """Say where the image is, for the workers of a cluster."""
    from napari_gem.images.references import refer

    if request.reference is not None:
        return request.reference
    return refer(load_array(Path(request.pixels), mapped=True), request.pixels)


def _has_words(request: Request) -> bool:
    return all(prompt.words for prompt in request.prompts)


def _at_a_glance(model: Model, request: Request) -> Request:
    """Ask for a preview of features that are still coming."""
    score = replace(request.score or model.card.score, refinement=0)
    prompts = tuple(replace(prompt, examples=()) for prompt in request.prompts)
    return replace(request, score=score, prompts=prompts, preview=True)


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _files_state(card: ModelCard) -> object:
    """Tell when somebody wrote new weights to the place of the old ones."""
    kind, _, place = card.weights.partition(":")
    if kind not in ("file", "folder"):
        return None
    path = Path(place)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    states = [(file, file.stat()) for file in files]
    return [(file.name, state.st_mtime_ns, state.st_size) for file, state in states]
