"""The task text-generation: text that goes on as the texts it was shown."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from septet.config import TrainingOptions
from septet.data.account import Rejection
from septet.data.dataset import Dataset, Split
from septet.engine.losses import Loss
from septet.errors import ConfigError, DataError
from septet.language import checkpoint_folder, hub_folder, perplexity
from septet.language import inputs as text_inputs
from septet.language.corpus_checks import read_dataset, texts_of
from septet.language.documents import SUFFIXES, read_document, shown
from septet.language.generation_options import (
    DecodingOptions,
    GenerationDataOptions,
    GenerationModelOptions,
)
from septet.language.packing import packed, side_by_side
from septet.language.tokenizer_schema import END, PreparedTokenizer
from septet.language.tokenizing import Tokenizer, learn_tokenizer, require_unicode, tokenizer_of
from septet.runs.networks import begin_with
from septet.task import Arrays, Prepared, Summarize, Task, Windows

if TYPE_CHECKING:
    from septet.engine.tuning import Tuning

EPOCH_TOKENS = 1 << 18
"""Most tokens of an epoch, so that long texts are validated often."""
LEAST_TOKENS = 16
MUCH_TEXT, SOME_TEXT = 2_000_000, 500_000
"""Tokens from which the network is the larger or the middle one."""
HEAD_DIM = 64
LOGITS_AT_ONCE = 1 << 26
LONGEST_PROMPT = 100_000
PROMPT = 60
"""Characters of the prompts that a run shows."""
GLIMPSE_TOKENS = 120
SHOWN_TOKENS = 400
TEMPERATURES = (0.0, 0.5, 0.8, 1.0)
TUNING_DEFAULTS: Mapping[str, Any] = {"learning_rate": 1e-4, "weight_decay": 1e-2}
"""What differs where training starts from a checkpoint."""
TUNING_PASSES = (3, 200, 20)
"""Least epochs, least steps, and most epochs, then."""


class PreparedGeneration(BaseModel):
    """What a network that writes needs to know: its tokens, and how many it sees."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    tokenizer: PreparedTokenizer
    length: Annotated[int, Field(ge=1, le=8192)]
    num_tokens: Annotated[int, Field(ge=1, lt=2**53)]
    prompt: Annotated[str, Field(max_length=1000)]
    pretrained: hub_folder.CheckpointSizes | None = None


@dataclass(frozen=True)
class WrittenText:
    """How a text goes on.

    Args:
        prompt: What was given.
        text: What follows it.
        tokens: Tokens that were written.
        ended: Why it ended: "length", "end" (of the document) or "stop" (a stop text).
    """

    prompt: str
    text: str
    tokens: int
    ended: Literal["length", "end", "stop"]

    def __str__(self) -> str:
        """The prompt and what follows it."""
        return self.prompt + self.text

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "prompt": self.prompt, "text": self.text, "tokens": self.tokens, "ended": self.ended,
        }  # fmt: skip


