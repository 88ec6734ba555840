"""What a task is: the one interface between the fields and everything else.

A task knows how its data looks on disk, how examples become arrays, which network, loss
and metrics serve it, how outputs become answers and how to draw them. It does not know
how training, runs or model folders work.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from septet.config import DataOptions, ModelOptions, Options, TrainingOptions

if TYPE_CHECKING:
    import numpy as np
    from pydantic import BaseModel

    from septet.data.dataset import Dataset, Split
    from septet.engine.losses import Loss
    from septet.engine.tuning import Tuning

Prepared = dict[str, Any]
Arrays = dict[str, "np.ndarray"]
Augment = Callable[[Any, dict[str, Any], Any], tuple[dict[str, Any], Any]]
"""A pure JAX function from a key, traced inputs and targets to inputs and targets."""
Answerer = Callable[[Arrays], "np.ndarray"]
"""The network's outputs, float32 [n, ...], for any number of encoded inputs."""
Summarize = Callable[[Any, Any], Any]
"""A pure JAX function from outputs [n, ...] and targets to float32 [n, ...]."""


@dataclass(frozen=True)
class Windows:
    """One long sequence, out of which training cuts windows.

    Args:
        tokens: Whole numbers [n], of any type.
        length: Of a window; there are more tokens than that.
        parts: Epochs that one pass over the sequence takes.
    """

    tokens: "np.ndarray"
    length: int
    parts: int = 1

    @property
    def in_a_pass(self) -> int:
        """Windows side by side, each with a token after it."""
        return (len(self.tokens) - 1) // self.length

    @property
    def count(self) -> int:
        """Windows of an epoch; a pass leaves out fewer than it has parts."""
        return self.in_a_pass // self.parts


