"""What the files of a tokenizer of the package transformers may say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from napari_gem.models.configurations.fields import Closed, Text, TokenId, words

_KINDS = words(
    """
    Albert Bart Bert Bloom Camembert CLIP DebertaV2 DistilBert Electra Gemma GPT2
    Llama M2M100 MBart MBart50 MPNet MT5 Nllb Roberta Siglip Siglip2 T5 XLMRoberta
    """
)
_NEUTRAL = (
    "PreTrainedTokenizer",
    "PreTrainedTokenizerFast",
    "TokenizersBackend",
)
CLASSES = frozenset(
    [f"{kind}Tokenizer{fast}" for kind in _KINDS for fast in ("", "Fast")]
) | {*_NEUTRAL}
"""Classes of transformers that a configuration may name."""

NOT_USED = words(
    """
    _commit_hash backend chat_template from_slow is_local language_codes
    local_files_only max_len max_length merges_file name_or_path pad_to_multiple_of
    pad_token_type_id padding padding_strategy processor_class revision
    special_tokens_map_file stride tokenizer_file transformers_version truncation
    truncation_strategy use_fast vocab_file vocab_size vocab_type
    """
)
"""Keys that are saved along and say nothing of how text becomes tokens: left out.

Among them are paths on the computer of whoever saved the tokenizer.
"""


class Token(Closed):
    """A token with what is around it."""

    content: Text
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = True
    single_word: bool = False
    special: bool = False
    kind: Literal["AddedToken"] = Field("AddedToken", alias="__type")


_Token = Text | Token
_Tokens = Annotated[list[_Token], Field(max_length=20_000)]
_Id = Annotated[str, Field(pattern=r"^[0-9]{1,7}$")]
_Language = Annotated[str, Field(max_length=40)]


class _Marks(Closed):
    """What special_tokens_map.json says, and tokenizer_config.json too."""

    bos_token: _Token | None = None
    eos_token: _Token | None = None
    unk_token: _Token | None = None
    sep_token: _Token | None = None
    pad_token: _Token | None = None
    cls_token: _Token | None = None
    mask_token: _Token | None = None
    additional_special_tokens: _Tokens | None = None
    extra_special_tokens: _Tokens | dict[Text, _Token] | None = None


class SpecialTokens(_Marks):
    """The file ``special_tokens_map.json``."""


class SentencePiece(Closed):
    """``sp_model_kwargs``."""

    enable_sampling: Literal[False] = False
    nbest_size: Annotated[int, Field(ge=-1, le=1000)] = 0
    alpha: Annotated[float, Field(ge=0, le=10)] = 0.0


class Settings(_Marks):
    """The file ``tokenizer_config.json``."""

    tokenizer_class: Text | None = None
    model_specific_special_tokens: dict[Text, _Token] | None = None
    added_tokens_decoder: (
        Annotated[dict[_Id, Token], Field(max_length=20_000)] | None
    ) = None
    model_max_length: Annotated[float, Field(ge=1)] | None = None
    model_input_names: Annotated[list[Text], Field(max_length=20)] | None = None
    padding_side: Literal["left", "right"] = "right"
    truncation_side: Literal["left", "right"] = "right"
    add_bos_token: bool | None = None
    add_eos_token: bool | None = None
    add_dummy_prefix_space: bool | None = None
    add_prefix_space: bool | None = None
    clean_up_tokenization_spaces: bool | None = None
    do_basic_tokenize: bool | None = None
    do_lower_case: bool | None = None
    errors: Literal["replace", "strict", "ignore"] = "replace"
    extra_ids: Annotated[int, Field(ge=0, le=1000)] = 0
    keep_accents: bool | None = None
    legacy: bool | None = None
    legacy_behaviour: bool | None = None
    lowercase: bool | None = None
    never_split: _Tokens | None = None
    remove_space: bool | None = None
    sp_model_kwargs: SentencePiece | None = None
    spaces_between_special_tokens: bool | None = None
    split_by_punct: bool | None = None
    unk_id: TokenId | None = None
    split_special_tokens: bool | None = None
    src_lang: _Language | None = None
    strip_accents: bool | None = None
    tgt_lang: _Language | None = None
    tokenize_chinese_chars: bool | None = None
    trim_offsets: bool | None = None
    use_default_system_prompt: bool | None = None
    wordpieces_prefix: Text | None = None


class _Numbered(Token):
    id: TokenId


class _Padding(Closed):
    strategy: (
        Literal["BatchLongest"]
        | dict[Literal["Fixed"], Annotated[int, Field(ge=0, le=16_384)]]
    )
    direction: Literal["Left", "Right"]
    pad_to_multiple_of: Annotated[int, Field(ge=1, le=16_384)] | None = None
    pad_id: TokenId
    pad_type_id: TokenId
    pad_token: Text


class _Truncation(Closed):
    direction: Literal["Left", "Right"]
    max_length: Annotated[int, Field(ge=1, le=10_000_000)]
    strategy: Literal["LongestFirst", "OnlyFirst", "OnlySecond"]
    stride: Annotated[int, Field(ge=0, le=10_000_000)]


class Pieces(Closed):
    """The file ``tokenizer.json``; its parts are data for the package tokenizers."""

    version: Text
    truncation: _Truncation | None = None
    padding: _Padding | None = None
    added_tokens: Annotated[list[_Numbered], Field(max_length=20_000)] = []  # noqa: RUF012
    normalizer: dict[str, Any] | None = None
    pre_tokenizer: dict[str, Any] | None = None
    post_processor: dict[str, Any] | None = None
    decoder: dict[str, Any] | None = None
    model: dict[str, Any]


def used(stated: Any) -> Any:
    """Leave out of the settings what is not used.

    Tokens with names that the model alone has, such as those for images, are among the
    pieces of words too.
    """
    if not isinstance(stated, dict):
        return stated
    known = Settings.model_fields
    return {
        key: value
        for key, value in stated.items()
        if key not in NOT_USED and (key in known or not key.endswith("_token"))
    }
