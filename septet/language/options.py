"""Settings of text classification; their descriptions are the help and the docs."""

from typing import Annotated, Literal

from pydantic import Field

from septet.config import DataOptions, Fraction, ModelOptions, Probability

TokenizerKind = Literal["words", "characters", "bytes", "bpe", "unigram"]
NetworkKind = Literal["bag", "cnn", "lstm", "gru", "transformer"]


class TextDataOptions(DataOptions):
    """How labelled texts are read and cut into tokens."""

    text_column: str | None = Field(
        default=None, description="Column that holds the text; guessed from the names if absent."
    )
    label_column: str | None = Field(
        default=None, description="Column that holds the class; guessed from the names if absent."
    )
    label_separator: str | None = Field(
        default=None,
        min_length=1,
        max_length=10,
        description="What stands between labels in a cell that names several, such as ',' or '|': "
        "a text then has any number of labels, none where the cell is empty. Lists of labels in "
        "JSON lines and Parquet need no separator.",
    )
    split_column: str | None = Field(
        default=None,
        description="Column that says train, validation or test; 'split' if there is one.",
    )
    tokenizer: TokenizerKind = Field(
        default="words",
        description="words: words, numbers and marks, each Chinese or Japanese character for "
        "itself; characters; bytes; bpe and unigram: pieces of words, learned (byte pairs, or the "
        "likeliest pieces; needs septet[language]). All but words know every text.",
    )
    vocabulary: int = Field(
        default=20_000,
        ge=300,
        le=60_000,
        description="Most tokens that are told apart: the most frequent of the training split.",
    )
    lowercase: bool = Field(
        default=True, description="Take capitals as small letters (words and characters)."
    )
    length: int | None = Field(
        default=None,
        ge=4,
        le=4096,
        description="Tokens of a text that are read; the rest is cut off. Default: as many as 99 % "
        "of the training texts have, at most 512.",
    )


class TextModelOptions(ModelOptions):
    """Which network, how training texts are changed, and which labels are given."""

    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] | Literal["tuned"] = Field(
        default="tuned",
        description="Probability from which a text is given a label, where it may have several: "
        "one number for all, or tuned: for each label what gives the best F1 of the validation "
        "texts, 0.5 where fewer than ten of them have it.",
    )

    architecture: NetworkKind | Literal["auto"] = Field(
        default="auto",
        description="bag: mean of the vectors of words and word pairs, quick; cnn: convolutions "
        "over word vectors; lstm and gru: recurrent, from both ends; transformer: attention. "
        "auto: by the size of the training split.",
    )
    pretrained: str | None = Field(
        default=None,
        description="Folder of an encoder to start from (BERT, RoBERTa or DistilBERT in the layout "
        "of the Hugging Face hub: config.json, *.safetensors, tokenizer.json; or a KerasHub "
        "preset), or minilm, which septet data fetch brings: its tokens are used, "
        "and its weights trained on.",
    )
    frozen: Fraction | None = Field(
        default=None,
        description="Share of the run in which only the last layer is trained. Default with "
        "pretrained: 0.",
    )
    thawing: Fraction = Field(
        default=0.0,
        description="Share of the run, after frozen, over which the blocks are freed one by one, "
        "the last first; 0: together.",
    )
    layer_decay: float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        description="What the learning rate of each block is multiplied by for every block between "
        "it and the last layer. Default with pretrained: 0.9.",
    )
    dim: int | None = Field(
        default=None,
        ge=4,
        le=4096,
        description="Numbers that stand for one token. Default: 32 for bag, 128 for the others.",
    )
    width: int = Field(
        default=128,
        ge=4,
        le=4096,
        description="Filters of each size of cnn, units of each direction of lstm and gru, and a "
        "quarter of the hidden units of transformer.",
    )
    depth: int = Field(
        default=1, ge=1, le=16, description="Layers of lstm and gru, blocks of transformer."
    )
    ngrams: int = Field(
        default=2, ge=1, le=4, description="Longest run of tokens that bag has vectors for."
    )
    buckets: int = Field(
        default=50_000,
        ge=1,
        le=5_000_000,
        description="Vectors that the runs of tokens of bag share, by a hash of theirs.",
    )
    dropout: Probability | None = Field(
        default=None,
        description="Share of numbers left out before the last layer, in training. Default: 0.5; "
        "with pretrained 0.1, everywhere.",
    )
    token_dropout: Probability | None = Field(
        default=None,
        description="Share of tokens of training texts made unknown. Default: 0.1; with pretrained "
        "0.",
    )
