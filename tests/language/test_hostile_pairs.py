"""Forty hostile inputs and more of every form of parallel text: refused or counted.

Never with much memory, and nothing is read that a file names.
"""

import os
import random
import struct
from functools import partial

import pytest

from septet.errors import DataError
from septet.language.pair_reading import read_dataset
from septet.language.translation_options import TranslationDataOptions
from tests.language import hostile
from tests.language.hostile import (
    MOST_MEMORY_KB,
    hostile_contents,
    hostile_parquet,
    memory_kb,
)
from tests.language.made_up_pairs import (
    as_json_lines,
    as_mo,
    as_po,
    as_table,
    as_tmx,
    pairs,
    write_two,
)

ROWS = pairs(100)


def read_pairs(path):
    return read_dataset(path, TranslationDataOptions(), 0).account


refused_or_counted = partial(hostile.refused_or_counted, read_pairs)
sweep = partial(hostile.sweep, read_pairs)


@pytest.mark.parametrize(
    "suffix", [".tsv", *(pytest.param(s, marks=pytest.mark.slow) for s in (".csv", ".jsonl"))]
)
def test_hostile_tables_of_pairs(tmp_path, suffix):
    good = as_json_lines(ROWS) if suffix == ".jsonl" else as_table(
        ROWS, sep="," if suffix == ".csv" else "\t"
    )  # fmt: skip
    found = sweep(hostile_contents(good.encode()), suffix, tmp_path)
    for name in ("empty", "gzip bomb", "zip bomb", "utf-16", "noise", "all nul"):
        assert found[name] == "refused", name
    for name in ("nul in the middle", "cr only", "mixed ends", "surrogate in utf-8"):
        assert found[name] == "counted", name


