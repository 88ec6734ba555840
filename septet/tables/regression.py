"""The task tabular-regression: a number for each row of a table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from septet.data.dataset import Dataset, Split
from septet.evaluation.regression import NumberAnswer, evaluate_regression
from septet.tables.base import TableTask
from septet.tables.features import Finite, PreparedTable, encode_columns
from septet.tables.options import TableDataOptions, TableModelOptions
from septet.tables.reading import read_dataset
from septet.task import Arrays, Prepared


class PreparedRegression(PreparedTable):
    """A prepared table whose target is a number, trained on as (target - mean) / deviation."""

    target_mean: Finite
    target_deviation: Annotated[float, Field(gt=0.0, le=1e30)]


class TabularRegression(TableTask):
    """A number for each row of a table."""

    name: ClassVar[str] = "tabular-regression"
    summary: ClassVar[str] = (
        "Predict a number from the columns of a table (CSV, JSON lines, Parquet)"
    )
    prepared_type: ClassVar = PreparedRegression
    monitor: ClassVar[tuple[str, str]] = ("validation_loss", "min")
    loss: ClassVar[str] = "squared"

    def read(self, source: Path, options: TableDataOptions, seed: int) -> Dataset:
        """Read, check and split the table at `source`."""
        return read_dataset(source, options, seed, is_classification=False)

    def learn_targets(self, targets: np.ndarray) -> dict[str, Any]:
        """Mean and standard deviation of the training targets."""
        deviation = float(targets.std())
        return {
            "target_mean": float(targets.mean()),
            "target_deviation": deviation if deviation > 0 else 1.0,
        }

    def arrays(self, split: Split, prepared: Prepared) -> tuple[Arrays, np.ndarray]:
        """Inputs and standardised targets, float32 [rows]."""
        inputs = encode_columns(split.examples, self.table(prepared))
        standardised = (split.targets - prepared["target_mean"]) / prepared["target_deviation"]
        return inputs, standardised.astype(np.float32)

    def architecture(
        self, prepared: Prepared, options: TableModelOptions
    ) -> tuple[str, dict[str, Any]]:
        """The residual network for tables, with one output."""
        return self.network(prepared, options, 1)

    def evaluate(self, outputs: np.ndarray, split: Split, prepared: Prepared) -> dict[str, Any]:
        """Errors in the unit of the target; see `evaluate_regression`."""
        return evaluate_regression(_in_units(outputs, prepared), split.targets)

    def answer(self, outputs: np.ndarray, prepared: Prepared) -> list[NumberAnswer]:
        """The number of each row, in the unit of the target."""
        return [NumberAnswer(float(value)) for value in _in_units(outputs, prepared)]

    def draw(
        self,
        outputs: np.ndarray,
        split: Split,
        evaluation: Mapping[str, Any],
        prepared: Prepared,
        folder: Path,
    ) -> list[tuple[str, str]]:
        """Predicted against actual numbers, and the errors, as pictures in `folder`."""
        from septet.evaluation.figures import draw_regression

        return draw_regression(_in_units(outputs, prepared), split.targets, folder)


def _in_units(outputs: np.ndarray, prepared: Prepared) -> np.ndarray:
    """Outputs [rows, 1] as numbers [rows] in the unit of the target, float64."""
    values = np.asarray(outputs, np.float64).reshape(len(outputs))
    return values * prepared["target_deviation"] + prepared["target_mean"]
