"""Which words an answer is due to: integrated gradients over the vectors of tokens.

Sundararajan, Taly and Yan (arXiv:1703.01365). From vectors of zeros, which say nothing, to
those of the text in a straight line, the gradient of the score is summed; what all tokens
added is the score beyond that of the zeros, but for what the sum's steps leave out.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from septet.language.labelling import given_labels
from septet.language.tokenizer_schema import END, START
from septet.language.tokenizing import Span, word_pattern
from septet.task import Explanation

STEPS = 64
TOGETHER = 8
"""Texts explained at once."""
VECTORS = ("embedding", "run_embedding")
"""Layers that give the vectors of tokens and of runs of tokens."""


def explain_texts(
    network: Any,
    weights: tuple[list[Any], list[Any]],
    tokens: np.ndarray,
    texts: Sequence[str],
    spans: Sequence[Sequence[Span]],
    classes: Sequence[str],
    chosen: np.ndarray | None = None,
) -> list[Explanation]:
    """What each word of each text added to the likeliest class, or to a chosen label.

    Args:
        network: Of `septet.models.text`.
        weights: Its (trainable, non-trainable) values.
        tokens: int32 [texts, length].
        texts: The texts themselves.
        spans: Of each text, where its tokens are.
        classes: In the order of the logits.
        chosen: Of each text the place of the label that is explained by its logit alone; None
            for the likeliest class, explained by its logit above the mean of the others.
    """
    run = attributor(network, weights)
    explanations = []
    for first in range(0, len(texts), TOGETHER):
        part = tokens[first : first + TOGETHER]
        padded = np.zeros((TOGETHER, tokens.shape[1]), np.int32)
        padded[: len(part)] = part
        wanted = None
        if chosen is not None:
            wanted = np.zeros(TOGETHER, np.int32)
            wanted[: len(part)] = chosen[first : first + TOGETHER]
        found = (np.asarray(array) for array in run(padded, wanted))
        places, scores, baselines, added = found
        for row in range(len(part)):
            number = first + row
            of_tokens = added[row, : len(spans[number])].astype(np.float64)
            explanations.append(
                Explanation(
                    classes[int(places[row])],
                    float(scores[row]),
                    float(baselines[row]),
                    tuple(of_words(texts[number], spans[number], of_tokens)),
                )
            )
    return explanations


def explain_labels(
    network: Any,
    weights: tuple[list[Any], list[Any]],
    tokens: np.ndarray,
    texts: Sequence[str],
    spans: Sequence[Sequence[Span]],
    names: Sequence[str],
    thresholds: Sequence[float],
    *,
    most: int,
) -> list[Explanation]:
    """What each word of each text added to each label that is given to it.

    Args:
        network: As of `explain_texts`, and so are the next four.
        weights: See there.
        tokens: See there.
        texts: See there.
        spans: See there.
        names: Of the labels, in the order of the logits.
        thresholds: Probabilities from which labels are given.
        most: Labels of one text that are explained, the likeliest; where none is given, one.
    """
    found = given_labels(logits_of(network, weights, tokens), thresholds, most)
    rows = [row for row, (places, _) in enumerate(found) for _ in places]
    chosen = np.array([place for places, _ in found for place in places], np.int32)
    each = iter(
        explain_texts(
            network, weights, tokens[rows], [texts[row] for row in rows],
            [spans[row] for row in rows], names, chosen,
        )
    )  # fmt: skip
    explanations = []
    for places, is_given in found:
        first, *others = [next(each) for _ in places]
        explanations.append(replace(first, is_given=is_given, others=tuple(others)))
    return explanations


def logits_of(network: Any, weights: tuple[list[Any], list[Any]], tokens: np.ndarray) -> np.ndarray:
    """The network's outputs, float32 [n, labels]."""
    import jax

    def call(part: np.ndarray) -> Any:
        return _first(network.stateless_call(*weights, {"tokens": part}, training=False)[0])

    compiled = jax.jit(call)
    outputs = []
    for first in range(0, len(tokens), TOGETHER):
        part = tokens[first : first + TOGETHER]
        padded = np.pad(part, ((0, TOGETHER - len(part)), (0, 0)))
        outputs.append(np.asarray(compiled(padded))[: len(part)])
    return np.concatenate(outputs)


