"""Many images by one recipe, with one loaded model."""

from __future__ import annotations

import time
from collections import Counter, deque
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_gem.core.batch import (
    IMAGES,
    BatchOptions,
    BatchReport,
    ClassMeasure,
    ImageOutcome,
)
from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown, shown_error
from napari_gem.core.memory import free_memory, shortage
from napari_gem.core.parameters import OutlineParameters
from napari_gem.core.path_names import check_length
from napari_gem.core.progress import Progress
from napari_gem.core.results import StoredSegmentation
from napari_gem.core.sentences import some_of
from napari_gem.encoding.feature_cache import FeatureCache
from napari_gem.images.rendering import FOREIGN_LIMITS, dark_notice, has_foreign_limits
from napari_gem.results import pyramid, recipe
from napari_gem.results.classes import result_classes
from napari_gem.results.save import check_folder, check_kinds, names_of, save_steps
from napari_gem.results.writers import (
    USUAL,
    USUAL_OF_LARGE,
    WRITERS,
    parse_kinds,
)
from napari_gem.results.writers.areas import PIXELS, PixelAreas, pixel_areas
from napari_gem.results.writers.maps import result_maps
from napari_gem.segmentation.batch_files import write_picture_steps, write_report
from napari_gem.segmentation.batch_folder import (
    BatchFolder,
    Finished,
    ImageFolder,
    hash_record,
    hash_steps,
)
from napari_gem.segmentation.job import Resources, job_steps
from napari_gem.segmentation.postprocess.regions import bands_of, count_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from contextlib import AbstractContextManager

    from napari_gem.images.opened import View
    from napari_gem.models.model import Model
    from napari_gem.results.writers.maps import ResultMaps
    from napari_gem.segmentation.asked import Asked, FollowedRecipe

    Steps = Generator[Progress | ImageOutcome, None, BatchReport]

OTHERS = "In other processes"
"""Stage while only helpers have work."""

POLLED = 0.05
"""Seconds between looks at what helpers have done."""

REPORTED = 5.0
"""The report is written at most this often, in seconds, and at the end."""

OTHER_RECIPE = (
    "Results of another recipe are kept in '{name}'. Replace them by --overwrite, or "
    "choose another folder."
)
OTHER_IMAGE = (
    "The image has changed since it was segmented, and its results in '{name}' are "
    "kept. Replace them by --overwrite."
)


def usual_resources(view: View) -> Resources:
    """Encode in this process, and keep what is large, which is needed for that."""
    return Resources(disk=FeatureCache if view.large else None, must_keep=view.large)


@dataclass(frozen=True, eq=False)
class Batch:
    """What is done with many images.

    Attributes
    ----------
    images
        Paths, in their order.
    folder
        Gets a folder for each image, ``report.csv`` and a contact sheet.
    asked
        Opens an image and says what is asked of it. Images that are finished by the
        same are not done again.
    options
        What is done with the folder.
    outlines
        How labels become polygons; None takes the defaults.
    resources
        Says where an image is encoded, and where it is kept.
    """

    images: tuple[Path, ...]
    folder: Path
    asked: Asked | FollowedRecipe
    options: BatchOptions = field(default_factory=BatchOptions)
    outlines: OutlineParameters | None = None
    resources: Callable[[View], Resources] = usual_resources

    @property
    def key(self) -> str:
        """Hash of all that decides the files of an image, but for the image."""
        kinds = parse_kinds(self.options.write)
        ordered = [kind for kind in WRITERS if kind in kinds]
        outlines = repr(self.outlines or OutlineParameters())
        return hash_record({**self.asked.plain, "write": (ordered, outlines)})


@dataclass(frozen=True)
class ImagePlace:
    """An image of a batch: its number there, its path, and the name of its folder."""

    number: int
    path: Path
    name: str


