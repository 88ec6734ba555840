"""Hostile and damaged model folders, made when needed, and the process that tries them all.

`python -m tests.runs.hostile FOLDER` loads every folder in FOLDER with everything imported
already, watched by an audit hook, and prints one JSON line for each.
"""

import contextlib
import gzip
import hashlib
import io
import json
import os
import pickle
import shutil
import socket
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from septet import registry
from septet.runs.manifest import FileRecord, seal

CANARY = "canary-do-not-read"
LARGE = "sound-large"
TABLE, PICTURES = "tabular-classification", "image-classification"
NINE_MEBIBYTES = 9 * 2**20


def prepared_table(num_classes: int = 3) -> dict[str, Any]:
    """`prepared` of a table with one number and one category."""
    scaling = {"center": 0.0, "scale": 1.0}
    number = {"kind": "number", "name": "a", "scaling": scaling, "has_missing": False}
    number["date_format"] = None
    category = {"kind": "category", "name": "b", "values": ["x", "y"]}
    return {
        "target": "t",
        "header": ["a", "b", "t"],
        "columns": [number, category],
        "classes": [f"class {index}" for index in range(num_classes)],
    }


def prepared_pictures(labels: list[str]) -> dict[str, Any]:
    """`prepared` of grey pictures of 8 x 8."""
    sizes = {"height": 8, "width": 8, "channels": 1}
    return {"labels": labels, **sizes, "mean": [100.0], "deviation": [50.0]}


SMALL = {
    "tabular": {"width": 4, "depth": 1, "embedding_dim": 2},
    "cnn": {"filters": [2, 3], "convolutions": [1, 1], "dense_dim": 0},
}


def good_folder(folder: Path, task: str = TABLE, **changes: Any) -> dict[str, np.ndarray]:
    """Save a small sound model; its weights. `changes` go to `save_model_folder`."""
    from septet.runs import model_folder, networks

    prepared = changes.pop("prepared", None)
    if prepared is None:
        is_table = task != PICTURES
        prepared = prepared_table() if is_table else prepared_pictures(["cat", "dog"])
    knowledge = registry.task(task)
    name, arguments = knowledge.architecture(prepared, knowledge.model_options())
    arguments = changes.pop("arguments", {**arguments, **SMALL.get(name, {})})
    name = changes.pop("architecture", name)
    network = networks.build_apart(lambda: registry.architecture(name)(**arguments))
    generator = np.random.default_rng(0)
    weights = {
        name: generator.normal(size=shape).astype(dtype)
        for name, (dtype, shape) in networks.network_weights(network).items()
    }
    for path in weights:
        if path.endswith("variance"):
            weights[path] = np.abs(weights[path])
    facts = {
        "evaluation": {"scores": {"accuracy": 0.5}, "intervals": {"accuracy": [0.4, 0.6]}},
        "account": {"read": 3, "used": 2, "rejected": 1, "splits": {"train": 2}},
        **changes,
    }
    model_folder.save_model_folder(
        folder,
        task=task,
        architecture=name,
        arguments=arguments,
        prepared=prepared,
        weights=weights,
        **facts,
    )
    return weights


def reseal(folder: Path) -> None:
    """Write the manifest that an attacker would: right for whatever the files now are."""
    records = {}
    for name in ("README.md", "model.json", "weights.safetensors"):
        file = folder / name
        if file.is_file() and not file.is_symlink():
            data = file.read_bytes()
            records[name] = FileRecord(len(data), hashlib.sha256(data).hexdigest())
    (folder / "manifest.json").write_bytes(seal(records, {}))


def set_json(folder: Path, data: bytes) -> None:
    """Replace `model.json` by `data`, manifest included."""
    (folder / "model.json").write_bytes(data)
    reseal(folder)


def edit(change: Callable[[dict], object]) -> Callable[[Path], object]:
    """A case that changes the values of `model.json`."""

    def make(folder: Path) -> None:
        values = json.loads((folder / "model.json").read_bytes())
        change(values)
        set_json(folder, json.dumps(values).encode())

    return make


def put(path: str, value: Any) -> Callable[[Path], object]:
    """A case that puts `value` at a dotted path of `model.json`."""

    def change(values: dict) -> None:
        *parents, last = path.split(".")
        inner: Any = values
        for part in parents:
            inner = inner[int(part) if isinstance(inner, list) else part]
        inner[int(last) if isinstance(inner, list) else last] = value

    return edit(change)


