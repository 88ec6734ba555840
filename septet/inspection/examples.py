"""Registered architectures by name: example arguments, and a made-up batch to run them on."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from pydantic import ValidationError

from septet import registry
from septet.engine.losses import LOSSES
from septet.errors import ConfigError
from septet.models.translation import END, START

SERIES_STEPS = 50
"""Time steps of a made-up series for `recurrent`, which takes any number."""
CLIP_FRAMES = 16
"""Frames of a made-up clip for networks for videos, which take any number."""
TEXT_TOKENS = 40
"""Tokens of a made-up text for networks that take any number."""
PADDED_SHARE = 0.25
"""Most of a made-up sequence that is padding, where its network takes a mask."""

Arguments = dict[str, Any]
Maker = Callable[[np.random.Generator, int, Arguments], tuple[Any, Any]]
"""(random numbers, examples, arguments) -> (inputs, targets)."""


@dataclass(frozen=True)
class Example:
    """How one architecture is shown.

    Args:
        arguments: Given to it unless chosen otherwise.
        make: Makes a batch for it.
        loss: What is minimised, by Keras' name or a key of `engine.losses.LOSSES`; "" for two
            players, which have their own.
    """

    arguments: Arguments
    make: Maker
    loss: Callable[[Arguments], str]


def build(name: str, chosen: Mapping[str, Any], *, seed: int) -> tuple[keras.Model, Arguments]:
    """The architecture called `name`, compiled, and all arguments it was built with.

    Raises:
        ConfigError: There is no such argument, or it is out of range.
    """
    builder = registry.architecture(name)
    known = sorted(inspect.signature(builder).parameters)
    for argument in chosen:
        if argument not in known:
            near = difflib.get_close_matches(argument, known, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(known)}."
            raise ConfigError(f"The architecture '{name}' has no argument '{argument}'. {hint}")
    arguments = _completed({**EXAMPLES[name].arguments, **chosen}, chosen)
    keras.utils.set_random_seed(seed)
    try:
        model = builder(**arguments)
    except ValidationError as error:
        complaint = error.errors()[0]
        place = ".".join(map(str, complaint["loc"])) or "arguments"
        raise ConfigError(
            f"The architecture '{name}' refuses {place}={complaint['input']!r}: "
            f"{complaint['msg'].replace('Input ', 'it ')}."
        ) from None
    except ValueError as error:
        raise ConfigError(f"The architecture '{name}' refuses its arguments: {error}") from None
    every = {
        key: parameter.default
        for key, parameter in inspect.signature(builder).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    return model, {**every, **arguments}


def _completed(arguments: Arguments, chosen: Mapping[str, Any]) -> Arguments:
    """Arguments that must fit others made to do so, where only the others were chosen."""
    channels = arguments.get("channels")
    for key, middle in (("mean", 128.0), ("deviation", 64.0)):
        if key in arguments and key not in chosen and isinstance(channels, int):
            arguments[key] = [middle] * channels
    filters = arguments.get("filters")
    if "filters" in chosen and "convolutions" in arguments and "convolutions" not in chosen:
        arguments["convolutions"] = [1] * (len(filters) if isinstance(filters, list) else 1)
    if chosen.get("num_features") is not None and arguments.get("vocabulary_size") is not None:
        if "vocabulary_size" not in chosen:
            arguments["vocabulary_size"] = None
    return arguments


def compile_example(name: str, model: keras.Model, arguments: Arguments) -> str:
    """Give an example's network its loss; which, in words."""
    loss = EXAMPLES[name].loss(arguments)
    if loss in LOSSES:
        model.compile(optimizer="sgd", loss=LOSSES[loss].compile_arguments()["loss"])
        return {"softmax": "cross-entropy", "squared": "mean squared error"}[loss]
    if loss == "tokens":
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return "cross-entropy"
    if loss == "boxes":
        from septet.models.detection import places
        from septet.vision.detecting import DetectionLoss

        sides = arguments["height"], arguments["width"]
        own = DetectionLoss(*places(*sides, arguments.get("strides", (8, 16, 32))))
        model.compile("sgd", lambda targets, outputs: own(targets, outputs))
        return "quality focal loss and generalised IoU"
    if loss == "real":
        model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
        return "binary cross-entropy"
    if not loss:
        players: Any = model
        players.compile("sgd", discriminator_optimizer="sgd")
        return "the losses of both players"
    model.compile("sgd", loss)
    return "mean squared error"


