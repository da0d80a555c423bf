"""The one line from an image and words to a result.

load -> place -> encode or find -> score -> write or return. The command line, the
worker process, recipes, evaluation and the library's functions all take it, whole
(`job_steps`) or in its halves: `encode_job_steps` is costly and asks no words,
`score_job_steps` is cheap and asks no pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_gem.core.bounds import is_large
from napari_gem.core.location import location_of
from napari_gem.core.region import Region
from napari_gem.core.results import Job, Segmentation, StoredSegmentation
from napari_gem.core.validation import check_encode, check_job, check_maps, is_cluster
from napari_gem.encoding.encode import check_fits_memory, encode_steps, restrict
from napari_gem.encoding.feature_cache import CacheError, FeatureCache
from napari_gem.encoding.key import key_steps
from napari_gem.encoding.scheduling import TileWork
from napari_gem.encoding.tiles import box_of
from napari_gem.images.rendering import check_image
from napari_gem.images.tile_reading import Picture, held_picture
from napari_gem.images.valid import valid_of_values
from napari_gem.models.find import load_model_steps
from napari_gem.segmentation.image_cache import Encoded, ImageCache
from napari_gem.segmentation.large import segment_large_steps
from napari_gem.segmentation.segment import segment_steps
from napari_gem.segmentation.squashed import heat_map_steps, squash_job
from napari_gem.segmentation.writing import fill_locally

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from napari_gem.core.arrays import LazyArray
    from napari_gem.core.location import Location
    from napari_gem.core.progress import Progress
    from napari_gem.core.results import Features
    from napari_gem.encoding.encode import Partial, Watch
    from napari_gem.encoding.scheduling import Schedule
    from napari_gem.models.model import Model
    from napari_gem.segmentation.writing import Filling

NOT_KEPT = (
    "{error} The encoded image is kept in memory only; it is not kept for later runs."
)


class Place(Protocol):
    """Where tiles are encoded and large results are written."""

    def prepare_steps(
        self, model: Model, /
    ) -> Generator[Progress, None, tuple[Model, Schedule | None]]:
        """Give the model as it computes there, and who encodes the tiles."""

    @property
    def filling(self) -> Filling:
        """Who writes large results."""


class ThisProcess:
    """A `Place`: all is done here."""

    filling = staticmethod(fill_locally)

    def prepare_steps(
        self, model: Model, /
    ) -> Generator[Progress, None, tuple[Model, Schedule | None]]:
        """Give the model itself."""
        yield from ()
        return model, None


@dataclass(frozen=True, eq=False)
class Resources:
    """Where a job is done, and where encoded images are kept.

    Attributes
    ----------
    place
        This process, or a cluster.
    memory
        Encoded images of earlier jobs; None for none.
    disk
        Opens the folder of encoded images; None to keep none there.
    must_keep
        Whether the job ends with an error if the image cannot be kept on disk; else it
        is kept in memory, and a notice says so.
    watch
        Sees features while an image is encoded.
    """

    place: Place = field(default_factory=ThisProcess)
    memory: ImageCache | None = None
    disk: Callable[[], FeatureCache] | None = None
    must_keep: bool = False
    watch: Watch | None = None


def load_steps(job: Job, *, download: bool = False) -> Generator[Progress, None, Model]:
    """Load the model of a job; on a cluster's behalf it only reads words here.

    Raises
    ------
    GemError
        As `napari_gem.load_model`.
    """
    local = not is_cluster(job.device)
    return (
        yield from load_model_steps(
            job.model,
            device=job.device if local else "auto",
            precision=job.precision if local else "auto",
            architecture=job.architecture,
            download=download,
        )
    )


def job_steps(
    job: Job,
    pixels: LazyArray,
    model: Model,
    resources: Resources | None = None,
    *,
    folder: Path | None = None,
    location: Location | None = None,
    valid: LazyArray | None = None,
    overwrite: bool = True,
    source: Path | None = None,
) -> Generator[Progress, None, Segmentation | StoredSegmentation]:
    """Do a job: encode an image, or find it encoded, and segment it.

    Parameters
    ----------
    job
        What is asked.
    pixels
        (height, width), or (height, width, 3 or 4) for RGB and RGBA, or with the
        channels of the appearance as last axis; an array, or anything that is sliced
        like one.
    model
        From `load_steps`.
    resources
        None does all in this process and keeps nothing.
    folder
        Where labels and probabilities of any size are written; None makes them in
        memory.
    location
        Where the pixels lie; None takes what the job says of it.
    valid
        (height, width) bool: where the image holds data; None where it is neither NaN
        nor transparent.
    overwrite, source
        Whether results in the folder are replaced; and the file of the image, which
        they name.

    Yields
    ------
    Progress
        Wherever the job can be stopped.

    Returns
    -------
    Segmentation or StoredSegmentation
        The latter if there is a folder.

    Raises
    ------
    GemError
        If the job or the image cannot be used, or if the memory suffices for nothing.
    """
    resources = resources or Resources()
    check_job(job)
    if folder is None:
        check_image(pixels, job.appearance)
        classes = sum(prompt.on for prompt in job.prompts)
        check_maps(classes, (int(pixels.shape[0]), int(pixels.shape[1])))
    encoded = yield from encode_job_steps(
        job, pixels, model, resources, large=folder is not None, valid=valid
    )
    return (
        yield from score_job_steps(
            job,
            model,
            encoded,
            folder=folder,
            filling=resources.place.filling,
            location=location,
            overwrite=overwrite,
            source=source,
        )
    )


def encode_job_steps(
    job: Job,
    pixels: LazyArray,
    model: Model,
    resources: Resources,
    *,
    large: bool = False,
    valid: LazyArray | None = None,
) -> Generator[Progress, None, Encoded]:
    """Encode the image of a job, unless it is found; parameters as `job_steps`.

    What is ``large`` is read again, and not held in memory, when edges are refined.
    """
    check_image(pixels, job.appearance)
    asked = replace(job, encode=job.encode or model.card.encode)
    if valid is None:
        valid = valid_of_values(pixels, rgb=job.appearance.rgb)
    shape = int(pixels.shape[0]), int(pixels.shape[1])
    if job.squash:
        asked, pixels = squash_job(asked, pixels, model)
    used, schedule = yield from resources.place.prepare_steps(model)
    region = None if _is_whole(asked.region, pixels) else asked.region
    wanted = _Wanted(used, pixels, replace(asked, region=region), schedule, valid)
    _check_room(wanted, resources)
    if resources.memory is None:
        encoded = yield from _find_or_encode_steps(wanted, resources)
    else:
        encoded = yield from _remember_steps(wanted, resources, resources.memory, large)
    return replace(encoded, image_shape=shape)


def score_job_steps(
    job: Job,
    model: Model,
    encoded: Encoded,
    *,
    folder: Path | None = None,
    step: int = 1,
    filling: Filling | None = None,
    location: Location | None = None,
    overwrite: bool = True,
    source: Path | None = None,
) -> Generator[Progress, None, Segmentation | StoredSegmentation]:
    """Score the words of a job on its encoded image, and write or return the result.

    Parameters
    ----------
    job, model, folder, location, overwrite, source
        As for `job_steps`.
    encoded
        From `encode_job_steps`.
    step
        Image pixels per pixel of the result along each axis, for previews in memory.
    filling
        Who writes the folder; None for this process.
    """
    words: Any = {"prompts": job.prompts, "parameters": job.score, "label": job.label}
    result: Segmentation | StoredSegmentation
    if job.squash:
        result = yield from heat_map_steps(job, model, encoded)
    elif folder is None:
        result = yield from segment_steps(
            model, encoded.features, **words, step=step, cache=encoded.scores
        )
    else:
        result = yield from segment_large_steps(
            model,
            encoded.features,
            folder=folder,
            **words,
            location=location or location_of(job.pixel_size, job.unit),
            image=_image_fields(job),
            filling=filling or fill_locally,
            overwrite=overwrite,
            source=source,
        )
        return result
    recipe = replace(result.recipe, **_image_fields(job))
    return replace(result, recipe=recipe)


def _image_fields(job: Job) -> dict[str, Any]:
    """Say which pixels of a file the image is, as a recipe does."""
    names = (
        *("region", "index", "bands", "nodata", "factor"),
        *("pixel_size", "unit"),
    )
    return {name: getattr(job, name) for name in names}


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What is to be encoded, and by whom."""

    model: Model
    pixels: LazyArray
    job: Job
    schedule: Schedule | None
    valid: LazyArray | None


