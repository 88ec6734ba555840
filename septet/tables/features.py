"""Columns of a table as the network's inputs, and what must be learned from training rows for that.

What is learned is a closed schema of plain values: it is read from model folders that
nobody vouches for.
"""

import math
import re
import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from septet.config import Options

Finite = Annotated[float, Field(ge=-1e30, le=1e30)]
Scale = Annotated[float, Field(ge=0.0, le=1e30)]
Name = Annotated[str, Field(min_length=1, max_length=10_000)]
Text = Annotated[str, Field(max_length=100_000)]

CLIP = 3.0
"""Where large values begin to be compressed; none exceeds it. In robust deviations."""

CYCLES_DAYS = (365.2425, 7.0, 1.0)
DATE_FEATURES = 1 + 2 * len(CYCLES_DAYS)


class Scaling(Options):
    """How a number is standardised: z = (x - center) * scale, then squashed to (-3, 3)."""

    center: Finite
    scale: Scale


class NumberColumn(Options):
    """A number, boolean (0 or 1) or date (days since 1970), and whether any was missing."""

    kind: Literal["number", "boolean", "date"]
    name: Name
    date_format: Annotated[str, Field(max_length=40)] | None = None
    scaling: Scaling
    has_missing: bool


class CategoryColumn(Options):
    """A category; the value at place i is number i + 1, and 0 is everything else."""

    kind: Literal["category"]
    name: Name
    values: Annotated[list[Text], Field(max_length=1_000_000)]


class TextColumn(Options):
    """A free text as hashed counts of its words (Weinberger et al., arXiv:0902.2206)."""

    kind: Literal["text"]
    name: Name
    features: Annotated[int, Field(ge=1, le=4096)]


TableColumn = Annotated[NumberColumn | CategoryColumn | TextColumn, Field(discriminator="kind")]


class PreparedTable(Options):
    """What every table model needs to encode rows."""

    target: Name
    header: Annotated[list[Name], Field(max_length=20_000)]
    columns: Annotated[list[TableColumn], Field(min_length=1, max_length=20_000)]


def learn_columns(
    facts: Mapping[str, Any],
    examples: Mapping[str, np.ndarray],
    *,
    max_categories: int,
    text_features: int,
) -> PreparedTable:
    """Scales and vocabularies of the columns in `facts`, from training examples only."""
    columns = []
    for column in facts["columns"]:
        name, kind, values = column["name"], column["kind"], examples[column["name"]]
        if kind == "category":
            chosen = vocabulary(values, max_categories)
            columns.append(CategoryColumn(kind=kind, name=name, values=chosen))
        elif kind == "text":
            columns.append(TextColumn(kind=kind, name=name, features=text_features))
        else:
            columns.append(
                NumberColumn(
                    kind=kind,
                    name=name,
                    date_format=column["date_format"],
                    scaling=learn_scaling(values),
                    has_missing=bool(np.isnan(values).any()),
                )
            )
    return PreparedTable(target=facts["target"], header=facts["header"], columns=columns)


def learn_scaling(values: np.ndarray) -> Scaling:
    """Median and inverse quartile distance (Holzmüller et al., arXiv:2407.04491, appendix A).

    Where the quartiles coincide half the range stands in for their distance.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return Scaling(center=0.0, scale=0.0)
    lower, center, upper = (float(value) for value in np.quantile(known, [0.25, 0.5, 0.75]))
    spread = upper - lower or float(known.max() - known.min()) / 2
    return Scaling(center=center, scale=min(1 / spread, 1e30) if spread > 1e-30 else 0.0)


def vocabulary(values: np.ndarray, max_categories: int) -> list[str]:
    """The most frequent categories; in larger sets not those seen once, which train "unknown"."""
    counts = Counter(value for value in values.tolist() if value is not None)
    fewest = 2 if len(values) >= 50 else 1
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    return [value for value in ordered if counts[value] >= fewest][:max_categories]


def num_numbers(prepared: PreparedTable) -> int:
    """Width of the network's input "numbers"."""
    return sum(_num_features(column) for column in prepared.columns)


def cardinalities(prepared: PreparedTable) -> list[int]:
    """Values of each column of the network's input "categories", with 0 for unknown."""
    return [
        len(column.values) + 1 for column in prepared.columns if isinstance(column, CategoryColumn)
    ]


def _num_features(column: TableColumn) -> int:
    if isinstance(column, CategoryColumn):
        return 0
    if isinstance(column, TextColumn):
        return column.features
    return (DATE_FEATURES if column.kind == "date" else 1) + column.has_missing


def encode_columns(
    examples: Mapping[str, np.ndarray], prepared: PreparedTable
) -> dict[str, np.ndarray]:
    """Inputs {"numbers": float32 [rows, features], "categories": int32 [rows, columns]}.

    A kind of which the table has no column has no input.
    """
    numbers, categories = [], []
    for column in prepared.columns:
        values = examples[column.name]
        if isinstance(column, CategoryColumn):
            place = {value: number for number, value in enumerate(column.values, 1)}
            found = [place.get(value, 0) for value in values.tolist()]
            categories.append(np.array(found, dtype=np.int32))
        elif isinstance(column, TextColumn):
            numbers.append(hash_words(values, column.features))
        else:
            numbers.append(_encode_number(values, column))
    inputs = {}
    if numbers:
        inputs["numbers"] = np.concatenate(numbers, axis=1).astype(np.float32)
    if categories:
        inputs["categories"] = np.stack(categories, axis=1)
    return inputs


def _encode_number(values: np.ndarray, column: NumberColumn) -> np.ndarray:
    missing = ~np.isfinite(values)
    known = np.where(missing, column.scaling.center, values)
    parts = [squash((known - column.scaling.center) * column.scaling.scale)]
    if column.kind == "date":
        for days in CYCLES_DAYS:
            angle = 2 * np.pi * known / days
            parts += [np.where(missing, 0.0, wave(angle)) for wave in (np.sin, np.cos)]
    if column.has_missing:
        parts.append(missing.astype(np.float64))
    return np.stack(parts, axis=1)


def squash(z: np.ndarray) -> np.ndarray:
    """Values nearly z around 0 and within (-3, 3): z / sqrt(1 + (z / 3)^2), arXiv:2407.04491."""
    bounded = np.clip(z, -1e9, 1e9)
    return bounded / np.sqrt(1 + np.square(bounded / CLIP))


def hash_words(values: np.ndarray, features: int) -> np.ndarray:
    """Signed counts of words, hashed into [rows, features], scaled to a common length."""
    counts = np.zeros((len(values), features))
    for row, value in enumerate(values.tolist()):
        for word in re.findall(r"\w+", (value or "").casefold()):
            code = zlib.crc32(word.encode("utf-8", "backslashreplace"))
            counts[row, code % features] += 1.0 if code & 0x8000_0000 else -1.0
    norms = np.sqrt(np.square(counts).sum(axis=1, keepdims=True))
    # Rows of length sqrt(features) have entries about as large as standardised numbers.
    return counts / np.where(norms > 0, norms, 1.0) * math.sqrt(features)
