"""Keras' losses, and those of two players, beside PyTorch's."""

from typing import Any

import keras

from septet.engine.losses import LOSSES
from septet.models.adversarial import LOSSES as PLAYERS
from tests.models.parity.comparing import Case

ops: Any = keras.ops
losses: Any = keras.losses

CASES: dict[str, Case] = {}


def add(name: str, loss: Any, reference: str | None = None) -> None:
    """A loss of (targets, outputs)."""
    CASES[f"Loss: {name}"] = Case(
        f"loss: {reference or name}", lambda: ([], lambda outputs, targets: loss(targets, outputs))
    )


add("mean squared error", losses.MeanSquaredError())
add("mean absolute error", losses.MeanAbsoluteError())
add("huber", losses.Huber(delta=0.7))
add("binary cross-entropy", losses.BinaryCrossentropy())
add("binary cross-entropy of logits", losses.BinaryCrossentropy(from_logits=True))
add("cross-entropy", losses.SparseCategoricalCrossentropy(from_logits=True))
smoothed = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
add("cross-entropy, label smoothing", lambda t, o: smoothed(ops.one_hot(t, o.shape[-1]), o))
add("Kullback-Leibler divergence", losses.KLDivergence())
add("cosine similarity", losses.CosineSimilarity())
add("Poisson", losses.Poisson())
softmax = LOSSES["softmax"].compile_arguments()["loss"]
add("cross-entropy of tasks", lambda t, o: ops.mean(softmax(t, o)), "cross-entropy")


def ctc(outputs: Any, targets: Any, lengths: Any) -> Any:
    steps = ops.full((outputs.shape[0],), outputs.shape[1])
    return ops.mean(ops.ctc_loss(targets, outputs, lengths, steps))


CASES["Loss: connectionist temporal classification"] = Case(
    "loss: connectionist temporal classification", lambda: ([], ctc)
)


def players(name: str) -> Any:
    """(what the discriminator loses, what the generator loses)."""
    of_real, of_false, of_maker = PLAYERS[name]
    return lambda real, false: [of_real(real) + of_false(false), of_maker(false)]


for name in PLAYERS:
    CASES[f"Adversarial loss: {name}"] = Case(
        f"adversarial loss: {name}", lambda name=name: ([], players(name))
    )
