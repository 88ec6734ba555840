"""One training step of two players on each backend of Keras: the discriminator, then the generator.

Only the form differs: JAX takes and returns a state, the others change variables.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

# Its functions are typed as giving None.
ops: Any = keras.ops


def jax_step(model: Any, state: Any, data: Any) -> tuple[dict[str, Any], Any]:
    """(state, pictures) -> (logs, state), pure; see `keras.Model.train_step` on JAX."""
    import jax

    trainable, fixed, optimizer, metrics = state
    real = _pictures(data)
    values = Values(model.trainable_variables, trainable)
    values.put(model.non_trainable_variables, fixed)
    values.put(model.metrics_variables, metrics)
    maker, judge = model.generator, model.discriminator

    def judged(weights: Any, rest: Any, pictures: Any) -> Any:
        return judge.stateless_call(weights, rest, pictures, training=True)

    def made(weights: Any, rest: Any, noise: Any) -> Any:
        return maker.stateless_call(weights, rest, noise, training=True)

    def judge_loss(weights: Any, rest: Any, fake: Any, mixed: Any) -> Any:
        logits, rest = judged(weights, rest, ops.concatenate([real, fake]))
        loss = model.terms[0](logits[: len(real)]) + model.terms[1](logits[len(real) :])
        if model.gradient_penalty:

            def total(pictures: Any) -> Any:
                logits, after = judged(weights, rest, pictures)
                return logits.sum(), after

            slopes, rest = jax.grad(total, has_aux=True)(mixed)
            loss = loss + model.gradient_penalty * penalty(slopes)
        return loss, rest

    def maker_loss(weights: Any, rest: Any, judge_rest: Any, noise: Any) -> Any:
        fake, rest = made(weights, rest, noise)
        logits, judge_rest = judged(values.of(judge.trainable_variables), judge_rest, fake)
        return model.terms[2](logits), (rest, judge_rest)

    lost: Any = 0.0
    noise: Any = None
    for _ in range(model.critic_steps):
        noise, share = _draw(model, values, len(real))
        made_rest = values.of(maker.non_trainable_variables)
        fake, made_rest = made(values.of(maker.trainable_variables), made_rest, noise)
        values.put(maker.non_trainable_variables, made_rest)
        weights = values.of(judge.trainable_variables)
        (lost, rest), gradient = jax.value_and_grad(judge_loss, has_aux=True)(
            weights, values.of(judge.non_trainable_variables), fake, real + share * (fake - real)
        )
        weights, second = model.second.stateless_apply(
            values.of(model.second_variables), gradient, weights
        )
        values.put(judge.trainable_variables, weights)
        values.put(judge.non_trainable_variables, rest)
        values.put(model.second_variables, second)
    if not model.shares_noise:
        noise, _ = _draw(model, values, len(real))
    weights = values.of(maker.trainable_variables)
    (won, (rest, judge_rest)), gradient = jax.value_and_grad(maker_loss, has_aux=True)(
        weights,
        values.of(maker.non_trainable_variables),
        values.of(judge.non_trainable_variables),
        noise,
    )
    weights, optimizer = model.optimizer.stateless_apply(optimizer, gradient, weights)
    values.put(maker.trainable_variables, weights)
    values.put(maker.non_trainable_variables, rest)
    values.put(judge.non_trainable_variables, judge_rest)
    with keras.StatelessScope(values.pairs(model.metrics_variables)) as scope:
        logs = measured(model, won, lost, len(real))
    values.put(
        model.metrics_variables, [scope.get_current_value(v) for v in model.metrics_variables]
    )
    groups = (model.trainable_variables, model.non_trainable_variables)
    return logs, (*map(values.of, groups), optimizer, values.of(model.metrics_variables))


class Values:
    """Values of variables, which cannot be keys themselves."""

    def __init__(self, variables: Sequence[Any], values: Sequence[Any]):
        """Begin with these."""
        self._values: dict[int, Any] = {}
        self.put(variables, values)

    def put(self, variables: Sequence[Any], values: Sequence[Any]) -> None:
        """Replace the values of these."""
        self._values |= {id(v): value for v, value in zip(variables, values, strict=True)}

    def of(self, variables: Sequence[Any]) -> list[Any]:
        """The values, in order."""
        return [self._values[id(variable)] for variable in variables]

    def pairs(self, variables: Sequence[Any]) -> list[tuple[Any, Any]]:
        """(variable, value) of each, as a `StatelessScope` takes them."""
        return list(zip(variables, self.of(variables), strict=True))


def _draw(model: Any, values: Values, count: int) -> tuple[Any, Any]:
    """Noise, and the share of a false picture in each mixed one; the seed moves on."""
    seed = [model.seeds.state]
    with keras.StatelessScope(values.pairs(seed)) as scope:
        drawn = draw(model, count)
    values.put(seed, [scope.get_current_value(model.seeds.state)])
    return drawn


def draw(model: Any, count: Any) -> tuple[Any, Any]:
    """Noise [count, noise_dim] and a share [count, 1, 1, 1] between 0 and 1."""
    noise = keras.random.normal((count, model.noise_dim), seed=model.seeds)
    if not model.gradient_penalty:
        return noise, 0.0
    return noise, keras.random.uniform((count, 1, 1, 1), seed=model.seeds)


def penalty(slopes: Any) -> Any:
    """Mean squared distance from 1 of the lengths of gradients [batch, ...]."""
    squares = ops.sum(ops.square(slopes), axis=tuple(range(1, len(slopes.shape))))
    # A root has no slope at zero.
    return ops.mean(ops.square(ops.sqrt(squares + 1e-12) - 1.0))


def measured(model: Any, won: Any, lost: Any, count: Any) -> dict[str, Any]:
    """The running losses, with those of one batch added."""
    for measure, value in zip(model.metrics, (won, lost), strict=True):
        measure.update_state(value, sample_weight=count)
    return {measure.name: measure.result() for measure in model.metrics}


def tensorflow_step(model: Any, data: Any) -> dict[str, Any]:
    """Pictures -> logs; see `keras.Model.train_step` on TensorFlow."""
    import tensorflow as tf  # pyright: ignore[reportMissingModuleSource]

    real = _pictures(data)
    count = tf.shape(real)[0]
    maker, judge = model.generator, model.discriminator
    lost, noise = tf.constant(0.0), None
    for _ in range(model.critic_steps):
        noise, share = draw(model, count)
        fake = maker(noise, training=True)
        with tf.GradientTape() as tape:
            logits = judge(ops.concatenate([real, fake]), training=True)
            lost = model.terms[0](logits[:count]) + model.terms[1](logits[count:])
            if model.gradient_penalty:
                mixed = real + share * (fake - real)
                with tf.GradientTape() as inner:
                    inner.watch(mixed)
                    total = tf.reduce_sum(judge(mixed, training=True))
                lost += model.gradient_penalty * penalty(inner.gradient(total, mixed))
        variables = judge.trainable_variables
        gradient = tape.gradient(lost, [variable.value for variable in variables])
        model.second.apply(gradient, variables)
    if not model.shares_noise:
        noise, _ = draw(model, count)
    with tf.GradientTape() as tape:
        won = model.terms[2](judge(maker(noise, training=True), training=True))
    variables = maker.trainable_variables
    gradient = tape.gradient(won, [variable.value for variable in variables])
    model.optimizer.apply(gradient, variables)
    return measured(model, won, lost, count)


def torch_step(model: Any, data: Any) -> dict[str, Any]:
    """Pictures -> logs; see `keras.Model.train_step` on PyTorch."""
    import torch  # pyright: ignore[reportMissingImports]

    real = _pictures(data)
    maker, judge = model.generator, model.discriminator

    def update(optimizer: Any, network: Any, loss: Any) -> None:
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            weights = network.trainable_variables
            optimizer.apply([weight.value.grad for weight in weights], weights)

    lost, noise = torch.zeros(()), None
    for _ in range(model.critic_steps):
        noise, share = draw(model, len(real))
        fake = maker(noise, training=True).detach()
        logits = judge(ops.concatenate([real, fake]), training=True)
        lost = model.terms[0](logits[: len(real)]) + model.terms[1](logits[len(real) :])
        if model.gradient_penalty:
            mixed = (real + share * (fake - real)).requires_grad_()
            total = judge(mixed, training=True).sum()
            (slopes,) = torch.autograd.grad(total, mixed, create_graph=True)
            lost = lost + model.gradient_penalty * penalty(slopes)
        update(model.second, judge, lost)
    if not model.shares_noise:
        noise, _ = draw(model, len(real))
    won = model.terms[2](judge(maker(noise, training=True), training=True))
    update(model.optimizer, maker, won)
    return measured(model, won.detach(), lost.detach(), len(real))


def _pictures(data: Any) -> Any:
    """The pictures of a batch, whatever else it has, from -1 to 1; bytes are scaled."""
    data = data[0] if isinstance(data, tuple | list) else data
    pictures = data["pictures"] if isinstance(data, dict) else data
    if "uint8" in str(pictures.dtype):
        return ops.cast(pictures, "float32") / 127.5 - 1.0
    return pictures


STEPS: Mapping[str, Any] = {"jax": jax_step, "tensorflow": tensorflow_step, "torch": torch_step}
