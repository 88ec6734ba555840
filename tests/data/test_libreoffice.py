"""Help pages and dialogs as sentence pairs, from packages made here."""

import csv
import io
import lzma
import tarfile

import pytest

from septet.data import libreoffice
from septet.data.libreoffice import CATALOGS, ENGLISH, GERMAN, HEADER, Sentence, read_sentences
from septet.errors import DataError
from tests.language.made_up_pairs import as_mo, as_table

TREE = "./usr/share/libreoffice/help"


def package(files: dict[str, str | bytes]) -> bytes:
    """A Debian package with these files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in files.items():
            body = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    members = {"debian-binary": b"2.0\n", "data.tar.xz": lzma.compress(data.getvalue())}
    packed = b"!<arch>\n"
    for name, body in members.items():
        packed += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(body):<10}`\n".encode()
        packed += body + b"\n" * (len(body) % 2)
    return packed


def page(**texts: str) -> str:
    return "".join(f'<p id="{key}" class="x">{text}</p>\n' for key, text in texts.items())


def contents(english: str, german: str, dialogs=()) -> dict[str, bytes]:
    return {
        ENGLISH: package({f"{TREE}/en-US/text/a.html": english}),
        GERMAN: package({f"{TREE}/de/text/a.html": german}),
        CATALOGS: package({"./usr/lib/de/LC_MESSAGES/a.mo": as_mo(list(dialogs))}),
    }


def both(english: str, german: str, dialogs=()) -> list[tuple[str, str]]:
    found = read_sentences(contents(english, german, dialogs))
    return [(each.english, each.german) for each in found]


def test_paragraphs_of_one_id_are_cut_into_sentences():
    found = both(
        page(par_1="Open it. Then <b>close</b> it &amp; go.", par_2="Only here."),
        page(par_1="Öffnen Sie es. Dann <i>schließen</i> Sie es &amp; gehen.", par_9="Nur hier."),
    )
    assert found == [
        ("Open it.", "Öffnen Sie es."),
        ("Then close it & go.", "Dann schließen Sie es & gehen."),
    ]


def test_paragraphs_with_other_numbers_of_sentences_stay_whole():
    english, german = "Open it. Then close it.", "Öffnen Sie es, dann schließen Sie es."
    assert both(page(par_1=english), page(par_1=german)) == [(english, german)]


def test_abbreviations_end_no_sentence():
    assert libreoffice.sentences("Das ist z. B. Text. Und ca. Zehn mehr.") == [
        "Das ist z. B. Text.", "Und ca. Zehn mehr.",
    ]  # fmt: skip


def test_what_is_shown_on_a_mac_alone_is_left_out():
    keys = '<span id="MAC1" class="MAC"><span class="k">Command+X</span></span><span>{}</span>'
    found = both(page(par_1=f"Press {keys.format('Ctrl+X')} now."),
                 page(par_1=f"Drücken Sie {keys.format('Strg+X')} jetzt."))  # fmt: skip
    assert found == [("Press Ctrl+X now.", "Drücken Sie Strg+X jetzt.")]


def test_dialogs_lose_their_shortcuts_and_what_is_code_or_a_name_is_left_out():
    dialogs = [
        ("_Open the file", "_Datei öffnen"),
        ("Sa~ve", "Speiche~rn"),
        ("MAX_VALUE is_set", "MAX_WERT ist_gesetzt"),
        ("Calc", "Calc"),
        ("<b>bold</b> text", "<b>fetter</b> Text"),
        ("%PRODUCTNAME Help", "%PRODUCTNAME Hilfe"),
        ("123", "456"),
    ]
    found = both(page(par_1="Open it."), page(par_1="Öffnen Sie es."), dialogs)[1:]
    assert found == [
        ("MAX_VALUE is_set", "MAX_WERT ist_gesetzt"),
        ("Save", "Speichern"),
        ("Open the file", "Datei öffnen"),
    ]


def test_no_side_of_the_test_or_of_validation_is_elsewhere(monkeypatch):
    monkeypatch.setattr(libreoffice, "HELD_OUT", 20)
    found = [
        Sentence(
            f"This is the sentence number {n % 130}.", f"Dies ist der Satz {n % 97}.", f"p{n // 5}"
        )
        for n in range(400)
    ]
    rows = libreoffice.split(found)
    assert rows == libreoffice.split(found)
    sides = {}
    for english, german, home in rows:
        sides.setdefault(home, []).append({english.casefold(), german.casefold()})
    assert len(sides["test"]) == len(sides["validation"]) == 20
    for home, others in (("train", ("test", "validation")), ("validation", ("test",))):
        mine = set().union(*sides[home])
        for other in others:
            assert not mine & set().union(*sides[other])


def test_the_table_reads_back():
    rows = [('say "hi" twice', "„hallo“ zweimal", "train"), ("a", "b", "test")]
    text = libreoffice.as_table(rows).decode()
    assert list(csv.reader(io.StringIO(text), delimiter="\t"))[1:] == [list(row) for row in rows]
    assert text.partition("\n")[0] == "\t".join(HEADER)
    assert text == as_table(rows, HEADER)


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (b"no package", "begins with '!<arch>'"),
        (b"!<arch>\n", "does not hold 'data.tar.xz'"),
        (package({})[:-20], "is damaged"),
    ],
)
def test_what_is_no_package_is_refused(packed, message):
    with pytest.raises(DataError, match=message):
        read_sentences({ENGLISH: packed, GERMAN: packed, CATALOGS: packed})


def test_packages_without_pages_are_refused():
    with pytest.raises(DataError, match="no help pages"):
        read_sentences(contents("", ""))