def test_hostile_parquet_of_pairs(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    sources, targets = zip(*ROWS, strict=True)
    good = tmp_path / "good.parquet"
    parquet.write_table(pyarrow.table({"en": sources, "de": targets}), good)
    found = sweep(hostile_parquet(good.read_bytes()), ".parquet", tmp_path)
    assert found["cut at 4/8"] == found["footer of 2147483647"] == "refused"


def test_hostile_files_of_lines(tmp_path):
    """Each beside a good file of the other language."""
    path = write_two(tmp_path, ROWS)
    good, found, before = path.read_bytes(), {}, memory_kb()
    for name, content in hostile_contents(good).items():
        path.write_bytes(content)
        found[name] = refused_or_counted(path, tmp_path)
    assert memory_kb() - before < MOST_MEMORY_KB
    assert len(found) >= 40
    assert found["empty"] == found["gzip"] == found["utf-16"] == "refused"
    assert found["cr only"] == found["cut at 4/8"] == "counted"
    path.unlink()
    path.mkdir()
    assert refused_or_counted(tmp_path, tmp_path) == "refused"
    path.rmdir()
    os.mkfifo(path)
    assert refused_or_counted(tmp_path, tmp_path) == "refused"
    path.unlink()
    path.symlink_to("/dev/zero")
    assert refused_or_counted(tmp_path, tmp_path) == "refused"
    path.unlink()
    with path.open("wb") as file:
        file.truncate(10 << 30)
    assert refused_or_counted(tmp_path, tmp_path) == "refused"


def hostile_memories(good: str) -> dict[str, bytes]:
    """What XML may ask of its reader."""
    head, _, body = good.partition("<tmx")
    body = "<tmx" + body
    start = '<?xml version="1.0"?>\n'
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    texts = {
        "billion laughs": f'{start}<!DOCTYPE tmx [<!ENTITY l0 "ha">{laughs}]>'
        + body.replace("You", "&l11;", 1),
        "one long entity": f'{start}<!DOCTYPE tmx [<!ENTITY a "{"a" * 100_000}">]>'
        + body.replace("You", "&a;" * 50_000, 1),
        "file as an entity": f'{start}<!DOCTYPE tmx [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        + body.replace("You", "&x;", 1),
        "parameter entity": f'{start}<!DOCTYPE tmx [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]>'
        + body,
        "unknown entity": head + body.replace("You", "&you;", 1),
        "deep": head + "<tmx>" * 100_000,
        "deep inside": head + body.replace("You", "<hi>" * 5000 + "You", 1),
        "many attributes": head
        + body.replace("<tu>", "<tu " + " ".join(f'a{n}="b"' for n in range(20_000)) + ">", 1),
        "long name": head + body.replace("<tu>", f"<{'t' * 1_000_000}>", 1),
        "long attribute": head + body.replace('lang="en"', f'lang="{"e" * 1_000_000}"', 1),
        "long segment": head + body.replace("You", "You" * 1_000_000, 1),
        "other encoding": head.replace("UTF-8", "EBCDIC-XX") + body,
        "lying encoding": head.replace("UTF-8", "UTF-16") + body,
        "no memory": start + "<html><body>text</body></html>",
        "no units": start + "<tmx><body></body></tmx>",
        "unit in a unit": head + body.replace("<tu>", "<tu><tu>", 1),
        "segment without a unit": head + body.replace("<tu>", "", 1),
        "no languages": head + body.replace("xml:lang", "xml:long"),
        "one language": head + body.replace('lang="de"', 'lang="en"'),
        "unclosed": head + body.replace("</seg>", "", 1),
        "two roots": good + good,
        "character that is none": head + body.replace("You", "&#x1;", 1),
        "surrogate": head + body.replace("You", "&#xD800;", 1),
    }
    return {name: text.encode() for name, text in texts.items()}


def test_hostile_translation_memories(tmp_path):
    good = as_tmx(ROWS)
    found = sweep(hostile_contents(good.encode()), ".tmx", tmp_path)
    for name in ("empty", "gzip bomb", "noise", "all nul", "deep brackets"):
        assert found[name] == "refused", name
    contents = hostile_memories(good)
    before = memory_kb()
    for number, (name, content) in enumerate(contents.items()):
        path = tmp_path / f"memory{number}.tmx"
        path.write_bytes(content)
        found[name] = refused_or_counted(path, tmp_path)
    assert memory_kb() - before < MOST_MEMORY_KB
    for name in (
        "billion laughs", "one long entity", "file as an entity", "parameter entity", "deep",
        "deep inside", "other encoding", "no memory", "no units", "no languages", "one language",
    ):  # fmt: skip
        assert found[name] == "refused", name
    assert found["long segment"] == "counted"


def test_an_entity_is_refused_by_its_line(tmp_path):
    path = tmp_path / "a.tmx"
    path.write_bytes(hostile_memories(as_tmx(ROWS))["billion laughs"])
    with pytest.raises(DataError, match=r"a.tmx, line 2: It declares an entity of its own"):
        read_dataset(path, TranslationDataOptions(), 0)


def test_hostile_catalogs(tmp_path):
    found = sweep(hostile_contents(as_po(ROWS).encode()), ".po", tmp_path)
    for name in ("empty", "gzip bomb", "noise", "all nul", "one huge line"):
        assert found[name] == "refused", name
    for name in ("cr only", "mixed ends", "surrogate in utf-8", "cut at 4/8"):
        assert found[name] == "counted", name


def hostile_compiled(good: bytes) -> dict[str, bytes]:
    """Catalogs whose numbers lie."""

    def with_number(place: int, value: int) -> bytes:
        return good[: 4 * place] + struct.pack("<I", value & 0xFFFFFFFF) + good[4 * place + 4 :]

    found = {
        f"number {place} is {value}": with_number(place, value)
        for place in range(1, 7)
        for value in (0, 1, 27, 2**16, 2**31 - 1, 2**32 - 1)
    }
    # Sizes and offsets of single messages.
    found |= {
        f"entry {place} is {value}": with_number(place, value)
        for place in (7, 8, 9, 10, 300, 301)
        for value in (0, 2**31, 2**32 - 1)
    }
    found["other end"] = b"".join(good[at : at + 4][::-1] for at in range(0, 28, 4)) + good[28:]
    found["unknown encoding"] = good.replace(b"UTF-8", b"X-BAD")
    found["encoding that runs"] = good.replace(b"UTF-8", b"rot13")
    draw = random.Random(2)
    for number in range(20):
        spoilt = bytearray(good)
        for _ in range(5):
            spoilt[draw.randrange(4, len(good))] = draw.randrange(256)
        found[f"spoilt {number}"] = bytes(spoilt)
    return found


def test_hostile_compiled_catalogs(tmp_path):
    good = as_mo(ROWS)
    contents = hostile_contents(good) | hostile_compiled(good)
    found = sweep(contents, ".mo", tmp_path)
    for name in ("empty", "gzip", "noise", "number 2 is 4294967295", "number 3 is 2147483647"):
        assert found[name] == "refused", name
    assert found["entry 300 is 4294967295"] == "counted"
    assert found["unknown encoding"] == found["encoding that runs"] == "refused"


def test_hostile_folders_of_pairs(tmp_path):
    folder = tmp_path / "set"
    write_two(folder, ROWS)
    (folder / "loop").symlink_to(folder)
    (folder / "x.en").symlink_to("absent")
    (folder / "x.de").write_text("ein Text\n")
    assert refused_or_counted(folder, tmp_path) == "refused"
    with pytest.raises(DataError, match=r"x\.en cannot be read: No such file"):
        read_dataset(folder, TranslationDataOptions(), 0)
    (folder / "x.en").unlink()
    (folder / "../escape.en").write_text("outside\n")
    assert refused_or_counted(folder, tmp_path) == "counted"
    for wrong in (tmp_path / "absent", tmp_path / "a\x00b", tmp_path / ("n" * 5000)):
        with pytest.raises(DataError):
            read_dataset(wrong, TranslationDataOptions(), 0)
