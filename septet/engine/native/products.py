"""Matrix products of sizes known beforehand, as tiles that stay in registers."""

import itertools
import math
from collections.abc import Sequence

from septet.engine.native.convolutions import product_of_windows
from septet.engine.native.graph import Value
from septet.engine.native.indexing import Layout, collapsed, contiguous
from septet.engine.native.kernels import THREAD
from septet.engine.native.tiling import Vectors, groups, height, pieces, tiling
from septet.engine.native.writing import Shape, added, begun, copied_together, stored

MOST_DEEP = 256
"""Rows of the right side that are gone through at once: a tile's part stays in the cache."""
FEW_ROWS = 8
"""With fewer rows the right side is not worth turning or copying."""


def product(dot: Value, sides: tuple[Layout, Layout], vectors: Vectors) -> str:
    """The text of a C function's arguments and body: (out, left, right)."""
    if dot.args[0].op == "windows":
        return product_of_windows(dot, sides, vectors)
    axes = [_axes(dot, side, sides[side]) for side in (0, 1)]
    (batch_left, rows, left_depth), (batch_right, columns, right_depth) = axes
    depth = math.prod(size for size, _ in left_depth)
    out = contiguous(dot.shape)
    num_batch = len(batch_left)
    out_rows = out[num_batch : num_batch + len(rows)]
    out_columns = out[num_batch + len(rows) :]
    # Rows that are not one stride apart are loops of their own, all but the innermost.
    split = _split(rows, out_rows)
    outer = [
        *((a[0], a[1], b[1], o) for a, b, o in zip(batch_left, batch_right, out, strict=False)),
        *((size, stride, 0, o) for (size, stride), o in zip(rows[:split], out_rows, strict=False)),
    ]
    rows, out_rows = rows[split:], out_rows[split:]
    shape = Shape(
        math.prod(size for size, _ in rows),
        math.prod(size for size, _ in columns),
        depth,
        (_stride(rows), _stride(left_depth)),
        (_stride(right_depth), _stride(columns)),
        collapsed([size for size, _ in rows], out_rows) or 1,
    )
    assert not columns or collapsed([s for s, _ in columns], out_columns) == 1
    lines = [f"a += {sides[0].offset}; b += {sides[1].offset};"]
    opened, places = [], [[], [], []]
    # Threads share the outermost of these loops, or else the rows.
    first = next((size for size, *_ in outer if size > 1), 1)
    shares = first >= 8 or first in (2, 4, 6)
    for level, (size, a, b, o) in enumerate(outer):
        if size > 1:
            is_shared = shares and not opened
            bounds = (f"FROM({size})", f"TO({size})") if is_shared else ("0", f"{size}")
            g = f"g{level}"
            opened.append(
                f"for (long {g} = {bounds[0]}, end{g} = {bounds[1]}; {g} < end{g}; {g}++) {{"
            )
            for found, stride in zip(places, (a, b, o), strict=True):
                found.append(f"g{level} * {stride}")
    lines += opened
    for name, pointer, found in zip("abc", ("A", "B", "C"), places, strict=True):
        kind = "f32" if name == "c" else "const f32"
        lines.append(f"{kind} *{pointer} = {' + '.join([name, *found])};")
    lines += _tiles(shape, vectors, may_share=not shares)
    lines.append("}" * len(opened))
    if shares:
        # Within a thread's part nothing is shared again.
        lines = [
            line.replace("ROWSFROM(", "ALLFROM(").replace("ROWSTO(", "ALLTO(") for line in lines
        ]
    arguments = f"(f32 *restrict c, f32 *restrict a, f32 *restrict b, {THREAD})"
    return arguments + " {\n" + "\n".join(lines) + "\n}\n"


