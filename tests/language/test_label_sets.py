"""Any number of labels a text: read in every form, every defect named, hostile lists counted."""

import json
from typing import Any

import pytest

from septet.data.account import Account
from septet.errors import DataError
from septet.language.label_sets import MOST_OF_ONE, strata
from septet.language.options import TextDataOptions
from septet.language.reading import read_dataset
from tests.language.made_up_texts import (
    as_csv,
    chinese_tagged,
    reviews,
    tagged,
    tagged_json_lines,
    write_folders,
)


def read(path, **options):
    return read_dataset(path, TextDataOptions(**options), 0)


def loud(account: Account) -> list[str]:
    return [f"{f.code} {f.where}" for f in account.findings if f.severity != "note"]


def notes(account: Account) -> dict[str, str]:
    return {f.code: f.message for f in account.findings if f.severity == "note"}


def write(folder, rows, name="tags.jsonl"):
    path = folder / name
    path.write_text(tagged_json_lines(rows), encoding="utf-8")
    return path


def contents(dataset):
    return {
        (text, labels)
        for split in dataset.splits.values()
        for text, labels in zip(split.examples["texts"], split.targets, strict=True)
    }


@pytest.mark.parametrize("make", [tagged, chinese_tagged])
def test_every_form_is_read_the_same(tmp_path, make):
    rows = make()
    joined = [(text, "|".join(labels)) for text, labels in rows]
    (tmp_path / "a.csv").write_text(as_csv(joined), encoding="utf-8")
    (tmp_path / "a.tsv").write_text(as_csv(joined, delimiter="\t"), encoding="utf-8")
    objects = [json.dumps({"text": t, "label": c}, ensure_ascii=False) for t, c in joined]
    (tmp_path / "texts.jsonl").write_text("\n".join(objects), encoding="utf-8")
    write(tmp_path, rows, "lists.jsonl")
    found = {}
    for name in ("a.csv", "a.tsv", "texts.jsonl"):
        found[name] = read(tmp_path / name, label_separator="|")
        said = notes(found[name].account)["several-labels"]
        assert said.endswith("the cells of 'label' name labels with '|' between them.")
    found["lists.jsonl"] = read(tmp_path / "lists.jsonl")
    said = notes(found["lists.jsonl"].account)["several-labels"]
    assert said == "A text may have any number of labels: the column 'tags' holds lists."
    expected = {(text, tuple(sorted(labels))) for text, labels in rows}
    assert any(labels == () for _, labels in expected)
    for dataset in found.values():
        assert contents(dataset) == expected
        assert loud(dataset.account) == []
        assert dataset.account.read == dataset.account.used == len(rows)
        without = sum(not labels for _, labels in rows)
        assert notes(dataset.account)["labels"].endswith(f"and {without} of 240 have none.")
    counts = found["a.csv"].account.classes
    assert set(counts) == {name for _, labels in rows for name in labels}
    assert all(own["test"] >= 3 and own["validation"] >= 3 for own in counts.values())


@pytest.mark.parametrize("kind", ["texts", "numbers"])
def test_lists_of_parquet_are_read(tmp_path, kind):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = tagged()
    known = {name: place for place, name in enumerate(["cast", "ending", "music", "praise"])}
    labels: list[Any] = [
        names if kind == "texts" else [known[name] for name in names] for _, names in rows
    ]
    labels[7] = None
    labels[8] = [None, labels[9][0]]
    table = pyarrow.table({"text": [text for text, _ in rows], "labels": labels})
    parquet.write_table(table, tmp_path / "tags.parquet")
    dataset = read(tmp_path / "tags.parquet", max_rejected=1.0)
    assert {(r.code, r.line) for r in dataset.account.rejections} == {
        ("missing-label", 8),
        ("nested-value", 9),
    }
    assert dataset.account.used == len(rows) - 2
    names = ["cast", "ending", "music", "praise"]
    assert dataset.facts["classes"] == (names if kind == "texts" else ["0", "1", "2", "3"])
    parquet.write_table(
        pyarrow.table({"text": ["a"], "labels": [[["a"]]]}), tmp_path / "nested.parquet"
    )
    with pytest.raises(DataError, match=r"column 'labels' holds list.*, not plain values"):
        read(tmp_path / "nested.parquet")


def test_folders_have_one_class_a_text(tmp_path):
    folder = write_folders(tmp_path / "set", reviews())
    assert not read(folder).facts.get("several")
    with pytest.raises(DataError, match=r"a folder for each class, and data\.label_separator"):
        read(folder, label_separator="|")


