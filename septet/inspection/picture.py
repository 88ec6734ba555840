"""The picture of an inspection: where compute, memory and gradient go, and what is dead."""

import io
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from septet.evaluation import drawing
from septet.evaluation.drawing import BLUE, FAINT, GREY, INK, ORANGE
from septet.inspection.findings import Inspection, Part, Row
from septet.runs import storage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ROWS = 48
"""More layers are drawn as the layers that they are within."""
ROW_IN = 0.24
HALF = 17
"""Characters shown of each end of a long name."""
COLUMNS_IN = (2.2, 2.2, 2.2, 2.8, 1.7)
GAP_IN = 0.3
NAMES_IN = 2.5
"""Left of the first column, for the layers' names."""
ABOVE_IN = 0.55
BELOW_IN = 0.85
"""Of each row of axes, for its title, and for its axis' name and legend."""
TITLE_IN = 0.35
NOTE_IN = 0.2
NOTE_CHARACTERS = 200
SERIES_IN = 2.4
LEAST_SEEN = 0.01
"""A smaller share is no bar that could be seen."""
COUNTS = ((1e9, "billion "), (1e6, "million "), (1e3, "thousand "), (1.0, ""))
TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))
BYTES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes"))
WIDTH_IN = NAMES_IN + sum(COLUMNS_IN) + GAP_IN * len(COLUMNS_IN)


def draw(inspection: Inspection, path: Path | str) -> None:
    """Write the picture to `path`."""
    storage.commit_file(Path(path), picture_of(inspection))


def picture_of(inspection: Inspection) -> bytes:
    """The picture as a PNG."""
    shown = [(part, _rows_to_draw(part)) for part in inspection.parts]
    series = [
        row
        for part in inspection.parts
        for row in part.layers
        if row.step_gradient_norms and len(row.step_gradient_norms) > 1
    ]
    heights = [len(rows) * ROW_IN for _, rows in shown] + [SERIES_IN] * bool(series)
    # A picture goes round without the text beside it: what is made up must be said on it, too.
    notes = [
        drawing.safe_text(line)
        for note in inspection.notes
        for line in textwrap.wrap(note, NOTE_CHARACTERS)
    ]
    above = TITLE_IN + NOTE_IN * len(notes)
    total = above + sum(heights) + (ABOVE_IN + BELOW_IN) * len(heights)
    figure = drawing.new_figure(total, WIDTH_IN)
    # Every place is known in inches, so nothing is left to a layout engine.
    figure.set_layout_engine("none")
    how = "as in a training step" if inspection.is_training else "as in prediction"
    title = drawing.safe_text(inspection.title)
    figure.text(
        0.2 / WIDTH_IN, 1 - 0.3 / total, f"{title}: one batch of {inspection.batch_size}, {how}",
        fontsize=13, fontweight="bold", color=INK, fontfamily=drawing.label_families(),
    )  # fmt: skip
    for place, line in enumerate(notes):
        figure.text(
            0.2 / WIDTH_IN, 1 - (TITLE_IN + 0.15 + NOTE_IN * place) / total, line,
            fontsize=9, color=FAINT, fontfamily=drawing.label_families(),
        )  # fmt: skip
    top = total - above

    def add(left: float, width: float, height: float) -> "Axes":
        low = top - ABOVE_IN - height
        box = (left / WIDTH_IN, low / total, width / WIDTH_IN, height / total)
        return figure.add_axes(box)

    for (part, rows), height in zip(shown, heights, strict=False):
        lefts = [NAMES_IN + sum(COLUMNS_IN[:n]) + GAP_IN * n for n in range(len(COLUMNS_IN))]
        axes = [add(left, width, height) for left, width in zip(lefts, COLUMNS_IN, strict=True)]
        _draw_part(axes, part, rows, len(shown) > 1)
        top -= height + ABOVE_IN + BELOW_IN
    if series:
        _draw_series(add(NAMES_IN, WIDTH_IN - NAMES_IN - 2 * GAP_IN, SERIES_IN), series)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _rows_to_draw(part: Part) -> list[Row]:
    """The innermost layers, or those they are within where there are too many."""
    deepest = max((row.depth for row in part.layers), default=0)
    for depth in range(deepest, 0, -1):
        rows = [row for row in part.layers if row.depth == depth or _is_leaf(row, depth)]
        if len(rows) <= MOST_ROWS or depth == 1:
            return rows
    return [part.total]


