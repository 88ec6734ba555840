"""What the host remembers from epoch to epoch: the best, the patience, the plateau."""

from dataclasses import asdict, dataclass
from typing import Any

from septet.config import TrainingOptions


@dataclass
class Bookkeeping:
    """Plain values, saved with every checkpoint.

    Args:
        logged_step: Step of the last row in the log.
        best_value: Best validated value so far.
        best_step: Step after which it was reached.
        best_epoch: Epoch (from 1) after which it was reached.
        epochs_since_best: Rows since then, for early stopping.
        plateau_scale: What the plateau schedule multiplies the learning rate by.
        plateau_wait: Rows since the rate was lowered or the best improved.
        stopped: Why the run ended before its plan, or "".
    """

    logged_step: int = 0
    best_value: float | None = None
    best_step: int | None = None
    best_epoch: int | None = None
    epochs_since_best: int = 0
    plateau_scale: float = 1.0
    plateau_wait: int = 0
    stopped: str = ""

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self)

    def record(self, value: float, direction: str, row: dict[str, Any]) -> bool:
        """Note a validated `value` ("min" or "max" is better); whether it is the best yet."""
        best = self.best_value
        improved = best is None or (value > best if direction == "max" else value < best)
        if improved:
            self.best_value, self.best_step = value, row["step"]
            self.best_epoch, self.epochs_since_best, self.plateau_wait = row["epoch"], 0, 0
        else:
            self.epochs_since_best += 1
            self.plateau_wait += 1
        return improved

    def lower_rate(self, options: TrainingOptions) -> None:
        """Scale the learning rate down when the plateau schedule has waited long enough."""
        if options.schedule == "plateau" and self.plateau_wait >= options.plateau_patience:
            self.plateau_scale *= options.plateau_factor
            self.plateau_wait = 0

    def is_out_of_patience(self, options: TrainingOptions) -> bool:
        """Whether early stopping should end the run."""
        return options.patience is not None and self.epochs_since_best >= options.patience
