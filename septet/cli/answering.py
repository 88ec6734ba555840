"""What `septet predict` does with a loaded model: answers, printed and saved as they come."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from septet.cli.describing import printable, visible
from septet.cli.saving import save_arrays, save_named, save_overlays, save_pictures
from septet.errors import ConfigError
from septet.evaluation import drawing
from septet.task import Explanation

MOST_WORDS = 8


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
        except (ValueError, RecursionError):
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


def answer_all(
    model: Any,
    items: Sequence[Any],
    how: Mapping[str, Any],
    *,
    out: str | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Answer `items`, where answers are large a few at a time: saved and printed before the next.

    Args:
        model: A `septet.runs.shipped.Model`.
        items: What its task takes.
        how: Settings of the answers.
        out: Folder for files; without it there are some only where the task has nothing else.
        explain: Say why as well.
        as_json: One list of all answers, at the end.
    """
    rows: list[dict[str, Any]] = []
    answers: Sequence[Any] = []
    explanations: Sequence[Explanation] = []
    with drawing.undrawn() as characters:
        for part in _parts(items, model.task.answered_at_once):
            explanations = model.explain(part) if explain else []
            answers = model.answers(part, how)
            if as_json:
                rows += _as_rows(model, answers, explanations, part, out)
            else:
                _show(model, answers, explanations, part, out)
    if out and answers and not _is_drawn(answers[0], explanations):
        note_unused(model, out)
    if remark := drawing.remark_on(characters):
        click.echo(remark, err=True)
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, allow_nan=False))


def _parts(items: Sequence[Any], most: int | None) -> Iterator[list[Any]]:
    most = most or len(items)
    for start in range(0, len(items), most):
        yield list(items[start : start + most])


def note_unused(model: Any, out: str) -> None:
    """Say that `--out` was given where there is nothing to save."""
    click.echo(
        f"Nothing was saved in '{visible(out)}' (--out): an answer of {model.task.name} is printed"
        " and has no file.",
        err=True,
    )


def _as_rows(
    model: Any,
    answers: Sequence[Any],
    explanations: Sequence[Explanation],
    items: Sequence[Any],
    out: str | None,
) -> list[dict[str, Any]]:
    """Answers as plain values, with the files of those that were to be saved."""
    rows = [answer.to_json() for answer in answers]
    if out:
        names = [str(item) for item in items] if len(items) == len(answers) else None
        for row, paths in zip(rows, _saved(answers, names, out), strict=True):
            if paths:
                row["files"] = paths
    for row, explanation in zip(rows, explanations, strict=False):
        row["explanation"] = explanation.to_json()
    if out and explanations:
        pictures = model.task.draw_explanations(items, explanations, model.prepared)
        for row, path in zip(rows, save_arrays(pictures, out), strict=False):
            row["explanation"]["file"] = path
    return rows


def _is_drawn(answer: Any, explanations: Sequence[Explanation]) -> bool:
    """Whether there is a picture to save of this answer, or of why it is one."""
    explained = any(explanation.heat is not None for explanation in explanations)
    return explained or any(hasattr(answer, way) for way in ("to_images", "to_image", "overlay"))


def _saved(answers: Sequence[Any], names: Sequence[str] | None, out: str) -> list[list[str]]:
    """Save what there is to see of each answer; the paths."""
    if hasattr(answers[0], "to_images"):
        return save_named(answers, names or [], out)
    if hasattr(answers[0], "to_image"):
        return [[path] for path in save_pictures(answers, out)]
    if hasattr(answers[0], "overlay"):
        return save_overlays(answers, names, out)
    return [[] for _ in answers]


def _show(
    model: Any,
    answers: Sequence[Any],
    explanations: Sequence[Explanation],
    items: Sequence[Any],
    out: str | None,
) -> None:
    """Print answers, and save those that are pictures."""
    if hasattr(answers[0], "to_image") and not hasattr(answers[0], "to_images"):
        for path in save_pictures(answers, out or "generated"):
            click.echo(path)
        return
    if model.task.decoding_options is not None:
        click.echo("\n\n".join(printable(str(answer)) for answer in answers))
        return
    # A table has an answer for each of its rows.
    names = [str(item) for item in items] if len(items) == len(answers) else None
    saved: list[list[str]] = [[] for _ in answers]
    if hasattr(answers[0], "to_images"):
        saved = save_named(answers, names or [], out or "predictions")
    drawn: list[str] = []
    if explanations:
        pictures = model.task.draw_explanations(items, explanations, model.prepared)
        drawn = save_arrays(pictures, out or "generated")
    for place, answer in enumerate(answers):
        label = visible(names[place]) if names else f"{place + 1}"
        files = "".join(f"\t{visible(path)}" for path in saved[place])
        click.echo(f"{label}\t{answer}{files}")
        if drawn:
            click.echo(f"    {explanations[place].method}: {drawn[place]}")
        elif explanations:
            print_explanation(explanations[place])
    if hasattr(answers[0], "overlay"):
        for paths in save_overlays(answers, names, out or "generated"):
            for path in paths:
                click.echo(path)


def print_explanation(explanation: Any, console: Console | None = None) -> None:
    """The words that decided, strongest first, and on a terminal the text in colours.

    Of an answer of several labels, for one label after the other.
    """
    console = console or Console()
    words: dict[str, float] = {}
    for part, value in explanation.parts:
        if value:
            words[part] = words.get(part, 0.0) + value
    strongest = sorted(words.items(), key=lambda item: -abs(item[1]))[:MOST_WORDS]
    named = ", ".join(f"{visible(word)} {value:+.2f}" for word, value in strongest)
    said = f"{visible(explanation.answer)} because of:"
    if not explanation.is_given:
        said = f"no label; for the likeliest, {visible(explanation.answer)}, count:"
    console.print(f"    {said} {named}", highlight=False, markup=False, soft_wrap=True)
    if console.is_terminal:
        _print_shaded(explanation, words, console)
    for other in explanation.others:
        print_explanation(other, console)


def _print_shaded(explanation: Any, words: dict[str, float], console: Console) -> None:
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