class ImageQueue:
    """Hands out images, one to each who asks, from any thread, until it is stopped."""

    def __init__(self, places: Sequence[ImagePlace]) -> None:
        self._left = deque(places)
        self._stopped = False

    def __len__(self) -> int:
        """Count the images that nobody has taken."""
        return len(self._left)

    def __iter__(self) -> Iterator[ImagePlace]:
        return self

    def __next__(self) -> ImagePlace:
        try:
            return self._left.popleft()
        except IndexError:
            raise StopIteration from None

    def give_back(self, place: ImagePlace) -> None:
        """Let another do an image; it is the next, unless the queue was stopped."""
        if not self._stopped:
            self._left.appendleft(place)

    def stop(self) -> None:
        """Hand out no more."""
        self._stopped = True
        self._left.clear()


class Helpers(Protocol):
    """Other processes that segment images of a batch."""

    def start(self, images: ImageQueue, key: str, /) -> AbstractContextManager[object]:
        """Let them take one image after the other until the end of the context."""

    def finished(self) -> list[tuple[ImagePlace, ImageOutcome]]:
        """Give what was finished since the last call; returns at once."""

    @property
    def busy(self) -> bool:
        """Whether they have an image in work, or left one that somebody must take."""

    @property
    def notices(self) -> Sequence[str]:
        """Sentences for the user."""


@dataclass(frozen=True)
class Planned:
    """An image of a batch, the name of its folder, and whether it has results there."""

    path: Path
    name: str
    has_results: bool


def plan_batch(
    images: Sequence[Path], folder: Path, options: BatchOptions
) -> list[Planned]:
    """Say which images a batch would do; nothing is written.

    Raises
    ------
    GemError
        As `batch_steps`.
    """
    parse_kinds(options.write)
    there = BatchFolder(folder, options)
    chosen = _without_results(images, there)
    return [
        Planned(path, name, ImageFolder(folder / name).has_record())
        for path, name in zip(chosen, there.choose_names(chosen), strict=True)
    ]


def batch_steps(batch: Batch, model: Model, helpers: Helpers | None = None) -> Steps:
    """Segment all images, each to a folder of its own.

    An image that is stopped halfway is not finished, and all others stay.

    Parameters
    ----------
    batch
        What is done.
    model
        Is used for all.
    helpers
        Share the work with this process; None for none.

    Yields
    ------
    Progress or ImageOutcome
        Wherever the batch can be stopped. The stage `IMAGES` counts images, others are
        of the image in work; an outcome comes after each image.

    Returns
    -------
    BatchReport
        Of all images that were come to.

    Raises
    ------
    GemError
        If the folder holds a batch already, another process writes to it or it cannot
        be written, or if there is no image. What is wrong with one image is in the
        report.
    """
    parse_kinds(batch.options.write)
    folder = BatchFolder(batch.folder, batch.options)
    images = _without_results(batch.images, folder)
    work = _Work(batch, model, folder, batch.key)
    with folder.hold():
        names = folder.choose_names(images)
        folder.write_names()
        named = zip(images, names, strict=True)
        places = [ImagePlace(number, *each) for number, each in enumerate(named)]
        try:
            yield from _all_steps(work, places, helpers)
        finally:
            work.notices.extend(helpers.notices if helpers else ())
            report = replace(_report(work), left=len(places) - len(work.outcomes))
            names_now = [one.name for one in report.outcomes]
            others = folder.others(names_now, work.key)
            write_report(replace(report, outcomes=(*report.outcomes, *others)))
    return report


def _without_results(images: Sequence[Path], folder: BatchFolder) -> list[Path]:
    left = folder.without_results(images)
    if not left:
        raise GemError("There is no image to segment. Name images, or another folder.")
    return left


