"""Messages between a process and its workers: a JSON header and raw bytes, nothing pickled."""

import json
import struct
from typing import Any, BinaryIO

HEADER = struct.Struct(">II")


def send(stream: BinaryIO, header: dict[str, Any], payload: bytes = b"") -> None:
    """Write one message."""
    text = json.dumps(header).encode()
    stream.write(HEADER.pack(len(text), len(payload)) + text + payload)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Read one message, or None when the other side is gone."""
    prefix = stream.read(HEADER.size)
    if len(prefix) < HEADER.size:
        return None
    text_size, payload_size = HEADER.unpack(prefix)
    text, payload = stream.read(text_size), stream.read(payload_size)
    if len(text) < text_size or len(payload) < payload_size:
        return None
    return json.loads(text), payload
