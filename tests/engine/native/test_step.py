"""Programs of C in place of XLA's: the same steps, the same halts, and what happens without."""

import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from septet.engine.native import building
from septet.engine.native.emit import MOST_PARTS, _spread
from septet.engine.program import Program
from septet.engine.schedules import Control
from septet.engine.state import TrainState
from tests.engine.native.compiled import needs_compiler

CONTROL = Control(np.int32(0), np.float32(0), np.int32(1), np.float32(1))
BLOCK = (np.arange(40, dtype=np.float32).reshape(20, 2) / 10, np.arange(20, dtype=np.int32))
ORDER = np.random.default_rng(0).permutation(20).astype(np.int32)


def state(*values: Any) -> TrainState:
    arrays = [jnp.asarray(value) for value in values]
    return TrainState(arrays, [], [], [], [], jnp.zeros((), jnp.int32))


def exchange(before: TrainState, batch: Any, control: Control) -> Any:
    """Two values change places, a third stays, a fourth grows; the loss is their sum."""
    first, second, kept, total = before.trainable
    rows, numbers = batch
    total = total + rows.sum() + numbers.sum()
    after = [second, first + 1, kept, total]
    return before._replace(trainable=after, step=before.step + 1), {"loss": total, "kept": kept}


def diverge(before: TrainState, batch: Any, control: Control) -> Any:
    (value,) = before.trainable
    value = value * 1e15
    return before._replace(trainable=[value], step=before.step + 1), {"loss": value.sum()}


def program(step: Any, start: TrainState, **settings: Any) -> Program:
    made = Program(step, 4, "cpu", **settings)
    made.lower(start, BLOCK, ORDER, CONTROL)
    made.compile()
    return made


def values_of(after: TrainState) -> list[np.ndarray]:
    return [np.asarray(value) for value in after.trainable]


@pytest.fixture
def without_compiler(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(building.SWITCH, "0")
    building.compiler.cache_clear()
    yield
    building.compiler.cache_clear()


START = (np.ones(3, np.float32), np.full(3, 5, np.float32), np.arange(4), np.float32(0))


@needs_compiler
def test_a_step_is_compiled_by_c_where_it_can_be() -> None:
    made = program(exchange, state(*START))
    assert made._native is not None
    assert made.num_traces == 1
    assert (made.memory_bytes() or 0) > 0


@needs_compiler
def test_values_may_change_places_and_chunks_may_be_of_any_length() -> None:
    made = program(exchange, state(*START))
    whole, logs, bad = made(state(*START), BLOCK, ORDER, CONTROL, 0, 5)
    parts = state(*START)
    for begin, count in ((0, 1), (1, 3), (4, 1)):
        parts, _, _ = made(parts, BLOCK, ORDER, CONTROL, begin, count)
    for ours, theirs in zip(values_of(parts), values_of(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    first, second, kept, total = values_of(whole)
    np.testing.assert_array_equal(first, np.full(3, 7))
    np.testing.assert_array_equal(second, np.full(3, 4))
    np.testing.assert_array_equal(kept, np.arange(4))
    np.testing.assert_allclose(total, BLOCK[0].sum() + BLOCK[1].sum(), rtol=1e-6)
    assert int(whole.step) == 5
    assert int(bad) == -1
    np.testing.assert_array_equal(logs["kept"], kept)


@needs_compiler
def test_what_went_in_is_as_it_was() -> None:
    made, before = program(exchange, state(*START)), state(*START)
    made(before, BLOCK, ORDER, CONTROL, 0, 5)
    for ours, theirs in zip(values_of(before), START, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@needs_compiler
@pytest.mark.parametrize("halts", [False, True])
def test_the_first_step_with_a_loss_that_is_not_finite_is_named(halts: bool) -> None:
    made = program(diverge, state(np.ones(2, np.float32)), halts=halts)
    after, logs, bad = made(state(np.ones(2, np.float32)), BLOCK, ORDER, CONTROL, 0, 5)
    assert int(bad) == 2
    assert int(after.step) == (3 if halts else 5)
    assert np.isinf(logs["loss"])


def test_without_a_compiler_xla_takes_the_step(without_compiler: Any) -> None:
    made = program(exchange, state(*START))
    assert made._native is None
    after, _, _ = made(state(*START), BLOCK, ORDER, CONTROL, 0, 5)
    assert int(after.step) == 5
    assert building.description() == "none"


@needs_compiler
def test_what_c_does_not_know_xla_takes() -> None:
    def sorts(before: TrainState, batch: Any, control: Control) -> Any:
        after = [jnp.sort(before.trainable[0])]
        return before._replace(trainable=after, step=before.step + 1), {"loss": after[0].sum()}

    made = program(sorts, state(np.array([3.0, 1.0], np.float32)))
    assert made._native is None
    after, _, _ = made(state(np.array([3.0, 1.0], np.float32)), BLOCK, ORDER, CONTROL, 0, 1)
    np.testing.assert_array_equal(values_of(after)[0], [1.0, 3.0])


@needs_compiler
def test_a_compiler_that_fails_is_said_and_xla_takes_the_step(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(building, "FLAGS", ("-no-such-flag",))
    with caplog.at_level(logging.WARNING):
        made = program(exchange, state(*START))
    assert "XLA takes it" in caplog.text
    after, _, _ = made(state(*START), BLOCK, ORDER, CONTROL, 0, 5)
    assert int(after.step) == 5


@needs_compiler
def test_machine_code_is_kept_and_made_anew_where_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path))
    texts = ["int most(void); int answer(void) { return most() + 1; }\n"]
    texts.append("int most(void) { return 40 + LANES / LANES; }\n")
    assert building.build(texts).answer() == 42
    (kept,) = (tmp_path / "native").glob("*.so")
    assert (tmp_path / "native").stat().st_mode & 0o077 == 0
    kept.write_bytes(b"not machine code")
    assert building.build(texts).answer() == 42


@needs_compiler
def test_a_program_of_large_products_stays_with_xla() -> None:
    wide = np.zeros((1024, 1024), np.float32)

    def multiplies(before: TrainState, batch: Any, control: Control) -> Any:
        after = [before.trainable[0] @ before.trainable[0]]
        return before._replace(trainable=after, step=before.step + 1), {"loss": after[0].sum()}

    made = Program(multiplies, 4, "cpu")
    made.lower(jax.eval_shape(lambda: state(wide)), BLOCK, ORDER, CONTROL)
    assert made._native is None


@needs_compiler
def test_every_function_is_in_one_of_a_few_texts_of_about_one_length() -> None:
    functions = [f"void k{number}() {{{'x' * (100 * number)}}}" for number in range(40)]
    texts = _spread(functions)
    assert sorted(line for text in texts for line in text.split("\n")) == sorted(functions)
    assert len(texts) == MOST_PARTS
    assert max(map(len, texts)) < 1.3 * min(map(len, texts))
    assert _spread(["void k0() {}"]) == ["void k0() {}"]
    assert _spread([]) == []
