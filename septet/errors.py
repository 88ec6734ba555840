"""Everything Septet raises on purpose.

SeptetError
├── InputError              the request was refused; nothing was changed   (exit 2)
│   ├── ConfigError         a setting is unknown or out of range
│   ├── DataError           the data cannot be read or breaks a limit
│   ├── ModelFolderError    a model folder is damaged or not ours
│   ├── WeightsError        weights to start from cannot be read or do not fit
│   ├── RunNotFoundError    no run of that name
│   ├── RunBusyError        another process holds the run
│   └── MissingPackageError an optional package is not installed
└── RunError                the run failed while running                   (exit 1)
    ├── StorageError        the disk is full or failing
    ├── CheckpointError     no complete checkpoint could be read
    └── NonFiniteError      the loss or an update is not a finite number

`Interrupted` is a KeyboardInterrupt: the run stopped on request and is resumable (exit 130).
"""


class SeptetError(Exception):
    """Base of all errors that Septet raises on purpose."""


class InputError(SeptetError):
    """The request was refused: says what came, what was expected, what to do."""


class ConfigError(InputError):
    """A setting is unknown, of the wrong type or out of range."""


class DataError(InputError):
    """The data cannot be read, or breaks a limit such as `data.max_rejected`."""


class ModelFolderError(InputError):
    """A model folder is damaged, hostile or of a format this version cannot read."""


class WeightsError(InputError):
    """Weights to start from cannot be read, or are not those of the network."""


class RunNotFoundError(InputError):
    """No run of that name, or the folder given is not a run."""


class RunBusyError(InputError):
    """Another process is working on the run."""


class MissingPackageError(InputError):
    """An optional package is needed; the message has its install line."""

    def __init__(self, package: str, extra: str, purpose: str, *, install: str | None = None):
        """Name the `package`, what it is for, and the `extra` or command that installs it."""
        command = install or f"pip install 'septet[{extra}]'"
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed. "
            f"Install it with: {command}"
        )


class RunError(SeptetError):
    """The run failed while running; what was committed before is kept."""


class StorageError(RunError):
    """Writing failed: names the path and, for a full disk, the bytes needed."""


class CheckpointError(RunError):
    """No complete checkpoint could be read."""


class NonFiniteError(RunError):
    """The loss or an update stopped being a finite number."""


class Interrupted(KeyboardInterrupt):
    """The run stopped on request after saving; `str()` has the resume command."""
