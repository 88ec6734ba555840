"""Settings of a run: frozen, typed, documented here and nowhere else.

The field descriptions are the command line's help and the docs' reference. Knows no
task: a task brings its own `DataOptions` and `ModelOptions`.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from septet.errors import ConfigError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
Optimizer = Literal[
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "lamb",
    "lion",
    "momentum",
    "muon",
    "nadam",
    "rmsprop",
    "sgd",
]


class Options(BaseModel):
    """Base of all settings: plain values, frozen, unknown names refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )


class DataOptions(Options):
    """How a data set is read; tasks add their own."""

    max_rejected: Fraction = Field(
        default=0.01,
        description="Largest share of examples that may be rejected before the run is refused.",
    )
    validation_fraction: Fraction = Field(
        default=0.1,
        description="Share of the training data set aside for validation when it is absent.",
    )
    test_fraction: Fraction = Field(
        default=0.1, description="Share of the data set aside for the test when it is absent."
    )
    limit: int | None = Field(
        default=None, ge=1, description="Use at most so many training examples, chosen by the seed."
    )


class ModelOptions(Options):
    """Which network; tasks add their own."""


class TrainingOptions(Options):
    """How a model is trained, the same for every task."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] | Literal["auto"] | None = Field(
        default="auto",
        description="Passes over the training data; auto: more for small data, as the task's page "
        "says; null when only minutes should decide.",
    )
    minutes: float | None = Field(
        default=None,
        gt=0.0,
        le=1_000_000,
        description="Everything, from reading to saving, ends within so many minutes; "
        "the number of epochs follows from the measured speed.",
    )
    batch_size: int = Field(default=32, ge=1, le=1_000_000, description="Examples a step.")
    optimizer: Optimizer = Field(
        default="adamw",
        description="Which optimizer; sgd is Nesterov's, and plain gradient descent with "
        "momentum=0; momentum is Polyak's.",
    )
    learning_rate: float = Field(
        default=1e-3, gt=0.0, le=1000.0, description="Highest learning rate."
    )
    momentum: Probability = Field(
        default=0.9,
        description="Momentum of sgd and momentum; first decay of adam, adamw, adamax, nadam and "
        "lamb.",
    )
    weight_decay: float = Field(
        default=0.0,
        ge=0.0,
        le=1000.0,
        description="Decoupled weight decay, for adamw, lion, muon, lamb and adafactor.",
    )
    loss: Literal[
        "auto",
        "cross-entropy",
        "focal",
        "squared",
        "absolute",
        "huber",
        "dice",
        "cross-entropy+dice",
        "focal+dice",
    ] = Field(
        default="auto",
        description="What is made small: of classes cross-entropy (auto) or focal, of numbers "
        "squared (auto), absolute or huber, of pixels cross-entropy, focal, dice or a sum.",
    )
    label_smoothing: Probability = Field(
        default=0.0,
        description="Share of each label that is spread over all classes, for cross-entropy.",
    )
    schedule: Literal["constant", "cosine", "one-cycle", "plateau", "inverse-sqrt"] = Field(
        default="one-cycle", description="How the learning rate moves over the run."
    )
    warmup: Fraction = Field(
        default=0.2,
        description="Share of the steps over which cosine, one-cycle and inverse-sqrt rise to the "
        "highest rate.",
    )
    plateau_patience: int = Field(
        default=3, ge=1, description="Epochs without improvement before plateau lowers the rate."
    )
    plateau_factor: float = Field(
        default=0.3, gt=0.0, lt=1.0, description="What plateau multiplies the rate by."
    )
    clip_norm: float | None = Field(
        default=1.0,
        gt=0.0,
        description="Gradients are scaled down to this global norm; null to not clip.",
    )
    average_decay: Probability | None = Field(
        default=None,
        description="Decay of the moving average of weights, validated and shipped; null for none.",
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32",
        description="Computation type; weights stay float32. float16 brings loss scaling.",
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        description="Stop after so many epochs without improvement; null to never stop early.",
    )
    restore_best: bool = Field(
        default=True,
        description="Ship the weights of the best validated epoch rather than the last.",
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none", description="Weigh each class by the inverse of its share."
    )
    checkpoint_every_s: float = Field(
        default=30.0,
        ge=0.0,
        description="Seconds between checkpoints; the end of training has one too.",
    )
    checkpoint_every_steps: int | None = Field(
        default=None, ge=1, description="Also save a checkpoint every so many steps."
    )
    keep_checkpoints: int = Field(
        default=2, ge=1, le=1000, description="Newest checkpoints kept, beside the best."
    )


class RunConfig(Options):
    """Everything a run needs, resolved; written to config.json."""

    septet: str
    task: str
    source: str
    backend: Literal["jax", "tensorflow", "torch"] = Field(
        default="jax", description="The framework that Keras trains on."
    )
    seed: int = Field(default=0, ge=0, lt=2**31)
    data: dict[str, Any]
    model: dict[str, Any]
    training: TrainingOptions


Model = TypeVar("Model", bound=BaseModel)
LONGEST_SHOWN = 100
"""Characters of a value in a message."""


def validate(kind: type[Model], values: Mapping[str, Any], prefix: str) -> Model:
    """`values` as a `kind`; names in messages start with `prefix` (as "data").

    Raises:
        ConfigError: An unknown name (with the nearest known one) or a bad value.
    """
    known = sorted(kind.model_fields)
    for name in values:
        if name not in kind.model_fields:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean '{prefix}.{near[0]}'?" if near else f"Known: {', '.join(known)}."
            raise ConfigError(f"Unknown setting '{prefix}.{name}'. {hint}")
        if isinstance(values[name], bool) and not _accepts_bool(kind, name):
            received = json.dumps(values[name])
            raise ConfigError(
                f"Setting '{prefix}.{name}' is {received}: it is not a yes-or-no setting."
            )
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        errors = error.errors()
        name = str(errors[0]["loc"][0])
        # A union brings one message for each alternative.
        reasons = dict.fromkeys(
            each["msg"].replace("Input ", "it ") for each in errors if each["loc"][0] == name
        )
        received = json.dumps(values[name], default=str)
        received = received if len(received) <= LONGEST_SHOWN else received[:LONGEST_SHOWN] + "…"
        raise ConfigError(
            f"Setting '{prefix}.{name}' is {received}: {', or '.join(reasons)}."
        ) from None


def _accepts_bool(kind: type[BaseModel], name: str) -> bool:
    """Whether true and false are values of a setting; pydantic takes them for 1 and 0."""
    annotation = kind.model_fields[name].annotation
    return bool in (annotation, *get_args(annotation))


def parse_settings(pairs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`["model.depth=3"]` as `{"data": {}, "model": {"depth": 3}, "training": {}}`.

    Values are JSON where they parse as JSON, otherwise text.

    Raises:
        ConfigError: A pair is not `group.name=value` with a known group.
    """
    settings: dict[str, dict[str, Any]] = {"data": {}, "model": {}, "training": {}}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        group, dot, name = path.strip().partition(".")
        if not (equals and dot and name):
            raise ConfigError(
                f"'{pair}' is not a setting. Write it as group.name=value, as in training.epochs=5."
            )
        if group not in settings:
            near = difflib.get_close_matches(group, settings, n=1)
            hint = (
                f"Did you mean '{near[0]}.{name}'?"
                if near
                else f"Known groups: {', '.join(settings)}."
            )
            raise ConfigError(f"Unknown setting '{path}'. {hint}")
        try:
            settings[group][name] = json.loads(text)
        except (ValueError, RecursionError):
            settings[group][name] = text
    return settings
