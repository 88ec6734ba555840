"""JSON from outside, read with limits: on bytes, on depth, on numbers that are none."""

import json
from pathlib import Path
from typing import Any

from septet.errors import DataError
from septet.vision.sources import shown

MOST_BYTES = 1 << 30
LONGEST_NUMBER = 400


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        DataError: It is too large, too deep, damaged or not UTF-8; says which.
    """
    name = shown(path.name)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"'{name}' cannot be read ({error.strerror}).") from None
    if len(content) > MOST_BYTES:
        raise DataError(f"'{name}' has more than {MOST_BYTES >> 20} MiB. Split it into parts.")
    try:
        return json.loads(
            content.decode("utf-8-sig"),
            parse_constant=_refused, parse_int=_whole,
        )  # fmt: skip
    except UnicodeDecodeError:
        raise DataError(f"'{name}' is not UTF-8 text. Save it as UTF-8.") from None
    except RecursionError:
        raise DataError(f"'{name}' is nested so deep that it is no such file.") from None
    except ValueError as error:
        raise DataError(f"'{name}' is no whole JSON file: {error}. Copy it again.") from None


def _refused(text: str) -> Any:
    raise ValueError(f"it has the number {text}")


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError("it has a number of more than 400 digits")
    return int(text)