def _is_whole(region: Region | None, pixels: LazyArray) -> bool:
    return region == Region((0, pixels.shape[0]), (0, pixels.shape[1]))


def _check_room(wanted: _Wanted, resources: Resources) -> None:
    """Refuse features that fit nowhere, before all pixels are read to look for them."""
    model, job = wanted.model, wanted.job
    encode, side = job.encode or model.card.encode, model.backbone.patch_size
    check_encode(encode)
    grid = TileWork(wanted.pixels, job.appearance, encode, side).grid
    shape = *grid, model.backbone.channels
    if resources.disk is None:
        check_fits_memory(shape)
        return
    try:
        resources.disk().check_room(shape)
    except CacheError:
        if resources.must_keep:
            raise
        check_fits_memory(shape)


def _remember_steps(
    wanted: _Wanted, resources: Resources, memory: ImageCache, large: bool
) -> Generator[Progress, None, Encoded]:
    """Look into the memory first, and keep there what is encoded."""
    # a whole that may be of the same pixels is found by all of them alone
    box = None if memory.has_whole(wanted.pixels.shape) else _box(wanted)
    key = yield from _key_steps(wanted, box)
    image, region, is_new = memory.get(key), wanted.job.region, False
    if region not in image.regions:
        whole = image.regions.get(None)
        if whole is not None:
            part = restrict(whole.features, region)
            encoded = _as_wanted(replace(whole, features=part), wanted)
        else:
            steps = _find_or_encode_steps(wanted, resources, key, image.partial)
            encoded = yield from steps
            is_new = encoded.is_new
            if not large:  # the pixels may go away
                encoded = replace(encoded, features=_held(encoded.features))
        image.add(region, encoded)
    else:
        # the same pixels may hold data elsewhere now
        encoded = _as_wanted(image.regions[region], wanted)
        held = encoded.features if large else _held(encoded.features)
        image.regions[region] = replace(encoded, features=held)
    encoded = image.regions[region]
    return replace(encoded, name=memory.name(key, region), is_new=is_new)


