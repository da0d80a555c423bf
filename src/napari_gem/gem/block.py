"""A block of a vision transformer as GEM needs it; each backbone adapts its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Block(Protocol):
    """A pre-norm transformer block, taken apart.

    Letters: B images, N tokens (CLS and patches), C channels, H heads, D = C / H.
    """

    def norm(self, tokens: Tensor) -> Tensor:
        """Normalise before attention: (B, N, C) to (B, N, C)."""

    def qkv(self, normed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project to query, key and value: (B, N, C) to (B, H, N, D) each.

        They come after the norms of q and k, and before any rotation by position, which
        is a part of `attend`: likeness must not depend on the place.
        """

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend as the model was trained to: (B, H, M, D) for M of the queries."""

    def project(self, heads: Tensor) -> Tensor:
        """Join heads, output projection, layer scale: (B, H, M, D) to (B, M, C)."""

    def mlp(self, tokens: Tensor) -> Tensor:
        """Norm, MLP and layer scale, without the residual: (B, M, C) to (B, M, C)."""
