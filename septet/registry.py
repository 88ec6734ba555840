"""The tables of what Septet knows: name -> "module:object", resolved on first use."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from septet.errors import InputError

TASKS: Mapping[str, str] = {
    "image-classification": "septet.vision.classification:ImageClassification",
    "image-generation": "septet.vision.generation:ImageGeneration",
    "sentiment-analysis": "septet.language.classification:SentimentAnalysis",
    "tabular-classification": "septet.tables.classification:TabularClassification",
    "tabular-regression": "septet.tables.regression:TabularRegression",
    "text-classification": "septet.language.classification:TextClassification",
    "text-generation": "septet.language.generation:TextGeneration",
}

ARCHITECTURES: Mapping[str, str] = {
    "adversarial": "septet.models.adversarial:adversarial",
    "cnn": "septet.models.convolutional:cnn",
    "discriminator": "septet.models.adversarial:discriminator",
    "generator": "septet.models.adversarial:generator",
    "gpt": "septet.models.gpt:gpt",
    "language-lstm": "septet.models.language_lstm:language_lstm",
    "mlp": "septet.models.dense:mlp",
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
}

SAMPLES: Mapping[str, str] = {
    "austen": "septet.data.samples:AUSTEN",
    "austen-sample": "septet.data.samples:AUSTEN_SAMPLE",
    "breast-cancer": "septet.data.samples:BREAST_CANCER",
    "diabetes": "septet.data.samples:DIABETES",
    "fashion-mnist": "septet.data.samples:FASHION_MNIST",
    "fashion-sample": "septet.data.samples:FASHION_SAMPLE",
    "nyc-temperature": "septet.data.samples:NYC_TEMPERATURE",
    "nyc-weather": "septet.data.samples:NYC_WEATHER",
    "movie-sample": "septet.data.samples:MOVIE_SAMPLE",
    "movie-sentences": "septet.data.samples:MOVIE_SENTENCES",
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


def architecture(name: str) -> Any:
    """The function that builds the architecture called `name` as a `keras.Model`."""
    return resolve(ARCHITECTURES, "architecture", name)


def sample(name: str) -> Any:
    """The sample data set called `name`."""
    return resolve(SAMPLES, "sample", name)
