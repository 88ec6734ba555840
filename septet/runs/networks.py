"""Networks built without memory for their weights, and given their values afterwards."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from septet.errors import DataError

if TYPE_CHECKING:
    import keras

Specification = tuple[str, tuple[int, ...]]


def build_apart(build: "Callable[[], keras.Model]", *, with_values: bool = False) -> "keras.Model":
    """The network that `build` makes, with no value in any variable unless `with_values`.

    Keras notes variables without a value in a list of the thread, and the next
    `StatelessScope` of that thread to end would initialise them all. Building in a thread
    of its own leaves that list behind; layer names count from the start there, too, so
    that the same architecture always has the same weight names.

    Raises:
        Exception: What `build` raises.
    """
    import keras

    networks: list[keras.Model] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            if with_values:
                networks.append(build())
                return
            with keras.StatelessScope(initialize_variables=False):
                networks.append(build())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="septet-build")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return networks[0]


def network_weights(network: "keras.Model") -> dict[str, Specification]:
    """Type and shape of each weight by name; the states of random generators left out."""
    return {
        variable.path: (str(variable.dtype), tuple(variable.shape)) for variable in network.weights
    }


def differences(
    built: Mapping[str, Specification], listed: Mapping[str, Specification]
) -> str | None:
    """The first way in which the weights listed are not those built, or None."""
    for name, wanted in built.items():
        if name not in listed:
            return f"{name!r} is missing"
        if listed[name] != wanted:
            return f"{name!r} is {show(listed[name])} and must be {show(wanted)}"
    extra = sorted(listed.keys() - built.keys())
    return f"{extra[0]!r} is none of the network's" if extra else None


def show(specification: Specification) -> str:
    """A type and shape for people."""
    return f"{specification[0]} {specification[1]}"


def begin_with(
    network: "keras.Model", weights: Mapping[str, np.ndarray], new: Sequence[str] = ()
) -> None:
    """Give a network these weights, by their names in it; none may be missing or left over.

    Args:
        network: Its variables have values.
        weights: By the names of variables.
        new: Variables that keep the values that were drawn.

    Raises:
        DataError: Names or shapes are not the network's.
    """
    given = {name: (str(array.dtype), array.shape) for name, array in weights.items()}
    wanted = {name: kind for name, kind in network_weights(network).items() if name not in new}
    wrong = differences(wanted, given)
    if wrong:
        raise DataError(f"The weights to begin with are not those of the network: {wrong}.")
    for variable in network.weights:
        if variable.path in weights:
            variable.assign(weights[variable.path])


def set_weights(network: "keras.Model", weights: dict[str, np.ndarray]) -> None:
    """Move `weights` (emptied) into a network of `build_apart`; each is held twice at most.

    Only JAX's variables may be without a value before.
    """
    kept = {id(variable) for variable in network.weights}
    for variable in network.variables:
        if id(variable) in kept:
            variable.assign(weights.pop(variable.path))
        else:
            # The state of a random generator: any value will do, as only training draws.
            variable.assign(np.zeros(variable.shape, str(variable.dtype)))
