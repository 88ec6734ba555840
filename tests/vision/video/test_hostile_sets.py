"""Hostile frames, lists and arrays of videos: refused with one message, or counted."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from septet.errors import DataError
from septet.vision.video.options import VideoDataOptions
from septet.vision.video.reading import read_videos
from tests.vision.video.making import moving, write_frames

OPTIONS = VideoDataOptions(frames=4, clips=1, max_rejected=1.0, test_fraction=0.25)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path_factory.mktemp("cache")))


def saved(kind: str, mode: str = "RGB", side: int = 16, **options) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (side, side), 9).save(buffer, kind, **options)
    return buffer.getvalue()


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks, with right checksums."""
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def head(width: int, height: int, depth: int = 8, kind: int = 2) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)


def rows(count: int) -> tuple[bytes, bytes]:
    return b"IDAT", zlib.compress((b"\0" + bytes(48)) * count)


PNG, JPEG, BMP, GIF = saved("PNG"), saved("JPEG"), saved("BMP"), saved("GIF")
END = (b"IEND", b"")
FRAMES = {
    "empty": b"",
    "one byte": b"\x89",
    "words": b"this is no picture",
    "zero bytes": bytes(3000),
    "all bytes": bytes(range(256)) * 20,
    "a page": b"<html><img src=x></html>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "PDF": b"%PDF-1.4\n1 0 obj\n<< >>\nendobj\n",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n",
    "playlist": b"#EXTM3U\n/etc/hostname\n",
    "gzip": b"\x1f\x8b\x08" + bytes(200),
    "zip": b"PK\x03\x04" + bytes(200),
    "PNG cut early": PNG[:12],
    "PNG cut in the header": PNG[:25],
    "PNG cut in half": PNG[: len(PNG) // 2],
    "PNG without an end": PNG[:-14],
    "PNG of nothing": png(END),
    "PNG of no width": png(head(0, 16), rows(16), END),
    "PNG of no height": png(head(16, 0), rows(16), END),
    "PNG bomb": png(head(50_000, 50_000), rows(16), END),
    "PNG bomb of one row": png(head(2**31 - 1, 1), rows(1), END),
    "PNG of strange colours": png(head(16, 16, 8, 7), rows(16), END),
    "PNG of strange depth": png(head(16, 16, 3), rows(16), END),
    "PNG with too few rows": png(head(16, 16), rows(7), END),
    "PNG without rows": png(head(16, 16), END),
    "PNG with rows that are no zlib": png(head(16, 16), (b"IDAT", b"abc" * 40), END),
    "PNG without a header": png(rows(16), END),
    "PNG with a wrong checksum": PNG[:30] + bytes([PNG[30] ^ 255]) + PNG[31:],
    "PNG with a lying length": PNG[:8] + b"\xff\xff\xff\xff" + PNG[12:],
    "PNG of a palette without one": png(head(16, 16, 8, 3), rows(16), END),
    "JPEG cut early": JPEG[:20],
    "JPEG cut in half": JPEG[: len(JPEG) // 2],
    "JPEG without tables": JPEG[:2] + JPEG[-40:],
    "JPEG of zeros": JPEG[:100] + bytes(len(JPEG) - 100),
    "BMP cut": BMP[:40],
    "BMP that lies": BMP[:18] + struct.pack("<ii", 2**30, 2**30) + BMP[26:],
    "GIF cut": GIF[:14],
    "GIF bomb": GIF[:6] + b"\xff\xff\xff\xff" + GIF[10:13] + GIF[13:60],
    "TIFF that points at itself": b"II*\0\x08\0\0\0\x01\0"
    + b"\0\x01\x04\0\x01\0\0\0\x08\0\0\0" * 2,
    "WebP that lies": b"RIFF\xff\xff\xff\xffWEBPVP8L\xff\xff\xff\xff/" + bytes(20),
    "ICO of nothing": b"\0\0\x01\0\x00\x00",
    "pixmap that lies": b"P6 99999999 99999999 255\n" + bytes(50),
}


def test_a_hostile_frame_costs_its_video(tmp_path):
    for number in range(8):
        write_frames(tmp_path / "left" / f"{number}", moving("left", seed=number, frames=5))
        write_frames(tmp_path / "right" / f"{number}", moving("right", seed=50 + number, frames=5))
    for number, (name, content) in enumerate(FRAMES.items()):
        folder = write_frames(tmp_path / "left" / name, moving("left", seed=100 + number, frames=5))
        (folder / "frame2.png").write_bytes(content)
    account = read_videos(tmp_path, OPTIONS, 0).account
    assert len(FRAMES) >= 40
    assert account.read == 16 + len(FRAMES)
    found = {entry.file.removeprefix("left/"): entry for entry in account.rejections}
    # What Pillow takes as it is, by the file format's own rules: missing rows are black.
    assert FRAMES.keys() - found.keys() <= {"PNG of a palette without one", "PNG with too few rows"}
    for name, entry in found.items():
        assert entry.code in ("unreadable-frames", "huge-video"), name
        assert "frame2.png" in entry.reason, name
        assert len(entry.reason) < 400, name
        assert "root:" not in entry.reason, name


LINE = "left/0,left\n"
LISTS = {
    "empty": b"",
    "a head alone": b"path,label\n",
    "no head and no path": b"1,2\n3,4\n5,6\n",
    "columns that say nothing": b"a,b\n1,2\n3,4\n",
    "one column": b"path\nleft/0\n",
    "labels alone": b"label\nleft\nright\n",
    "binary": bytes(range(256)) * 9,
    "zero bytes": bytes(3000),
    "not UTF-8": b"path,label\nleft/0,\xff\xfe\n",
    "UTF-16": ("path,label\n" + LINE).encode("utf-16"),
    "JSON": b'{"path": "left/0", "label": "left"}',
    "an open quote": b'path,label\n"left/0,left\n' + LINE.encode() * 3,
    "a long cell": b"path,label\n" + b"a" * 300_000 + b",left\n",
    "many columns": b"path,label" + b",x" * 100_000 + b"\n",
    "gzip": b"\x1f\x8b\x08" + bytes(200),
}
ROWS = {
    "path up": "../../etc,left",
    "path absolute": "/etc,left",
    "path absolute of a file": "/etc/hostname,left",
    "path of Windows": "C:\\videos\\a.mp4,left",
    "path empty": ",left",
    "path of spaces": "   ,left",
    "path of a dot": ".,left",
    "path with a zero": "left\x00/0,left",
    "path very long": "a/" * 3000 + ",left",
    "path not there": "left/none,left",
    "path of a list": "set.csv,left",
    "path of a link out": "out,left",
    "path of a link to a file out": "out.mp4,left",
    "path of a pipe": "pipe.mp4,left",
    "path with a scheme": "http://127.0.0.1:9/a.mp4,left",
    "path of a file scheme": "file:///etc/hostname,left",
    "path of a format": "concat:left/0|left/1,left",
    "label empty": "left/0,",
    "label of spaces": "left/0,   ",
    "split unknown": "left/0,left,somewhere",
    "too many fields": "left/0,left,train,more,more",
    "too few fields": "left/0",
    "an empty folder": "nothing,left",
    "a folder of words": "words,left",
    "a video of words": "words.mp4,left",
    "a video of nothing": "nothing.mp4,left",
}


def make_list_set(folder):
    import os

    for number in range(6):
        for way in ("left", "right"):
            clip = moving(way, seed=number + 50 * (way == "right"), frames=5)
            write_frames(folder / way / f"{number}", clip)
    (folder / "nothing").mkdir()
    (folder / "words").mkdir()
    (folder / "words/notes.txt").write_text("words")
    (folder / "words.mp4").write_text("words")
    (folder / "nothing.mp4").write_bytes(b"")
    (folder / "out").symlink_to("/etc")
    (folder / "out.mp4").symlink_to("/etc/hostname")
    os.mkfifo(folder / "pipe.mp4")
    return [f"{way}/{n},{way},train" for n in range(6) for way in ("left", "right")]


def test_a_hostile_list_is_refused_with_one_message(tmp_path):
    make_list_set(tmp_path)
    for name, content in LISTS.items():
        (tmp_path / "set.csv").write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_videos(tmp_path / "set.csv", OPTIONS, 0)
        assert 10 < len(str(caught.value)) < 1500, name


def test_a_hostile_row_costs_itself(tmp_path):
    pytest.importorskip("av", reason="reading video files needs the extra [video]")
    good = make_list_set(tmp_path)
    for name, row in ROWS.items():
        lines = ["path,label,split", *good, row]
        (tmp_path / "set.csv").write_text("\n".join(lines) + "\n")
        account = read_videos(tmp_path / "set.csv", OPTIONS, 0).account
        assert [entry.line for entry in account.rejections] == [14], name
        (entry,) = account.rejections
        assert len(entry.reason) < 600, name
        assert account.used == 12, name
    assert len(LISTS) + len(ROWS) >= 40


def member(shape, data: bytes, kind: str = "|u1", extra: bytes = b"") -> bytes:
    """A .npy file whose header declares `shape` and which holds `data`."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode() + extra
    header = header.ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def arrays(**changes) -> bytes:
    buffer = io.BytesIO()
    videos = np.stack([moving("left", seed=n, frames=5)[..., 0] for n in range(12)])
    content = {"x": videos, "y": np.arange(12) % 2, **changes}
    kept = {name: value for name, value in content.items() if value is not None}
    np.savez_compressed(buffer, allow_pickle=True, **kept)
    return buffer.getvalue()


VIDEOS = np.zeros((12, 5, 8, 8), np.uint8)
LABELS = member((12,), bytes(12))
WHOLE = arrays()
ARCHIVES = {
    "empty": b"",
    "words": b"this is no archive",
    "zero bytes": bytes(3000),
    "no member": archive(),
    "cut early": WHOLE[:30],
    "cut in half": WHOLE[: len(WHOLE) // 2],
    "cut at the end": WHOLE[:-10],
    "bytes in the middle": WHOLE[:200] + b"\xff" * 300 + WHOLE[500:],
    "no videos": arrays(x=None),
    "no labels": arrays(y=None),
    "fewer labels": arrays(y=np.arange(5)),
    "labels of two axes": arrays(y=np.zeros((12, 3, 3))),
    "labels that are no numbers": arrays(y=np.full(12, np.nan)),
    "labels of fractions": arrays(y=np.full(12, 0.5)),
    "labels of objects": arrays(y=np.array([{"a": 1}] * 12, dtype=object)),
    "labels of times": arrays(y=np.zeros(12, "datetime64[s]")),
    "videos of objects": arrays(x=np.array([None] * 12, dtype=object)),
    "videos of text": arrays(x=np.array(["a"] * 12)),
    "videos of bytes": arrays(x=np.array([b"a"] * 12)),
    "videos of complex numbers": arrays(x=VIDEOS.astype(complex)),
    "videos of times": arrays(x=np.zeros((12, 5, 8, 8), "datetime64[s]")),
    "videos that are negative": arrays(x=np.full((12, 5, 8, 8), -5)),
    "videos that are too bright": arrays(x=np.full((12, 5, 8, 8), 70_000.0)),
    "pictures in place of videos": arrays(x=np.zeros((12, 8, 8), np.uint8)),
    "one number": arrays(x=np.uint8(7)),
    "no frames": arrays(x=np.zeros((12, 0, 8, 8), np.uint8)),
    "no pixels": arrays(x=np.zeros((12, 5, 0, 8), np.uint8)),
    "no example": arrays(x=np.zeros((0, 5, 8, 8), np.uint8), y=np.zeros(0, int)),
    "five channels": arrays(x=np.zeros((12, 5, 8, 8, 5), np.uint8)),
    "names twice": arrays(class_names=np.array(["a", "a"])),
    "names of numbers": arrays(class_names=np.zeros((2, 2))),
    "declares a terabyte": archive(x=member((10**12,), b"12345"), y=LABELS),
    "declares an exabyte": archive(x=member((10**6, 10**6, 10**6), b"12345"), y=LABELS),
    "declares less than nothing": archive(x=member((-12, 5, 8, 8), b"12345"), y=LABELS),
    "declares more than there is": archive(x=member((12, 5, 8, 8), bytes(100)), y=LABELS),
    "declares a text as shape": archive(x=member("'wide'", bytes(100)), y=LABELS),
    "declares a product": archive(x=member("(2**40, 2)", bytes(100)), y=LABELS),
    "declares objects": archive(x=member((12, 5, 8, 8), bytes(3840), "|O"), y=LABELS),
    "declares a call": archive(
        x=member("__import__('os').system('true')", bytes(100)), y=LABELS
    ),
    "another magic": archive(x=b"NUMPY" + bytes(300), y=LABELS),
    "another version": archive(x=b"\x93NUMPY\x09\x00" + bytes(300), y=LABELS),
    "a member that is no array": archive(x=b"words", y=b"words"),
    "a header without an end": archive(x=member((12,), b"")[:40], y=LABELS),
}  # fmt: skip


def test_hostile_arrays_are_refused_with_one_message(tmp_path):
    assert len(ARCHIVES) >= 40
    (tmp_path / "good.npz").write_bytes(WHOLE)
    assert read_videos(tmp_path / "good.npz", OPTIONS, 0).account.used == 12
    for name, content in ARCHIVES.items():
        (tmp_path / "set.npz").write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_videos(tmp_path / "set.npz", OPTIONS, 0)
        assert 10 < len(str(caught.value)) < 1500, name
