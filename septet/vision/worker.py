"""The program of a decoding worker: reads picture files and answers over its own pipes.

Runs as `python -m septet.vision.worker`, so that a crash or a memory bomb in a C decoder
ends this process and not the training. Knows Pillow; knows no data set. Requests and
answers are a length-prefixed JSON header and raw bytes; nothing is pickled.
"""

import errno
import io
import os
import stat
import sys
from typing import Any, BinaryIO

from septet.data.messages import receive, send
from septet.vision.pixels import (
    MAX_PIXELS,
    Unusable,
    digest_of,
    drop_needless_colour,
    extremes,
    require_few_pixels,
    resize,
    to_eight_bits,
    unusable,
)

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
EXTENSIONS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".apng": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".dib": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
MAX_FILE_BYTES = 256 * 2**20
MAX_ADDRESS_SPACE = 4 * 2**30


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    limit_resources()
    from PIL import Image, features

    Image.init()
    features.check("webp")
    send(answers, {"ready": True})
    while (message := receive(requests)) is not None:
        request, _ = message
        for path in request["paths"]:
            header, pixels = _answer(
                path, request["box"], request["how"], request.get("is_mask", False)
            )
            send(answers, header, pixels)


def limit_resources() -> None:
    """No core files, and at most `MAX_ADDRESS_SPACE` of memory, where the system can do that."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard == resource.RLIM_INFINITY or hard > MAX_ADDRESS_SPACE:
            resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, hard))
    except (ImportError, OSError, ValueError):
        return  # not every system has these limits; the pixel cap holds everywhere


def _answer(
    path: str, box: list[int], how: str = "stretch", is_mask: bool = False
) -> tuple[dict[str, Any], bytes]:
    try:
        content = read_file(path)
        if is_mask:
            return decode_mask(content)
        return decode(content, (box[0], box[1]), exact=bool(box[2]), how=how)
    except Unusable as problem:
        code, reason, remedy = problem.args
    except MemoryError:
        code, reason = "huge-picture", "Decoding it needs more than 4 GiB of memory."
        remedy = "Make it smaller or remove it."
    except Exception as error:  # Pillow's plugins raise nearly everything on bad bytes
        code, reason, remedy = _explain(error)
    return {"code": code, "reason": reason, "remedy": remedy}, b""


def read_file(path: str) -> bytes:
    """The content of the regular file at `path`, never following a link or waiting on a pipe.

    Raises:
        Unusable: It is missing, forbidden, not a regular file, empty or too large.
    """
    file, size = open_file(path)
    with file:
        if size > MAX_FILE_BYTES:
            raise unusable(
                "huge-picture",
                f"The file has {size / 2**20:.0f} MiB; at most "
                f"{MAX_FILE_BYTES // 2**20} MiB are read.",
                "Make it smaller or remove it.",
            )
        return file.read(MAX_FILE_BYTES + 1)


def open_file(path: str) -> tuple[BinaryIO, int]:
    """The regular file at `path`, open, and its size; see `read_file`.

    Raises:
        Unusable: It is missing, forbidden, not a regular file or empty.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as error:
        raise _unopened(error) from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise _not_a_file()
    if status.st_size == 0:
        os.close(handle)
        raise unusable("empty-file", "The file has 0 bytes.", "Copy it again or remove it.")
    return os.fdopen(handle, "rb"), status.st_size


def _unopened(error: Exception) -> Unusable:
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        return unusable(
            "missing-file", "There is no such file.", "Mend the path or remove the row."
        )
    if number in (errno.EACCES, errno.EPERM):
        return unusable(
            "permission-denied", "The file may not be read.", "Allow reading it, as with chmod +r."
        )
    if number in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
        return _not_a_file()
    text = getattr(error, "strerror", None) or str(error)
    return unusable("unreadable-file", f"The file cannot be opened: {text}.", "Copy it again.")


def _not_a_file() -> Unusable:
    return unusable(
        "not-a-file", "It is not a regular file but a folder, pipe, link or device.", "Remove it."
    )


