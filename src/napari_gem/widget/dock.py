"""The dock widget: puts the views together and tells the controller what they say."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.settings import get_settings
from napari.utils.notifications import show_error
from napari.utils.transforms import Affine
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import without_tags
from napari_gem.core.parameters import PRECISIONS
from napari_gem.core.prompts import label_ids
from napari_gem.layers.entry import PROBABILITY, read_entry
from napari_gem.layers.writing.combine import named_ids
from napari_gem.models.catalogue import patch_size
from napari_gem.models.find import find_model
from napari_gem.models.used_list import place_of, was_used
from napari_gem.prompts.sets import PromptSet
from napari_gem.results.recipe_model import recipe_card
from napari_gem.widget.image.panel import ImagePanel, ModelPatch
from napari_gem.widget.keys import KeyBindings
from napari_gem.widget.models.device_choice import DeviceChoice
from napari_gem.widget.models.model_choice import ModelChoice
from napari_gem.widget.models.model_dialog import NamedModel, download_box
from napari_gem.widget.parameters.cache_row import CacheRow
from napari_gem.widget.parameters.panel import AdvancedPanel, panel_presets
from napari_gem.widget.parameters.recall import load_last
from napari_gem.widget.parameters.settings import (
    LastUsed,
    advanced_of,
    read_settings,
    save_last,
)
from napari_gem.widget.parts.links import Links
from napari_gem.widget.parts.plain import Label, MessageBox
from napari_gem.widget.parts.plain import ask as ask_user
from napari_gem.widget.prompts.example_bar import ExampleBar
from napari_gem.widget.prompts.example_link import ExampleLink
from napari_gem.widget.prompts.table import PromptTable
from napari_gem.widget.recipes.menu import RecipeMenu
from napari_gem.widget.recipes.view import (
    not_shown,
    preset_of,
    prompts_for,
    show_image_part,
)
from napari_gem.widget.results.derived import DerivedLayers, merge_targets
from napari_gem.widget.results.panel import ResultsPanel
from napari_gem.widget.results.policy_box import choose_policy
from napari_gem.widget.results.status import StatusProbe
from napari_gem.widget.run.controller import Controller
from napari_gem.widget.run.question import Ask
from napari_gem.widget.run.run_bar import RunBar

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari.viewer
    from qtpy.QtGui import QCloseEvent

    from napari_gem.core.prompts import Prompt
    from napari_gem.core.results import Recipe
    from napari_gem.layers import LayerImage, Policy
    from napari_gem.models.card import ModelCard
    from napari_gem.worker.messages import Finished

logger = logging.getLogger(__name__)

TABLE = "Features table widget"
"""What napari calls its table of the features of the selected layer."""


NOT_USED = (
    "The recipe asks for the model '{name}' in {place}, which you have not used "
    "before. Nothing was started: press Run if you trust whoever made it, or choose "
    "another model."
)


FONT = (
    "QTreeView, QHeaderView, QLineEdit, QPlainTextEdit, QToolButton "
    "{{ font-size: {}pt; }}"
)
"""napari's theme gives these no size, so that they stay small beside the rest."""