# What is written into row 7 of JSON lines and what must be said about it.
HOSTILE = {
    '["cast", ["music"]]': "nested-value",
    '["cast", null]': "nested-value",
    '["cast", {"a": 1}]': "nested-value",
    '{"cast": true}': "nested-value",
    "null": "missing-label",
    '"cast"': "not-a-list",
    "7": "not-a-list",
    '["cast", ""]': "empty-label",
    '["cast", NaN]': "empty-label",
    '["  "]': "empty-label",
    '["a\\u0000b"]': "nul-byte",
    '["half \\ud800 a pair"]': "half-a-character",
    json.dumps(["a" * 201]): "over-long-label",
    json.dumps(["a" * 100_001]): "nested-value",
    json.dumps([str(number) for number in range(MOST_OF_ONE + 1)]): "too-many-labels",
    json.dumps(["a"] * (MOST_OF_ONE + 1)): "too-many-labels",
    json.dumps([str(number) for number in range(50_000)]): "nested-value",
    "[" * 100_000: "bad-json",
}


@pytest.mark.parametrize("value", HOSTILE, ids=[f"{text[:24]}-{HOSTILE[text]}" for text in HOSTILE])
def test_labels_that_are_none_are_rejected_with_their_line(tmp_path, value):
    lines = tagged_json_lines(tagged()).splitlines()
    lines[7] = '{"text": "A film of its own kind.", "tags": ' + value + "}"
    (tmp_path / "tags.jsonl").write_text("\n".join(lines))
    account = read(tmp_path / "tags.jsonl").account
    assert [(r.code, r.line) for r in account.rejections] == [(HOSTILE[value], 8)]
    (rejection,) = account.rejections
    assert 10 < len(rejection.reason) < 300
    assert rejection.remedy
    assert (loud(account), account.read, account.used) == ([], 240, 239)


def test_a_few_lists_among_classes_are_rejected_and_change_nothing_else(tmp_path):
    lines = [json.dumps({"what": text, "kind": label}) for text, label in reviews()]
    lines[7] = '{"what": ["A film"], "kind": "positive"}'
    lines[8] = '{"what": "A film of its own kind.", "kind": ["positive"]}'
    (tmp_path / "reviews.jsonl").write_text("\n".join(lines))
    dataset = read(tmp_path / "reviews.jsonl")
    found = [(r.code, r.line) for r in dataset.account.rejections]
    assert found == [("nested-value", 8), ("nested-value", 9)]
    assert dataset.facts == {"classes": ["negative", "positive"]}
    assert dataset.account.used == 238


def test_a_list_in_place_of_a_text_is_rejected(tmp_path):
    lines = tagged_json_lines(tagged()).splitlines()
    lines[7] = '{"text": ["A film"], "tags": ["cast"]}'
    (tmp_path / "tags.jsonl").write_text("\n".join(lines))
    account = read(tmp_path / "tags.jsonl").account
    assert [(r.code, r.line) for r in account.rejections] == [("nested-value", 8)]
    assert account.rejections[0].reason == "The value of 'text' is a list, not a text."


def test_a_separator_at_the_end_is_an_empty_label(tmp_path):
    rows = [(text, ",".join(labels)) for text, labels in tagged()]
    rows[4] = (rows[4][0], "cast,")
    rows[6] = (rows[6][0], " cast ,  music ")
    (tmp_path / "tags.csv").write_text(as_csv(rows))
    dataset = read(tmp_path / "tags.csv", label_separator=",")
    assert [(r.code, r.line) for r in dataset.account.rejections] == [("empty-label", 6)]
    assert (rows[6][0], ("cast", "music")) in contents(dataset)


def test_lists_and_texts_may_be_mixed_where_a_separator_is_given(tmp_path):
    rows = tagged()
    lines = tagged_json_lines(rows).splitlines()
    lines[3] = json.dumps({"text": rows[3][0], "tags": "cast; music"})
    (tmp_path / "tags.jsonl").write_text("\n".join(lines))
    dataset = read(tmp_path / "tags.jsonl", label_separator=";")
    assert dataset.account.rejections == []
    assert (rows[3][0], ("cast", "music")) in contents(dataset)


def test_a_label_named_twice_counts_once_and_is_said(tmp_path):
    rows = tagged()
    rows[5] = (rows[5][0], ["music", "cast", "music"])
    dataset = read(write(tmp_path, rows))
    assert loud(dataset.account) == ["repeated-label tags.jsonl:6"]
    assert (rows[5][0], ("cast", "music")) in contents(dataset)


