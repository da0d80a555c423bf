"""What ``config.json`` of a text tower of the package transformers may say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from napari_gem.models.configurations.fields import (
    MOST_PARAMETERS,
    Closed,
    Heads,
    Layers,
    Share,
    Small,
    TokenId,
    Vocabulary,
    Width,
    words,
)

_Inner = Annotated[int, Field(ge=1, le=65_536)]
_Positions = Annotated[int, Field(ge=1, le=16_384)]
_Activation = Literal[
    "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu", "relu", "silu"
]

NOT_USED = words(
    """
    _name_or_path _num_labels architectures chunk_size_feed_forward directionality
    dtype early_stopping finetuning_task gradient_checkpointing id2label label2id
    language length_penalty max_length model_max_length n_positions
    no_repeat_ngram_size num_beams num_labels output_attentions output_hidden_states
    output_past pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers
    pooler_size_per_head pooler_type problem_type return_dict task_specific_params
    tokenizer_class torch_dtype transformers_version
    """
)
"""Keys of known towers that say nothing of embeddings: left out, whatever they hold."""


class _Tower(Closed):
    """What all kinds have alike."""

    vocab_size: Vocabulary
    bos_token_id: TokenId | None = None
    eos_token_id: TokenId | None = None
    pad_token_id: TokenId | None = None
    sep_token_id: TokenId | None = None
    decoder_start_token_id: TokenId | None = None
    forced_eos_token_id: TokenId | None = None
    is_encoder_decoder: bool = False
    is_decoder: Literal[False] = False
    add_cross_attention: Literal[False] = False
    tie_word_embeddings: bool = True
    use_cache: bool = True
    classifier_dropout: Share | None = None
    max_position_embeddings: _Positions = 512


class Bert(_Tower):
    """BERT, RoBERTa and XLM-RoBERTa."""

    model_type: Literal["bert", "roberta", "xlm-roberta"]
    hidden_size: Width = 768
    num_hidden_layers: Layers = 12
    num_attention_heads: Heads = 12
    intermediate_size: _Inner = 3072
    hidden_act: _Activation = "gelu"
    hidden_dropout_prob: Share = 0.1
    attention_probs_dropout_prob: Share = 0.1
    type_vocab_size: Annotated[int, Field(ge=1, le=1024)] = 2
    initializer_range: Share = 0.02
    layer_norm_eps: Small = 1e-12
    position_embedding_type: Literal["absolute"] = "absolute"

    @property
    def parameters(self) -> float:
        """How many the tower would have, about."""
        width = self.hidden_size
        block = 4 * width**2 + 2 * width * self.intermediate_size
        known = self.vocab_size + self.max_position_embeddings + self.type_vocab_size
        return self.num_hidden_layers * block + known * width


class MT5(_Tower):
    """The multilingual T5."""

    model_type: Literal["mt5"]
    d_model: Width = 512
    d_kv: Annotated[int, Field(ge=1, le=1024)] = 64
    d_ff: _Inner = 1024
    num_layers: Layers = 8
    num_decoder_layers: Layers | None = None
    num_heads: Heads = 6
    relative_attention_num_buckets: Annotated[int, Field(ge=1, le=4096)] = 32
    relative_attention_max_distance: Annotated[int, Field(ge=1, le=65_536)] = 128
    dropout_rate: Share = 0.1
    layer_norm_epsilon: Small = 1e-6
    initializer_factor: Annotated[float, Field(ge=0, le=100)] = 1.0
    feed_forward_proj: Literal["gated-gelu", "gelu", "relu"] = "gated-gelu"
    dense_act_fn: _Activation = "gelu_new"
    is_gated_act: bool = True

    @property
    def parameters(self) -> float:
        """How many the tower would have, about."""
        attention = 4 * self.d_model * self.d_kv * self.num_heads
        block = 2 * attention + 3 * self.d_model * self.d_ff
        layers = self.num_layers + (self.num_decoder_layers or self.num_layers)
        return layers * block + 2 * self.vocab_size * self.d_model


class M2M100(_Tower):
    """NLLB, which is of the kind M2M100."""

    model_type: Literal["m2m_100"]
    d_model: Width = 1024
    encoder_layers: Layers = 12
    decoder_layers: Layers = 12
    num_hidden_layers: Layers = 12
    encoder_ffn_dim: _Inner = 4096
    decoder_ffn_dim: _Inner = 4096
    encoder_attention_heads: Heads = 16
    decoder_attention_heads: Heads = 16
    encoder_layerdrop: Share = 0.0
    decoder_layerdrop: Share = 0.0
    activation_function: _Activation = "relu"
    dropout: Share = 0.1
    attention_dropout: Share = 0.1
    activation_dropout: Share = 0.0
    init_std: Share = 0.02
    scale_embedding: bool = True

    @property
    def parameters(self) -> float:
        """How many the tower would have, about."""
        width, layers = self.d_model, self.encoder_layers + self.decoder_layers
        inner = max(self.encoder_ffn_dim, self.decoder_ffn_dim)
        block = 8 * width**2 + 2 * width * inner
        return layers * block + 2 * self.vocab_size * width


class Tower(Closed):
    """A tower of any kind that open_clip can take."""

    tower: Annotated[Bert | MT5 | M2M100, Field(discriminator="model_type")]

    @model_validator(mode="after")
    def _check_size(self) -> Tower:
        if self.tower.parameters > MOST_PARAMETERS:
            raise ValueError(
                f"would have {self.tower.parameters:.0e} parameters and should have at "
                f"most {MOST_PARAMETERS:.0e}"
            )
        return self


def used(stated: Any) -> Any:
    """Leave out of a table what is not used."""
    if not isinstance(stated, dict):
        return stated
    return {key: value for key, value in stated.items() if key not in NOT_USED}
