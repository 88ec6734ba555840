"""Depthwise convolutions as C that XLA calls within its programs, where there is a compiler.

XLA adds up a window's gradient one number at a time (50 ms where this takes 1 or 2), and has no
product to give the rest to. The calls are differentiated once, backwards.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from septet.engine.native import calls

OUTPUTS, INPUTS, WINDOW = "depthwise_outputs", "depthwise_inputs", "depthwise_window"
WIDEST = 16
"""As in the C."""


def lanes() -> int:
    """Fewest channels that the calls take; 0 where there are no calls."""
    return calls.lanes("depthwise.c", OUTPUTS, INPUTS, WINDOW)


def fits(
    shape: Sequence[int],
    window: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    dtype: Any,
) -> bool:
    """Whether the calls can do it: two axes, whole windows, float32, and channels enough.

    Args:
        shape: Of the inputs, [n, height, width, channels].
        window: Height and width of the kernel.
        pads: Before and after each axis.
        dilation: Between the window's taps.
        dtype: Of inputs and kernel.
    """
    return (
        len(window) == 2
        and max(window) <= WIDEST
        and tuple(dilation) == (1, 1)
        and min(min(pad) for pad in pads) >= 0
        and np.dtype(dtype) == np.float32
        and min(shape) > 0
        and 0 < lanes() <= shape[-1]
    )


def convolve(
    inputs: Any, kernel: Any, strides: Sequence[int], pads: Sequence[tuple[int, int]]
) -> Any:
    """Convolution of each channel on its own.

    Args:
        inputs: Float32 [n, height, width, channels].
        kernel: Float32 [*window, channels].
        strides: Steps of the window.
        pads: Zeros before and after each axis.

    Returns:
        [n, *positions, channels].
    """
    return _program()(inputs, kernel, tuple(strides), tuple(map(tuple, pads)))


@functools.cache
def _program() -> Any:
    import jax
    import jax.numpy as jnp

    def call(name: str, shape: Any, *given: Any, sizes: Sequence[int]) -> Any:
        result = jax.ShapeDtypeStruct(tuple(shape), jnp.float32)
        return calls.call(name, result, *given, sizes=np.array(sizes, np.int64))

    @functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
    def convolution(inputs: Any, kernel: Any, strides: Any, pads: Any) -> Any:
        return outputs_of(inputs, kernel, strides, pads)

    def outputs_of(inputs: Any, kernel: Any, strides: Any, pads: Any) -> Any:
        places = [
            max((size + sum(pad) - width) // stride + 1, 0)
            for size, pad, width, stride in zip(
                inputs.shape[1:3], pads, kernel.shape[:2], strides, strict=True
            )
        ]
        shape = (inputs.shape[0], *places, inputs.shape[3])
        sizes = [*strides, *(low for low, _ in pads)]
        return call(OUTPUTS, shape, inputs, kernel, sizes=sizes)

    def forward(inputs: Any, kernel: Any, strides: Any, pads: Any) -> Any:
        return outputs_of(inputs, kernel, strides, pads), (inputs, kernel)

    def backward(strides: Any, pads: Any, kept: Any, gradient: Any) -> Any:
        inputs, kernel = kept
        sizes = [*strides, *(low for low, _ in pads)]
        of_window = call(WINDOW, kernel.shape, inputs, gradient, sizes=sizes)
        turned = [
            (width - 1 - low, size - place + low)
            for size, place, width, (low, _) in zip(
                inputs.shape[1:3], gradient.shape[1:3], kernel.shape[:2], pads, strict=True
            )
        ]
        if tuple(strides) == (1, 1) and min(map(min, turned)) >= 0:
            of_inputs = outputs_of(gradient, kernel[::-1, ::-1], strides, turned)
        else:
            of_inputs = call(INPUTS, inputs.shape, gradient, kernel, sizes=sizes)
        return of_inputs, of_window

    convolution.defvjp(forward, backward)
    return convolution
