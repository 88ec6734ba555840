"""Convolutions and pooling as matrix products and reshapes, where XLA's own are slow.

XLA's CPU convolutions are several times slower than matrix products, above all backwards.
While a model is traced under `lowered()`, `jax.lax.conv_general_dilated` becomes patches
and one matrix product, and pooling over windows that do not overlap becomes a reshape and
a reduction; both are differentiated by JAX, so the backward pass is lowered too. Exact to
float32 rounding. What does not fit goes to XLA unchanged. GPUs keep cuDNN.
"""

import contextlib
import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from septet.engine.native import calls, depthwise, multiply

MOST_SLICES = 16
"""Largest pooling window whose maximum is taken slice by slice."""
_parts_stay_apart = False
_trains = False


class TooLargeError(Exception):
    """A convolution that is not worth what it was to be lowered for."""


@dataclass
class Seen:
    """What was met while lowering: how many convolutions."""

    convolutions: int = 0


@contextlib.contextmanager
def lowered(platform: str, *, windows: int = 0, trains: bool = False) -> Iterator["Seen"]:
    """Trace convolutions, pooling and scans in their lowered form on "cpu"; else do nothing.

    Args:
        platform: Where the program will run.
        windows: If not 0, every convolution is patches of whole windows and one product, for a
            compiler that reads such patches where they lie; TooLargeError is raised at a product
            of more multiplications than this.
        trains: What is traced learns: large products may be made of halves (`native/multiply.py`).
    """
    global _parts_stay_apart, _trains
    seen = Seen()
    if platform != "cpu":
        yield seen
        return
    from jax import lax
    from jax import numpy as jnp

    before = _parts_stay_apart, _trains
    _parts_stay_apart, _trains = not windows, trains
    original = lax.conv_general_dilated, lax.reduce_window, lax.conv_transpose, jnp.matmul
    lax.conv_general_dilated = _convolution_for(original[0], windows, seen)
    lax.reduce_window = _pooling_for(original[1])
    lax.conv_transpose = _transposed_for(lax.conv_general_dilated)
    jnp.matmul = _matmul_for(original[3])
    try:
        with calls.opened(not windows):
            yield seen
    finally:
        lax.conv_general_dilated, lax.reduce_window, lax.conv_transpose, jnp.matmul = original
        _parts_stay_apart, _trains = before


