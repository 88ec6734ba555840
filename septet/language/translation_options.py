"""Settings of translation; their descriptions are the help and the docs."""

from typing import Literal

from pydantic import Field

from septet.config import DataOptions, ModelOptions, Options, Probability


class TranslationDataOptions(DataOptions):
    """How parallel text is read and cut into tokens, and how translations are searched for."""

    source: str | None = Field(
        default=None,
        description="What to translate from: a column, the ending of a file (en for train.en), or "
        "a language of a translation memory; guessed if absent.",
    )
    target: str | None = Field(
        default=None, description="What to translate into, named in the same way."
    )
    reverse: bool = Field(
        default=False, description="Translate from the target into the source instead."
    )
    split_column: str | None = Field(
        default=None,
        description="Column that says train, validation or test; 'split' if there is one.",
    )
    tokenizer: Literal["bpe", "unigram", "characters", "bytes"] = Field(
        default="bpe",
        description="bpe and unigram: pieces of words, learned (byte pairs, or the likeliest "
        "pieces; needs septet[language]); characters; bytes. Both sides share one "
        "vocabulary, and no text is unknown.",
    )
    vocabulary: int = Field(
        default=8000,
        ge=300,
        le=60_000,
        description="Most tokens that are told apart, of both sides together.",
    )
    length: int | None = Field(
        default=None,
        ge=16,
        le=1024,
        description="Tokens of a row, which holds several sentences; of a longer one the rest is "
        "cut off in training. Default: as many as 99.5 % of the training sentences have, at least "
        "64 and at most 256.",
    )


class SearchOptions(Options):
    """How a translation is searched for."""

    beams: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Translations that the search keeps in mind; 1 is greedy and quicker.",
    )
    length_penalty: float = Field(
        default=1.0,
        ge=0.0,
        le=4.0,
        description="How much the search favours long translations; 0 for not at all.",
    )


class TranslationModelOptions(ModelOptions):
    """Which network."""

    architecture: Literal["transformer", "gru"] = Field(
        default="transformer",
        description="transformer: attention alone; gru: recurrent layers with attention.",
    )
    dim: int = Field(
        default=256, ge=8, le=4096, description="Numbers that stand for one token; units of gru."
    )
    depth: int = Field(
        default=3,
        ge=1,
        le=32,
        description="Blocks of the encoder and of the decoder; layers of the encoder of gru.",
    )
    num_heads: int = Field(default=4, ge=1, le=128, description="Of attention.")
    feed_forward_dim: int | None = Field(
        default=None,
        ge=8,
        le=16_384,
        description="Units of each block's hidden dense layer. Default: four times model.dim.",
    )
    dropout: Probability = Field(
        default=0.1, description="Share of numbers left out in training, wherever layers meet."
    )
