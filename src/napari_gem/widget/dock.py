"""The dock widget: its views, and what each says to the controller."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.settings import get_settings
from napari.utils.notifications import show_error
from napari.utils.transforms import Affine
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from napari_gem.core.errors import GemError
from napari_gem.core.fields import with_values
from napari_gem.core.foreign_text import without_tags
from napari_gem.core.results import Job
from napari_gem.layers.reading.clues import clues_of_layers
from napari_gem.layers.writing.combine import named_ids
from napari_gem.models.catalogue import patch_size
from napari_gem.models.domains import domain_for, with_domain
from napari_gem.models.find import find_model, is_available
from napari_gem.prompts.domains import NO_CLUES
from napari_gem.widget.image.panel import ImagePanel, ModelPatch
from napari_gem.widget.keys import KeyBindings
from napari_gem.widget.models.device_choice import DeviceChoice
from napari_gem.widget.models.model_choice import ModelChoice
from napari_gem.widget.models.model_dialog import download_box
from napari_gem.widget.parameters.cache_row import CacheRow
from napari_gem.widget.parameters.last_used import last_used, recall
from napari_gem.widget.parameters.panel import AdvancedPanel
from napari_gem.widget.parameters.recall import load_last
from napari_gem.widget.parameters.settings import read_settings, save_last
from napari_gem.widget.parts.column import Column
from napari_gem.widget.parts.fold import Fold
from napari_gem.widget.parts.links import Links
from napari_gem.widget.parts.plain import MessageBox
from napari_gem.widget.parts.plain import ask as ask_user
from napari_gem.widget.parts.style import emphasis_style
from napari_gem.widget.prompts.example_bar import ExampleBar
from napari_gem.widget.prompts.example_link import ExampleLink
from napari_gem.widget.prompts.table import PromptTable
from napari_gem.widget.recipes.apply import apply_recipe
from napari_gem.widget.recipes.menu import RecipeMenu
from napari_gem.widget.results.brush import Brush
from napari_gem.widget.results.derived import DerivedLayers, merge_targets
from napari_gem.widget.results.instance_table import InstanceTable, show_instances
from napari_gem.widget.results.panel import ResultsPanel
from napari_gem.widget.results.policy_box import choose_policy
from napari_gem.widget.results.status import StatusProbe
from napari_gem.widget.run.controller import Controller
from napari_gem.widget.run.inputs import RunInputs, job_of
from napari_gem.widget.run.run_bar import RunBar
from napari_gem.widget.state import DockState, Encoded, Running, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari.viewer
    from qtpy.QtGui import QCloseEvent, QShowEvent

    from napari_gem.core.parameters import ScoreParameters
    from napari_gem.core.word_comparison import ComparedMaps, WordOrder
    from napari_gem.layers import Policy
    from napari_gem.models.card import ModelCard
    from napari_gem.prompts.domains import Decision
    from napari_gem.widget.state import Place
    from napari_gem.worker.messages import Finished

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
        Has the images and gets the results.
    controller
        Runs what the views ask for; None makes one.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, controller: Controller | None = None
    ) -> None:
        super().__init__()
        storage = read_settings().storage
        self._viewer = viewer
        self.controller = controller or Controller(viewer, storage=storage)
        self.image_panel = ImagePanel(viewer)
        self.prompt_table = PromptTable(known=lambda: named_ids(viewer.layers))
        self.example_bar = ExampleBar(viewer)
        self.example_link = ExampleLink(self.prompt_table, self.example_bar.points)
        self.model_choice = ModelChoice()
        self.device_choice = DeviceChoice(self.card)
        self.advanced_panel = AdvancedPanel()
        self.cache_row = CacheRow(lambda: read_settings().storage)
        self.results_panel = ResultsPanel(merge_targets=lambda: merge_targets(viewer))
        self.recipe_menu = RecipeMenu()
        self.model_fold, self.settings_fold = Fold("Model"), Fold("Settings")
        self.folds = {
            "image": self.image_panel.fold,
            "model": self.model_fold,
            "settings": self.settings_fold,
            "results": self.results_panel.fold,
        }
        self.run_bar = RunBar()
        self.map_layers = self.controller.map_layers
        maps = self.map_layers.maps
        self.derived_layers = DerivedLayers(viewer, self, storage.folder, maps)
        self._probe = StatusProbe(viewer, maps)
        self.brush = Brush(viewer, self.prompt_table)
        self._policy: Policy = "ask"
        self._place: Place | None = None  # that is shown
        self._image_message = self._table_message = self._recall_message = ""
        self._run_message = ""
        self._message_job: Job | None = None  # what was asked for when it was said
        self._compared: RunInputs | None = None  # whose words are compared
        self._table: InstanceTable | None = None
        self._closed = False
        self._lay_out()
        looks = get_settings().appearance.events
        self._look_links = Links(self._on_look, self, [looks.font_size, looks.theme])
        self._on_look()
        self._recall()
        self._connect_views()
        self._connect_controller()
        self.keys = KeyBindings(viewer, self._actions())
        self.run_bar.set_help(self.keys.help_text())
        self.prompt_table.suggest(self.image_panel.layer())
        self._on_image()
        self._update_examples()
        # napari reads its units when the first layer is made; two threads that do so
        # at once, ours and the one on which the user opens an image, both fail
        Affine(ndim=2)
        self.controller.start()

    # --- what the views ask for

    def card(self) -> ModelCard:
        """Card of the chosen model.

        Raises
        ------
        GemError
            If there is no such model.
        """
        named = self.model_choice.named()
        return find_model(named.model, named.architecture)

    def inputs(self) -> RunInputs:
        """Put together what the views ask for.

        Raises
        ------
        GemError
            If there is no such image, region or model.
        """
        own = self.card()
        card = self.advanced_panel.suggested(own)
        named = self.model_choice.named()
        settings = read_settings()
        device = self.device_choice.device()
        self.prompt_table.background()  # what was typed
        image = self.image_panel.read()
        job = Job(
            prompts=self.prompt_table.prompts(),
            model=named.model,
            architecture=named.architecture,
            appearance=image.appearance,
            device=settings.device if device == "auto" else device,
            precision=self.advanced_panel.precision() or settings.precision,
            encode=self.advanced_panel.encode(card.encode),
            score=self._score(own, self.domain(own)),
            label=self.advanced_panel.label(),
            region=self.image_panel.region(),
        )
        return RunInputs(
            layers=tuple(self.image_panel.layers()),
            image=image,
            job=job_of(job, image),
            detail=self.image_panel.detail_of(image),
            policy=self._policy,
        )

    def domain(self, card: ModelCard) -> Decision:
        """Decide which kind of images is meant."""
        table, clues = self.prompt_table, NO_CLUES
        layers = self.image_panel.layers()
        if layers:
            with suppress(GemError):  # if it cannot be read, Run says so
                clues = clues_of_layers(layers, self.image_panel.appearance())
        return domain_for(
            card,
            table.prompts(),
            chosen=table.domain_choice.domain(),
            preset=self.advanced_panel.preset,
            sets=table.set_domains(),
            clues=clues,
        )

    def _suggested_score(self, card: ModelCard, decision: Decision) -> ScoreParameters:
        """Parameters of a model with the chosen preset and the words of a domain."""
        return with_domain(self.advanced_panel.suggested(card).score, card, decision)

    def _score(self, card: ModelCard, decision: Decision) -> ScoreParameters:
        """Lay what the user chose over what is suggested."""
        state, score = self.prompt_table.model.state, {}
        if state.background is not None:
            score["background"] = state.background
        if state.templates is not None:
            score["templates"] = state.templates
        suggested = with_values(self._suggested_score(card, decision), score)
        return self.advanced_panel.score(suggested)

    def show_domain(self) -> None:
        """Show which kind of images is meant, and what it brings."""
        try:
            card = self.card()
        except GemError:  # Run says so
            return
        decision = self.domain(card)
        suggested = self._suggested_score(card, decision)
        self.prompt_table.set_default_background(suggested.background)
        choice = self.prompt_table.domain_choice
        choice.show_decision(decision, self._score(card, decision))

    def run(self) -> None:
        """Segment the chosen image by the typed words."""
        self.prompt_table.take_typed()
        try:
            inputs = self.inputs()
            positions = self.image_panel.positions() or []
            more = tuple(self.image_panel.read(p) for p in positions[1:])
        except GemError as error:
            self.controller.refuse(str(error))
            return
        self._recall_message = ""
        save_last(last_used(self))
        self.controller.run(replace(inputs, more=more))  # it may ask the user first

    def refresh(self) -> None:
        """Show what changed words and settings give, if the image is encoded."""
        self.show_domain()
        try:
            inputs = self.inputs()
        except GemError as error:
            self._show(None, str(error))
        else:
            if inputs.job.prompts:
                self.controller.refresh(inputs)
            else:  # no mistake: the line above the message says what to type
                self.controller.refuse("")
            self._show(inputs)

    def show_state(self) -> None:
        """Show what is known of the image in front; asks for nothing."""
        try:
            self._show(self.inputs())
        except GemError as error:
            self._show(None, str(error))

    def _show(self, inputs: RunInputs | None, problem: str = "") -> None:
        """Show what `state.shown` says; ``inputs`` are None if there is a problem."""
        controller, bar = self.controller, self.run_bar
        state = DockState(
            image=self.image_panel.layer() is not None,
            problem=problem,
            prompts=self.prompt_table.prompts(),
        )
        place = None
        if inputs is not None:
            place = inputs.place
            card = find_model(inputs.job.model, inputs.job.architecture)
            state = replace(
                state,
                region=inputs.job.region is not None,
                encoded=controller.encoded(inputs),
                running=controller.running(place),
                download=card.size is not None and not is_available(card),
                last=controller.last_result(place),
            )
        self._show_words(inputs, state)
        status = shown(state)
        bar.show_state(status.sentence, status.run)
        self.prompt_table.model.show_shares(status.shares, status.absent, status.whole)
        self.recipe_menu.set_result(status.last)
        if place != self._place:
            self._place = place
            bar.remove_message(self._run_message)
            self._run_message = ""
            if status.last is not None and not bar.has_message:
                self._say(*status.last.message)
        elif inputs is not None and self._message_job not in (None, inputs.job):
            # it is true of other classes or settings
            bar.remove_message(self._run_message)
            self._message_job = None

    def _show_words(self, inputs: RunInputs | None, state: DockState) -> None:
        """Tell the word explorer which image is in front, and whether it is encoded."""
        explorer = self.prompt_table.word_explorer
        key = inputs and (inputs.encoding, inputs.scoring)
        self._compared = inputs
        encoded = state.encoded is Encoded.LIVE
        explorer.set_image(key, encoded, state.running is not Running.NO)

    def _on_order(self, order: WordOrder | None) -> None:
        """Compare words on the image in front; None gives it up."""
        if order is None or self._compared is None:
            self.controller.stop_comparing()
        else:
            self.controller.compare(self._compared, order)

    def _on_compared(self, outcome: ComparedMaps | str, inputs: RunInputs) -> None:
        """Show compared words, unless another image is in front by now."""
        if inputs is self._compared or (
            self._compared is not None and inputs.place == self._compared.place
        ):
            self.prompt_table.word_explorer.show_maps(outcome)

    def _say(self, kind: str, sentence: str, details: str = "") -> None:
        self._run_message = sentence
        self.run_bar.show_message(kind, sentence, details)

    # --- layout

    def _lay_out(self) -> None:
        """Show image, classes and Run first; all else is folded away until used."""
        model = QWidget()
        form = QFormLayout(model)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(self.model_choice)
        form.addRow("Compute on", self.device_choice)
        self.model_fold.set_tooltip("Choose the model, and what it computes on")
        self.model_fold.addWidget(model)
        self.settings_fold.set_tooltip("How labels are made, and the method itself")
        self.settings_fold.addWidget(self.advanced_panel)
        self.advanced_panel.method_group.addWidget(self.cache_row)
        self.results_panel.fold.addWidget(self.recipe_menu)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 6, 0)
        column.setSpacing(4)
        for view in (
            *(self.image_panel, self.model_fold, self.prompt_table, self.example_bar),
            *(self.settings_fold, self.results_panel),
        ):
            column.addWidget(view)
        column.addStretch(1)
        layout = QVBoxLayout(self)
        layout.addWidget(Column(content), 1)
        layout.addWidget(self.run_bar)

    # --- who says what to whom

    def _connect_views(self) -> None:
        controller, table, bar = self.controller, self.prompt_table, self.run_bar
        derived, results = self.derived_layers, self.results_panel
        self.image_panel.layer_changed.connect(table.suggest)
        self.image_panel.changed.connect(self._on_image)
        self.image_panel.message_sent.connect(self._on_image_message)
        table.changed.connect(self._on_table)
        table.message_sent.connect(self._on_table_message)
        table.run_requested.connect(self.run)
        table.word_explorer.order_changed.connect(self._on_order)
        table.current_changed.connect(self.example_bar.set_prompt)
        table.current_changed.connect(self.map_layers.set_current)
        table.map_toggled.connect(self.map_layers.toggle)
        self.map_layers.set_choice(results.map_choice())
        results.map_choice_changed.connect(self.map_layers.set_choice)
        self.example_bar.points.changed.connect(self.example_link.follow_points)
        self.model_choice.combo.currentIndexChanged.connect(self._on_model)
        self.model_choice.message_sent.connect(self._on_model_message)
        self.device_choice.changed.connect(self.show_model)
        self.device_choice.changed.connect(self.refresh)
        self.advanced_panel.summarized.connect(self._show_changed)
        self.advanced_panel.preset_changed.connect(self.show_domain)
        self.advanced_panel.score_changed.connect(self.refresh)
        self.advanced_panel.encode_changed.connect(self.refresh)
        bar.run_requested.connect(self.run)
        bar.update_requested.connect(self.run)
        bar.cancel_requested.connect(controller.cancel)
        bar.undo_requested.connect(controller.undo)
        results.instances_requested.connect(partial(derived.make, None, "instances"))
        results.boxes_requested.connect(partial(derived.make, None, "boxes"))
        results.uncertainty_requested.connect(
            partial(derived.make, None, "uncertainty")
        )
        results.peaks_requested.connect(partial(derived.make, None, "peaks"))
        results.table_requested.connect(partial(derived.make_table, None))
        results.table_shown.connect(
            partial(derived.make, None, "instances", table=True)
        )
        results.paint_requested.connect(derived.make_paint_copy)
        results.merge_button.requested.connect(derived.merge)
        derived.busy_changed.connect(results.set_busy)
        derived.stale_changed.connect(results.show_stale)
        derived.instances_created.connect(self._show_table)
        self.cache_row.cleared.connect(controller.forget_kept)
        self.recipe_menu.opened.connect(partial(apply_recipe, self))
        senders = (self.example_bar, self.cache_row, self.recipe_menu, derived)
        for view in (*senders, self.image_panel.opener):
            view.message_sent.connect(bar.show_message)

    def _connect_controller(self) -> None:
        controller, bar = self.controller, self.run_bar
        controller.busy_changed.connect(self._on_busy)
        controller.progressed.connect(bar.show_progress)
        controller.message_sent.connect(self._on_message)
        controller.failed.connect(lambda sentence: show_error(without_tags(sentence)))
        controller.state_changed.connect(self.show_state)
        controller.compared.connect(self._on_compared)
        controller.labels_kept.connect(
            lambda layer: bar.set_kept("" if layer is None else layer.name)
        )
        controller.undo_changed.connect(bar.set_undo)
        controller.undo_changed.connect(self.derived_layers.check_soon)
        controller.scored.connect(self._on_scored)
        controller.scored.connect(self.derived_layers.check_soon)
        controller.download_requested.connect(self._on_download_requested)
        controller.policy_requested.connect(self._on_policy_requested)
        # the window deletes its docks without closing them
        self.destroyed.connect(controller.close)

    def _actions(self) -> dict[str, Callable[[], object]]:
        """Return what the keys do, by their names in `keys.KEYS`."""
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

    # --- image

    def _on_image(self) -> None:
        """Show examples and what is encoded of the image that is shown now."""
        try:
            view = self.image_panel.read()
        except GemError:
            self.example_bar.set_image(None, None)
            self.brush.set_source("")
        else:
            self.example_bar.set_image(self.image_panel.layer(), view)
            self.brush.set_source(view.source)
        self.example_link.follow_view()
        self.refresh()

    def _on_image_message(self, kind: str, sentence: str) -> None:
        if sentence:
            self.run_bar.show_message(kind, sentence)
        else:
            self.run_bar.remove_message(self._image_message)
        self._image_message = sentence

    # --- classes

    def _on_table(self, moving: bool) -> None:
        self.run_bar.remove_message(self._table_message)
        self._table_message = ""
        if not moving:
            self._update_examples()
        self.refresh()

    def _on_table_message(self, kind: str, sentence: str) -> None:
        self.run_bar.show_message(kind, sentence)
        # why a change was refused: true until the table changes
        self._table_message = sentence if kind == "warning" else ""

    def _update_examples(self) -> None:
        self.example_link.follow_table()
        prompt = self.prompt_table.current()
        self.example_bar.set_prompt(prompt)
        self.map_layers.set_current(prompt)  # it may have another name

    def _toggle_map(self) -> None:
        """Show or hide the map of the current class."""
        prompt = self.prompt_table.current()
        if prompt is not None:
            self.map_layers.toggle(prompt)

    # --- model

    def _on_model(self) -> None:
        try:
            card = self.card()
        except GemError as error:
            self.run_bar.show_message("error", str(error))
            return
        self.show_card(card)
        self.refresh()

    def _on_model_message(self, kind: str, sentence: str) -> None:
        # the message about what was used last comes at the same moment
        message = f"{self._recall_message} {sentence}".strip()
        self._recall_message = ""
        self.run_bar.show_message(kind, message)

    def show_card(self, card: ModelCard) -> None:
        """Show what a model suggests."""
        self.advanced_panel.set_card(card)
        self.prompt_table.set_model(card.domain, card.known_words)
        self.show_domain()
        self._show_patch(card, patch_size(card) or 0)
        self.show_model()

    def show_model(self) -> None:
        """Say in the title of its fold which model is chosen, and what for."""
        try:
            card = self.card()
        except GemError:
            title = "Model: none that can be used"
        else:
            title = f"Model: {card.name}"
            if card.domain not in card.name:
                title += f" · {card.domain}"
        device = self.device_choice.combo
        if device.currentData() != "auto":
            title += f" · {device.currentText()}"
        self.model_fold.set_title(title)

    def _show_changed(self, changed: str) -> None:
        self.settings_fold.set_title(
            f"Settings: {changed} changed" if changed else "Settings"
        )

    def _show_patch(self, card: ModelCard, side: int) -> None:
        patch = ModelPatch(side, side / card.encode.zoom) if side else ModelPatch()
        self.image_panel.set_model_patch(patch)

    # --- runs

    def _on_busy(self, busy: bool) -> None:
        self.run_bar.set_busy(busy)
        self.show_state()

    def _on_message(
        self, kind: str, sentence: str, details: str, about: RunInputs | None
    ) -> None:
        """Show a sentence, with the name of the image if that is not in front."""
        if sentence and about is not None and about.place != self._place:
            name = about.layers[0].name
            title = (
                f"'{name}', {about.image.title}" if about.image.title else f"'{name}'"
            )
            sentence = f"{title}: {sentence}"
        self._say(kind, sentence, details)
        done = kind != "error" and about is not None
        self._message_job = about.job if done and about is not None else None

    def _on_scored(self, event: Finished) -> None:
        result, recipe = event.result, event.result.recipe
        self.prompt_table.note_vectors(recipe.prompts)
        with suppress(GemError):  # if another model was chosen, Run says what is wrong
            card = self.card()
            if recipe.model == card.id and not patch_size(card):
                self._show_patch(card, round(result.patch * recipe.encode.zoom))
        self.show_state()
        if event.is_new and self.cache_row.isVisible():
            self.cache_row.refresh()

    def _on_download_requested(self, card: ModelCard, inputs: RunInputs) -> None:
        self.run_bar.show_message("info", "")
        answer = ask_user(self, download_box(card, self).exec)
        if answer == MessageBox.StandardButton.Ok:
            self.controller.run(replace(inputs, download=True))
        elif answer is not None:
            self.run_bar.show_message("info", "Nothing was downloaded.")

    def _on_policy_requested(self, layer: Any, inputs: RunInputs) -> None:
        answer = ask_user(self, lambda: choose_policy(layer.name, self))
        if answer is None:
            return
        policy, always = answer
        if policy is None:
            self.run_bar.show_message("info", "Nothing was run.")
            return
        if always:
            self._policy = policy
        self.controller.run(replace(inputs, policy=policy))

    def _show_table(self, layer: Any) -> None:
        self._viewer.layers.selection.active = layer
        self._table = show_instances(self._viewer, layer, self._table)

    # --- begin and end

    def _recall(self) -> None:
        """Show what was used last, and a message about what is left out."""
        recalled = load_last()
        sentences = (recalled.notice, *recall(self, recalled.last))
        self._recall_message = " ".join(filter(None, sentences))
        if self._recall_message:
            self.run_bar.show_message("warning", self._recall_message)

    def _on_look(self, _event: Any = None) -> None:
        looks = get_settings().appearance
        font = FONT.format(looks.font_size)
        self.setStyleSheet(f"{font} {emphasis_style(looks.theme)}")

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 (Qt's name)
        """Say what is wrong with the list of models, also while it is folded away."""
        super().showEvent(event)
        self.model_choice.say_errors()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 (Qt's name)
        """End the worker when the dock is closed: napari takes the widget out."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._end()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 (Qt's name)
        """End the worker."""
        self._end()
        super().closeEvent(event)

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        save_last(last_used(self))  # so that it opens again as it was
        self._look_links.clear()
        self.keys.detach()
        self._probe.detach()
        self.brush.detach()
        self.image_panel.detach()
        self.example_bar.detach()
        self.model_choice.stop()
        self.device_choice.stop()
        self.derived_layers.close()
        self.controller.close()