def _axes(dot: Value, side: int, where: Layout) -> list[list[tuple[int, int]]]:
    """(size, stride) of the batch's, the free and the contracted axes of a side."""
    value = dot.args[side]
    contracted, batch = dot.params["contracted"][side], dot.params["batch"][side]
    free = [axis for axis in range(len(value.shape)) if axis not in {*contracted, *batch}]
    return [
        [(value.shape[axis], where.strides[axis]) for axis in axes]
        for axes in (batch, free, contracted)
    ]


def _split(rows: Sequence[tuple[int, int]], out: Sequence[int]) -> int:
    """How many of the outer axes of the rows must be loops of their own."""
    for count in range(len(rows) + 1):
        sizes = [size for size, _ in rows[count:]]
        if collapsed(sizes, [stride for _, stride in rows[count:]]) is not None:
            return count
    raise AssertionError("no axes always collapse")


def _stride(axes: Sequence[tuple[int, int]]) -> int:
    found = collapsed([size for size, _ in axes], [stride for _, stride in axes])
    assert found is not None
    return found


def _tiles(shape: Shape, vectors: Vectors, may_share: bool) -> list[str]:
    runs_along = shape.right[0] == 1 and shape.columns > 1
    if runs_along and shape.left[1] == 1 and shape.rows < FEW_ROWS:
        return _dots(shape, vectors)
    if shape.columns == 1:
        is_even = shape.left[1] == 1 and shape.right[0] == 1
        return _dots(shape, vectors) if is_even else _plain(shape)
    if runs_along or shape.right[1] == 1:
        return _broadcasts(shape, vectors, shape.right[1] != 1, may_share)
    return _plain(shape)


def _plain(shape: Shape) -> list[str]:
    (row, deep), (down, across) = shape.left, shape.right
    return [
        f"for (long m = ROWSFROM({shape.rows}), endm = ROWSTO({shape.rows}); m < endm; m++)",
        f"for (long n = 0; n < {shape.columns}; n++) {{",
        "f32 sum = 0;",
        "#pragma omp simd reduction(+:sum)",
        f"for (long k = 0; k < {shape.depth}; k++) "
        f"sum += A[m * {row} + k * {deep}] * B[k * {down} + n * {across}];",
        f"C[m * {shape.out} + n] = sum;",
        "}",
    ]


