"""Generators, discriminators, spectral normalisation and whole steps of both players."""

import copy
from collections.abc import Callable
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from layers import first, last, with_layer
from losses import PLAYERS
from networks import MODES, add
from recording import Case, Numbers
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]
from torch.nn.utils.parametrizations import (  # pyright: ignore[reportMissingImports]
    spectral_norm,
)

CASES: dict[str, Callable[[Numbers], Case]] = {}
SIDES = {"dense": 4, "dcgan": 8}
NOISE, FILTERS, PENALTY = 3, 2, 0.5


def pictures_of(numbers: Numbers, design: str) -> Any:
    """Four of them."""
    return numbers.uniform(4, SIDES[design], SIDES[design], 1, low=-1.0)


def leaky(x: Any) -> Any:
    return functional.leaky_relu(x, 0.2)


class Generator(nn.Module):
    """Grey pictures from 3 numbers."""

    def __init__(self, design: str):
        super().__init__()
        self.design = design
        self.side = SIDES[design]
        if design == "dense":
            self.dense1 = nn.Linear(NOISE, 8 * FILTERS)
            self.dense2 = nn.Linear(8 * FILTERS, 16 * FILTERS)
            self.pixels = nn.Linear(16 * FILTERS, self.side**2)
            return
        self.dense = nn.Linear(NOISE, 4 * 2 * FILTERS, bias=False)
        sizes = (2 * FILTERS, 2 * FILTERS, FILTERS)
        for place, size in enumerate(sizes, 1):
            self.add_module(f"normalization{place}", nn.BatchNorm2d(size, eps=1e-3))
        for place in (1, 2):
            convolution = nn.Conv2d(sizes[place - 1], sizes[place], 3, padding=1, bias=False)
            self.add_module(f"convolution{place}", convolution)
        self.pixels = nn.Conv2d(FILTERS, 1, 3, padding=1)

    def forward(self, noise: Any) -> Any:
        if self.design == "dense":
            x = leaky(self.dense2(leaky(self.dense1(noise))))
            return torch.tanh(self.pixels(x)).unflatten(1, (self.side, self.side, 1))
        x = first(self.dense(noise).unflatten(1, (self.side // 4, self.side // 4, 2 * FILTERS)))
        for place in (1, 2):
            x = functional.relu(getattr(self, f"normalization{place}")(x))
            x = getattr(self, f"convolution{place}")(functional.interpolate(x, scale_factor=2))
        return last(torch.tanh(self.pixels(functional.relu(self.normalization3(x)))))


class Discriminator(nn.Module):
    """The other way."""

    def __init__(self, design: str, is_spectral: bool):
        super().__init__()
        self.design = design
        self.side = SIDES[design]
        normed = spectral_norm if is_spectral else lambda layer: layer
        if design == "dense":
            self.dense1 = normed(nn.Linear(self.side**2, 16 * FILTERS))
            self.dense2 = normed(nn.Linear(16 * FILTERS, 8 * FILTERS))
            self.logit = normed(nn.Linear(8 * FILTERS, 1))
            return
        self.convolution1 = normed(nn.Conv2d(1, FILTERS, 4, 2, padding=1))
        self.convolution2 = normed(nn.Conv2d(FILTERS, 2 * FILTERS, 4, 2, padding=1))
        self.logit = normed(nn.Linear(self.side**2 // 8 * FILTERS, 1))

    def forward(self, pictures: Any) -> Any:
        if self.design == "dense":
            return self.logit(leaky(self.dense2(leaky(self.dense1(pictures.flatten(1))))))
        x = leaky(self.convolution2(leaky(self.convolution1(first(pictures)))))
        return self.logit(last(x).flatten(1))


def spectral(make: Callable[[], Any], *shape: int, is_settled: bool) -> Any:
    """A layer whose weight is divided by its largest singular value."""

    def case(numbers: Numbers) -> Case:
        module = with_layer(spectral_norm(make())).double()
        inputs = {"inputs": numbers.normal(*shape)}

        def forward(module: Any, inputs: Any) -> Any:
            return module.layer(inputs) if len(shape) == 2 else last(module.layer(first(inputs)))

        if is_settled:
            for _ in range(500):
                forward(module, torch.tensor(inputs["inputs"]))
        return Case(module, inputs, forward, is_training=not is_settled, keeps_weights=is_settled)

    return case


for mode, is_training in MODES:
    CASES[f"spectral normalisation: dense, {mode}"] = spectral(
        lambda: nn.Linear(5, 4), 3, 5, is_settled=not is_training
    )
    CASES[f"spectral normalisation: convolution, {mode}"] = spectral(
        lambda: nn.Conv2d(2, 3, 3, padding=1), 2, 4, 4, 2, is_settled=not is_training
    )


def slope_penalty(judge: Any, pictures: Any) -> Any:
    """Of Gulrajani et al., with a gradient of its own."""
    (slopes,) = torch.autograd.grad(judge(pictures).sum(), pictures, create_graph=True)
    return ((slopes.flatten(1).norm(dim=1) - 1) ** 2).mean()


for design in ("dense", "dcgan"):
    CASES[f"gradient penalty: {design}"] = lambda numbers, design=design: Case(
        Discriminator(design, False),
        {"pictures": pictures_of(numbers, design)},
        slope_penalty,
    )


def step(
    design: str,
    loss: str,
    is_spectral: bool,
    critic_steps: int = 1,
    penalty: float = 0.0,
    rate: float = 0.125,
) -> Any:
    """One step of both players by plain gradient descent: losses and all weights afterwards."""

    def case(numbers: Numbers) -> Case:
        module = nn.Module()
        module.generator = Generator(design)
        module.discriminator = Discriminator(design, is_spectral)
        inputs = {
            "target_real": pictures_of(numbers, design),
            "target_noise": numbers.normal(critic_steps + 1, 4, NOISE),
            "target_share": numbers.uniform(critic_steps + 1, 4, 1, 1, 1),
        }

        def descend(network: Any, value: Any) -> None:
            parameters = list(network.parameters())
            gradients = torch.autograd.grad(value, parameters)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter -= rate * gradient

        def forward(module: Any, target_real: Any, target_noise: Any, target_share: Any) -> Any:
            module = copy.deepcopy(module)
            maker, judge = module.generator, module.discriminator
            lost = torch.zeros(())
            for noise, share in zip(target_noise[:-1], target_share[:-1], strict=True):
                fake = maker(noise).detach()
                logits = judge(torch.cat([target_real, fake]))
                lost, _ = PLAYERS[loss](logits[:4], logits[4:])
                if penalty:
                    mixed = (target_real + share * (fake - target_real)).requires_grad_()
                    lost = lost + penalty * slope_penalty(judge, mixed)
                descend(judge, lost)
            logits = judge(maker(target_noise[-1]))
            won = PLAYERS[loss](logits, logits)[1]
            descend(maker, won)
            after = {f"{name}": value.detach() for name, value in module.named_parameters()}
            after |= {
                name: value for name, value in module.named_buffers() if not name.endswith("_u")
            }
            return {"lost": lost.detach(), "won": won.detach(), **after}

        return Case(module, inputs, forward)

    return case


CASES["adversarial step: dcgan, non-saturating, spectral"] = step("dcgan", "non-saturating", True)
CASES["adversarial step: dense, hinge, spectral"] = step("dense", "hinge", True)
CASES["adversarial step: dcgan, wasserstein with penalty, two to one"] = step(
    "dcgan", "wasserstein", False, 2, PENALTY, 1 / 64
)

for design in ("dense", "dcgan"):
    add(
        f"generator {design}",
        lambda design=design: Generator(design),
        lambda numbers: {"noise": numbers.normal(4, NOISE)},
        MODES if design == "dcgan" else MODES[:1],
    )
    for is_spectral in (False, True):
        add(
            f"discriminator {design}" + (", spectral" if is_spectral else ""),
            lambda design=design, is_spectral=is_spectral: Discriminator(design, is_spectral),
            lambda numbers, design=design: {"pictures": pictures_of(numbers, design)},
            MODES[:1],
        )
