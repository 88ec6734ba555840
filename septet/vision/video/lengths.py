"""Whether a video file is as long as it says, by its outermost boxes alone; decodes nothing."""

import os
from typing import BinaryIO

MOST_BOXES = 100_000
MOST_BEHIND = 512
"""Bytes after the end of a GIF that some programs leave there."""
SEGMENT = b"\x18\x53\x80\x67"


def cut_off(file: BinaryIO, kind: str) -> str | None:
    """What shows that the file was cut off or damaged, or None.

    Args:
        file: Open for reading; its position is changed.
        kind: As `containers.kind_of` gives it.
    """
    size = file.seek(0, os.SEEK_END)
    check = {"mov": _boxes, "matroska": _segment, "avi": _chunks, "gif": _blocks}[kind]
    return check(file, size)


def _beyond(what: str, end: int, size: int) -> str | None:
    return f"has {size:,} bytes, and its {what} reaches to {end:,}" if end > size else None


def _boxes(file: BinaryIO, size: int) -> str | None:
    """MP4 and QuickTime: boxes of a length and four letters."""
    at = 0
    for _ in range(MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return f"ends within a box at byte {at:,}" if head.strip(b"\0") else None
        length = int.from_bytes(head[:4], "big")
        if length == 0:  # to the end of the file
            return None
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            return f"is damaged at byte {at:,}" if head.strip(b"\0") else None
        at += length
        name = head[4:8].decode("latin-1")
        if at > size:
            return _beyond(f"box '{name}'" if name.isalnum() else "box", at, size)
        if at == size:
            return None
    return "has too many boxes"


def _chunks(file: BinaryIO, size: int) -> str | None:
    """AVI: RIFF chunks."""
    at = 0
    for _ in range(MOST_BOXES):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or head[:4] != b"RIFF":
            return None
        at += 8 + int.from_bytes(head[4:8], "little")
        if at > size:
            return _beyond("chunk", at, size)
    return "has too many chunks"


def _segment(file: BinaryIO, size: int) -> str | None:
    """WebM and Matroska: the EBML header and the segment after it."""
    file.seek(0)
    head = file.read(4096)
    at = 4
    length, used = _number(head[at:])
    if length is None:
        return "is damaged in its header"
    at += used + length
    if at + 12 > len(head) or head[at : at + 4] != SEGMENT:
        return "is damaged in its header"
    length, used = _number(head[at + 4 :])
    if length is None or length == (1 << 7 * used) - 1:  # not known when it was written
        return None
    return _beyond("segment", at + 4 + used + length, size)


def _number(content: bytes) -> tuple[int | None, int]:
    """An EBML length and the bytes that it takes."""
    if not content or content[0] == 0:
        return None, 0
    used = 9 - content[0].bit_length()
    if len(content) < used:
        return None, 0
    value = int.from_bytes(content[:used], "big") & ((1 << 7 * used) - 1)
    return value, used


def _blocks(file: BinaryIO, size: int) -> str | None:
    """GIF: blocks of blocks, to a semicolon at the end."""
    file.seek(10)
    flags = file.read(1)
    if not flags:
        return "ends within its header"
    at = 13 + _colours(flags[0])
    file.seek(at)
    while kind := file.read(1):
        if kind == b";":
            end = file.tell()
            rest = len(file.read(2 * MOST_BEHIND).strip(b"\0"))
            return f"goes on after its end marker at byte {end:,}" if rest > MOST_BEHIND else None
        if kind == b"!":
            file.seek(1, os.SEEK_CUR)
        elif kind == b",":
            descriptor = file.read(9)
            if len(descriptor) < 9:
                break
            file.seek(_colours(descriptor[8]) + 1, os.SEEK_CUR)
        else:
            return f"is damaged at byte {file.tell() - 1:,}"
        while (length := file.read(1)) and length != b"\0":
            file.seek(length[0], os.SEEK_CUR)
        if not length or file.tell() > size:
            break
    return "ends before its end marker"


def _colours(flags: int) -> int:
    """Bytes of the table of colours that a GIF's flags speak of."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
