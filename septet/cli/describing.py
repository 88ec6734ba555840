"""What the command line shows: accounts, scores, runs, and a run as it goes."""

import json
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from septet.cli.watching import LineObserver, LiveObserver
from septet.config import TrainingOptions
from septet.errors import ConfigError
from septet.runs.folder import RunFolder, read_object
from septet.runs.log import RunLog
from septet.runs.observer import Observer

MAX_ROWS = 20
MOST_WORDS = 8


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


def parse_how(pairs: Sequence[str]) -> dict[str, Any]:
    """`["temperature=0.8"]` as a dictionary; values are JSON where they parse, otherwise text.

    Raises:
        ConfigError: One is not NAME=VALUE.
    """
    how: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"'{pair}' is not a setting. Write it as NAME=VALUE.")
        try:
            how[name.strip().removeprefix("predict.")] = json.loads(text)
        except ValueError:
            how[name.strip().removeprefix("predict.")] = text
    return how


class Streaming:
    """Writes pieces of answers to stdout as they come, each answer after a blank line.

    Args:
        several: There is more than one answer.
    """

    def __init__(self, *, several: bool):
        """See the class."""
        self.several = several
        self.current = -1

    def __enter__(self) -> "Streaming":
        """Begin."""
        return self

    def __call__(self, number: int, text: str) -> None:
        """One more piece of the answer to input `number`."""
        if number != self.current:
            sys.stdout.write("\n\n" if self.current >= 0 else "")
            self.current = number
        sys.stdout.write(printable(text))
        sys.stdout.flush()

    def __exit__(self, *error: object) -> None:
        """End the last line."""
        sys.stdout.write("\n")


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


def save_named(answers: Sequence[Any], names: Sequence[str], folder: str) -> list[list[str]]:
    """Save each answer's pictures as PNG files in `folder`, called after its input; their paths.

    A name that is taken gets a number, so that nothing is lost.

    Raises:
        StorageError: A file could not be written.
    """
    import io
    from pathlib import Path

    from septet.runs import storage

    place, saved = Path(folder), []
    for answer, name in zip(answers, names, strict=True):
        pictures = answer.to_images()
        stem = free_stem(place, Path(name).stem or "picture", list(pictures))
        paths = []
        for ending, picture in pictures.items():
            file = io.BytesIO()
            picture.save(file, "PNG")
            path = place / f"{stem}{ending}.png"
            storage.commit_file(path, file.getvalue())
            paths.append(str(path))
        saved.append(paths)
    return saved


def free_stem(folder: Any, stem: str, endings: Sequence[str]) -> str:
    """`stem`, or with the first number after it that no file in `folder` has yet."""
    number, free = 1, stem
    while any((folder / f"{free}{ending}.png").exists() for ending in endings):
        number += 1
        free = f"{stem}-{number}"
    return free


def save_pictures(answers: Sequence[Any], folder: str) -> list[str]:
    """Save answers that are pictures as PNG files of their own in `folder`; their paths.

    Files that are there are kept: the numbers go on after the highest.

    Raises:
        StorageError: A file could not be written.
    """
    import io
    from pathlib import Path

    from septet.runs import storage

    place = Path(folder)
    taken = [path.stem for path in place.glob("[0-9]*.png")] if place.is_dir() else []
    first = max((int(stem) for stem in taken if stem.isdecimal()), default=0) + 1
    paths = []
    for number, answer in enumerate(answers, first):
        file = io.BytesIO()
        answer.to_image().save(file, "PNG")
        path = place / f"{number:05d}.png"
        storage.commit_file(path, file.getvalue())
        paths.append(str(path))
    return paths


def save_overlays(answers: Sequence[Any], names: Sequence[str] | None, folder: str) -> list[str]:
    """Save the pictures with what was found drawn on them, as PNG files in `folder`; their paths.

    A file is called after its input, with a number where that name is taken.

    Raises:
        StorageError: A file could not be written.
    """
    from pathlib import Path

    from septet.runs import storage

    place, paths = Path(folder), []
    for number, answer in enumerate(answers, 1):
        content = answer.overlay()
        if content is None:
            continue
        stem = visible(Path(names[number - 1]).stem if names else f"{number:05d}")
        path, again = place / f"{stem}-found.png", 1
        while path.exists():
            again += 1
            path = place / f"{stem}-found-{again}.png"
        storage.commit_file(path, content)
        paths.append(str(path))
    return paths


def save_arrays(pictures: Sequence[Any], folder: str) -> list[str]:
    """Save arrays [height, width, 3] as PNG files in `folder`, as `save_pictures` does."""
    if not pictures:
        return []
    from types import SimpleNamespace

    from PIL import Image

    wrapped = [
        SimpleNamespace(to_image=lambda array=array: Image.fromarray(array)) for array in pictures
    ]
    return save_pictures(wrapped, folder)


def print_explanation(explanation: Any, console: Console | None = None) -> None:
    """The words that decided, strongest first, and on a terminal the text in colours."""
    console = console or Console()
    words: dict[str, float] = {}
    for part, value in explanation.parts:
        if value:
            words[part] = words.get(part, 0.0) + value
    strongest = sorted(words.items(), key=lambda item: -abs(item[1]))[:MOST_WORDS]
    named = ", ".join(f"{visible(word)} {value:+.2f}" for word, value in strongest)
    console.print(
        f"    {explanation.answer} because of: {named}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    if not console.is_terminal:
        return
    largest = max(map(abs, words.values()), default=0.0)
    text = Text("    ")
    for part, value in explanation.parts:
        strength = abs(value) / largest if largest else 0.0
        colour = "bold " if strength > 0.5 else ""
        colour += "blue" if value > 0 else "dark_orange"
        text.append(visible(part), style=colour if strength > 0.1 else "")
    console.print(text, soft_wrap=True)


def follow(stream: Any, items: Sequence[Any], *, as_json: bool) -> None:
    """Print an answer for each part of each input while it comes in; as JSON, one object a line."""
    for item in items:
        for place, answer in stream.follow(item):
            if as_json:
                row = {"input": str(item), "frame": place, **answer.to_json()}
                click.echo(json.dumps(row, ensure_ascii=False, allow_nan=False))
            else:
                named = f"{visible(str(item))}\t" if len(items) > 1 else ""
                click.echo(f"{named}frame {place + 1}\t{answer}")


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
