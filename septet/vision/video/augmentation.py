"""Random choice and changes of training clips: pure JAX functions inside the compiled program.

Every change is the same for all frames of a clip. The changes themselves are those of pictures,
`septet/vision/augmentation.py`.
"""

from typing import Any

import jax
import jax.numpy as jnp

from septet.task import Augment
from septet.vision.augmentation import Change


def of_clips(changes: list[Change], *, picks: bool) -> Augment:
    """Takes {"clips": uint8 [batch, clips, frames, h, w, c]} and gives one clip of each video.

    Args:
        changes: Made in order; see `across` and `along`.
        picks: The videos have several clips, of which one is drawn.
    """

    def apply(key: Any, inputs: dict[str, Any], targets: Any) -> tuple[dict[str, Any], Any]:
        for_clip, for_changes = jax.random.split(key)
        clips = inputs["clips"]
        chosen = _one_of(for_clip, clips) if picks else clips[:, 0]
        for place, change in enumerate(changes):
            chosen = change(jax.random.fold_in(for_changes, place), chosen)
        return {**inputs, "clips": chosen[:, None]}, targets

    return apply


def _one_of(key: jax.Array, clips: jax.Array) -> jax.Array:
    """One clip of each video at random: [batch, frames, h, w, c]."""
    place = jax.random.randint(key, (len(clips),), 0, clips.shape[1])

    def take(of_video: jax.Array, number: jax.Array) -> jax.Array:
        return jax.lax.dynamic_index_in_dim(of_video, number, keepdims=False)

    return jax.vmap(take)(clips, place)


def across(change: Change) -> Change:
    """A change of places, as a flip or a crop, for clips: the frames are taken as channels."""

    def apply(key: jax.Array, clips: jax.Array) -> jax.Array:
        batch, frames, height, width, channels = clips.shape
        pictures = jnp.moveaxis(clips, 1, 3).reshape(batch, height, width, frames * channels)
        changed = change(key, pictures).reshape(batch, height, width, frames, channels)
        return jnp.moveaxis(changed, 3, 1)

    return apply


def along(change: Change) -> Change:
    """A change of values, as one of colour, for clips: the frames are taken as one tall picture."""

    def apply(key: jax.Array, clips: jax.Array) -> jax.Array:
        batch, frames, height, width, channels = clips.shape
        return change(key, clips.reshape(batch, frames * height, width, channels)).reshape(
            clips.shape
        )

    return apply
