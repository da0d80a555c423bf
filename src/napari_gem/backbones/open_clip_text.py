"""The text side of open_clip models, the same for every family of image towers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_BATCH = 256


class OpenClipText:
    """Text tower and tokenizer of an open_clip model.

    The tower is open_clip's own or one of transformers inside open_clip's wrapper; both
    take tokens alike. What differs is how a tokenizer marks start and end.

    Parameters
    ----------
    clip
        An open_clip model.
    tokenizer
        Its tokenizer: open_clip's own, or one around a tokenizer of transformers.

    Attributes
    ----------
    context_length
        Tokens that the model reads, start and end marks included.
    """

    def __init__(self, clip: Any, tokenizer: Any) -> None:
        self._clip = clip
        self._tokenizer = tokenizer
        tower = getattr(clip, "text", clip)
        # a tower of transformers tells how many tokens it could read at most
        limits = [getattr(part, "context_length", None) for part in (tower, tokenizer)]
        self.context_length = min(int(limit) for limit in limits if limit)

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts, at most 256 at a time: (texts, channels), as the model does.

        Raises
        ------
        ValueError
            If there is no text.
        """
        if not texts:
            raise ValueError("there is no text to embed")
        device = next(self._clip.parameters()).device
        tokens = self._tokenizer(list(texts), context_length=self.context_length)
        batches = tokens.to(device).split(_BATCH)
        return torch.cat([self._clip.encode_text(batch) for batch in batches])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count each text's tokens, marks included, before it is cut."""
        return [len(self._words(text)) + self._marks() for text in texts]

    def kept_text(self, text: str) -> str:
        """Return the part of a text that the model reads, as its tokens spell it."""
        words = self._words(text)[: self.context_length - self._marks()]
        inner = getattr(self._tokenizer, "tokenizer", self._tokenizer)
        return str(inner.decode(words)).strip()

    def _words(self, text: str) -> list[int]:
        # open_clip's wrappers around transformers have no method that does not pad.
        inner = getattr(self._tokenizer, "tokenizer", None)
        if inner is None:
            return list(self._tokenizer.encode(text))
        clean = getattr(self._tokenizer, "clean_fn", str)
        return list(inner(clean(text), add_special_tokens=False).input_ids)

    def _marks(self) -> int:
        inner = getattr(self._tokenizer, "tokenizer", None)
        if inner is None:
            return 2
        if getattr(self._tokenizer, "tokenizer_mode", "") == "clips":
            return 3
        return int(inner.num_special_tokens_to_add())
