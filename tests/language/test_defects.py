"""Every seeded defect of labelled texts is named with its place; clean sets report nothing."""

import pytest

from septet.data.account import Account
from septet.errors import DataError
from septet.language.options import TextDataOptions
from septet.language.reading import read_dataset
from tests.language.made_up_texts import (
    as_csv,
    as_json_lines,
    chinese_reviews,
    reviews,
    write_folders,
)


def check(path, **options) -> Account:
    return read_dataset(path, TextDataOptions(**options), 0).account


def loud(account: Account) -> list[str]:
    return [f"{f.code} {f.where}" for f in account.findings if f.severity != "note"]


def write(folder, rows, name="reviews.csv"):
    path = folder / name
    text = as_json_lines(rows) if name.endswith("l") else as_csv(rows)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("make", [reviews, chinese_reviews])
def test_clean_sets_report_nothing(tmp_path, make):
    rows = make()
    (tmp_path / "a.csv").write_text(as_csv(rows), encoding="utf-8")
    (tmp_path / "a.tsv").write_text(as_csv(rows, delimiter="\t"), encoding="utf-8")
    (tmp_path / "a.jsonl").write_text(as_json_lines(rows), encoding="utf-8")
    write_folders(tmp_path / "folders", rows)
    for name in ("a.csv", "a.tsv", "a.jsonl", "folders"):
        account = check(tmp_path / name)
        assert loud(account) == []
        assert account.rejections == []
        assert account.read == account.used == len(rows)
        assert account.classes["positive"]["train"] > 90


def test_parquet_is_read_as_the_others(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = reviews()
    texts, labels = zip(*rows, strict=True)
    parquet.write_table(
        pyarrow.table({"text": texts, "label": labels}), tmp_path / "reviews.parquet"
    )
    account = check(tmp_path / "reviews.parquet")
    assert (loud(account), account.rejections, account.used) == ([], [], len(rows))


# What is written into row 7 (line 9 of the file) and what must be said about it.
TEXT_DEFECTS = {
    "control-character": "A \x1b[1mbold\x1b[0m film, and the rest seems fine.",
    "replacement-character": "A caf\ufffd scene that is fine all in all.",
    "misread-encoding": "A cafÃ© scene that is fine all in all.",
    "markup": "A fine film.<br />And the rest seems fine, too.",
}
MORE_MARKUP = ["Tom &amp; Jerry are fine in this one", "<p class='x'>Fine film</p>", "a <!-- b"]
MORE_MARKUP += ["Ein sch&ouml;ner Film&hellip;", "<ahelp hid='.'>Opens a film</ahelp>"]
MORE_MARKUP += ['See <g id="1">this film</g> today', "A <section> of the film"]
MORE_CONTROL = ["A film \u202eturned round", "A mark \ufeff within", "No \ufdd0 character"]
NO_MARKUP = [
    "A <g> and an <x> are letters",
    "1 < 2 and 3 > 2 in this film",
    "I <3 this film a lot",
    "R&B; and AT&T;",
    "a<b>>c",
]
NO_DEFECTS = [
    "Ünïcödé, naïve café: àçé",
    "tab\tin it\nand lines\r\n",
    "😀👍🏽 👨‍👩‍👧 שלום عربي",
    "“ok” — ‘fine’…",
]


@pytest.mark.parametrize("code", TEXT_DEFECTS)
def test_a_strange_text_is_named(tmp_path, code):
    rows = reviews()
    rows[7] = (TEXT_DEFECTS[code], rows[7][1])
    account = check(write(tmp_path, rows))
    assert loud(account) == [f"{code} reviews.csv:9"]
    assert account.used == len(rows)


@pytest.mark.parametrize("text", MORE_MARKUP)
def test_other_markup_is_named(tmp_path, text):
    rows = reviews()
    rows[7] = (text, rows[7][1])
    assert loud(check(write(tmp_path, rows))) == ["markup reviews.csv:9"]


@pytest.mark.parametrize("text", MORE_CONTROL)
def test_other_characters_that_are_no_text_are_named(tmp_path, text):
    rows = reviews()
    rows[7] = (text, rows[7][1])
    assert loud(check(write(tmp_path, rows))) == ["control-character reviews.csv:9"]


@pytest.mark.parametrize("text", [*NO_MARKUP[:4], *NO_DEFECTS])
def test_what_only_looks_strange_is_not_named(tmp_path, text):
    rows = reviews()
    rows[7] = (text, rows[7][1])
    assert loud(check(write(tmp_path, rows, "reviews.jsonl"))) == []


def reject(folder, edit, name="reviews.csv"):
    path = write(folder, reviews(), name)
    lines = path.read_bytes().split(b"\n")
    lines[8] = edit(lines[8])
    path.write_bytes(b"\n".join(lines))
    return check(path)


ROW_DEFECTS = {
    "undecodable-byte": lambda line: line.replace(b"The", b"Th\xe9"),
    "nul-byte": lambda line: line.replace(b"The", b"Th\x00"),
    "empty-text": lambda line: b"  ,negative",
    "missing-label": lambda line: b'"A fine film, all in all.",',
    "ragged-row": lambda line: b"a film, fine and long, all in all,negative",
    "unclosed-quote": lambda line: b'"A fine film,negative',
    "oversized-cell": lambda line: b"a" * 100_001 + b",negative",
    "over-long-label": lambda line: b"negative," + b"a film " * 40,
}


@pytest.mark.parametrize("code", ROW_DEFECTS)
def test_a_row_that_is_no_text_is_rejected_with_its_line(tmp_path, code):
    account = reject(tmp_path, ROW_DEFECTS[code])
    assert [(r.code, r.file, r.line) for r in account.rejections] == [(code, "reviews.csv", 9)]
    assert all(r.reason and r.remedy for r in account.rejections)
    assert (loud(account), account.read, account.used) == ([], 240, 239)


def test_an_encoding_error_has_its_byte_offset(tmp_path):
    account = reject(tmp_path, lambda line: line.replace(b"The", b"Th\xe9"))
    data = (tmp_path / "reviews.csv").read_bytes()
    assert f"Byte {data.index(0xE9)} of the file" in account.rejections[0].reason


def test_offsets_count_a_mark_of_byte_order(tmp_path):
    folder = write_folders(tmp_path / "set", reviews())
    (folder / "positive" / "0000.txt").write_bytes(b"\xef\xbb\xbffine\ncaf\xe9\n")
    (rejection,) = check(folder).rejections
    assert (rejection.line, "Byte 11 (0xe9)" in rejection.reason) == (2, True)


def test_parquet_with_bytes_that_are_no_text_rejects_their_row(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    texts, labels = zip(*reviews(), strict=True)
    column = [text.encode() for text in texts]
    column[7] = b"caf\xe9 au lait"
    spoilt = pyarrow.array(column).cast(pyarrow.string(), safe=False)
    parquet.write_table(pyarrow.table({"text": spoilt, "label": labels}), tmp_path / "a.parquet")
    account = check(tmp_path / "a.parquet")
    assert [(r.code, r.line) for r in account.rejections] == [("undecodable-byte", 8)]
    assert account.used == len(texts) - 1


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"text": "", "label": "positive"}', "empty-text"),
        (b'{"text": "A fine film"}', "missing-label"),
        (b'{"text": ["A fine film"], "label": "positive"}', "nested-value"),
        (b'{"text": "A fine film", "label": "positive"', "bad-json"),
        (b'{"text": "A", "text": "B", "label": "positive"}', "duplicate-key"),
        (b'["A fine film", "positive"]', "not-an-object"),
        (b'{"text": "caf\xe9", "label": "positive"}', "undecodable-byte"),
        (b'{"text": "a \\u0000 b", "label": "positive"}', "nul-byte"),
        (b'{"text": "half \\ud800 a pair", "label": "positive"}', "half-a-character"),
    ],
)
def test_a_json_line_that_is_no_text_is_rejected_with_its_line(tmp_path, line, code):
    account = reject(tmp_path, lambda _: line, "reviews.jsonl")
    assert [(r.code, r.line) for r in account.rejections] == [(code, 9)]


