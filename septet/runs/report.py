"""report.html: one self-contained page about a finished run.

Knows the shape of evaluations, accounts, logs and receipts, no task. All of them hold
untrusted text; `page.text` escapes it.
"""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from septet.runs import page
from septet.runs.page import Html, element, join, table

MOST_REJECTIONS = 50
MOST_FINDINGS = 100
MOST_CLASSES = 200
MOST_ROWS = 200
MOST_CONFUSIONS = 10
MOST_GLIMPSES = 60
TITLES = {
    "accuracy": "accuracy",
    "bleu": "BLEU",
    "chrf": "chrF",
    "bits_per_character": "bits per character",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "exact_match": "exact match",
    "hamming_loss": "Hamming loss",
    "mean_average_precision": "mean average precision",
    "loss": "loss (nats)",
    "r2": "R²",
    "mean_absolute_error": "mean absolute error",
    "root_mean_squared_error": "root mean squared error",
    "seconds": "seconds",
    "f1": "F1",
    "map_50": "mAP@.5",
    "map": "mAP@[.5:.95]",
    "map_75": "mAP@.75",
    "map_small": "mAP of small things",
    "map_medium": "mAP of medium things",
    "map_large": "mAP of large things",
    "recall_100": "recall of the best 100",
    "iou": "IoU",
    "mean_iou": "mean IoU",
    "iou_with_background": "IoU with background",
    "boundary_f": "boundary F",
}
TRAINING_FIGURES = ("curves.png",)
MISTAKE_FIGURES = ("mistakes.png",)
EXPLANATION_FIGURES = ("explanations.png",)


def write_report(
    folder: Path,
    *,
    name: str,
    config: Mapping[str, Any],
    account: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    log_rows: Sequence[Mapping[str, Any]],
    figures: Sequence[tuple[str, str]],
    receipt: Mapping[str, Any],
    facts: Mapping[str, Any] | None = None,
    remark: str = "",
) -> str:
    """The page as text; the caller commits it.

    Args:
        folder: Where the figures' files lie.
        name: The run's name.
        config: Resolved settings, as in config.json.
        account: `Account.to_json()`.
        evaluation: What the task's `evaluate` returned (scores, intervals, per_class ...).
        log_rows: One an epoch.
        figures: File name (in `folder`) and caption of each picture.
        receipt: What `make_receipt` returned.
        facts: More to say at the top, as {"parameters": 12345, "seconds": 58.1}.
        remark: What the pictures could not show.
    """
    sections = [
        _headline(name, config, evaluation, facts or {}),
        _section("Training", _pictures(folder, figures, TRAINING_FIGURES), _log(log_rows)),
        _section("How good it is", _scores(folder, evaluation, figures, remark)),
        _section("Translations", _translations(evaluation)),
        _section("What it wrote", _written(evaluation)),
        _section("Worst mistakes", _mistakes(folder, evaluation, figures)),
        _section(*_explanations(folder, evaluation, figures)),
        _section("The data", _account(account)),
        _section("Settings", _settings(config)),
        _section("Receipt", _receipt(receipt)),
        _section("What to type next", _next(name)),
    ]
    return page.page(f"{name} - Septet", join(part for part in sections if part))


def _section(title: str, *content: Html) -> Html:
    """A section with a heading; nothing when all its content is empty."""
    if not any(content):
        return Html("")
    return element("section", element("h2", title), *content)


