"""What `fit`, `evaluate` and `predict` say, and whom they tell."""

import sys
from typing import Any

_said: set[str] = set()


def note(text: str, verbose: Any) -> None:
    """Say `text` on stderr, once in a process, unless everything is silent."""
    if verbose == 0 or text in _said:
        return
    _said.add(text)
    print(f"septet: {text}", file=sys.stderr)


def callback_list(
    model: Any,
    callbacks: Any,
    verbose: Any,
    *,
    epochs: int,
    steps: int | None,
    with_history: bool = False,
) -> Any:
    """`callbacks` in Keras' container, which knows their common parameters."""
    import keras

    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    return keras.callbacks.CallbackList(
        callbacks,
        add_history=with_history,
        add_progbar=verbose != 0,
        verbose=verbose,
        epochs=epochs,
        steps=steps,
        model=model,
    )