def text(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """A case that changes the bytes of `model.json`."""
    return lambda folder: set_json(folder, change((folder / "model.json").read_bytes()))


def weights(change: Callable[[bytes], bytes], *, told: bool = True) -> Callable[[Path], object]:
    """A case that changes the bytes of the weights; `told` corrects size and hashes for it."""

    def make(folder: Path) -> None:
        file = folder / "weights.safetensors"
        data = change(file.read_bytes())
        file.write_bytes(data)
        if told:
            values = json.loads((folder / "model.json").read_bytes())
            values["weights"].update(size=len(data), sha256=hashlib.sha256(data).hexdigest())
            set_json(folder, json.dumps(values).encode())

    return make


def header(change: Callable[[dict], object]) -> Callable[[Path], object]:
    """A case that changes the header of the weights file, with its length and hashes right."""

    def rewrite(data: bytes) -> bytes:
        size = struct.unpack("<Q", data[:8])[0]
        table = json.loads(data[8 : 8 + size])
        new = json.dumps(change(table) or table).encode()
        return struct.pack("<Q", len(new)) + new + data[8 + size :]

    return weights(rewrite)


def first(table: dict) -> dict:
    """The first tensor's entry of a header."""
    return table[sorted(table)[0]]


def shift(entry: dict, count: int) -> None:
    """Move a tensor by `count` bytes."""
    entry["data_offsets"] = [offset + count for offset in entry["data_offsets"]]


def replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    """A case with something else in the place of a file."""

    def work(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return work


def link_to(target: str) -> Callable[[Path], object]:
    """Makes a symbolic link; "canary" is the secret beside the folders."""
    return lambda path: path.symlink_to(
        path.parent.parent / CANARY if target == "canary" else target
    )


def bind_socket(path: Path) -> None:
    """Put a socket at `path`."""
    here = os.getcwd()
    os.chdir(path.parent)  # the names of sockets must be short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def sparse(path: Path) -> None:
    """A file of 1 GiB that takes no room on the disk."""
    with path.open("wb") as stream:
        stream.truncate(2**30)


def flip(position: float) -> Callable[[bytes], bytes]:
    """Flips one bit, at a share of the length."""

    def change(data: bytes) -> bytes:
        place = int(position * (len(data) - 1))
        return data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]

    return change


def poison(value: float) -> Callable[[bytes], bytes]:
    """Makes the last weight `value`."""
    return lambda data: data[:-4] + np.float32(value).tobytes()


def below_zero(data: bytes) -> bytes:
    """Makes the last variance negative."""
    size = struct.unpack("<Q", data[:8])[0]
    table = json.loads(data[8 : 8 + size])
    ends = [v["data_offsets"][1] for n, v in table.items() if n.endswith("moving_variance")]
    at = 8 + size + ends[-1]
    return data[: at - 4] + np.float32(-0.5).tobytes() + data[at:]


class Payload:
    """Pickled, would make a file when loaded."""

    def __reduce__(self) -> tuple:
        """Names `os.system`."""
        return os.system, ("touch executed",)


def zipped(_: bytes) -> bytes:
    """A .keras archive with a Lambda in its config."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Lambda", "config": {}}))
    return buffer.getvalue()


def saved_array(_: bytes) -> bytes:
    """A NumPy file of a pickled object."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([Payload()], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def extra(name: str, content: bytes = b"raise SystemExit") -> Callable[[Path], object]:
    """A case with one more file."""

    def make(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return make


def many(count: int) -> dict[str, Any]:
    """A header of `count` one-byte tensors."""
    return {
        f"t{i}": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i in range(count)
    }


def pictures(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """A case on a model for pictures rather than tables."""

    def work(folder: Path) -> None:
        shutil.rmtree(folder)
        shutil.copytree(folder.parent.parent / "sound-pictures", folder)
        make(folder)

    return work


def sealed_tebibyte(folder: Path) -> None:
    """Says everywhere, the manifest included, that the first weight has 2**38 numbers."""
    values = json.loads((folder / "model.json").read_bytes())
    values["weights"]["size"] = 2**41
    values["weights"]["entries"][0]["shape"] = [2**38]
    data = json.dumps(values).encode()
    (folder / "model.json").write_bytes(data)
    records = {
        "model.json": FileRecord(len(data), hashlib.sha256(data).hexdigest()),
        "weights.safetensors": FileRecord(2**41, values["weights"]["sha256"]),
    }
    (folder / "manifest.json").write_bytes(seal(records, {}))


DEEPEST = {"height": 1024, "width": 1024, "channels": 1, "num_classes": 2}
DEEPEST |= {"mean": [100.0], "deviation": [50.0]}
LAMBDA = {"class_name": "Lambda", "module": "keras.layers", "config": {"function": "os.system"}}
ENTRY = "weights.entries.0"
DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000

REPEAT_SECONDS, ATTEMPTS = 1.0, 3

CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    # What stands in the place of a file.
    "link-model": (replaced("model.json", link_to("canary")), "symbolic link"),
    "link-weights": (replaced("weights.safetensors", link_to("canary")), "symbolic link"),
    "link-manifest": (replaced("manifest.json", link_to("canary")), "symbolic link"),
    "link-to-zeros": (replaced("weights.safetensors", link_to("/dev/zero")), "symbolic link"),
    "link-to-passwords": (replaced("model.json", link_to("/etc/passwd")), "symbolic link"),
    "link-to-itself": (replaced("model.json", link_to("model.json")), "symbolic link"),
    "link-to-nothing": (replaced("model.json", link_to("absent")), "symbolic link"),
    "pipe-model": (replaced("model.json", os.mkfifo), "is a pipe"),
    "pipe-weights": (replaced("weights.safetensors", os.mkfifo), "is a pipe"),
    "pipe-manifest": (replaced("manifest.json", os.mkfifo), "is a pipe"),
    "socket": (replaced("model.json", bind_socket), "is a socket"),
    "folder-model": (replaced("model.json", Path.mkdir), "is a folder"),
    "folder-weights": (replaced("weights.safetensors", Path.mkdir), "is a folder"),
    "no-model": (lambda folder: (folder / "model.json").unlink(), "lacks model.json"),
    "no-weights": (lambda folder: (folder / "weights.safetensors").unlink(), "lacks weights"),
    "no-manifest": (lambda folder: (folder / "manifest.json").unlink(), "lacks manifest"),
    "extra-python": (extra("model.py"), "holds 'model.py'"),
    "extra-pickle": (extra("optimizer.pkl", pickle.dumps(Payload())), "holds 'optimizer.pkl'"),
    "extra-config": (extra("config.json", b"{}"), "holds 'config.json'"),
    "extra-hidden": (extra(".keras"), "holds '.keras'"),
    "extra-undecodable": (lambda f: Path(os.fsdecode(os.fsencode(f) + b"/\xff")).touch(), "holds"),
    "extra-folder": (lambda folder: (folder / "assets").mkdir(), "holds 'assets'"),
    # The bytes of model.json.
    "empty-model": (text(lambda _: b""), "model.json' is not accepted"),
    "sparse-model": (replaced("model.json", sparse), "has 1,073,741,824 bytes"),
    "sparse-manifest": (replaced("manifest.json", sparse), "has 1,073,741,824 bytes"),
    "not-utf8": (text(lambda data: data.replace(b"class 0", b"\xff\xfe 0")), "is not accepted"),
    "utf16": (text(lambda data: data.decode().encode("utf-16")), "is not accepted"),
    "byte-order-mark": (text(lambda data: b"\xef\xbb\xbf" + data), "is not accepted"),
    "repeated-name": (text(lambda d: d.replace(b"{", b'{"task":"x",', 1)), "name is repeated"),
    "deep-objects": (text(lambda _: DEEP), "nested"),
    "deep-lists": (text(lambda _: b"[" * 150_000), "nested"),
    "deep-arguments": (put("arguments.x", json.loads("[" * 40 + "]" * 40)), "nested more than 32"),
    "many-values": (text(lambda _: b"[" + b"[]," * 1_000_000 + b"[]]"), "values"),
    "wide-text": (text(lambda _: '["😀'.encode() + b"a" * 4_000_000 + b'"]'), "a list where"),
    "nan-score": (text(lambda d: d.replace(b"0.5", b"NaN")), "NaN"),
    "infinite-score": (text(lambda d: d.replace(b"0.5", b"-Infinity")), "Infinity"),
    "overflowing-score": (text(lambda d: d.replace(b"0.5", b"1e999")), "not finite"),
    "long-number": (text(lambda d: d.replace(b"0.5", b"9" * 100_000)), "is not accepted"),
    "half-surrogate": (text(lambda d: d.replace(b"class 0", b"\\ud800")), "not Unicode"),
    "list": (text(lambda _: b"[]"), "a list where an object"),
    "null": (text(lambda _: b"null"), "where an object"),
    "second-value": (text(lambda data: data + b"{}"), "is not accepted"),
    "python-literal": (text(lambda _: b"__import__('os').system('id')"), "is not accepted"),
    "truncated-model": (text(lambda data: data[: len(data) // 2]), "is not accepted"),
    "pickle-model": (text(lambda _: pickle.dumps(Payload())), "is not accepted"),
    "gzip-bomb": (text(lambda _: gzip.compress(bytes(2**24))), "is not accepted"),
    "yaml": (text(lambda _: b"!!python/object/apply:os.system ['id']"), "is not accepted"),
    "model-changed": (
        lambda f: (f / "model.json").write_bytes((f / "model.json").read_bytes() + b" "),
        "another size or SHA-256 of model.json",
    ),
    # The manifest.
    "empty-manifest": (lambda f: (f / "manifest.json").write_bytes(b""), "is damaged"),
    "manifest-flip": (
        lambda f: (f / "manifest.json").write_bytes(flip(0.5)((f / "manifest.json").read_bytes())),
        "is damaged",
    ),
    "manifest-traversal": (
        lambda f: (f / "manifest.json").write_bytes(
            (f / "manifest.json").read_bytes().replace(b"README.md", b"../" + CANARY.encode())
        ),
        "is damaged",
    ),
    # The schema.
    "unknown-field": (put("hook", "os:system"), "'hook'"),
    "unknown-inner-field": (put("evaluation.callback", 1), "'evaluation.callback'"),
    "unknown-entry-field": (put(ENTRY + ".file", "/etc/passwd"), "weights.entries.0.file"),
    "weights-path": (put("weights.file", "../" + CANARY), "'weights.file'"),
    "weights-address": (put("weights.url", "http://127.0.0.1:9/weights"), "'weights.url'"),
    "missing-task": (edit(lambda values: values.pop("task")), "'task'"),
    "future-version": (put("format_version", 2), "newer Septet"),
    "version-as-text": (put("format_version", "1"), "format_version"),
    "version-as-boolean": (put("format_version", True), "format_version"),
    "task-as-list": (put("task", [TABLE]), "'task'"),
    "task-module": (put("task", "os:system"), "names the task"),
    "task-path": (put("task", "../" + CANARY), "names the task"),
    "task-null-byte": (put("task", "a\0b"), "names the task"),
    "architecture-module": (put("architecture", "subprocess:Popen"), "names the architecture"),
    "architecture-keras": (put("architecture", "keras.layers:Lambda"), "names the architecture"),
    "digest-as-pattern": (put("weights.sha256", ".*"), "weights.sha256"),
    "negative-size": (put("weights.size", -1), "weights.size"),
    "negative-shape": (put(ENTRY + ".shape", [-1, 4]), "shape"),
    "zero-shape": (put(ENTRY + ".shape", [0]), "shape"),
    "many-axes": (put(ENTRY + ".shape", [1] * 100), "shape"),
    "object-dtype": (put(ENTRY + ".dtype", "object"), "dtype"),
    "no-entries": (put("weights.entries", []), "entries"),
    "overflowing-shape": (put(ENTRY + ".shape", [2**32, 2**32, 2]), "weights listed take"),
    "tebibyte": (put(ENTRY + ".shape", [2**38]), "take 1,099,511"),
    "tebibyte-agreed": (
        edit(
            lambda values: (
                values["weights"].update(size=2**41),
                values["weights"]["entries"][0].update(shape=[2**38]),
            )
        ),
        "another size",
    ),
    "tebibyte-sealed": (sealed_tebibyte, "must be float32"),
    "repeated-weight": (
        edit(lambda v: v["weights"]["entries"].append(v["weights"]["entries"][0])),
        "repeated",
    ),
    "missing-weight": (edit(lambda v: v["weights"]["entries"].pop()), "is missing"),
    "weight-traversal": (put(ENTRY + ".name", "../../" + CANARY), "is missing"),
    "other-dtype": (put(ENTRY + ".dtype", "float16"), "must be float32"),
    "prepared-unknown": (put("prepared.loader", "os:system"), "'prepared' values"),
    "prepared-infinite": (put("prepared.columns.0.scaling.center", 1e300), "'prepared' values"),
    "prepared-kind": (put("prepared.columns.0.kind", "lambda"), "'prepared' values"),
    "prepared-boolean": (put("prepared.columns.0.scaling.scale", True), "'prepared' values"),
    # The architecture's arguments.
    "lambda-argument": (put("arguments.activation", LAMBDA), "refuses"),
    "lambda-extra": (put("arguments.layers", [LAMBDA]), "refuses"),
    "module-argument": (put("arguments.activation", "os.system"), "refuses"),
    "keras-config": (put("arguments", LAMBDA), "refuses"),
    "dunder-argument": (put("arguments.__class__", "os"), "refuses"),
    "wide-argument": (put("arguments.width", 10**9), "refuses"),
    "deep-argument": (put("arguments.depth", 10**6), "refuses"),
    "many-outputs": (put("arguments.num_outputs", 10**9), "refuses"),
    "negative-argument": (put("arguments.width", -4), "refuses"),
    "boolean-argument": (put("arguments.depth", True), "refuses"),
    "text-argument": (put("arguments.width", "4"), "refuses"),
    "float-argument": (put("arguments.width", 4.0), "refuses"),
    "null-argument": (put("arguments.width", None), "refuses"),
    "huge-whole-argument": (put("arguments.width", 2**70), "63 bits"),
    "many-cardinalities": (
        put("arguments.cardinalities", [10**6] * 20_000),
        "refuses|other weights",
    ),
    "no-columns": (
        edit(lambda v: v["arguments"].update(num_numbers=0, cardinalities=[])),
        "refuses",
    ),
    "wider-than-weights": (put("arguments.width", 16_384), "must be float32"),
    "deeper-than-weights": (put("arguments.depth", 3), "other weights"),
    "deepest-argument": (put("arguments.depth", 16), "other weights"),
    "deepest-pictures": (
        pictures(put("arguments", {**DEEPEST, "filters": [1] * 8, "blocks": 8})),
        "refuses|other weights",
    ),
    "absurd-filters": (pictures(put("arguments.filters", [10**9])), "refuses"),
    "absurd-stages": (pictures(put("arguments.filters", [1] * 10**4)), "refuses"),
    "absurd-repeats": (pictures(put("arguments.convolutions", [1, 10**6])), "refuses"),
    "dropout-of-one": (pictures(put("arguments.dropout", 1.0)), "refuses"),
    "other-picture-size": (pictures(put("prepared.height", 16)), "network with inputs"),
    "other-picture-mean": (pictures(put("prepared.mean", [7.0])), "other mean"),
    "one-picture-label-more": (
        pictures(put("prepared.labels", ["a", "b", "c"])),
        "network with outputs",
    ),
    "repeated-label": (pictures(put("prepared.labels", ["a", "a"])), "two labels"),
    "other-architecture": (put("architecture", "cnn"), "refuses"),
    "other-task": (put("task", "tabular-regression"), "'prepared' values"),
    "one-label-more": (put("prepared.classes", ["a", "b", "c", "d"]), "network with outputs"),
    "one-category-more": (put("prepared.columns.1.values", ["x", "y", "z"]), "other cardinalities"),
    # The weights file.
    "empty-weights": (weights(lambda _: b""), "model.json' is not accepted"),
    "untold-truncation": (weights(lambda d: d[:-4], told=False), "another size or SHA-256|bytes"),
    "untold-flip": (weights(flip(0.9), told=False), "SHA-256"),
    "untold-header-flip": (weights(flip(0.1), told=False), "weights.safetensors"),
    "sparse-weights": (replaced("weights.safetensors", sparse), "has 1,073,741,824 bytes"),
    "truncated-weights": (weights(lambda d: d[:-4]), "header said to be"),
    "longer-weights": (weights(lambda d: d + bytes(64)), "header said to be"),
    "header-length-lie": (weights(lambda d: b"\xff" * 8 + d[8:]), "header said to be"),
    "header-length-zero": (weights(lambda d: bytes(8) + d[8:]), "header said to be"),
    "pickle-weights": (weights(lambda d: pickle.dumps(Payload()) + d), "header said to be"),
    "pickle-only": (weights(lambda _: pickle.dumps(Payload())), "is not accepted"),
    "keras-archive": (weights(zipped), "is not accepted|header"),
    "hdf5": (weights(lambda d: b"\x89HDF\r\n\x1a\n" + d), "header said to be"),
    "numpy-object": (weights(saved_array), "is not accepted|header"),
    "gzip-weights": (weights(lambda _: gzip.compress(bytes(2**24))), "header said to be"),
    "nan-weights": (weights(poison(np.nan)), "NaN or infinity"),
    "infinite-weights": (weights(poison(np.inf)), "NaN or infinity"),
    "negative-variance": (pictures(weights(below_zero)), "variance -0.5; expected none below 0"),
    "overlap": (header(lambda t: shift(first(t), 4)), "overlap or leave a gap"),
    "out-of-range": (
        header(lambda t: first(t).update(data_offsets=[2**40, 2**40 + 16])),
        "weights.safetensors",
    ),
    "offset-overflow": (
        header(lambda t: first(t).update(shape=[2**63, 2], data_offsets=[0, 2**64 - 1])),
        "needs",
    ),
    "negative-offset": (header(lambda t: first(t).update(data_offsets=[-8, 8])), "not counts"),
    "float-offset": (header(lambda t: first(t).update(data_offsets=[0.0, 16.0])), "not counts"),
    "text-shape": (header(lambda t: first(t).update(shape="4")), "not counts"),
    "no-shape": (header(lambda t: first(t).pop("shape") and None), "has no dtype"),
    "unknown-dtype": (header(lambda t: first(t).update(dtype="O8")), "unknown type"),
    "integer-weights": (header(lambda t: first(t).update(dtype="I32")), "int32"),
    "renamed-weight": (header(lambda t: t.update(other=t.pop(sorted(t)[0]))), "lacks a weight"),
    "header-metadata": (header(lambda t: t.update(__metadata__={"a": "b"})), "__metadata__"),
    "header-many": (header(lambda _: many(100_000)), "a header of"),
    "header-nine-mebibytes": (
        header(lambda t: t.update(x="a" * NINE_MEBIBYTES)),
        "a header of",
    ),
    "header-nested": (header(lambda t: t.update(x=json.loads("[" * 200 + "]" * 200))), "no dtype"),
    "header-list": (header(lambda _: [1]), "not a table"),
}


def make_all(root: Path) -> None:
    """Every case as a damaged copy of a sound model, and the secret that none may read."""
    good_folder(root.parent / "sound")
    good_folder(root.parent / "sound-pictures", PICTURES)
    wide = {**SMALL["tabular"], "num_numbers": 1, "cardinalities": [3], "num_outputs": 3}
    good_folder(root.parent / LARGE, arguments={**wide, "width": 2048})
    (root / CANARY).write_text("secret")
    for name, (make, _) in CASES.items():
        shutil.copytree(root.parent / "sound", root / name)
        make(root / name)
    (root / "folder-link").symlink_to(root / "no-model")
    (root / "folder-file").write_bytes(b"model")


def memory_mb(field: str) -> float:
    """A field of the kernel's account of this process: "VmRSS" now, "VmHWM" at the most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"The kernel does not tell {field}.")


def try_all(root: Path) -> None:
    """Load every folder in `root`, and print what came of it and what it did."""
    from septet import registry
    from septet.errors import ModelFolderError
    from septet.runs.model_folder import load_network

    events: list[str] = []
    watching = False

    def watch(event: str, arguments: tuple) -> None:
        if watching and event.startswith(("open", "import", "subprocess", "socket", "os.", "exec")):
            events.append(f"{event} {arguments[0]!r}")

    for task in registry.TASKS:
        registry.task(task)  # what loading imports is imported once, and not by a hostile folder
    sys.addaudithook(watch)
    for _ in range(2):
        load_network(root.parent / "sound")
        load_network(root.parent / "sound-pictures")
    paths = [path for path in sorted(root.iterdir()) if path.name != CANARY]
    for path in [*paths, root.parent / LARGE]:
        before, start = memory_mb("VmRSS"), time.process_time()
        error = None
        watching = True
        try:
            load_network(path)
        except BaseException as problem:
            error = problem
        watching = False
        cpu_seconds = [time.process_time() - start]
        grown_mb = memory_mb("VmHWM") - before
        # A busy machine makes one attempt slow; what a folder costs, it costs each time.
        while cpu_seconds[-1] > REPEAT_SECONDS and len(cpu_seconds) < ATTEMPTS:
            start = time.process_time()
            with contextlib.suppress(BaseException):
                load_network(path)
            cpu_seconds.append(time.process_time() - start)
        row = {
            "name": path.name,
            "kind": type(error).__name__,
            "is_refusal": isinstance(error, ModelFolderError),
            "message": str(error),
            "cpu_seconds": min(cpu_seconds),
            "grown_mb": grown_mb,
            "events": list(events),
        }
        events.clear()
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    try_all(Path(sys.argv[1]))