@dataclass(frozen=True, eq=False)
class _Work:
    """A batch on its way; outcomes by the number of their image."""

    batch: Batch
    model: Model
    folder: BatchFolder
    key: str
    outcomes: dict[int, ImageOutcome] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def _all_steps(
    work: _Work, places: Sequence[ImagePlace], helpers: Helpers | None
) -> Generator[Progress | ImageOutcome, None, None]:
    """Do all images; the time left is a mean over those done now."""
    started = reported = time.monotonic()
    fresh, left = 0, None
    queue = ImageQueue(places)
    yield Progress(IMAGES, 0, len(places))
    with closing(_outcome_steps(work, queue, helpers)) as steps:
        for step in steps:
            if isinstance(step, Progress):
                yield step
                continue
            place, outcome = step
            work.outcomes[place.number] = outcome
            yield outcome
            if outcome.problem and not work.batch.options.keep_going:
                queue.stop()
            now = time.monotonic()
            fresh += outcome.state == "done"
            done = len(work.outcomes)
            if fresh:
                left = (now - started) / fresh * (len(places) - done)
            if now - reported > REPORTED:
                write_report(_report(work))
                reported = now
            yield Progress(IMAGES, done, len(places), left)


def _outcome_steps(
    work: _Work, queue: ImageQueue, helpers: Helpers | None
) -> Generator[Progress | tuple[ImagePlace, ImageOutcome], None, None]:
    """Do images in this process, and take what helpers do meanwhile."""
    with helpers.start(queue, work.key) if helpers else nullcontext():
        while True:
            yield from helpers.finished() if helpers else ()
            place = next(queue, None)
            if place is not None:
                yield from _own_steps(work, place, helpers)
            elif helpers and helpers.busy:
                yield Progress(OTHERS)
                time.sleep(POLLED)
            else:
                return


def _own_steps(
    work: _Work, place: ImagePlace, helpers: Helpers | None
) -> Generator[Progress | tuple[ImagePlace, ImageOutcome], None, None]:
    """Do an image in this process."""
    steps = image_steps(work.batch, work.model, work.key, place)
    with closing(steps):
        while True:
            try:
                yield next(steps)
            except StopIteration as end:
                outcome: ImageOutcome = end.value
                break
            yield from helpers.finished() if helpers else ()
    yield place, outcome


def image_steps(
    batch: Batch, model: Model, key: str, place: ImagePlace
) -> Generator[Progress, None, ImageOutcome]:
    """Do one image, unless it is finished; say what is wrong, and raise nothing.

    ``key`` is that of the batch.
    """
    name, path, options = place.name, place.path, batch.options
    folder = ImageFolder(batch.folder / name)
    try:
        digest, before = "", _before(folder, options)
        is_finished = before is not None and before.recipe
        if before and is_finished and (options.resume or not options.overwrite):
            same_recipe = before.recipe == key
            digest = (yield from hash_steps(path)) if same_recipe else ""
            same = same_recipe and before.image == digest
            if same and folder.is_complete(before):
                return before.outcome(name, path)
            if not (same or options.overwrite):
                why = OTHER_IMAGE if same_recipe else OTHER_RECIPE
                return ImageOutcome(name, str(path), "kept", why.format(name=name))
        digest = digest or (yield from hash_steps(path))
        hashes = digest, key
        try:
            finished = yield from _segment_steps(batch, model, place, hashes, before)
        except BaseException:
            folder.give_up(before)
            raise
        folder.end(finished, before)
        return replace(finished.outcome(name, path), state="done")
    except GemError as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001 (the other images are to be done)
        free_memory()
        kind = f"{type(error).__name__}: {shown_error(error)}"
        problem = shortage(error) or f"It could not be segmented ({kind})."
    return ImageOutcome(name, str(path), "failed", problem)


def _before(folder: ImageFolder, options: BatchOptions) -> Finished | None:
    """Read what came of an image; what cannot be read is replaced if it may be."""
    try:
        return folder.finished()
    except GemError:
        if options.overwrite:
            return None
        raise


