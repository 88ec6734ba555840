"""Losses, of outputs and targets, each the mean over a batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from recording import Case, Numbers
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

CASES: dict[str, Callable[[Numbers], Case]] = {}
CLASSES = 4


def add(name: str, loss: Callable[[Any, Any], Any], inputs: Callable[[Numbers], dict]) -> None:
    """A loss of (outputs, targets)."""
    CASES[f"loss: {name}"] = lambda numbers: Case(
        nn.Module(), inputs(numbers), lambda module, outputs, targets: loss(outputs, targets)
    )


def numbers_of(numbers: Numbers) -> dict[str, np.ndarray]:
    """Numbers to hit."""
    return {"outputs": numbers.normal(5, 3, scale=2.0), "targets": numbers.normal(5, 3)}


def shares_of(numbers: Numbers) -> dict[str, np.ndarray]:
    """Chances of two classes."""
    targets = numbers.whole(2, 5, 3).astype(np.float64)
    return {"outputs": numbers.uniform(5, 3, low=0.05, high=0.95), "targets": targets}


def logits_of(numbers: Numbers) -> dict[str, np.ndarray]:
    """Logits of two classes."""
    return {**shares_of(numbers), "outputs": numbers.normal(5, 3, scale=4.0)}


def classes_of(numbers: Numbers) -> dict[str, np.ndarray]:
    """Logits of several classes and whole targets."""
    return {"outputs": numbers.normal(6, CLASSES, scale=3.0), "targets": numbers.whole(CLASSES, 6)}


def distributions_of(numbers: Numbers) -> dict[str, np.ndarray]:
    """Two distributions over the classes."""
    found = []
    for _ in range(2):
        weights = numbers.random.integers(1, 9, (5, CLASSES))
        weights[:, 0] += 32 - weights.sum(1)
        found.append(weights / 32)
    return {"outputs": found[0], "targets": found[1]}


def counts_of(numbers: Numbers) -> dict[str, np.ndarray]:
    """Rates and counts."""
    counts = numbers.whole(5, 5, 3).astype(np.float64)
    return {"outputs": numbers.uniform(5, 3, low=0.5, high=3.0), "targets": counts}


add("mean squared error", functional.mse_loss, numbers_of)
add("mean absolute error", functional.l1_loss, numbers_of)
add("huber", lambda o, t: functional.huber_loss(o, t, delta=0.7), numbers_of)
add("binary cross-entropy", functional.binary_cross_entropy, shares_of)
add(
    "binary cross-entropy of logits",
    lambda o, t: functional.binary_cross_entropy_with_logits(o, t),
    logits_of,
)
add("cross-entropy", lambda o, t: functional.cross_entropy(o, t.long()), classes_of)
add(
    "cross-entropy, label smoothing",
    lambda o, t: functional.cross_entropy(o, t.long(), label_smoothing=0.1),
    classes_of,
)
add(
    "Kullback-Leibler divergence",
    lambda o, t: functional.kl_div(o.log(), t, reduction="batchmean"),
    distributions_of,
)
add(
    "cosine similarity",
    lambda o, t: -functional.cosine_similarity(o, t).mean(),
    numbers_of,
)
add(
    "Poisson",
    lambda o, t: functional.poisson_nll_loss(o, t, log_input=False, eps=1e-7),
    counts_of,
)


def ctc(numbers: Numbers) -> Case:
    """Connectionist temporal classification, labels of several lengths."""
    return Case(
        nn.Module(),
        {
            "outputs": numbers.normal(3, 6, CLASSES),
            "targets": np.array([[1, 2, 2], [3, 0, 0], [1, 3, 0]], np.int32),
            "lengths": np.array([3, 1, 2], np.int32),
        },
        lambda module, outputs, targets, lengths: functional.ctc_loss(
            functional.log_softmax(outputs, -1).transpose(0, 1),
            targets.long(),
            torch.tensor([6, 6, 6]),
            lengths.long(),
            reduction="none",
        ).mean(),
    )


CASES["loss: connectionist temporal classification"] = ctc

PLAYERS: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    # (what the discriminator loses, what the generator loses)
    "non-saturating": lambda real, false: (
        functional.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        + functional.binary_cross_entropy_with_logits(false, torch.zeros_like(false)),
        functional.binary_cross_entropy_with_logits(false, torch.ones_like(false)),
    ),
    "hinge": lambda real, false: (
        functional.relu(1 - real).mean() + functional.relu(1 + false).mean(),
        -false.mean(),
    ),
    "wasserstein": lambda real, false: (false.mean() - real.mean(), -false.mean()),
}


def players(name: str) -> Any:
    """Both players' losses of logits."""
    return lambda numbers: Case(
        nn.Module(),
        {"real": numbers.normal(5, 1, scale=2.0), "false": numbers.normal(5, 1, scale=2.0)},
        lambda module, real, false: PLAYERS[name](real, false),
    )


for name in PLAYERS:
    CASES[f"adversarial loss: {name}"] = players(name)
