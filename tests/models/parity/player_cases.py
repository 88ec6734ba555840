"""Spectral normalisation, the gradient penalty and whole steps of two players beside PyTorch's."""

import functools
import unittest.mock
from typing import Any

import jax
import keras
from keras import layers

from septet.models import adversarial_steps
from septet.models.adversarial import Adversarial, discriminator, generator
from septet.models.adversarial_steps import penalty
from septet.models.spectral import SpectralNormalization
from tests.models.parity.comparing import Built, Case
from tests.models.parity.copying import copies
from tests.models.parity.network_cases import unspectral
from tests.models.parity.recorded import Recorded

CASES: dict[str, Case] = {}
SIDES = {"dense": 4, "dcgan": 8}


def spectral(make: Any, is_training: bool) -> Built:
    layer = SpectralNormalization(make())
    return [(layer, "layer")], lambda inputs: layer(inputs, training=is_training)


MAKE = {
    "dense": lambda: layers.Dense(4),
    "convolution": lambda: layers.Conv2D(3, 3, padding="same"),
}
for mode, is_training in (("training", True), ("inference", False)):
    for kind, make in MAKE.items():
        CASES[f"SpectralNormalization: {kind}, {mode}"] = Case(
            f"spectral normalisation: {kind}, {mode}",
            lambda make=make, is_training=is_training: spectral(make, is_training),
        )


def sizes(design: str) -> dict[str, Any]:
    side = SIDES[design]
    return {"height": side, "width": side, "channels": 1, "design": design, "filters": 2}


def slope_penalty(design: str) -> Built:
    """Of gradients of the discriminator, and itself with gradients."""
    judge = discriminator(**sizes(design))

    def forward(pictures: Any) -> Any:
        return penalty(jax.grad(lambda x: judge(x, training=True).sum())(pictures))

    return unspectral(judge), forward


for design in SIDES:
    CASES[f"Gradient penalty: {design}"] = Case(
        f"gradient penalty: {design}", lambda design=design: slope_penalty(design)
    )


@functools.cache
def players(
    design: str,
    loss: Any,
    is_spectral: bool,
    critic_steps: int = 1,
    weight: float = 0.0,
    rate: float = 0.125,
) -> Any:
    """Both, and what of theirs is compared after a step.

    Kept, since an optimizer cannot be made where weights are drawn late (see `differences`).
    """
    model = Adversarial(
        generator(noise_dim=3, **sizes(design)),
        discriminator(is_spectral=is_spectral, **sizes(design)),
        loss=loss,
        gradient_penalty=weight,
        critic_steps=critic_steps,
    )
    model.compile(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate))
    pairs = [
        (layer, f"{part.name}.{name}")
        for part in (model.generator, model.discriminator)
        for layer, name in unspectral(part)
    ]
    # Of variances PyTorch keeps another estimate.
    kept = [
        copy
        for layer, prefix in pairs
        for copy in copies(layer, prefix)
        if not copy.names[0].endswith("running_var")
    ]
    return model, pairs, kept


def step(*arguments: Any) -> Built:
    """One `train_step`: losses, then all weights of both players."""
    model, pairs, kept = players(*arguments)

    def forward(target_real: Any, target_noise: Any, target_share: Any) -> Any:
        drawn = iter(zip(target_noise, target_share, strict=True))
        groups = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
        state = [[variable.value for variable in group] for group in groups]
        with unittest.mock.patch.object(adversarial_steps, "draw", side_effect=drawn):
            logs, after = model.train_step(tuple(state), target_real)
        values = {
            id(variable): value
            for group, found in zip(groups, after, strict=True)
            for variable, value in zip(group, found, strict=True)
        }
        losses = [logs["discriminator_loss"], logs["loss"]]
        return [*losses, *(values[id(copy.variable)] for copy in kept)]

    return pairs, forward


def in_our_axes(reference: Recorded, *arguments: Any) -> Recorded:
    """PyTorch's weights after the step as ours are laid out."""
    _, _, kept = players(*arguments)
    after = {str(place): copy.value(reference.outputs) for place, copy in enumerate(kept)}
    outputs = {name: reference.outputs[name] for name in ("lost", "won")}
    return Recorded(**{**vars(reference), "outputs": {**outputs, **after}, "buffers_after": {}})


STEPS: dict[str, tuple[Any, ...]] = {
    "dcgan, non-saturating, spectral": ("dcgan", "non-saturating", True),
    "dense, hinge, spectral": ("dense", "hinge", True),
    "dcgan, wasserstein with penalty, two to one": (
        *("dcgan", "wasserstein", False, 2),
        *(0.5, 1 / 64),
    ),
}
for name, arguments in STEPS.items():
    CASES[f"adversarial: step, {name}"] = Case(
        f"adversarial step: {name}",
        lambda arguments=arguments: step(*arguments),
        expected=lambda reference, arguments=arguments: in_our_axes(reference, *arguments),
    )
