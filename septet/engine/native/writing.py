"""What all products have in common: their sizes, copies of the right side, stores of a tile."""

import itertools
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """One product [rows, depth] by [depth, columns]; distances between neighbours."""

    rows: int
    columns: int
    depth: int
    left: tuple[int, int]
    right: tuple[int, int]
    out: int


def copied_together(
    shape: Shape, lanes: int, width: int, depth: int, is_turned: bool, is_last: bool
) -> list[str]:
    """Copy the columns of a tile together."""
    wide = width * lanes
    if not is_turned:
        loads = [
            f"STORE(pack + k * {wide} + {at}, LOAD(b + k * {shape.right[0]} + n + {at}));"
            for at in range(0, wide, lanes)
        ]
        return [f"for (long k = 0; k < {depth}; k++) {{", *loads, "}"]
    columns = (width - 1) * lanes + shape.columns % lanes if is_last else wide
    return [f"turn(b + n * {shape.right[1]}, {shape.right[1]}, {columns}, {depth}, pack, {wide});"]


def begun(shape: Shape, lanes: int, height: int, width: int, follows: str) -> list[str]:
    """The sums of a tile: zero, or where the condition `follows` holds what is stored already."""
    cells = list(itertools.product(range(height), range(width)))
    lines = [f"vec s{r}_{v} = {{0}};" for r, v in cells]
    if follows == "0":
        return lines
    loads = [f"s{r}_{v} = LOAD(C + (m + {r}) * {shape.out} + n + {v * lanes});" for r, v in cells]
    return [*lines, f"if ({follows}) {{", *loads, "}"]


def added(shape: Shape, lanes: int, height: int, width: int) -> list[str]:
    """One round of a tile: `x` is at the left side's numbers and `y` at the right side's."""
    lines = [f"vec y{v} = LOAD(y + {v * lanes}); HELD(y{v});" for v in range(width)]
    for r in range(height):
        lines.append(f"{{ vec z = spread(x[{r * shape.left[0]}]);")
        lines += [f"s{r}_{v} += z * y{v};" for v in range(width)]
        lines.append("}")
    return lines


def stored(shape: Shape, lanes: int, height: int, width: int, is_last: bool) -> list[str]:
    """Stores of a tile; the last vector of the last tile holds fewer numbers."""
    lines = []
    for r, v in itertools.product(range(height), range(width)):
        place = f"C + (m + {r}) * {shape.out} + n + {v * lanes}"
        if is_last and v == width - 1:
            left = shape.columns % lanes
            # Of a copy: what has an address is not kept in a register.
            lines.append(f"{{ vec part = s{r}_{v}; memcpy({place}, &part, {4 * left}); }}")
        else:
            lines.append(f"STORE({place}, s{r}_{v});")
    return lines