def decode(
    content: bytes, box: tuple[int, int], *, exact: bool, how: str = "stretch"
) -> tuple[dict[str, Any], bytes]:
    """One picture, upright, on white, as 8-bit grey or colour.

    Args:
        content: The whole file.
        box: Height and width. Larger pictures are resized to it (bilinear, both sides).
        exact: Resize smaller pictures as well.
        how: As of `pixels.resize`.

    Returns:
        What is known of it ("height" and "width" of `pixels`, "channels", "original" height
        and width, "format", "frames", "digest" of the pixels before resizing, "blank") and
        the pixels, uint8 [height, width, channels] in C order.

    Raises:
        Unusable: A limit is broken. Pillow raises nearly any other error on bad bytes.
    """
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow warns from there and raises at twice that
    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        kind = "JPEG" if opened.format == "MPO" else str(opened.format)
        original = (opened.height, opened.width)
        require_few_pixels(opened.width, opened.height)
        frames = _count_frames(opened)
        opened.draft(None, (2 * box[1], 2 * box[0]))
        opened.load()
        _require_end(content, kind)
        upright = _upright(opened)
        if (upright.height > upright.width) != (opened.height > opened.width):
            original = (original[1], original[0])
        picture = to_eight_bits(upright)
    digest = digest_of(picture)
    blank = all(low == high for low, high in extremes(picture))
    if exact or picture.height > box[0] or picture.width > box[1]:
        picture = resize(picture, box[0], box[1], how)
    picture = drop_needless_colour(picture)
    known = {
        "height": picture.height,
        "width": picture.width,
        "channels": len(picture.getbands()),
        "original": original,
        "format": kind,
        "frames": frames,
        "digest": digest,
        "blank": blank,
    }
    return known, picture.tobytes()


def decode_mask(content: bytes) -> tuple[dict[str, Any], bytes]:
    """One mask: for each pixel the place of its value in a list of the values that occur.

    Args:
        content: The whole file.

    Returns:
        What is known of it ("height", "width", "format", "values", "counts", "colours", "digest")
        and the places, uint8 [height, width]. Values are the numbers of an indexed or grey
        picture, and None of one in colour; colours are what they look like, as [red, green, blue].

    Raises:
        Unusable: A limit is broken, or it has more than 256 values. Pillow raises nearly any
            other error on bad bytes.
    """
    from PIL import Image

    from septet.vision.pixels import values_of

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        kind = "JPEG" if opened.format == "MPO" else str(opened.format)
        require_few_pixels(opened.width, opened.height)
        opened.load()
        _require_end(content, kind)
        values, colours, counts, places = values_of(opened)
    known = {
        "height": places.shape[0],
        "width": places.shape[1],
        "format": kind,
        "values": values,
        "counts": counts,
        "colours": colours,
    }
    return known, places.tobytes()


def _count_frames(picture: Any) -> int:
    try:
        frames = int(getattr(picture, "n_frames", 1))
        picture.seek(0)
    except (EOFError, OSError, SyntaxError, ValueError):
        return 1  # the first frame is what counts; whether it is whole, loading will tell
    return 1 if picture.format == "MPO" else frames


def _require_end(content: bytes, kind: str) -> None:
    """Pillow accepts JPEG and PNG files that only lack their end marker; they were cut off."""
    marker = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}.get(kind)
    if marker and content.rfind(marker) < 0:
        raise unusable(
            "truncated-picture", f"The {kind} file lacks its end marker.", "Copy it again."
        )


def _upright(picture: Any) -> Any:
    """The picture as its EXIF orientation says; a damaged EXIF block is ignored."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # EXIF is untrusted bytes, and not the picture
        return picture


def _explain(error: Exception) -> tuple[str, str, str]:
    """Code, reason and remedy for an error of Pillow."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombError):
        reason = f"It declares more than {MAX_PIXELS // 10**6} million pixels."
        return "huge-picture", reason, "Make it smaller or remove it."
    if isinstance(error, UnidentifiedImageError):
        reason = f"Its content is none of {', '.join(FORMATS)}, or its header is damaged."
        return "unreadable-picture", reason, "Save it again as PNG or JPEG, or remove it."
    text = _shorten(str(error)) or type(error).__name__
    signs = ("truncated", "broken data stream", "end of file", "incomplete", "not enough")
    if isinstance(error, EOFError) or any(sign in text.lower() for sign in signs):
        return "truncated-picture", f"The file ends early ({text}).", "Copy it again."
    return "unreadable-picture", f"It cannot be decoded ({text}).", "Save it again or remove it."


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line[:200]


if __name__ == "__main__":
    main()
