"""Options of the compiler: chosen by the program's products, and left out where unknown."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from septet.engine import compiling


def jaxpr_of(function, *arguments):
    return jax.make_jaxpr(function)(*arguments).jaxpr


def test_the_largest_product_is_found_wherever_it_is():
    left, right = jnp.ones((4, 8)), jnp.ones((8, 5))

    @jax.jit
    def within(left):
        return lax.fori_loop(0, 3, lambda i, x: x + (left @ right).sum(), 0.0)

    assert compiling.largest_product(jaxpr_of(within, left)) == 4 * 8 * 5


def test_a_convolution_counts_its_taps():
    picture, kernel = jnp.ones((2, 3, 10, 10)), jnp.ones((7, 3, 3, 3))
    found = jaxpr_of(lambda x: lax.conv(x, kernel, (1, 1), "VALID"), picture)
    assert compiling.largest_product(found) == 2 * 7 * 8 * 8 * 3 * 3 * 3


@pytest.mark.parametrize(("size", "alone"), [(32, True), (512, False)])
def test_only_small_products_are_left_to_one_core(size, alone):
    square = jnp.ones((size, size))
    options = compiling.options_for(jaxpr_of(lambda x: x @ x, square), "cpu")
    assert ("xla_cpu_multi_thread_eigen" in options) is alone
    assert compiling.options_for(jaxpr_of(lambda x: x @ x, square), "gpu") == {}


def test_an_option_that_xla_does_not_know_is_left_out():
    program = jax.jit(lambda x: x + 1).lower(1.0)
    assert compiling.compile_for(program, {"xla_cpu_no_such_option": True})(1.0) == 2.0


@pytest.mark.parametrize(
    ("text", "wide"),
    [
        ("vendor_id : AuthenticAMD\nflags : fpu avx2 avx512f avx512dq", True),
        ("vendor_id : AuthenticAMD\nflags : fpu avx2", False),
        ("vendor_id : GenuineIntel\nflags : fpu avx2 avx512f", False),
    ],
)
def test_wide_vectors_by_processor(tmp_path, monkeypatch, text, wide):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(compiling, "CPU_INFO", tmp_path / "cpuinfo")
    compiling._has_free_wide_vectors.cache_clear()
    options = compiling.options_for(jaxpr_of(lambda x: x + 1, 1.0), "cpu")
    compiling._has_free_wide_vectors.cache_clear()
    assert ("xla_cpu_prefer_vector_width" in options) is wide