def _broadcasts(shape: Shape, vectors: Vectors, is_turned: bool, may_share: bool) -> list[str]:
    """Rows of the right side times single numbers of the left.

    The depth is taken in parts that the first cache holds, and the right side is copied
    together, or turned, where several tiles read it.
    """
    lanes = vectors.lanes
    is_packed = is_turned or _is_packed(shape)
    tiles = tiling(
        shape.rows, -(-shape.columns // lanes), shape.columns % lanes, vectors, is_packed, may_share
    )
    widths = tiles.widths
    parts = pieces(shape.depth, MOST_DEEP)
    lines = []
    if is_packed:
        room = min(shape.depth, MOST_DEEP) * max(widths) * lanes
        lines.append(f"f32 pack[{room}] __attribute__((aligned(64)));")
    for first, depth, times in parts:
        lines.append(f"for (long q = 0; q < {times}; q++) {{")
        lines.append(f"const f32 *a = A + ({first} + q * {depth}) * {shape.left[1]};")
        lines.append(f"const f32 *b = B + ({first} + q * {depth}) * {shape.right[0]};")
        follows = "1" if first else "q" if times > 1 else "0"
        begin = 0
        for width, count, is_last in groups(widths, bool(shape.columns % lanes)):
            columns, rows = ("ROWS", "ALL") if tiles.by_columns else ("ALL", "ROWS")
            lines.append(
                f"for (long j = {columns}FROM({count}), endj = {columns}TO({count}); "
                "j < endj; j++) {"
            )
            lines.append(f"long n = ({begin} + j * {width}) * {lanes};")
            if is_packed:
                lines += copied_together(shape, lanes, width, depth, is_turned, is_last)
            _, tall = height(shape.rows, width, vectors, may_share and not tiles.by_columns)
            source = ("pack", width * lanes) if is_packed else ("b + n", shape.right[0])
            for top, h, rounds in pieces(shape.rows, tall):
                lines.append(
                    f"for (long i = {rows}FROM({rounds}), endi = {rows}TO({rounds}); "
                    "i < endi; i++) {"
                )
                lines.append(f"long m = {top} + i * {h};")
                lines += _broadcast_tile(shape, lanes, (h, width), source, depth, follows)
                lines += stored(shape, lanes, h, width, is_last)
                lines.append("}")
            lines.append("}")
            begin += count * width
        lines.append("}")
    return lines


def _is_packed(shape: Shape) -> bool:
    """Whether a part of the right side is copied together before several tiles read it.

    Rows a large power of two apart share few places of the cache.
    """
    is_spread = shape.right[0] % 64 == 0 and shape.depth > 32 and shape.right[0] > 64
    is_skewed = bool(shape.right[0] % 8)
    return (shape.depth > 128 or is_spread or is_skewed) and shape.rows >= 2 * FEW_ROWS


def _broadcast_tile(
    shape: Shape,
    lanes: int,
    size: tuple[int, int],
    source: tuple[str, int],
    depth: int,
    follows: str,
) -> list[str]:
    (row, deep), (right, down) = shape.left, source
    lines = begun(shape, lanes, *size, follows)
    lines += [
        f"const f32 *x = a + m * {row}, *y = {right};",
        f"for (long k = 0; k < {depth}; k++) {{",
    ]
    lines += added(shape, lanes, *size)
    return [*lines, f"x += {deep}; y += {down};", "}"]


def _dots(shape: Shape, vectors: Vectors) -> list[str]:
    """Both sides run along the depth: sums within registers, added up at the end.

    Threads share the columns where there are too few rows for that: then each goes through its
    own part of the right side, which may be most of all that is read.
    """
    lanes, (row, _), (_, across) = vectors.lanes, shape.left, shape.right
    tall = min(shape.rows, 4)
    wide = min(shape.columns, 2 if vectors.registers <= 16 else 4)
    full, left = divmod(shape.depth, lanes)
    rows, columns = ("ALL", "ROWS") if shape.rows < 2 * tall else ("ROWS", "ALL")
    lines = []
    for begin, width, count in pieces(shape.columns, wide):
        lines.append(
            f"for (long j = {columns}FROM({count}), endj = {columns}TO({count}); j < endj; j++) {{"
        )
        lines.append(f"long n = {begin} + j * {width};")
        for top, high, times in pieces(shape.rows, tall):
            cells = list(itertools.product(range(high), range(width)))
            lines.append(
                f"for (long i = {rows}FROM({times}), endi = {rows}TO({times}); i < endi; i++) {{"
            )
            lines.append(f"long m = {top} + i * {high};")
            lines += [f"vec s{r}_{v} = {{0}};" for r, v in cells]
            lines.append(f"const f32 *x = A + m * {row}, *y = B + n * {across};")
            if full:
                lines.append(f"for (long k = 0; k < {full * lanes}; k += {lanes}) {{")
                lines += [
                    f"vec y{v} = LOAD(y + {v * across} + k); HELD(y{v});" for v in range(width)
                ]
                for r in range(high):
                    lines.append(f"{{ vec z = LOAD(x + {r * row} + k);")
                    lines += [f"s{r}_{v} += z * y{v};" for v in range(width)]
                    lines.append("}")
                lines.append("}")
            lines += [f"f32 t{r}_{v} = total(s{r}_{v});" for r, v in cells]
            if left:
                lines.append(f"for (long k = {full * lanes}; k < {shape.depth}; k++) {{")
                lines += [f"t{r}_{v} += x[{r * row} + k] * y[{v * across} + k];" for r, v in cells]
                lines.append("}")
            lines += [f"C[(m + {r}) * {shape.out} + n + {v}] = t{r}_{v};" for r, v in cells]
            lines.append("}")
        lines.append("}")
    return lines
