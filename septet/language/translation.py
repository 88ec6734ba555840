"""The task translation: texts in one language into another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from septet.config import TrainingOptions
from septet.data.dataset import Dataset, Split
from septet.engine.losses import Loss
from septet.errors import ConfigError, DataError
from septet.language import inputs as text_inputs
from septet.language.encoding import choose_length
from septet.language.languages import script_of
from septet.language.pair_packing import Packed, pack, rows_of_one
from septet.language.pair_reading import read_dataset
from septet.language.searching import MOST_TOKENS, Hypothesis, Weights, search_of, translate
from septet.language.tokenizer_schema import START, PreparedTokenizer
from septet.language.tokenizing import Tokenizer, learn_tokenizer, tokenizer_of
from septet.language.translation_loss import measured, summarized, token_loss
from septet.language.translation_options import (
    SearchOptions,
    TranslationDataOptions,
    TranslationModelOptions,
)
from septet.language.translation_scores import (
    ScoreTokenizer,
    corpus_scores,
    sacrebleu_metrics,
    sentence_scores,
)
from septet.task import Arrays, Prepared, Summarize, Task

COVERED = 0.995
"""Share of the training sentences that fit whole into a row."""
LEAST_ROW, MOST_ROW = 64, 256
"""Tokens of a row; short sentences share one."""
SEARCH_S = 0.04
"""Seconds that a test sentence takes on two cores."""
SHOWN = 8
"""Translations of each kind in the report."""
DRAWN = 4
"""Translations whose attention is drawn."""
LONGEST_DRAWN = 24
"""Tokens of either side that a picture of attention has room for."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class PreparedTranslation(BaseModel):
    """What a network that translates needs to know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    names: Annotated[list[Name], Field(min_length=2, max_length=2)]
    tokenizer: PreparedTokenizer
    source_length: Annotated[int, Field(ge=2, le=MOST_TOKENS)]
    target_length: Annotated[int, Field(ge=2, le=MOST_TOKENS)]
    growth: Annotated[float, Field(ge=0.1, le=16.0)]
    score_tokenizer: ScoreTokenizer
    num_rows: Annotated[int, Field(ge=1, lt=2**53)]


@dataclass(frozen=True)
class TranslationAnswer:
    """A translation.

    Args:
        translation: The text.
        score: Log-probability of its tokens over the length's penalty: the higher, the surer.
    """

    translation: str
    score: float

    def to_json(self) -> dict[str, Any]:
        """The answer as plain values."""
        return {"translation": self.translation, "score": self.score}

    def __str__(self) -> str:
        """The text alone."""
        return self.translation


class Translation(Task):
    """Texts in one language into another."""

    name: ClassVar[str] = "translation"
    summary: ClassVar[str] = (
        "Translate texts (tables of pairs, two files, translation memories, catalogs of gettext)"
    )
    data_options: ClassVar = TranslationDataOptions
    model_options: ClassVar = TranslationModelOptions
    decoding_options: ClassVar = SearchOptions
    prepared_type: ClassVar = PreparedTranslation
    training_defaults: ClassVar[Mapping[str, Any]] = {
        "batch_size": 32,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "warmup": 0.1,
        "label_smoothing": 0.1,
        "weight_decay": 1e-2,
        "average_decay": 0.99,
    }
    least_epochs: ClassVar[int] = 10
    least_steps: ClassVar[int] = 2000
    most_epochs: ClassVar[int] = 100
    monitor: ClassVar[tuple[str, str]] = ("validation_loss", "min")
    loss: ClassVar[str] = "tokens"
    scoring_s: ClassVar[float] = 5.0

    def read(self, source: Path, options: TranslationDataOptions, seed: int) -> Dataset:
        """Read, check and split the parallel text at `source`."""
        return read_dataset(Path(source), options, seed)

    def prepare(self, dataset: Dataset, options: TranslationDataOptions) -> Prepared:
        """One tokenizer for both sides, and how long rows are.

        Raises:
            MissingPackageError: A package that scores or tokens need is not installed.
        """
        # Said before the training and not after it.
        sacrebleu_metrics()
        train = dataset.splits["train"]
        texts = [train.examples["texts"].tolist(), train.targets.tolist()]
        learned = learn_tokenizer(
            options.tokenizer, [*texts[0], *texts[1]], size=options.vocabulary
        )
        tokenizer = tokenizer_of(learned)
        encoded = [tokenizer.encode(side) for side in texts]
        sizes = np.array([[len(ids) + 1 for ids in side] for side in encoded], np.int64)
        source_length, target_length = row_lengths(sizes, options.length)
        packed = pack(*encoded, source_length, target_length)
        dataset.account.note(
            "length",
            "train",
            f"{len(train):,} pairs lie in {len(packed.source):,} rows of {source_length} and "
            f"{target_length} tokens ({learned.size:,} different ones of {learned.kind}), of which "
            f"{packed.waste:.0%} are padding; {packed.cut} pairs are cut.",
            "Set data.length to read more or less of each." if packed.cut else "",
        )
        prepared = PreparedTranslation(
            names=dataset.facts["names"],
            tokenizer=learned,
            source_length=source_length,
            target_length=target_length,
            growth=growth_of(sizes),
            score_tokenizer=score_tokenizer_of(texts[1]),
            num_rows=len(packed.source),
        )
        return prepared.model_dump(mode="json")

    def scoring_time_s(self, dataset: Dataset) -> float:
        """Translating the test takes longer than anything else after the training."""
        return self.scoring_s + SEARCH_S * len(dataset.splits["test"])

    def epoch_examples(self, dataset: Dataset, prepared: Prepared) -> int:
        """Rows of several pairs."""
        return _checked(prepared).num_rows

    def scored_at_once(self, prepared: Prepared) -> int:
        """As many rows as have about a quarter of a gigabyte of logits."""
        checked = _checked(prepared)
        row = checked.tokenizer.size * checked.target_length
        return max(1, min(64, 2**26 // row))

    def arrays(self, split: Split, prepared: Prepared) -> tuple[Arrays, np.ndarray]:
        """Rows of several pairs: source and target, and the tokens to learn, int32 [rows, time]."""
        packed = _packed(split, prepared)
        return {"source": packed.source, "target": packed.target}, packed.labels

    def encode(self, inputs: Any, prepared: Prepared) -> Arrays:
        """Texts as rows of one, and targets that have only begun.

        See `septet.language.inputs.read_inputs` for the forms that `inputs` may have.
        """
        sources = _sources(text_inputs.read_inputs(inputs), prepared)
        longest = max(len(source) for source in sources) + 1
        target = np.full((len(sources), 1), START, np.int32)
        return {"source": rows_of_one(sources, longest), "target": target}

    def architecture(
        self, prepared: Prepared, options: TranslationModelOptions
    ) -> tuple[str, dict[str, Any]]:
        """The network that is asked for.

        Raises:
            ConfigError: Its sizes do not fit each other.
        """
        checked = _checked(prepared)
        if options.dim % options.num_heads:
            raise ConfigError(
                f"Setting 'model.dim' is {options.dim}, which {options.num_heads} heads cannot "
                "share. Choose a multiple of model.num_heads."
            )
        arguments: dict[str, Any] = {
            "vocabulary_size": checked.tokenizer.size,
            "dim": options.dim,
            "depth": options.depth,
            "num_heads": options.num_heads,
            "dropout": options.dropout,
        }
        if options.architecture == "gru":
            return "translation-gru", arguments | {"units": options.dim}
        return "translation-transformer", arguments | {
            "length": MOST_TOKENS,
            "feed_forward_dim": options.feed_forward_dim or 4 * options.dim,
        }

    def objective(self, training: TrainingOptions, prepared: Prepared) -> Loss:
        """Cross-entropy of each token.

        Raises:
            ConfigError: The settings ask for another.
        """
        if training.loss not in ("auto", "cross-entropy"):
            raise ConfigError(
                f"Setting 'training.loss' is {training.loss}, which is no loss for translation. "
                "Expected one of: auto, cross-entropy."
            )
        if training.class_weights != "none":
            raise ConfigError(
                f"Setting 'training.class_weights' is {training.class_weights}, and translation "
                "has no classes. Set it to none."
            )
        return token_loss(training.label_smoothing)

    def summarize(self, prepared: Prepared) -> Summarize:
        """Sums over the tokens of each row in place of their logits."""
        return summarized

    def evaluate(self, outputs: np.ndarray, split: Split, prepared: Prepared) -> dict[str, Any]:
        """Perplexity and accuracy of each token, where those before it are given."""
        found = measured(outputs, 0.0)
        scores = {name: found[name] for name in ("perplexity", "accuracy", "loss")}
        return {"scores": scores, "intervals": {}}

    def examine(
        self,
        network: Any,
        weights: Weights,
        split: Split,
        evaluation: Mapping[str, Any],
        prepared: Prepared,
    ) -> dict[str, Any]:
        """BLEU and chrF of the split translated, the best and worst of it, and attention."""
        sources, references = split.examples["texts"].tolist(), split.targets.tolist()
        found = self._search(network, weights, sources, prepared, SearchOptions())
        texts = _texts(found, prepared)
        scored = corpus_scores(texts, references, prepared["score_tokenizer"])
        each = sentence_scores(texts, references)
        order = sorted(range(len(texts)), key=lambda row: (-each[row], row))
        middle = len(order) // 2
        kinds = {
            "good": order[:SHOWN],
            "usual": order[max(0, middle - SHOWN // 2) : middle + SHOWN // 2],
            "bad": order[-SHOWN:][::-1],
        }
        shown = [
            {
                "kind": kind,
                "row": row,
                "place": split.sources[row],
                "source": sources[row],
                "translation": texts[row],
                "reference": references[row],
                "chrf": each[row],
            }
            for kind, rows in kinds.items()
            for row in rows
        ]
        return {
            "scores": {**scored["scores"], **evaluation["scores"]},
            "intervals": {**scored["intervals"], **evaluation["intervals"]},
            "signatures": scored["signatures"],
            "translations": shown,
            "attention": _attention(network, weights, sources, found, prepared),
        }

    def answer(self, outputs: np.ndarray, prepared: Prepared) -> list[Any]:
        """Not asked: `decode` answers."""
        raise NotImplementedError

    def decode(
        self,
        network: Any,
        weights: Weights,
        inputs: Any,
        prepared: Prepared,
        options: SearchOptions,
        hear: Callable[[int, str], None] | None = None,
    ) -> list[TranslationAnswer]:
        """The translation of each input.

        Raises:
            DataError: An input cannot be understood or is too long; names which.
        """
        texts = text_inputs.read_inputs(inputs)
        found = self._search(network, weights, texts, prepared, options, is_strict=True)
        answers = [
            TranslationAnswer(text, each.score)
            for text, each in zip(_texts(found, prepared), found, strict=True)
        ]
        if hear is not None:
            for number, answer in enumerate(answers):
                hear(number, answer.translation)
        return answers

    def _search(
        self,
        network: Any,
        weights: Weights,
        texts: list[str],
        prepared: Prepared,
        options: SearchOptions,
        *,
        is_strict: bool = False,
    ) -> list[Hypothesis]:
        return translate(
            network,
            weights,
            _sources(texts, prepared, is_strict=is_strict),
            beams=options.beams,
            strength=options.length_penalty,
            growth=prepared["growth"],
        )

    def draw(
        self,
        outputs: np.ndarray,
        split: Split,
        evaluation: Mapping[str, Any],
        prepared: Prepared,
        folder: Path,
    ) -> list[tuple[str, str]]:
        """How much each word of some translations looked at each of its source."""
        from septet.evaluation.attention import draw_attention

        entries = evaluation.get("attention") or []
        if not entries:
            return []
        draw_attention(entries, folder, "attention.png")
        caption = (
            "Attention: how much each token of a translation (rows) looked at each of its source "
            "(columns), on average over heads and blocks."
        )
        return [("attention.png", caption)]

    def inputs_from_arguments(self, arguments: Sequence[str]) -> list[Any]:
        """Texts, or files of texts or tables."""
        return text_inputs.inputs_from_arguments(arguments)


def row_lengths(sizes: np.ndarray, length: int | None) -> tuple[int, int]:
    """Tokens of a row on each side, in proportion to what the sides have.

    Args:
        sizes: int [2, pairs], with the token at one end of each.
        length: Of the longer side; chosen from the data when absent.
    """
    totals = sizes.sum(axis=1)
    longer = int(totals[1] >= totals[0])
    wanted = length
    if wanted is None:
        longest = max(choose_length(side.tolist(), MOST_ROW, covered=COVERED) for side in sizes)
        wanted = max(longest, LEAST_ROW)
    # A little more than its share, since no row of pairs has just the usual proportion.
    share = min(1.0, 1.05 * totals[1 - longer] / max(totals[longer], 1))
    own = choose_length(sizes[1 - longer].tolist(), wanted, covered=COVERED)
    other = min(wanted, max(own, int(np.ceil(wanted * share / 8)) * 8))
    return (other, wanted) if longer else (wanted, other)


def growth_of(sizes: np.ndarray) -> float:
    """Most tokens of a target to one of its source, but for one pair of a hundred."""
    ratios = sizes[1] / (sizes[0] + 4.0)
    return float(np.clip(np.quantile(ratios, 0.99), 1.0, 8.0).round(3))


def score_tokenizer_of(texts: Sequence[str]) -> ScoreTokenizer:
    """How BLEU should cut texts into words: at characters where no space parts words."""
    sample = "".join(texts[:2000])
    if script_of(sample) != "JAPANESE OR CHINESE":
        return "13a"
    return "char" if any("\u3040" <= letter <= "\u30ff" for letter in sample) else "zh"


def _checked(prepared: Prepared) -> PreparedTranslation:
    return _opened(prepared)[0]


def _tokenizer(prepared: Prepared) -> Tokenizer:
    return _opened(prepared)[1]


_open: list[tuple[Prepared, tuple[PreparedTranslation, Tokenizer]]] = []
MOST_OPEN = 4


def _opened(prepared: Prepared) -> tuple[PreparedTranslation, Tokenizer]:
    """What was prepared, checked, and its tokenizer; kept, since both take their time."""
    for known, found in _open:
        if known is prepared:
            return found
    checked = PreparedTranslation.model_validate(prepared)
    found = checked, tokenizer_of(checked.tokenizer)
    _open.append((prepared, found))
    del _open[:-MOST_OPEN]
    return found


def _packed(split: Split, prepared: Prepared) -> Packed:
    checked, tokenizer = _opened(prepared)
    sides = [tokenizer.encode(side) for side in (split.examples["texts"], split.targets)]
    return pack(*sides, checked.source_length, checked.target_length)


def _sources(texts: list[str], prepared: Prepared, *, is_strict: bool = False) -> list[np.ndarray]:
    """Token numbers of texts to translate, cut where they are too long.

    Raises:
        DataError: One is too long, with `is_strict`.
    """
    sources = _tokenizer(prepared).encode(texts)
    for place, source in enumerate(sources, 1):
        if is_strict and len(source) >= MOST_TOKENS:
            raise DataError(
                f"Input {place} has {len(source):,} tokens; at most {MOST_TOKENS - 1:,} are "
                "translated at once. Cut it into sentences."
            )
    return [source[: MOST_TOKENS - 1] for source in sources]


def _texts(found: Sequence[Hypothesis], prepared: Prepared) -> list[str]:
    tokenizer = _tokenizer(prepared)
    return [tokenizer.decode(each.tokens) for each in found]


def _attention(
    network: Any,
    weights: Weights,
    texts: list[str],
    found: Sequence[Hypothesis],
    prepared: Prepared,
) -> list[dict[str, Any]]:
    """Tokens of some sources and translations, and how much these looked at those."""
    tokenizer = _tokenizer(prepared)
    sources = _sources(texts, prepared)
    fitting = [
        row
        for row, (source, each) in enumerate(zip(sources, found, strict=True))
        if 4 <= len(source) < LONGEST_DRAWN and 4 <= len(each.tokens) < LONGEST_DRAWN
    ]
    rows = sorted(fitting, key=lambda row: (-len(sources[row]), row))[:DRAWN]
    if not rows:
        return []
    source = rows_of_one([sources[row] for row in rows], LONGEST_DRAWN)
    target = np.zeros((len(rows), LONGEST_DRAWN), np.int32)
    for line, row in zip(target, rows, strict=True):
        line[: len(found[row].tokens) + 1] = [START, *found[row].tokens]
    looks = np.asarray(search_of(network).attend([*weights[0], *weights[1]], source, target))
    entries = []
    for place, row in enumerate(rows):
        of_source, of_target = sources[row].tolist(), found[row].tokens.tolist()
        part = looks[place, : len(of_target) + 1, : len(of_source) + 1].astype(np.float64)
        entries.append(
            {
                "source": [*(tokenizer.decode([token]) for token in of_source), "⏎"],
                "target": [*(tokenizer.decode([token]) for token in of_target), "⏎"],
                "weights": part.round(4).tolist(),
            }
        )
    return entries
