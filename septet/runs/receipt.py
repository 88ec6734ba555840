"""The receipt of a run: what went in, what came out, and what differs between two of them.

Hashes are SHA-256 over canonical bytes, so that they mean the same on every machine.
"""

import hashlib
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from septet import backends

if TYPE_CHECKING:
    import numpy as np

from septet.data.dataset import Dataset

FORMAT = 1
GIT_TIMEOUT_S = 3.0
PACKAGES = ("keras", "jax", "jaxlib", "numpy")
FRAMEWORKS = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "torch": ("torch",)}
"""Under which names the frameworks other than JAX are installed."""
INPUTS = {
    "data": "the data",
    "pretrained": "the weights it started from",
    "config": "the settings",
    "plan": "the plan",
}
OUTCOMES = {"weights": "the weights", "log": "the log"}


def make_receipt(
    *,
    config: Mapping[str, Any],
    data: str,
    weights: str,
    log: bytes,
    pretrained: str | None = None,
    plan: Sequence[Mapping[str, Any]] = (),
    user_folder: Path | None = None,
) -> dict[str, Any]:
    """Everything by which a run can be repeated and compared, as plain JSON values.

    Args:
        config: The resolved settings.
        data: `hash_dataset` of the data trained on.
        weights: `hash_tensors` of the final weights.
        log: The bytes of log.jsonl.
        pretrained: SHA-256 of the weights that training started from.
        plan: Decisions taken while running, as how a time budget became epochs.
        user_folder: Where the user's own code lies; its git commit is noted if it has one.
    """
    return {
        "format": FORMAT,
        "data": data,
        **({} if pretrained is None else {"pretrained": pretrained}),
        "config": hash_json(config),
        "weights": weights,
        "log": hashlib.sha256(log).hexdigest(),
        "plan": [dict(event) for event in plan],
        "versions": versions(),
        "machine": machine(),
        "commit": None if user_folder is None else git_commit(user_folder),
    }


def hash_json(value: Any) -> str:
    """SHA-256 of plain JSON values, whatever the order of their names."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_tensors(tensors: Mapping[str, "np.ndarray"]) -> str:
    """SHA-256 of named tensors: name, type, shape and little-endian bytes, by name."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        _add_text(digest.update, name)
        _add_array(digest.update, tensors[name])
    return digest.hexdigest()


def hash_dataset(dataset: "Dataset") -> str:
    """SHA-256 of the splits: examples, targets and sources, and what the reader learned."""
    digest = hashlib.sha256()
    for name in sorted(dataset.splits):
        split = dataset.splits[name]
        _add_text(digest.update, name)
        for key in sorted(split.examples):
            _add_text(digest.update, key)
            _add_array(digest.update, split.examples[key])
        _add_array(digest.update, split.targets)
        _add_value(digest.update, list(split.sources))
    digest.update(hash_json(dataset.facts).encode())
    return digest.hexdigest()


Update = Callable[[Any], object]


def _add_text(update: Update, text: str) -> None:
    """Text with its length before it, so that no two sequences of texts look alike."""
    data = text.encode("utf-8", "surrogatepass")
    update(b"t%d:" % len(data))
    update(data)


def _add_array(update: Update, array: "np.ndarray") -> None:
    import numpy as np

    from septet.data.array_files import parts

    array = np.asarray(array)
    if array.dtype.kind in "OUST":
        _add_text(update, f"objects{list(array.shape)}")
        for value in array.ravel().tolist():
            _add_value(update, value)
        return
    _add_text(update, f"{array.dtype.name}{list(array.shape)}")
    for part in parts(array):
        little = part.astype(part.dtype.newbyteorder("<"), order="C", copy=False)
        update(np.ascontiguousarray(little).reshape(-1).view(np.uint8))


def _add_value(update: Update, value: Any) -> None:
    """One value of an object array: text, bytes, number, nothing, array or list of these."""
    import numpy as np

    if isinstance(value, np.ndarray):
        _add_array(update, value)
    elif isinstance(value, str):
        _add_text(update, value)
    elif isinstance(value, bytes):
        update(b"b%d:" % len(value))
        update(value)
    elif isinstance(value, list | tuple):
        update(b"l%d:" % len(value))
        for item in value:
            _add_value(update, item)
    else:
        _add_text(update, f"{type(value).__name__} {value!r}")


def versions() -> dict[str, str]:
    """Versions of Septet, Python and the packages that compute."""
    from importlib.metadata import PackageNotFoundError, version

    from septet.version import __version__

    found = {"septet": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    for package in FRAMEWORKS.get(backends.current(), ()):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def machine() -> dict[str, Any]:
    """What the run computes on: results are equal bit for bit on equal machines."""
    from septet.engine.devices import describe
    from septet.engine.native import building

    device = describe()
    return {
        "framework": device["backend"],
        "backend": device["platform"],
        "device": device["kind"],
        "devices": device["count"],
        "cpu": _cpu_name(),
        "cpu_count": os.cpu_count() or 1,
        "platform": f"{platform.system()} {platform.machine()}",
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "c_compiler": building.description(),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def git_commit(folder: Path) -> dict[str, Any] | None:
    """Commit of the repository `folder` lies in, and whether tracked files were changed.

    None without git or a repository, or when git does not answer within seconds.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "is_dirty": None if changes is None else bool(changes)}


def _git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command that asks nothing, starts no hook and cannot hang; None: failed."""
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    with tempfile.TemporaryFile() as output:
        try:
            finished = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,  # a file, not a pipe: a grandchild cannot keep us waiting
                stderr=subprocess.DEVNULL,
                timeout=GIT_TIMEOUT_S,
                env={**os.environ, **quiet},
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        output.seek(0)
        text = output.read(1_000_000).decode("utf-8", "replace").strip()
    return text if finished.returncode == 0 else None


def compare_receipts(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two receipts, a sentence each; empty when the run was reproduced.

    Lines start with "input: " (data, settings, plan, versions, machine: why the outcome may
    differ) or "outcome: " (weights, log: what came out differently); inputs come first.
    """
    lines = []
    for key, what in INPUTS.items():
        if old.get(key) != new.get(key):
            lines.append(f"input: {what} changed{_short(old, new, key)}")
    for group in ("versions", "machine"):
        lines += [f"input: {line}" for line in _compare_group(old.get(group), new.get(group))]
    for key, what in OUTCOMES.items():
        if old.get(key) != new.get(key):
            lines.append(f"outcome: {what} came out differently{_short(old, new, key)}")
    return lines


def is_reproduced(differences: Sequence[str]) -> bool:
    """Whether `compare_receipts` found the same outcome (whatever the inputs were)."""
    return not any(line.startswith("outcome: ") for line in differences)


def _short(old: Mapping[str, Any], new: Mapping[str, Any], key: str) -> str:
    """First digits of both hashes, or the values themselves."""
    before, after = (
        str(value)[:12] if isinstance(value, str) else json.dumps(value, default=str)
        for value in (old.get(key), new.get(key))
    )
    return f" ({before} before, {after} now)."


def _compare_group(old: Any, new: Any) -> list[str]:
    old = old if isinstance(old, Mapping) else {}
    new = new if isinstance(new, Mapping) else {}
    return [
        f"{name.replace('_', ' ')} was {old.get(name, 'not noted')}, "
        f"now {new.get(name, 'not noted')}."
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
