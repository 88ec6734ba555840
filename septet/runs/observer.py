"""What a run tells whoever watches it. The library prints nothing; the command line does."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Forecast:
    """What a run expects before its first step.

    Args:
        name: The run's name.
        folder: Where it is kept.
        device: The device in words.
        architecture: Name of the network.
        parameters: Weights of the model.
        examples: Examples in each split.
        steps: Steps of the run; None while a time budget still has to be measured.
        steps_per_epoch: Steps of an epoch.
        memory_bytes: Device memory of a step, where the compiler tells.
        compile_s: Seconds that compiling took; None where nothing is compiled ahead.
    """

    name: str
    folder: str
    device: str
    architecture: str
    parameters: int
    examples: dict[str, int]
    steps: int | None
    steps_per_epoch: int
    memory_bytes: int | None
    compile_s: float | None


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a chunk: position, speed, running metrics, time left."""

    epoch: int
    epochs: float
    step: int
    total_steps: int
    steps_per_s: float
    remaining_s: float
    logs: dict[str, float]


class Observer:
    """Hears of everything and does nothing; override what you want to show."""

    def note(self, text: str) -> None:
        """Something worth a line: what is being read, which checkpoint was taken."""

    def account(self, account: dict[str, Any]) -> None:
        """The data account, before training."""

    def forecast(self, forecast: Forecast) -> None:
        """What the run expects, once it is compiled."""

    def progress(self, progress: Progress) -> None:
        """After each chunk, about four times a second."""

    def epoch(self, row: dict[str, Any]) -> None:
        """A row of the log."""

    def closed(self) -> None:
        """Training is over, well or not; release the terminal."""
