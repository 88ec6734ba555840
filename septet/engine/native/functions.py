"""Elementwise functions as expressions of C, and about what each costs."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from septet.engine.native.graph import UnsupportedError, Value

C_TYPES = {
    "float32": "f32", "int32": "i32", "uint32": "u32", "bool": "u8", "uint8": "u8", "int8": "i8",
}  # fmt: skip
REGISTER_TYPES = {**C_TYPES, "bool": "i32"}
"""Of what is computed with; truth is kept in a byte, and computed as wide as a number."""
BYTES = {"float32": 4, "int32": 4, "uint32": 4, "bool": 1, "uint8": 1, "int8": 1}

_OPERATORS = {
    "add": "+", "sub": "-", "mul": "*", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">",
    "ge": ">=",
}  # fmt: skip
_BITWISE = {"and": "&", "or": "|", "xor": "^"}
_OWN = frozenset({"exp", "log", "log1p", "expm1", "tanh", "logistic", "erf_inv"})
_LIBRARY = {
    "sqrt": "sqrtf", "floor": "floorf", "ceil": "ceilf", "round": "rintf", "sin": "sinf",
    "cos": "cosf", "erf": "erff", "erfc": "erfcf", "cbrt": "cbrtf", "exp2": "exp2f",
    "pow": "powf", "atan2": "atan2f", "nextafter": "nextafterf",
}  # fmt: skip
_COSTS = {
    "exp": 12, "log": 14, "log1p": 18, "expm1": 18, "tanh": 14, "logistic": 16, "erf_inv": 30,
    "div": 4, "sqrt": 4, "rsqrt": 8, "erf": 40, "erfc": 40, "sin": 30, "cos": 30, "pow": 60,
    "cbrt": 40, "atan2": 60, "exp2": 30,
}  # fmt: skip


def cost(value: Value) -> int:
    """About how many simple operations `value` takes, its arguments not counted."""
    return _COSTS.get(value.params["function"], 1)


def literal(value: Any, dtype: str) -> str:
    """A number as C writes it, to the last bit."""
    if dtype == "float32":
        number = float(np.float32(value))
        if math.isnan(number):
            return "NAN"
        if math.isinf(number):
            return "INFINITY" if number > 0 else "(-INFINITY)"
        return f"({number.hex()}f)" if number < 0 or number.hex()[0] == "-" else f"{number.hex()}f"
    if dtype == "bool":
        return str(int(value))
    if dtype in ("uint32", "uint8"):
        return f"{int(value)}u"
    # The least integer has no literal of its own.
    return f"({int(value)})" if int(value) > -(2**31) else "(-2147483647 - 1)"


def expression(value: Value, args: Sequence[str]) -> str:
    """`value`, a "map", as an expression of its arguments.

    Raises:
        UnsupportedError: The function is not known for numbers of this type.
    """
    name, dtype = value.params["function"], value.args[0].dtype
    if name == "select_n":
        if value.args[0].dtype != "bool" or len(args) != 3:
            raise UnsupportedError("a choice between more than two")
        kind = REGISTER_TYPES[value.dtype]
        return f"pick_{kind}({args[0]}, {args[2]}, {args[1]})"
    if name == "clamp":
        kind = C_TYPES[value.dtype]
        return f"min_{kind}(max_{kind}({args[1]}, {args[0]}), {args[2]})"
    if name in ("max", "min") and dtype != "bool":
        return f"{name}_{C_TYPES[dtype]}({args[0]}, {args[1]})"
    if name == "copy":
        return args[0]
    if name == "convert":
        return _converted(value, args[0])
    if name == "bitcast":
        return _bits(value, args[0])
    if name in _OPERATORS and (dtype != "bool" or name in ("eq", "ne")):
        return f"{args[0]} {_OPERATORS[name]} {args[1]}"
    if name in _BITWISE and dtype != "float32":
        return f"{args[0]} {_BITWISE[name]} {args[1]}"
    if name == "not":
        return f"!{args[0]}" if dtype == "bool" else f"~{args[0]}"
    if name == "neg" and dtype != "bool":
        return f"-{args[0]}"
    if name == "abs" and dtype != "bool":
        return (
            f"fabsf({args[0]})"
            if dtype == "float32"
            else f"({args[0]} < 0 ? -{args[0]} : {args[0]})"
        )
    if name == "square" and dtype != "bool":
        return f"{args[0]} * {args[0]}"
    if name == "one_minus_square" and dtype == "float32":
        return f"(1.0f + {args[0]}) * (1.0f - {args[0]})"
    if name == "integer_pow" and dtype == "float32":
        return _power(args[0], value.params["exponent"])
    if name == "shift_right_logical" and dtype in ("uint32", "int32"):
        return f"({args[1]} > 31u ? 0u : (u32){args[0]} >> ({args[1]} & 31u))"
    if name == "shift_left" and dtype in ("uint32", "int32"):
        return f"({args[1]} > 31u ? 0u : (u32){args[0]} << ({args[1]} & 31u))"
    if dtype == "float32":
        if name == "div":
            return f"{args[0]} / {args[1]}"
        if name == "rem":
            return f"fmodf({args[0]}, {args[1]})"
        if name == "rsqrt":
            return f"1.0f / sqrtf({args[0]})"
        if name in ("sign", "is_finite"):
            return f"{name}_f32({args[0]})"
        if name in _OWN:
            return f"{name}_f32({args[0]})"
        if name in _LIBRARY:
            return f"{_LIBRARY[name]}({', '.join(args)})"
    if name in ("div", "rem") and dtype in ("int32", "uint32"):
        sign = {"div": "/", "rem": "%"}[name]
        # Division by zero is -1 or the number itself in XLA, and the end of the process in C.
        zero = "-1" if name == "div" else args[0]
        return f"({args[1]} == 0 ? {zero} : {args[0]} {sign} {args[1]})"
    if name == "sign" and dtype == "int32":
        return f"(({args[0]} > 0) - ({args[0]} < 0))"
    raise UnsupportedError(f"'{name}' of {dtype}")


def _converted(value: Value, arg: str) -> str:
    before, after = value.args[0].dtype, value.dtype
    if after == "bool":
        return f"{arg} != 0"
    if before == "float32" and after in ("uint32", "uint8", "int8"):
        raise UnsupportedError(f"a float as {after}")
    if before == "float32":
        # XLA takes the nearest number that there is, and 0 for NaN.
        return (
            f"({arg} != {arg} ? 0 : {arg} >= 2147483648.0f ? 2147483647 : "
            f"{arg} < -2147483648.0f ? (-2147483647 - 1) : (i32){arg})"
        )
    return f"({C_TYPES[after]}){arg}"


def _bits(value: Value, arg: str) -> str:
    before, after = value.args[0].dtype, value.dtype
    if after == "float32":
        return f"float_of((i32){arg})"
    return (
        f"({C_TYPES[after]})bits_of({arg})" if before == "float32" else f"({C_TYPES[after]}){arg}"
    )


def _power(base: str, exponent: int) -> str:
    """A whole power by repeated squaring, as XLA does it."""
    if exponent == 0:
        return "1.0f"
    factors, square, left = [], base, abs(exponent)
    while left:
        if left & 1:
            factors.append(square)
        square, left = f"({square} * {square})", left >> 1
    product = " * ".join(factors)
    return product if exponent > 0 else f"1.0f / ({product})"
