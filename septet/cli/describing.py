"""What the command line shows: accounts, scores, runs, and a run as it goes."""

import sys
import unicodedata
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from septet.cli.watching import LineObserver, LiveObserver
from septet.config import TrainingOptions
from septet.runs.folder import RunFolder, read_object
from septet.runs.log import RunLog
from septet.runs.observer import Observer

MAX_ROWS = 20


def make_observer() -> Observer:
    """A live display on a terminal, otherwise a plain line an epoch; both on stderr."""
    console = Console(stderr=True)
    return LiveObserver(console) if console.is_terminal else LineObserver(sys.stderr)


def settings_of(task: Any) -> list[dict[str, Any]]:
    """Every setting of a task: name, default, description."""
    rows = []
    groups = (("data", task.data_options), ("model", task.model_options))
    for group, kind in (*groups, ("training", TrainingOptions)):
        for name, field in kind.model_fields.items():
            default = field.get_default(call_default_factory=True)
            if group == "training":
                default = task.training_defaults.get(name, default)
            rows.append(
                {"name": f"{group}.{name}", "default": default, "description": field.description}
            )
    if task.decoding_options is not None:
        for name, field in task.decoding_options.model_fields.items():
            said = f"Of septet predict (--set {name}=...). {field.description}"
            rows.append({"name": f"predict.{name}", "default": field.default, "description": said})
    return rows


def printable(text: str) -> str:
    """`text` without what would move a terminal's cursor or colours; lines and tabs stay."""
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) != "Cc" else "\ufffd" for char in text
    )


def print_account(account: dict[str, Any], console: Console | None = None) -> None:
    """The account as text: the balance, the splits, what was rejected and found."""
    console = console or Console()
    console.print(
        f"Read {account['read']} = used {account['used']} + rejected {account['rejected']}"
    )
    console.print(
        "Splits: " + ", ".join(f"{name} {count}" for name, count in account["splits"].items())
    )
    if account["classes"]:
        _print_classes(account["classes"], console)
    if account["rejections"]:
        _print_rejections(account["rejections"], console)
    for finding in account["findings"]:
        remedy = f" {finding['remedy']}" if finding["remedy"] else ""
        text = f"{finding['severity']}: {finding['where']}: {finding['message']}{remedy}"
        console.print(escape(text), soft_wrap=True, highlight=False)


def _print_classes(classes: dict[str, dict[str, int]], console: Console) -> None:
    labels = sorted({label for counts in classes.values() for label in counts})
    table = Table(title="Examples of each class")
    for heading in ("class", *classes):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for label in labels[:MAX_ROWS]:
        table.add_row(escape(label), *(str(counts.get(label, 0)) for counts in classes.values()))
    console.print(table)
    if len(labels) > MAX_ROWS:
        console.print(f"... and {len(labels) - MAX_ROWS} more classes; see --json.")


def _print_rejections(rejections: list[dict[str, Any]], console: Console) -> None:
    table = Table(title="Rejected")
    for heading in ("file", "line", "reason", "remedy"):
        table.add_column(heading, overflow="fold")
    for row in rejections[:MAX_ROWS]:
        line = "" if row["line"] is None else str(row["line"])
        table.add_row(escape(row["file"]), line, escape(row["reason"]), escape(row["remedy"]))
    console.print(table)
    if len(rejections) > MAX_ROWS:
        console.print(f"... and {len(rejections) - MAX_ROWS} more; see --json.")


def print_scores(evaluation: dict[str, Any]) -> None:
    """The scores with their 95 % intervals."""
    console = Console()
    console.print(
        f"Scores on {evaluation['examples']} {evaluation['split']} examples (95 % interval)"
    )
    for name, value in evaluation["scores"].items():
        if value is None:
            continue
        low, high = evaluation["intervals"].get(name) or (None, None)
        interval = "" if low is None else f"   {low:.4f} to {high:.4f}"
        console.print(f"  {name:<24}{value:.4f}{interval}", highlight=False)


def print_runs(rows: list[dict[str, Any]]) -> None:
    """The list of runs as a table."""
    table = Table()
    for heading in ("run", "task", "status", "epochs", "score", "created"):
        table.add_column(heading)
    for row in rows:
        score = row.get("score")
        shown = "" if score is None else f"{row.get('score_name') or 'score'} {score:.4f}"
        epochs = row.get("epochs")
        table.add_row(
            escape(str(row["name"])), escape(str(row["task"])), str(row["status"]),
            "" if epochs is None else str(epochs), shown, str(row.get("created") or ""),
        )  # fmt: skip
    Console().print(table)


def run_summary(run: RunFolder) -> dict[str, Any]:
    """How a run stands, as plain values."""
    rows = RunLog(run.log_path).read() if run.log_path.exists() else []
    return {
        "name": run.name,
        "folder": str(run.path),
        **run.identity(),
        **run.status(),
        "config": run.config(),
        "last_row": rows[-1] if rows else None,
        "evaluation": read_object(run.path / "evaluation.json"),
        "report": str(run.report_path) if run.report_path.exists() else None,
    }


def print_run(summary: dict[str, Any]) -> None:
    """How a run stands, as text."""
    console = Console()
    for name in ("name", "task", "status", "created", "error", "folder", "report"):
        if summary.get(name):
            console.print(
                f"{name:<10}{escape(str(summary[name]))}", highlight=False, soft_wrap=True
            )
    if summary["last_row"]:
        row = summary["last_row"]
        facts = "  ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in row.items()
        )
        console.print(f"{'last row':<10}{facts}", highlight=False, soft_wrap=True)
    if summary["evaluation"]:
        print_scores(summary["evaluation"])
    if summary["status"] in ("crashed", "interrupted", "failed"):
        console.print(f"Continue with: septet resume {summary['name']}", highlight=False)


def visible(text: str) -> str:
    """Text without what moves a terminal's cursor or turns its direction."""
    return "".join(
        char
        if char.isprintable() or char in "\u200c\u200d"
        else " "
        if char.isspace()
        else f"\\u{{{ord(char):x}}}"
        for char in text
    )
