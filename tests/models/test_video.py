"""Networks for videos: frame by frame they say what they say of the clip, and never look ahead."""

from typing import Any

import keras
import numpy as np
import pytest

from septet.models.dense import mlp
from septet.models.video import video_cnn, video_recurrent
from septet.models.video_stream import VideoStream

SMALL: dict[str, Any] = {
    "height": 8,
    "width": 10,
    "channels": 1,
    "num_classes": 3,
    "mean": [90.0],
    "deviation": [70.0],
    "filters": [3, 4],
}
NETWORKS = {"video-cnn": video_cnn, "video-recurrent": video_recurrent}


def network(name: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    sizes = {"dense_dim": 6, "units": 5} if name == "video-recurrent" else {}
    model = NETWORKS[name](**SMALL, **sizes)
    random = np.random.default_rng(1)
    for variable in model.weights:
        if "moving" in variable.path:
            variable.assign(random.uniform(0.5, 1.5, variable.shape).astype(np.float32))
    return model


def clips(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 8, 10, 1)).astype(np.uint8)


def outputs(model: keras.Model, given: np.ndarray) -> np.ndarray:
    found: Any = model({"clips": given}, training=False)
    return np.asarray(keras.ops.convert_to_numpy(found))


@pytest.mark.parametrize("name", NETWORKS)
def test_frame_by_frame_gives_what_the_clip_gives(name):
    model, clip = network(name), clips(1, 1, 6)
    stream = VideoStream(model)
    for _ in range(2):
        for count in (1, 2, 6):
            stream.reset()
            answers = [stream.step(frame) for frame in clip[0, 0, :count]]
            expected = outputs(model, clip[:, :, :count])[0]
            np.testing.assert_allclose(answers[-1], expected, atol=1e-5)
            assert stream.num_frames == count


@pytest.mark.parametrize("name", NETWORKS)
def test_several_clips_are_averaged(name):
    model, given = network(name), clips(2, 3, 4)
    alone = [outputs(model, given[:, [place]]) for place in range(3)]
    np.testing.assert_allclose(outputs(model, given), np.mean(alone, axis=0), atol=1e-5)


def test_a_stream_refuses_other_frames_and_other_networks():
    stream = VideoStream(network("video-recurrent"))
    with pytest.raises(ValueError, match=r"expected \(8, 10, 1\) and uint8"):
        stream.step(np.zeros((8, 8, 1), np.uint8))
    with pytest.raises(ValueError, match="no network for videos"):
        VideoStream(mlp(num_features=3, num_outputs=2))


@pytest.mark.parametrize("name", NETWORKS)
def test_arguments_that_do_not_fit_are_refused(name):
    with pytest.raises(ValueError, match="cannot be halved 4 times"):
        NETWORKS[name](**{**SMALL, "filters": [2, 2, 2, 2]})
    with pytest.raises(ValueError, match="expected 1, one a channel"):
        NETWORKS[name](**{**SMALL, "mean": [1.0, 2.0], "deviation": [1.0, 2.0]})
