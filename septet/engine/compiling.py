"""Settings of XLA's compiler that suit a program, where its defaults lose time."""

import functools
import logging
import math
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

REPEATABLE = "xla_gpu_deterministic_ops"
"""The same bits each time: a GPU otherwise adds in any order, and kernels are those that were
fastest in a trial."""
SMALL_PRODUCT = 2_000_000
"""Most multiplications of a product for which sharing it between cores costs more than it gives."""
CPU_INFO = Path("/proc/cpuinfo")


def compile_for(lowered: Any, options: dict[str, Any]) -> Any:
    """Compile what was lowered; options that this version of XLA does not know are left out.

    So is `REPEATABLE` where XLA cannot compile a program with it, with a warning.
    """
    import jax

    if options:
        try:
            return lowered.compile(compiler_options=options)
        # XLA's own look-ups end in IndexError.
        except (jax.errors.JaxRuntimeError, IndexError) as error:
            if REPEATABLE in options and "RESOURCE_EXHAUSTED" not in str(error):
                logger.warning(
                    "XLA cannot compile this program so that it gives the same bits each time on "
                    "this device: a run that is resumed ends close to an uninterrupted one, not "
                    "equal (%r)",
                    error,
                )
            elif "option" not in str(error):
                raise
    return lowered.compile()


def options_for(jaxpr: Any, platform: str, *, repeatable: bool = False) -> dict[str, Any]:
    """Options for one compilation: on a GPU, and on a CPU, where all is repeatable anyway.

    A program of small products is faster where each is left to one core: the cores' meeting
    after every product costs more than they share. Vectors of 512 bits are worth about 5 %
    where the processor does not slow down for them.

    Args:
        jaxpr: Of the program.
        platform: Where it will run.
        repeatable: It must give the same bits each time, if that is slower.
    """
    if platform == "gpu" and repeatable:
        return {REPEATABLE: True}
    if platform != "cpu":
        return {}
    options: dict[str, Any] = {}
    if largest_product(jaxpr) <= SMALL_PRODUCT:
        options["xla_cpu_multi_thread_eigen"] = False
    if _has_free_wide_vectors():
        options["xla_cpu_prefer_vector_width"] = 512
    return options


def largest_product(jaxpr: Any) -> int:
    """Multiplications of the largest matrix product or convolution in a jaxpr and all within it."""
    largest = 0
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            depth = math.prod(shape[axis] for axis in contracted)
            largest = max(largest, math.prod(equation.outvars[0].aval.shape) * depth)
        elif name == "conv_general_dilated":
            kernel, result = equation.invars[1].aval, equation.outvars[0].aval
            features = equation.params["dimension_numbers"].rhs_spec[0]
            taps = math.prod(kernel.shape) // max(kernel.shape[features], 1)
            largest = max(largest, math.prod(result.shape) * taps)
        for inner in _inner(equation.params.values()):
            largest = max(largest, largest_product(inner))
    return largest


def _inner(values: Any) -> Any:
    """The jaxprs among the parameters of an equation."""
    for value in values:
        if hasattr(value, "eqns"):
            yield value
        elif hasattr(value, "jaxpr"):
            yield value.jaxpr
        elif isinstance(value, list | tuple):
            yield from _inner(value)


@functools.cache
def _has_free_wide_vectors() -> bool:
    """Whether this is a processor of AMD with AVX-512; older ones of Intel lower their clock."""
    try:
        text = CPU_INFO.read_text(errors="replace")
    except OSError:
        return False
    return "AuthenticAMD" in text and " avx512f" in text
