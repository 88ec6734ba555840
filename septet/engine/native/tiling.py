"""Tiles of a product: their heights and widths, and what threads share of them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Vectors:
    """What the processor has: numbers in a register, registers, and tiles of bfloat16."""

    lanes: int
    registers: int
    has_tiles: bool = False


@dataclass(frozen=True)
class Tiling:
    """How the result of a product is covered.

    Args:
        widths: Of the tiles beside each other, in vectors, the widest first.
        by_columns: Whether threads share the columns, and not the rows.
    """

    widths: list[int]
    by_columns: bool


COPY_CYCLES = 1.5
"""Of copying one vector of the right side together, for each row of it."""


def pieces(total: int, size: int) -> list[tuple[int, int, int]]:
    """(first, size, how many) of equal pieces, and of one for what is left."""
    size = min(size, total)
    count, left = divmod(total, size)
    return [(0, size, count), *([(count * size, left, 1)] if left else [])]


def groups(widths: Sequence[int], ends_within: bool) -> list[tuple[int, int, bool]]:
    """(width, how many, whether it ends within a vector): the last tile alone if it does."""
    whole = widths[:-1] if ends_within else widths
    found = [(width, list(whole).count(width), False) for width in sorted(set(whole), reverse=True)]
    return [*found, (widths[-1], 1, True)] if ends_within else found


def height(rows: int, width: int, vectors: Vectors, is_shared: bool) -> tuple[float, int]:
    """(cycles of all rows, height of a tile) that is best for tiles of this width.

    With `is_shared`, the cycles are those of the slower of two threads.
    """
    most = max(1, (vectors.registers - 1 - width) // width)
    choices = []
    for tall in range(1, min(rows, most) + 1):
        cycles = sum(
            (part_of(n) if is_shared else n) * _cycles(h, width) for _, h, n in pieces(rows, tall)
        )
        choices.append((cycles, -tall))
    cycles, tall = min(choices)
    return cycles, -tall


def tiling(
    rows: int, columns: int, lanes_left: int, vectors: Vectors, copies: bool, may_share: bool
) -> Tiling:
    """The tiles that take the fewest cycles, of one thread and of the slower of two.

    Args:
        rows: Of the result.
        columns: Of the result, in vectors.
        lanes_left: Numbers in the last vector, 0 where it is whole.
        vectors: What the processor has.
        copies: Whether the columns of a tile are copied together: by each thread that reads them.
        may_share: Whether threads share the product at all.
    """
    copy = COPY_CYCLES if copies else 0.0
    options = range(1, 4 if vectors.registers <= 16 else 5)
    choices: list[tuple[float, int, Tiling]] = []
    for by_columns in (False, True) if may_share else (False,):
        each = {
            width: height(rows, width, vectors, may_share and not by_columns)[0] + copy * width
            for width in options
        }
        candidates = [_fewest(columns, each)]
        for width in each:
            full, left = divmod(columns, width)
            candidates.append([width] * full + ([left] if left else []))
        for widths in candidates:
            alone = sum(height(rows, width, vectors, False)[0] + copy * width for width in widths)
            shared = alone
            if may_share:
                shared = sum(
                    (part_of(count) if by_columns else count) * each[width]
                    for width, count, _ in groups(widths, bool(lanes_left))
                )
            choices.append((alone + 2 * shared, len(choices), Tiling(widths, by_columns)))
    return min(choices)[2]


def part_of(count: int) -> int:
    """Rounds that fall to the slower of two threads."""
    return count - count // 2


def _cycles(height: int, width: int) -> float:
    """Of one round of a tile: two multiplications at once, each done after four."""
    return max(height * width / 2, (height + width) / 2, 4.0)


def _fewest(columns: int, each: dict[int, float]) -> list[int]:
    """Widths that cover all columns in the fewest cycles, of which a tile takes `each`."""
    best: list[tuple[float, list[int]]] = [(0.0, [])]
    for total in range(1, columns + 1):
        best.append(
            min(
                (best[total - width][0] + cycles, [*best[total - width][1], width])
                for width, cycles in each.items()
                if width <= total
            )
        )
    return sorted(best[columns][1], reverse=True)
