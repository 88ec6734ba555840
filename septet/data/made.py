"""Sample data sets that are made on first use, without a network, from what the package holds."""

import contextlib
import importlib
import os
import tempfile
from pathlib import Path

from septet.data.samples import Sample
from septet.errors import StorageError

SCRATCH = ".making-"


def make(sample: Sample) -> Path:
    """The set's folder in the user's cache, made now; there at once or not at all.

    Raises:
        StorageError: The disk is full or failing.
    """
    target = sample.folder() / sample.file
    module, _, function = sample.made.partition(":")
    compose = getattr(importlib.import_module(module), function)
    try:
        sample.folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=sample.folder()) as scratch:
            new = Path(scratch) / "new"
            new.mkdir()
            compose(new)
            # Another process may have made the same in between; it is as good as ours.
            with contextlib.suppress(FileExistsError):
                _rename(new, target)
    except OSError as error:
        raise StorageError(
            f"Cannot make '{sample.name}' in '{sample.folder()}': {error.strerror or error}. Free "
            "some space, or choose another folder with the environment variable SEPTET_CACHE."
        ) from error
    return target


def _rename(new: Path, target: Path) -> None:
    try:
        os.rename(new, target)
    except OSError:
        if not target.is_dir():
            raise