def test_typing_errors_and_rare_labels_are_named(tmp_path):
    rows = tagged()
    rows[6] = (rows[6][0], ["prasie", "cast"])
    account = read(write(tmp_path, rows)).account
    assert "label-typo tags.jsonl:7" in loud(account)
    assert "rare-label tags.jsonl:7" in loud(account)
    (message,) = [f.message for f in account.findings if f.code == "rare-label"]
    assert message == "The label 'prasie' has 1 of 240 texts."


def test_a_label_that_every_text_has_is_named(tmp_path):
    rows = [(text, [*labels, "film"]) for text, labels in tagged()]
    assert loud(read(write(tmp_path, rows)).account) == ["constant-label tags.jsonl"]


def test_equal_texts_with_other_labels_are_found_within_and_across_splits(tmp_path):
    rows = tagged()
    rows[20] = (rows[10][0].upper(), [])
    rows[21] = (rows[11][0], list(reversed(rows[11][1])))
    rows[10] = (rows[10][0], ["cast", "music"])
    account = read(write(tmp_path, rows)).account
    assert sorted(loud(account)) == [
        "conflicting-labels tags.jsonl:21",
        "duplicate tags.jsonl:22",
    ]
    (message,) = [f.message for f in account.findings if f.code == "conflicting-labels"]
    said = "Of no label; the same text at tags.jsonl:11 is of labels 'cast', 'music'."
    assert message == said
    write(tmp_path, rows[:10] + rows[40:], "train.jsonl")
    write(tmp_path, [*rows[22:40], (rows[3][0], ["music"]), rows[4]], "test.jsonl")
    (tmp_path / "tags.jsonl").unlink()
    rows[3] = (rows[3][0], ["cast"])
    write(tmp_path, rows[:10] + rows[40:], "train.jsonl")
    assert sorted(loud(read(tmp_path).account)) == [
        "conflicting-labels test.jsonl:19",
        "duplicate-across-splits test.jsonl:20",
    ]


def test_a_label_of_the_test_that_training_lacks_is_rejected(tmp_path):
    rows = tagged()
    write(tmp_path, rows[:200], "train.jsonl")
    write(tmp_path, [*rows[200:], ("A film of its own.", ["cast", "odd"])], "test.jsonl")
    account = read(tmp_path).account
    assert [(r.code, r.file, r.line) for r in account.rejections] == [
        ("unknown-class", "test.jsonl", 41)
    ]
    assert account.rejections[0].reason == "The label 'odd' is not in the training split."


def test_a_label_that_is_only_tested_is_named(tmp_path):
    rows = [*tagged(60), ("Something of its own kind, this is.", ["odd"])]
    account = read(write(tmp_path, rows), limit=5).account
    assert "untrained-label train" in loud(account)


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        (lambda row: [], "too-few-labels"),
        (lambda row: ["one"] * (row % 2), "too-few-labels"),
        (lambda row: [f"a {row}"], "too-many-labels"),
    ],
)
def test_labels_from_which_nothing_can_be_learned_are_refused(tmp_path, labels, code):
    rows = [(text, labels(row)) for row, (text, _) in enumerate(tagged())]
    account = read(write(tmp_path, rows)).account
    assert code in [f.code for f in account.findings if f.severity == "error"]
    with pytest.raises(DataError, match=r"Look at data\.label_column and data\.label_separator"):
        account.require_trainable(1.0)


def test_cells_of_several_labels_without_a_separator_lead_to_the_setting(tmp_path):
    rows = [(text, f"{row},{row + 1}") for row, (text, _) in enumerate(tagged())]
    (tmp_path / "tags.csv").write_text(as_csv(rows))
    with pytest.raises(DataError, match=r"say with data\.label_separator what parts them"):
        read(tmp_path / "tags.csv").account.require_trainable(1.0)


def test_the_rarest_label_of_a_text_is_its_stratum():
    assert strata([("a", "b"), ("a",), (), ("a", "c"), ("b", "c"), ("b",)]) == [
        "a", "a", "", "c", "c", "b",
    ]  # fmt: skip
    assert strata(["x", "y"]) == ["x", "y"]


def test_texts_with_labels_all_their_own_are_split_all_the_same(tmp_path):
    """Every set of labels is another, and still each label is in every split."""
    names = [f"label {number}" for number in range(12)]
    rows = [
        (text, [name for place, name in enumerate(names) if (row * 7 + 1) >> place & 1])
        for row, (text, _) in enumerate(tagged(300))
    ]
    dataset = read(write(tmp_path, rows))
    assert len({labels for _, labels in contents(dataset)}) == 300
    assert dataset.account.splits["test"] >= 25
    for own in dataset.account.classes.values():
        assert own["train"] > own["test"] > 0