def _is_leaf(row: Row, depth: int) -> bool:
    return row.depth < depth and not row.has_parts


def _draw_part(axes: Sequence["Axes"], part: Part, rows: list[Row], is_named: bool) -> None:
    compute, clock, memory, norms, health = axes
    prefix = f"{drawing.safe_label(part.name, 1)}: " if is_named else ""
    scale, unit = unit_of(max((row.flops for row in rows), default=0), COUNTS)
    _bars(compute, rows, [(lambda row: row.flops / scale, BLUE, "forward")])
    title = f"{prefix}compute" if prefix else "Compute"
    drawing.style(compute, title, f"{unit}FLOPs, forward", grid="x")
    if part.total.forward_s is None:
        clock.set_visible(False)
    else:
        longest = max(((row.forward_s or 0) + (row.backward_s or 0) for row in rows), default=0)
        second, name = unit_of(longest, TIMES)
        bars: list[Any] = [(lambda row: (row.forward_s or 0) / second, BLUE, "forward")]
        if part.total.backward_s is not None:
            bars.append((lambda row: (row.backward_s or 0) / second, ORANGE, "backward"))
        _bars(clock, rows, bars)
        drawing.style(clock, "Time, each layer alone", name, grid="x")
        _legend(clock, len(bars) > 1)
    most = max((row.activation_bytes + row.weight_bytes for row in rows), default=0)
    byte, name = unit_of(most, BYTES)
    _bars(
        memory,
        rows,
        [
            (lambda row: row.activation_bytes / byte, BLUE, "activations"),
            (lambda row: row.weight_bytes / byte, ORANGE, "weights"),
        ],
    )
    drawing.style(memory, "Memory", name, grid="x")
    _legend(memory, True)
    _draw_norms(norms, rows)
    _bars(
        health,
        rows,
        [
            (lambda row: 100 * (row.signal.dead if row.signal else 0), INK, "dead"),
            (lambda row: 100 * ((row.signal and row.signal.saturated) or 0), ORANGE, "saturated"),
        ],
        beside=True,
    )
    drawing.style(health, "Dead, saturated", "%", grid="x")
    health.set_xlim(0, 100)
    _legend(health, True)
    worst = max((max(row.signal.dead, row.signal.saturated or 0) for row in rows if row.signal),
                default=0.0)  # fmt: skip
    if worst < LEAST_SEEN:
        text = "below 1 %" if worst else "none"
        health.text(50, (len(rows) - 1) / 2, text, ha="center", va="center", color=FAINT)
    _name_rows(axes, part, rows)


def unit_of(largest: float, units: Sequence[tuple[float, str]]) -> tuple[float, str]:
    """The largest unit that `largest` has at least one of, else the smallest."""
    return next((unit for unit in units if largest >= unit[0]), units[-1])


def _bars(
    axes: "Axes",
    rows: list[Row],
    bars: Sequence[tuple[Callable[[Row], float], str, str]],
    *,
    beside: bool = False,
) -> None:
    """Bars of a row one after another, or beside each other."""
    lefts = [0.0] * len(rows)
    height = 0.72 / (len(bars) if beside else 1)
    for turn, (value_of, colour, label) in enumerate(bars):
        values = [value_of(row) for row in rows]
        shift = (turn - (len(bars) - 1) / 2) * height if beside else 0.0
        places = [place + shift for place in range(len(rows))]
        start = [0.0] * len(rows) if beside else lefts
        axes.barh(places, values, height=height, left=start, color=colour, label=label)
        lefts = [left + value for left, value in zip(lefts, values, strict=True)]
    if not any(lefts):
        axes.set_xlim(0, 1)


