"""The dock as it was used last."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_gem.core.errors import GemError
from napari_gem.models.find import find_model
from napari_gem.widget.models.model_dialog import NamedModel
from napari_gem.widget.parameters.settings import LastUsed

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_gem.widget.shown import Dock

logger = logging.getLogger(__name__)


def last_used(dock: Dock) -> LastUsed:
    """Return what the dock shows, to be saved."""
    named = dock.model_choice.named()
    return LastUsed(
        model=named.model,
        architecture=named.architecture,
        device=dock.device_choice.device(),
        prompts=dock.prompt_table.prompts(),
        background=dock.prompt_table.background(),
        domain=dock.prompt_table.domain_choice.domain(),
        templates=dock.prompt_table.templates(),
        detail=dock.image_panel.detail(),
        advanced=dock.advanced_panel.state(),
        maps=dock.results_panel.map_choice(),
        unfolded=tuple(n for n, fold in dock.folds.items() if fold.isExpanded()),
    )


def recall(dock: Dock, last: LastUsed) -> list[str]:
    """Show what was used last; return a sentence about each thing that is left out.

    Whatever was saved, the dock opens.
    """
    sentences: list[str] = []

    def attempt(name: str, show: Callable[[], object]) -> None:
        try:
            show()
        except GemError as error:
            sentences.append(f"{error} {name} is left as it was.")
        except Exception:
            logger.warning("%s cannot be recalled", name, exc_info=True)
            sentences.append(f"{name} of last time cannot be used and is left out.")

    def show_background() -> None:
        if last.background is not None:
            dock.prompt_table.set_background(last.background)

    try:
        model_name = find_model(last.model, last.architecture).name
    except GemError as error:
        sentences.append(f"{error} The embedded model is chosen.")
    except Exception:
        logger.warning("The model cannot be recalled", exc_info=True)
        sentences.append(
            "The model of last time cannot be used. The embedded model is chosen."
        )
    else:
        if last.model != "embedded":
            named = NamedModel(last.model, last.architecture)
            attempt("The model", lambda: dock.model_choice.add(named, model_name))
    attempt("The device", lambda: dock.device_choice.set_device(last.device))
    attempt("The model", lambda: dock.show_card(dock.card()))
    attempt("The table of classes", lambda: _show_prompts(dock, last))
    set_domain = dock.prompt_table.domain_choice.set_domain
    attempt("The kind of images", lambda: set_domain(last.domain))
    attempt("The background", show_background)
    attempt("The sentences", lambda: dock.prompt_table.set_templates(last.templates))
    attempt("The detail", lambda: dock.image_panel.recall_detail(last.detail))
    attempt("The advanced panel", lambda: dock.advanced_panel.set_state(last.advanced))
    attempt("The background", dock.show_domain)
    attempt(
        "Which maps are shown", lambda: dock.results_panel.set_map_choice(last.maps)
    )
    _unfold(dock, last)
    return sentences


def _unfold(dock: Dock, last: LastUsed) -> None:
    for name in dock.folds.keys() & set(last.unfolded):
        dock.folds[name].expand()


def _show_prompts(dock: Dock, last: LastUsed) -> None:
    # their label ids were those of another session, with other results
    prompts = [replace(prompt, label=0) for prompt in last.prompts]
    if not dock.prompt_table.set_prompts(prompts, undoable=False):
        raise GemError("The classes of last time cannot be in one table.")
