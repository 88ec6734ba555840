"""The optimizers by name: Keras' own, for the settings of a run."""

from typing import Any

from septet.config import TrainingOptions


def make_optimizer(options: TrainingOptions) -> Any:
    """The optimizer for these settings; the program sets its learning rate."""
    import keras

    common: dict[str, Any] = {
        "learning_rate": options.learning_rate,
        "global_clipnorm": options.clip_norm,
    }
    momentum, decay = options.momentum, options.weight_decay
    kinds = keras.optimizers
    match options.optimizer:
        case "sgd":
            return kinds.SGD(momentum=momentum, nesterov=momentum > 0, **common)
        case "momentum":
            return kinds.SGD(momentum=momentum, **common)
        case "rmsprop":
            return kinds.RMSprop(**common)
        case "adagrad":
            return kinds.Adagrad(**common)
        case "adadelta":
            return kinds.Adadelta(**common)
        case "adam":
            return kinds.Adam(beta_1=momentum, **common)
        case "adamax":
            return kinds.Adamax(beta_1=momentum, **common)
        case "nadam":
            return kinds.Nadam(beta_1=momentum, **common)
        case "adamw":
            return kinds.AdamW(beta_1=momentum, weight_decay=decay, **common)
        case "lamb":
            return kinds.Lamb(beta_1=momentum, weight_decay=decay, **common)
        case "adafactor":
            # The schedule alone moves the rate.
            return kinds.Adafactor(relative_step=False, weight_decay=decay, **common)
        case "lion":
            return kinds.Lion(weight_decay=decay, **common)
        case "muon":
            from septet.engine.muon import Muon

            return Muon(weight_decay=decay, adam_weight_decay=decay, **common)
