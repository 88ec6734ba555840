"""Two players as two scenes, each with its own loss in the training step of both."""

from typing import Any

import jax
import keras
import numpy as np

from septet.inspection.looking import Scene
from septet.models.adversarial import Adversarial
from septet.models.adversarial_steps import penalty

# Its functions are typed as giving None.
ops: Any = keras.ops


def scenes_of(
    model: Adversarial, pictures: Any, *, is_training: bool, with_loss: bool, seed: int
) -> list[Scene]:
    """The generator on noise, and the discriminator on real pictures and as many false ones.

    Args:
        model: Both.
        pictures: Real ones, from -1 to 1, or bytes.
        is_training: As in a training step.
        with_loss: What each loses is wanted, too.
        seed: Of the noise, and of where the gradient penalty is taken.
    """
    maker, judge = model.generator, model.discriminator
    draw = np.random.default_rng(seed)
    count = len(pictures)
    real = np.asarray(pictures)
    if real.dtype == np.uint8:
        real = real.astype(np.float32) / 127.5 - 1.0
    noise = draw.standard_normal((count, model.noise_dim)).astype(np.float32)
    share = draw.uniform(size=(count, 1, 1, 1)).astype(np.float32)
    data = jax.tree.map(jax.numpy.asarray, (real, noise, share))
    variables = [*maker.variables, *judge.variables]

    def make(data: Any) -> Any:
        return maker(data[1], training=is_training)

    def tell_apart(data: Any) -> Any:
        return judge(ops.concatenate([data[0], make(data)]), training=is_training)

    def maker_loss(data: Any) -> Any:
        return model.terms[2](judge(make(data), training=is_training))

    def judge_loss(data: Any) -> Any:
        real, _, share = data
        fake = jax.lax.stop_gradient(make(data))
        logits = judge(ops.concatenate([real, fake]), training=is_training)
        loss = model.terms[0](logits[:count]) + model.terms[1](logits[count:])
        if model.gradient_penalty:
            mixed = real + share * (fake - real)
            slopes = jax.grad(lambda each: judge(each, training=is_training).sum())(mixed)
            loss = loss + model.gradient_penalty * penalty(slopes)
        return loss

    return [
        Scene(maker.name, maker, variables, data, make, maker_loss if with_loss else None),
        Scene(judge.name, judge, variables, data, tell_apart, judge_loss if with_loss else None),
    ]
