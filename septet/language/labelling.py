"""Text classification where a text has any number of labels: targets, settings, thresholds.

The network is the same; each of its outputs is the logit of a label, on its own.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from septet.config import TrainingOptions
from septet.data.dataset import Dataset, Split
from septet.engine.losses import LOSSES, Loss
from septet.errors import ConfigError, DataError
from septet.evaluation.multilabel import HALF, sigmoid, tuned_thresholds
from septet.language.options import TextModelOptions
from septet.task import Prepared

TUNED = "tuned"
PASSES = (8, 1200, 40)
"""Least epochs, least steps, and most epochs: rare labels are seen seldom."""


def has_several(prepared: Prepared) -> bool:
    """Whether a text may have any number of labels."""
    return prepared.get("thresholds") is not None


def learned(dataset: Dataset, names: Sequence[str], options: TextModelOptions) -> Prepared:
    """Of each label its threshold before any is tuned, and its share of the training texts.

    A share is as if there were one text more with the label and one without: it is never 0 or 1.
    """
    train = dataset.splits["train"]
    counts = Counter(name for labels in train.targets for name in labels)
    threshold = HALF if options.threshold == TUNED else float(options.threshold)
    return {
        "thresholds": [threshold] * len(names),
        "shares": [(counts[name] + 1) / (len(train) + 2) for name in names],
    }


def start_from_shares(network: Any, prepared: Prepared) -> None:
    """Let the network begin with the share of each label as its probability for every text.

    Otherwise rare labels take most of a short training to become unlikely.
    """
    shares = np.asarray(prepared["shares"])
    bias = next(v for v in network.trainable_variables if v.path == "outputs/bias")
    bias.assign(np.log(shares / (1 - shares)).astype(np.float32))


def require_several(options: TextModelOptions, is_several: bool) -> None:
    """Refuse a setting that has no effect where each text has one class.

    Raises:
        ConfigError: Names it.
    """
    if options.threshold != TUNED and not is_several:
        raise ConfigError(
            f"Setting 'model.threshold' is {options.threshold:g}, and each text has one class: the "
            "likeliest is the answer. Leave it out; or where texts have any number of labels, "
            "give lists of them, or data.label_separator."
        )


def loss_of(training: TrainingOptions, task: str) -> Loss:
    """Binary cross-entropy, each label on its own.

    Raises:
        ConfigError: The settings ask for another loss, or for what is for classes alone.
    """
    for name, value, expected in (
        ("loss", training.loss, ("auto", "cross-entropy")),
        ("label_smoothing", training.label_smoothing, (0.0,)),
        ("class_weights", training.class_weights, ("none",)),
    ):
        if value not in expected:
            raise ConfigError(
                f"Setting 'training.{name}' is {value}; where texts have any number of labels, "
                f"{task} has binary cross-entropy of each label. Set it to {expected[0]}."
            )
    return LOSSES["sigmoid"]


def targets_of(split: Split, prepared: Prepared) -> np.ndarray:
    """Which labels each text has, uint8 [texts, labels].

    Raises:
        DataError: The network does not know a label, or the texts have classes.
    """
    places = {name: place for place, name in enumerate(prepared["classes"])}
    targets = np.zeros((len(split), len(places)), np.uint8)
    for row, (labels, source) in enumerate(zip(split.targets, split.sources, strict=True)):
        if isinstance(labels, str):
            raise DataError(
                "The model gives any number of labels, and each of these texts has one class. "
                "Write lists of labels, or say with data.label_separator what parts them."
            )
        for name in labels:
            if name not in places:
                known = ", ".join(prepared["classes"][:20])
                raise DataError(
                    f"{source}: the model does not know the label '{name}'. It knows: {known}. "
                    "Rename or remove it."
                )
            targets[row, places[name]] = 1
    return targets


def calibrated(
    outputs: Callable[[], np.ndarray], split: Split, prepared: Prepared, options: TextModelOptions
) -> Prepared:
    """`prepared` with thresholds tuned on a validation split, where they are to be."""
    if not has_several(prepared) or options.threshold != TUNED or not len(split):
        return prepared
    return {**prepared, "thresholds": tuned_thresholds(outputs(), targets_of(split, prepared))}


def given_labels(
    logits: np.ndarray, thresholds: Sequence[float], most: int
) -> list[tuple[list[int], bool]]:
    """Places of the labels that are given to each text, likeliest first, at most so many.

    Where none is, the likeliest, and False.
    """
    found = []
    for row in sigmoid(logits):
        ordered = np.argsort(-row, kind="stable")
        given = [int(place) for place in ordered if row[place] >= thresholds[place]]
        found.append((given[:most], True) if given else ([int(ordered[0])], False))
    return found
