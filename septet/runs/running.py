"""A run from start to end, begun or resumed: lock, read, train, finish."""

import time
from contextlib import closing
from typing import Any

from septet.config import RunConfig, validate
from septet.errors import CheckpointError, DataError, Interrupted, SeptetError
from septet.runs import index, storage
from septet.runs.finishing import finish
from septet.runs.folder import RunFolder, read_object
from septet.runs.interruption import stop_on_signal
from septet.runs.observer import Observer
from septet.runs.receipt import hash_dataset
from septet.runs.session import Material, open_session, read
from septet.runs.training import Training

ACCOUNT = "account.json"


def run_to_the_end(
    run: RunFolder,
    observer: Observer,
    *,
    started: float | None = None,
    material: Material | None = None,
) -> dict[str, Any]:
    """Take the run from wherever it stands to its end; its evaluation.

    Args:
        run: A run's folder.
        observer: Hears how it goes.
        started: `time.monotonic()` when it was asked for.
        material: The data, when they were read already.

    Raises:
        RunBusyError: Another process works on the run.
        DataError: The data are not those the run began with.
        RunError: It failed while running; what was committed is kept.
        Interrupted: It was stopped on request, and is resumable.
    """
    started = time.monotonic() if started is None else started
    with run.lock(), stop_on_signal() as stop:
        if run.status()["status"] == "finished":
            observer.note(f"The run '{run.name}' is finished already.")
            return read_object(run.path / "evaluation.json") or {}
        try:
            run.set_status("running")
            material = material or read(run_config(run))
            _keep_account(run, material)
            observer.account(material.dataset.account.to_json())
            session = open_session(material, note=observer.note)
            with closing(session.feed):
                training = Training(session, run, observer, started=started)
                training.train(stop)
                return finish(training, observer)
        except KeyboardInterrupt as error:
            note_end(run, "interrupted", None)
            if isinstance(error, Interrupted):
                raise
            raise Interrupted(f"septet resume {run.name}") from None
        except SeptetError as error:
            note_end(run, "failed", str(error))
            raise
        finally:
            observer.closed()


def run_config(run: RunFolder) -> RunConfig:
    """The resolved settings of a run, checked."""
    return validate(RunConfig, run.config(), "config")


def _keep_account(run: RunFolder, material: Material) -> None:
    """Record the account, the splits and the data's hash, or compare with those recorded.

    Raises:
        DataError: The data changed since the run began.
    """
    path = run.path / ACCOUNT
    digest = hash_dataset(material.dataset)
    known = read_object(path)
    if known is None:
        if run.checkpoints.exists() and any(run.checkpoints.iterdir()):
            raise CheckpointError(
                f"'{path}' is missing or damaged, so it cannot be told whether the data are "
                "still those the run began with. Restore that file, or train anew."
            )
        splits = {name: split.sources for name, split in material.dataset.splits.items()}
        storage.commit_file(run.path / "splits.json", storage.json_bytes(splits))
        account = {"data_sha256": digest, **material.dataset.account.to_json()}
        if material.pretrained is not None:
            account["pretrained_sha256"] = material.pretrained
        storage.commit_file(path, storage.json_bytes(account))
    elif known.get("data_sha256") != digest:
        raise DataError(
            f"The data at '{material.config.source}' changed since the run '{run.name}' began, "
            "so continuing it would not end where it should. Restore the data, or train anew."
        )
    elif known.get("pretrained_sha256") != material.pretrained:
        raise DataError(
            f"The weights that the run '{run.name}' started from changed since it began, so it "
            "could not be repeated. Restore them, or train anew."
        )


def note_end(run: RunFolder, status: Any, error: str | None) -> None:
    """Record how the run stands; a full disk must not hide the reason it stopped."""
    try:
        run.set_status(status, error=error)
        index.refresh(run.path.parent)
    except SeptetError:
        pass
