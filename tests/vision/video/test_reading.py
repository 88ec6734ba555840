"""Video files and folders of frames become clips; every defect is found and none invented."""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from septet.data.account import Account
from septet.errors import DataError, MissingPackageError
from septet.vision import cache
from septet.vision.video import decoding
from septet.vision.video.options import VideoDataOptions
from septet.vision.video.reading import read_videos
from tests.vision.video.making import KINDS, moving, write_frames, write_set, write_video

pytest.importorskip("av", reason="reading video files needs the extra [video]")

OPTIONS = VideoDataOptions(frames=8, max_rejected=1.0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SEPTET_CACHE", str(folder))
    return folder


def found(account: Account) -> Counter:
    """Codes of all rejections, warnings and errors, counted."""
    warned = [finding.code for finding in account.findings if finding.severity != "note"]
    return Counter([*(rejection.code for rejection in account.rejections), *warned])


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Path:
    return write_set(tmp_path_factory.mktemp("clean") / "set", each=8)


@pytest.mark.parametrize("kind", KINDS)
def test_every_container_gives_the_frames_that_were_written(tmp_path, kind):
    root = write_set(tmp_path / "set", each=5, kind=kind)
    dataset = read_videos(root, OPTIONS, 0)
    assert dataset.account.read == dataset.account.used == 10
    assert not found(dataset.account)
    assert dataset.facts["labels"] == ["left", "right"]
    clips = dataset.splits["train"].examples["clips"]
    assert clips.shape[1:] == (3, 8, 32, 32, 3)
    source, clip = dataset.splits["train"].sources[0], clips[0]
    way, number = source.split("/")[0], int(Path(source).stem)
    written = moving(way, seed=100 * (way == "right") + number)
    # Codecs lose something, most of it in the noise behind; starts are 0, 4 and 8.
    for start, taken in zip((0, 4, 8), clip, strict=True):
        assert np.abs(taken.astype(int) - written[start : start + 8]).mean() < 20
        bright = written[start : start + 8].max(axis=-1) > 150
        assert taken.max(axis=-1)[bright].min() > 100


def test_a_clean_set_has_no_finding(clean):
    dataset = read_videos(clean, OPTIONS, 0)
    assert not found(dataset.account)
    assert dataset.account.read == dataset.account.used == 16


def test_seeded_defects_are_all_found_and_none_invented(tmp_path):
    root = tmp_path / "set"
    for split, each in (("train", 6), ("test", 3)):
        for place, way in enumerate(("left", "right")):
            (root / split / way).mkdir(parents=True)
            for number in range(each):
                seed = 1000 * (split == "test") + 100 * place + number
                write_video(root / split / way / f"{number}.mp4", moving(way, seed=seed))
    left, right = root / "train" / "left", root / "train" / "right"
    whole = (left / "0.mp4").read_bytes()
    (left / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    (left / "hole.mp4").write_bytes(whole[:1500] + bytes(1200) + whole[2700:])
    (left / "empty.mp4").write_bytes(b"")
    (left / "text.mp4").write_text("this is no video")
    (left / "sound.mkv").write_bytes(b"\x1aE\xdf\xa3" + bytes(200))
    (left / "old.wmv").write_bytes(b"0&\xb2u\x8ef\xcf\x11" + bytes(500))
    (left / "notes.txt").write_text("notes")
    (left / ".DS_Store").write_bytes(b"x")
    (left / "away.mp4").symlink_to("/etc/hostname")
    (left / "nothing").mkdir()
    frames = write_frames(left / "frames", moving("left", seed=77))
    (frames / "frame3.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    write_frames(left / "gaps", moving("left", seed=78))
    (left / "gaps" / "frame5.png").unlink()
    write_video(left / "renamed.avi", moving("left", seed=79), kind="mp4")
    write_video(left / "short.mp4", moving("left", seed=80, frames=4))
    write_video(left / "fast.mp4", moving("left", seed=81), rate=60)
    write_video(left / "black.mp4", np.zeros((16, 32, 32, 3), np.uint8))
    write_video(left / "still.mp4", np.repeat(moving("left", seed=82)[:1], 16, axis=0))
    shutil.copy(left / "1.mp4", left / "again.mp4")
    shutil.copy(right / "1.mp4", left / "other-label.mp4")
    shutil.copy(right / "2.mp4", root / "test" / "right" / "leaked.mp4")
    (root / "train" / "rihgt").mkdir()
    write_video(root / "train" / "rihgt" / "0.mp4", moving("right", seed=83))
    write_video(root / "loose.mp4", moving("right", seed=84))
    (root / "test" / "up").mkdir()
    write_video(root / "test" / "up" / "0.mp4", moving("up", seed=85))

    account = read_videos(root, OPTIONS, 0).account
    assert dict(found(account)) == {
        "truncated-video": 1,
        "unreadable-frames": 2,
        "empty-file": 1,
        "unreadable-video": 2,
        "unsupported-format": 1,
        "not-a-video": 1,
        "hidden-file": 1,
        "outside-folder": 1,
        "no-frames": 1,
        "missing-frames": 1,
        "wrong-extension": 1,
        "short-video": 1,
        "odd-rate": 1,
        "blank-video": 1,
        "still-video": 1,
        "duplicate": 1,
        "two-labels": 1,
        "duplicate-across-splits": 1,
        "label-typo": 1,
        "single-member-class": 2,
        "no-class-folder": 1,
        "label-not-in-train": 1,
    }


def test_a_list_names_files_and_folders_of_frames(tmp_path):
    root = write_set(tmp_path / "set", each=4)
    write_frames(root / "frames", moving("left", seed=5))
    lines = [f"{way}/{n:02d}.mp4,{way},train" for way in ("left", "right") for n in range(4)]
    lines += ["frames,left,test", "../out.mp4,left,train", "left/none.mp4,left,train"]
    (root / "list.csv").write_text("video,label,split\n" + "\n".join(lines) + "\n")
    dataset = read_videos(root / "list.csv", OPTIONS, 0)
    assert dataset.splits["test"].sources == ["list.csv:10"]
    codes = [rejection.code for rejection in dataset.account.rejections]
    assert sorted(codes) == ["missing-file", "outside-folder"]
    np.testing.assert_array_equal(
        dataset.splits["test"].examples["clips"][0, 0], moving("left", seed=5)[:8]
    )


def test_arrays_are_read_and_sampled(tmp_path):
    videos = np.stack([moving("left", seed=n)[..., 0] for n in range(12)])
    np.savez(tmp_path / "a.npz", x=videos, y=np.arange(12) % 2)
    options = VideoDataOptions(frames=4, stride=3, clips=2)
    dataset = read_videos(tmp_path / "a.npz", options, 0)
    clips = dataset.splits["train"].examples["clips"]
    assert clips.shape[1:] == (2, 4, 32, 32, 1)
    row = int(dataset.splits["train"].sources[0].rpartition(":")[2])
    np.testing.assert_array_equal(clips[0, 0, ..., 0], videos[row, [0, 3, 6, 9]])
    np.testing.assert_array_equal(clips[0, 1, ..., 0], videos[row, [6, 9, 12, 15]])


@pytest.mark.parametrize("shape", [(4, 8, 8), (4, 3, 8, 8, 2), (4, 0, 8, 8)])
def test_arrays_of_another_shape_are_refused(tmp_path, shape):
    np.savez(tmp_path / "a.npz", x=np.zeros(shape, np.uint8), y=np.zeros(4, int))
    with pytest.raises(DataError, match="frames, height, width"):
        read_videos(tmp_path / "a.npz", OPTIONS, 0)


def test_decoding_is_cached_and_done_again_when_a_file_changes(clean, monkeypatch, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(clean, root)
    first = read_videos(root, OPTIONS, 0)
    asked = []
    decode = decoding.VideoPool.decode
    monkeypatch.setattr(
        decoding.VideoPool,
        "decode",
        lambda self, paths, request: asked.extend(paths) or decode(self, paths, request),
    )
    again = read_videos(root, OPTIONS, 0)
    assert not asked
    for name, split in first.splits.items():
        np.testing.assert_array_equal(split.examples["clips"], again.splits[name].examples["clips"])
    write_video(root / "left" / "00.mp4", moving("left", seed=500))
    read_videos(root, OPTIONS, 0)
    assert len(asked) == 16
    asked.clear()
    read_videos(root, OPTIONS.model_copy(update={"frames": 4}), 0)
    assert len(asked) == 16


def test_a_damaged_cache_is_not_believed(clean, own_cache):
    whole = read_videos(clean, OPTIONS, 0).splits["train"].examples["clips"]
    (entry,) = (own_cache / "videos").iterdir()
    content = bytearray((entry / cache.PIXELS).read_bytes())
    content[1000] ^= 255
    (entry / cache.PIXELS).write_bytes(bytes(content))
    again = read_videos(clean, OPTIONS, 0).splits["train"].examples["clips"]
    np.testing.assert_array_equal(whole, again)


def test_the_cache_forgets_what_was_not_used_for_longest(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / cache.PIXELS).write_bytes(bytes(100))
        os.utime(tmp_path / f"{number}", (number, number))
    cache.remove_oldest(tmp_path, 250)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]


def test_without_the_reader_one_message_says_what_to_install(clean, monkeypatch):
    monkeypatch.setattr(decoding.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"septet\[video\]"):
        read_videos(clean, OPTIONS, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no file or folder"),
        (lambda path: path.write_text("x"), "no set of videos"),
        (lambda path: path.mkdir(), "has no videos"),
    ],
)
def test_what_is_no_set_of_videos_is_refused(tmp_path, make, message):
    make(tmp_path / "thing")
    with pytest.raises(DataError, match=message):
        read_videos(tmp_path / "thing", OPTIONS, 0)


def test_pictures_beside_videos_are_pointed_out(tmp_path):
    root = write_set(tmp_path / "set", each=3)
    Image.new("RGB", (8, 8)).save(root / "left" / "a.png")
    assert found(read_videos(root, OPTIONS, 0).account) == Counter({"loose-frames": 1})
