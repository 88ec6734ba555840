"""A trained model as a person uses it: loaded from its folder, it answers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from septet import registry
from septet.config import validate
from septet.data.dataset import Split
from septet.engine import devices
from septet.engine.predict import Predictor
from septet.errors import ConfigError, DataError, InputError
from septet.runs.model_folder import load_network
from septet.runs.model_schema import ModelDescription
from septet.task import Explanation


class Model:
    """A model folder in memory; `predict` is all most people need.

    Example:
        >>> import septet                                       # doctest: +SKIP
        >>> model = septet.load("runs/latest/model")            # doctest: +SKIP
        >>> model.predict("shirt.png")                          # doctest: +SKIP
        ClassAnswer(label='Shirt', probability=0.93, ...)
    """

    def __init__(self, path: Path | str):
        """Load the model folder at `path`.

        Raises:
            ModelFolderError: It is damaged or not a model folder; nothing of it was run.
        """
        platform = devices.start()
        description, network = load_network(path)
        self.description: ModelDescription = description
        self.task = registry.task(description.task)
        self.network = network
        self._weights = (
            [variable.value for variable in network.trainable_variables],
            [variable.value for variable in network.non_trainable_variables],
        )
        summarize = self.task.summarize(description.prepared)
        self._platform = platform
        self._predictor = Predictor(
            network,
            platform=platform,
            batch_size=self.task.scored_at_once(description.prepared),
            summarize=summarize,
        )
        self._summarizes = summarize is not None

    @property
    def prepared(self) -> dict[str, Any]:
        """What the task learned from the training data: labels, means, vocabularies."""
        return self.description.prepared

    def predict(self, inputs: Any, **how: Any) -> Any:
        """Answers for inputs: a list for several, one answer for one.

        Args:
            inputs: What the task takes (a path, an array, a picture, a row, a data frame),
                or a list of such.
            how: Settings of a task that answers step by step, as `temperature=0.8`.

        Raises:
            DataError: An input cannot be understood; names which.
            ConfigError: The task has no such setting.
        """
        several = isinstance(inputs, list | tuple)
        answers = self.answers(list(inputs) if several else [inputs], how)
        return answers[0] if not several and len(answers) == 1 else answers

    def answers(
        self,
        inputs: list[Any],
        how: Mapping[str, Any] | None = None,
        hear: Callable[[int, str], None] | None = None,
    ) -> list[Any]:
        """One typed answer for each of `inputs` (a table file counts once a row).

        Args:
            inputs: At least one.
            how: Settings of a task that answers step by step.
            hear: Told (number of the input, text) of each piece of such an answer as it comes.

        Raises:
            ConfigError: The task has no such setting.
        """
        if not inputs:
            raise DataError("No inputs were given. Give at least one.")
        kind = self.task.decoding_options
        if kind is not None:
            options = validate(kind, how or {}, "predict")
            return self.task.decode(
                self.network, self._weights, inputs, self.prepared, options, hear
            )
        if how or hear is not None:
            raise ConfigError(
                f"The task {self.description.task} gives its answers at once; it has no settings "
                "of a prediction and nothing to stream."
            )
        return self.task.respond(self.outputs, inputs, self.prepared)

    def explain(self, inputs: Any) -> list[Explanation]:
        """For each of `inputs`, what each of its parts added to the answer.

        Raises:
            InputError: The task does not say.
            DataError: An input cannot be understood; names which.
        """
        if not self.task.explains:
            raise InputError(
                f"The task {self.description.task} does not explain its answers. "
                "Predict without an explanation."
            )
        return self.task.explain(self.network, self._weights, inputs, self.prepared)

    def stream(self) -> Any:
        """What answers while an input comes in, as frame by frame; see `Task.stream`.

        Raises:
            InputError: The task answers for whole inputs alone.
        """
        if not self.task.streams:
            raise InputError(
                f"The task {self.description.task} answers for whole inputs alone. "
                "Predict without a stream."
            )
        return self.task.stream(self.network, self.prepared, platform=self._platform)

    def outputs(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        """The network's outputs for encoded inputs: float32 [n, ...]."""
        return self._predictor(self._weights, arrays)

    def evaluate(
        self, source: Path, *, options: Mapping[str, Any] | None = None, seed: int = 0
    ) -> dict[str, Any]:
        """The task's scores on the data at `source`.

        Args:
            source: A test split if it has one counts alone, otherwise all of it.
            options: Settings of the data, as the model was trained with (`target` ...).
            seed: Of the reading.

        Raises:
            DataError: The data cannot be read, or hold a class the model does not know.
        """
        whole = {"validation_fraction": 0.0, "test_fraction": 0.0, "limit": None}
        settings = validate(self.task.data_options, {**(options or {}), **whole}, "data")
        dataset = self.task.read(source, settings, seed)
        dataset.account.require_trainable(settings.max_rejected)
        name = "test" if len(dataset.splits["test"]) else "train"
        split = dataset.splits[name]
        outputs = self._scored(split)
        evaluation = self.task.evaluate(outputs, split, self.prepared)
        more = self.task.examine(self.network, self._weights, split, evaluation, self.prepared)
        evaluation = {**evaluation, **more}
        return {"split": name, "examples": len(split), **evaluation}

    def _scored(self, split: Split) -> np.ndarray:
        """Outputs for a split, or their summaries, as the task's scores need them."""
        queries = self.task.queries(split, self.prepared)
        if not self._summarizes:
            return self.outputs(queries)
        targets = self.task.arrays(split, self.prepared)[1]
        return self._predictor.summaries(self._weights, queries, targets)
