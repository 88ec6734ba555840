"""Septet: deep learning in Python, whole.

The public names, resolved on first use so that `import septet` stays instant.
"""

import os
from typing import TYPE_CHECKING, Any

from septet.engine.allocation import share_one_heap
from septet.version import __version__

# Keras reads this when it is first imported; a user's own choice is respected.
os.environ.setdefault("KERAS_BACKEND", "jax")
# Before there are threads; a user's own choice is respected here too.
share_one_heap()

if TYPE_CHECKING:
    from septet.api import check, evaluate, fit, inspect, load, predict, reproduce, resume, train

__all__ = [
    "__version__",
    "check",
    "evaluate",
    "fit",
    "inspect",
    "load",
    "predict",
    "reproduce",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from septet import api

        return getattr(api, name)
    raise AttributeError(f"module 'septet' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
