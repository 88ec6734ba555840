"""`predict` for any Keras model: outputs of batch after batch, in compiled chunks."""

from contextlib import closing
from typing import Any

import numpy as np

from septet.engine import devices
from septet.engine.lowering import lowered
from septet.engine.state import TrainState
from septet.fitting import keras_inside
from septet.fitting.blocks import Block, shape_of
from septet.fitting.passes import Hooks, Programs, renewed, uninterrupted
from septet.fitting.sources import open_source
from septet.fitting.talking import callback_list, note

CHUNK_BYTES = 64 << 20
"""About how many bytes of outputs a chunk has."""
CHUNK_STEPS = 64
"""Most steps of a chunk."""


def predict(
    model: Any,
    x: Any,
    batch_size: int | None = None,
    verbose: Any = "auto",
    steps: int | None = None,
    callbacks: Any = None,
) -> Any:
    """Outputs of a `keras.Model`, as `model.predict` gives them.

    Args:
        model: A `keras.Model`; it need not be compiled.
        x: Inputs, in any form that `fit` takes.
        batch_size: Examples a step; 32 by default. Only for arrays.
        verbose: 0 silent, 1 a bar; "auto" is 1.
        steps: Steps after which to stop.
        callbacks: `keras.callbacks.Callback`s, or a `CallbackList`.

    Returns:
        Arrays [n, ...] in the structure of the model's outputs.
    """
    reason = keras_inside.why_not_compiled(model)
    if reason is not None:
        note(f"{reason}, so Keras' own predict runs it.", verbose)
        return model.predict(x, batch_size, verbose, steps, callbacks)
    platform = devices.start()
    source = open_source(x, batch_size=batch_size, steps=steps, verbose=verbose)
    with closing(source):
        if not keras_inside.is_built(model):
            keras_inside.build_forward(model, source.peek())
        source.reset()
        callbacks = callback_list(model, callbacks, verbose, epochs=1, steps=source.num_steps)
        hooks = Hooks("predict", callbacks, model.steps_per_execution)
        source.one_by_one = bool(hooks.watchers)
        return Prediction(model, hooks, callbacks, platform).run(source)


class Prediction:
    """One pass over a source that keeps the outputs."""

    def __init__(self, model: Any, hooks: Hooks, callbacks: Any, platform: str):
        """Prepare; nothing runs before `run`."""
        self.model = model
        self.hooks = hooks
        self.callbacks = callbacks
        self.platform = platform
        self.programs = Programs.of(model, platform)
        self._state: TrainState | None = None
        self._pieces: list[Any] = []

    def run(self, source: Any) -> Any:
        """The outputs for all batches of `source`."""
        import jax

        self.model.stop_predicting = False
        self.callbacks.on_predict_begin()
        lent = keras_inside.Lent(self.model, "predict")
        try:
            for block in source.epoch(0):
                index = 0
                while index < block.steps and not self.model.stop_predicting:
                    index = self._chunk(lent, block, index)
                if self.model.stop_predicting:
                    break
            self.hooks.close({"outputs": None})
        finally:
            lent.end()
        self.callbacks.on_predict_end()
        if not self._pieces:
            raise ValueError("There are no inputs to predict.")
        return jax.tree.map(lambda *pieces: np.concatenate(pieces), *self._pieces)

    def _chunk(self, lent: keras_inside.Lent, block: Block, index: int) -> int:
        """Some steps of a block from its step `index`; the next step."""
        import jax

        place = block.first_step + index
        self.hooks.open(place)
        if lent.is_given_back or self._state is None:
            self._state = lent.take()
        state, groups = self._state, keras_inside.Lent.GROUPS["predict"]
        values = tuple(getattr(state, group) for group in groups)
        with uninterrupted():
            if block.order is None:
                done = 1
                outputs, values = self.programs.step("predict")(values, iter([block.batch(index)]))
            else:
                program, room = self._program(block, values)
                done = min(block.steps - index, self.hooks.room(place) or room, room)
                outputs, values = program(
                    values, block.arrays, block.order, np.int32(index), np.int32(done)
                )
            self._state = renewed(state, groups, values)
            lent.lend(self._state)
        count = done * block.batch_size if block.order is not None else None
        outputs = jax.tree.map(lambda array: np.asarray(array)[:count], outputs)
        self._pieces.append(outputs)
        self.hooks.see(place + done, {"outputs": outputs})
        return index + done

    def _program(self, block: Block, values: Any) -> tuple[Any, int]:
        """(the compiled chunk for such blocks, how many steps it does at most)."""
        key = ("predict", block.batch_size, shape_of((values, block.arrays, block.order)))
        return self.programs.keep(key, lambda: self._compile(block, values))

    def _compile(self, block: Block, values: Any) -> tuple[Any, int]:
        import jax
        import jax.numpy as jnp
        from jax import lax

        size = block.batch_size

        def one(values: Any, arrays: Any, order: Any, index: Any) -> Any:
            rows = lax.dynamic_slice_in_dim(order, index * size, size)
            batch = jax.tree.map(lambda array: jnp.take(array, rows, axis=0), arrays)
            outputs, non_trainable = self.model.predict_step(values, batch)
            return outputs, (values[0], list(non_trainable))

        shapes, _ = jax.eval_shape(one, values, block.arrays, block.order, np.int32(0))
        leaves = jax.tree.leaves(shapes)
        num_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
        room = max(1, min(CHUNK_STEPS, CHUNK_BYTES // max(num_bytes, 1), len(block.order) // size))

        def chunk(values: Any, arrays: Any, order: Any, start: Any, count: Any) -> Any:
            def body(place: Any, carry: Any) -> Any:
                values, kept = carry
                outputs, values = one(values, arrays, order, start + place)
                kept = jax.tree.map(
                    lambda room, new: lax.dynamic_update_slice_in_dim(room, new, place * size, 0),
                    kept,
                    outputs,
                )
                return values, kept

            empty = jax.tree.map(
                lambda leaf: jnp.zeros((room * leaf.shape[0], *leaf.shape[1:]), leaf.dtype), shapes
            )
            values, kept = lax.fori_loop(0, count, body, (values, empty))
            return kept, values

        program = jax.jit(chunk, donate_argnums=0)
        arguments = (values, block.arrays, block.order, np.int32(0), np.int32(0))
        with lowered(self.platform):
            lowering = program.lower(*arguments)
        return lowering.compile(), room