def test_a_text_file_that_is_none_is_rejected_with_its_byte(tmp_path):
    folder = write_folders(tmp_path / "set", reviews())
    (folder / "positive" / "0000.txt").write_bytes(b"fine\ncaf\xe9\n")
    (folder / "positive" / "0002.txt").write_bytes(b"fine\n\x00\n")
    (folder / "negative" / "0001.txt").write_bytes(b" \n")
    (folder / "negative" / "0003.txt").write_bytes(b"a" * 400_001)
    (folder / "negative" / "notes.pdf").write_bytes(b"%PDF")
    account = check(folder)
    assert {(r.code, r.file, r.line) for r in account.rejections} == {
        ("undecodable-byte", "positive/0000.txt", 2),
        ("nul-byte", "positive/0002.txt", 2),
        ("empty-text", "negative/0001.txt", None),
        ("over-long", "negative/0003.txt", None),
    }
    assert "Byte 8 (0xe9)" in next(r.reason for r in account.rejections if r.line == 2)
    assert [f.code for f in account.findings] == ["ignored-file"]
    assert account.read == 240


def test_repeats_are_found_whatever_their_case_and_spacing(tmp_path):
    rows = reviews()
    rows[20] = ("  " + rows[10][0].upper().replace(" ", "  "), rows[10][1])
    rows[31] = (rows[11][0].replace("The", "Ｔｈｅ"), "positive")
    account = check(write(tmp_path, rows))
    assert sorted(loud(account)) == [
        "conflicting-labels reviews.csv:33",
        "duplicate reviews.csv:22",
    ]
    homes = read_dataset(tmp_path / "reviews.csv", TextDataOptions(), 0).splits
    for pair in (("reviews.csv:22", "reviews.csv:12"), ("reviews.csv:33", "reviews.csv:13")):
        assert any(set(pair) <= set(split.sources) for split in homes.values())


