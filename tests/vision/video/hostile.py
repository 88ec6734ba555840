"""Forty hostile files for each container, made from a whole one: none may harm a run."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests.vision.video.making import moving, write_video

PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/hostname\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/hostname\nfile http://127.0.0.1:9/x.mp4\n"
SDP = b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"
GIF_FRAME = b"!\xf9\x04\x00\x01\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00"


def cases(kind: str, folder: Path) -> Iterator[tuple[str, bytes, bool]]:
    """Name, content, and whether it must be refused (else it may also be read as it is)."""
    whole = write_video(folder / f"whole.{kind}", moving()).read_bytes()
    size = len(whole)
    for share in (0.05, 0.2, 0.4, 0.5, 0.7, 0.8, 0.9, 0.97):
        yield f"cut at {share}", whole[: int(size * share)], True
    for number in (1, 4, 12):
        yield f"first {number} bytes", whole[:number], True
    yield "without its last 9 bytes", whole[:-9], True
    random = np.random.default_rng(0)
    for number in range(8):
        bad = bytearray(whole)
        for place in random.integers(16, size, 40):
            bad[place] ^= int(random.integers(1, 256))
        yield f"bits flipped {number}", bytes(bad), False
    for number in range(3):
        at = int(random.integers(16, size // 2))
        yield f"noise inside {number}", whole[:at] + random.bytes(size // 3) + whole[at:], False
    yield "zeros after 16 bytes", whole[:16] + bytes(size), True
    yield "noise after 16 bytes", whole[:16] + random.bytes(size), True
    yield "all zeros", bytes(size), True
    yield "only noise", random.bytes(size), True
    yield "a playlist", PLAYLIST, True
    yield "a script of files", CONCAT, True
    yield "an address", SDP, True
    yield "a web page", b"<html>" + bytes(1000), True
    yield "an archive", b"PK\x03\x04" + whole, True
    yield "a playlist behind a head", whole[:12] + PLAYLIST * 10, True
    yield from lying(kind, whole)


def lying(kind: str, whole: bytes) -> Iterator[tuple[str, bytes, bool]]:
    """Lying sizes, bombs of frames and dimensions, of one container."""
    makers: dict[str, Callable[[bytes], Iterator[tuple[str, bytes, bool]]]] = {
        "mp4": lying_mp4,
        "webm": lying_webm,
        "gif": lying_gif,
        "avi": lying_avi,
    }
    yield from makers[kind](whole)


def lying_mp4(whole: bytes) -> Iterator[tuple[str, bytes, bool]]:
    """Boxes and tables whose numbers are wrong."""
    for name in (b"moov", b"mdat", b"stbl", b"avc1"):
        at = whole.index(name)
        yield f"huge {name.decode()}", whole[: at - 4] + b"\x7f\xff\xff\xff" + whole[at:], False
    at = whole.index(b"avc1") + 28
    yield "65535x65535", whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :], False
    for name, skip in ((b"stsz", 12), (b"stts", 8)):
        at = whole.index(name) + skip
        many = struct.pack(">I", 0x7FFFFFFF)
        yield f"two thousand million in {name.decode()}", whole[:at] + many + whole[at + 4 :], False
    at = whole.index(b"stco") + 12
    yield "frames beyond the end", whole[:at] + b"\x7f\xff\xff\x00" + whole[at + 4 :], True


def lying_webm(whole: bytes) -> Iterator[tuple[str, bytes, bool]]:
    """Elements whose lengths and numbers are wrong."""
    width = whole.index(b"\xb0\x81")
    yield "no width", whole[:width] + b"\xb0\x81\x00" + whole[width + 3 :], False
    height = whole.index(b"\xba\x81")
    yield "height 127", whole[:height] + b"\xba\x81\x7f" + whole[height + 3 :], False
    for name, ident in (
        ("segment", b"\x18\x53\x80\x67"),
        ("tracks", b"\x16\x54\xae\x6b"),
        ("cluster", b"\x1f\x43\xb6\x75"),
    ):
        at = whole.index(ident) + 4
        yield f"endless {name}", whole[:at] + b"\x01" + b"\xff" * 7 + whole[at + 8 :], False
        huge = b"\x01" + b"\x7f" * 7
        yield f"huge {name}", whole[:at] + huge + whole[at + 8 :], name == "segment"


def lying_gif(whole: bytes) -> Iterator[tuple[str, bytes, bool]]:
    """Canvases and frames larger than can be, and more of them."""
    big = struct.pack("<HH", 65535, 65535)
    yield "canvas 65535x65535", whole[:6] + big + whole[10:], True
    yield "canvas 0x0", whole[:6] + bytes(4) + whole[10:], False
    yield "canvas 7000x7000", whole[:6] + struct.pack("<HH", 7000, 7000) + whole[10:], True
    at = whole.index(b",", 13 + 768)
    yield "frame 65535x65535", whole[: at + 5] + big + whole[at + 9 :], False
    yield "frame outside", whole[: at + 1] + big + whole[at + 5 :], False
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    yield "250,000 frames", head + GIF_FRAME * 250_000 + b";", True
    yield "no frames", head + b";", True
    yield "code size 200", whole[: at + 10] + b"\xc8" + whole[at + 11 :], False


def lying_avi(whole: bytes) -> Iterator[tuple[str, bytes, bool]]:
    """Headers and chunks whose numbers are wrong."""
    most = struct.pack("<I", 0x7FFFFFFF)
    head, stream = whole.index(b"avih") + 8, whole.index(b"strh") + 8
    form = whole.index(b"strf") + 8
    yield "two thousand million frames", whole[: stream + 32] + most + whole[stream + 36 :], True
    yield (
        "width of a million",
        whole[: form + 4] + struct.pack("<I", 10**6) + whole[form + 8 :],
        False,
    )
    both = struct.pack("<II", 65535, 65535)
    yield "65535x65535", whole[: form + 4] + both + whole[form + 12 :], False
    yield "head 65535x65535", whole[: head + 32] + both + whole[head + 40 :], False
    yield "huge RIFF", whole[:4] + most + whole[8:], True
    at = whole.index(b"movi") - 4
    yield "huge movi", whole[:at] + most + whole[at + 4 :], False
    at = whole.index(b"00dc") + 4
    yield "huge frame", whole[:at] + most + whole[at + 4 :], False
    yield (
        "a thousand streams",
        whole[: head + 24] + struct.pack("<I", 1000) + whole[head + 28 :],
        False,
    )
