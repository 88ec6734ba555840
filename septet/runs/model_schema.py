"""What `model.json` may say: a closed schema, and JSON read with limits before it is built.

Pure functions between bytes and values; knows nothing of folders, tasks or networks.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from septet.runs.manifest import canonical_json, strict_json
from septet.runs.tensors import MAX_TENSORS, dtype_of

FORMAT_VERSION = 1
MAX_BYTES = 4 * 2**20
MAX_DEPTH = 32
MAX_VALUES = 200_000
"""Commas and brackets that a file may have: what bounds the memory it takes when read."""
MAX_NUMBER = 2**63

Name = Annotated[str, Field(min_length=1, max_length=200)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Dimension = Annotated[int, Field(ge=1, le=2**40)]
WeightType = Literal[
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "uint32", "int8", "uint8", "bool"
]
Score = float | None
Interval = Annotated[list[Score], Field(min_length=2, max_length=2)]


class Closed(BaseModel):
    """Base of every part: frozen, strict about types, unknown names refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=()
    )


class WeightEntry(Closed):
    """One array of weights: its name in the network, type and shape."""

    name: Name
    dtype: WeightType
    shape: Annotated[list[Dimension], Field(max_length=8)]

    def num_bytes(self) -> int:
        """Bytes that the array takes, exactly (Python's numbers do not overflow)."""
        return math.prod(self.shape) * dtype_of(self.dtype).itemsize


class WeightsFile(Closed):
    """Size in bytes and SHA-256 of `weights.safetensors`, and what it holds."""

    size: Count
    sha256: Digest
    entries: Annotated[list[WeightEntry], Field(min_length=1, max_length=MAX_TENSORS)]

    def num_bytes(self) -> int:
        """Bytes of all arrays, without the file's header."""
        return sum(entry.num_bytes() for entry in self.entries)

    @model_validator(mode="after")
    def check_entries(self) -> "WeightsFile":
        """Refuse repeated names and more bytes than the file is said to have."""
        if len({entry.name for entry in self.entries}) != len(self.entries):
            raise ValueError("the name of a weight is repeated")
        if self.num_bytes() >= self.size:
            raise ValueError(
                f"the weights listed take {self.num_bytes():,} bytes and the file has {self.size:,}"
            )
        return self


class Monitor(Closed):
    """The validated quantity that chose the weights, and its best direction."""

    name: Name
    direction: Literal["min", "max"]


class Evaluation(Closed):
    """Scores on the test split with their 95 % intervals; null where undefined."""

    scores: dict[Name, Score]
    intervals: dict[Name, Interval]


class DataSummary(Closed):
    """The account of the data in numbers: read = used + rejected."""

    read: Count
    used: Count
    rejected: Count
    splits: dict[Name, Count]


class ModelDescription(Closed):
    """All that a model folder says of itself, its weights excepted.

    `arguments` and `prepared` are plain JSON here; the architecture's own ranges and the
    task's `prepared_type` check them before they are used.
    """

    format_version: Literal[1]
    septet: Annotated[str, Field(max_length=100)]
    task: Name
    architecture: Name
    arguments: dict[str, Any]
    prepared: dict[str, Any]
    monitor: Monitor | None
    evaluation: Evaluation
    data: DataSummary
    weights: WeightsFile


def encode_description(description: ModelDescription) -> bytes:
    """`description` as the bytes of `model.json`: readable, sorted, the same for equal values.

    Raises:
        ValueError: It breaks a limit that `decode_description` checks.
    """
    data = canonical_json(description.model_dump(mode="json"), indent=1) + b"\n"
    decode_description(data)
    return data


def decode_description(data: bytes) -> ModelDescription:
    """The description in the bytes of a `model.json`.

    Raises:
        ValueError: They are not JSON within the limits, or not of the schema; says where.
    """
    values = limited_json(data)
    if not isinstance(values, dict):
        raise ValueError(f"it holds a {type(values).__name__} where an object is expected")
    version = values.get("format_version")
    if isinstance(version, bool):  # which equals 0 or 1 in Python
        raise ValueError(f"its format_version is {str(version).lower()} and not a number")
    if type(version) is int and version > FORMAT_VERSION:
        raise ValueError(
            f"it has format version {version} and this Septet reads up to {FORMAT_VERSION}; "
            "load it with a newer Septet"
        )
    try:
        return ModelDescription.model_validate(values)
    except ValidationError as error:
        raise ValueError(first_complaint(error)) from None


def limited_json(data: bytes) -> Any:
    """The value of a JSON text, refused before it can take much memory or stack.

    Raises:
        ValueError: Too long, too many values, too deep, a repeated name, a number that is
            not finite, or text that is not UTF-8.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has {len(data):,} bytes and at most {MAX_BYTES:,} are read")
    num_values = sum(data.count(mark) for mark in (b",", b"[", b"{"))
    if num_values > MAX_VALUES:
        raise ValueError(f"it has {num_values:,} values and at most {MAX_VALUES:,} are read")
    value = strict_json(data)
    for part, depth in walk(value):
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
        if isinstance(part, float) and not math.isfinite(part):
            raise ValueError("it has a number that is not finite")
        if type(part) is int and abs(part) >= MAX_NUMBER:
            raise ValueError("it has a whole number of more than 63 bits")
        if isinstance(part, str):
            check_text(part)
    return value


def walk(value: Any) -> Iterator[tuple[Any, int]]:
    """Every value inside `value`, names of objects included, with its depth from 0."""
    waiting = [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        yield part, depth
        if isinstance(part, dict):
            waiting.extend((name, depth + 1) for name in part)
            waiting.extend((inner, depth + 1) for inner in part.values())
        elif isinstance(part, list):
            waiting.extend((inner, depth + 1) for inner in part)


def check_text(text: str) -> None:
    """ValueError if `text` has half of a surrogate pair, which no file can hold."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("it has text that is not Unicode") from None


def first_complaint(error: ValidationError) -> str:
    """The first of pydantic's complaints as one short sentence with its place."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])[:200]
    received = repr(first.get("input"))
    if len(received) > 80:
        received = received[:77] + "..."
    message = first["msg"].removeprefix("Value error, ")
    return f"'{place}' is {received}: {message}" if place else f"{received}: {message}"


def entries_of(weights: dict[str, np.ndarray]) -> list[WeightEntry]:
    """The list of `weights` for a description, in their order.

    Raises:
        ValueError: A name, type or shape that a model folder cannot hold.
    """
    return [
        WeightEntry.model_validate(
            {"name": name, "dtype": array.dtype.name, "shape": list(array.shape)}
        )
        for name, array in weights.items()
    ]
