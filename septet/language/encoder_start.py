"""Where a text classifier starts from an encoder: what it must be like, its weights, its rates."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from septet.errors import ConfigError
from septet.language.encoder_folder import open_encoder, read_encoder
from septet.language.hub_folder import CheckpointSizes
from septet.language.tokenizer_schema import PreparedTokenizer
from septet.runs.networks import begin_with

if TYPE_CHECKING:
    from septet.engine.tuning import Tuning
    from septet.language.options import TextModelOptions

TRAINING_DEFAULTS: Mapping[str, Any] = {
    "batch_size": 32,
    "learning_rate": 1e-4,
    "weight_decay": 1e-2,
    "warmup": 0.1,
}
PASSES = (3, 200, 20)
"""Least epochs, least steps, and most epochs."""
FROZEN, LAYER_DECAY = 0.0, 0.9
"""What the settings are by themselves."""
NEW = ("outputs/kernel", "outputs/bias")
"""The weights that no encoder has."""


class PretrainedEncoder(CheckpointSizes):
    """The same of an encoder."""

    length: Annotated[int, Field(ge=4, le=4096)]
    activation: Literal["gelu", "gelu_new", "relu"]


def described(options: "TextModelOptions") -> tuple[PreparedTokenizer, PretrainedEncoder]:
    """Tokenizer and sizes of the encoder that the settings name.

    Raises:
        ConfigError: The settings ask for another network beside it.
        DataError: It cannot be used; says why.
    """
    for name, nothing in (("architecture", "auto"), ("dim", None)):
        if getattr(options, name) != nothing:
            raise ConfigError(
                f"Setting 'model.{name}' is {getattr(options, name)}, and model.pretrained has its "
                "own network. Leave it out."
            )
    folder = open_encoder(Path(options.pretrained or ""))
    return folder.tokenizer, PretrainedEncoder.model_validate(folder.shape)


def arguments(shape: PretrainedEncoder, options: "TextModelOptions") -> dict[str, Any]:
    """Those of `models.bert` that follow from the encoder."""
    dropout = 0.1 if options.dropout is None else options.dropout
    return {**shape.model_dump(exclude={"sha256"}), "dropout": dropout}


def start(network: Any, options: "TextModelOptions", note: Callable[[str], None]) -> "Tuning":
    """Give the network the encoder's weights; groups of variables by their distance to the text.

    Raises:
        DataError: The weights cannot be read, or are not the network's.
    """
    from septet.engine.tuning import Tuning

    weights = read_encoder(open_encoder(Path(options.pretrained or "")))
    begin_with(network, weights, NEW)
    note(
        f"Starting from {options.pretrained}: {len(weights)} arrays of weights are its own, "
        f"{len(NEW)} are new: {', '.join(NEW)}."
    )
    return Tuning(
        groups_of([variable.path for variable in network.trainable_variables]),
        frozen=FROZEN if options.frozen is None else options.frozen,
        thawing=options.thawing,
        decay=LAYER_DECAY if options.layer_decay is None else options.layer_decay,
    )


def groups_of(paths: list[str]) -> tuple[int, ...]:
    """The number of each weight's block, 0 for what comes before, one more for what is new."""
    numbers = [int(found.group(1)) if (found := re.match(r"block(\d+)/", path)) else 0
               for path in paths]  # fmt: skip
    new = max(numbers, default=0) + 1
    return tuple(
        new if path in NEW else number for path, number in zip(paths, numbers, strict=True)
    )
