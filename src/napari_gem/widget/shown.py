"""What the parts of the dock may use of the dock itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from napari_gem.models.card import ModelCard
    from napari_gem.widget.image.panel import ImagePanel
    from napari_gem.widget.models.device_choice import DeviceChoice
    from napari_gem.widget.models.model_choice import ModelChoice
    from napari_gem.widget.parameters.panel import AdvancedPanel
    from napari_gem.widget.parts.fold import Fold
    from napari_gem.widget.prompts.example_bar import ExampleBar
    from napari_gem.widget.prompts.example_link import ExampleLink
    from napari_gem.widget.prompts.table import PromptTable
    from napari_gem.widget.results.panel import ResultsPanel
    from napari_gem.widget.run.inputs import RunInputs
    from napari_gem.widget.run.run_bar import RunBar


class Dock(Protocol):
    """The dock with its views; see `napari_gem.widget.dock.GemWidget`."""

    image_panel: ImagePanel
    prompt_table: PromptTable
    example_bar: ExampleBar
    example_link: ExampleLink
    model_choice: ModelChoice
    device_choice: DeviceChoice
    advanced_panel: AdvancedPanel
    results_panel: ResultsPanel
    run_bar: RunBar
    folds: dict[str, Fold]

    def card(self) -> ModelCard:
        """Card of the chosen model."""

    def inputs(self) -> RunInputs:
        """Put together what the views ask for."""

    def run(self) -> None:
        """Segment the chosen image."""

    def show_card(self, card: ModelCard) -> None:
        """Show what a model suggests."""

    def show_domain(self) -> None:
        """Show which kind of images is meant, and what it brings."""