def test_chinese_texts_that_repeat_are_found_though_they_have_few_letters(tmp_path):
    film = "这部电影非常好看。"
    rows = [*reviews(), (film, "positive"), (film, "positive"), ("好看。", "positive")]
    account = check(write(tmp_path, [*rows, ("好看。", "positive")]))
    assert loud(account) == ["duplicate reviews.csv:243"]


def test_short_texts_that_repeat_are_only_noted(tmp_path):
    rows = [*reviews(), ("Good!", "positive"), ("good!", "positive"), ("Good!", "negative")]
    account = check(write(tmp_path, rows))
    assert loud(account) == []
    notes = {f.code for f in account.findings}
    assert {"duplicate-short", "conflicting-labels-short"} <= notes


def test_a_text_in_two_given_splits_is_found(tmp_path):
    rows = reviews()
    write(tmp_path, rows[:200], "train.csv")
    write(tmp_path, [*rows[200:], rows[3]], "test.csv")
    account = check(tmp_path)
    assert loud(account) == ["duplicate-across-splits test.csv:42"]
    assert account.splits["test"] == 41


def test_a_split_column_is_followed_and_its_errors_are_named(tmp_path):
    rows = [
        (text, label, ("train", "test", "dev")[i % 3]) for i, (text, label) in enumerate(reviews())
    ]
    rows[4] = (*rows[4][:2], "tset")
    path = tmp_path / "reviews.csv"
    path.write_text(as_csv(rows, ("text", "label", "split")), encoding="utf-8")
    account = check(path)
    assert account.splits == {"train": 80, "validation": 80, "test": 79}
    assert [(r.code, r.line) for r in account.rejections] == [("unknown-split", 6)]


def test_a_mistyped_class_is_named(tmp_path):
    rows = reviews()
    rows[6] = (rows[6][0], "postive")
    rows[12] = (rows[12][0], "postive")
    account = check(write(tmp_path, rows))
    assert "label-typo reviews.csv:8" in loud(account)
    (message,) = [f.message for f in account.findings if f.code == "label-typo"]
    assert message == "The label 'postive' (2 times) is close to 'positive' (118 times)."


def test_classes_that_cannot_be_learned_are_named(tmp_path):
    rows = [*reviews(), ("One of a kind, this film is.", "mixed")]
    assert "single-member-class reviews.csv:242" in loud(check(write(tmp_path, rows)))
    rows = [row for row in reviews(400) if row[1] == "positive"] + [
        row for row in reviews(20) if row[1] == "negative"
    ]
    assert "imbalanced-classes reviews.csv" in loud(check(write(tmp_path, rows)))


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([(text, "positive") for text, _ in reviews()], "one-class"),
        ([(label, text) for text, label in reviews()], "too-many-classes"),
    ],
)
def test_labels_from_which_nothing_can_be_learned_are_refused(tmp_path, rows, code):
    account = check(
        write(tmp_path, rows), max_rejected=1.0, text_column="text", label_column="label"
    )
    assert code in [f.code for f in account.findings if f.severity == "error"]
    with pytest.raises(DataError):
        account.require_trainable(1.0)


def test_columns_are_guessed_by_name_then_by_content(tmp_path):
    rows = [(label, str(i), text) for i, (text, label) in enumerate(reviews())]
    path = tmp_path / "a.csv"
    path.write_text(as_csv(rows, ("mood", "number", "words")), encoding="utf-8")
    account = check(path)
    assert "the column 'words' and classes from 'mood'" in account.findings[0].message
    path.write_text(as_csv(rows, ("sentiment", "id", "review")), encoding="utf-8")
    assert "'review' and classes from 'sentiment'" in check(path).findings[0].message


def test_a_setting_that_names_no_column_is_refused(tmp_path):
    path = write(tmp_path, reviews())
    with pytest.raises(DataError, match=r"no column 'words' \(text_column\). It has: text, label"):
        check(path, text_column="words")
    (tmp_path / "one.csv").write_text("text\nfine\n")
    with pytest.raises(DataError, match=r"Expected one of texts and one of classes"):
        check(tmp_path / "one.csv")


def test_a_class_of_the_test_that_training_lacks_is_rejected(tmp_path):
    rows = reviews()
    write(tmp_path, rows[:200], "train.csv")
    write(tmp_path, [*rows[200:], ("A film of its own kind, this.", "mixed")], "test.csv")
    account = check(tmp_path)
    assert [(r.code, r.file, r.line) for r in account.rejections] == [
        ("unknown-class", "test.csv", 42)
    ]


def test_a_limit_keeps_the_balance(tmp_path):
    account = check(write(tmp_path, reviews()), limit=50)
    assert account.splits["train"] == 50
    assert account.read == account.used