def make_batch(name: str, arguments: Arguments, *, size: int, seed: int) -> tuple[Any, Any]:
    """Made-up inputs and targets for `size` examples."""
    return EXAMPLES[name].make(np.random.default_rng(seed), size, arguments)


def _pictures(draw: np.random.Generator, size: int, given: Arguments) -> tuple[Any, Any]:
    shape = (size, given["height"], given["width"], given["channels"])
    pictures = draw.integers(0, 256, shape, dtype=np.uint8)
    return {"pictures": pictures}, draw.integers(0, given["num_classes"], size).astype(np.int32)


def _boxed(draw: np.random.Generator, size: int, given: Arguments) -> tuple[Any, Any]:
    pictures, labels = _pictures(draw, size, given)
    height, width = given["height"], given["width"]
    corner = draw.uniform(0.0, 0.5, (size, 2))
    sides = np.concatenate([corner, corner + draw.uniform(0.2, 0.5, (size, 2))], axis=1)
    boxes = sides * [width, height, width, height]
    return pictures, np.concatenate([labels[:, None], boxes], axis=1)[:, None].astype(np.float32)


def _pixels(draw: np.random.Generator, size: int, given: Arguments) -> tuple[Any, Any]:
    inputs, _ = _pictures(draw, size, given)
    shape = (size, given["height"], given["width"])
    return inputs, draw.integers(0, given["num_classes"], shape).astype(np.int32)


def _clips(draw: np.random.Generator, size: int, given: Arguments) -> tuple[Any, Any]:
    shape = (size, 1, CLIP_FRAMES, given["height"], given["width"], given["channels"])
    clips = draw.integers(0, 256, shape, dtype=np.uint8)
    return {"clips": clips}, draw.integers(0, given["num_classes"], size).astype(np.int32)


def _real_pictures(draw: np.random.Generator, size: int, given: Arguments) -> tuple[Any, Any]:
    shape = (size, given["height"], given["width"], given["channels"])
    return draw.uniform(-1.0, 1.0, shape).astype(np.float32), None


def _judged(draw: np.random.Generator, size: int, given: Arguments) -> tuple[Any, Any]:
    return _real_pictures(draw, size, given)[0], draw.integers(0, 2, (size, 1)).astype(np.float32)


def _numbers(draw: np.random.Generator, size: int, given: Arguments) -> tuple[Any, Any]:
    features = draw.standard_normal((size, given["num_features"])).astype(np.float32)
    return {"features": features}, _targets(draw, (size,), given["num_outputs"])


def _texts(draw: np.random.Generator, size: int, given: Arguments) -> tuple[Any, Any]:
    steps = given.get("length", TEXT_TOKENS)
    # Token 0 is padding, at the end.
    tokens = draw.integers(1, given["vocabulary_size"], (size, steps)) * _mask(draw, size, steps)
    return {"tokens": tokens.astype(np.int32)}, _targets(draw, (size,), given["num_outputs"])


def _noise(draw: np.random.Generator, size: int, given: Arguments) -> tuple[Any, Any]:
    noise = draw.standard_normal((size, given["noise_dim"])).astype(np.float32)
    return noise, _real_pictures(draw, size, given)[0]


def _table(draw: np.random.Generator, size: int, given: Arguments) -> tuple[Any, Any]:
    inputs = {}
    if given["num_numbers"]:
        inputs["numbers"] = draw.standard_normal((size, given["num_numbers"])).astype(np.float32)
    if given["cardinalities"]:
        columns = [draw.integers(0, count, size) for count in given["cardinalities"]]
        inputs["categories"] = np.stack(columns, axis=1).astype(np.int32)
    if given["is_classifier"]:
        return inputs, draw.integers(0, given["num_outputs"], size).astype(np.int32)
    return inputs, draw.standard_normal(size).astype(np.float32)


def _targets(draw: np.random.Generator, shape: Sequence[int], num_outputs: int) -> np.ndarray:
    """Classes, or numbers where there is one output."""
    if num_outputs > 1:
        return draw.integers(0, num_outputs, shape).astype(np.int32)
    return draw.standard_normal((*shape, 1)).astype(np.float32)


