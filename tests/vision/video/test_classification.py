"""The task from end to end on small videos: train, evaluate, predict, stream, report."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import septet
from septet.cli.main import commands
from septet.errors import DataError, InputError
from septet.vision.video.classification import VideoClassification
from septet.vision.video.clips import Sampling, clip_places, filled
from septet.vision.video.options import VideoModelOptions
from tests.vision.video.making import moving, write_frames

SETTINGS = {
    "data": {"frames": 6, "clips": 2, "test_fraction": 0.2, "validation_fraction": 0.2},
    "model": {"width": 4, "depth": 1},
    "training": {"epochs": 2, "batch_size": 8},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    ways = ("left", "right")
    videos = [moving(ways[n % 2], seed=n, frames=9, height=16, width=16) for n in range(40)]
    np.savez(
        folder / "set.npz",
        x=np.stack(videos)[..., 0],
        y=np.arange(40) % 2,
        class_names=np.array(ways),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEPTET_RUNS", str(folder / "runs"))
        yield septet.train("video-classification", folder / "set.npz", settings=SETTINGS)


def test_a_run_has_scores_a_report_and_pictures_of_frames(run):
    assert 0.0 <= run.scores["accuracy"] <= 1.0
    assert (run.folder / "videos.png").stat().st_size > 1000
    assert "The first test video of each class" in run.report.read_text(encoding="utf-8")


def test_a_network_for_videos_says_where_and_when_it_saw_its_answer(run):
    model = septet.load(run.folder / "model")
    video = moving("left", seed=90, frames=6, height=16, width=16)[..., 0]
    (explanation,) = model.explain([video])
    assert explanation.answer == model.predict([video])[0].label
    assert explanation.frame in range(6)
    assert np.array(explanation.heat).max() == 1.0
    (drawn,) = model.task.draw_explanations([video], [explanation], model.prepared)
    assert drawn.dtype == np.uint8
    assert (run.folder / "explanations.png").stat().st_size > 1000


def test_streaming_ends_with_the_answer_for_the_clip(run):
    model = septet.load(run.folder / "model")
    video = moving("left", seed=90, frames=6, height=16, width=16)[..., 0]
    whole = model.predict([video])[0]
    stream = model.stream()
    followed = list(stream.follow(video))
    assert [number for number, _ in followed] == list(range(6))
    for label, probability in whole.probabilities.items():
        assert followed[-1][1].probabilities[label] == pytest.approx(probability, abs=1e-5)
    stream.reset()
    stepped = [stream.step(frame) for frame in video]
    assert stepped[-1] == followed[-1][1]


def test_the_command_line_answers_for_whole_videos_and_frame_by_frame(run, tmp_path):
    folder = write_frames(tmp_path / "frames", moving("left", frames=6, height=16, width=16))
    arguments = ["predict", str(run.folder), str(folder), "--json"]
    whole = CliRunner().invoke(commands, arguments)
    assert whole.exit_code == 0, whole.output
    (answer,) = json.loads(whole.stdout)
    streamed = CliRunner().invoke(commands, [*arguments, "--stream"])
    assert streamed.exit_code == 0, streamed.output
    rows = [json.loads(line) for line in streamed.stdout.splitlines()]
    assert [row["frame"] for row in rows] == list(range(6))
    assert rows[-1]["probability"] == pytest.approx(answer["probability"], abs=1e-5)
    plain = CliRunner().invoke(commands, ["predict", str(run.folder), str(folder), "--stream"])
    assert plain.stdout.splitlines()[0].startswith("frame 1\t")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["/nowhere.mp4"], "Input 0"),
        ([np.zeros((4, 16))], "expected a path, or an array"),
        ([None], "expected a path, or an array"),
        ([np.full((4, 16, 16), -1.0)], "expected 0 to 1"),
    ],
)
def test_what_is_no_video_is_refused(run, given, message):
    with pytest.raises((DataError, InputError), match=message):
        septet.load(run.folder / "model").predict(given)


def test_clips_reach_from_the_start_to_the_end():
    assert clip_places(10, Sampling(4, 2, 3)).tolist() == [[0, 2, 4, 6], [2, 4, 6, 8], [3, 5, 7, 9]]
    assert clip_places(10, Sampling(4, 1, 1)).tolist() == [[3, 4, 5, 6]]
    assert clip_places(3, Sampling(4, 1, 3)).tolist() == [[0, 1, 2, 2]]
    assert filled(np.array([7, 8]), 5).tolist() == [7, 8, 7, 8, 7]


def test_changes_are_the_same_for_all_frames_and_flips_are_off_unless_asked_for():
    import jax

    prepared = {"height": 6, "width": 6, "clips": 3}
    task, key = VideoClassification(), jax.random.key(0)
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (8, 3, 1, 6, 6, 1)).astype(np.uint8)
    clips = np.repeat(frames, 4, axis=2)
    plain = task.augment(prepared, VideoModelOptions())
    assert plain is not None
    given, targets = plain(key, {"clips": clips}, np.arange(8))
    chosen = np.asarray(given["clips"])
    assert chosen.shape == (8, 1, 4, 6, 6, 1)
    for row in range(8):
        assert any((chosen[row, 0] == clips[row, place]).all() for place in range(3))
    assert targets.tolist() == list(range(8))
    options = VideoModelOptions(flip=True, shift=2, crop=0.2, colour=0.3)
    change = task.augment(prepared, options)
    assert change is not None
    changed = np.asarray(change(key, {"clips": clips}, targets)[0]["clips"])
    assert (changed == changed[:, :, :1]).all()
    assert (changed != chosen).any()
    assert task.augment({**prepared, "clips": 1}, VideoModelOptions()) is None
