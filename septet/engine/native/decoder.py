"""A decoder that writes one text, in C: drafted by rounded weights, then read as it is."""

import ctypes
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from septet.engine.native import building
from septet.engine.native.step import Layout, address_of, aligned
from septet.engine.native.threads import Threads

MOST_ROWS = 8
"""Tokens that can be read at once, `MOST_ROWS` of `decoder.c`."""
DENSE, NORM = ("weights", "bias"), ("gamma", "beta")
BLOCK = (
    ("before", NORM), ("joined", DENSE), ("mixed", DENSE), ("between", NORM), ("hidden", DENSE),
    ("last", DENSE),
)  # fmt: skip
"""What a block has, in the order of `decoder.c`."""


@dataclass(frozen=True)
class Sizes:
    """Of a decoder.

    Args:
        vocabulary: Tokens there are.
        dim: Of a position's vector.
        hidden: Units of each block's hidden layer.
        depth: Blocks.
        heads: Of attention.
        length: Most tokens kept.
        epsilon: Added to variances.
    """

    vocabulary: int
    dim: int
    hidden: int
    depth: int
    heads: int
    length: int
    epsilon: float


class _Dense(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("weights", "bias", "scales", "rounded")),
        *((name, ctypes.c_long) for name in ("columns", "depth")),
    ]


class _Norm(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in NORM]


