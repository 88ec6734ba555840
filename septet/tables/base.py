"""What classification and regression of tables share as tasks."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from septet.data.dataset import Dataset
from septet.tables import features
from septet.tables.inputs import inputs_from_arguments, read_inputs
from septet.tables.options import TableDataOptions, TableModelOptions
from septet.task import Arrays, Prepared, Task

# The last epoch is shipped: on small tables the few validation rows choose worse than the
# learning rate's way to zero does (docs/experiments.md, "Which epoch of a table to ship").
TRAINING_DEFAULTS: Mapping[str, Any] = {
    "epochs": 20,
    "batch_size": 32,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "weight_decay": 1e-2,
    "schedule": "one-cycle",
    "average_decay": 0.95,
    "restore_best": False,
}


class TableTask(Task):
    """A table in, one answer a row out; subclasses say what the target is."""

    data_options: ClassVar = TableDataOptions
    model_options: ClassVar = TableModelOptions
    training_defaults: ClassVar[Mapping[str, Any]] = TRAINING_DEFAULTS

    def prepare(self, dataset: Dataset, options: TableDataOptions) -> Prepared:
        """Scales and vocabularies of the columns, and those of the target."""
        train = dataset.splits["train"]
        columns = features.learn_columns(
            dataset.facts,
            train.examples,
            max_categories=options.max_categories,
            text_features=options.text_features,
        )
        learned = {**columns.model_dump(mode="json"), **self.learn_targets(train.targets)}
        return self.prepared_type.model_validate(learned).model_dump(mode="json")

    @abstractmethod
    def learn_targets(self, targets: np.ndarray) -> dict[str, Any]:
        """What `prepared` needs to know of the training targets."""

    def encode(self, inputs: Any, prepared: Prepared) -> Arrays:
        """See `septet.tables.inputs.read_inputs` for the forms that `inputs` may have."""
        table = self.table(prepared)
        return features.encode_columns(read_inputs(inputs, table), table)

    def table(self, prepared: Prepared) -> features.PreparedTable:
        """The checked form of `prepared`."""
        table = self.prepared_type.model_validate(prepared)
        assert isinstance(table, features.PreparedTable)  # every subclass declares it so
        return table

    def network(self, prepared: Prepared, options: TableModelOptions, num_outputs: int):
        """Name and arguments of the network."""
        table = self.table(prepared)
        arguments = {
            "num_numbers": features.num_numbers(table),
            "cardinalities": features.cardinalities(table),
            "num_outputs": num_outputs,
            "is_classifier": self.loss == "softmax",
            **options.model_dump(mode="json"),
        }
        return "tabular", arguments

    def inputs_from_arguments(self, arguments: Sequence[str]) -> list[Any]:
        """Table files, JSON objects, or column=value pairs that make up one row."""
        return inputs_from_arguments(arguments)
