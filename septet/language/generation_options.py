"""Settings of text generation; their descriptions are the help and the docs."""

from typing import Literal

from pydantic import Field, field_validator

from septet.config import DataOptions, ModelOptions, Options, Probability

TokenKind = Literal["characters", "bytes", "bpe", "unigram"]


class GenerationDataOptions(DataOptions):
    """How running text is read and cut into tokens."""

    validation_fraction: float = Field(
        default=0.01,
        ge=0.0,
        lt=1.0,
        description="Share of the text set aside for validation when it is absent.",
    )
    test_fraction: float = Field(
        default=0.05,
        ge=0.0,
        lt=1.0,
        description="Share of the text set aside for the test when it is absent.",
    )
    holdout: Literal["auto", "ends", "documents"] = Field(
        default="auto",
        description="What is set aside: ends: the last part of each document; documents: whole "
        "ones, by a hash. auto: documents where there are a hundred or more.",
    )
    tokenizer: TokenKind = Field(
        default="characters",
        description="characters; bytes; bpe and unigram: pieces of words, learned (byte pairs, or "
        "the likeliest pieces; needs septet[language]). Each of them knows every text.",
    )
    vocabulary: int = Field(
        default=8_000,
        ge=300,
        le=60_000,
        description="Most tokens that are told apart: the most frequent of the training split.",
    )
    length: int = Field(
        default=256,
        ge=8,
        le=8192,
        description="Tokens of a window: what the network sees at once.",
    )
    limit: int | None = Field(
        default=None, ge=1, description="Use at most so many training lines, the first ones."
    )


class GenerationModelOptions(ModelOptions):
    """Which network; sizes that are absent follow from the size of the text."""

    architecture: Literal["gpt", "lstm"] = Field(
        default="gpt", description="gpt: a Transformer's decoder; lstm: a recurrent network."
    )
    pretrained: str | None = Field(
        default=None,
        description="Folder of a checkpoint in the layout of GPT-2 (config.json, "
        "*.safetensors, tokenizer.json), or a KerasHub preset of one: its tokens are "
        "used, and its weights trained on.",
    )
    dim: int | None = Field(
        default=None,
        ge=8,
        le=8192,
        description="Numbers that stand for one position; units of lstm. Default: 128, 256 or "
        "384 (gpt), 256 or 512 (lstm), by the size of the text.",
    )
    depth: int | None = Field(
        default=None,
        ge=1,
        le=96,
        description="Blocks or layers. Default: 4 or 6 (gpt), 2 (lstm).",
    )
    heads: int | None = Field(
        default=None, ge=1, le=128, description="Of attention. Default: one for 64 numbers."
    )
    positions: Literal["rotary", "learned"] = Field(
        default="rotary", description="How gpt is told a position; GPT-2's are learned."
    )
    dropout: Probability = Field(
        default=0.0,
        description="Share of numbers left out in training; useful where a text is read more "
        "than about five times.",
    )


class DecodingOptions(Options):
    """How a text is continued."""

    tokens: int = Field(default=300, ge=1, le=1_000_000, description="Most tokens to write.")
    temperature: float = Field(
        default=0.8,
        ge=0.0,
        le=100.0,
        description="Below 1 likely tokens become likelier; 0 takes the likeliest each time.",
    )
    top_k: int = Field(
        default=0, ge=0, le=1_000_000, description="Choose among so many likeliest; 0 for all."
    )
    top_p: float = Field(
        default=1.0,
        gt=0.0,
        le=1.0,
        description="Choose among the likeliest that have this share together.",
    )
    repetition_penalty: float = Field(
        default=1.0,
        ge=0.1,
        le=10.0,
        description="Above 1 tokens that were there already become less likely.",
    )
    stop: list[str] = Field(
        default_factory=list,
        max_length=20,
        description="End before any of these texts: one, or a list.",
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="Another seed, another text.")

    @field_validator("stop", mode="before")
    @classmethod
    def _as_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("stop")
    @classmethod
    def _no_empty_stop(cls, value: list[str]) -> list[str]:
        if any(not text or len(text) > 1000 for text in value):
            raise ValueError("a stop text must have 1 to 1000 characters")
        return value
