"""What the worker is doing for the dock: a run, or the scoring of an encoded image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_gem.core.word_comparison import WordOrder
    from napari_gem.layers import Policy
    from napari_gem.widget.results.stack import StackResult
    from napari_gem.widget.run.inputs import RunInputs
    from napari_gem.widget.run.live_updates import EncodedImage


@dataclass(eq=False)
class Task:
    """What the worker is doing.

    Attributes
    ----------
    inputs
        Of the run; of a stack, for the slice that is segmented.
    encoded
        The image that is scored after a live change; None in a run.
    preview
        Whether a preview is computed.
    number
        Of the request.
    cancelled, stale
        Whether the user cancelled it; whether the pixels were replaced meanwhile.
    download
        Whether the model may be downloaded.
    stack, slices
        Where the slices of a stack are written, and those that are encoded.
    waits
        Whether a cluster has no workers, and the user knows.
    order
        Words that are compared on the encoded image; None if it is scored.
    partly_shown
        Whether a part of the result is shown already.
    """

    inputs: RunInputs
    encoded: EncodedImage | None = None
    preview: bool = False
    number: int = 0
    cancelled: bool = False
    stale: bool = False
    download: bool = False
    stack: StackResult | None = None
    slices: list[EncodedImage] = field(default_factory=list)
    waits: bool = False
    order: WordOrder | None = None
    partly_shown: bool = False

    @property
    def is_run(self) -> bool:
        """Whether this is a run, not a live change."""
        return self.encoded is None

    @property
    def target_stack(self) -> StackResult | None:
        """The stack that the result is written into; None if it is a plane."""
        return self.stack if self.encoded is None else self.encoded.stack

    @property
    def is_large(self) -> bool:
        """Whether the result is written to disk; slices of a stack are not."""
        return self.inputs.is_large and self.target_stack is None

    @property
    def policy(self) -> Policy:
        """What becomes of labels that the user painted.

        Live changes go on as the run did, since nobody is asked meanwhile; what was
        painted after the run is never replaced.
        """
        policy = self.inputs.policy
        if self.encoded is None:
            return "new" if policy == "ask" else policy
        if "fill" in (self.encoded.inputs.policy, policy):
            return "fill"
        return "new" if policy == "new" else "keep"
