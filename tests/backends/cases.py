"""A small network of every architecture, in its variants, with weights and inputs from seeds.

The same in every process and on every backend: weights are drawn by their names.
"""

import zlib
from typing import Any

import numpy as np

from septet import registry
from septet.runs.networks import build_apart

BATCH, TIME, TOKENS = 5, 6, 11
PICTURE: dict[str, Any] = {"height": 8, "width": 8, "channels": 1}
SCALED: dict[str, Any] = {**PICTURE, "mean": [100.0], "deviation": [60.0], "num_classes": 3}
PIXELS: dict[str, Any] = {**SCALED, "height": 32, "width": 32}
SMALL: dict[str, Any] = {
    "length": 8, "dim": 8, "depth": 2, "num_heads": 2, "feed_forward_dim": 12, "dropout": 0.0,
}  # fmt: skip
GAN: dict[str, Any] = {**PICTURE, "filters": 4, "noise_dim": 6}
SERIES: dict[str, Any] = {"num_features": 3, "num_outputs": 2, "hidden": [5, 4]}
WORDS: dict[str, Any] = {"source_vocabulary_size": TOKENS, "target_vocabulary_size": TOKENS}
TEXT: dict[str, Any] = {"vocabulary_size": TOKENS, "num_outputs": 2, "dim": 6, "dropout": 0.0}
TABLE: dict[str, Any] = {"num_numbers": 4, "cardinalities": [3, 5], "num_outputs": 3, "width": 8}

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "cnn": ("cnn", {**SCALED, "filters": [4, 6], "convolutions": [1, 2], "dropout": 0.0}),
    "resnet": ("resnet", {**SCALED, "filters": [4, 6], "blocks": 1}),
    "residual": (
        "picture-classifier",
        {**SCALED, "backbone": "resnet18", "settings": {"blocks": [1, 1], "width": 4}},
    ),
    "bottleneck": (
        "picture-classifier",
        {
            **SCALED,
            "backbone": "resnet50",
            "settings": {"blocks": [1, 1], "width": 4, "stem": "small"},
        },
    ),
    "convnext": (
        "picture-classifier",
        {
            **SCALED,
            "backbone": "convnext-micro",
            "settings": {"depths": [1, 1], "width": 4, "patch": 2},
        },
    ),
    "vision-transformer": (
        "picture-classifier",
        {
            **SCALED,
            "backbone": "vit-micro",
            "settings": {"dim": 8, "depth": 2, "num_heads": 2, "patch": 4},
        },
    ),
    "small-cnn": (
        "picture-classifier",
        {**SCALED, "backbone": "small-cnn", "settings": {"width": 4, "stages": 2}},
    ),
    "keras-application": (
        "keras-application",
        {
            **SCALED,
            "height": 32,
            "width": 32,
            "channels": 3,
            "mean": [127.5] * 3,
            "deviation": [127.5] * 3,
            "application": "MobileNetV3Small",
        },
    ),
    "unet": ("unet", {**PIXELS, "filters": [4, 6], "blocks": [1, 1], "stem": 2, "decoder": 4}),
    "feature-pyramid": (
        "pixel-head",
        {
            **PIXELS,
            "backbone": "resnet-micro",
            "settings": {"width": 4, "blocks": [1, 1, 1]},
            "head": "fpn",
            "dim": 4,
        },
    ),
    "deeplab": (
        "pixel-head",
        {
            **PIXELS,
            "backbone": "resnet-micro",
            "settings": {"width": 4, "blocks": [1, 1, 1]},
            "head": "deeplab",
            "dim": 4,
        },
    ),
    "tabular": ("tabular", {**TABLE, "dropout": 0.0}),
    "tabular-members": (
        "tabular",
        {**TABLE, "dropout": 0.0, "members": 3, "is_classifier": True},
    ),
    "simple": ("recurrent", {**SERIES, "kind": "simple"}),
    "lstm": ("recurrent", {**SERIES, "kind": "lstm", "has_lengths": True}),
    "lstm-bidirectional": (
        "recurrent",
        {**SERIES, "kind": "lstm", "is_bidirectional": True, "has_lengths": True},
    ),
    "gru": ("recurrent", {**SERIES, "kind": "gru", "is_each_step": True}),
    "encoder": (
        "transformer-encoder",
        {**SMALL, "vocabulary_size": TOKENS, "num_outputs": 3, "has_mask": True},
    ),
    "encoder-series": (
        "transformer-encoder",
        {**SMALL, "num_features": 3, "num_outputs": 3, "positions": "learned", "norm": "post"},
    ),
    "decoder": ("transformer-decoder", {**SMALL, "vocabulary_size": TOKENS}),
    "gpt": (
        "gpt",
        {"vocabulary_size": TOKENS, "length": 8, "dim": 8, "depth": 2, "num_heads": 2},
    ),
    "gpt-learned": (
        "gpt",
        {
            "vocabulary_size": TOKENS,
            "length": 8,
            "dim": 8,
            "depth": 2,
            "num_heads": 2,
            "positions": "learned",
            "feed_forward_dim": 12,
        },
    ),
    "language-lstm": (
        "language-lstm",
        {"vocabulary_size": TOKENS, "dim": 6, "units": 5, "depth": 2},
    ),
    "encoder-decoder": ("transformer", {**SMALL, **WORDS}),
    "encoder-decoder-rotary": (
        "transformer",
        {**SMALL, **WORDS, "positions": "rotary", "norm": "post", "is_tied": False},
    ),
    "mlp": ("mlp", {"num_features": 4, "num_outputs": 3, "hidden": [6, 5], "is_normalised": True}),
    "text-bag": ("text-bag", {**TEXT, "buckets": 20}),
    "text-cnn": ("text-cnn", {**TEXT, "filters": 5, "sizes": [2, 3]}),
    "text-encoder": ("text-encoder", {**SMALL, **TEXT, "dim": 8}),
    "bert": ("bert", {**SMALL, **TEXT, "dim": 8}),
    "text-lstm": ("text-recurrent", {**TEXT, "kind": "lstm", "units": 5}),
    "text-gru": ("text-recurrent", {**TEXT, "kind": "gru", "units": 5, "depth": 2}),
    "translation": ("translation-transformer", {**SMALL, "vocabulary_size": TOKENS}),
    "translation-gru": (
        "translation-gru",
        {
            "vocabulary_size": TOKENS,
            "dim": 8,
            "units": 6,
            "depth": 2,
            "num_heads": 2,
            "dropout": 0.0,
        },
    ),
    "detector": (
        "detector",
        {
            **SCALED,
            "height": 32,
            "width": 64,
            "backbone": "resnet-micro",
            "backbone_width": 4,
            "pyramid_dim": 8,
            "head_depth": 1,
        },
    ),
    "video-cnn": ("video-cnn", {**SCALED, "filters": [4, 6], "dropout": 0.0}),
    "video-recurrent": (
        "video-recurrent",
        {**SCALED, "filters": [4], "dense_dim": 6, "units": 5, "dropout": 0.0},
    ),
    "discriminator": ("discriminator", {**PICTURE, "filters": 4}),
    "discriminator-dense": (
        "discriminator",
        {**PICTURE, "filters": 4, "design": "dense", "is_spectral": False},
    ),
    "generator": ("generator", GAN),
    "generator-dense": ("generator", {**GAN, "design": "dense"}),
    "adversarial": ("adversarial", {**GAN, "loss": "hinge"}),
    "adversarial-penalty": (
        "adversarial",
        {**GAN, "loss": "wasserstein", "gradient_penalty": 10.0, "is_spectral": False},
    ),
}


