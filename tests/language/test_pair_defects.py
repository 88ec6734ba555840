"""Every seeded defect of parallel text is named with its place; clean text reports nothing."""

import pytest

from septet.data.account import Account
from septet.errors import DataError
from septet.language.pair_reading import read_dataset
from septet.language.translation_options import TranslationDataOptions
from tests.language.made_up_pairs import (
    as_json_lines,
    as_mo,
    as_po,
    as_table,
    as_tmx,
    pairs,
    write_two,
)


def read(path, **options):
    return read_dataset(path, TranslationDataOptions(**options), 0)


def check(path, **options) -> Account:
    return read(path, **options).account


def loud(account: Account) -> list[str]:
    return [f"{f.code} {f.where}" for f in account.findings if f.severity != "note"]


def write(folder, rows, name="pairs.tsv", header=("en", "de")):
    path = folder / name
    text = as_json_lines(rows, header) if name.endswith("l") else as_table(rows, header)
    path.write_text(text, encoding="utf-8")
    return path


def write_all(folder, rows, languages) -> list:
    """The same pairs in every form."""
    (folder / "a.tsv").write_text(as_table(rows, languages), encoding="utf-8")
    (folder / "a.csv").write_text(as_table(rows, languages, ","), encoding="utf-8")
    (folder / "a.jsonl").write_text(as_json_lines(rows, languages), encoding="utf-8")
    (folder / "a.tmx").write_text(as_tmx(rows, languages), encoding="utf-8")
    (folder / "a.po").write_text(as_po(rows, languages[1]), encoding="utf-8")
    (folder / "a.mo").write_bytes(as_mo(rows, languages[1]))
    write_two(folder / "two", rows, "corpus", languages)
    (folder / "catalogs").mkdir()
    (folder / "catalogs" / "a.po").write_text(as_po(rows[:100], languages[1]), encoding="utf-8")
    (folder / "catalogs" / "b.mo").write_bytes(as_mo(rows[100:], languages[1]))
    (folder / "memories").mkdir()
    for name, part in (("a", rows[:100]), ("b", rows[100:])):
        path = folder / "memories" / f"{name}.tmx"
        path.write_text(as_tmx(part, languages), encoding="utf-8")
    files = ("a.tsv", "a.csv", "a.jsonl", "a.tmx", "a.po", "a.mo")
    names = (*files, "two", "catalogs", "memories")
    return [*(folder / name for name in names), folder / "two" / f"corpus.{languages[0]}"]


@pytest.mark.parametrize("into", ["de", "zh"])
def test_clean_pairs_report_nothing_in_any_form(tmp_path, into):
    rows = pairs(into=into)
    for path in write_all(tmp_path, rows, ("en", into)):
        dataset = read(path)
        account = dataset.account
        assert loud(account) == [], path
        assert account.rejections == []
        assert account.read == account.used == len(rows)
        found = {
            (source, target)
            for split in dataset.splits.values()
            for source, target in zip(
                split.examples["texts"].tolist(), split.targets.tolist(), strict=True
            )
        }
        assert found == set(rows), path