def _draw_norms(axes: "Axes", rows: list[Row]) -> None:
    """Norms of activations and gradients on one logarithmic axis."""
    kinds: list[tuple[str, str, str, Callable[[Row], float | None]]] = [
        ("outputs", BLUE, "o", lambda row: row.signal.norm if row.signal else None),
        ("d outputs", ORANGE, "o", lambda row: row.activation_gradient_norm),
        ("d weights", INK, "D", lambda row: row.weight_gradient_norm),
    ]
    is_empty = True
    for label, colour, marker, value_of in kinds:
        points = [(place, value_of(row)) for place, row in enumerate(rows)]
        known = [(value, place) for place, value in points if value and value < float("inf")]
        if not known:
            continue
        is_empty = False
        values, places = zip(*known, strict=True)
        if marker == "o":
            axes.plot(values, places, color=colour, linewidth=1.0, alpha=0.5)
        axes.plot(values, places, marker, color=colour, markersize=4.5, label=label)
    drawing.style(axes, "Norms", "norm (logarithmic)", grid="x")
    if not is_empty:
        axes.set_xscale("log")
        axes.tick_params(which="minor", length=0)
        _legend(axes, True)


def _legend(axes: "Axes", is_wanted: bool) -> None:
    """Below the axis' name, where no bar lies under it."""
    if is_wanted:
        height = axes.get_window_extent().height / drawing.DOTS_PER_INCH
        drawing.legend(
            axes, loc="upper center", bbox_to_anchor=(0.5, -0.38 / height), ncols=3,
            columnspacing=0.8, handletextpad=0.4, borderpad=0,
        )  # fmt: skip


def _name_rows(axes: Sequence["Axes"], part: Part, rows: list[Row]) -> None:
    names = [_label(part, row, place) for place, row in enumerate(rows)]
    for place, each in enumerate(axes):
        each.set_ylim(len(rows) - 0.4, -0.6)
        each.set_yticks(range(len(rows)))
        if place:
            each.set_yticklabels([])
        else:
            each.set_yticklabels(
                names, fontsize=8.5, fontfamily=drawing.label_families(), color=FAINT
            )


def _label(part: Part, row: Row, number: int) -> str:
    """The layer's name, after that of the layer it is within."""
    around = [
        other.name for other in part.layers
        if other.path != row.path and row.path[: len(other.path)] == other.path
    ]  # fmt: skip
    text = "/".join([*around[:1], row.name])
    if len(text) <= 2 * HALF:
        halves = [text[:HALF], text[HALF:]]
        return "".join(drawing.safe_label(half, number + 1) for half in halves if half)
    # Names of a block's layers begin alike and end differently: the middle is left out.
    return "…".join(
        drawing.safe_label(half, number + 1) for half in (text[:HALF].strip(), text[-HALF:].strip())
    )


def _draw_series(axes: "Axes", rows: list[Row]) -> None:
    """How far the gradient reaches back in time, of each recurrent layer."""
    colours = (BLUE, ORANGE, INK, GREY)
    for place, row in enumerate(rows):
        values = [value or float("nan") for value in row.step_gradient_norms or []]
        axes.plot(
            range(1, len(values) + 1), values, color=colours[place % 4], linewidth=1.6,
            linestyle="-" if place < 4 else "--", label=drawing.safe_label(row.name, place),
        )  # fmt: skip
    drawing.style(
        axes, "How far the gradient reaches: norm with respect to each recurrent layer's input",
        "time step", "norm (logarithmic)", grid="both",
    )  # fmt: skip
    # Steps begin at 1: there is no step 0 for the axis to show.
    axes.set_xlim(1, max(len(row.step_gradient_norms or []) for row in rows))
    axes.set_yscale("log")
    axes.tick_params(which="minor", length=0)
    drawing.legend(axes, loc="best")