class TextGeneration(Task):
    """Text that goes on as the texts it was shown."""

    name: ClassVar[str] = "text-generation"
    summary: ClassVar[str] = "Continue a text (learns from text files or JSON lines)"
    data_options: ClassVar = GenerationDataOptions
    model_options: ClassVar = GenerationModelOptions
    prepared_type: ClassVar = PreparedGeneration
    decoding_options: ClassVar = DecodingOptions
    training_defaults: ClassVar[Mapping[str, Any]] = {
        "batch_size": 8,
        "learning_rate": 2e-3,
        "weight_decay": 1e-1,
        "warmup": 0.1,
    }
    least_epochs: ClassVar[int] = 14
    least_steps: ClassVar[int] = 1500
    most_epochs: ClassVar[int] = 60
    monitor: ClassVar[tuple[str, str]] = ("validation_loss", "min")
    loss: ClassVar[str] = "next-token"
    reads_patterns: ClassVar[bool] = True
    scoring_s: ClassVar[float] = 15.0

    def read(self, source: Path, options: GenerationDataOptions, seed: int) -> Dataset:
        """Read, check and split the text at `source`."""
        return read_dataset(Path(source), options, seed)

    def prepare(self, dataset: Dataset, options: GenerationDataOptions) -> Prepared:
        """The tokenizer, and the windows that the text is seen through."""
        texts = texts_of(dataset.splits["train"])
        learned = learn_tokenizer(options.tokenizer, texts, size=options.vocabulary)
        return _prepared(dataset, options, learned, None)

    def learn(
        self,
        dataset: Dataset,
        options: GenerationDataOptions,
        model_options: GenerationModelOptions,
    ) -> Prepared:
        """As `prepare`, or with the tokens of the checkpoint that training starts from."""
        if model_options.pretrained is None:
            return self.prepare(dataset, options)
        from septet.language.gpt2_folder import open_folder

        folder = open_folder(Path(model_options.pretrained))
        shape = hub_folder.CheckpointSizes.model_validate(folder.shape)
        return _prepared(dataset, options, folder.tokenizer, shape)

    def settle(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings whose `pretrained` names the same from everywhere and later."""
        return hub_folder.settled(settings)

    def defaults_beside(self, model: Mapping[str, Any]) -> Mapping[str, Any]:
        """Small steps where training starts from a checkpoint."""
        beside = {} if model.get("pretrained") is None else TUNING_DEFAULTS
        return {**self.training_defaults, **beside}

    def passes(self, prepared: Prepared) -> tuple[int, int, int]:
        """Few where training starts from a checkpoint."""
        return TUNING_PASSES if prepared["pretrained"] is not None else super().passes(prepared)

    def pretrained(self, options: GenerationModelOptions) -> str | None:
        """SHA-256 of the weights of the checkpoint that training starts from."""
        return (
            None
            if options.pretrained is None
            else checkpoint_folder.digest(Path(options.pretrained))
        )

    def start(
        self,
        network: Any,
        prepared: Prepared,
        options: GenerationModelOptions,
        note: Callable[[str], None],
    ) -> "Tuning | None":
        """Weights of the checkpoint at `model.pretrained`, all trained at one rate."""
        if options.pretrained is not None:
            from septet.language.gpt2_folder import open_folder, read_weights

            weights = read_weights(open_folder(Path(options.pretrained)))
            begin_with(network, weights)
            note(f"Starting from {options.pretrained}: {len(weights)} arrays of weights.")
        return None

    def arrays(self, split: Split, prepared: Prepared) -> tuple[Arrays, np.ndarray]:
        """Windows side by side, int32 [windows, length]; targets are one token further on."""
        inputs, targets = side_by_side(self._packed(split, prepared), prepared["length"])
        return {"tokens": inputs}, targets

    def windows(self, split: Split, prepared: Prepared) -> Windows | None:
        """The text as one sequence."""
        tokens, length = self._packed(split, prepared), prepared["length"]
        return Windows(tokens, length, parts_of(len(tokens), length))

    def epoch_examples(self, dataset: Dataset, prepared: Prepared) -> int:
        """Windows of an epoch."""
        count, length = prepared["num_tokens"], prepared["length"]
        return (count - 1) // length // parts_of(count, length)

    def scored_at_once(self, prepared: Prepared) -> int:
        """As many windows as have some millions of logits."""
        size = prepared["length"] * _checked(prepared).tokenizer.size
        return max(1, min(32, 1 << (max(1, LOGITS_AT_ONCE // size)).bit_length() - 1))

    def _packed(self, split: Split, prepared: Prepared) -> np.ndarray:
        return packed(texts_of(split), _tokenizer(prepared))

    def encode(self, inputs: Any, prepared: Prepared) -> Arrays:
        """The tokens of one prompt, int32 [1, tokens]."""
        prompts = read_prompts(inputs)
        if len(prompts) != 1:
            raise DataError(f"Received {len(prompts)} prompts; expected one.")
        return {"tokens": prompt_tokens(prompts[0], _tokenizer(prepared))[None]}

    def architecture(
        self, prepared: Prepared, options: GenerationModelOptions
    ) -> tuple[str, dict[str, Any]]:
        """The network that is asked for, of a size that suits the text."""
        checked = _checked(prepared)
        arguments: dict[str, Any] = {
            "vocabulary_size": checked.tokenizer.size, "dropout": options.dropout,
        }  # fmt: skip
        size = (checked.num_tokens >= SOME_TEXT) + (checked.num_tokens >= MUCH_TEXT)
        if checked.pretrained is not None:
            _require_free(options)
            shape = checked.pretrained.model_dump(exclude={"sha256"})
            return "gpt", arguments | shape | {"positions": "learned"}
        if options.architecture == "lstm":
            units = options.dim or (256, 512, 512)[size]
            sizes = {"dim": min(units, 128), "units": units, "depth": options.depth or 2}
            if sizes["depth"] > 16:
                raise ConfigError("Setting 'model.depth': lstm has at most 16 layers.")
            return "language-lstm", arguments | sizes
        dim = options.dim or (128, 256, 384)[size]
        heads = options.heads or max(1, dim // HEAD_DIM)
        if dim % heads or (options.positions == "rotary" and dim // heads % 2):
            raise ConfigError(
                f"Setting 'model.dim' is {dim}, which {heads} heads cannot share out"
                + (" in pairs" if dim % heads == 0 else "")
                + ". Choose another model.dim or model.heads."
            )
        return "gpt", arguments | {
            "length": checked.length,
            "dim": dim,
            "depth": options.depth or (4, 4, 6)[size],
            "num_heads": heads,
            "positions": options.positions,
        }

    def objective(self, training: TrainingOptions, prepared: Prepared) -> Loss | None:
        """Cross-entropy of the next token."""
        if training.loss not in ("auto", "cross-entropy"):
            raise ConfigError(
                f"Setting 'training.loss' is {training.loss}, which is no loss for {self.name}. "
                "Expected one of: auto, cross-entropy."
            )
        if training.class_weights != "none":
            raise ConfigError(
                f"Setting 'training.class_weights' is {training.class_weights}: {self.name} has "
                "no classes. Use none."
            )
        return perplexity.loss_of(_tokenizer(prepared), training.label_smoothing)

    def summarize(self, prepared: Prepared) -> Summarize | None:
        """What each token cost, float32 [windows, length], in nats."""
        return perplexity.token_losses

    def evaluate(self, outputs: np.ndarray, split: Split, prepared: Prepared) -> dict[str, Any]:
        """Bits per character, perplexity and loss, with intervals over windows."""
        _, targets = self.arrays(split, prepared)
        return perplexity.evaluate(outputs, targets, _tokenizer(prepared))

    def answer(self, outputs: np.ndarray, prepared: Prepared) -> list[Any]:
        """Logits say nothing to a person: see `decode`."""
        raise NotImplementedError

    def decode(
        self,
        network: Any,
        weights: Any,
        inputs: Any,
        prepared: Prepared,
        options: DecodingOptions,
        hear: Callable[[int, str], None] | None = None,
    ) -> list[WrittenText]:
        """How each prompt goes on."""
        from septet.language.continuing import continue_text

        prompts = read_prompts(inputs)
        tokenizer = _tokenizer(prepared)
        return [
            WrittenText(prompt, *continue_text(
                network, weights, tokenizer, prompt, options,
                None if hear is None else lambda text, number=number: hear(number, text),  # pyright: ignore[reportOptionalCall]
            ))
            for number, prompt in enumerate(prompts)
        ]  # fmt: skip

    def specimens(
        self, network: Any, weights: Any, split: Split, prepared: Prepared
    ) -> list[dict[str, str]]:
        """How the beginning of what was held out goes on, at several temperatures."""
        from septet.language.continuing import continue_at

        text = texts_of(split)[0].strip()
        prompt = text[: end_of_word(text, PROMPT)]
        tokenizer = _tokenizer(prepared)
        texts = continue_at(network, weights, tokenizer, prompt, TEMPERATURES, SHOWN_TOKENS)
        return [
            {"title": f"temperature {temperature:g}", "prompt": prompt, "text": text}
            for temperature, text in zip(TEMPERATURES, texts, strict=True)
        ]

    def glimpse(self, network: Any, weights: Any, prepared: Prepared) -> str | None:
        """How the first words of the training text go on, at several temperatures."""
        from septet.language.continuing import can_write, continue_at

        if not can_write():
            return None
        tokenizer, prompt = _tokenizer(prepared), prepared["prompt"]
        texts = continue_at(network, weights, tokenizer, prompt, TEMPERATURES, GLIMPSE_TOKENS)
        return "\n\n".join(
            f"[temperature {temperature:g}] {prompt}{text}"
            for temperature, text in zip(TEMPERATURES, texts, strict=True)
        )

    def draw(
        self,
        outputs: np.ndarray,
        split: Split,
        evaluation: Mapping[str, Any],
        prepared: Prepared,
        folder: Path,
    ) -> list[tuple[str, str]]:
        """How much is known of a token after how many before it."""
        _, targets = self.arrays(split, prepared)
        return perplexity.draw(outputs, targets, _tokenizer(prepared), folder)

    def inputs_from_arguments(self, arguments: Sequence[str]) -> list[Any]:
        """Prompts, or text files that hold one."""
        return text_inputs.inputs_from_arguments(arguments, frozenset(SUFFIXES))


def _prepared(
    dataset: Dataset,
    options: GenerationDataOptions,
    learned: PreparedTokenizer,
    shape: hub_folder.CheckpointSizes | None,
) -> Prepared:
    """What is learned from the training split once the tokens are known."""
    texts = texts_of(dataset.splits["train"])
    count = sum(map(len, tokenizer_of(learned).encode(texts))) + len(texts) + 1
    if count <= LEAST_TOKENS:
        raise DataError(
            f"The text to train on has {count} tokens; at least {LEAST_TOKENS + 1} are needed."
        )
    length = min(options.length, count - 1, shape.length if shape else count)
    parts = parts_of(count, length)
    dataset.account.note(
        "windows",
        "train",
        f"{count:,} tokens ({learned.size:,} different ones of {learned.kind}) are seen in "
        f"windows of {length}."
        + (f" One pass over them takes {parts} epochs." if parts > 1 else ""),
    )
    first = texts[0].strip()
    prepared = PreparedGeneration(
        tokenizer=learned,
        length=length,
        num_tokens=count,
        prompt=first[: end_of_word(first, PROMPT)],
        pretrained=shape,
    )
    return prepared.model_dump(mode="json")


def parts_of(count: int, length: int) -> int:
    """Epochs of a pass over so many tokens."""
    return max(1, min(-(-count // EPOCH_TOKENS), (count - 1) // length))


def end_of_word(text: str, most: int) -> int:
    """Where a text may be cut: before its last space within `most` characters, or there."""
    if len(text) <= most:
        return len(text)
    return max(text.rfind(" ", 0, most), text.rfind("\n", 0, most)) if " " in text[:most] else most


def read_prompts(inputs: Any) -> list[str]:
    """Prompts from a text, a `Path` of a text file, or a sequence of such; "" begins a document.

    Raises:
        DataError: An input is none of these, or too long; names which.
    """
    if isinstance(inputs, str | os.PathLike):
        inputs = [inputs]
    prompts = []
    for place, item in enumerate(inputs, 1):
        name = f"Input {place}"
        if isinstance(item, os.PathLike):
            path = Path(item)
            found = read_document(path, shown(path.name), 4 * LONGEST_PROMPT)
            if isinstance(found, Rejection):
                raise DataError(f"{found.file}: {found.reason} {found.remedy}".strip())
            item = found.text.replace("\r\n", "\n")
        if not isinstance(item, str):
            raise DataError(
                f"{name} is a {type(item).__name__}. Expected the beginning of a text, or the "
                "path of a file that holds one."
            )
        if len(item) > LONGEST_PROMPT:
            raise DataError(
                f"{name} has {len(item):,} characters; at most {LONGEST_PROMPT:,} are read."
            )
        require_unicode(item, name)
        prompts.append(item)
    if not prompts:
        raise DataError("No prompts were given. Give at least one.")
    return prompts


def prompt_tokens(prompt: str, tokenizer: Tokenizer) -> np.ndarray:
    """The tokens of a prompt; without any, that of the end of a document before."""
    (ids,) = tokenizer.encode([prompt])
    return ids if len(ids) else np.array([END], np.int32)


def _require_free(options: GenerationModelOptions) -> None:
    """Refuse sizes beside a checkpoint, which has its own."""
    for name in ("dim", "depth", "heads"):
        if getattr(options, name) is not None:
            raise ConfigError(
                f"Setting 'model.{name}' is {getattr(options, name)}, and model.pretrained has its "
                "own network. Leave it out."
            )
    if options.architecture != "gpt":
        raise ConfigError("Setting 'model.architecture': model.pretrained is a gpt.")


def _checked(prepared: Prepared) -> PreparedGeneration:
    return PreparedGeneration.model_validate(prepared)


def _tokenizer(prepared: Prepared) -> Tokenizer:
    return _kept(_checked(prepared).tokenizer.model_dump_json())


@lru_cache(maxsize=2)
def _kept(tokenizer: str) -> Tokenizer:
    """Building one takes a moment, and each validation needs it."""
    return tokenizer_of(PreparedTokenizer.model_validate_json(tokenizer))