def _lengths(draw: np.random.Generator, size: int, longest: int) -> np.ndarray:
    """Int32 [size] up to `longest`, which one of them has."""
    least = max(1, int(longest * (1 - PADDED_SHARE)))
    lengths = draw.integers(least, longest + 1, size).astype(np.int32)
    lengths[0] = longest
    return lengths


def _series(draw: np.random.Generator, size: int, given: Arguments) -> tuple[Any, Any]:
    shape = (size, SERIES_STEPS, given["num_features"])
    inputs = {"series": draw.standard_normal(shape).astype(np.float32)}
    if given["has_lengths"]:
        inputs["lengths"] = _lengths(draw, size, SERIES_STEPS)
    answers = shape[:2] if given["is_each_step"] else shape[:1]
    return inputs, _targets(draw, answers, given["num_outputs"])


def _encoded(draw: np.random.Generator, size: int, given: Arguments) -> tuple[Any, Any]:
    steps = given["length"]
    if given["num_features"]:
        shape = (size, steps, given["num_features"])
        inputs: Arguments = {"series": draw.standard_normal(shape).astype(np.float32)}
    else:
        inputs = {"tokens": _tokens(draw, size, steps, given["vocabulary_size"])}
    if given["has_mask"]:
        inputs["mask"] = _mask(draw, size, steps)
    answers = (size, steps) if given["is_each_step"] else (size,)
    return inputs, _targets(draw, answers, given["num_outputs"])


def _tokens(draw: np.random.Generator, size: int, steps: int, vocabulary: int) -> np.ndarray:
    return draw.integers(0, vocabulary, (size, steps)).astype(np.int32)


def _mask(draw: np.random.Generator, size: int, steps: int) -> np.ndarray:
    """Bool [size, steps], false on padding."""
    return np.arange(steps)[None, :] < _lengths(draw, size, steps)[:, None]


def _decoded(draw: np.random.Generator, size: int, given: Arguments) -> tuple[Any, Any]:
    steps = given.get("length", TEXT_TOKENS)
    tokens = _tokens(draw, size, steps + 1, given["vocabulary_size"])
    return {"tokens": tokens[:, :-1]}, tokens[:, 1:]


def _translated(draw: np.random.Generator, size: int, given: Arguments) -> tuple[Any, Any]:
    steps = given["length"]
    target = _tokens(draw, size, steps + 1, given["target_vocabulary_size"])
    inputs = {
        "source": _tokens(draw, size, steps, given["source_vocabulary_size"]),
        "source_mask": _mask(draw, size, steps),
        "target": target[:, :-1],
    }
    return inputs, target[:, 1:]


def _packed(draw: np.random.Generator, size: int, given: Arguments) -> tuple[Any, Any]:
    """Two pairs in each row."""
    half = min(given.get("length", TEXT_TOKENS), TEXT_TOKENS) // 2
    source, target = (draw.integers(4, given["vocabulary_size"], (size, 2, half)) for _ in "st")
    labels = np.roll(target, -1, axis=2)
    source[:, :, -1] = labels[:, :, -1] = END
    target[:, :, 0] = START
    source, target, labels = (
        array.reshape(size, 2 * half).astype(np.int32) for array in (source, target, labels)
    )
    return {"source": source, "target": target}, labels


def _by_outputs(given: Arguments) -> str:
    return "tokens" if given["num_outputs"] > 1 else "mean_squared_error"


GREY_28 = {"height": 28, "width": 28, "channels": 1}
CLASSES_10 = {**GREY_28, "num_classes": 10, "mean": [128.0], "deviation": [64.0]}

PIXELS = {**CLASSES_10, "height": 64, "width": 64, "num_classes": 5}

WORDS = {"vocabulary_size": 1000, "num_outputs": 2}

