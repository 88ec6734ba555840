"""PyTorch's files of before 2020, read as data: nothing in them is run.

They hold pickles, whose instructions `pickletools` lists. Those that only build values are
followed here; what they would import or call becomes a note of its name. Meant for files whose
SHA-256 is pinned, and safe with any: a file can only be refused. What users give is to be
safetensors.
"""

import io
import pickletools
from typing import Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {"torch FloatStorage": np.dtype("<f4"), "torch LongStorage": np.dtype("<i8")}
REBUILD = "torch._utils _rebuild_tensor_v2"
PLAIN = ("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "GLOBAL")
"""Instructions whose argument is the value."""
EMPTY: dict[str, Any] = {"EMPTY_TUPLE": (), "NONE": None, "NEWTRUE": True, "NEWFALSE": False}
FIXED_TUPLES: dict[str, int] = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}

_MARK = object()


class Called:
    """What a pickle wants called: the name and what it is given."""

    def __init__(self, function: Any, given: Any):
        """See the class."""
        self.function, self.given = function, given
        self.items: list[Any] = []


def read_state(content: bytes) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name, in its order.

    Args:
        content: The whole file.

    Raises:
        ValueError: It is not such a file, is damaged, or holds anything else.
    """
    file = io.BytesIO(content)
    try:
        if _value(file) != MAGIC:
            raise ValueError("it does not begin as they do")
        for _ in ("protocol", "system"):
            _value(file)
        state, keys = _value(file), _value(file)
        is_dict = isinstance(state, Called) and state.function == "collections OrderedDict"
        if not is_dict or not isinstance(keys, list):
            raise ValueError("it holds no state dict")
        wanted = dict(zip(state.items[::2], state.items[1::2], strict=True))
        storages = _storages(content, file.tell(), keys, wanted)
        return {name: _tensor(entry, storages) for name, entry in wanted.items()}
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"It is no state dict of PyTorch's old format ({error}).") from None


def _value(file: io.BytesIO) -> Any:
    """What the pickle at the file's place builds."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for instruction, given, _ in pickletools.genops(file):
        name = instruction.name
        if name in PLAIN:
            stack.append(given)
        elif name in EMPTY:
            stack.append(EMPTY[name])
        elif name in FIXED_TUPLES:
            stack.append(tuple(_taken(stack, FIXED_TUPLES[name])))
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "TUPLE":
            stack.append(tuple(_taken(stack, None)))
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append([])
        elif name in ("SETITEM", "SETITEMS", "APPEND", "APPENDS"):
            items = _taken(stack, {"SETITEM": 2, "APPEND": 1}.get(name))
            target = stack[-1].items if isinstance(stack[-1], Called) else stack[-1]
            target.extend(items)
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[given] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[given])
        elif name == "REDUCE":
            arguments = stack.pop()
            stack.append(Called(stack.pop(), arguments))
        elif name == "BUILD":
            # Attributes of the dict, as versions of layers.
            stack.pop()
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "BINPERSID"):
            raise ValueError(f"its pickle has the instruction {name}, which no state dict needs")
    raise ValueError("its pickle does not end")


def _taken(stack: list[Any], count: int | None) -> list[Any]:
    """So many values off the top, in their order; None: those above the last mark, and it."""
    place = len(stack) - (stack[::-1].index(_MARK) + 1 if count is None else count)
    values = stack[place:]
    del stack[place:]
    return values[1:] if count is None else values


def _storages(
    content: bytes, start: int, keys: list[str], wanted: dict[str, Called]
) -> dict[str, np.ndarray]:
    """The numbers behind the pickles, each storage after its count."""
    kinds = {entry.given[0][2]: DTYPES[entry.given[0][1]] for entry in wanted.values()}
    found = {}
    for key in keys:
        count = int.from_bytes(content[start : start + 8], "little")
        size = count * kinds[key].itemsize
        if start + 8 + size > len(content):
            raise ValueError(f"its storage '{key}' ends behind the file")
        found[key] = np.frombuffer(content, kinds[key], count, start + 8)
        start += 8 + size
    return found


def _tensor(entry: Called, storages: dict[str, np.ndarray]) -> np.ndarray:
    """One tensor, whose axes may lie in its storage in any order."""
    storage, offset, shape, strides = entry.given[:4]
    numbers = storages[storage[2]]
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    if entry.function != REBUILD or min(offset, *shape, *strides, 1) < 0 or last >= len(numbers):
        raise ValueError("a tensor of it does not lie in its storage")
    steps = [step * numbers.itemsize for step in strides]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps))