def apart(function: Callable[..., Any], *arguments: Any, never: Any) -> Any:
    """`function(*arguments)`, which XLA on a CPU may not join with what follows.

    It would otherwise compute the results again within each fusion that reads them, in that
    fusion's order; `jax.lax.optimization_barrier` is gone before XLA fuses.

    Args:
        function: Pure, of arrays.
        arguments: For it.
        never: Scalar that is always false, which the compiler cannot know.
    """
    if not _parts_stay_apart:
        return function(*arguments)
    import jax
    import jax.numpy as jnp
    from jax import lax

    shapes = jax.eval_shape(function, *arguments)

    def nothing(*_: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    return lax.cond(never, nothing, function, *arguments)


def _convolution_for(original: Any, windows: int, seen: Seen) -> Any:
    """`conv_general_dilated` that takes the lowered path where it applies."""

    def conv_general_dilated(
        lhs: Any,
        rhs: Any,
        window_strides: Sequence[int],
        padding: Any,
        lhs_dilation: Sequence[int] | None = None,
        rhs_dilation: Sequence[int] | None = None,
        dimension_numbers: Any = None,
        feature_group_count: int = 1,
        batch_group_count: int = 1,
        **rest: Any,
    ) -> Any:
        from jax import lax

        seen.convolutions += 1
        numbers = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
        in_dim = lhs.shape[numbers.lhs_spec[1]]
        plain = (
            batch_group_count == 1
            and feature_group_count in (1, in_dim)
            and not (isinstance(padding, str) and any(rate > 1 for rate in lhs_dilation or ()))
            and rest.get("preferred_element_type") is None
            and lhs.dtype == rhs.dtype
        )
        if not plain:
            return original(
                lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation,
                dimension_numbers, feature_group_count, batch_group_count, **rest,
            )  # fmt: skip
        channels_last, kernel, restore = _to_channels_last(lhs, rhs, numbers)
        spatial = len(window_strides)
        if lhs_dilation is not None and any(rate > 1 for rate in lhs_dilation):
            # A transposed convolution: zeros between the inputs, and then as any other.
            holes = [(0, 0, 0), *((0, 0, rate - 1) for rate in lhs_dilation), (0, 0, 0)]
            channels_last = lax.pad(channels_last, channels_last.dtype.type(0), holes)
        dilation = tuple(rhs_dilation or (1,) * spatial)
        pads = _pads(channels_last.shape, kernel.shape, window_strides, dilation, padding)
        whole = convolve_windows if windows else convolve
        compute = whole if feature_group_count == 1 else convolve_depthwise
        outputs = compute(channels_last, kernel, tuple(window_strides), pads, dilation)
        if windows and math.prod(outputs.shape) * math.prod(kernel.shape[:-1]) > windows:
            raise TooLargeError(f"A convolution has more than {windows} multiplications.")
        return restore(outputs)

    return conv_general_dilated


def _matmul_for(original: Any) -> Any:
    """`jax.numpy.matmul` whose large products are C that XLA calls, in what trains."""

    def matmul(a: Any, b: Any, *rest: Any, **more: Any) -> Any:
        import jax

        is_plain = _trains and not rest and all(isinstance(side, jax.Array) for side in (a, b))
        wanted = more.get("preferred_element_type")
        is_plain = is_plain and {*more} <= {"preferred_element_type"} and wanted in (None, a.dtype)
        if is_plain and multiply.fits(a.shape, b.shape, (a.dtype, b.dtype)):
            return multiply.product(a, b)
        return original(a, b, *rest, **more)

    return matmul


def _transposed_for(convolution: Any) -> Any:
    """`jax.lax.conv_transpose` by `convolution`: its own holds on to the one that is replaced."""

    def conv_transpose(
        lhs: Any,
        rhs: Any,
        strides: Sequence[int],
        padding: Any,
        rhs_dilation: Sequence[int] | None = None,
        dimension_numbers: Any = None,
        transpose_kernel: bool = False,
        precision: Any = None,
        preferred_element_type: Any = None,
        **rest: Any,
    ) -> Any:
        import jax.numpy as jnp
        from jax import lax

        spatial = len(lhs.shape) - 2
        if dimension_numbers is None:
            axes = "DHW"[3 - spatial :]
            dimension_numbers = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
        spec = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers).rhs_spec
        rates = tuple(rhs_dilation or (1,) * spatial)
        if isinstance(padding, str):
            reach = [
                (rhs.shape[axis] - 1) * rate + 1 for axis, rate in zip(spec[2:], rates, strict=True)
            ]
            padding = [
                _transposed_pads(size, step, padding)
                for size, step in zip(reach, strides, strict=True)
            ]
        if transpose_kernel:
            rhs = jnp.swapaxes(jnp.flip(rhs, spec[2:]), spec[0], spec[1])
        return convolution(
            lhs, rhs, (1,) * spatial, padding, lhs_dilation=tuple(strides), rhs_dilation=rates,
            dimension_numbers=dimension_numbers, precision=precision,
            preferred_element_type=preferred_element_type, **rest,
        )  # fmt: skip

    return conv_transpose


def _transposed_pads(size: int, stride: int, padding: str) -> tuple[int, int]:
    """Zeros before and after, as `jax.lax.conv_transpose` has them for "SAME" and "VALID"."""
    if padding.upper() == "SAME":
        total = size + stride - 2
        low = size - 1 if stride > size - 1 else math.ceil(total / 2)
    else:
        total = size + stride - 2 + max(size - stride, 0)
        low = size - 1
    return low, total - low


def _to_channels_last(lhs: Any, rhs: Any, numbers: Any) -> tuple[Any, Any, Any]:
    """Inputs [n, *spatial, c], kernel [*spatial, in, out], and the way back for outputs."""
    import jax.numpy as jnp

    lhs_spec, rhs_spec, out_spec = numbers
    inputs = jnp.transpose(lhs, (lhs_spec[0], *lhs_spec[2:], lhs_spec[1]))
    kernel = jnp.transpose(rhs, (*rhs_spec[2:], rhs_spec[1], rhs_spec[0]))
    back = [0] * len(out_spec)
    for position, axis in enumerate((out_spec[0], *out_spec[2:], out_spec[1])):
        back[axis] = position
    return inputs, kernel, lambda outputs: jnp.transpose(outputs, back)


