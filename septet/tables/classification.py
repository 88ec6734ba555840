"""The task tabular-classification: which class each row of a table belongs to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from septet.data.dataset import Dataset, Split
from septet.errors import DataError
from septet.evaluation.classification import ClassAnswer, class_answers, evaluate_classification
from septet.tables.base import TableTask
from septet.tables.features import PreparedTable, Text, encode_columns
from septet.tables.options import TableDataOptions, TableModelOptions
from septet.tables.reading import read_dataset
from septet.task import Arrays, Prepared


class PreparedClassification(PreparedTable):
    """A prepared table whose target is one of `classes`, in the order of the logits."""

    classes: Annotated[list[Text], Field(min_length=2, max_length=100_000)]


class TabularClassification(TableTask):
    """Which class each row of a table belongs to."""

    name: ClassVar[str] = "tabular-classification"
    summary: ClassVar[str] = (
        "Predict a class from the columns of a table (CSV, JSON lines, Parquet)"
    )
    prepared_type: ClassVar = PreparedClassification
    monitor: ClassVar[tuple[str, str]] = ("validation_loss", "min")
    loss: ClassVar[str] = "softmax"

    def read(self, source: Path, options: TableDataOptions, seed: int) -> Dataset:
        """Read, check and split the table at `source`."""
        return read_dataset(source, options, seed, is_classification=True)

    def learn_targets(self, targets: np.ndarray) -> dict[str, Any]:
        """The classes, in the order of their names, numbers by size."""
        return {"classes": sorted(set(targets.tolist()), key=_class_order)}

    def arrays(self, split: Split, prepared: Prepared) -> tuple[Arrays, np.ndarray]:
        """Inputs and labels, int32 [rows]."""
        return encode_columns(split.examples, self.table(prepared)), _labels(split, prepared)

    def architecture(
        self, prepared: Prepared, options: TableModelOptions
    ) -> tuple[str, dict[str, Any]]:
        """The residual network for tables, with a logit for each class."""
        return self.network(prepared, options, len(prepared["classes"]))

    def evaluate(self, outputs: np.ndarray, split: Split, prepared: Prepared) -> dict[str, Any]:
        """Accuracy and its kin; see `evaluate_classification`."""
        return evaluate_classification(outputs, _labels(split, prepared), prepared["classes"])

    def answer(self, outputs: np.ndarray, prepared: Prepared) -> list[ClassAnswer]:
        """The likeliest class of each row, and the probability of every class."""
        return class_answers(outputs, prepared["classes"])

    def draw(
        self,
        outputs: np.ndarray,
        split: Split,
        evaluation: Mapping[str, Any],
        prepared: Prepared,
        folder: Path,
    ) -> list[tuple[str, str]]:
        """Confusion matrix, reliability and scores by class, as pictures in `folder`."""
        from septet.evaluation.figures import draw_classification

        labels = _labels(split, prepared)
        return draw_classification(evaluation, outputs, labels, prepared["classes"], folder)


def _class_order(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def _labels(split: Split, prepared: Prepared) -> np.ndarray:
    """Places of the split's classes among those of `prepared`, int32 [rows].

    Raises:
        DataError: The network does not know a class.
    """
    place = {name: number for number, name in enumerate(prepared["classes"])}
    names: Sequence[str] = split.targets.tolist()
    unknown = sorted(set(names) - place.keys())
    if unknown:
        known = ", ".join(prepared["classes"][:20])
        raise DataError(
            f"The model does not know the class '{unknown[0]}' ({len(unknown)} such classes). "
            f"It knows: {known}. Rename or remove those rows."
        )
    return np.array([place[name] for name in names], dtype=np.int32)
