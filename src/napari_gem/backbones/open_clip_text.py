"""The text side of open_clip models, the same for every family of image towers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from napari_gem.core.errors import GemError
from napari_gem.core.foreign_text import shown_error
from napari_gem.core.memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

_BATCH = 256


@contextmanager
def tokenizing() -> Iterator[None]:
    """Turn what a tokenizer of another package raises into a sentence.

    The package tokenizers panics at unexpected input. A panic is no `Exception`, and
    would end the thread or the process.

    Raises
    ------
    GemError
        With the reason.
    """
    try:
        yield
    except BaseException as error:
        known = isinstance(error, GemError) or is_out_of_memory(error)
        panic = type(error).__name__ == "PanicException"
        if known or not (panic or isinstance(error, Exception)):
            raise
        raise GemError(
            f"The tokenizer of the model cannot read the text ({shown_error(error)}). "
            "Its files are damaged or of another model. Copy or download the model "
            "again, or choose another one."
        ) from error


class OpenClipText:
    """Text tower and tokenizer of an open_clip model.

    The tower is open_clip's own, or one of transformers inside open_clip's wrapper.
    Both take the same tokens, but their tokenizers mark start and end differently.

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
        # a tower of transformers has the largest number of tokens that it could read
        limits = [getattr(part, "context_length", None) for part in (tower, tokenizer)]
        self.context_length = min(int(limit) for limit in limits if limit)

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts, at most 256 at a time: (texts, channels), as the model does.

        Raises
        ------
        ValueError
            If there is no text.
        GemError
            If the tokenizer cannot read it, or is of another model.
        """
        if not texts:
            raise ValueError("there is no text to embed")
        device = next(self._clip.parameters()).device
        with tokenizing():
            tokens = self._tokenizer(list(texts), context_length=self.context_length)
        self._check_known(tokens)
        batches = tokens.to(device).split(_BATCH)
        return torch.cat([self._clip.encode_text(batch) for batch in batches])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count each text's tokens, marks included, before it is cut."""
        return [len(self._words(text)) + self._marks() for text in texts]

    def kept_text(self, text: str) -> str:
        """Return the part of a text that the model reads, as its tokens spell it."""
        words = self._words(text)[: self.context_length - self._marks()]
        inner = getattr(self._tokenizer, "tokenizer", self._tokenizer)
        with tokenizing():
            return str(inner.decode(words)).strip()

    def _check_known(self, tokens: Tensor) -> None:
        """Refuse tokens that the text tower has no embedding for.

        Torch fails at them; on a GPU everything after that fails, too.
        """
        tower = getattr(self._clip, "text", self._clip)
        table = getattr(tower, "token_embedding", None)
        if table is None:
            table = tower.transformer.get_input_embeddings()
        known = int(table.num_embeddings)
        if tokens.min() < 0 or tokens.max() >= known:
            raise GemError(
                f"The tokenizer of the model gives tokens up to number "
                f"{int(tokens.max())}, and the model knows {known}: the tokenizer's "
                "files are of another model. Copy those that belong to the weights."
            )

    def _words(self, text: str) -> list[int]:
        with tokenizing():
            return self._read_words(text)

    def _read_words(self, text: str) -> list[int]:
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
