"""Running text on disk: what is used, what is rejected and why, and how it is split."""

import json

import numpy as np
import pytest

from septet.data.account import Account
from septet.errors import DataError
from septet.language.corpus import read_corpus
from septet.language.corpus_checks import read_dataset, texts_of
from septet.language.generation_options import GenerationDataOptions

LINES = [f"Line {number} of a text that goes on for a while." for number in range(200)]


def codes(account):
    return sorted(rejection.code for rejection in account.rejections)


def findings(account):
    return {finding.code for finding in account.findings}


def dataset(path, **options):
    return read_dataset(path, GenerationDataOptions(**options), 0)


def test_text_is_what_was_in_the_file(tmp_path):
    text = "A line.\r\nAnother\rand 汉字 🙂\n\nlast"
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    corpus = read_corpus(tmp_path / "a.txt", Account())
    assert "".join(corpus.lines) == "A line.\nAnother\nand 汉字 🙂\n\nlast"
    assert corpus.places == [f"a.txt:{number}" for number in range(1, 6)]


def test_folder_pattern_and_json_lines_give_the_same_documents(tmp_path):
    texts = ["First\ntext\n", "Second 文\n"]
    for name, text in zip("ab", texts, strict=True):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    lines = "\n".join(json.dumps({"text": text}) for text in texts)
    (tmp_path / "both.jsonl").write_text(lines)
    expected = [line for text in texts for line in text.splitlines(keepends=True)]
    for source in (str(tmp_path / "*.txt"), tmp_path / "both.jsonl"):
        corpus = read_corpus(source, Account())
        assert corpus.lines == expected
        assert corpus.documents == [0, 0, 1]


def test_bad_byte_and_nul_reject_their_line_with_the_offset(tmp_path):
    data = "\n".join(LINES).encode().split(b"\n")
    data[3], data[7] = b"caf\xe9 au lait", b"a\x00b"
    (tmp_path / "a.txt").write_bytes(b"\n".join(data))
    account = Account()
    corpus = read_corpus(tmp_path / "a.txt", account)
    assert len(corpus.lines) == 198
    assert account.read == 200
    first, second = account.rejections
    assert (first.code, first.line) == ("undecodable-byte", 4)
    assert f"Byte {sum(len(line) + 1 for line in data[:3]) + 3} (0xe9)" in first.reason
    assert (second.code, second.line) == ("nul-byte", 8)


def test_file_in_another_encoding_is_rejected_whole(tmp_path):
    (tmp_path / "good.txt").write_text("\n".join(LINES))
    (tmp_path / "latin.txt").write_bytes("é\nè\nü\n".encode("latin-1"))
    (tmp_path / "wide.txt").write_bytes("abc\n".encode("utf-16"))
    account = Account()
    read_corpus(tmp_path, account)
    assert codes(account) == ["not-text", "undecodable-byte"]


def test_bad_json_lines_are_named(tmp_path):
    lines = ['{"text": "good text"}', "[1]", '{"title": "x"}', '{"text": 3}', "{", "[" * 5000]
    lines += ['{"text": "\\ud800"}', '{"text": "a\\u0000b"}', '{"text": " "}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    account = Account()
    corpus = read_corpus(tmp_path / "a.jsonl", account)
    assert corpus.lines == ["good text"]
    assert codes(account) == [
        "bad-json", "bad-json", "bad-json", "empty-text", "empty-text", "half-a-character",
        "no-text", "nul-byte",
    ]  # fmt: skip
    assert account.read == 9


def test_seeded_defects_are_all_found_and_none_invented(tmp_path):
    lines = list(LINES)
    lines[10] = "A bell \x07 rings here."
    lines[20] = "A <b>bold</b> claim, it is."
    lines[30] = "It was cafÃ© au lait, misread."
    lines[40] = "Something \ufffd lost here."
    (tmp_path / "one.txt").write_text("\n".join(lines))
    (tmp_path / "same.txt").write_text("\n".join(lines).upper())
    found = dataset(tmp_path, test_fraction=0.1)
    assert findings(found.account) == {
        "control-character", "markup", "misread-encoding", "replacement-character", "duplicate",
    }  # fmt: skip
    places = {f.where for f in found.account.findings if f.code == "control-character"}
    assert places == {"one.txt:11", "same.txt:11"}
    (tmp_path / "same.txt").unlink()
    (tmp_path / "one.txt").write_text("\n".join(LINES))
    assert not findings(dataset(tmp_path).account)


def test_an_over_long_line_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join([*LINES, "word " * 3000, *LINES[:5]]))
    found = [f for f in dataset(tmp_path / "a.txt").account.findings if f.severity != "note"]
    assert [(f.code, f.where) for f in found] == [("over-long-line", "a.txt:201")]
    assert "15,000 characters" in found[0].message
    assert found[0].remedy


def test_documents_and_lines_in_two_splits_are_found(tmp_path):
    line = "It is a truth universally acknowledged, that a single man must be in want of a wife."
    (tmp_path / "train.txt").write_text("\n".join([line, *LINES]))
    (tmp_path / "test.txt").write_text("\n".join([line, "Other words."]))
    account = dataset(tmp_path).account
    assert findings(account) == {"line-in-two-splits"}
    assert account.findings[0].where == "test.txt:1"
    assert "train.txt:1." in account.findings[0].message
    (tmp_path / "test.txt").write_text("\n".join([line, *LINES]))
    assert "duplicate-across-splits" in findings(dataset(tmp_path).account)


def test_the_end_of_each_document_is_held_out(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("\n".join(f"{name} {line}" for line in LINES))
    found = dataset(tmp_path, validation_fraction=0.1, test_fraction=0.2)
    train, validation, test = (texts_of(found.splits[n]) for n in ("train", "validation", "test"))
    for name, *parts in zip("ab", train, validation, test, strict=True):
        assert "".join(parts) == (tmp_path / f"{name}.txt").read_text()
    sizes = [sum(map(len, texts)) for texts in (train, validation, test)]
    assert np.allclose(np.array(sizes) / sum(sizes), [0.7, 0.1, 0.2], atol=0.01)


def test_whole_documents_are_held_out_where_there_are_many(tmp_path):
    texts = [f"Poem {number}.\nIt has two lines.\n" for number in range(300)]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    found = dataset(tmp_path / "a.jsonl", validation_fraction=0.1, test_fraction=0.2)
    every = [text for split in found.splits.values() for text in texts_of(split)]
    assert sorted(every) == sorted(texts)
    assert 35 <= len(texts_of(found.splits["test"])) <= 85


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({}, {}, "has no text file"),
        ({"a.txt": b""}, {}, "holds no text"),
        ({"a.txt": b"\xff\xfea\x00"}, {}, "nothing of it can be used"),
        ({"a.txt": b"a\n", "b.jsonl": b"{}\n"}, {}, "both text files and JSON lines"),
        (
            {"a.txt": b"a\nb\n"},
            {"test_fraction": 0.6, "validation_fraction": 0.4},
            "less than 1",
        ),
        ({"test.txt": b"one line\n"}, {}, "No line is left"),
    ],
)
def test_what_cannot_be_used_at_all_is_one_clear_message(tmp_path, files, options, message):
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        dataset(tmp_path, **options)
