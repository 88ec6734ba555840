"""Manifests: which files a committed folder has, sealed so that any changed byte is noticed.

Pure functions between bytes and values; knows nothing of disks.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

MANIFEST = "manifest.json"
VERSION = 1
MAX_BYTES = 16 * 2**20
MAX_FILES = 10_000
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
DIGEST = re.compile(r"[0-9a-f]{64}")


class FileRecord(NamedTuple):
    """Size in bytes and SHA-256 (hex) of one file."""

    size: int
    sha256: str


def canonical_json(value: Any, indent: int | None = None) -> bytes:
    """`value` as JSON with sorted names: equal values give equal bytes.

    Raises:
        ValueError: A number is not finite, or a value would come back as another
            (tuples as lists, numbers used as names).
        TypeError: A value is not plain JSON.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(
        value, sort_keys=True, indent=indent, separators=separators, allow_nan=False
    ).encode()
    if json.loads(text) != value:
        raise ValueError("A value would change in JSON: use lists for tuples and text for names.")
    return text


def strict_json(data: bytes) -> Any:
    """The value of one JSON text; ValueError for repeated names, NaN, depth or bad UTF-8."""
    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=unique_names, parse_constant=refuse_constant
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of `pairs`; ValueError where a name is repeated."""
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name is repeated")
    return values


def refuse_constant(name: str) -> Any:
    """ValueError: JSON has no NaN and no Infinity."""
    raise ValueError(f"{name} is not JSON")


def seal(files: Mapping[str, FileRecord], facts: Mapping[str, Any]) -> bytes:
    """The manifest of `files` with `facts` beside them and a hash of itself.

    Raises:
        ValueError: A file name is not safe, a fact has a reserved name, or it is too large.
    """
    reserved = {"version", "files"} & facts.keys()
    if reserved:
        raise ValueError(f"A manifest's own names cannot be facts: {', '.join(sorted(reserved))}.")
    for name in files:
        check_file_name(name)
    records = {name: record._asdict() for name, record in files.items()}
    body = {"version": VERSION, "files": records, **facts}
    data = encode(body)
    if len(data) > MAX_BYTES:
        raise ValueError(f"The manifest has {len(data):,} bytes; at most {MAX_BYTES:,} are read.")
    return data


def encode(body: dict[str, Any]) -> bytes:
    """The one way to write a manifest with this body."""
    digest = hashlib.sha256(canonical_json(body)).hexdigest()
    return canonical_json({"body": body, "sha256": digest}, indent=1) + b"\n"


def unseal(data: bytes) -> dict[str, Any]:
    """The body of a manifest: `version`, `files` and the facts.

    Raises:
        ValueError: Any byte differs from what `seal` wrote, or the content is not allowed.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has {len(data):,} bytes, more than the {MAX_BYTES:,} allowed")
    manifest = strict_json(data)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("body"), dict):
        raise ValueError("it is not a manifest")
    body = manifest["body"]
    try:
        intact = data == encode(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not intact:
        raise ValueError("its content does not match its own SHA-256")
    check_body(body)
    return body


def check_body(body: dict[str, Any]) -> None:
    """ValueError unless the version is known and every file's entry is well formed."""
    version, files = body.get("version"), body.get("files")
    if version != VERSION:
        raise ValueError(f"it has version {version!r}; this Septet reads version {VERSION}")
    if not isinstance(files, dict) or len(files) > MAX_FILES:
        raise ValueError(f"'files' must be an object of at most {MAX_FILES:,} entries")
    for name, record in files.items():
        check_file_name(name)
        if not isinstance(record, dict) or record.keys() != {"size", "sha256"}:
            raise ValueError(f"the entry of '{name}' must have a size and a SHA-256")
        size, digest = record["size"], record["sha256"]
        if type(size) is not int or not 0 <= size < 2**50:
            raise ValueError(f"the size of '{name}' is {size!r}")
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise ValueError(f"the SHA-256 of '{name}' is {digest!r}")


def check_file_name(name: str) -> None:
    """ValueError unless `name` is a plain file name that cannot lead out of its folder."""
    if not FILE_NAME.fullmatch(name) or name == MANIFEST:
        raise ValueError(
            f"'{name}' is not a file name a folder can have: letters, digits, '.', '_', '-', "
            f"at most 100, starting with a letter or digit, and not {MANIFEST}"
        )
