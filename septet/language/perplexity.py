"""How well a network knows what comes next: its loss, and what is made of it for people."""

import itertools
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from septet.engine.losses import Loss
from septet.evaluation.bootstrap import plain_interval, resample_counts
from septet.language.packing import characters_of_each
from septet.language.tokenizer_schema import PAD
from septet.language.tokenizing import Tokenizer

RESAMPLES = 1000
MOST_SURPRISING = 10
SHOWN = 300
"""Characters of a surprising window in the scores."""


def next_token_loss(targets: Any, logits: Any, smoothing: float = 0.0) -> Any:
    """Mean cross-entropy of each row's tokens, padding left out: [batch]."""
    import keras

    ops: Any = keras.ops
    logits = ops.cast(logits, "float32")
    targets = ops.cast(targets, "int32")
    total = ops.logsumexp(logits, axis=-1)
    # A comparison in a sum takes no memory, and its gradient is no scattering.
    is_target = ops.arange(logits.shape[-1], dtype="int32") == targets[..., None]
    lost = total - ops.sum(ops.where(is_target, logits, 0.0), axis=-1)
    if smoothing:
        lost = (1.0 - smoothing) * lost + smoothing * (total - ops.mean(logits, axis=-1))
    counts = ops.cast(targets != PAD, "float32")
    return ops.sum(lost * counts, axis=-1) / ops.maximum(ops.sum(counts, axis=-1), 1.0)


def token_losses(logits: Any, targets: Any) -> Any:
    """Cross-entropy of each token, float32 [n, length]; 0 on padding."""
    import jax
    import jax.numpy as jnp

    # Whatever backend made them, they are JAX's here.
    logits = jnp.asarray(logits, jnp.float32)
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return jnp.where(targets != PAD, jax.nn.logsumexp(logits, axis=-1) - chosen, 0.0)


def loss_of(tokenizer: Tokenizer, smoothing: float) -> Loss:
    """What is trained on, and what is measured of `token_losses`."""

    def arguments() -> dict[str, Any]:
        return {"loss": partial(next_token_loss, smoothing=smoothing), "metrics": []}

    return Loss(arguments, lambda losses, targets: measure(losses, targets, tokenizer))


def measure(losses: np.ndarray, targets: np.ndarray, tokenizer: Tokenizer) -> dict[str, float]:
    """Loss in nats a token, perplexity, and bits per character."""
    nats, tokens, characters = sums(losses, targets, tokenizer)
    return _scores(nats.sum(), tokens.sum(), characters.sum())


def _scores(nats: float, tokens: float, characters: float) -> dict[str, float]:
    loss = float(nats) / max(float(tokens), 1.0)
    return {
        "loss": loss,
        "perplexity": math.exp(min(loss, 700.0)),
        "bits_per_character": float(nats) / math.log(2) / max(float(characters), 1.0),
    }


def sums(
    losses: np.ndarray, targets: np.ndarray, tokenizer: Tokenizer
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nats, tokens and characters of each window, float64 [windows]."""
    characters = characters_of_each(tokenizer)[targets].sum(axis=1).astype(np.float64)
    tokens = (targets != PAD).sum(axis=1).astype(np.float64)
    return losses.astype(np.float64).sum(axis=1), tokens, characters


def evaluate(losses: np.ndarray, targets: np.ndarray, tokenizer: Tokenizer) -> dict[str, Any]:
    """Scores with intervals over windows, and the windows that surprised most."""
    nats, tokens, characters = sums(losses, targets, tokenizer)
    found = _scores(nats.sum(), tokens.sum(), characters.sum())
    order = ("bits_per_character", "perplexity", "loss")
    scores = {name: found[name] for name in order}
    drawn: list[dict[str, float]] = []
    for counts in resample_counts(len(nats), RESAMPLES, seed=0):
        drawn += [
            _scores(counted @ nats, counted @ tokens, counted @ characters) for counted in counts
        ]
    intervals = {
        name: plain_interval(np.array([each[name] for each in drawn], np.float64)) for name in order
    }
    return {
        "scores": scores,
        "intervals": intervals,
        "tokens": int(tokens.sum()),
        "characters": int(characters.sum()),
        "mistakes": surprising(nats, characters, targets, tokenizer),
    }


def surprising(
    nats: np.ndarray, characters: np.ndarray, targets: np.ndarray, tokenizer: Tokenizer
) -> list[dict[str, Any]]:
    """The windows with most bits per character, and their text."""
    bits = nats / math.log(2) / np.maximum(characters, 1.0)
    worst = np.argsort(-bits, kind="stable")[:MOST_SURPRISING]
    return [
        {"bits_per_character": float(bits[row]), "text": tokenizer.decode(targets[row])[:SHOWN]}
        for row in worst
    ]


def draw(
    losses: np.ndarray, targets: np.ndarray, tokenizer: Tokenizer, folder: Path
) -> list[tuple[str, str]]:
    """Bits per character by how many tokens of the window came before."""
    from septet.evaluation.drawing import BLUE, new_figure, save, style

    characters = characters_of_each(tokenizer)[targets].astype(np.float64)
    length = targets.shape[1]
    edges = np.unique(np.geomspace(1, length + 1, 25).astype(int)) - 1
    places, bits = [], []
    for first, last in itertools.pairwise(edges):
        count = characters[:, first:last].sum()
        if count:
            places.append((first + last - 1) / 2 + 1)
            bits.append(losses[:, first:last].sum() / math.log(2) / count)
    figure = new_figure(3.2)
    axes = figure.subplots()
    style(axes, "What is known from before", "place in the window", "bits per character")
    axes.plot(places, bits, color=BLUE, marker="o", markersize=3)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    save(figure, folder, "places.png")
    return [
        (
            "places.png",
            "Bits per character of the held-out text, by the place of a token in its window: the "
            "more was read before it, the less is left to guess.",
        )
    ]