def attributor(network: Any, weights: tuple[list[Any], list[Any]]) -> Any:
    """A compiled function of tokens [n, time] and perhaps a label for each, [n].

    It gives the label or the likeliest class [n], its score, that of no vectors, and what each
    token added [n, time].
    """
    import jax
    import jax.numpy as jnp
    import keras

    names = [name for name in VECTORS if any(layer.name == name for layer in network.layers)]
    given = network.input["tokens"]
    vectors = [network.get_layer(name).output for name in names]
    below = keras.Model(given, vectors)
    above = keras.Model([given, *vectors], network.outputs)
    values = _values(network, weights)

    def call(part: Any, inputs: Any, values: dict[int, Any]) -> Any:
        own = [
            [values[id(variable)] for variable in group]
            for group in (part.trainable_variables, part.non_trainable_variables)
        ]
        return part.stateless_call(*own, inputs, training=False)[0]

    def run(tokens: Any, labels: Any, values: Any) -> Any:
        def score(logits: Any, chosen: Any) -> Any:
            """Logit of a label, or of the chosen class above the mean of the others."""
            own = jnp.take_along_axis(logits, chosen[:, None], axis=1)[:, 0]
            if labels is not None:
                return own
            return own - (logits.sum(axis=1) - own) / max(logits.shape[1] - 1, 1)

        found = call(below, tokens, values)
        found = list(found) if isinstance(found, list | tuple) else [found]
        logits = _first(call(above, [tokens, *found], values))
        chosen = logits.argmax(axis=1) if labels is None else labels

        # Marks of begin and end are no part of what is said.
        said = ((tokens != START) & (tokens != END))[:, :, None]

        def scaled(share: Any) -> list[Any]:
            first, *others = found
            return [jnp.where(said, share * first, first), *(share * each for each in others)]

        def total(vectors: list[Any]) -> Any:
            return score(_first(call(above, [tokens, *vectors], values)), chosen).sum()

        def at(share: Any) -> Any:
            return jax.grad(total)(scaled(share))

        shares = (jnp.arange(STEPS) + 0.5) / STEPS
        gradients = jax.lax.map(at, shares)
        nothing = _first(call(above, [tokens, *scaled(0.0)], values))
        added = [
            (vector * gradient.mean(axis=0)).sum(axis=2)
            for vector, gradient in zip(found, gradients, strict=True)
        ]
        time = tokens.shape[1]
        of_tokens = added[0] * said[:, :, 0]
        for of_runs in added[1:]:
            of_tokens = of_tokens + shared(of_runs, time)
        return chosen, score(logits, chosen), score(nothing, chosen), of_tokens

    compiled = jax.jit(run)
    return lambda tokens, labels=None: compiled(tokens, labels, values)


def _first(outputs: Any) -> Any:
    return outputs[0] if isinstance(outputs, list | tuple) else outputs


def _values(network: Any, weights: tuple[list[Any], list[Any]]) -> dict[int, Any]:
    """Values by the id of their variable, which parts of the network share."""
    groups = (network.trainable_variables, network.non_trainable_variables)
    return {
        id(variable): value
        for group, given in zip(groups, weights, strict=True)
        for variable, value in zip(group, given, strict=True)
    }


def shared(of_runs: Any, time: int) -> Any:
    """What runs added, [n, k * time], as what their tokens did: each an equal part, [n, time]."""
    import jax.numpy as jnp

    total = 0.0
    for place in range(of_runs.shape[1] // time):
        count = place + 2
        of_these = of_runs[:, place * time : (place + 1) * time] / count
        for later in range(count):
            moved = jnp.pad(of_these, ((0, 0), (later, 0)))[:, :time]
            total = total + moved
    return total


def of_words(text: str, spans: Sequence[Span], added: np.ndarray) -> list[tuple[str, float]]:
    """The text in pieces, words and what is between them, with what the tokens in each added.

    What tokens outside of all words added counts for the word before them.
    """
    words = [match.span() for match in word_pattern().finditer(text)] or [(0, len(text))]
    starts = np.array([first for first, _ in words])
    values = np.zeros(len(words))
    for (first, _), value in zip(spans, added.tolist(), strict=False):
        values[max(int(np.searchsorted(starts, first, side="right")) - 1, 0)] += value
    pieces: list[tuple[str, float]] = []
    end = 0
    for (first, last), value in zip(words, values.tolist(), strict=True):
        if first > end:
            pieces.append((text[end:first], 0.0))
        pieces.append((text[first:last], value))
        end = last
    if end < len(text):
        pieces.append((text[end:], 0.0))
    return pieces