class GemWidget(QWidget):
    """Type words, get label layers.

    Parameters
    ----------
    viewer
        Gives the images and gets the results.
    controller
        None makes one.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, controller: Controller | None = None
    ) -> None:
        super().__init__()
        self._viewer = viewer
        self.controller = controller or Controller(
            viewer, storage=read_settings().storage
        )
        self.image_panel = ImagePanel(viewer)
        self.prompt_table = PromptTable(known=lambda: named_ids(viewer.layers))
        self.example_bar = ExampleBar(viewer)
        self._examples = ExampleLink(self.prompt_table, self.example_bar.points)
        self.model_choice = ModelChoice()
        self.device_choice = DeviceChoice(self.card)
        self.advanced_panel = AdvancedPanel()
        self.cache_row = CacheRow(lambda: read_settings().storage)
        self.results_panel = ResultsPanel(merge_targets=lambda: merge_targets(viewer))
        self.recipe_menu = RecipeMenu()
        self.run_bar = RunBar()
        self.derived_layers = DerivedLayers(
            viewer, self, read_settings().storage.folder
        )
        self._probe = StatusProbe(viewer)
        self._policy: Policy = "ask"
        self._asked: list[LayerImage] = []  # slices that are being segmented
        self._image_told = self._table_told = self._left_out = ""
        self._closed = False
        self._lay_out()
        self._appearance = get_settings().appearance
        self._font_links = Links(self._on_font, self)
        self._font_links.connect([self._appearance.events.font_size])
        self._on_font()
        recalled = load_last()
        self._recall(recalled.last, recalled.notice)
        self._connect()
        self.keys = KeyBindings(viewer, self._actions())
        self.run_bar.set_help(self.keys.help_text())
        self.prompt_table.suggest(self.image_panel.layer())
        self._on_image()
        self._tell_examples()
        # napari reads its units when the first layer is made; two threads that do so
        # at once, ours and the one on which the user opens an image, both fail
        Affine(ndim=2)
        self.controller.start()

    # ---------------------------------------------------------------- what is asked

    def card(self) -> ModelCard:
        """Card of the chosen model.

        Raises
        ------
        GemError
            If there is no such model.
        """
        named = self.model_choice.named()
        return find_model(named.model, named.architecture)

    def ask(self) -> Ask:
        """Put together what the views say.

        Raises
        ------
        GemError
            If there is no such image, region or model.
        """
        card = self.advanced_panel.suggested(self.card())
        named = self.model_choice.named()
        settings = read_settings()
        device = self.device_choice.device()
        score = replace(
            card.score,
            background=_first(self.prompt_table.background(), card.score.background),
            templates=_first(self.prompt_table.templates(), card.score.templates),
        )
        image = self.image_panel.read()
        return Ask(
            layers=tuple(self.image_panel.layers()),
            image=image,
            prompts=self.prompt_table.prompts(),
            model=named.model,
            architecture=named.architecture,
            device=settings.device if device == "auto" else device,
            precision=self.advanced_panel.precision() or settings.precision,
            encode=self.advanced_panel.encode(card.encode),
            detail=self.image_panel.detail_of(image),
            region=self.image_panel.region(),
            score=self.advanced_panel.score(score),
            label=self.advanced_panel.label(),
            policy=self._policy,
        )

    def run(self) -> None:
        """Segment the chosen image by the typed words."""
        self.prompt_table.take_typed()
        try:
            ask = self.ask()
            positions = self.image_panel.positions() or []
            more = tuple(self.image_panel.read(p) for p in positions[1:])
        except GemError as error:
            self.controller.refuse(str(error))
            return
        self._asked = [ask.image, *more]
        self._left_out = ""
        save_last(self._last_used())
        self.controller.run(replace(ask, more=more))  # which may ask something first

    def refresh(self) -> None:
        """Show what changed words and settings give, if the image is encoded."""
        try:
            ask = self.ask()
        except GemError:
            self.run_bar.set_current(False)
        else:
            self.controller.refresh(ask)

    # ------------------------------------------------------------------ life and Qt

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 (Qt's name)
        """End the worker when the dock is closed: napari takes the widget out."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._end()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 (Qt's name)
        """End the worker."""
        self._end()
        super().closeEvent(event)

    def _lay_out(self) -> None:
        settings = QFormLayout()
        settings.setContentsMargins(0, 0, 0, 0)
        settings.addRow(Label("Model"))
        settings.addRow(self.model_choice)
        settings.addRow("Compute on", self.device_choice)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 6, 0)
        column.addWidget(self.image_panel)
        column.addWidget(self.prompt_table)
        column.addWidget(self.example_bar)
        column.addLayout(settings)
        self.advanced_panel.method_group.addWidget(self.cache_row)
        column.addWidget(self.advanced_panel)
        column.addWidget(self.results_panel)
        column.addWidget(self.recipe_menu)
        column.addStretch(1)
        area = _Column(inside)
        layout = QVBoxLayout(self)
        layout.addWidget(area, 1)
        layout.addWidget(self.run_bar)

    def _connect(self) -> None:
        table, bar, controller = self.prompt_table, self.run_bar, self.controller
        self.image_panel.layer_changed.connect(table.suggest)
        self.image_panel.changed.connect(self._on_image)
        self.image_panel.message_sent.connect(self._on_image_told)
        table.changed.connect(self._on_table)
        table.message_sent.connect(self._on_table_told)
        table.run_requested.connect(self.run)
        table.current_changed.connect(self.example_bar.set_prompt)
        self.example_bar.points.changed.connect(self._examples.follow_points)
        self.example_bar.message_sent.connect(bar.show_message)
        self.model_choice.combo.currentIndexChanged.connect(self._on_model)
        self.model_choice.message_sent.connect(self._on_model_told)
        self.device_choice.changed.connect(self.refresh)
        self.advanced_panel.preset_changed.connect(self._on_preset)
        self.advanced_panel.score_changed.connect(self.refresh)
        self.advanced_panel.encode_changed.connect(self.refresh)
        bar.run_requested.connect(self.run)
        bar.cancel_requested.connect(controller.cancel)
        bar.undo_requested.connect(controller.undo)
        bar.update_requested.connect(self.run)
        controller.busy_changed.connect(self._on_busy)
        controller.progressed.connect(bar.show_progress)
        controller.message_sent.connect(bar.show_message)
        controller.failed.connect(lambda said: show_error(without_tags(said)))
        controller.undo_changed.connect(bar.set_undo)
        controller.labels_kept.connect(
            lambda layer: bar.set_kept("" if layer is None else layer.name)
        )
        controller.current_changed.connect(bar.set_current)
        controller.scored.connect(self._on_scored)
        controller.scored.connect(self._measure_cache)
        controller.download_requested.connect(self._on_download_requested)
        controller.policy_requested.connect(self._on_policy_requested)
        for kind in ("instances", "boxes", "uncertainty", "peaks"):
            self._connect_extra(kind)
        self.results_panel.table_requested.connect(
            lambda options, path: self.derived_layers.make_table(None, options, path)
        )
        self.results_panel.table_shown.connect(
            lambda options: self.derived_layers.make(
                None, "instances", options, table=True
            )
        )
        self.results_panel.paint_requested.connect(self.derived_layers.make_paint_copy)
        self.results_panel.merge_button.requested.connect(self.derived_layers.merge)
        self.derived_layers.instances_made.connect(self._show_table)
        self.derived_layers.stale_changed.connect(self.results_panel.show_stale)
        controller.scored.connect(self.derived_layers.check_soon)
        controller.undo_changed.connect(self.derived_layers.check_soon)
        self.derived_layers.message_sent.connect(bar.show_message)
        self.cache_row.message_sent.connect(bar.show_message)
        self.derived_layers.busy_changed.connect(self.results_panel.set_busy)
        self.recipe_menu.message_sent.connect(bar.show_message)
        self.recipe_menu.opened.connect(self._on_recipe)
        # the window deletes its docks without closing them
        self.destroyed.connect(controller.close)

    def _connect_extra(self, kind: Any) -> None:
        requested = getattr(self.results_panel, f"{kind}_requested")
        requested.connect(lambda options: self.derived_layers.make(None, kind, options))

    def _actions(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "cancel": self.controller.cancel,
            "next_class": self.prompt_table.select_next,
            "previous_class": self.prompt_table.select_previous,
            "toggle_map": self._toggle_map,
            "add_example": lambda: self.example_bar.start(positive=True),
            "add_negative": lambda: self.example_bar.start(positive=False),
            "undo": self.controller.undo,
        }

    # ------------------------------------------------------------------------ slots

    def _on_font(self, _event: Any = None) -> None:
        self.setStyleSheet(FONT.format(self._appearance.font_size))

    def _on_image(self) -> None:
        """Tell the examples which image is shown, and show what is encoded of it."""
        try:
            view = self.image_panel.read()
        except GemError:
            self.example_bar.set_image(None, None)
        else:
            self.example_bar.set_image(self.image_panel.layer(), view)
        self._examples.follow_view()  # points of the slice that is shown now
        self.refresh()

    def _measure_cache(self, event: Finished) -> None:
        if event.is_new and self.cache_row.isVisible():
            self.cache_row.refresh()

    def _on_image_told(self, kind: str, sentence: str) -> None:
        if sentence:
            self.run_bar.show_message(kind, sentence)
        else:
            self.run_bar.remove_message(self._image_told)
        self._image_told = sentence

    def _on_model_told(self, kind: str, sentence: str) -> None:
        # what is wrong with the list is told when it is first seen, as is the other
        left_out, self._left_out = self._left_out, ""
        self.run_bar.show_message(kind, f"{left_out} {sentence}".strip())

    def _on_table_told(self, kind: str, sentence: str) -> None:
        self.run_bar.show_message(kind, sentence)
        # of what was refused: true until the table is another one
        self._table_told = sentence if kind == "warning" else ""

    def _tell_examples(self) -> None:
        """Tell the examples which classes there are, and which one gets them."""
        self._examples.follow_table()
        self.example_bar.set_prompt(self.prompt_table.current())

    def _on_table(self, moving: bool) -> None:
        self.run_bar.remove_message(self._table_told)
        self._table_told = ""
        if not moving:
            self._tell_examples()
        self.refresh()

    def _on_busy(self, busy: bool) -> None:
        self.run_bar.set_busy(busy)
        if busy:
            return
        try:  # what was run need not be what is chosen now
            self.controller.mark(self.ask())
        except GemError:
            self.run_bar.set_current(False)

    def _show_table(self, layer: Any) -> None:
        """Open napari's table of a layer's features."""
        self._viewer.layers.selection.active = layer
        self._viewer.window.add_plugin_dock_widget("napari", TABLE)

    def _on_model(self) -> None:
        try:
            card = self.card()
        except GemError as error:
            self.run_bar.show_message("error", str(error))
            return
        self._show_card(card)
        self.refresh()

    def _show_card(self, card: ModelCard) -> None:
        self.advanced_panel.set_card(card)
        self._show_background(card)
        self._show_patch(card, patch_size(card) or 0)

    def _show_patch(self, card: ModelCard, side: int) -> None:
        known = ModelPatch(side, side / card.encode.zoom) if side else ModelPatch()
        self.image_panel.set_model_patch(known)

    def _show_background(self, card: ModelCard) -> None:
        suggested = self.advanced_panel.suggested(card)
        self.prompt_table.set_default_background(suggested.score.background)

    def _on_preset(self) -> None:
        with suppress(GemError):  # a model that is not there is told by Run
            self._show_background(self.card())

    def _on_scored(self, event: Finished) -> None:
        result, recipe = event.result, event.result.recipe
        ids = label_ids(recipe.prompts)
        self.prompt_table.note_vectors(recipe.prompts)
        self.prompt_table.model.show_shares(dict(zip(ids, result.shares, strict=True)))
        pairs = zip(ids, recipe.prompts, strict=True)
        self.prompt_table.model.show_absent(
            {i for i, p in pairs if p.name in result.absent}
        )
        with suppress(GemError):  # another model was chosen, which Run tells about
            card = self.card()
            if recipe.model == card.id and not patch_size(card):
                self._show_patch(card, round(result.patch * recipe.encode.zoom))
        layer = self.image_panel.layer()
        source = getattr(getattr(layer, "source", None), "path", None)
        image = Path(source) if source else ""
        self.recipe_menu.set_recipe(recipe, image, self._scored_index())

    def _scored_index(self) -> tuple[int, ...] | None:
        """Tell which slice a run is at; what is scored later is the shown one."""
        if self.controller.busy and self._asked:
            image = self._asked[0]
            del self._asked[: len(self._asked) > 1]
            return image.index
        try:
            return self.image_panel.read().index
        except GemError:  # another slice is shown already
            return None

    def _on_download_requested(self, card: ModelCard, ask: Ask) -> None:
        self.run_bar.show_message("info", "")
        answer = ask_user(self, download_box(card, self).exec)
        if answer == MessageBox.StandardButton.Ok:
            self.controller.run(replace(ask, download=True))
        elif answer is not None:
            self.run_bar.show_message("info", "Nothing was downloaded.")

    def _on_policy_requested(self, layer: Any, ask: Ask) -> None:
        answer = ask_user(self, lambda: choose_policy(layer.name, self))
        if answer is None:
            return
        policy, always = answer
        if policy is None:
            self.run_bar.show_message("info", "Nothing was run.")
            return
        if always:
            self._policy = policy
        self.controller.run(replace(ask, policy=policy))

    def _on_recipe(self, recipe: Recipe) -> None:
        """Show in the views what a recipe says, and do it if all of it fits.

        A model that the user has not used before waits for Run.
        """
        try:
            card = recipe_card(recipe)
            misfits = self._show_recipe(recipe, card)
            missing = not_shown(self.ask(), recipe)
        except GemError as error:
            self.run_bar.show_message("error", str(error))
            return
        told = " ".join(filter(None, (*misfits, missing)))
        if not was_used(card):
            asks = NOT_USED.format(name=card.name, place=place_of(card))
            self.run_bar.show_message("warning", f"{asks} {told}".strip())
        elif told:
            self.run_bar.show_message(
                "warning", f"{told} Run does the rest of the recipe."
            )
        else:
            self.run()

    def _show_recipe(self, recipe: Recipe, card: ModelCard) -> list[str]:
        self.image_panel.read()  # there must be an image before anything is set
        self.model_choice.add(NamedModel(recipe.model, recipe.architecture), card.name)
        misfits = show_image_part(self.image_panel, recipe, card)
        image = self.image_panel.read()
        self.example_bar.set_image(self.image_panel.layer(), image)
        prompts = prompts_for(recipe, image.shape)
        taken = self._examples.load(
            PromptSet(
                "recipe",
                prompts=prompts,
                background=recipe.score.background,
                templates=recipe.score.templates,
            )
        )
        if not taken:
            misfits.append("The recipe's classes cannot be in one table.")
        precision = recipe.precision if recipe.precision in PRECISIONS else None
        self.advanced_panel.set_state(
            {
                **advanced_of(recipe),
                "precision": precision,
                "preset": preset_of(recipe, card, panel_presets()) or None,
            }
        )
        self._show_background(card)
        return misfits

    def _toggle_map(self) -> None:
        prompt = self.prompt_table.current()
        for layer in self._viewer.layers:
            entry = read_entry(layer)
            if prompt and (entry.role, entry.label) == (PROBABILITY, prompt.label):
                layer.visible = not layer.visible

    # ---------------------------------------------------------------- what is kept

    def _recall(self, last: LastUsed, notice: str = "") -> None:
        """Show what was used last; what cannot be shown is left out and said."""
        told = [notice]

        def attempt(what: str, show: Callable[[], object]) -> None:
            try:
                show()
            except GemError as error:
                told.append(f"{error} {what} is left as it was.")
            except Exception:  # the dock opens whatever was kept
                logger.warning("%s cannot be recalled", what, exc_info=True)
                told.append(f"{what} of last time cannot be used and is left out.")

        try:
            name = find_model(last.model, last.architecture).name
        except GemError as error:
            told.append(f"{error} The embedded model is chosen.")
        except Exception:  # as above
            logger.warning("The model cannot be recalled", exc_info=True)
            told.append(
                "The model of last time cannot be used. The embedded model is chosen."
            )
        else:
            if last.model != "embedded":
                named = NamedModel(last.model, last.architecture)
                attempt("The model", lambda: self.model_choice.add(named, name))
        table, panel = self.prompt_table, self.advanced_panel
        attempt("The device", lambda: self.device_choice.set_device(last.device))
        attempt("The model", lambda: self._show_card(self.card()))
        attempt("The table of classes", lambda: _fill(table, last.prompts))
        if last.background is not None:
            words = last.background
            attempt("The background", lambda: table.set_background(words))
        attempt("The detail", lambda: self.image_panel.recall_detail(last.detail))
        attempt("The advanced panel", lambda: panel.set_state(last.advanced))
        attempt("The background", lambda: self._show_background(self.card()))
        self._left_out = " ".join(filter(None, told))
        if self._left_out:
            self.run_bar.show_message("warning", self._left_out)

    def _last_used(self) -> LastUsed:
        named = self.model_choice.named()
        return LastUsed(
            model=named.model,
            architecture=named.architecture,
            device=self.device_choice.device(),
            prompts=self.prompt_table.prompts(),
            background=self.prompt_table.background(),
            detail=self.image_panel.detail(),
            advanced=self.advanced_panel.state(),
        )

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._font_links.clear()
        self.keys.detach()
        self._probe.detach()
        self.image_panel.detach()
        self.example_bar.detach()
        self.model_choice.stop()
        self.device_choice.stop()
        self.derived_layers.close()
        self.controller.close()


class _Column(QScrollArea):
    """Scrolls up and down only: as wide as what it holds."""

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inside)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Follow what it holds when that needs more or less width."""
        if event.type() == QEvent.Type.LayoutRequest and watched is self.widget():
            bar = self.verticalScrollBar().sizeHint().width()
            needed = self.widget().minimumSizeHint().width() + bar
            if needed != self.minimumWidth():
                self.setMinimumWidth(needed)
        return bool(super().eventFilter(watched, event))


def _fill(table: PromptTable, prompts: tuple[Prompt, ...]) -> None:
    if not table.set_prompts(prompts, undoable=False):
        raise GemError("The classes of last time cannot be in one table.")


def _first(chosen: tuple[str, ...] | None, usual: tuple[str, ...]) -> tuple[str, ...]:
    return usual if chosen is None else chosen
