"""Products of windows: the left side is read where it lies, along several axes in rows and depth.

A part of the right side is copied together once for all rows. What of the depth is left of a
part is a loop around everything, which adds to what is there.
"""

import math
from collections.abc import Sequence

from septet.engine.native.graph import UnsupportedError, Value
from septet.engine.native.indexing import Layout, merged
from septet.engine.native.kernels import THREAD
from septet.engine.native.tiling import Tiling, Vectors, groups, height, part_of, pieces
from septet.engine.native.writing import Shape, added, begun, copied_together, stored

MOST_DEEP = 768
"""Most of the depth that is gone through within a tile, where it is several axes."""
MOST_COPIED = 1 << 20
"""Most bytes of the right side that are copied together: they lie on a thread's stack."""


def product_of_windows(dot: Value, sides: tuple[Layout, Layout], vectors: Vectors) -> str:
    """The text of a C function's arguments and body: (out, left, right)."""
    value, (contracted, _) = dot.args[0], dot.params["contracted"]
    axes = list(zip(value.shape, sides[0].strides, strict=True))
    rows = merged([pair for axis, pair in enumerate(axes) if axis not in contracted]) or [(1, 1)]
    levels = merged([axes[axis] for axis in contracted]) or [(1, 1)]
    levels = [*levels[:-1], *_cut(*levels[-1])]
    around = len(levels) - 1
    while around and math.prod(size for size, _ in levels[around - 1 :]) <= MOST_DEEP:
        around -= 1
    (matrix_axis,) = dot.params["contracted"][1]
    down, across = sides[1].strides[matrix_axis], sides[1].strides[1 - matrix_axis]
    columns = dot.shape[-1]
    (last, row), inner = rows[-1], levels[around:]
    depth = math.prod(size for size, _ in inner)
    shape = Shape(last, columns, depth, (row, inner[-1][1]), (down, across), columns)
    lines = [f"const f32 *A = left + {sides[0].offset}, *B = right + {sides[1].offset};"]
    tiles = _tiling(shape, rows, vectors)
    room = depth * max(tiles.widths) * vectors.lanes
    if 4 * room > MOST_COPIED:
        raise UnsupportedError(f"a window of {depth} numbers in a row")
    lines.append(f"f32 pack[{room}] __attribute__((aligned(64)));")
    ahead, along = ["0"], "0"
    for level, (size, stride) in enumerate(levels[:around]):
        lines.append(f"for (long q{level} = 0; q{level} < {size}; q{level}++) {{")
        ahead.append(f"q{level} * {stride}")
        along = f"({along}) * {size} + q{level}"
    lines.append(f"const f32 *a = A + {' + '.join(ahead)};")
    lines.append(f"const f32 *b = B + ({along}) * {depth} * {down};")
    follows = " | ".join(f"q{level}" for level in range(around)) or "0"
    begin = 0
    for width, count, is_last in groups(tiles.widths, bool(columns % vectors.lanes)):
        kind = "" if tiles.by_columns else "ALL"
        lines.append(
            f"for (long j = {kind}FROM({count}), endj = {kind}TO({count}); j < endj; j++) {{"
        )
        lines.append(f"long n = ({begin} + j * {width}) * {vectors.lanes};")
        is_turned = across != 1
        lines += copied_together(shape, vectors.lanes, width, depth, is_turned, is_last)
        lines += _rows(shape, rows, inner, vectors, (width, is_last), follows, tiles.by_columns)
        lines.append("}")
        begin += count * width
    lines.append("}" * around)
    arguments = f"(f32 *restrict c, f32 *restrict left, f32 *restrict right, {THREAD})"
    return arguments + " {\n" + "\n".join(lines) + "\n}\n"


def _cut(size: int, stride: int) -> list[tuple[int, int]]:
    """A long axis as two, where it can be parted evenly."""
    piece = next((n for n in range(MOST_DEEP, 63, -1) if size % n == 0), size)
    return [(size // piece, piece * stride), (piece, stride)] if piece < size else [(size, stride)]


def _tiling(shape: Shape, rows: Sequence[tuple[int, int]], vectors: Vectors) -> Tiling:
    """The tiles that take the fewest cycles of one thread and of the slower of two."""
    columns = -(-shape.columns // vectors.lanes)
    ends_within = bool(shape.columns % vectors.lanes)
    choices = []
    for width in range(1, min(columns, 3 if vectors.registers <= 16 else 4) + 1):
        full, left = divmod(columns, width)
        widths = [width] * full + ([left] if left else [])
        each = {wide: height(shape.rows, wide, vectors, False)[0] for wide in widths}
        alone = sum(each[wide] for wide in widths)
        by_columns = sum(
            part_of(count) * each[wide] for wide, count, _ in groups(widths, ends_within)
        )
        rounds = rows[0][0] if len(rows) > 1 else 1
        by_rows = alone * part_of(rounds) / rounds
        choices.append(
            (alone + 2 * min(by_rows, by_columns), -width, Tiling(widths, by_columns < by_rows))
        )
    return min(choices)[2]


def _rows(
    shape: Shape,
    rows: Sequence[tuple[int, int]],
    inner: Sequence[tuple[int, int]],
    vectors: Vectors,
    tile: tuple[int, bool],
    follows: str,
    by_columns: bool,
) -> list[str]:
    """All rows of the tiles beside each other at column n."""
    width, is_last = tile
    lines, places, targets = [], ["a"], ["c"]
    out = shape.columns * math.prod(size for size, _ in rows)
    for level, (size, stride) in enumerate(rows[:-1]):
        out //= size
        kind = "ALL" if by_columns or level else ""
        r = f"r{level}"
        lines.append(
            f"for (long {r} = {kind}FROM({size}), end{r} = {kind}TO({size}); "
            f"{r} < end{r}; {r}++) {{"
        )
        places.append(f"{r} * {stride}")
        targets.append(f"{r} * {out}")
    lines.append(f"const f32 *from = {' + '.join(places)};")
    lines.append(f"f32 *C = {' + '.join(targets)};")
    _, tall = height(shape.rows, width, vectors, False)
    kind = "ALL" if by_columns or len(rows) > 1 else "ONE"
    for top, high, rounds in pieces(shape.rows, tall):
        lines.append(
            f"for (long i = {kind}FROM({rounds}), endi = {kind}TO({rounds}); i < endi; i++) {{"
        )
        lines.append(f"long m = {top} + i * {high};")
        lines += _tile(shape, vectors.lanes, (high, width), inner, follows)
        lines += stored(shape, vectors.lanes, high, width, is_last)
        lines.append("}")
    return [*lines, "}" * (len(rows) - 1)]


def _tile(
    shape: Shape,
    lanes: int,
    size: tuple[int, int],
    inner: Sequence[tuple[int, int]],
    follows: str,
) -> list[str]:
    lines = begun(shape, lanes, *size, follows)
    lines.append(f"const f32 *x = from + m * {shape.left[0]}, *y = pack;")
    for level, (count, stride) in enumerate(inner):
        lines.append(f"for (long k{level} = 0; k{level} < {count}; k{level}++) {{")
        if level < len(inner) - 1:
            lines.append(f"const f32 *x{level} = x + k{level} * {stride};")
            lines.append(f"const f32 *x = x{level};")
    lines += added(shape, lanes, *size)
    return [*lines, f"x += {inner[-1][1]}; y += {size[1] * lanes};", "}" * len(inner)]
