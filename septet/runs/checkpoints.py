"""Checkpoints: the whole state of a run at one step, as a folder that is complete or absent.

`step-N` folders are what a run resumes from, `best-N` what it ships; they are kept
independently. Knows nothing of models: tensors by name and plain JSON values.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from septet.errors import CheckpointError
from septet.runs import storage
from septet.runs.manifest import strict_json
from septet.runs.tensors import decode_tensors, encode_tensors

FORMAT = 1
TENSORS = "tensors.safetensors"
STATE = "state.json"
FOLDER = re.compile(r"(step|best)-([0-9]{12})")


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint.

    Args:
        step: Training steps done when it was saved.
        tensors: Arrays by name, read-only.
        state: Everything else, plain JSON values.
        path: Its folder.
    """

    step: int
    tensors: dict[str, np.ndarray]
    state: dict[str, Any]
    path: Path


def folder_of(root: Path, step: int, best: bool = False) -> Path:
    """Where the checkpoint of `step` lies."""
    if not 0 <= step < 10**12:
        raise ValueError(f"A step is a number from 0 to {10**12 - 1:,}, not {step}.")
    return root / f"{'best' if best else 'step'}-{step:012d}"


def save(
    root: Path,
    step: int,
    tensors: Mapping[str, np.ndarray],
    state: dict[str, Any],
    best: bool = False,
) -> Path:
    """Commit a checkpoint under `root`; its folder.

    Save a best one before the step one whose `state["best_step"]` names it, then `prune`.

    Raises:
        StorageError: It could not be written; the other checkpoints are as they were.
        ValueError: A tensor's type or a value of `state` cannot be kept.
    """
    arrays = {name: np.asarray(value) for name, value in tensors.items()}
    facts = {
        "kind": "checkpoint",
        "format": FORMAT,
        "step": int(step),
        "best": best,
        "tensors": signature(arrays),
    }
    files = {TENSORS: encode_tensors(arrays), STATE: storage.json_bytes(state)}
    target = folder_of(root, step, best)
    storage.commit_folder(target, files, facts)
    return target


def signature(tensors: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Type and shape of each tensor, as "float32(3, 4)"."""
    return {name: f"{array.dtype.name}{array.shape}" for name, array in tensors.items()}


def load(path: Path) -> Checkpoint:
    """The checkpoint in the folder `path`, every byte of it verified.

    Raises:
        CheckpointError: It is missing, damaged or of an unknown format; names the file.
    """
    manifest = storage.read_manifest(path)
    step = check_facts(path, manifest)
    state = read_state(path, manifest)
    data = storage.read_file(path, manifest, TENSORS)
    try:
        tensors = decode_tensors(data)
    except ValueError as error:
        raise CheckpointError(f"'{path / TENSORS}' is damaged: {error}.") from None
    check_signature(path / TENSORS, manifest["tensors"], signature(tensors))
    return Checkpoint(step, tensors, state, path)


def check_facts(path: Path, manifest: Mapping[str, Any]) -> int:
    """The step of the checkpoint; CheckpointError unless the manifest is one of ours."""
    file = path / storage.MANIFEST
    if manifest.get("kind") != "checkpoint" or manifest.get("format") != FORMAT:
        raise CheckpointError(
            f"'{file}' has kind {manifest.get('kind')!r} and format {manifest.get('format')!r}; "
            f"expected 'checkpoint' and {FORMAT}. Use the version of Septet that wrote it."
        )
    step, best = manifest.get("step"), manifest.get("best")
    if type(step) is not int or not isinstance(manifest.get("tensors"), dict):
        raise CheckpointError(f"'{file}' does not say its step and tensors.")
    match = FOLDER.fullmatch(path.name)
    if match and (match[1] == "best", int(match[2])) != (best, step):
        raise CheckpointError(f"'{file}' is of step {step}, not that of its folder's name.")
    return step


def read_state(path: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The state values of a checkpoint; CheckpointError if damaged."""
    try:
        state = strict_json(storage.read_file(path, manifest, STATE))
    except ValueError as error:
        raise CheckpointError(f"'{path / STATE}' is damaged: {error}.") from None
    if not isinstance(state, dict):
        raise CheckpointError(f"'{path / STATE}' is damaged: it is not an object.")
    return state


def check_signature(file: Path, expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """CheckpointError naming the first tensor that is not as the manifest says."""
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise CheckpointError(
                f"'{file}': tensor '{name}' is {found.get(name, 'missing')}, "
                f"not {expected.get(name, 'there')}."
            )


def steps(root: Path, best: bool = False) -> list[int]:
    """Steps of the checkpoints that lie under `root` now, newest first, good or not."""
    kind = "best" if best else "step"
    names = [entry.name for entry in root.iterdir() if entry.is_dir()] if root.is_dir() else []
    matches = [FOLDER.fullmatch(name) for name in names]
    return sorted((int(match[2]) for match in matches if match and match[1] == kind), reverse=True)


def load_newest(root: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest good checkpoint on disk, and a message for each newer one that was skipped."""
    skipped = []
    for step in steps(root):
        try:
            return load(folder_of(root, step)), skipped
        except CheckpointError as error:
            skipped.append(f"Skipped the checkpoint of step {step}: {error}")
    return None, skipped


def load_best(root: Path, step: int) -> Checkpoint:
    """The best checkpoint, saved at `step`.

    Raises:
        CheckpointError: It is missing or damaged.
    """
    return load(folder_of(root, step, best=True))


def prune(root: Path, keep: int, *, committed: Path | None = None) -> list[Path]:
    """Remove checkpoints that are no longer needed; returns their folders.

    Kept are the newest `keep` good step checkpoints and the best ones that their states
    name in `best_step`. If none is good, nothing is removed.

    Args:
        root: The folder of checkpoints.
        keep: How many, at least 1.
        committed: What `save` has just returned: known to be good without reading it again,
            and the newest of the run, so that step checkpoints beyond it, which a resume
            skipped as damaged, go too.

    Raises:
        StorageError: A folder could not be removed.
    """
    if keep < 1:
        raise ValueError(f"At least 1 checkpoint must be kept, not {keep}.")
    kept: dict[int, int | None] = {}
    for step in steps(root):
        path = folder_of(root, step)
        if committed is not None and not kept and path.name != committed.name:
            continue
        if len(kept) < keep and (state := good_state(path, thorough=committed is None)) is not None:
            kept[step] = state.get("best_step")
    if not kept:
        return []
    unneeded = [folder_of(root, step) for step in steps(root) if step not in kept]
    best = [step for step in steps(root, best=True) if step not in kept.values()]
    unneeded += [folder_of(root, step, best=True) for step in best]
    for path in unneeded:
        storage.remove_tree(path)
    return unneeded


def good_state(path: Path, thorough: bool) -> dict[str, Any] | None:
    """The state of a checkpoint whose files are all there (and, if `thorough`, unchanged)."""
    try:
        manifest = storage.verify_folder(path, hashes=thorough)
        check_facts(path, manifest)
        return read_state(path, manifest)
    except CheckpointError:
        return None