def _pads(
    shape: Sequence[int],
    kernel_shape: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: Any,
) -> list[tuple[int, int]]:
    """Padding before and after each spatial axis, in numbers."""
    if not isinstance(padding, str):
        return [(int(low), int(high)) for low, high in padding]
    if padding.upper() == "VALID":
        return [(0, 0)] * len(strides)
    pads = []
    for size, width, stride, rate in zip(
        shape[1:-1], kernel_shape[:-2], strides, dilation, strict=True
    ):
        reach = (width - 1) * rate + 1
        total = max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
        low = total // 2 if padding.upper() == "SAME" else total - total // 2
        pads.append((low, total - low))
    return pads


def convolve(
    inputs: Any,
    kernel: Any,
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilation: Sequence[int],
) -> Any:
    """Convolution as one matrix product.

    Args:
        inputs: [n, *spatial, in].
        kernel: [*window, in, out].
        strides: Step of the window along each spatial axis.
        pads: Zeros (or cropping, when negative) before and after each spatial axis.
        dilation: Distance between the window's taps along each spatial axis.

    Returns:
        [n, *positions, out].
    """
    if _is_worth_folding(kernel.shape[:-2], strides, dilation):
        inputs, kernel = _folded(inputs, kernel, strides, pads)
        strides, pads = (1,) * len(strides), [(0, 0)] * len(strides)
    window, (in_dim, out_dim) = kernel.shape[:-2], kernel.shape[-2:]
    reach = (window[0] - 1) * dilation[0]
    rows = inputs.shape[1] + sum(pads[0]) - reach
    # Around the product a position costs what is written for it: patches and parts.
    across = math.prod(window[1:]) * in_dim + window[0] * out_dim
    if strides[0] == 1 and rows > 0 and across <= math.prod(window) * in_dim:
        return _convolve_across(inputs, kernel, strides, pads, dilation, rows)
    return convolve_windows(inputs, kernel, strides, pads, dilation)


MOST_FOLDED_WASTE = 1.35
"""Largest share by which zeros may enlarge a window for it to be folded."""