def build(name: str) -> Any:
    """The network of a case with its weights; names count from the start, as in a model folder."""
    architecture, arguments = CASES[name]
    builder = registry.architecture(architecture)
    network = build_apart(lambda: builder(**arguments), with_values=True)
    for place, weight in enumerate(network.weights):
        weight.assign(value_of(place, weight.path, tuple(weight.shape), str(weight.dtype)))
    return network


def value_of(place: int, path: str, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Numbers of the size that training begins with; variances and scales about one."""
    if kind != "float32":
        return np.zeros(shape, kind)
    drawn = np.random.default_rng(zlib.crc32(f"{place} {path}".encode())).normal(size=shape)
    if path.endswith(("moving_variance", "gamma")):
        return (1.0 + 0.2 * np.abs(drawn)).astype(np.float32)
    return (0.3 * drawn).astype(np.float32)


def inputs(name: str) -> Any:
    """Inputs of a case, by name where its network names them."""
    random = np.random.default_rng(7)
    lengths = np.array([6, 4, 1, 3, 5], np.int32)
    before_end = np.arange(TIME)[None] < lengths[:, None]
    tokens = random.integers(0, TOKENS, (2, BATCH, TIME)).astype(np.int32)
    drawn = {
        "numbers": random.normal(size=(BATCH, 4)).astype(np.float32),
        "categories": random.integers(0, 3, (BATCH, 2)).astype(np.int32),
        "series": random.normal(size=(BATCH, TIME, 3)).astype(np.float32),
        "noise": random.normal(size=(BATCH, 6)).astype(np.float32),
        "lengths": lengths,
        "mask": before_end,
        "source_mask": before_end,
        "tokens": tokens[0],
        "texts": np.where(before_end, 1 + tokens[0] % (TOKENS - 1), 0).astype(np.int32),
        "features": random.normal(size=(BATCH, 4)).astype(np.float32),
        "source": tokens[0],
        "target": tokens[1],
    }
    architecture, arguments = CASES[name]
    if architecture in ("generator", "adversarial"):
        return drawn["noise"]
    if architecture == "discriminator":
        return random.uniform(-1.0, 1.0, (BATCH, 8, 8, 1)).astype(np.float32)
    if architecture.startswith("video-"):
        return {"clips": random.integers(0, 256, (BATCH, 2, 4, 8, 8, 1)).astype(np.uint8)}
    if "mean" in arguments:
        size = [arguments[side] for side in ("height", "width", "channels")]
        return {"pictures": random.integers(0, 256, (BATCH, *size)).astype(np.uint8)}
    if architecture.startswith("text-") or architecture == "bert":
        return {"tokens": drawn["texts"]}
    wanted = {
        "tabular": ["numbers", "categories"],
        "mlp": ["features"],
        "recurrent": ["series", *["lengths"] * arguments.get("has_lengths", False)],
        "transformer-encoder": [
            "series" if "num_features" in arguments else "tokens",
            *["mask"] * arguments.get("has_mask", False),
        ],
        "transformer-decoder": ["tokens"],
        "gpt": ["tokens"],
        "language-lstm": ["tokens"],
        "transformer": ["source", "source_mask", "target"],
        "translation-gru": ["source", "target"],
        "translation-transformer": ["source", "target"],
    }
    return {key: drawn[key] for key in wanted[architecture]}


def outputs(network: Any, given: Any) -> np.ndarray:
    """What the network answers, as a host array."""
    import keras

    return np.array(keras.ops.convert_to_numpy(network(given, training=False)))


def trained_losses(name: str, steps: int = 5) -> list[float]:
    """The loss before each of some steps of Keras' own training, and after the last."""
    import keras

    network, given = build(name), inputs(name)
    if CASES[name][0] == "adversarial":
        return _trained_adversarial(network, steps)
    targets = np.random.default_rng(3).normal(size=outputs(network, given).shape)
    network.compile(keras.optimizers.SGD(0.02), _squared)
    data = given, targets.astype(np.float32)
    # One batch an epoch: the loss of each is that before its step.
    epochs = steps + 1
    history = network.fit(*data, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0)
    return [float(loss) for loss in history.history["loss"]]


def _squared(targets: Any, answers: Any) -> Any:
    """Squared error, also of members, each of which answers in training."""
    import keras

    if len(answers.shape) > len(targets.shape):
        targets = targets[:, None]
    return keras.ops.mean(keras.ops.square(answers - targets))


def _trained_adversarial(network: Any, steps: int) -> list[float]:
    """The discriminator's loss, while the generator hardly moves: it must learn to tell."""
    import keras

    slow, fast = keras.optimizers.SGD(1e-6), keras.optimizers.SGD(0.02)
    network.compile(slow, discriminator_optimizer=fast)
    pictures = np.random.default_rng(3).uniform(-1, 1, (BATCH, 8, 8, 1)).astype(np.float32)
    history = network.fit(pictures, batch_size=BATCH, epochs=4 * steps, verbose=0)
    return [float(loss) for loss in history.history["discriminator_loss"]]
