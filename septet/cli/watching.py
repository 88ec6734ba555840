"""A run as it goes: a live display on a terminal, one plain line an epoch elsewhere."""

from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from septet.runs.observer import Forecast, Observer
from septet.runs.observer import Progress as Standing


def forecast_text(forecast: Forecast) -> str:
    """What a run expects, in a sentence or two."""
    examples = ", ".join(f"{name} {count:,}" for name, count in forecast.examples.items())
    memory = forecast.memory_bytes
    steps = (
        "as many steps as the minutes allow"
        if forecast.steps is None
        else f"{forecast.steps:,} steps"
    )
    return (
        f"{forecast.name}: {forecast.architecture}, {forecast.parameters:,} parameters on "
        f"{forecast.device}; "
        f"examples: {examples}; {steps} ({forecast.steps_per_epoch:,} an epoch)"
        + (f"; {memory / 2**20:,.0f} MiB a step" if memory else "")
        + ("" if forecast.compile_s is None else f"; compiled in {forecast.compile_s:.1f} s")
    )


def account_text(account: dict[str, Any]) -> str:
    """The account in a line, with the number of findings by severity."""
    counts = {"error": 0, "warning": 0, "note": 0}
    for finding in account["findings"]:
        counts[finding["severity"]] += 1
    found = ", ".join(f"{count} {name}s" for name, count in counts.items() if count)
    return (
        f"Data: read {account['read']:,} = used {account['used']:,} + "
        f"rejected {account['rejected']:,}" + (f"; {found}" if found else "")
    )


def row_text(row: dict[str, Any]) -> str:
    """A row of the log in a line."""
    shown = [f"epoch {row['epoch']}"]
    for name, value in row.items():
        if isinstance(value, float):
            shown.append(f"{name} {value:.4g}")
    return "  ".join(shown)


def duration_text(seconds: float) -> str:
    """Seconds as 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class LineObserver(Observer):
    """Writes plain lines to a stream."""

    def __init__(self, stream: IO[str]):
        """Write to `stream`."""
        self.stream = stream
        self.reports = 0

    def line(self, text: str) -> None:
        """One line, shown at once."""
        print(text, file=self.stream, flush=True)

    def note(self, text: str) -> None:
        """A line."""
        self.line(text)

    def account(self, account: dict[str, Any]) -> None:
        """The balance, and every warning."""
        self.line(account_text(account))
        for finding in account["findings"]:
            if finding["severity"] != "note":
                self.line(f"  {finding['severity']}: {finding['where']}: {finding['message']}")

    def forecast(self, forecast: Forecast) -> None:
        """What the run expects."""
        self.line(forecast_text(forecast))

    def progress(self, progress: Standing) -> None:
        """How long it will take, once more than the first chunk has run."""
        self.reports += 1
        if self.reports == 2:
            self.line(f"About {duration_text(progress.remaining_s)} of training to go")

    def epoch(self, row: dict[str, Any]) -> None:
        """The epoch's row."""
        self.line(row_text(row))


class LiveObserver(LineObserver):
    """A progress bar with epoch, speed, metrics and time left; lines stay above it."""

    def __init__(self, console: Console):
        """Show on `console`."""
        super().__init__(console.file)
        self.console = console
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[metrics]}"),
            TextColumn("{task.fields[speed]:,.0f} steps/s  {task.fields[left]} left"),
            console=console,
            transient=True,
        )
        self.shown: TaskID | None = None

    def line(self, text: str) -> None:
        """A line above the bar."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def progress(self, progress: Standing) -> None:
        """Move the bar."""
        super().progress(progress)
        fields = {
            "epoch": f"{progress.epoch}/{max(progress.epochs, progress.epoch):.0f}",
            "metrics": "  ".join(f"{name} {value:.4f}" for name, value in progress.logs.items()),
            "speed": progress.steps_per_s,
            "left": duration_text(progress.remaining_s),
        }
        if self.shown is None:
            self.bar.start()
            self.shown = self.bar.add_task("training", total=progress.total_steps, **fields)
        self.bar.update(self.shown, completed=progress.step, total=progress.total_steps, **fields)

    def closed(self) -> None:
        """Take the bar away."""
        self.bar.stop()
