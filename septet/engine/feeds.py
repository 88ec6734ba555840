"""Feeds: where batches come from. A resident feed keeps the whole set on the device."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from septet.engine.order import epoch_order


@dataclass(frozen=True)
class ResidentFeed:
    """A data set that lies on the device once.

    Args:
        block: (inputs, targets) or (inputs, targets, sample weights): pytrees of device
            arrays whose first axis is the example.
        num_examples: Length of that axis.
        batch_size: Examples a step.
        seed: Of the order.
    """

    block: Any
    num_examples: int
    batch_size: int
    seed: int

    @classmethod
    def of(cls, arrays: Any, *, batch_size: int, seed: int) -> "ResidentFeed":
        """Put `arrays` (a tuple of pytrees of host arrays) on the device."""
        import jax

        num_examples = len(jax.tree.leaves(arrays)[0])
        batch_size = min(batch_size, num_examples)
        return cls(jax.device_put(arrays), num_examples, batch_size, seed)

    @property
    def full_steps(self) -> int:
        """Steps of an epoch that have a whole batch."""
        return self.num_examples // self.batch_size

    @property
    def tail_size(self) -> int:
        """Examples in the last, smaller batch; 0 if there is none."""
        return self.num_examples % self.batch_size

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch, the smaller last one included."""
        return self.full_steps + (self.tail_size > 0)

    def order(self, epoch: int) -> np.ndarray:
        """Rows of the block in the order of `epoch`: int32 [num_examples]."""
        return epoch_order(self.num_examples, self.seed, epoch)
