"""The tables of what Septet knows: name -> "module:object", resolved on first use."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from septet.errors import InputError

TASKS: Mapping[str, str] = {
    "image-classification": "septet.vision.classification:ImageClassification",
    "image-generation": "septet.vision.generation:ImageGeneration",
    "object-detection": "septet.vision.detection:ObjectDetection",
    "semantic-segmentation": "septet.vision.segmentation.task:SemanticSegmentation",
    "sentiment-analysis": "septet.language.classification:SentimentAnalysis",
    "tabular-classification": "septet.tables.classification:TabularClassification",
    "tabular-regression": "septet.tables.regression:TabularRegression",
    "text-classification": "septet.language.classification:TextClassification",
    "text-generation": "septet.language.generation:TextGeneration",
    "translation": "septet.language.translation:Translation",
    "video-classification": "septet.vision.video.classification:VideoClassification",
}

ARCHITECTURES: Mapping[str, str] = {
    "adversarial": "septet.models.adversarial:adversarial",
    "bert": "septet.models.bert:bert",
    "cnn": "septet.models.convolutional:cnn",
    "detector": "septet.models.detection:detector",
    "discriminator": "septet.models.adversarial:discriminator",
    "generator": "septet.models.adversarial:generator",
    "gpt": "septet.models.gpt:gpt",
    "language-lstm": "septet.models.language_lstm:language_lstm",
    "keras-application": "septet.models.keras_application:keras_application",
    "mlp": "septet.models.dense:mlp",
    "picture-classifier": "septet.models.picture_classifier:picture_classifier",
    "pixel-head": "septet.models.segmentation:over_backbone",
    "recurrent": "septet.models.recurrent:recurrent",
    "resnet": "septet.models.convolutional:resnet",
    "tabular": "septet.models.dense:tabular",
    "text-bag": "septet.models.text:bag",
    "text-cnn": "septet.models.text:cnn",
    "text-encoder": "septet.models.text:encoder",
    "text-recurrent": "septet.models.text:recurrent",
    "transformer": "septet.models.transformer:encoder_decoder",
    "transformer-decoder": "septet.models.transformer:decoder",
    "transformer-encoder": "septet.models.transformer:encoder",
    "translation-gru": "septet.models.translation:recurrent",
    "translation-transformer": "septet.models.translation:transformer",
    "unet": "septet.models.segmentation:unet",
    "video-cnn": "septet.models.video:video_cnn",
    "video-recurrent": "septet.models.video:video_recurrent",
}

SAMPLES: Mapping[str, str] = {
    "austen": "septet.data.samples:AUSTEN",
    "austen-sample": "septet.data.samples:AUSTEN_SAMPLE",
    "breast-cancer": "septet.data.samples:BREAST_CANCER",
    "digit-scenes": "septet.data.samples:DIGIT_SCENES",
    "diabetes": "septet.data.samples:DIABETES",
    "efficientnet-lite0": "septet.data.samples:EFFICIENTNET_LITE0",
    "fashion-mnist": "septet.data.samples:FASHION_MNIST",
    "fashion-sample": "septet.data.samples:FASHION_SAMPLE",
    "libreoffice-en-de": "septet.data.samples:LIBREOFFICE",
    "number-words": "septet.data.samples:NUMBER_WORDS",
    "minilm": "septet.data.samples:MINILM",
    "moving-digits": "septet.data.samples:MOVING_DIGITS",
    "nyc-temperature": "septet.data.samples:NYC_TEMPERATURE",
    "nyc-weather": "septet.data.samples:NYC_WEATHER",
    "movie-sample": "septet.data.samples:MOVIE_SAMPLE",
    "movie-sentences": "septet.data.samples:MOVIE_SENTENCES",
    "scenes": "septet.data.samples:SCENES",
}


def resolve(table: Mapping[str, str], kind: str, name: str) -> Any:
    """The object that `table` lists under `name`.

    Raises:
        InputError: `name` is not in the table; the message lists the names.
    """
    if name not in table:
        near = difflib.get_close_matches(name, table, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        known = ", ".join(sorted(table))
        raise InputError(f"Unknown {kind} '{name}'.{hint} Known: {known}.")
    module, _, attribute = table[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def task(name: str) -> Any:
    """A new instance of the task called `name`."""
    return resolve(TASKS, "task", name)()


def weights(kind: str) -> dict[str, Any]:
    """The samples that are weights of networks for "pictures" or "texts", by name."""
    samples = {name: sample(name) for name in SAMPLES}
    return {name: found for name, found in samples.items() if found.weights_for == kind}


def architecture(name: str) -> Any:
    """The function that builds the architecture called `name` as a `keras.Model`."""
    return resolve(ARCHITECTURES, "architecture", name)


def sample(name: str) -> Any:
    """The sample data set called `name`."""
    return resolve(SAMPLES, "sample", name)
