"""The six novels out of R's files, and R's files that are not as they should be."""

import json
import struct
import zlib

import numpy as np
import pytest

from septet import registry
from septet.data import austen
from septet.data.rds import RdsError, read_rds
from septet.errors import DataError

HEAD = b"X\n" + struct.pack(">iii", 2, 0x030000, 0x020300)


def text(value):
    data = value.encode()
    return struct.pack(">ii", 9 | 8 << 12, len(data)) + data


def texts(*values, flags=0):
    return struct.pack(">ii", 16 | flags, len(values)) + b"".join(map(text, values))


def named_list(entries):
    """A list of values with names, as R writes it."""
    body = struct.pack(">ii", 19 | 1 << 9, len(entries)) + b"".join(entries.values())
    names = struct.pack(">ii", 2 | 1 << 10, 1) + text("names") + texts(*entries)
    return body + names + struct.pack(">i", 254)


def integers(*values):
    return struct.pack(f">ii{len(values)}i", 13, len(values), *values)


def published():
    """An index and a file of values that hold two lines of each novel."""
    values, places = b"", {}
    for name, title in austen.NOVELS.items():
        raw = HEAD + texts(f"{title.upper()}", "£5 — a line")
        piece = struct.pack(">i", len(raw)) + zlib.compress(raw)
        places[name] = integers(len(values), len(piece))
        values += piece
    index = HEAD + named_list({"variables": named_list(places), "compressed": integers(1)})
    return {austen.INDEX: index, austen.VALUES: values}


def test_values_are_read():
    assert read_rds(HEAD + texts("a", "é")) == ["a", "é"]
    assert read_rds(HEAD + named_list({"x": integers(1, 2), "y": texts("z")})) == {
        "x": [1, 2],
        "y": ["z"],
    }
    numbers = struct.pack(">iidd", 14, 2, 1.5, -2.0)
    assert read_rds(HEAD + numbers) == [1.5, -2.0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "too soon"),
        (b"A\n" + HEAD[2:], "begin"),
        (b"X\n" + struct.pack(">iii", 9, 0, 0), "version"),
        (HEAD + struct.pack(">ii", 16, 2**31 - 1), "which is not so"),
        (HEAD + struct.pack(">ii", 16, -5), "which is not so"),
        (HEAD + struct.pack(">iii", 16, 1, 9) + struct.pack(">i", -7), "negative"),
        (HEAD + struct.pack(">i", 3), "no plain value"),
        (HEAD + struct.pack(">i", 255 | 9 << 8), "refers to a symbol"),
        (HEAD + struct.pack(">ii", 19, 1) * 200, "within each other"),
        (HEAD + struct.pack(">iii", 16, 1, 9) + struct.pack(">i", 1) + b"\xff", "UTF-8"),
    ],
)
def test_what_is_no_plain_value_is_refused(data, message):
    with pytest.raises(RdsError, match=message):
        read_rds(data)


def test_cut_and_flipped_files_never_do_anything_but_be_refused():
    whole = published()[austen.INDEX]
    random = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole[: random.integers(0, len(whole) + 1)])
        for at in random.integers(0, max(len(data), 1), 3)[: len(data)]:
            data[at] ^= 1 << random.integers(0, 8)
        try:
            read_rds(bytes(data))
        except RdsError:
            pass


def test_novels_become_one_line_each(tmp_path):
    austen.pack(published(), tmp_path / "austen.jsonl")
    lines = (tmp_path / "austen.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert [each["title"] for each in found] == list(austen.NOVELS.values())
    assert found[3]["text"] == "EMMA\n£5 — a line\n"


@pytest.mark.parametrize("damage", [{austen.INDEX: HEAD + integers(1)}, {austen.VALUES: b"abc"}])
def test_other_content_is_refused(damage):
    with pytest.raises(DataError, match="not as published"):
        austen.read_novels({**published(), **damage})


def test_the_package_is_asked_for_both_files():
    remote = registry.sample("austen").remote
    assert [file.name for file in remote.files] == [austen.INDEX, austen.VALUES]
    assert not remote.homes