EXAMPLES: Mapping[str, Example] = {
    "adversarial": Example({**GREY_28, "filters": 16}, _real_pictures, lambda given: ""),
    "cnn": Example(
        {**CLASSES_10, "filters": [16, 32, 64], "convolutions": [1, 2, 1]},
        _pictures,
        lambda given: "softmax",
    ),
    "detector": Example(
        {
            "height": 64, "width": 64, "channels": 3, "num_classes": 4, "mean": [128.0] * 3,
            "deviation": [64.0] * 3,
        },
        _boxed,
        lambda given: "boxes",
    ),
    "discriminator": Example({**GREY_28, "filters": 16}, _judged, lambda given: "real"),
    "generator": Example(
        {**GREY_28, "filters": 16}, _noise, lambda given: "mean_squared_error"
    ),
    "keras-application": Example(
        {
            "height": 32, "width": 32, "channels": 3, "num_classes": 10,
            "mean": [127.5] * 3, "deviation": [127.5] * 3, "application": "MobileNetV3Small",
        },
        _pictures,
        lambda given: "softmax",
    ),
    "mlp": Example({"num_features": 20, "num_outputs": 3}, _numbers, _by_outputs),
    "picture-classifier": Example(
        {**CLASSES_10, "backbone": "resnet-micro"}, _pictures, lambda given: "softmax"
    ),
    "pixel-head": Example({**PIXELS, "backbone": "resnet-micro"}, _pixels, lambda given: "tokens"),
    "recurrent": Example(
        {"num_features": 4, "num_outputs": 3, "hidden": [64, 64], "has_lengths": True},
        _series,
        _by_outputs,
    ),
    "resnet": Example(
        {**CLASSES_10, "filters": [16, 32, 64]}, _pictures, lambda given: "softmax"
    ),
    "tabular": Example(
        {"num_numbers": 20, "cardinalities": [5, 12], "num_outputs": 3, "is_classifier": True},
        _table,
        lambda given: "softmax" if given["is_classifier"] else "squared",
    ),
    "text-bag": Example({**WORDS, "buckets": 10_000}, _texts, lambda given: "tokens"),
    "text-cnn": Example({**WORDS}, _texts, lambda given: "tokens"),
    "text-encoder": Example(
        {**WORDS, "length": 40, "dim": 64, "feed_forward_dim": 256},
        _texts,
        lambda given: "tokens",
    ),
    "bert": Example(
        {
            **WORDS, "length": 40, "dim": 64, "depth": 2, "num_heads": 4, "feed_forward_dim": 256,
        },
        _texts,
        lambda given: "tokens",
    ),
    "text-recurrent": Example({**WORDS}, _texts, lambda given: "tokens"),
    "transformer": Example(
        {
            "source_vocabulary_size": 1000, "target_vocabulary_size": 1000, "length": 32,
            "dim": 64, "depth": 2, "feed_forward_dim": 256,
        },
        _translated,
        lambda given: "tokens",
    ),
    "gpt": Example(
        {"vocabulary_size": 1000, "length": 64, "dim": 64, "depth": 2, "num_heads": 2},
        _decoded,
        lambda given: "tokens",
    ),
    "language-lstm": Example(
        {"vocabulary_size": 1000, "dim": 32, "units": 64, "depth": 2},
        _decoded,
        lambda given: "tokens",
    ),
    "transformer-decoder": Example(
        {"vocabulary_size": 1000, "length": 64, "dim": 64, "depth": 2, "feed_forward_dim": 256},
        _decoded,
        lambda given: "tokens",
    ),
    "transformer-encoder": Example(
        {
            "num_outputs": 3, "vocabulary_size": 1000, "length": 64, "dim": 64, "depth": 2,
            "feed_forward_dim": 256, "has_mask": True,
        },
        _encoded,
        _by_outputs,
    ),
    "unet": Example(
        {**PIXELS, "filters": [16, 32, 64], "blocks": [1, 1, 1]}, _pixels, lambda given: "tokens"
    ),
    "translation-gru": Example(
        {"vocabulary_size": 1000, "dim": 64, "units": 64}, _packed, lambda given: "tokens"
    ),
    "translation-transformer": Example(
        {"vocabulary_size": 1000, "length": 32, "dim": 64, "depth": 2, "feed_forward_dim": 256},
        _packed,
        lambda given: "tokens",
    ),
    "video-cnn": Example({**CLASSES_10, "filters": [16, 32]}, _clips, lambda given: "softmax"),
    "video-recurrent": Example(
        {**CLASSES_10, "filters": [16, 32]}, _clips, lambda given: "softmax"
    ),
}  # fmt: skip
