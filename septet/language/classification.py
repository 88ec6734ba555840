"""The tasks sentiment-analysis and text-classification: the class, or the labels, of each text."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from septet.config import TrainingOptions
from septet.data.dataset import Dataset, Split
from septet.engine.tuning import require_start
from septet.errors import DataError
from septet.evaluation.classification import ClassAnswer, class_answers, evaluate_classification
from septet.evaluation.multilabel import LabelsAnswer, evaluate_labels, label_answers
from septet.language import checkpoint_folder, encoder_start, hub_folder, labelling
from septet.language import inputs as text_inputs
from septet.language.encoder_start import PretrainedEncoder
from septet.language.encoding import choose_length, framed, pad, waste
from septet.language.options import TextDataOptions, TextModelOptions
from septet.language.reading import read_dataset
from septet.language.tokenizer_schema import NUM_SPECIALS, UNKNOWN, PreparedTokenizer
from septet.language.tokenizing import learn_tokenizer, tokenizer_of
from septet.task import Arrays, Augment, Explanation, Prepared, Task

if TYPE_CHECKING:
    from septet.engine.losses import Loss
    from septet.engine.tuning import Tuning

MOST_TOKENS = 512
"""What `data.length` may become by itself."""
MANY_TEXTS = 50_000
"""From so many training texts on, reading words in their order pays for what it costs."""
SHOWN = 300
"""Characters of a mistaken text in the scores."""

EXPLAINED = 8
"""Labels of one text whose words are explained: the likeliest."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Probability = Annotated[float, Field(gt=0.0, lt=1.0)]