def _held(features: Features) -> Features:
    """Read what is left of the image into memory."""
    picture, valid = held_picture(features.picture), features.valid
    if valid is not None:
        valid = np.asarray(valid[:, :])
    return replace(features, picture=picture, valid=valid)


def _find_or_encode_steps(
    wanted: _Wanted,
    resources: Resources,
    key: str = "",
    partial: Partial | None = None,
) -> Generator[Progress, None, Encoded]:
    """Find or encode, and say where the image holds data and how it is shown."""
    encoded = yield from _disk_steps(wanted, resources, key, partial)
    return _as_wanted(encoded, wanted)


def _as_wanted(encoded: Encoded, wanted: _Wanted) -> Encoded:
    """Take mask and appearance of the job: the same pixels may be kept with others."""
    look = wanted.job.appearance
    features = replace(encoded.features, valid=wanted.valid, appearance=look)
    return replace(encoded, features=features)


def _disk_steps(
    wanted: _Wanted, resources: Resources, key: str, partial: Partial | None
) -> Generator[Progress, None, Encoded]:
    """Look on the disk, and keep there what is encoded."""
    job = wanted.job
    image = wanted.model, wanted.pixels, job.appearance, job.encode
    options: Any = {
        "region": job.region,
        "partial": partial,
        "schedule": wanted.schedule,
        "watch": resources.watch,
    }
    notices: tuple[str, ...] = ()
    if resources.disk is not None:
        try:
            cache = resources.disk()
            key = key or (yield from _key_steps(wanted, _box(wanted)))
            picture = Picture(wanted.pixels, job.appearance)
            features = yield from cache.find_steps(key, job.region, picture)
            if features is not None:
                return Encoded(features, is_new=False)
            return Encoded((yield from cache.encode_steps(*image, **options, key=key)))
        except CacheError as error:
            if resources.must_keep:
                raise
            notices = (NOT_KEPT.format(error=error),)
    features = yield from encode_steps(*image, **options)
    return Encoded(replace(features, notices=(*features.notices, *notices)))


def _box(wanted: _Wanted) -> tuple[slice, slice] | None:
    """Rows and columns that a region of a large image depends on; None for all.

    The rest of such an image is not read; of others the tiles of a region are used
    again for the whole, which has the same key.
    """
    job, pixels, region = wanted.job, wanted.pixels, wanted.job.region
    if region is None or not is_large(pixels.shape):
        return None
    parameters = job.encode or wanted.model.card.encode
    side, zoom = wanted.model.backbone.patch_size, parameters.zoom
    tiles = TileWork(pixels, job.appearance, parameters, side).tiles
    margin = ceil(2 * max(1.0, 1 / zoom)) + 2
    return box_of(region, pixels.shape, side / zoom, tiles, margin)


def _key_steps(
    wanted: _Wanted, box: tuple[slice, slice] | None = None
) -> Generator[Progress, None, str]:
    parameters = wanted.job.encode or wanted.model.card.encode
    return (
        yield from key_steps(
            wanted.model, wanted.pixels, wanted.job.appearance, parameters, box
        )
    )
