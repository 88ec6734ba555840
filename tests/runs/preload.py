"""Imported once by the server that kill points are forked from; starts no device."""

import gc

import septet
import septet.api
import septet.cli.describing
import septet.evaluation.figures
import septet.language.classification
import septet.language.explaining
import septet.language.translation
import septet.models.convolutional
import septet.models.dense
import septet.models.text
import septet.models.translating
import septet.tables.classification
import septet.tables.regression
import septet.vision.classification  # noqa: F401

# What is imported never becomes garbage; collecting over it would copy it into each fork.
gc.collect()
gc.freeze()