class PreparedTexts(BaseModel):
    """What a network for texts needs to know: classes by logit, tokens, and length."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    classes: Annotated[list[Label], Field(min_length=2, max_length=100_000)]
    tokenizer: PreparedTokenizer
    length: Annotated[int, Field(ge=1, le=4096)]
    num_examples: Annotated[int, Field(ge=1, lt=2**53)]
    pretrained: PretrainedEncoder | None = None
    thresholds: list[Probability] | None = None
    """Of each label the probability from which it is given; None where a text has one class."""
    shares: list[Probability] | None = None
    """Of each label the share of training texts that have it; None where a text has one class."""

    @model_validator(mode="after")
    def _fits_together(self) -> "PreparedTexts":
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("two classes are the same")
        for values in (self.thresholds, self.shares):
            if (values is None) != (self.shares is None):
                raise ValueError("thresholds and shares of labels come together")
            if values is not None and len(values) != len(self.classes):
                raise ValueError("there is not one threshold and one share for each label")
        return self


class TextClassification(Task):
    """Which class each text belongs to, or which of several labels it has."""

    name: ClassVar[str] = "text-classification"
    summary: ClassVar[str] = (
        "Predict the class or the labels of a text (CSV, JSON lines, Parquet, or a folder a class)"
    )
    data_options: ClassVar = TextDataOptions
    model_options: ClassVar = TextModelOptions
    prepared_type: ClassVar = PreparedTexts
    training_defaults: ClassVar[Mapping[str, Any]] = {
        "batch_size": 64,
        "learning_rate": 3e-3,
        "weight_decay": 1e-1,
    }
    least_epochs: ClassVar[int] = 8
    least_steps: ClassVar[int] = 500
    most_epochs: ClassVar[int] = 40
    monitor: ClassVar[tuple[str, str]] = ("validation_loss", "min")
    loss: ClassVar[str] = "softmax"
    scoring_s: ClassVar[float] = 5.0
    explains: ClassVar[bool] = True

    def read(self, source: Path, options: TextDataOptions, seed: int) -> Dataset:
        """Read, check and split the labelled texts at `source`."""
        return read_dataset(Path(source), options, seed)

    def prepare(self, dataset: Dataset, options: TextDataOptions) -> Prepared:
        """Classes, tokenizer, and the length that nearly all training texts fit into."""
        texts = dataset.splits["train"].examples["texts"].tolist()
        learned = learn_tokenizer(
            options.tokenizer, texts, size=options.vocabulary, lowercase=options.lowercase
        )
        return _prepared(dataset, options, learned, None)

    def learn(
        self, dataset: Dataset, options: TextDataOptions, model_options: TextModelOptions
    ) -> Prepared:
        """As `prepare`, or with the tokens of the encoder that training starts from."""
        several = bool(dataset.facts.get("several"))
        labelling.require_several(model_options, several)
        if model_options.pretrained is None:
            prepared = self.prepare(dataset, options)
        else:
            tokenizer, shape = encoder_start.described(model_options)
            prepared = _prepared(dataset, options, tokenizer, shape)
        if several:
            prepared |= labelling.learned(dataset, prepared["classes"], model_options)
        return prepared

    def settle(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings whose `pretrained` names the same from everywhere and later."""
        return hub_folder.settled(settings)

    def defaults_beside(self, model: Mapping[str, Any]) -> Mapping[str, Any]:
        """Small steps where training starts from an encoder."""
        if model.get("pretrained") is None:
            return self.training_defaults
        return encoder_start.TRAINING_DEFAULTS

    def passes(self, prepared: Prepared) -> tuple[int, int, int]:
        """Few where training starts from an encoder, many where a text has several labels."""
        if prepared["pretrained"] is not None:
            return encoder_start.PASSES
        return labelling.PASSES if labelling.has_several(prepared) else super().passes(prepared)

    def pretrained(self, options: TextModelOptions) -> str | None:
        """SHA-256 of the encoder that training starts from."""
        require_start(options)
        return (
            None
            if options.pretrained is None
            else checkpoint_folder.digest(Path(options.pretrained))
        )

    def start(
        self,
        network: Any,
        prepared: Prepared,
        options: TextModelOptions,
        note: Callable[[str], None],
    ) -> "Tuning | None":
        """Weights of the encoder at `model.pretrained`, and how they are trained on.

        Of several labels a text each begins as likely as it is among the training texts.
        """
        if labelling.has_several(prepared):
            labelling.start_from_shares(network, prepared)
        if options.pretrained is not None:
            return encoder_start.start(network, options, note)
        if options.architecture == "auto":
            count = _checked(prepared).num_examples
            fewer = "fewer than" if count < MANY_TEXTS else "at least"
            note(
                f"The network is '{self.architecture(prepared, options)[0]}', as it is for "
                f"{fewer} {MANY_TEXTS:,} texts of training; model.architecture chooses another."
            )
        return None

    def arrays(self, split: Split, prepared: Prepared) -> tuple[Arrays, np.ndarray]:
        """Tokens, int32 [texts, length], and labels, int32 [texts] or uint8 [texts, labels]."""
        targets = labelling.targets_of if labelling.has_several(prepared) else _labels
        return _encoded(split.examples["texts"].tolist(), prepared), targets(split, prepared)

    def row_lengths(self, inputs: Arrays, prepared: Prepared) -> np.ndarray | None:
        """Tokens of each text."""
        return np.count_nonzero(inputs["tokens"], axis=1)

    def queries(self, split: Split, prepared: Prepared) -> Arrays:
        """Tokens alone."""
        return _encoded(split.examples["texts"].tolist(), prepared)

    def encode(self, inputs: Any, prepared: Prepared) -> Arrays:
        """See `septet.language.inputs.read_inputs` for the forms that `inputs` may have."""
        return _encoded(text_inputs.read_inputs(inputs), prepared)

    def architecture(
        self, prepared: Prepared, options: TextModelOptions
    ) -> tuple[str, dict[str, Any]]:
        """The network that is asked for, or that suits the number of training texts."""
        checked = _checked(prepared)
        if checked.pretrained is not None:
            sizes = {"vocabulary_size": checked.tokenizer.size, "num_outputs": len(checked.classes)}
            return "bert", sizes | encoder_start.arguments(checked.pretrained, options)
        chosen = options.architecture
        if chosen == "auto":
            chosen = "bag" if checked.num_examples < MANY_TEXTS else "gru"
        dim = options.dim or (32 if chosen == "bag" else 128)
        arguments: dict[str, Any] = {
            "vocabulary_size": checked.tokenizer.size,
            "num_outputs": len(checked.classes),
            "dim": dim,
            "dropout": 0.5 if options.dropout is None else options.dropout,
        }
        if chosen == "bag":
            more = {"ngrams": options.ngrams, "buckets": options.buckets}
            return "text-bag", arguments | more
        if chosen == "cnn":
            return "text-cnn", arguments | {"filters": options.width, "sizes": [3, 4, 5]}
        if chosen == "transformer":
            more = {"num_heads": _heads(dim), "feed_forward_dim": 4 * options.width}
            more |= {"length": checked.length, "depth": options.depth}
            return "text-encoder", arguments | more
        return "text-recurrent", arguments | {
            "kind": chosen,
            "units": options.width,
            "depth": options.depth,
        }

    def augment(self, prepared: Prepared, options: TextModelOptions) -> Augment | None:
        """Some tokens of {"tokens": int32 [batch, length]} made unknown."""
        share = options.token_dropout
        if share is None:
            share = 0.1 if options.pretrained is None else 0.0
        if not share:
            return None

        def change(key: Any, inputs: dict[str, Any], targets: Any) -> tuple[dict[str, Any], Any]:
            import jax
            import jax.numpy as jnp

            tokens = inputs["tokens"]
            lost = jax.random.bernoulli(key, share, tokens.shape) & (tokens >= NUM_SPECIALS)
            return {**inputs, "tokens": jnp.where(lost, UNKNOWN, tokens)}, targets

        return change

    def objective(self, training: TrainingOptions, prepared: Prepared) -> "Loss | None":
        """Of several labels a text binary cross-entropy, otherwise what the settings name."""
        several = labelling.has_several(prepared)
        return labelling.loss_of(training, self.name) if several else None

    def calibrate(
        self,
        outputs: Callable[[], np.ndarray],
        split: Split,
        prepared: Prepared,
        options: TextModelOptions,
    ) -> Prepared:
        """Of several labels a text the threshold of each."""
        return labelling.calibrated(outputs, split, prepared, options)

    def evaluate(self, outputs: np.ndarray, split: Split, prepared: Prepared) -> dict[str, Any]:
        """Accuracy or F1 and their kin, and the texts of the worst mistakes."""
        names = prepared["classes"]
        if labelling.has_several(prepared):
            truths = labelling.targets_of(split, prepared)
            found = evaluate_labels(outputs, truths, names, prepared["thresholds"])
        else:
            found = evaluate_classification(outputs, _labels(split, prepared), names)
        texts = split.examples["texts"]
        for entry in found["mistakes"]:
            text = str(texts[entry["row"]])
            entry["text"] = text if len(text) <= SHOWN else text[:SHOWN] + "…"
        return found

    def answer(
        self, outputs: np.ndarray, prepared: Prepared
    ) -> list[ClassAnswer] | list[LabelsAnswer]:
        """The likeliest class of each text or its labels, and the probability of every one."""
        if labelling.has_several(prepared):
            return label_answers(outputs, prepared["classes"], prepared["thresholds"])
        return class_answers(outputs, prepared["classes"])

    def draw(
        self,
        outputs: np.ndarray,
        split: Split,
        evaluation: Mapping[str, Any],
        prepared: Prepared,
        folder: Path,
    ) -> list[tuple[str, str]]:
        """Confusion matrix, reliability and scores by class, as pictures in `folder`.

        Of several labels a text the last alone.
        """
        from septet.evaluation.figures import draw_classification, draw_labels

        if labelling.has_several(prepared):
            return draw_labels(evaluation, prepared["classes"], folder)
        labels = _labels(split, prepared)
        return draw_classification(evaluation, outputs, labels, prepared["classes"], folder)

    def inputs_from_arguments(self, arguments: Sequence[str]) -> list[Any]:
        """Texts, or files of texts or tables."""
        return text_inputs.inputs_from_arguments(arguments)

    def explain(
        self, network: Any, weights: Any, inputs: Any, prepared: Prepared
    ) -> list[Explanation]:
        """What each word added to the likeliest class; see `septet.language.explaining`.

        Of several labels a text, to each that is given, and to the likeliest where none is.
        """
        from septet.language.explaining import explain_labels, explain_texts

        texts = text_inputs.read_inputs(inputs)
        checked = _checked(prepared)
        encoded = tokenizer_of(checked.tokenizer).encode_with_spans(texts)
        tokens = _rows([ids for ids, _ in encoded], checked)
        spans = [spans[: checked.length] for _, spans in encoded]
        if checked.pretrained is not None:
            # The begin of the text has none of its characters.
            spans = [[(0, 0), *known[: checked.length - 2]] for known in spans]
        known = (network, weights, tokens, texts, spans, checked.classes)
        if checked.thresholds is None:
            return explain_texts(*known)
        return explain_labels(*known, checked.thresholds, most=EXPLAINED)

    def truth(self, split: Split, row: int) -> Any:
        """The class of an example, or a list of its labels."""
        labels = split.targets[row]
        return labels if isinstance(labels, str) else list(labels)

    def explainable(self, split: Split, row: int) -> str:
        """The text of an example."""
        return str(split.examples["texts"][row])


