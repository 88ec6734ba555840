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


def test_a_gpu_is_asked_for_the_same_bits_where_they_count():
    jaxpr = jaxpr_of(lambda x: x + 1, 1.0)
    assert compiling.options_for(jaxpr, "gpu") == {}
    assert compiling.options_for(jaxpr, "gpu", repeatable=True) == {compiling.REPEATABLE: True}
    # XLA knows the option on every platform.
    program = jax.jit(lambda x: x + 1).lower(1.0)
    program.compile(compiler_options={compiling.REPEATABLE: True})


def test_what_cannot_give_the_same_bits_is_compiled_with_a_warning(caplog):
    class Lowered:
        def compile(self, compiler_options=None):
            if compiler_options:
                raise IndexError("absl::container_internal::raw_hash_map<>::at")
            return "program"

    assert compiling.compile_for(Lowered(), {compiling.REPEATABLE: True}) == "program"
    assert "same bits" in caplog.text


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
