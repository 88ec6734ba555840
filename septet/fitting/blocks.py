"""Blocks of batches: what a program loops over."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Block:
    """Some steps of an epoch whose batches have one shape.

    Args:
        arrays: Pytree of arrays on the device; first axis: example. Of a batch that no
            program can take (sparse, ragged, text): that batch itself.
        order: Rows of the arrays, int32; batch i is `order[i * batch_size : ...]`. Longer
            than the steps need where that spares a compilation. None for such a batch.
        batch_size: Examples a step.
        steps: Steps of the block.
        first_step: Place of its first step in the epoch.
    """

    arrays: Any
    order: Any
    batch_size: int
    steps: int
    first_step: int

    def batch(self, index: int) -> Any:
        """The batch of one step, as Keras would have it."""
        import jax

        if self.order is None:
            return self.arrays
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return jax.tree.map(lambda array: array[rows], self.arrays)


def shape_of(tree: Any) -> Any:
    """(structure, ((shape, type) of each leaf)) of a pytree of arrays; hashable."""
    import jax

    leaves, structure = jax.tree.flatten(tree)
    return structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)


def is_dense(batch: Any) -> bool:
    """Whether all leaves are arrays of numbers with the same first axis."""
    import jax
    import jax.numpy as jnp

    leaves = jax.tree.leaves(batch)
    return (
        bool(leaves)
        and all(isinstance(leaf, np.ndarray | jax.Array) and np.ndim(leaf) > 0 for leaf in leaves)
        and all(jnp.issubdtype(leaf.dtype, np.number) or leaf.dtype == bool for leaf in leaves)
        and len({len(leaf) for leaf in leaves}) == 1
    )