class SentimentAnalysis(TextClassification):
    """Whether a text speaks well or ill of something: text classification by its usual name."""

    name: ClassVar[str] = "sentiment-analysis"
    summary: ClassVar[str] = (
        "Predict whether a text is positive or negative (CSV, JSON lines, Parquet, folders)"
    )


def _checked(prepared: Prepared) -> PreparedTexts:
    return PreparedTexts.model_validate(prepared)


def _prepared(
    dataset: Dataset,
    options: TextDataOptions,
    tokenizer: PreparedTokenizer,
    shape: PretrainedEncoder | None,
) -> Prepared:
    """What is learned from the training split once the tokens are known."""
    texts = dataset.splits["train"].examples["texts"].tolist()
    lengths = [len(ids) for ids in tokenizer_of(tokenizer).encode(texts)]
    most = MOST_TOKENS
    if shape is not None:
        lengths, most = [count + 2 for count in lengths], min(MOST_TOKENS, shape.length)
    length = options.length or choose_length(lengths, most)
    if shape is not None and length > shape.length:
        raise DataError(
            f"Setting 'data.length' is {length}, and the network at model.pretrained reads at most "
            f"{shape.length} tokens. Lower data.length."
        )
    cut = sum(count > length for count in lengths)
    share = waste(lengths, length)
    dataset.account.note(
        "length",
        "train",
        f"Texts are read up to {length} tokens ({tokenizer.size:,} different ones of "
        f"{tokenizer.kind}): {cut} of {len(lengths)} are cut, {share:.0%} of all places are "
        "padding in rows of that length; of many texts, those of about one length are trained on "
        "together in shorter rows.",
        "Set data.length to read more or less of each." if cut else "",
    )
    prepared = PreparedTexts(
        classes=dataset.facts["classes"],
        tokenizer=tokenizer,
        length=length,
        num_examples=len(texts),
        pretrained=shape,
    )
    return prepared.model_dump(mode="json")


