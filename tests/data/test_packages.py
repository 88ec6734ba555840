"""Packages of other projects: pinned files only, archives read here, clear words. No network."""

import io
import json
import sys
import tarfile
import types
import zipfile
from dataclasses import replace
from typing import Any

import pytest

from septet.data import fetching, packages, samples
from septet.data.packages import PackageError, contents_of, digest_of
from septet.data.samples import Composed, Package, Sample
from septet.errors import DataError

FILES = {"usr/share/a/one.png": b"first", "usr/share/a/b/two.png": b"second"}
DEBIAN = Package("debian", "things", "1.0", "", ("usr/share/a/*.png",), digest_of(FILES))
PYTHON = replace(DEBIAN, kind="python")


def deb(files, mode: Any = "w:xz"):
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    parts = [b"!<arch>\n"]
    for name, content in [("debian-binary", b"2.0\n"), ("data.tar.xz", inner.getvalue())]:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(content):<10}`\n".encode()
        parts += [header, content, b"\n" * (len(content) % 2)]
    return b"".join(parts)


def wheel(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


MORE = {**FILES, "usr/share/a/readme.txt": b"not wanted", "etc/other.png": b"nor this"}


@pytest.mark.parametrize(
    ("package", "content"),
    [(DEBIAN, deb(MORE)), (DEBIAN, deb(MORE, "w:gz")), (PYTHON, wheel(MORE))],
)
def test_files_that_match_are_read_out_of_an_archive(package, content, tmp_path):
    path = tmp_path / "archive"
    path.write_bytes(content)
    assert contents_of(path, package) == FILES


def test_links_in_a_package_are_not_followed(tmp_path):
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as archive:
        member = tarfile.TarInfo("./usr/share/a/one.png")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    content = inner.getvalue()
    header = f"{'data.tar.gz':<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(content):<10}`\n".encode()
    path = tmp_path / "archive"
    path.write_bytes(b"!<arch>\n" + header + content)
    with pytest.raises(PackageError, match="the 0 files of things are not those"):
        contents_of(path, DEBIAN)


@pytest.mark.parametrize(
    ("package", "content", "message"),
    [
        (DEBIAN, b"", "is no Debian package"),
        (DEBIAN, b"!<arch>\n", "holds no data"),
        (DEBIAN, deb(FILES)[:150], "is damaged"),
        (DEBIAN, b"!<arch>\n" + b"x" * 60, "is damaged"),
        (PYTHON, b"PK", "is damaged"),
        (DEBIAN, deb({**FILES, "usr/share/a/one.png": b"other"}), "SHA-256 differs"),
        (PYTHON, wheel({"usr/share/a/one.png": b"first"}), "SHA-256 differs"),
    ],
)
def test_archive_that_is_not_the_published_one_is_refused(package, content, message, tmp_path):
    path = tmp_path / "archive"
    path.write_bytes(content)
    with pytest.raises(PackageError, match=message):
        contents_of(path, package)


def write_all(contents, folder):
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


SET = Sample(
    name="set",
    task=None,
    summary="two files",
    licence="MIT",
    origin="made here",
    size=100,
    file="things",
    remote=Composed((DEBIAN,), "composing_for_tests:write_all", "scenes-licence.txt"),
)


def from_bytes(content):
    def bring(package, folder):
        path = folder / "package.deb"
        path.write_bytes(content)
        return path

    return bring


@pytest.fixture
def composing(monkeypatch):
    """The set's function, under whatever name this file was imported."""
    module: Any = types.ModuleType("composing_for_tests")
    module.write_all = write_all
    monkeypatch.setitem(sys.modules, "composing_for_tests", module)
    return SET


def test_composed_set_is_a_folder_that_is_checked_as_a_whole(tmp_path, monkeypatch, composing):
    monkeypatch.setattr(fetching, "archives_of", lambda package: {"here": from_bytes(deb(FILES))})
    path = fetching.fetch(composing, tmp_path)
    assert (path / "usr/share/a/b/two.png").read_bytes() == b"second"
    assert (tmp_path / "set" / "LICENCE.txt").exists()
    assert fetching.is_intact(tmp_path / "set", "things")
    (path / "usr/share/a/b/two.png").write_bytes(b"SECOND")
    assert not fetching.is_intact(tmp_path / "set", "things")
    fetching.fetch(composing, tmp_path)
    assert (path / "usr/share/a/b/two.png").read_bytes() == b"second"


def test_copy_of_another_version_is_replaced(tmp_path, monkeypatch, composing):
    monkeypatch.setattr(fetching, "archives_of", lambda package: {"here": from_bytes(deb(FILES))})
    path = fetching.fetch(composing, tmp_path)
    newer = replace(composing, remote=replace(composing.remote, version=2))
    said = []
    (path / "usr").rename(path / "left_over")
    manifest = tmp_path / "set" / "manifest.json"
    told = json.loads(manifest.read_text())
    told |= {"size": fetching.size_of(path), "sha256": fetching.sha256_of(path)}
    del told["version"]
    manifest.write_text(json.dumps(told))
    fetching.fetch(newer, tmp_path, say=said.append)
    assert "set: the copy here is of another version of the set and is replaced." in said
    assert (path / "usr/share/a/b/two.png").exists()
    assert not (path / "left_over").exists()
    fetching.fetch(newer, tmp_path, say=said.append)
    assert said[-1].startswith("set is here already")


def test_next_source_serves_and_all_failures_are_named(tmp_path, monkeypatch, composing):
    sources = {"first": from_bytes(b"damaged"), "second": from_bytes(deb(FILES))}
    monkeypatch.setattr(fetching, "archives_of", lambda package: sources)
    said = []
    fetching.fetch(composing, tmp_path, say=said.append)
    assert "set: things from second ..." in said
    monkeypatch.setattr(fetching, "archives_of", lambda package: {"first": sources["first"]})
    with pytest.raises(DataError, match=r"needs things 1.0. first: package.deb is damaged"):
        fetching.fetch(composing, tmp_path / "other")
    assert not (tmp_path / "other" / "set").exists()


def test_apt_and_pip_bring_one_archive(tmp_path, monkeypatch):
    commands = []

    def command(arguments, folder, name=""):
        commands.append(arguments[0:2])
        (folder / ("things_1.0.deb" if arguments[0] == "apt-get" else "things-1.0.whl")).touch()

    monkeypatch.setattr(fetching, "command", command)
    assert fetching.archive_from_debian(DEBIAN, tmp_path).name == "things_1.0.deb"
    assert fetching.archive_from_python_index(PYTHON, tmp_path).name == "things-1.0.whl"
    assert commands[0] == ["apt-get", "download"]
    (tmp_path / "things_2.0.deb").touch()
    with pytest.raises(PackageError, match="expected one package file, found 2"):
        packages.found_in(tmp_path, "*.deb")


def test_address_that_is_down_is_said(tmp_path, monkeypatch):
    def urlopen(address, timeout):
        raise OSError("no route")

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    package = replace(DEBIAN, address="https://example.org/things_1.0.deb")
    with pytest.raises(PackageError, match=r"example.org cannot be reached \(no route\)"):
        packages.from_address(package, tmp_path)


def test_each_package_of_a_sample_has_somewhere_to_come_from():
    remote = samples.SCENES.remote
    assert isinstance(remote, Composed)
    for package in remote.packages:
        assert fetching.archives_of(package)
        assert package.address.startswith("https://") or package.kind == "python"