@dataclass(frozen=True)
class Explanation:
    """What each part of a text added to an answer, or where in a picture it was seen.

    Args:
        answer: The class or label that is explained.
        score: How much the network is for it: of a class its logit above the mean of the others,
            of a label its logit.
        baseline: The same where nothing was said.
        parts: The text in pieces, each with what it added; they add up to `score - baseline`.
        heat: Of a picture, rows of columns of 0..1, coarser than its pixels; else None.
        method: How the heat was found.
        frame: Of a clip, the frame that it is of: where there is most of it.
        is_given: Whether the answer names it; where no label was given, the likeliest is explained.
        others: Of further labels that the answer names.
    """

    answer: str
    score: float
    baseline: float
    parts: tuple[tuple[str, float], ...]
    heat: tuple[tuple[float, ...], ...] | None = None
    method: str = ""
    frame: int | None = None
    is_given: bool = True
    others: tuple["Explanation", ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The explanation as plain values."""
        known: dict[str, Any] = {"answer": self.answer, "score": self.score}
        if self.heat is not None:
            heat = [list(line) for line in self.heat]
            known |= {"method": self.method, "heat": heat}
            return known if self.frame is None else {**known, "frame": self.frame}
        known |= {"baseline": self.baseline, "parts": [list(part) for part in self.parts]}
        if not self.is_given:
            known["is_given"] = False
        if self.others:
            known["others"] = [other.to_json() for other in self.others]
        return known


class Task(ABC):
    """One kind of problem. Stateless: everything learned from data is in `Prepared`."""

    name: ClassVar[str]
    summary: ClassVar[str]
    data_options: ClassVar[type[DataOptions]]
    model_options: ClassVar[type[ModelOptions]]
    prepared_type: ClassVar[type["BaseModel"]]
    """Closed schema (every field ranged) that `Prepared` from a model folder must pass."""
    training_defaults: ClassVar[Mapping[str, Any]] = {}
    """What differs from the defaults of `TrainingOptions`."""
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {}
    """Recipes by name: settings by group, which those of a user come before."""
    least_epochs: ClassVar[int] = 20
    """What `training.epochs=auto` means on data of usual size."""
    least_steps: ClassVar[int] = 0
    """On small data, epochs are added until there are so many steps."""
    most_epochs: ClassVar[int] = 20
    """No more than these are added up to."""
    monitor: ClassVar[tuple[str, str]]
    """The validated quantity that decides which epoch is best, and "min" or "max"."""
    reads_patterns: ClassVar[bool] = False
    """Whether the data may be a pattern of file names, such as "*.txt"."""
    scoring_s: ClassVar[float] = 0.0
    """About how long the scores take, where that is more than a pass over the test split."""
    loss: ClassVar[str]
    """A key of `septet.engine.losses`: "softmax" (integer labels) or "squared"; or "adversarial"
    for a network of two players, which have their own; or any other name where `objective` says
    what it is."""

    @abstractmethod
    def read(self, source: Path, options: Any, seed: int) -> "Dataset":
        """Read, check and split the data at `source`; never raises for single bad examples.

        Raises:
            DataError: `source` as a whole cannot be understood.
        """

    @abstractmethod
    def prepare(self, dataset: "Dataset", options: Any) -> Prepared:
        """What must be learned from the training split before arrays can be made.

        Plain JSON values only; it is shipped in the model folder and so is everything
        that `encode`, `arrays` and `answer` need.
        """

    @abstractmethod
    def arrays(self, split: "Split", prepared: Prepared) -> tuple[Arrays, "np.ndarray"]:
        """Inputs (by the network's input names) and targets of a split, ready to train on."""

    def windows(self, split: "Split", prepared: Prepared) -> Windows | None:
        """A split as one sequence to cut windows out of, or None to train on `arrays`.

        The network's input is "tokens", int32 [batch, length], and its targets are the tokens
        after each. Where Keras trains without JAX, it trains on `arrays` all the same.
        """
        return None

    def row_lengths(self, inputs: Arrays, prepared: Prepared) -> "np.ndarray | None":
        """Places of each row of the inputs before its padding, int [n]; None where all are full.

        The second axis of every input is time, and the network answers the same without what
        is padding: training then has batches of several lengths.
        """
        return None

    def epoch_examples(self, dataset: "Dataset", prepared: Prepared) -> int:
        """Examples that an epoch goes through: by default those of the training split."""
        return len(dataset.splits["train"])

    def scoring_time_s(self, dataset: "Dataset") -> float:
        """About how long the scores of a data set take: by default `scoring_s`."""
        return self.scoring_s

    def scored_at_once(self, prepared: Prepared) -> int:
        """Most examples that go through the network together outside training.

        Fewer where each is large.
        """
        return 256

    @abstractmethod
    def encode(self, inputs: Any, prepared: Prepared) -> Arrays:
        """Raw inputs of a user (paths, rows, pictures, arrays) as the network's inputs.

        Raises:
            DataError: An input cannot be understood; names which.
        """

    @abstractmethod
    def architecture(self, prepared: Prepared, options: Any) -> tuple[str, dict[str, Any]]:
        """Name in `registry.ARCHITECTURES` and its arguments (plain JSON values)."""

    def shipped_architecture(
        self, name: str, arguments: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """The part of an architecture that a model folder keeps, as `architecture` gives it."""
        return name, arguments

    def shipped_network(self, network: Any) -> Any:
        """The part of a network that a model folder keeps: one of its models, or all of it."""
        return network

    def queries(self, split: "Split", prepared: Prepared) -> Arrays:
        """Inputs of the shipped network to be scored with `split`: by default its examples."""
        return self.arrays(split, prepared)[0]

    def glimpses(self, prepared: Prepared) -> Arrays | None:
        """Inputs whose outputs are looked at every minute of training, or None."""
        return None

    def draw_glimpse(self, outputs: "np.ndarray", prepared: Prepared) -> bytes:
        """The outputs for `glimpses` as one PNG picture."""
        raise NotImplementedError

    def settle(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of the model as given, those that name a place made whole."""
        return dict(settings)

    def defaults_beside(self, model: Mapping[str, Any]) -> Mapping[str, Any]:
        """What differs from `TrainingOptions` where the model has these settings."""
        return self.training_defaults

    def passes(self, prepared: Prepared) -> tuple[int, int, int]:
        """Least epochs, least steps, and the most epochs that are added up to for these."""
        return self.least_epochs, self.least_steps, self.most_epochs

    def pretrained(self, options: Any) -> str | None:
        """SHA-256 of the weights that training starts from; None where they are drawn.

        Raises:
            InputError: They cannot be had.
        """
        return None

    def adapt(self, prepared: Prepared, options: Any) -> Prepared:
        """`prepared`, changed to what the weights that training starts from were learned with."""
        return prepared

    def learn(self, dataset: "Dataset", options: Any, model_options: Any) -> Prepared:
        """What `prepare` learns, suited to the weights that training starts from.

        Raises:
            InputError: As of `prepare`, or they are not for such data.
        """
        return self.adapt(self.prepare(dataset, options), model_options)

    def start(
        self, network: Any, prepared: Prepared, options: Any, note: Callable[[str], None]
    ) -> "Tuning | None":
        """Give the network the weights that training starts from; how they are trained on.

        Raises:
            InputError: They are not the network's.
        """
        return None

    def augment(self, prepared: Prepared, options: Any) -> Augment | None:
        """A pure JAX function `(key, inputs, targets) -> (inputs, targets)`, or None.

        It is run inside the program on every batch that is trained on.
        """
        return None

    def objective(self, training: TrainingOptions, prepared: Prepared) -> "Loss | None":
        """A loss of the task's own, or None for the one that `loss` and the settings name.

        Raises:
            ConfigError: The settings ask for a loss that the task does not have.
        """
        return None

    def summarize(self, prepared: Prepared) -> Summarize | None:
        """What scores need to know of outputs, where whole outputs are too many to keep, or None.

        The function is run on the device after every batch that is scored. The loss' `measure`,
        `evaluate` and `draw` are then given its results in place of the outputs.
        """
        return None

    def calibrate(
        self,
        outputs: "Callable[[], np.ndarray]",
        split: "Split",
        prepared: Prepared,
        options: Any,
    ) -> Prepared:
        """`prepared`, with what is decided once the network is trained: by default nothing.

        Args:
            outputs: Gives the shipped network's, or their summaries, on `split`.
            split: The validation split, perhaps empty.
            prepared: What was learned from the training split.
            options: Of the model.
        """
        return prepared

    @abstractmethod
    def evaluate(self, outputs: "np.ndarray", split: "Split", prepared: Prepared) -> dict[str, Any]:
        """The field's standard scores of the network's `outputs` on `split`.

        Returns plain JSON values with at least `"scores": {name: value}` and
        `"intervals": {name: [low, high]}` (95 %, bootstrap).
        """

    def evaluate_beside(
        self, outputs: "np.ndarray", split: "Split", train: "Split", prepared: Prepared
    ) -> dict[str, Any]:
        """`evaluate`, for scores that need the training examples as well."""
        return self.evaluate(outputs, split, prepared)

    @abstractmethod
    def answer(self, outputs: "np.ndarray", prepared: Prepared) -> list[Any]:
        """Typed answers (frozen dataclasses with `to_json`), one for each row of `outputs`."""

    def respond(self, outputs_of: Answerer, inputs: Any, prepared: Prepared) -> list[Any]:
        """Typed answers for raw inputs: by default `answer` of the outputs for `encode`d ones.

        For tasks whose answers need more of an input than its arrays, such as its own size.
        """
        return self.answer(outputs_of(self.encode(inputs, prepared)), prepared)

    answered_at_once: ClassVar[int | None] = None
    """Inputs whose answers may be in memory together; None where they are small."""
    explains: ClassVar[bool] = False
    """Whether `explain` says which parts of an input an answer is due to."""

    def explain(
        self, network: Any, weights: Any, inputs: Any, prepared: Prepared
    ) -> list[Explanation]:
        """What each part of each of `inputs` added to the network's answer.

        Args:
            network: The shipped network.
            weights: Its (trainable, non-trainable) values.
            inputs: As for `encode`.
            prepared: What was learned from the training split.
        """
        raise NotImplementedError

    def draw_explanations(
        self, inputs: Any, explanations: Sequence[Explanation], prepared: Prepared
    ) -> "list[np.ndarray]":
        """Of explanations with heat, a picture of each, uint8 [height, width, 3]."""
        return []

    def truth(self, split: "Split", row: int) -> Any:
        """What is right for an example, as plain JSON values: by default its target as text."""
        return str(split.targets[row])

    def explainable(self, split: "Split", row: int) -> Any:
        """The example at `row` as one of the inputs that `explain` takes."""
        raise NotImplementedError

    decoding_options: ClassVar[type[Options] | None] = None
    """Settings of a prediction, where an answer is made step by step (`decode`)."""

    def decode(
        self,
        network: Any,
        weights: Any,
        inputs: Any,
        prepared: Prepared,
        options: Any,
        hear: Callable[[int, str], None] | None = None,
    ) -> list[Any]:
        """Typed answers for inputs that the network answers step by step.

        Args:
            network: The shipped network.
            weights: Its (trainable, non-trainable) values.
            inputs: As for `encode`.
            prepared: What was learned from the training split.
            options: Of `decoding_options`.
            hear: Told (number of the input, text) of every piece as it comes.
        """
        raise NotImplementedError

    def examine(
        self,
        network: Any,
        weights: Any,
        split: "Split",
        evaluation: Mapping[str, Any],
        prepared: Prepared,
    ) -> dict[str, Any]:
        """More of an evaluation, where that needs answers made step by step; plain JSON values.

        Args:
            network: The shipped network.
            weights: Its (trainable, non-trainable) values.
            split: What is scored.
            evaluation: What `evaluate` returned; entries of the same name are replaced.
            prepared: What was learned from the training split.
        """
        return {}

    def specimens(
        self, network: Any, weights: Any, split: "Split", prepared: Prepared
    ) -> list[dict[str, str]]:
        """{"title", "prompt", "text"} of what a network writes, for the report."""
        return []

    def glimpse(self, network: Any, weights: Any, prepared: Prepared) -> str | None:
        """A text that the network makes, looked at every minute of training, or None."""
        return None

    streams: ClassVar[bool] = False
    """Whether `stream` answers while an input comes in."""

    def stream(self, network: Any, prepared: Prepared, *, platform: str) -> Any:
        """What answers after each part of an input, its state carried along.

        Has `step(part) -> answer`, `reset()`, and `follow(source) -> iterator of (place, answer)`.
        """
        raise NotImplementedError

    @abstractmethod
    def draw(
        self,
        outputs: "np.ndarray",
        split: "Split",
        evaluation: Mapping[str, Any],
        prepared: Prepared,
        folder: Path,
    ) -> list[tuple[str, str]]:
        """Write pictures of the evaluation into `folder`: (file name, caption) of each."""

    @abstractmethod
    def inputs_from_arguments(self, arguments: Sequence[str]) -> list[Any]:
        """What `septet predict RUN INPUT...` was given, as inputs for `encode`."""
