"""Which framework Keras computes on: JAX, unless another was chosen before Keras was imported.

Plain Python: it looks at names and at what is installed, and imports none of it.
"""

import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec

from septet.errors import InputError, MissingPackageError

VARIABLE = "KERAS_BACKEND"


@dataclass(frozen=True)
class Backend:
    """A framework that Keras computes on.

    Args:
        title: Its name for people.
        module: What is imported.
        install: The command that installs it.
    """

    title: str
    module: str
    install: str


BACKENDS = {
    "jax": Backend("JAX", "jax", "pip install jax"),
    "tensorflow": Backend("TensorFlow", "tensorflow", "pip install tensorflow-cpu"),
    "torch": Backend("PyTorch", "torch", "pip install torch"),
}


def current() -> str:
    """The backend that Keras has, or will have once it is imported."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "backend"):
        return keras.backend.backend()
    return os.environ.get(VARIABLE) or "jax"


def title() -> str:
    """The current backend's name for people."""
    name = current()
    return BACKENDS[name].title if name in BACKENDS else name


def choose(name: str | None = None) -> str:
    """Have Keras compute on `name`, or stay as it is; the backend's name.

    Raises:
        InputError: There is no such backend, or Keras runs on another one already.
        MissingPackageError: It is not installed; the message has its install line.
    """
    before = current()
    wanted = before if name is None else name
    if wanted not in BACKENDS:
        raise InputError(
            f"Received the backend '{wanted}'; expected one of {', '.join(BACKENDS)}. "
            f"Name one of these with --backend or {VARIABLE}."
        )
    backend = BACKENDS[wanted]
    if wanted != before and "keras" in sys.modules:
        raise InputError(
            f"Keras runs on {title()} in this process and cannot change to {backend.title}. "
            f"Start a new process with {VARIABLE}={wanted}."
        )
    if find_spec(backend.module) is None:
        raise MissingPackageError(
            backend.module, "", f"Computing on {backend.title}", install=backend.install
        )
    os.environ[VARIABLE] = wanted
    return wanted
