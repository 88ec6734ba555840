"""Every architecture answers and trains on this backend as on JAX, from the same weights."""

import numpy as np
import pytest

from tests.backends import cases


@pytest.mark.parametrize("name", cases.CASES)
def test_outputs_agree(name, recorded):
    found = cases.outputs(cases.build(name), cases.inputs(name))
    expected = recorded[f"{name}/outputs"]
    largest = np.abs(expected).max()
    assert largest > 1e-2  # else there is nothing to compare
    np.testing.assert_allclose(found, expected, atol=1e-4 * max(1.0, largest), rtol=0)


@pytest.mark.parametrize("name", cases.CASES)
def test_five_steps_lower_the_loss_as_on_jax(name, recorded):
    losses = cases.trained_losses(name)
    if name == "keras-application":
        # Its norms see one place of five pictures: steps of any size leap, on every backend.
        np.testing.assert_allclose(losses[0], recorded[f"{name}/losses"][0], rtol=1e-3)
        return
    assert losses[-1] < losses[0]
    if not name.startswith("adversarial"):  # its noise is the backend's own
        np.testing.assert_allclose(losses, recorded[f"{name}/losses"], rtol=1e-3)


@pytest.mark.parametrize("name", ["simple", "lstm", "gru"])
def test_a_stream_answers_as_the_whole_series_does(name):
    from septet.models.recurrent import Stream

    network = cases.build(name)
    series = cases.inputs(name)["series"]
    given = {"series": series}
    if "lengths" in cases.inputs(name):
        given["lengths"] = np.full(len(series), series.shape[1], np.int32)
    whole = cases.outputs(network, given)
    stream = Stream(network, batch_size=len(series))
    answers = [stream.step(series[:, place]) for place in range(series.shape[1])]
    last = whole[:, -1] if whole.ndim == 3 else whole
    np.testing.assert_allclose(answers[-1], last, atol=1e-5)


def test_cached_decoding_is_full_decoding():
    import keras

    from septet.models.decoding import Decoding

    network, tokens = cases.build("decoder"), cases.inputs("decoder")["tokens"]
    full = cases.outputs(network, {"tokens": tokens})
    decoding = Decoding(network, 8)
    state = decoding.start(len(tokens))
    for place in range(tokens.shape[1]):
        logits, state = decoding.step(state, tokens[:, place], place)
        found = np.array(keras.ops.convert_to_numpy(logits))
        np.testing.assert_allclose(found, full[:, place], atol=1e-5)
