"""Where in a picture an answer comes from: Grad-CAM, or the attention of a Vision Transformer.

Grad-CAM (Selvaraju et al., arXiv:1610.02391) weighs the last maps of a convolutional network by
how much the answer's score would rise with each; attention roll-out (Abnar and Zuidema,
arXiv:2005.00928) follows the class token's attention through all blocks down to the patches.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from septet.task import Explanation

TOGETHER = 16
"""Pictures explained at once."""
LEAST_SIDE = 5
"""Pixels a side that maps must have, where a network has such maps: fewer show no place."""
GRAD_CAM, ROLL_OUT = "Grad-CAM", "attention roll-out"


def explain_pictures(
    network: Any,
    weights: tuple[list[Any], list[Any]],
    pictures: np.ndarray,
    labels: Sequence[str],
) -> list[Explanation]:
    """For each picture the likeliest class and where in the picture it was seen.

    Args:
        network: A classifier with the input "pictures".
        weights: Its (trainable, non-trainable) values.
        pictures: uint8 [n, height, width, channels].
        labels: In the order of the logits.
    """
    method, run = explainer(network, weights)
    found = []
    for first in range(0, len(pictures), TOGETHER):
        part = pictures[first : first + TOGETHER]
        padded = np.zeros((TOGETHER, *part.shape[1:]), np.uint8)
        padded[: len(part)] = part
        chosen, scores, heats = (np.asarray(array, np.float64) for array in run(padded))
        for row in range(len(part)):
            heat = np.round(heats[row] / max(heats[row].max(), 1e-12), 3)
            found.append(
                Explanation(
                    labels[int(chosen[row])],
                    float(scores[row]),
                    0.0,
                    (),
                    heat=tuple(tuple(line) for line in heat.tolist()),
                    method=method,
                )
            )
    return found


def explainer(network: Any, weights: tuple[list[Any], list[Any]]) -> tuple[str, Any]:
    """The method that suits the network, and a compiled function of pictures [n, ...].

    It gives the likeliest class [n], its score [n], and the heat [n, rows, columns], 0 or more.
    """
    import jax
    import keras

    blocks = [layer for layer in network.layers if type(layer).__name__ == "Block"]
    method, work = (
        (ROLL_OUT, _roll_out(network, blocks)) if blocks else (GRAD_CAM, _grad_cam(network))
    )
    variables = [*network.trainable_variables, *network.non_trainable_variables]

    def run(pictures: Any, values: Any) -> Any:
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return work(pictures)

    compiled = jax.jit(run)
    values = [*weights[0], *weights[1]]
    return method, lambda pictures: compiled(pictures, values)


def _score(logits: Any, chosen: Any) -> Any:
    """Logit of the chosen class above the mean of the others, [n]."""
    import jax.numpy as jnp

    own = jnp.take_along_axis(logits, chosen[:, None], axis=1)[:, 0]
    return own - (logits.sum(axis=1) - own) / max(logits.shape[1] - 1, 1)


def _grad_cam(network: Any) -> Any:
    import jax
    import jax.numpy as jnp

    below, above = split(network)

    def work(pictures: Any) -> Any:
        maps = below({"pictures": pictures}, training=False)
        logits = above(maps, training=False)
        chosen = logits.argmax(axis=1)
        gradients = jax.grad(lambda given: _score(above(given, training=False), chosen).sum())(maps)
        shares = gradients.mean(axis=(1, 2), keepdims=True)
        return chosen, _score(logits, chosen), jnp.maximum((shares * maps).sum(axis=3), 0.0)

    return work


def split(network: Any) -> tuple[Any, Any]:
    """A network in two at its last maps of at least `LEAST_SIDE` pixels a side.

    Through the place of the split everything must pass: beside it lies no shortcut.
    """
    import keras

    kinds = keras.layers.ReLU, keras.layers.Activation, keras.layers.Add
    candidates = [
        (layer.output, isinstance(layer, kinds))
        for layer in network.layers
        if not isinstance(layer.output, list | tuple | dict) and len(layer.output.shape) == 4
    ]
    # After an activation, maps say how much of something there is.
    active = [each for each, is_active in candidates if is_active]
    every = [each for each, _ in candidates]
    large = [each for each in active if min(each.shape[1:3]) >= LEAST_SIDE]
    rest = sorted(active or every, key=lambda each: -min(each.shape[1:3]))
    for maps in (*reversed(large), *rest, *reversed(every)):
        try:
            return keras.Model(network.input, maps), keras.Model(maps, network.output)
        except ValueError:
            continue
    raise ValueError("the network has no maps to look at")


def _roll_out(network: Any, blocks: Sequence[Any]) -> Any:
    import jax.numpy as jnp
    import keras

    inside = keras.Model(network.input, [*(block.input for block in blocks), network.output])
    patches = next(layer.output for layer in network.layers if layer.name == "patches")
    rows, columns = patches.shape[1:3]

    def work(pictures: Any) -> Any:
        *tokens, logits = inside({"pictures": pictures}, training=False)
        chosen = logits.argmax(axis=1)
        rolled = None
        for block, features in zip(blocks, tokens, strict=True):
            seen = _attention(block, features).mean(axis=1)
            # Half of what a token is comes past the attention, by the shortcut.
            step = 0.5 * seen + 0.5 * jnp.eye(seen.shape[-1])
            rolled = step if rolled is None else step @ rolled
        heat = rolled[:, 0, 1:]
        # Every patch is seen a little: what all have in common shows no place.
        heat = heat - heat.min(axis=1, keepdims=True)
        return chosen, _score(logits, chosen), heat.reshape(-1, rows, columns)

    return work


def _attention(block: Any, features: Any) -> Any:
    """What each token of a block attends to: [batch, heads, tokens, tokens]."""
    import jax
    import jax.numpy as jnp

    attention, normed = block.attention, block.norm(features)
    shape = (*features.shape[:2], attention.num_heads, attention.head_dim)
    queries = attention.query(normed).reshape(shape)
    keys = attention.key(normed).reshape(shape)
    scores = jnp.einsum("bqhd,bkhd->bhqk", queries, keys) * attention.head_dim**-0.5
    return jax.nn.softmax(scores.astype("float32"), axis=-1)


def overlay(picture: np.ndarray, heat: Any) -> np.ndarray:
    """The picture with what decided in warm colours: uint8 [height, width, 3].

    Args:
        picture: uint8 [height, width, 1 or 3].
        heat: Numbers of 0..1, rows of columns; enlarged to the picture's size.
    """
    from matplotlib import colormaps
    from PIL import Image

    height, width = picture.shape[:2]
    small = Image.fromarray(np.asarray(heat, np.float32))
    large = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).clip(0.0, 1.0)
    colours = colormaps["inferno"](large)[..., :3] * 255.0
    share = 0.25 + 0.45 * large[..., None]
    grey = picture.mean(axis=2, keepdims=True)
    return np.clip((1.0 - share) * grey + share * colours, 0, 255).astype(np.uint8)