def _encoded(texts: list[str], prepared: Prepared) -> Arrays:
    checked = _checked(prepared)
    return {"tokens": _rows(tokenizer_of(checked.tokenizer).encode(texts), checked)}


def _rows(sequences: Sequence[np.ndarray], checked: PreparedTexts) -> np.ndarray:
    """Token numbers as rows; between marks of begin and end where an encoder knows these."""
    if checked.pretrained is not None:
        sequences = framed(sequences, checked.length)
    return pad(sequences, checked.length)


def _heads(dim: int) -> int:
    """Heads of attention of at least 16 numbers each, by which `dim` can be divided."""
    return next((heads for heads in (8, 4, 2) if dim % heads == 0 and dim // heads >= 16), 1)


def _labels(split: Split, prepared: Prepared) -> np.ndarray:
    """Places of the split's classes among those of `prepared`, int32 [texts].

    Raises:
        DataError: The network does not know a class.
    """
    place = {name: number for number, name in enumerate(prepared["classes"])}
    names: Sequence[str] = split.targets.tolist()
    if any(isinstance(name, tuple) for name in names):
        raise DataError(
            "The model gives each text one class, and these texts have any number of labels. "
            "Give texts with a class each, or leave out data.label_separator."
        )
    unknown = sorted(set(names) - place.keys())
    if unknown:
        known = ", ".join(prepared["classes"][:20])
        raise DataError(
            f"The model does not know the class '{unknown[0]}' ({len(unknown)} such classes). "
            f"It knows: {known}. Rename or remove those texts."
        )
    return np.array([place[name] for name in names], dtype=np.int32)
