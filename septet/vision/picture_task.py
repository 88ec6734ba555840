"""What tasks that look at pictures have in common: a start from weights, and explanations."""

from abc import ABC
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from septet.data.dataset import Split
from septet.task import Explanation, Prepared
from septet.vision import inputs as vision_inputs
from septet.vision.starting import StartingTask

if TYPE_CHECKING:
    from septet.vision.explaining import Aim


class PictureTask(StartingTask, ABC):
    """A task whose examples are single pictures; `aim` says what of an answer is explained."""

    def aim(self, labels: Sequence[str]) -> "Aim | None":
        """What is explained; None for the class of the highest logit."""
        return None

    def explain(
        self, network: Any, weights: Any, inputs: Any, prepared: Prepared
    ) -> list[Explanation]:
        """Where in each picture `aim` was seen; see `septet.vision.explaining`."""
        from septet.vision.explaining import explain_pictures

        labels = prepared["labels"]
        pictures = self.encode(inputs, prepared)["pictures"]
        return explain_pictures(network, weights, pictures, labels, self.aim(labels))

    def draw_explanations(
        self, inputs: Any, explanations: Sequence[Explanation], prepared: Prepared
    ) -> list[np.ndarray]:
        """Each picture, as the network sees it, beside itself under what decided."""
        from septet.vision.figures import pictures_beside

        return pictures_beside(self.encode(inputs, prepared)["pictures"], explanations)

    def explainable(self, split: Split, row: int) -> np.ndarray:
        """The picture of an example."""
        return np.asarray(split.examples["pictures"][row])

    def inputs_from_arguments(self, arguments: Sequence[str]) -> list[Any]:
        """Paths of the pictures that paths, folders and glob patterns name."""
        return vision_inputs.inputs_from_arguments(arguments)
