"""The command line: ``napari-gem segment``, ``models`` and ``demo``."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_gem._version import __version__
from napari_gem.types import GemError, Progress

if TYPE_CHECKING:
    from napari_gem.files import ImageFile
    from napari_gem.types import ModelCard, Segmentation

app = typer.Typer(
    help="Find things in images by words, with GEM and CLIP models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Id from 'napari-gem models', ARCHITECTURE/TAG of open_clip, "
        "hf-hub:OWNER/REPOSITORY, or a weights file or folder.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show version.")] = False,
) -> None:
    if version:
        typer.echo(f"napari-gem {__version__}")
        raise typer.Exit


@app.command()
def segment(
    image: Annotated[Path, typer.Argument(help="TIFF, PNG or JPEG file.")],
    prompt: Annotated[
        list[str],
        typer.Option(
            "--prompt", "-p", help="One class; a comma separates synonyms. Repeat."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the results.")
    ],
    model: Model = "embedded",
    architecture: Annotated[
        str, typer.Option(help="open_clip architecture of a bare weights file.")
    ] = "",
    device: Device = "auto",
    precision: Annotated[
        str, typer.Option(help="auto, float32, bfloat16 or float16.")
    ] = "auto",
    percentiles: Annotated[
        tuple[float, float],
        typer.Option(help="Shown as black and as white; 8-bit RGB is taken as it is."),
    ] = (0.5, 99.5),
    index: Annotated[
        str, typer.Option(help="Plane of a stack, such as 0 or 3,1.")
    ] = "",
    download: Annotated[
        bool, typer.Option("--download", help="Allow the model to be downloaded.")
    ] = False,
) -> None:
    """Segment one image by words into a folder of files."""
    from napari_gem import export, files, pipeline
    from napari_gem.image import stretch
    from napari_gem.models import load_model
    from napari_gem.text import parse_prompts

    prompts = parse_prompts(prompt)
    found = files.read_image(image, _parse_index(index))
    appearance = stretch(found.pixels, percentiles)
    pipeline.check_maps(len(prompts), found.pixels.shape[:2])
    export.check_folder(output)
    with _Bars() as bars:
        loaded = load_model(
            model,
            device=device,
            precision=precision,
            architecture=architecture,
            download=download,
            progress=bars.show,
        )
        features = pipeline.encode(
            found.pixels, loaded, appearance=appearance, progress=bars.show
        )
        result = pipeline.segment(features, prompts, loaded, progress=bars.show)
    _report(result, found, output)


@app.command()
def models() -> None:
    """List the models that can be used."""
    from napari_gem.models import is_available, list_models

    for card in list_models():
        state = "on this computer" if is_available(card) else _size(card)
        typer.echo(f"{card.id}\n    {card.name} ({card.domain}): {card.good_for}")
        typer.echo(f"    {state}; licence {card.licence}; {card.source}")
    typer.echo(
        "Also: ARCHITECTURE/TAG of open_clip, hf-hub:OWNER/REPOSITORY, or the path of "
        "a folder or weights file."
    )


@app.command()
def demo(
    sample: Annotated[
        str, typer.Option(help="fluorescence, histology or aerial.")
    ] = "fluorescence",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write results and a screenshot here and end."
        ),
    ] = None,
) -> None:
    """Segment a sample image by words, in napari where there is a screen."""
    from napari_gem.samples import check_sample

    check_sample(sample)
    command = [sys.executable, "-m", "napari_gem._qt.demo", sample]
    shows = has_screen() and find_spec("napari") is not None
    if output is None and shows and not is_virtual():
        raise typer.Exit(subprocess.run(command, check=False).returncode)
    folder = Path("demo-output") if output is None else output
    _demo_files(sample, folder)
    if shows:
        screenshot = folder / "screenshot.png"
        done = subprocess.run(
            [*command, "--screenshot", str(screenshot)],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise GemError(f"napari could not be shown: {done.stderr.strip()[-400:]}")
        typer.echo(f"Screenshot of napari: {screenshot.resolve()}")


def _demo_files(sample: str, folder: Path) -> None:
    from napari_gem import export, pipeline
    from napari_gem.samples import read_sample

    export.check_folder(folder)
    image, prompts = read_sample(sample)
    with _Bars() as bars:
        result = pipeline.segment(image.pixels, prompts, progress=bars.show)
    _report(result, image, folder)


def _report(result: Segmentation, image: ImageFile, folder: Path) -> None:
    from napari_gem import export

    written = export.save(result, image, folder)
    for notice in result.notices:
        typer.echo(notice, err=True)
    total = result.labels.size
    for number, prompt in enumerate(result.recipe.prompts, start=1):
        share = (result.labels == number).sum() / total
        typer.echo(f"{number:4} {prompt.name}: {share:.1%} of the image")
    names = ", ".join(path.name for path in written)
    typer.echo(f"Results in {folder.resolve()}: {names}")


def _parse_index(index: str) -> list[int]:
    try:
        return [int(part) for part in index.split(",") if part.strip()]
    except ValueError:
        raise GemError(
            f"The index '{index}' came; expected whole numbers with commas between."
        ) from None


def _size(card: ModelCard) -> str:
    if card.size is None:
        return "to be downloaded, size not known"
    return f"to be downloaded, about {card.size / 1e6:,.0f} MB"


def has_screen() -> bool:
    """Tell whether a window can be opened, without loading Qt."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def is_virtual() -> bool:
    """Tell whether nobody looks at the screen (set by ``tests/screen.py``)."""
    return bool(os.environ.get("NAPARI_GEM_VIRTUAL_SCREEN"))


class _Bars:
    """Shows each stage as a bar on the terminal."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: object = None

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def show(self, progress: Progress) -> None:
        from tqdm import tqdm

        if progress.stage != self._stage:
            self._close()
            self._stage = progress.stage
            self._bar = tqdm(desc=progress.stage, leave=False, disable=None)
        if isinstance(self._bar, tqdm):
            self._bar.total = progress.total or None
            self._bar.n = progress.done
            self._bar.refresh()

    def _close(self) -> None:
        from tqdm import tqdm

        if isinstance(self._bar, tqdm):
            self._bar.close()


def main() -> None:
    """Run the command line; bad input ends with one sentence and status 2."""
    try:
        app()
    except GemError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