def show_number(value: Any) -> str:
    """A number as a person reads it; a dash for what is undefined."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.3g}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.2f}"


def title_of(name: Any) -> str:
    """A score's or setting's name in words."""
    split, found, score = str(name).partition("validation_")
    if found and not split:
        return f"validation {title_of(score)}"
    return TITLES.get(str(name), str(name).replace("_", " "))


def show_interval(interval: Any) -> str:
    """`low to high`, or nothing when it is unknown."""
    if not isinstance(interval, list | tuple) or len(interval) != 2 or None in interval:
        return ""
    return f"{show_number(interval[0])} to {show_number(interval[1])}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _last_part(path: Any) -> str:
    """The last part of a path: reports are passed on, folders of a machine are not."""
    return PureWindowsPath(PurePosixPath(str(path)).name).name or str(path)


def _headline(
    name: str, config: Mapping[str, Any], evaluation: Mapping[str, Any], facts: Mapping[str, Any]
) -> Html:
    scores = _mapping(evaluation.get("scores"))
    intervals = _mapping(evaluation.get("intervals"))
    split = evaluation.get("split", "test")
    tiles = []
    for place, (score, value) in enumerate(scores.items()):
        said = show_interval(intervals.get(score))
        note = f"{title_of(score)}, 95 % interval {said}" if said else title_of(score)
        if place == 0:
            note += f", on {show_number(evaluation.get('examples'))} {split} examples"
        tiles.append(_tile(show_number(value), note, is_first=place == 0))
    tiles += [_tile(show_number(value), title_of(key)) for key, value in facts.items()]
    task, source = config.get("task", ""), _last_part(config.get("source", ""))
    return element(
        "header",
        element("p", "Septet run", css="faint"),
        element("h1", name),
        element("p", f"{task} on {source}", css="faint"),
        element("div", *tiles, css="tiles"),
    )


def _tile(value: str, note: str, *, is_first: bool = False) -> Html:
    css = "tile first" if is_first else "tile"
    return element("div", element("b", value), element("span", note), css=css)


def _pictures(folder: Path, figures: Sequence[tuple[str, str]], names: Sequence[str]) -> Html:
    """The figures called `names`; file names with a folder in them are left out."""
    found = [
        page.figure(folder / file, caption)
        for file, caption in figures
        if file in names and file == Path(file).name
    ]
    return element("div", *found, css="figures") if found else Html("")


def _log(rows: Sequence[Mapping[str, Any]]) -> Html:
    if not rows:
        return Html("")
    names = list(dict.fromkeys(key for row in rows for key in row))
    shown, rest = page.capped(rows, MOST_ROWS)
    cells = [[show_number(row.get(key)) for key in names] for row in shown]
    header = [title_of(key) for key in names]
    return page.details("Every epoch", table(header, cells, range(len(names))), rest)


def _scores(
    folder: Path,
    evaluation: Mapping[str, Any],
    figures: Sequence[tuple[str, str]],
    remark: str,
) -> Html:
    aside = {*TRAINING_FIGURES, *MISTAKE_FIGURES, *EXPLANATION_FIGURES}
    pictures = _pictures(folder, figures, [file for file, _ in figures if file not in aside])
    parts = [
        _warnings(evaluation, remark),
        pictures,
        _per_class(evaluation),
        _confusions(evaluation),
    ]
    quantiles = _mapping(evaluation.get("residual_quantiles"))
    if quantiles:
        rows = [[f"{100 * float(key):g} %", show_number(value)] for key, value in quantiles.items()]
        parts += [element("h3", "Residuals (predicted minus actual) below which a share lies")]
        parts += [table(["share", "residual"], rows, [1])]
    return join(part for part in parts if part)


def _warnings(evaluation: Mapping[str, Any], remark: str) -> Html:
    lines = [remark] if remark else []
    split = evaluation.get("split", "test")
    if split != "test":
        lines.append(
            f"There were no test examples: these scores are of the {split} split, which the "
            "training has seen or was chosen by, and are likely too good."
        )
    if evaluation.get("non_finite"):
        count = show_number(evaluation["non_finite"])
        lines.append(f"{count} outputs were not finite numbers; they count as wrong.")
    return join(element("p", line, css="warning") for line in lines)


def _per_class(evaluation: Mapping[str, Any]) -> Html:
    entries = evaluation.get("per_class") or []
    if not entries:
        return Html("")
    shown, rest = page.capped(entries, MOST_CLASSES)
    keys, main, counted = _class_columns(entries[0])
    rows = [
        [
            entry.get("label"),
            *(show_number(entry.get(key)) for key in keys),
            show_interval(_mapping(entry.get("intervals")).get(main)),
            show_number(entry.get("support")),
        ]
        for entry in shown
    ]
    noun = "label" if "threshold" in keys else "class"
    header = [noun, *map(title_of, keys), f"95 % of {title_of(main)}", counted]
    return join([element("h3", f"Each {noun}"), table(header, rows, range(1, len(header))), rest])


def _class_columns(entry: Mapping[str, Any]) -> tuple[list[str], str, str]:
    """What is shown of each class, by which it is judged first, and what is counted of it."""
    if "map_50" in entry:
        return ["map_50", "map", "recall_100"], "map_50", "boxes"
    main = "iou" if "iou" in entry else "f1"
    keys = ("precision", "recall", main, "average_precision", "threshold", "boundary_f")
    return [key for key in keys if key in entry], main, "examples"


def _confusions(evaluation: Mapping[str, Any]) -> Html:
    """The most frequent confusions in words."""
    matrix, entries = evaluation.get("confusion") or [], evaluation.get("per_class") or []
    cells = [
        (count, row, column)
        for row, line in enumerate(matrix)
        for column, count in enumerate(line)
        if count and row != column and max(row, column) < len(entries)
    ]
    if not cells:
        return Html("")
    cells.sort(key=lambda cell: (-cell[0], cell[1], cell[2]))
    rows = [
        [entries[row].get("label"), entries[column].get("label"), show_number(count)]
        for count, row, column in cells[:MOST_CONFUSIONS]
    ]
    title = element("h3", "Most frequent confusions")
    counted = str(evaluation.get("confusion_of", "examples"))
    return join([title, table(["actual", "answered", counted], rows, [2])])


def _mistakes(
    folder: Path, evaluation: Mapping[str, Any], figures: Sequence[tuple[str, str]]
) -> Html:
    entries = evaluation.get("mistakes") or []
    pictures = _pictures(folder, figures, MISTAKE_FIGURES)
    if not entries:
        return pictures
    names = list(dict.fromkeys(key for entry in entries for key in entry))
    rows = [[_shown(entry.get(key)) for key in names] for entry in entries]
    numbers = [place for place, key in enumerate(names) if _is_number(entries[0].get(key))]
    listed = table([title_of(key) for key in names], rows, numbers)
    return join([pictures, page.details("As a list", listed) if pictures else listed])


def _shown(value: Any) -> str:
    """A number, a text, or labels one after the other."""
    return _labels(value) if isinstance(value, list) else show_number(value)


def _labels(names: Sequence[Any]) -> str:
    return ", ".join(map(str, names)) or "no label"


def _explanations(
    folder: Path, evaluation: Mapping[str, Any], figures: Sequence[tuple[str, str]]
) -> tuple[str, Html]:
    """Title and content: texts with each part shaded by what it added to the answer, or a picture.

    Of pictures the task has drawn where their answers were seen.
    """
    entries = evaluation.get("explanations") or []
    drawn = _pictures(folder, figures, EXPLANATION_FIGURES)
    if drawn or not entries:
        return "Where it looked", drawn
    intro = element(
        "p",
        "Blue parts spoke for the answer, orange parts against it, darker ones more (integrated "
        "gradients; all parts of a text add up to its score beyond that of no text).",
        css="faint",
    )
    return "Which words decided", join([intro, *(_explanation(entry) for entry in entries)])


def _explanation(entry: Mapping[str, Any]) -> Html:
    """A text and the answer to it; of several labels the text once more for each."""
    more = [_explanation({**other, "actual": entry.get("actual")})
            for other in entry.get("others") or []]  # fmt: skip
    return join([_of_one(entry), *more])


def _of_one(entry: Mapping[str, Any]) -> Html:
    parts = entry.get("parts") or []
    largest = max((abs(float(value)) for _, value in parts), default=0.0) or 1.0
    words = Html("").join(
        element("span", words, css=shade_of(float(value) / largest)) for words, value in parts
    )
    actual, is_given = entry.get("actual"), entry.get("is_given", True)
    names = actual if isinstance(actual, list) else [actual]
    right = (entry.get("answer") in names) == is_given
    verdict = "right" if right else f"in truth {_labels(names)}"
    if not is_given:
        verdict = f"the likeliest, not given: {verdict}"
    head = element("p", element("b", entry.get("answer")), f" ({verdict})", css="faint")
    return element("div", head, element("p", Html(words)), css="explained")


def shade_of(share: float) -> str:
    """The style of a part that added `share` of what the strongest part did, -1 to 1."""
    level = min(4, round(abs(share) * 4 + 0.2))
    return "" if level == 0 else f"{'for' if share > 0 else 'against'}{level}"


def _translations(evaluation: Mapping[str, Any]) -> Html:
    """Examples of good, usual and bad translations, and how they were scored."""
    entries = evaluation.get("translations") or []
    if not entries:
        return Html("")
    kinds = {
        "good": "The best by chrF",
        "usual": "From the middle",
        "bad": "The worst by chrF",
    }
    parts = []
    for kind, title in kinds.items():
        rows = [
            [entry.get("source"), entry.get("translation"), entry.get("reference"),
             show_number(entry.get("chrf"))]
            for entry in entries
            if entry.get("kind") == kind
        ]  # fmt: skip
        header = ["source", "translation", "reference", "chrF"]
        parts += [element("h3", title), table(header, rows, [3])]
    signatures = _mapping(evaluation.get("signatures"))
    lines = [f"{title_of(name)}: {signature}" for name, signature in signatures.items()]
    if lines:
        parts.append(element("p", "Signatures of sacreBLEU. " + "; ".join(lines), css="faint"))
    return join(parts)


def _written(evaluation: Mapping[str, Any]) -> Html:
    """Texts that the network made: at the end of training, and on the way there."""
    parts = []
    for entry in evaluation.get("samples") or []:
        parts.append(element("p", element("b", entry.get("title")), css="faint"))
        prompt = element("span", entry.get("prompt"), css="for2")
        parts.append(element("pre", prompt, entry.get("text")))
    glimpses = evaluation.get("glimpses") or []
    lines = [
        join([element("h3", entry.get("at")), element("pre", entry.get("text"))])
        for entry in glimpses[-MOST_GLIMPSES:]
    ]
    if lines:
        parts.append(page.details(f"On the way there ({len(lines)})", *lines))
    return join(parts)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _account(account: Mapping[str, Any]) -> Html:
    read, used, rejected = (show_number(account.get(key)) for key in ("read", "used", "rejected"))
    parts = [element("p", f"{read} examples read = {used} used + {rejected} rejected.")]
    splits = _mapping(account.get("splits"))
    if splits:
        rows = [[name, show_number(count)] for name, count in splits.items()]
        parts.append(table(["split", "examples"], rows, [1]))
    parts += [_classes(account), _findings(account), _rejections(account)]
    return join(part for part in parts if part)


def _classes(account: Mapping[str, Any]) -> Html:
    classes = _mapping(account.get("classes"))
    if not classes:
        return Html("")
    splits = list(dict.fromkeys(name for counts in classes.values() for name in _mapping(counts)))
    shown, rest = page.capped(list(classes.items()), MOST_CLASSES)
    rows = [
        [label, *(show_number(_mapping(counts).get(split, 0)) for split in splits)]
        for label, counts in shown
    ]
    counted = table(["class", *splits], rows, range(1, len(splits) + 1))
    return page.details(f"Examples of each of {len(classes):,} classes", counted, rest)


def _findings(account: Mapping[str, Any]) -> Html:
    findings = account.get("findings") or []
    if not findings:
        return element("p", "Nothing unusual was found.", css="faint")
    shown, rest = page.capped(findings, MOST_FINDINGS)
    rows = [
        [
            _severity(finding.get("severity")),
            finding.get("where"),
            f"{finding.get('message', '')} {finding.get('remedy', '')}".strip(),
        ]
        for finding in shown
    ]
    return join([element("h3", "What was found"), table(["", "where", "what"], rows), rest])


def _severity(severity: Any) -> Html:
    css = {"warning": "warning", "error": "error"}.get(str(severity), "faint")
    return element("span", severity, css=css)


def _rejections(account: Mapping[str, Any]) -> Html:
    rejections = account.get("rejections") or []
    if not rejections:
        return Html("")
    shown, rest = page.capped(rejections, MOST_REJECTIONS)
    rows = [
        [
            entry.get("file"),
            "" if entry.get("line") is None else entry["line"],
            entry.get("reason"),
            entry.get("remedy"),
        ]
        for entry in shown
    ]
    title = element("h3", "Rejected")
    return join([title, table(["file", "line", "reason", "remedy"], rows, [1]), rest])


def _settings(config: Mapping[str, Any]) -> Html:
    groups = {key: value for key, value in config.items() if isinstance(value, Mapping)}
    plain = [[key, _json(value)] for key, value in config.items() if key not in groups]
    plain = [[key, _last_part(value) if key == "source" else value] for key, value in plain]
    parts = [table([], plain)] if plain else []
    for group, values in groups.items():
        rows = [[f"{group}.{key}", _json(value)] for key, value in values.items()]
        if rows:
            parts.append(page.details(f"{group} ({len(rows)})", table([], rows)))
    return join(parts)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _receipt(receipt: Mapping[str, Any]) -> Html:
    if not receipt:
        return Html("")
    rows = []
    for key, value in receipt.items():
        if key in ("settings", "format"):
            continue
        if isinstance(value, Mapping):
            rows += [[f"{title_of(key)}: {title_of(k)}", _json(v)] for k, v in value.items()]
        elif key == "plan":
            rows += [["plan", _json(event)] for event in value or []]
        else:
            rows.append([title_of(key), element("code", _json(value))])
    intro = "SHA-256 of what went in and what came out; 'reproduce' trains again and compares."
    return join([element("p", intro, css="faint"), table([], rows)])


def _next(name: str) -> Html:
    run = shlex.quote(name)
    commands = "\n".join(
        [
            f"septet predict {run} INPUT...     # use it",
            f"septet evaluate {run} DATA        # score it on other data",
            f"septet show {run}                 # these facts in the terminal",
            f"septet reproduce {run}            # train again and compare",
        ]
    )
    python = f"import septet\nmodel = septet.load({name!r})\nprint(model.predict(x))"
    return join([element("pre", commands), element("p", "Or in Python:"), element("pre", python)])
