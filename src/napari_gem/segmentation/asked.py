"""What is asked of each image of several: by options and words, or by a recipe."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.json_records import to_dict
from napari_gem.core.results import Job, Recipe
from napari_gem.core.validation import check_within
from napari_gem.models.domains import DomainRule

if TYPE_CHECKING:
    from napari_gem.images.opened import Opened, View


@dataclass(frozen=True)
class Asked:
    """A job whose image is not opened yet.

    Attributes
    ----------
    job
        What is asked of all images; its region is of the finest resolution.
    percentiles, limits, gamma
        How values are shown; percentiles only if there are no limits.
    level, detail
        See `Opened.view`.
    patch_size
        Of the model, in pixels.
    preset
        Its name; empty for none.
    domain
        What decides the domain of an image; None leaves the score as it is.
    region_file
        GeoJSON of a region on the ground or in pixels, in place of the job's; None for
        none.
    revision
        Hash of the model's weights.
    """

    job: Job
    percentiles: tuple[float, float]
    limits: tuple[float, float] | None
    gamma: float
    level: int | None
    detail: float | None
    patch_size: int
    preset: str = ""
    domain: DomainRule | None = None
    region_file: Path | None = None
    revision: str = ""

    @property
    def plain(self) -> dict[str, Any]:
        """All that decides a result, as plain values; not where it is computed."""
        job = {**to_dict(self.job), **dict.fromkeys(("device", "precision"))}
        names = ("percentiles", "limits", "gamma", "level", "detail", "revision")
        rule = {} if self.domain is None else self.domain.plain
        drawn = None
        if self.region_file is not None:
            with suppress(OSError):  # each image says so
                drawn = hashlib.blake2b(self.region_file.read_bytes()).hexdigest()
        shown = {n: getattr(self, n) for n in names}
        return {**job, **shown, "drawn": drawn, **rule}

    def open(self, path: Path) -> tuple[View, Job]:
        """Open an image, and say what is asked of it."""
        from napari_gem.images.opened import Opened

        job = self.job
        bands: Any = {"bands": job.bands, "nodata": job.nodata}
        opened = Opened(path, job.index, len(job.prompts), **bands)
        if self.region_file is not None:
            job = replace(job, region=opened.read_region(self.region_file).region)
        opened.check(self.level, job.region)
        return replace(self, job=job).settle(opened)

    def settle(self, opened: Opened) -> tuple[View, Job]:
        """Choose the resolution of an image, and all that depends on it."""
        from napari_gem.images.opened import check_small
        from napari_gem.models.domains import clues_of

        view = opened.view(self.level, self.detail, self.patch_size)
        if self.job.squash:
            check_small(view, self.preset)
        encode = self.job.encode
        if encode is not None and self.detail is not None:
            encode = replace(encode, zoom=self.patch_size * view.factor / self.detail)
        score = self.job.score
        if self.domain is not None:
            score = self.domain.settle(self.job.prompts, clues_of(view.scene))
        settled = replace(
            self.job,
            score=score,
            appearance=_appearance(view, self.percentiles, self.limits, self.gamma),
            encode=encode,
            region=view.place(self.job.region),
            pixel_size=view.scene.pixel_size,
            unit=view.scene.unit,
            factor=view.factor,
        )
        return view, settled


@dataclass(frozen=True)
class FollowedRecipe:
    """A recipe that is followed for images which are not opened yet.

    Each image is opened as the recipe's was: the same plane and bands, and the
    resolution that is nearest. A region is the same pixels in all images.
    """

    recipe: Recipe

    @property
    def job(self) -> Job:
        """What is asked of all images."""
        return self.recipe

    @property
    def plain(self) -> dict[str, Any]:
        """All that decides a result, as plain values; the version changes none."""
        unseen = ("version", "device", "precision", "competing")
        return {**to_dict(self.recipe), **dict.fromkeys(unseen)}

    def open(self, path: Path) -> tuple[View, Job]:
        """Open an image, and say what is asked of it."""
        from napari_gem.images.opened import Opened
        from napari_gem.images.rendering import adapt

        recipe = self.recipe
        bands: Any = {"bands": recipe.bands, "nodata": recipe.nodata}
        view = Opened(path, recipe.index, len(recipe.prompts), **bands).view_like(
            recipe
        )
        if recipe.region is not None:
            check_within(recipe.region, view.pixels.shape)
        job = replace(
            recipe,
            appearance=adapt(recipe.appearance, view.pixels, view.valid),
            pixel_size=view.scene.pixel_size,
            unit=view.scene.unit,
        )
        return view, job


def check_shown(
    percentiles: tuple[float, float], limits: tuple[float, float] | None
) -> None:
    """Refuse what cannot be shown as black and as white."""
    from napari_gem.core.validation import check_percentiles

    check_percentiles(percentiles)
    if limits is not None and not limits[0] < limits[1]:
        raise GemError(
            f"The limits are {limits[0]} and {limits[1]}; give two numbers, the "
            "smaller one first."
        )


def _appearance(
    view: View,
    percentiles: tuple[float, float],
    limits: tuple[float, float] | None,
    gamma: float,
) -> Appearance:
    from napari_gem.images.rendering import channel_colors, stretch

    bands = view.scene.bands
    usual = channel_colors(len(bands))
    colors = [band.color or color for band, color in zip(bands, usual, strict=True)]
    appearance = stretch(
        view.pixels,
        percentiles,
        channels=colors if bands else None,
        valid=view.valid,
        brighten=limits is None,  # nothing is read for limits that are given
    )
    same: dict[str, Any] = {"gamma": gamma}
    if limits is not None:
        same |= {"limits": limits, "contrast": "fixed"}
    channels = tuple(replace(one, **same) for one in appearance.channels)
    return replace(appearance, channels=channels, **same)
