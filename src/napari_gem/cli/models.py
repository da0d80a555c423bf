"""The command line's ``napari-gem models``: list, fetch, remove and share models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_gem.cli.bars import Bars
from napari_gem.cli.consent import agrees, tell
from napari_gem.core.errors import GemError
from napari_gem.core.progress import run
from napari_gem.core.terminal import say
from napari_gem.models.card import size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.models.card import ModelCard
    from napari_gem.models.download.files import CachedFile

app = typer.Typer(help="List, download, remove and share models.", add_completion=False)

Id = Annotated[str, typer.Argument(help="Id from 'napari-gem models'.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:
    """List the models that can be used, by what they are good for."""
    if not context.invoked_subcommand:
        list_()


@app.command("list")
def list_() -> None:
    """List the models that can be used: without a command, too."""
    from napari_gem.models.catalogue import group_models, own_errors
    from napari_gem.models.find import is_available

    for domain, cards in group_models().items():
        say("", f"{domain[0].upper()}{domain[1:]}")
        for card in cards:
            mark = "*" if is_available(card) else " "
            say(
                f"{mark} {card.id}",
                f"      {card.name}: {card.good_for}",
                f"      {_size(card)}; licence {card.licence}",
            )
    say(
        "",
        "* on this computer. Also: ARCHITECTURE/TAG of open_clip, "
        "hf-hub:OWNER/REPOSITORY, or the path of a folder or weights file.",
    )
    for sentence in own_errors():
        tell(sentence)


@app.command()
def table() -> None:
    """Write the catalogue as a table of Markdown."""
    from napari_gem.models.catalogue import group_models

    for domain, cards in group_models().items():
        say(
            f"**{domain[0].upper()}{domain[1:]}**",
            "",
            "| model | good for | size | licence | published in |",
            "|---|---|---|---|---|",
        )
        for card in cards:
            name = _markdown(card.name)
            if card.source:
                name = f"[{name}]({_markdown(card.source)})"
            about = (card.good_for, _size(card), card.licence, card.citation)
            cells = (f"{name} `{_markdown(card.id)}`", *map(_markdown, about))
            say(f"| {' | '.join(cells)} |")
        say("")


@app.command()
def info(model: Id) -> None:
    """Show all that is known of a model."""
    from napari_gem.models.find import find_model
    from napari_gem.models.weight_sources import weight_source

    card = find_model(model)
    source = weight_source(card)
    on_disk = source.is_on_disk()
    gem = card.encode.gem
    where = "yes" if on_disk else "no"
    files = source.cached_files() if on_disk else ()
    if files:
        where += f", {source.cached_bytes() / 1e6:,.0f} MB in {files[-1].path.parent}"
    lines = {
        "Id": card.id,
        "Name": card.name,
        "Domain": card.domain,
        "Good for": card.good_for,
        "On this computer": where,
        "Size": _size(card),
        "Licence": card.licence,
        "Source": card.source,
        "Weights": card.weights,
        "Revision": _revision(card, files),
        "SHA-256": card.sha256,
        "Architecture": card.architecture or "as its configuration says",
        "Activation": card.activation or "as its configuration says",
        "Mean": _numbers(card.mean),
        "Std": _numbers(card.std),
        "Text tokens": str(card.context_length or "as its configuration says"),
        "GEM": f"depth {gem.depth}, iterations {gem.iterations}, residual "
        f"{'kept' if gem.residual else 'dropped'}",
        "Citation": card.citation,
    }
    for name, value in lines.items():
        if value:
            say(f"{name + ':':18}{value}")


@app.command()
def download(model: Id, yes: Yes = False) -> None:
    """Download a model; you see its size, source and licence first."""
    from napari_gem.models.find import find_model
    from napari_gem.models.weight_sources import weight_source

    card = find_model(model)
    source = weight_source(card)
    if source.is_on_disk():
        tell(f"{card.name} is on this computer already.")
        return
    if not yes and not agrees(source.describe()):
        tell("Nothing was downloaded.")
        raise typer.Exit(1)
    with Bars() as bars:
        run(source.fetch_steps(), bars.show)
    tell(f"{card.name} is on this computer now.")


@app.command()
def remove(model: Id, yes: Yes = False) -> None:
    """Remove a downloaded model, or take one of your own off the list."""
    from napari_gem.models.catalogue import is_own
    from napari_gem.models.find import find_model
    from napari_gem.models.own_list import forget_own
    from napari_gem.models.weight_sources import weight_source

    card = find_model(model)
    source = weight_source(card)
    own, size = is_own(card), source.cached_bytes()
    if own and not size:
        forget_own(card.id)
        stays = f" '{source.own_path}' was not touched." if source.own_path else ""
        tell(f"{card.name} is off your list.{stays}")
        return
    if not source.remote_files():
        raise GemError(
            f"{card.name} was not downloaded, so there is nothing to remove. Delete "
            "files of your own yourself."
        )
    if not size:
        tell(f"{card.name} is not on this computer.")
        return
    if not yes and not typer.confirm(
        f"Remove {card.name} ({size / 1e6:,.0f} MB)?", err=True
    ):
        raise typer.Exit(1)
    tell(f"{card.name} is removed; {source.remove() / 1e6:,.1f} MB are free again.")
    if own:
        tell("It is still on your list; the same command takes it off.")


@app.command()
def export(
    model: Id,
    file: Annotated[Path, typer.Argument(help="File to write.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a file that is there.")
    ] = False,
) -> None:
    """Write a downloaded model into one file, for computers without network."""
    from napari_gem.models.archive import export_steps
    from napari_gem.models.find import find_model

    card = find_model(model)
    with Bars() as bars:
        run(export_steps(card, file, replace=replace), bars.show)
    tell(f"{card.name} is in {file.resolve()} ({file.stat().st_size / 1e6:,.0f} MB).")
    tell(f"Its licence goes with it: {card.licence}.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="File of 'napari-gem models export'.")],
) -> None:
    """Read a model from one file; each part is checked by its hash."""
    from napari_gem.models.archive import import_steps

    with Bars() as bars:
        card = run(import_steps(file), bars.show)
    tell(f"{card.name} is on this computer: --model {card.id}")


@app.command()
def add(
    file: Annotated[str, typer.Argument(help="Weights file, or its web address.")],
    architecture: Annotated[
        str,
        typer.Option(
            help="open_clip architecture, such as ViT-B-16, or ViT-B-16-quickgelu if "
            "it was trained on from OpenAI's weights."
        ),
    ] = "",
    name: Annotated[str, typer.Option(help="Name to show; that of the file.")] = "",
    domain: Annotated[
        str, typer.Option(help="Group in lists: general, histology ...")
    ] = "general",
    sha256: Annotated[
        str, typer.Option(help="SHA-256 of the file at a web address.")
    ] = "",
    licence: Annotated[str, typer.Option(help="Licence of such a file.")] = "",
    source: Annotated[str, typer.Option(help="Page that tells about it.")] = "",
) -> None:
    """Put a weights file, of your own or of the web, on the list of models."""
    from napari_gem.models.add import add_address, add_file
    from napari_gem.models.download.web import is_address

    names = {"name": name, "domain": domain}
    if is_address(file):
        more = {"licence": licence, "source": source}
        card = add_address(file, sha256, architecture, **names, **more)
    else:
        card = add_file(file, architecture, **names)
    tell(f"{card.name} is on your list: --model {card.id}")


def _markdown(text: str) -> str:
    """Spell what Markdown would take for a link, a tag or the end of a cell."""
    return re.sub(r"[\\\[\]<>|`]", lambda match: f"\\{match[0]}", text)


def _revision(card: ModelCard, cached: Sequence[CachedFile]) -> str:
    if card.revision or card.sha256 or card.size == 0:
        return card.revision
    if cached:
        return f"not pinned; {cached[-1].revision} is on this computer"
    return "not pinned: the newest is taken"


def _size(card: ModelCard) -> str:
    if card.size == 0:
        return "no download"
    return size_text(card.size)


def _numbers(values: tuple[float, ...] | None) -> str:
    return ", ".join(f"{v:.4g}" for v in values or ()) or "as its configuration says"
