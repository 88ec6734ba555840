"""The card of a model folder: README.md, for people; nothing ever reads it back."""

import math

from septet.runs.model_schema import ModelDescription, Score

MAX_LABELS = 50


def card(description: ModelDescription) -> str:
    """The card in Markdown: what the model does, how well, from which data, how to load it."""
    entries = description.weights.entries
    num_numbers = sum(math.prod(entry.shape) for entry in entries)
    parts = [
        f"# {_text(description.task)} model",
        f"A `{_text(description.architecture)}` network with {num_numbers:,} numbers in "
        f"{len(entries):,} arrays ({description.weights.size / 1e6:.2f} MB), "
        f"saved by Septet {_text(description.septet)}.",
        "## Load it",
        '```python\nimport septet\nmodel = septet.load("path/to/this/folder")\n'
        "answers = model.predict(inputs)\n```",
        "## Scores on the test split",
        _scores(description),
        "## Data",
        _data(description),
    ]
    labels = description.prepared.get("labels") or description.prepared.get("classes")
    if isinstance(labels, list) and labels:
        parts += [f"## Labels ({len(labels):,})", _labels(labels)]
    parts += [
        "## Integrity",
        f"SHA-256 of `weights.safetensors`: `{description.weights.sha256}`. Septet checks it, "
        "and everything else in `model.json`, whenever the model is loaded.",
    ]
    return "\n\n".join(parts) + "\n"


def _scores(description: ModelDescription) -> str:
    evaluation = description.evaluation
    if not evaluation.scores:
        return "None: there was no test split."
    rows = ["| score | value | 95 % interval |", "|---|---|---|"]
    for name, value in sorted(evaluation.scores.items()):
        low, high = evaluation.intervals.get(name, [None, None])
        interval = "" if low is None or high is None else f"{low:.4g} to {high:.4g}"
        rows.append(f"| {_text(name)} | {_number(value)} | {interval} |")
    monitor = description.monitor
    chosen = (
        f"\n\nThe weights are those with the {monitor.direction}imum of "
        f"`{_text(monitor.name)}` on the validation split."
        if monitor
        else ""
    )
    return "\n".join(rows) + chosen


def _data(description: ModelDescription) -> str:
    data = description.data
    splits = ", ".join(f"{count:,} {_text(name)}" for name, count in data.splits.items())
    return (
        f"{data.read:,} examples read = {data.used:,} used + {data.rejected:,} rejected"
        + (f" ({splits})" if splits else "")
        + "."
    )


def _labels(labels: list) -> str:
    shown = "\n".join(f"- {_text(str(label))}" for label in labels[:MAX_LABELS])
    left = len(labels) - MAX_LABELS
    return shown + (f"\n- and {left:,} more, in `model.json`" if left > 0 else "")


def _number(value: Score) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def _text(text: str) -> str:
    """`text` on one line, with nothing in it that Markdown or HTML would act on."""
    line = "".join(char if char.isprintable() else " " for char in text)
    return "".join(f"&#{ord(char)};" if char in "<>&[]*`|\\" else char for char in line)
