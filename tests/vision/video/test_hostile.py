"""Hostile videos cost one example each, whatever they do to the decoder, and never the run."""

import os
import sys
import time

import numpy as np
import pytest

from septet.errors import DataError
from septet.vision.decoding import Undecodable
from septet.vision.video.clips import Sampling
from septet.vision.video.decoding import Request, Video, VideoPool
from tests.vision.video.hostile import cases
from tests.vision.video.making import KINDS, moving, write_frames, write_video

pytest.importorskip("av", reason="reading video files needs the extra [video]")

REQUEST = Request((64, 64), False, Sampling(16, 1, 3))
DECODER_CODES = {
    *("truncated-video", "unreadable-video", "unreadable-frames", "no-frames", "huge-video"),
    *("no-video-stream", "unsupported-codec", "empty-file"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_forty_hostile_files_are_refused_or_read_as_they_are(tmp_path, kind):
    made = list(cases(kind, tmp_path))
    assert len(made) >= 40
    paths = []
    for number, (_, content, _) in enumerate(made):
        paths.append(str(tmp_path / f"{number}.{kind}"))
        (tmp_path / f"{number}.{kind}").write_bytes(content)
    pool = VideoPool(workers=2, seconds=60)
    try:
        results = pool.decode([*paths, str(tmp_path / f"whole.{kind}")], REQUEST)
    finally:
        pool.close()
    for (name, _, must_refuse), result in zip(made, results[:-1], strict=True):
        if isinstance(result, Undecodable):
            assert result.code in DECODER_CODES, (name, result)
            assert result.reason
            assert "Traceback" not in result.reason
        else:
            assert not must_refuse, (name, result.known)
            assert result.clips.nbytes <= 3 * 16 * 64 * 64 * 3
    assert isinstance(results[-1], Video)


def test_a_worker_that_dies_or_hangs_costs_one_video(tmp_path):
    """A worker in place of ours: crashes on one file, hangs on another."""
    program = tmp_path / "worker.py"
    program.write_text(
        "import os, sys, time\n"
        "from septet.data.messages import receive, send\n"
        "send(sys.stdout.buffer, {'ready': True})\n"
        "while (message := receive(sys.stdin.buffer)) is not None:\n"
        "    path = message[0]['path']\n"
        "    if 'crash' in path: os.kill(os.getpid(), 11)\n"
        "    if 'hang' in path: time.sleep(60)\n"
        "    known = dict(clips=1, frames=2, height=2, width=2, channels=1)\n"
        "    send(sys.stdout.buffer, known, bytes(8))\n"
    )
    pool = VideoPool([sys.executable, str(program)], workers=1, seconds=1.0)
    began = time.monotonic()
    try:
        results = pool.decode(["a", "crash", "b", "hang", "c"], REQUEST)
    finally:
        pool.close()
    assert [getattr(result, "code", "video") for result in results] == [
        "video", "decoder-crashed", "video", "decoder-too-slow", "video",
    ]  # fmt: skip
    assert time.monotonic() - began < 30


def test_links_pipes_and_folders_named_like_videos_are_refused(tmp_path):
    whole = write_video(tmp_path / "a.mp4", moving())
    (tmp_path / "link.mp4").symlink_to(whole)
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    names = ("link.mp4", "pipe.mp4", "folder.mp4", "missing.mp4")
    pool = VideoPool(workers=1, seconds=30)
    try:
        results = pool.decode([str(tmp_path / name) for name in names], REQUEST)
    finally:
        pool.close()
    codes = [result.code for result in results if isinstance(result, Undecodable)]
    assert codes == ["not-a-file", "not-a-file", "no-frames", "missing-file"]


def test_a_bomb_among_frames_costs_its_video(tmp_path):
    folder = write_frames(tmp_path / "frames", moving(frames=4))
    head = (folder / "frame1.png").read_bytes()
    # The header says 50,000 x 50,000; its checksum is not looked at first.
    (folder / "frame1.png").write_bytes(head[:16] + b"\0\0\xc3\x50\0\0\xc3\x50" + head[24:])
    pool = VideoPool(workers=1, seconds=30)
    try:
        (result,) = pool.decode([str(folder)], REQUEST)
    finally:
        pool.close()
    assert isinstance(result, Undecodable)
    assert result.code == "unreadable-frames"
    assert "frame1.png" in result.reason


def test_frames_come_one_by_one_and_a_broken_end_is_said(tmp_path):
    clip = moving(frames=12)
    folder = write_frames(tmp_path / "frames", clip)
    pool = VideoPool(workers=1, seconds=30)
    try:
        frames = list(pool.frames(str(folder), (32, 32), 2))
        np.testing.assert_array_equal(np.stack(frames), clip[::2])
        (folder / "frame6.png").write_bytes(b"nothing")
        coming, taken = pool.frames(str(folder), (32, 32), 1), []
        with pytest.raises(DataError, match=r"frame6\.png"):
            taken.extend(coming)
        assert len(taken) == 6
        assert len(list(pool.frames(str(write_video(tmp_path / "a.mp4", clip)), (16, 16), 1))) == 12
    finally:
        pool.close()