class _Block(ctypes.Structure):
    _fields_ = [
        *((name, _Norm if kind is NORM else _Dense) for name, kind in BLOCK),
        ("keys", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
    ]


class _Decoder(ctypes.Structure):
    _fields_ = [
        ("blocks", ctypes.POINTER(_Block)),
        *((name, ctypes.c_void_p) for name in ("table", "positions", "turns")),
        ("after", _Norm),
        ("logits", _Dense),
        *((name, ctypes.c_long) for name in ("depth", "dim", "heads", "length", "room")),
        ("epsilon", ctypes.c_float),
    ]


class _Writing(ctypes.Structure):
    _fields_ = [
        ("text", ctypes.c_void_p),
        *((name, ctypes.c_long) for name in ("size", "place")),
        *((name, ctypes.c_int32) for name in ("next", "end")),
        *((name, ctypes.c_void_p) for name in ("noise", "banned", "seen")),
        *((name, ctypes.c_float) for name in ("temperature", "top_p", "penalty")),
        *((name, ctypes.c_int32) for name in ("top_k", "repeats")),
    ]


class NativeDecoder:
    """A decoder whose weights, and whose keys and values of one text, lie in memory of its own.

    `weights` are to be written into: the table of tokens [vocabulary, dim], that of positions
    [length, dim] unless these are rotary, of each block what `BLOCK` says, and gamma and beta of
    the last norm. Those of a dense layer have a row for each of its results. Then `round`, and for
    each text `begin` and `write`.

    Args:
        sizes: Of it.
        turns: Sines and cosines of places, float32 [2, length, half of a head's dim]; None where
            positions are learned.
        banned: Tokens that are never chosen, bool [vocabulary].
        end: The token that nothing follows.
        remembered: Tokens before the `sizes.length` read that guesses are sought among.

    Raises:
        NoCompilerError: There is no compiler, or it refuses.
    """

    def __init__(
        self,
        sizes: Sizes,
        turns: np.ndarray | None,
        *,
        banned: np.ndarray,
        end: int,
        remembered: int,
    ):
        """Compile it, and have the memory."""
        text = "\n".join(
            resources.files("septet.engine.native").joinpath(name).read_text()
            for name in ("prelude.h", "decoder.c")
        )
        self._library = building.build([text])
        self._library.decoder_room.restype = ctypes.c_long
        self._library.decoder_write.restype = ctypes.c_long
        # What is done at once is compared with its like alone.
        self._threads = {each: Threads(building.cores()) for each in ("begin", "draft", "repeat")}
        self.sizes = sizes
        lanes, size = building.compiler()[1].lanes, sizes.dim // sizes.heads
        room = -(-(sizes.length + MOST_ROWS) // lanes) * lanes
        kept = [(sizes.heads, size, room), (sizes.heads, room, size)] * sizes.depth
        shapes = _shapes(sizes, is_learned=turns is None)
        self.weights = _arrays(shapes)
        self._rounded = [_rounded_like(shape) for shape in shapes]
        self._kept = _arrays(kept)
        self._turns = None if turns is None else np.ascontiguousarray(turns, np.float32)
        self._banned = np.ascontiguousarray(banned, np.uint8)
        self._decoder = self._described(room)
        most = ctypes.c_long(max(self._threads["begin"].options))
        needed = self._library.decoder_room(ctypes.byref(self._decoder), most)
        self._memory = aligned(4 * needed, np.float32)
        # Rows for scores, and for their order, are beside those of logits.
        self.logits = np.zeros((MOST_ROWS + 2, sizes.vocabulary), np.float32)
        self._remembered, self._row = remembered, np.zeros(MOST_ROWS, np.int32)
        self._text = np.zeros(remembered + sizes.length + MOST_ROWS + 1, np.int32)
        self._seen = np.zeros((2, sizes.vocabulary), np.uint8)
        self._writing = _Writing(
            text=address_of(self._text), end=end, banned=address_of(self._banned),
            seen=address_of(self._seen),
        )  # fmt: skip

    def _described(self, room: int) -> _Decoder:
        """What C is told of it, with the addresses of all arrays."""
        sizes, weights = self.sizes, iter(zip(self.weights, self._rounded, strict=True))

        def norm() -> _Norm:
            return _Norm(*(address_of(next(weights)[0]) for _ in NORM))

        def dense() -> _Dense:
            matrix, (rounded, scales) = next(weights)
            bias, _ = next(weights)
            return _Dense(*map(address_of, (matrix, bias, scales, rounded)), *matrix.shape)

        table, (rounded, scales) = next(weights)
        positions = None if self._turns is not None else address_of(next(weights)[0])
        self._blocks = (_Block * sizes.depth)()
        for number, block in enumerate(self._blocks):
            for name, kind in BLOCK:
                setattr(block, name, norm() if kind is NORM else dense())
            block.keys, block.values = map(address_of, self._kept[2 * number :][:2])
        return _Decoder(
            self._blocks, address_of(table), positions,
            None if self._turns is None else address_of(self._turns), norm(),
            _Dense(address_of(table), None, address_of(scales), address_of(rounded), *table.shape),
            sizes.depth, sizes.dim, sizes.heads, sizes.length, room, sizes.epsilon,
        )  # fmt: skip

    def round(self) -> None:
        """Have the weights by which is drafted: to eight bits, a scale for each row."""
        # What is not finite drafts nothing of use, and is read as it is.
        with np.errstate(all="ignore"):
            for weights, (rounded, scales) in zip(self.weights, self._rounded, strict=True):
                if weights.ndim == 2:
                    highest = np.abs(weights).max(1)
                    scales[...] = np.maximum(highest, np.finfo(np.float32).tiny) / 127
                    np.rint(weights / scales[:, None], casting="unsafe", out=rounded)

    @property
    def place(self) -> int:
        """Tokens that are kept."""
        return int(self._writing.place)

    def begin(
        self,
        prompt: np.ndarray,
        known: np.ndarray,
        noise: np.ndarray | None,
        *,
        temperature: float,
        top_k: int,
        top_p: float,
        penalty: float,
    ) -> None:
        """Read a prompt; how a token is chosen says `septet.models.choosing.choose`.

        Args:
            prompt: Tokens, at least one and fewer than are kept.
            known: All tokens before and of the prompt: seen, and looked for guesses in.
            noise: See `write`; of what follows the prompt.
            temperature: What logits are divided by; 0 for the likeliest.
            top_k: Among how many likeliest; 0 for all.
            top_p: Among the likeliest of this share.
            penalty: What logits of seen tokens are made less by.

        Raises:
            ValueError: The prompt is empty or too long, or has a token that there is not.
        """
        if not 0 < len(prompt) < self.sizes.length:
            raise ValueError(
                f"Received a prompt of {len(prompt)} tokens; expected 1 to {self.sizes.length - 1}."
            )
        for tokens in (prompt, known):
            if tokens.min() < 0 or tokens.max() >= self.sizes.vocabulary:
                raise ValueError(
                    f"Received tokens {tokens.min()} to {tokens.max()}; expected 0 to "
                    f"{self.sizes.vocabulary - 1}."
                )
        to = self._writing
        last = known[-self._remembered :]
        self._text[: len(last)] = last
        self._seen[0] = 0
        self._seen[0, known] = 1
        to.size, to.repeats = len(last), 0
        to.temperature, to.top_k, to.top_p, to.penalty = temperature, top_k, top_p, penalty
        to.noise = None if noise is None else address_of(noise)
        prompt = np.ascontiguousarray(prompt, np.int32)
        more = address_of(prompt), len(prompt)
        self._call(self._library.decoder_begin, more, self._threads["begin"], count=len(prompt))

    def write(self, drafted: int, noise: np.ndarray | None) -> list[int]:
        """The next tokens, one or more, up to the end; the one after them is chosen already.

        Args:
            drafted: Tokens to draft, below `MOST_ROWS`.
            noise: Added to the scores of the tokens after the first, float32 [`MOST_ROWS` or more,
                vocabulary]; None at temperature 0.
        """
        self._writing.noise = None if noise is None else address_of(noise)
        threads = self._threads["repeat" if self._writing.repeats else "draft"]
        more = drafted, address_of(self._row)
        count = self._call(self._library.decoder_write, more, threads, count=1)
        return self._row[:count].tolist()

    def _call(self, function: Any, more: tuple[int, ...], threads: Threads, count: int) -> int:
        chosen = threads.choose()
        began = time.perf_counter()
        found = function(
            ctypes.byref(self._decoder),
            ctypes.byref(self._writing),
            *map(ctypes.c_void_p, more),
            *(ctypes.c_void_p(address_of(each)) for each in (self.logits, self._memory)),
            ctypes.c_long(chosen),
        )
        threads.see(chosen, count, time.perf_counter() - began)
        return found


def _shapes(sizes: Sizes, *, is_learned: bool) -> list[tuple[int, ...]]:
    dim, hidden = sizes.dim, sizes.hidden
    columns = {"joined": (3 * dim, dim), "mixed": (dim, dim), "hidden": (hidden, dim)}
    columns["last"] = (dim, hidden)
    block: list[tuple[int, ...]] = []
    for name, kind in BLOCK:
        block += [(dim,), (dim,)] if kind is NORM else [columns[name], columns[name][:1]]
    first = [(sizes.vocabulary, dim), *([(sizes.length, dim)] if is_learned else [])]
    return [*first, *block * sizes.depth, (dim,), (dim,)]


def _arrays(shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Of float32, each from where a vector may begin."""
    return Layout([np.broadcast_to(np.float32(0), shape) for shape in shapes]).arrays()


def _rounded_like(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(int8, scales of its rows) for a matrix; nothing for a vector."""
    if len(shape) == 1:
        shape = (0, 0)
    return np.zeros(shape, np.int8), np.ones(shape[0], np.float32)
