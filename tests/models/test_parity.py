"""Every layer and every architecture against PyTorch's own on copied weights, forwards and back."""

import septet  # noqa: F401

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import numpy as np
import pytest

from septet.engine.native.graph import UnsupportedError
from septet.registry import ARCHITECTURES
from tests.engine.native.compiled import needs_compiler
from tests.models.parity.cases import CASES
from tests.models.parity.comparing import Case, differences
from tests.models.parity.recorded import Recorded, recorded

pytestmark = pytest.mark.filterwarnings("ignore:.*__array__:DeprecationWarning")

TOLERANCE = 1e-5
FIRST = {name.split(":")[0]: name for name in reversed(list(CASES))}
QUICK = {
    *FIRST.values(),
    "Conv2D: same, stride 2",
    "Conv2D: same",
    "BatchNormalization: rows, training",
    "LSTM: both directions, stacked, packed lengths",
    "GRU: one direction, packed lengths",
    "MultiHeadAttention: padding and causal",
    "Attention: padding and causal",
    "adversarial: step, dense, hinge, spectral",
} - {"adversarial: step, dcgan, non-saturating, spectral"}
"""The first variant of each kind, and what has gone wrong in other libraries."""


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_the_engine_computes_what_pytorch_computes(name):
    found = differences(CASES[name], is_lowered=True)
    assert found
    assert all(apart <= TOLERANCE for apart in found.values()), found


@needs_compiler
@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_steps_in_c_compute_what_pytorch_computes(name):
    try:
        found = differences(CASES[name], is_lowered=True, is_native=True)
    except UnsupportedError as reason:
        pytest.skip(f"XLA takes it: {reason}")
    assert all(apart <= TOLERANCE for apart in found.values()), found


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_keras_on_jax_computes_what_pytorch_computes(name):
    found = differences(CASES[name], is_lowered=False)
    assert all(apart <= TOLERANCE for apart in found.values()), found


def test_all_that_was_recorded_is_compared():
    assert {case.reference for case in CASES.values()} == set(recorded())


NOT_COMPARED = {
    "detector",
    "keras-application",
    "picture-classifier",
    "pixel-head",
    "text-bag",
    "text-cnn",
    "text-encoder",
    "text-recurrent",
    "unet",
}
"""Of layers that are compared, but for bags of hashed words; whole they are not yet. Backbones are
compared with PyTorch's outputs for weights by its names, in test_pretrained.py; applications are
Keras' own."""
NOT_COMPARED |= {"translation-gru", "translation-transformer"}
"""Several sequences in a row are a mask that PyTorch's own have not; their blocks are compared."""
NOT_COMPARED |= {"video-cnn", "video-recurrent"}
"""Trained beside the same in PyTorch, from the same weights, by benchmarks/video_peers.py."""
NOT_COMPARED |= {"bert"}
"""Compared as three kinds of encoders, in tests/language/test_encoder_folder.py."""
NOT_COMPARED |= {"gpt", "language-lstm"}
"""The first is compared as GPT-2 (tests/language/test_gpt2_folder.py), the second has layers that
are compared."""


def test_every_architecture_has_a_counterpart():
    compared = {name.split(":")[0] for name in CASES}
    assert set(ARCHITECTURES) - NOT_COMPARED <= compared
    assert not NOT_COMPARED & compared


def test_a_wrong_weight_is_found():
    def changed(reference: Recorded) -> Recorded:
        weight = reference.weights["layer.weight"] + np.float32(1e-3)
        weights = {**reference.weights, "layer.weight": weight}
        return Recorded(**{**vars(reference), "weights": weights})

    case = CASES["Dense: rows"]
    found = differences(Case(case.reference, case.build, changed), is_lowered=True)
    assert found["outputs"] > TOLERANCE
    assert found["input_gradients"] > TOLERANCE
