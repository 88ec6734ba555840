"""Every architecture of the registry beside the same written in PyTorch."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from septet.registry import architecture
from tests.models.parity.comparing import Built, Case
from tests.models.parity.copying import of_model
from tests.models.parity.recorded import Recorded

ops: Any = keras.ops

CASES: dict[str, Case] = {}
MODES = {"training": True, "inference": False}
Names = Callable[[keras.Model], Sequence[tuple[Any, str]]]


def network(name: str, arguments: dict, is_training: bool, names: Names, after: Any) -> Built:
    """A network of the registry and its layers' prefixes."""
    model = architecture(name)(**arguments)

    def forward(**inputs: Any) -> Any:
        # A network of one input may be made for it as it is, without a name.
        given = inputs if isinstance(model.input, dict) else next(iter(inputs.values()))
        outputs = model(given, training=is_training)
        return outputs if after is None else after(outputs, inputs)

    return names(model), forward


def biased(reference: Recorded) -> Recorded:
    """PyTorch keeps another estimate of variances, which the layer's own case looks at."""
    return Recorded(**{**vars(reference), "buffers_after": {}})


def add(name: str, variant: str, reference: str, arguments: dict, **more: Any) -> None:
    """One variant of a network."""
    names, after = more.get("names", of_model), more.get("after")
    is_training = more.get("is_training", True)
    CASES[f"{name}: {variant}"] = Case(
        reference,
        lambda: network(name, arguments, is_training, names, after),
        expected=biased,
    )


pictures: dict[str, Any] = {
    "height": 8,
    "width": 8,
    "channels": 3,
    "num_classes": 3,
    "filters": [3, 4],
    "dropout": 0.0,
    "mean": [100.0, 120.0, 140.0],
    "deviation": [50.0, 60.0, 70.0],
}


def table_names(model: keras.Model) -> list[tuple[Any, str]]:
    """Its layers are known by their order."""
    names = (
        *("embedding", "dense", "block_normalization", "block_dense1", "block_dense2"),
        *("normalization", "outputs"),
    )
    with_weights = [layer for layer in model.layers if layer.weights]
    return list(zip(with_weights, names, strict=True))


for mode, is_training in MODES.items():
    add(
        "mlp",
        mode,
        f"mlp: {mode}",
        {
            "num_features": 5,
            "num_outputs": 3,
            "hidden": [6, 4],
            "activation": "gelu",
            "is_normalised": True,
        },
        is_training=is_training,
    )
    add(
        "tabular",
        mode,
        f"tabular: {mode}",
        {
            "num_numbers": 3,
            "cardinalities": [2, 3],
            "num_outputs": 3,
            "width": 4,
            "depth": 1,
            "dropout": 0.0,
            "embedding_dim": 2,
            "members": 2,
            "is_classifier": True,
        },
        is_training=is_training,
        names=table_names,
    )
    add(
        "cnn",
        mode,
        f"cnn: {mode}",
        {**pictures, "convolutions": [1, 2], "dense_dim": 5},
        is_training=is_training,
    )
    add("resnet", mode, f"resnet: {mode}", {**pictures, "blocks": 1}, is_training=is_training)
    add(
        "generator",
        f"dcgan, {mode}",
        f"generator dcgan: {mode}",
        {"height": 8, "width": 8, "channels": 1, "noise_dim": 3, "filters": 2},
        is_training=is_training,
        names=lambda model: of_model(model),
        after=lambda outputs, inputs: outputs,
    )

add(
    "generator",
    "dense",
    "generator dense: training",
    {"height": 4, "width": 4, "channels": 1, "noise_dim": 3, "filters": 2, "design": "dense"},
)
for design, side in (("dense", 4), ("dcgan", 8)):
    for is_spectral in (False, True):
        ending = ", spectral" if is_spectral else ""
        CASES[f"discriminator: {design}{ending}"] = Case(
            f"discriminator {design}{ending}: training",
            lambda design=design, side=side, is_spectral=is_spectral: network(
                "discriminator",
                {
                    "height": side,
                    "width": side,
                    "channels": 1,
                    "filters": 2,
                    "design": design,
                    "is_spectral": is_spectral,
                },
                True,
                unspectral,
                None,
            ),
        )


def unspectral(model: keras.Model) -> list[tuple[Any, str]]:
    """Layers under the names that they have without normalisation."""
    return [(layer, name.removeprefix("spectral_")) for layer, name in of_model(model)]


def recurrent_names(model: keras.Model) -> list[tuple[Any, str]]:
    """Each layer is one of PyTorch's modules of one layer."""
    found = []
    for layer, name in of_model(model):
        inner = getattr(layer, "forward_layer", layer)
        kind = "outputs" if name == "outputs" else inner.name.removeprefix("forward_")
        found.append((layer, kind if kind == "outputs" else f"{kind}:l0"))
    return found


def within(outputs: Any, inputs: Any) -> Any:
    """PyTorch's padding has no answers."""
    mask = np.arange(outputs.shape[1])[None] < inputs["lengths"][:, None]
    return outputs * ops.cast(mask, "float32")[..., None]


for kind in ("simple", "lstm", "gru"):
    for is_bidirectional in (False, True):
        for is_each_step in (False, True):
            variant = "both directions" if is_bidirectional else "one direction"
            variant += ", each step" if is_each_step else ""
            add(
                "recurrent",
                f"{kind}, {variant}",
                f"recurrent {kind}: {variant}: training",
                {
                    "num_features": 2,
                    "num_outputs": 2,
                    "kind": kind,
                    "hidden": [4, 3],
                    "has_lengths": True,
                    "is_bidirectional": is_bidirectional,
                    "is_each_step": is_each_step,
                },
                names=recurrent_names,
                after=within if is_each_step else None,
            )

small: dict[str, Any] = {
    "length": 5,
    "dim": 8,
    "num_heads": 2,
    "feed_forward_dim": 6,
    "dropout": 0.0,
}
for norm in ("pre", "post"):
    add(
        "transformer-encoder",
        f"{norm}-norm",
        f"transformer-encoder: {norm}-norm",
        {
            **small,
            "vocabulary_size": 7,
            "num_outputs": 3,
            "norm": norm,
            "has_mask": True,
            "positions": "learned",
        },
    )
    add(
        "transformer-decoder",
        f"{norm}-norm",
        f"transformer-decoder: {norm}-norm",
        {
            **small,
            "vocabulary_size": 7,
            "depth": 2,
            "norm": norm,
            "positions": "sinusoidal",
        },
    )
    add(
        "transformer",
        f"{norm}-norm",
        f"transformer: {norm}-norm",
        {
            **small,
            "source_vocabulary_size": 7,
            "target_vocabulary_size": 6,
            "depth": 1,
            "norm": norm,
            "is_tied": False,
        },
    )