def test_parquet_is_read_as_the_others(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    source, target = zip(*pairs(), strict=True)
    parquet.write_table(pyarrow.table({"en": source, "de": target}), tmp_path / "a.parquet")
    account = check(tmp_path / "a.parquet")
    assert (loud(account), account.used) == ([], 240)


def test_one_setting_exchanges_the_sides(tmp_path):
    rows = pairs()
    dataset = read(write(tmp_path, rows), reverse=True)
    assert dataset.facts["names"] == ["de", "en"]
    split = dataset.splits["train"]
    assert (split.targets[0], split.examples["texts"][0]) in rows


GERMAN = "Sie können die Tabelle mit der Maus und dem Menü sofort öffnen und auch schließen."
ENGLISH = "You can open the table and the menu with the mouse at once, and also close them."
FRENCH = "Vous pouvez ouvrir le tableau et les menus avec la souris dans une fenêtre qui est là."

# What is written into row 7 (line 9 of the file) and what must be said about it.
PAIR_DEFECTS = {
    "control-character": ("A \x1b[1mbold\x1b[0m table, and the rest is fine.", None),
    "replacement-character": (None, "Die T\ufffdr ist in der linken Spalte und auch offen."),
    "misread-encoding": (None, "Die TÃ¼r ist in der linken Spalte und auch ganz offen."),
    "markup": ("You can open the <b>table</b> in the left column.", None),
    "untranslated": (ENGLISH, ENGLISH),
    "swapped-sides": (GERMAN, ENGLISH),
    "wrong-language": (None, FRENCH),
    "lengths-do-not-fit": (ENGLISH * 4, None),
}
MORE_WRONG = [(None, ENGLISH), (GERMAN, None), (FRENCH, None), (None, "您可以打开表格和菜单。" * 3)]
NO_DEFECTS = [
    ("LibreOffice Writer 7.4", "LibreOffice Writer 7.4"),
    ("OK", "OK"),
    ("No", "Nein"),
    ("Ctrl+Shift+F5", "Strg+Umschalt+F5"),
    ("a < b and b > c, of course", "a < b und b > c, natürlich"),
    ("Naïve café, 50 €", "Naives Café, 50 €"),
]


def spoilt(source, target):
    rows = pairs()
    rows[7] = (source or rows[7][0], target or rows[7][1])
    return rows


@pytest.mark.parametrize("code", PAIR_DEFECTS)
def test_a_strange_pair_is_named(tmp_path, code):
    rows = spoilt(*PAIR_DEFECTS[code])
    account = check(write(tmp_path, rows))
    assert loud(account) == [f"{code} pairs.tsv:9"]
    assert account.used == len(rows)
    assert all(f.remedy for f in account.findings if f.severity != "note")


@pytest.mark.parametrize("pair", MORE_WRONG)
def test_a_side_in_another_language_is_named(tmp_path, pair):
    assert loud(check(write(tmp_path, spoilt(*pair)))) == ["wrong-language pairs.tsv:9"]


@pytest.mark.parametrize("pair", NO_DEFECTS)
def test_what_only_looks_strange_is_not_named(tmp_path, pair):
    assert loud(check(write(tmp_path, spoilt(*pair), "pairs.jsonl"))) == []


def test_chinese_in_the_wrong_column_is_named(tmp_path):
    rows = pairs(into="zh")
    rows[7] = (rows[7][1], rows[7][0])
    rows[9] = (rows[9][0], rows[10][0])
    account = check(write(tmp_path, rows, header=("en", "zh")))
    assert loud(account) == ["swapped-sides pairs.tsv:9", "wrong-language pairs.tsv:11"]


def test_swapped_columns_are_named(tmp_path):
    account = check(write(tmp_path, pairs(), header=("de", "en")))
    assert loud(account) == ["swapped-columns pairs.tsv"]
    account = check(write(tmp_path, pairs(), header=("en", "fr")))
    assert loud(account) == ["wrong-language-column pairs.tsv"]


def test_swapped_columns_of_two_scripts_are_named(tmp_path):
    account = check(write(tmp_path, pairs(into="zh"), header=("zh", "en")))
    assert loud(account) == ["swapped-columns pairs.tsv"]
    account = check(write(tmp_path, pairs(into="zh"), header=("en", "ru")))
    assert loud(account) == ["wrong-language-column pairs.tsv"]
    assert loud(check(write(tmp_path, pairs(into="zh"), header=("en", "zh-CN")))) == []


def test_chinese_that_repeats_or_is_not_translated_is_named(tmp_path):
    rows = pairs(into="zh")
    rows[7] = (rows[7][1], rows[7][1])
    rows[9] = rows[8]
    rows[12] = (rows[12][0] * 4, rows[12][1])
    account = check(write(tmp_path, rows, header=("en", "zh")))
    assert sorted(loud(account)) == [
        "duplicate pairs.tsv:11",
        "lengths-do-not-fit pairs.tsv:14",
        "untranslated pairs.tsv:9",
    ]


def test_two_columns_of_one_language_are_named(tmp_path):
    rows = [(first, second) for (first, _), (second, _) in zip(pairs(), pairs(seed=5), strict=True)]
    account = check(write(tmp_path, rows, header=("a", "b")))
    assert "same-language pairs.tsv" in loud(account)


ROW_DEFECTS = {
    "undecodable-byte": lambda line: line.replace(b"You", b"Y\xf6u"),
    "nul-byte": lambda line: line.replace(b"You", b"Y\x00u"),
    "empty-side": lambda line: b"  \t" + line.split(b"\t")[1],
    "ragged-row": lambda line: line + b"\tmore",
    "over-long": lambda line: b"a" * 10_001 + b"\tb",
}


@pytest.mark.parametrize("code", ROW_DEFECTS)
def test_a_row_that_is_no_pair_is_rejected_with_its_line(tmp_path, code):
    path = write(tmp_path, pairs())
    lines = path.read_bytes().split(b"\n")
    lines[8] = ROW_DEFECTS[code](lines[8])
    path.write_bytes(b"\n".join(lines))
    account = check(path)
    assert [(r.code, r.file, r.line) for r in account.rejections] == [(code, "pairs.tsv", 9)]
    assert all(r.reason and r.remedy for r in account.rejections)
    assert (loud(account), account.read, account.used) == ([], 240, 239)


def test_an_undecodable_line_of_two_files_is_rejected_with_its_byte(tmp_path):
    path = write_two(tmp_path, pairs())
    german = path.with_suffix(".de")
    data = german.read_bytes().replace("können".encode(), b"k\xf6nnen", 3)
    german.write_bytes(data)
    account = check(path)
    assert [(r.code, r.file, r.line) for r in account.rejections] == [
        ("undecodable-byte", "corpus.de", line) for line in (1, 2, 3)
    ]
    assert account.rejections[0].reason == f"Byte {data.index(0xF6)} of corpus.de is not UTF-8."
    assert (account.read, account.used) == (240, 237)


def test_offsets_count_a_mark_of_byte_order(tmp_path):
    path = write_two(tmp_path, pairs())
    german = path.with_suffix(".de")
    data = german.read_bytes().replace("können".encode(), b"k\xf6nnen", 1)
    german.write_bytes(b"\xef\xbb\xbf" + data)
    (rejection,) = check(path).rejections
    assert rejection.reason == f"Byte {3 + data.index(0xF6)} of corpus.de is not UTF-8."


def test_two_files_of_different_length_are_refused(tmp_path):
    path = write_two(tmp_path, pairs())
    german = path.with_suffix(".de")
    german.write_text("".join(german.read_text().splitlines(True)[:-2]))
    account = check(path)
    assert [(r.code, r.file, r.line) for r in account.rejections] == [
        ("missing-line", "corpus.en", 239),
        ("missing-line", "corpus.en", 240),
    ]
    with pytest.raises(DataError, match=r"corpus.en has 240 lines and corpus.de has 238"):
        account.require_trainable(1.0)


def test_an_empty_line_of_two_files_is_rejected(tmp_path):
    rows = pairs()
    rows[4] = (rows[4][0], "")
    account = check(write_two(tmp_path, rows))
    assert [(r.code, r.line) for r in account.rejections] == [("empty-side", 5)]
    assert "The side 'de' is empty." in account.rejections[0].reason


def test_split_files_go_to_their_splits_and_what_is_in_two_is_named(tmp_path):
    rows = pairs()
    write_two(tmp_path, rows[:200], "train")
    write_two(tmp_path, [*rows[200:220], (rows[3][0], "Ganz anders gesagt.")], "dev")
    write_two(tmp_path, rows[220:], "test")
    account = check(tmp_path)
    assert account.splits == {"train": 200, "validation": 21, "test": 20}
    assert loud(account) == ["duplicate-across-splits dev.en:21"]


def test_a_split_column_is_followed_and_its_errors_are_named(tmp_path):
    rows = [(*row, ("train", "test", "dev")[i % 3]) for i, row in enumerate(pairs())]
    rows[4] = (*rows[4][:2], "tset")
    account = check(write(tmp_path, rows, header=("en", "de", "split")))
    assert account.splits == {"train": 80, "validation": 80, "test": 79}
    assert [(r.code, r.line) for r in account.rejections] == [("unknown-split", 6)]


def test_pairs_that_repeat_are_named_and_stay_in_one_split(tmp_path):
    rows = pairs()
    rows[20] = ("  " + rows[10][0].upper(), rows[10][1].replace(" ", "  "))
    rows[31] = (
        rows[11][0],
        "Man kann das auch ganz anders und sehr viel besser sagen, und zwar so.",
    )
    dataset = read(write(tmp_path, rows))
    assert loud(dataset.account) == ["duplicate pairs.tsv:22"]
    assert any(f.code == "several-translations" for f in dataset.account.findings)
    for kin in (("pairs.tsv:22", "pairs.tsv:12"), ("pairs.tsv:33", "pairs.tsv:13")):
        assert any(set(kin) <= set(split.sources) for split in dataset.splits.values())


def test_no_side_of_the_test_is_in_training(tmp_path):
    rows = pairs(120)
    rows += [(source, "Noch eine Übersetzung davon, und zwar diese.") for source, _ in rows[:40]]
    dataset = read(write(tmp_path, rows))
    sides = {}
    for name, split in dataset.splits.items():
        sides[name] = {*split.examples["texts"].tolist(), *split.targets.tolist()}
    assert not sides["train"] & (sides["test"] | sides["validation"])


def test_a_first_line_without_names_is_named(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{a}\t{b}\n" for a, b in pairs()))
    assert loud(check(path)) == ["no-header pairs.tsv:1"]


def test_columns_are_guessed_and_settings_name_others(tmp_path):
    rows = [(str(i), *row, "x") for i, row in enumerate(pairs())]
    path = write(tmp_path, rows, header=("id", "english", "german", "note"))
    account = check(path)
    assert "from the column 'english' into 'german', by a guess" in account.findings[0].message
    assert read(path, source="german", target="english").facts["names"] == ["german", "english"]
    with pytest.raises(DataError, match=r"no column 'fr' \(data.target\). It has: id, english"):
        check(path, target="fr")
    with pytest.raises(DataError, match="Choose two columns"):
        check(path, source="english", target="english")
    (tmp_path / "one.csv").write_text("en\nfine\n")
    with pytest.raises(DataError, match=r"Expected one for each side"):
        check(tmp_path / "one.csv")


def test_languages_of_files_are_named_where_there_are_three(tmp_path):
    rows = pairs()
    write_two(tmp_path, rows)
    write_two(tmp_path, rows, languages=("fr", "de"))
    with pytest.raises(DataError, match=r"found 3: en, de, fr. Name two of them with data.source"):
        check(tmp_path)
    assert check(tmp_path, source="en", target="de").used == 240
    with pytest.raises(DataError, match=r"Of data.target=nl there is nothing in the files"):
        check(tmp_path, target="nl")


def test_a_unit_without_a_language_is_rejected_with_its_line(tmp_path):
    text = as_tmx(pairs()).replace('<tuv xml:lang="de">', '<tuv xml:lang="fr">', 1)
    (tmp_path / "a.tmx").write_text(text, encoding="utf-8")
    account = check(tmp_path / "a.tmx", source="en", target="de")
    assert [(r.code, r.line) for r in account.rejections] == [("missing-language", 4)]


def test_codes_in_segments_are_no_text_and_regions_are_languages(tmp_path):
    text = as_tmx(pairs(), ("en-US", "de-DE")).replace("<seg>You", "<seg><bpt i='1'>{b}</bpt>You")
    (tmp_path / "a.tmx").write_text(text, encoding="utf-8")
    dataset = read(tmp_path / "a.tmx", source="en", target="de")
    assert dataset.facts["names"] == ["en-US", "de-DE"]
    assert all(text.startswith("You") for text in dataset.splits["train"].examples["texts"])


def test_untranslated_fuzzy_and_plural_messages(tmp_path):
    text = as_po(pairs()) + (
        '\nmsgid "not yet"\nmsgstr ""\n'
        '\n#, fuzzy\nmsgid "doubtful"\nmsgstr "zweifelhaft"\n'
        '\nmsgctxt "menu"\nmsgid "%d page"\nmsgid_plural "%d pages"\n'
        'msgstr[0] "%d Seite"\nmsgstr[1] "%d Seiten"\n'
        '\nmsgid ""\n"in two "\n"parts"\nmsgstr ""\n"in zwei "\n"Teilen"\n'
        '\nmsgid "broken\nmsgstr "kaputt"\n'
        '\n#~ msgid "old"\n#~ msgstr "alt"\n'
    )
    (tmp_path / "a.po").write_text(text, encoding="utf-8")
    dataset = read(tmp_path / "a.po")
    account = dataset.account
    assert {f.code: f.message for f in account.findings}["untranslated"].startswith("1 messages")
    assert {f.code: f.message for f in account.findings}["fuzzy"].startswith("1 messages")
    line = text[: text.index('"broken')].count("\n") + 1
    assert [(r.code, r.line) for r in account.rejections] == [("not-a-message", line)]
    found = {
        pair
        for split in dataset.splits.values()
        for pair in zip(split.examples["texts"].tolist(), split.targets.tolist(), strict=True)
    }
    assert {("%d page", "%d Seite"), ("%d pages", "%d Seiten")} <= found
    assert ("in two parts", "in zwei Teilen") in found
    assert account.used == 243


def test_what_is_no_parallel_text_is_refused(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=r"a.xlsx is no parallel text .* two files such as"):
        check(tmp_path / "a.xlsx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="The folder empty has no parallel text"):
        check(tmp_path / "empty")


@pytest.mark.parametrize("charset", ["ISO-8859-1", "GBK", "EUC-KR"])
def test_a_catalog_is_read_in_the_encoding_that_its_header_names(tmp_path, charset):
    letters = {"ISO-8859-1": "Größe", "GBK": "大小", "EUC-KR": "크기"}[charset]
    rows = [(f"size {n}", f"{letters} {n}") for n in range(300)]
    text = as_po(rows).replace("charset=UTF-8", f"charset={charset}")
    (tmp_path / "a.po").write_bytes(text.encode(charset))
    account = check(tmp_path / "a.po")
    assert account.rejections == []
    assert account.used == 300


def test_a_byte_that_is_none_of_a_catalogs_encoding_is_named(tmp_path):
    rows = [(f"size {n}", f"大小 {n}") for n in range(300)]
    content = as_po(rows).replace("charset=UTF-8", "charset=gbk").encode("gbk")
    wrong = content.index('大小 7"'.encode("gbk"))
    (tmp_path / "a.po").write_bytes(content[:wrong] + b"\xff" + content[wrong:])
    (rejection,) = check(tmp_path / "a.po").rejections
    assert rejection.code == "undecodable-byte"
    assert rejection.reason == f"Byte {wrong} of the file is not GBK."


@pytest.mark.parametrize("charset", ["x-unknown", "utf-16", "rot13", "idna", "punycode"])
def test_an_encoding_that_cannot_be_is_refused(tmp_path, charset):
    text = as_po([("size", "groß")] * 3).replace("charset=UTF-8", f"charset={charset}")
    (tmp_path / "a.po").write_bytes(text.encode())
    with pytest.raises(DataError, match=r"a\.po (is in the unknown encoding|says that it is in)"):
        check(tmp_path / "a.po")


def test_a_template_reads_as_utf_8(tmp_path):
    rows = [(f"size {n}", f"größe {n}") for n in range(300)]
    text = as_po(rows).replace("charset=UTF-8", "charset=CHARSET")
    (tmp_path / "a.po").write_bytes(text.encode())
    assert check(tmp_path / "a.po").used == 300


def test_memories_that_are_called_as_splits_are_those_splits(tmp_path):
    rows = pairs()
    for name, part in (("train", rows[:180]), ("dev", rows[180:210]), ("test", rows[210:])):
        (tmp_path / f"{name}.tmx").write_text(as_tmx(part), encoding="utf-8")
    splits = read(tmp_path).splits
    counts = {name: len(split.targets) for name, split in splits.items()}
    assert counts == {"train": 180, "validation": 30, "test": 30}