def _segment_steps(
    batch: Batch,
    model: Model,
    place: ImagePlace,
    hashes: tuple[str, str],
    before: Finished | None,
) -> Generator[Progress, None, Finished]:
    """Segment an image and write all files of it but the last."""
    path, target = place.path, batch.folder / place.name
    check_folder(target, path)
    view, job = batch.asked.open(path)
    kinds = check_kinds(batch.options.write, view.scene)
    if view.large:
        check_length(target, pyramid.INSIDE)
    planned = (*(kinds or USUAL), *(USUAL_OF_LARGE if view.large else ()))
    ImageFolder(target).begin(before, names_of(planned))
    scene = view.scene
    result = yield from job_steps(
        job,
        view.pixels,
        model,
        batch.resources(view),
        folder=target if view.large else None,
        location=scene.location,
        valid=view.valid,
        overwrite=True,
        source=path,
    )
    how: Any = {"write": batch.options.write, "outlines": batch.outlines}
    paths = yield from save_steps(result, scene, target, overwrite=True, **how)
    stored = isinstance(result, StoredSegmentation)
    files = (*pyramid.NAMES, *recipe.NAMES) if stored else ()
    maps = result_maps(result, scene)
    yield from write_picture_steps(maps, batch.folder, place.name)
    areas = _measured_pixels(maps)
    classes = yield from _measure_steps(maps, areas)
    is_foreign = has_foreign_limits(job.appearance, view.pixels)
    foreign = [FOREIGN_LIMITS] if is_foreign else []
    foreign += dark_notice(job.appearance, view.pixels)
    return Finished(
        *hashes,
        tuple(dict.fromkeys((*files, *(path.name for path in paths)))),
        classes,
        unit=areas.unit.removesuffix("²") if areas is not None else "",
        crs=scene.location.crs if scene.location else "",
        notices=tuple(map(shown, (*view.source.notices, *result.notices, *foreign))),
    )


def _measure_steps(
    maps: ResultMaps, areas: PixelAreas | None
) -> Generator[Progress, None, tuple[ClassMeasure, ...]]:
    labels, prompts = maps.labels[0], maps.recipe.prompts
    bands = bands_of(maps.shape[0])
    counting = count_steps(labels, bands)
    while True:
        try:
            yield Progress("Counting", next(counting), len(bands))
        except StopIteration as end:
            counted: dict[int, tuple[int, int]] = end.value
            break
    classes, shares = result_classes(prompts), maps.outcome.shares
    sums = np.zeros(1 + max((label for label, _, _ in classes), default=0))
    if areas is not None:
        for rows in bands:
            part = np.asarray(labels[rows])
            weights = np.broadcast_to(areas.of_rows(rows), part.shape)
            sums += np.bincount(part.ravel(), weights.ravel(), len(sums))
            yield Progress("Measuring", rows.stop, maps.shape[0])
    measures = []
    for (label, name, color), share in zip(classes, shares, strict=True):
        pixels, regions = counted.get(label, (0, 0))
        own = None if areas is None else float(sums[label])
        measures.append(ClassMeasure(name, label, share, pixels, regions, own, color))
    return tuple(measures)


def _measured_pixels(maps: ResultMaps) -> PixelAreas | None:
    """Measure the pixels, on the ground by its ellipsoid; None if that is not known."""
    try:
        areas = pixel_areas(maps.scene.location, maps.shape)
    except (GemError, ImportError):
        return None
    return None if areas.unit == PIXELS else areas


def _report(work: _Work) -> BatchReport:
    outcomes = tuple(one for _, one in sorted(work.outcomes.items()))
    systems = Counter(one.crs for one in outcomes if not one.problem and one.crs)
    notices = list(dict.fromkeys(work.notices))
    if len(systems) > 1:
        listed = some_of([f"{crs} ({count})" for crs, count in systems.most_common()])
        notices.append(
            f"The images have different coordinate systems: {listed}. Their results "
            "lie in these; do not compare coordinates."
        )
    units = {one.unit for one in outcomes if one.classes}
    if len(units) > 1:
        listed = some_of([unit or "not known" for unit in sorted(units)])
        notices.append(
            f"The images have pixel sizes in different units: {listed}. The report "
            "tells the unit of each area."
        )
    return BatchReport(str(work.batch.folder), outcomes, tuple(notices))
