"""Where in a picture an answer comes from: Grad-CAM, or the attention of a Vision Transformer.

Grad-CAM (Selvaraju et al., arXiv:1610.02391) weighs the last maps of a convolutional network by
how much the answer's score would rise with each: a class's, a box's, or that of all pixels of a
class (Vinogradova et al., arXiv:2002.11434); attention roll-out (Abnar and Zuidema,
arXiv:2005.00928) follows the class token's attention through all blocks down to the patches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet.task import Explanation

TOGETHER = 16
"""Pictures explained at once."""
LEAST_SIDE = 5
"""Pixels a side that maps must have, where a network has such maps: fewer show no place."""
RANKS_OF_MAPS = 4, 5
"""Axes of a picture's maps, and of a clip's."""
FRAMES_OF_HEAT = 3
GRAD_CAM, ROLL_OUT = "Grad-CAM", "attention roll-out"


@dataclass(frozen=True)
class Aim:
    """What of a network's outputs is explained.

    Args:
        choose: Outputs [n, ...] to a number each, int [n]; its remainder by the number of classes
            is the class.
        score: (outputs, numbers) to how much the network is for it, float [n].
    """

    choose: Callable[[Any], Any]
    score: Callable[[Any, Any], Any]


def explain_pictures(
    network: Any,
    weights: tuple[list[Any], list[Any]],
    pictures: np.ndarray,
    labels: Sequence[str],
    aim: "Aim | None" = None,
) -> list[Explanation]:
    """For each picture the likeliest class and where in the picture it was seen.

    Args:
        network: Of one input, pictures or clips.
        weights: Its (trainable, non-trainable) values.
        pictures: uint8 [n, height, width, channels], or clips [n, 1, frames, ...].
        labels: In the order of the logits.
        aim: What is explained; by default the class of the highest logit.
    """
    method, run = explainer(network, weights, aim)
    found = []
    for first in range(0, len(pictures), TOGETHER):
        part = pictures[first : first + TOGETHER]
        padded = np.zeros((TOGETHER, *part.shape[1:]), np.uint8)
        padded[: len(part)] = part
        chosen, scores, heats = (np.asarray(array, np.float64) for array in run(padded))
        for row in range(len(part)):
            heat, frame = heats[row], None
            if heat.ndim == FRAMES_OF_HEAT:
                frame = int(heat.sum(axis=(1, 2)).argmax())
                heat = heat[frame]
            heat = np.round(heat / max(heat.max(), 1e-12), 3)
            found.append(
                Explanation(
                    labels[int(chosen[row]) % len(labels)],
                    float(scores[row]),
                    0.0,
                    (),
                    heat=tuple(tuple(line) for line in heat.tolist()),
                    method=method,
                    frame=frame,
                )
            )
    return found


def explainer(
    network: Any, weights: tuple[list[Any], list[Any]], aim: "Aim | None" = None
) -> tuple[str, Any]:
    """The method that suits the network, and a compiled function of pictures [n, ...].

    It gives what is chosen [n], its score [n], and the heat [n, rows, columns], of clips
    [n, frames, rows, columns], 0 or more.
    """
    import jax
    import keras

    blocks = [layer for layer in network.layers if type(layer).__name__ == "Block"]
    if blocks and aim is None:
        method, work = ROLL_OUT, _roll_out(network, blocks)
    else:
        method, work = GRAD_CAM, _grad_cam(network, aim or CLASSES)
    variables = [*network.trainable_variables, *network.non_trainable_variables]

    def run(pictures: Any, values: Any) -> Any:
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return work(pictures)

    compiled = jax.jit(run)
    values = [*weights[0], *weights[1]]
    return method, lambda pictures: compiled(pictures, values)


def surest_box(num_classes: int) -> Aim:
    """Of a detector's outputs [n, places, classes + 4] the class and place of the highest logit."""

    def logits(outputs: Any) -> Any:
        return outputs[..., :num_classes].reshape(len(outputs), -1)

    def score(outputs: Any, chosen: Any) -> Any:
        import jax.numpy as jnp

        return jnp.take_along_axis(logits(outputs), chosen[:, None], axis=1)[:, 0]

    return Aim(lambda outputs: logits(outputs).argmax(axis=1), score)


def largest_class(clear: int | None) -> Aim:
    """Of logits [n, height, width, classes] the class that has most pixels.

    Args:
        clear: A class that counts only where there is no other: the background.
    """
    import jax.numpy as jnp

    def choose(outputs: Any) -> Any:
        classes = outputs.argmax(axis=-1).reshape(len(outputs), -1)
        counts = (classes[..., None] == jnp.arange(outputs.shape[-1])).sum(axis=1)
        if clear is not None:
            # Less than one pixel, and more than none.
            counts = counts.astype(jnp.float32).at[:, clear].set(0.5)
        return counts.argmax(axis=1)

    def score(outputs: Any, chosen: Any) -> Any:
        own = jnp.take_along_axis(outputs, chosen[:, None, None, None], axis=3)[..., 0]
        is_there = outputs.argmax(axis=-1) == chosen[:, None, None]
        total = jnp.where(is_there, own, 0.0).sum(axis=(1, 2))
        return total / jnp.maximum(is_there.sum(axis=(1, 2)), 1)

    return Aim(choose, score)


def _score(logits: Any, chosen: Any) -> Any:
    """Logit of the chosen class above the mean of the others, [n]."""
    import jax.numpy as jnp

    own = jnp.take_along_axis(logits, chosen[:, None], axis=1)[:, 0]
    return own - (logits.sum(axis=1) - own) / max(logits.shape[1] - 1, 1)


CLASSES = Aim(lambda logits: logits.argmax(axis=1), _score)


def _grad_cam(network: Any, aim: Aim) -> Any:
    import jax
    import jax.numpy as jnp

    below, above = split(network)
    (name,) = network.input

    def work(pictures: Any) -> Any:
        maps = below({name: pictures}, training=False)
        outputs = above(maps, training=False)
        chosen = aim.choose(outputs)
        gradients = jax.grad(lambda given: aim.score(above(given, training=False), chosen).sum())(
            maps
        )
        shares = gradients.mean(axis=tuple(range(1, maps.ndim - 1)), keepdims=True)
        heat = jnp.maximum((shares * maps).sum(axis=-1), 0.0)
        return chosen, aim.score(outputs, chosen), heat

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
        if not isinstance(layer.output, list | tuple | dict)
        and len(layer.output.shape) in RANKS_OF_MAPS
    ]
    # After an activation, maps say how much of something there is.
    active = [each for each, is_active in candidates if is_active]
    every = [each for each, _ in candidates]
    large = [each for each in active if min(each.shape[-3:-1]) >= LEAST_SIDE]
    rest = sorted(active or every, key=lambda each: -min(each.shape[-3:-1]))
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
        rolled: Any = None
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