def _is_worth_folding(
    window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> bool:
    """Whether a window that steps is better a smaller one that does not, over more channels."""
    if max(dilation) > 1 or any(
        stride == 1 or width < stride for stride, width in zip(strides, window, strict=True)
    ):
        return False
    whole = math.prod(
        math.ceil(width / stride) * stride for width, stride in zip(window, strides, strict=True)
    )
    return whole <= MOST_FOLDED_WASTE * math.prod(window)


def _folded(
    inputs: Any, kernel: Any, strides: Sequence[int], pads: Sequence[tuple[int, int]]
) -> tuple[Any, Any]:
    """Inputs and kernel of the same convolution without steps or padding.

    Each step's pixels become channels of one place: its patches are then few and long pieces of
    memory, and within a row shared by its outputs.
    """
    import jax.numpy as jnp

    window, (in_dim, out_dim) = kernel.shape[:-2], kernel.shape[-2:]
    counts = [math.ceil(width / stride) for width, stride in zip(window, strides, strict=True)]
    places = [
        max((size + sum(pad) - width) // stride + count, 0)
        for size, pad, width, stride, count in zip(
            inputs.shape[1:-1], pads, window, strides, counts, strict=True
        )
    ]
    edges = [
        (low, place * stride - size - low)
        for (low, _), place, stride, size in zip(
            pads, places, strides, inputs.shape[1:-1], strict=True
        )
    ]
    spatial = len(window)
    split = [n for pair in zip(places, strides, strict=True) for n in pair]
    order = [*range(1, 2 * spatial, 2), *range(2, 2 * spatial + 1, 2)]
    inputs = _padded(inputs, edges).reshape(len(inputs), *split, in_dim)
    inputs = inputs.transpose(0, *order, 2 * spatial + 1).reshape(len(inputs), *places, -1)
    ends = [
        (0, count * stride - width)
        for count, stride, width in zip(counts, strides, window, strict=True)
    ]
    kernel = jnp.pad(kernel, [*ends, (0, 0), (0, 0)])
    kernel = kernel.reshape(
        *(n for pair in zip(counts, strides, strict=True) for n in pair), in_dim, out_dim
    )
    order = [*range(0, 2 * spatial, 2), *range(1, 2 * spatial, 2), 2 * spatial, 2 * spatial + 1]
    return inputs, kernel.transpose(order).reshape(*counts, -1, out_dim)


def convolve_windows(
    inputs: Any,
    kernel: Any,
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilation: Sequence[int],
) -> Any:
    """`convolve` by patches of whole windows."""
    patches = _patches(_padded(inputs, pads), kernel.shape[:-2], strides, dilation)
    return _product(patches, kernel.reshape(-1, kernel.shape[-1]))


def convolve_depthwise(
    inputs: Any,
    kernel: Any,
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilation: Sequence[int],
) -> Any:
    """Convolution of each channel on its own, as a sum over the window's taps.

    Arguments are as in `convolve`, with a kernel [*window, 1, in * times], which gives `times`
    outputs of each channel, neighbours of each other. Where XLA compiles, it is C that XLA calls.
    """
    import jax.numpy as jnp

    window, out_dim = kernel.shape[:-2], kernel.shape[-1]
    is_plain = calls.are_open() and out_dim == inputs.shape[-1] and kernel.dtype == inputs.dtype
    if is_plain and depthwise.fits(inputs.shape, window, pads, dilation, inputs.dtype):
        return depthwise.convolve(inputs, kernel[..., 0, :], strides, pads)
    repeated = jnp.repeat(inputs, out_dim // inputs.shape[-1], axis=-1)
    taps = _taps(_padded(repeated, pads), window, strides, dilation)
    weights = kernel.reshape(-1, out_dim)
    return functools.reduce(operator.add, (tap * w for tap, w in zip(taps, weights, strict=True)))


def _convolve_across(
    inputs: Any,
    kernel: Any,
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    rows: int,
) -> Any:
    """`convolve` whose patches lie within a row; what the rows give is shifted and added.

    The product gives, for each input row, its part in every output row that sees it.
    Patches and their gradients are thus a third as large for a 3x3 window.
    """
    window, out_dim = kernel.shape[:-2], kernel.shape[-1]
    padded = _padded(inputs, [(0, 0), *pads[1:]])
    patches = _patches(padded, (1, *window[1:]), strides, (1, *dilation[1:]))
    # [*window, in, out] to [*window[1:], in, window[0], out].
    axes = (*range(1, len(window) + 1), 0, len(window) + 1)
    parts = _product(patches, kernel.transpose(axes).reshape(-1, window[0] * out_dim))
    shifted = []
    for tap in range(window[0]):
        low = pads[0][0] - tap * dilation[0]
        edges = [(low, rows - inputs.shape[1] - low), *[(0, 0)] * (len(window) - 1)]
        shifted.append(_padded(parts[..., tap * out_dim : (tap + 1) * out_dim], edges))
    return functools.reduce(operator.add, shifted)


def _product(patches: Any, matrix: Any) -> Any:
    """[..., k] times [k, out] as one plain matrix product."""
    positions = patches.shape[:-1]
    if _trains and multiply.fits(patches.shape, matrix.shape, (patches.dtype, matrix.dtype)):
        return multiply.product(patches, matrix)
    return (patches.reshape(-1, len(matrix)) @ matrix).reshape(*positions, -1)


def _padded(inputs: Any, pads: Sequence[tuple[int, int]]) -> Any:
    """`inputs` with zeros around, or cropped, along its spatial axes."""
    from jax import lax

    edges = [(0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0)]
    return lax.pad(inputs, inputs.dtype.type(0), edges)


def _patches(
    padded: Any, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> Any:
    """[n, *positions, taps * in]: what each window sees, taps in row-major order."""
    import jax.numpy as jnp

    taps = _taps(padded, window, strides, dilation)
    return taps[0] if len(taps) == 1 else jnp.concatenate(taps, axis=-1)


def _taps(
    padded: Any, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> list[Any]:
    """[n, *positions, in] of each tap of the window, in row-major order."""
    from jax import lax

    sizes = padded.shape[1:-1]
    reach = [(width - 1) * rate + 1 for width, rate in zip(window, dilation, strict=True)]
    ends = [
        (size - span) // stride * stride + 1
        for size, span, stride in zip(sizes, reach, strides, strict=True)
    ]
    if any(end < 1 for end in ends):
        ends = [max(end, 0) for end in ends]
    taps = []
    for tap in itertools.product(*(range(width) for width in window)):
        start = [index * rate for index, rate in zip(tap, dilation, strict=True)]
        limit = [low + end for low, end in zip(start, ends, strict=True)]
        taps.append(
            lax.slice(
                padded,
                (0, *start, 0),
                (padded.shape[0], *limit, padded.shape[-1]),
                (1, *strides, 1),
            )
        )
    return taps


def _pooling_for(original: Any) -> Any:
    """`reduce_window` that reshapes and reduces when windows tile the array."""

    def reduce_window(
        operand: Any,
        init_value: Any,
        computation: Any,
        window_dimensions: Any,
        window_strides: Any = None,
        padding: Any = "VALID",
        *rest: Any,
        **more: Any,
    ) -> Any:
        import jax.numpy as jnp
        from jax import lax

        few = math.prod(window_dimensions) <= MOST_SLICES
        maximum = _max_program() if few else jnp.max
        reduction = {lax.max: maximum, lax.add: jnp.sum}.get(computation)
        tiles = (
            reduction is not None
            and not rest
            and not more
            and hasattr(operand, "shape")
            and tuple(window_dimensions) == tuple(window_strides or ())
            and all(
                size >= width for size, width in zip(operand.shape, window_dimensions, strict=True)
            )
            and (
                padding == "VALID"
                or (padding == "SAME" and _divides(operand.shape, window_dimensions))
            )
        )
        if not tiles:
            return original(
                operand, init_value, computation, window_dimensions, window_strides, padding,
                *rest, **more,
            )  # fmt: skip
        return _reduce_tiles(operand, window_dimensions, reduction)

    return reduce_window


def _divides(shape: Sequence[int], window: Sequence[int]) -> bool:
    return all(size % width == 0 for size, width in zip(shape, window, strict=True))


def _reduce_tiles(operand: Any, window: Sequence[int], reduction: Any) -> Any:
    """`reduction` over tiles of shape `window`; what is left at the far edges is dropped."""
    counts = [size // width for size, width in zip(operand.shape, window, strict=True)]
    cropped = operand[tuple(slice(0, n * width) for n, width in zip(counts, window, strict=True))]
    shape: list[int] = []
    axes: list[int] = []
    for count, width in zip(counts, window, strict=True):
        shape.append(count)
        if width > 1:
            axes.append(len(shape))
            shape.append(width)
    return reduction(cropped.reshape(shape), tuple(axes))


@functools.cache
def _max_program() -> Any:
    """`(tiles, axes) -> maximum`, whose gradient is shared equally by equal maxima.

    The same as `jnp.max` gives, several times faster backwards: the maxima are counted by
    adding slices, where a reduction over axes that are not neighbours is slow.
    """
    import jax
    import jax.numpy as jnp

    @functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
    def maximum(tiles: Any, axes: tuple[int, ...]) -> Any:
        return _fold(jnp.maximum, tiles, axes)

    @maximum.defjvp
    def forward(axes: tuple[int, ...], given: tuple[Any], moved: tuple[Any]) -> tuple[Any, Any]:
        (tiles,), (tangent,) = given, moved
        found = maximum(tiles, axes)
        is_largest = (tiles == jnp.expand_dims(found, axes)).astype(tiles.dtype)
        # Turned round, as gradients are, this sum is no more than a repetition.
        share = jnp.sum(is_largest * tangent, axes)
        return found, share / _fold(jnp.add, is_largest, axes)

    return maximum


def _fold(operation: Any, array: Any, axes: tuple[int, ...]) -> Any:
    """`array` reduced over `axes` by applying `operation` to its slices."""
    from jax import lax

    for axis in sorted(axes, reverse=True):
        slices = [
            lax.index_in_dim(array, i, axis, keepdims=False) for i in range(array.shape[axis])
        ]
        array = functools.reduce(operation, slices)
    return array
