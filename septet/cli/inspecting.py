"""What `septet inspect` shows: what each layer costs, what flows through it, what stands out."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from septet.errors import ConfigError, InputError

WIDTH = 140
"""Columns where the output goes to a file or another program."""


def parse_arguments(pairs: Sequence[str]) -> dict[str, Any]:
    """`["filters=[8,16]", "kind=gru"]` as a dictionary; values are JSON where they parse as such.

    Raises:
        ConfigError: A pair is not `name=value`.
    """
    arguments = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.strip()
        if not (name and equals):
            raise ConfigError(
                f"'{pair}' is not an argument. Write it as name=value, as in kind=gru."
            )
        try:
            arguments[name] = json.loads(text)
        except ValueError:
            # Python's spelling of these is what a programmer types first.
            words = {"True": True, "False": False, "None": None}
            arguments[name] = words.get(text, text)
    return arguments


def picture_path(out: str | None) -> Path | None:
    """Where the picture is to go.

    Raises:
        InputError: It is not the name of a PNG file in a folder that exists.
    """
    if out is None:
        return None
    path = Path(out)
    if path.suffix.lower() != ".png":
        raise InputError(f"The picture is a PNG, not '{out}'. Give a name that ends in .png.")
    if not path.parent.is_dir():
        raise InputError(f"There is no folder '{path.parent}' for the picture. Make it first.")
    return path


def save_picture(found: Any, subject: Any, path: Path | None) -> str:
    """Draw the picture, into the run's folder where no path was chosen; its path."""
    path = path or subject.folder / subject.picture
    found.draw(path)
    return str(path)


def print_inspection(found: Any) -> None:
    """Tables and remarks."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    how = "as in a training step" if found.is_training else "as in prediction"
    console.print(f"[bold]{escape(found.title)}[/bold]", highlight=False)
    for note in found.notes:
        console.print(escape(note), highlight=False)
    console.print(f"One batch of {found.batch_size}, run {how} on {found.device}.", highlight=False)
    for part in found.parts:
        loss = "" if part.loss is None else f"; its loss {part.loss:.4g}"
        console.print(f"\n[bold]{escape(part.name)}[/bold]{loss}", highlight=False)
        console.print(_costs(part, found.is_training))
        console.print()
        console.print(_signals(part, found.is_training))
    console.print()
    if not found.remarks:
        console.print("Nothing stands out.")
    for remark in found.remarks:
        console.print(f"- {escape(remark)}", highlight=False)


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, heading in enumerate(headings):
        is_text = place < 2
        table.add_column(
            heading, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold"
        )
    return table


def _costs(part: Any, is_training: bool) -> Table:
    """Shapes, parameters, operations, memory and times."""
    timed = part.total.forward_s is not None
    headings = ["layer", "output", "trainable", "fixed", "FLOPs", "weights", "activations"]
    headings += ["forward"] * timed + ["backward"] * (timed and is_training)
    table = _table("What it costs", headings)
    for row in [*part.layers, part.total]:
        cells = [
            _name(row), shape_text(row), _count(row.trainable), _count(row.fixed),
            number(row.flops) + ("+" if row.is_least_flops else ""),
            size(row.weight_bytes), size(row.activation_bytes),
        ]  # fmt: skip
        cells += [duration(row.forward_s)] * timed
        cells += [duration(row.backward_s)] * (timed and is_training)
        table.add_row(*cells, **_style(row))
    return table


def _signals(part: Any, is_training: bool) -> Table:
    """Norms, dead units, saturation and numbers that are not finite."""
    headings = ["layer", "activation", "|outputs|"]
    headings += ["|d outputs|", "|weights|", "|d weights|"] if is_training else ["|weights|"]
    table = _table("What flows through it", [*headings, "dead", "saturated", "not finite"])
    for row in [*part.layers, part.total]:
        signal = row.signal
        cells = [_name(row), row.activation or "", norm(signal and signal.norm)]
        slopes = [norm(row.activation_gradient_norm)], [norm(row.weight_gradient_norm)]
        cells += (slopes[0] if is_training else []) + [norm(row.weight_norm)]
        cells += slopes[1] if is_training else []
        cells += [
            share(signal and signal.dead), share(signal and signal.saturated),
            str(row.non_finite) if row.non_finite else "",
        ]  # fmt: skip
        table.add_row(*cells, **_style(row))
    return table


def _style(row: Any) -> dict[str, Any]:
    return {"style": "bold"} if row.depth == 0 else {"style": "dim"} if row.depth > 1 else {}


def _name(row: Any) -> str:
    name = "total" if row.depth == 0 else "  " * (row.depth - 1) + row.name
    return escape(name + (" (shared)" if row.is_shared else ""))


def shape_text(row: Any) -> str:
    """Shapes of the outputs, as "32x14x14x16"."""
    shapes = ["x".join(map(str, shape)) or "1" for shape in row.output_shapes]
    return ", ".join(shapes)


def _count(value: int) -> str:
    return f"{value:,}" if value else ""


def number(value: float) -> str:
    """A number with a prefix of thousands, as "12.3 M"; nothing for none."""
    if not value:
        return ""
    for prefix, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}"
    return f"{value:.0f}"


def size(value: int) -> str:
    """Bytes for people; nothing for none."""
    if not value:
        return ""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value} B"


def duration(seconds: float | None) -> str:
    """A time for people; nothing where there is none."""
    if seconds is None:
        return ""
    for unit, factor in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds * 1e6:.0f} us"


def norm(value: float | None) -> str:
    """A norm for people."""
    return "" if value is None else f"{value:.3g}"


def share(value: float | None) -> str:
    """A share in percent; nothing where there is none of it."""
    return "" if not value else f"{value:.0%}" if value >= 0.01 else "<1%"
