"""Every kind of picture becomes the right pixels; every bad file a named reason."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from septet.vision import worker
from tests.vision.making import noise

BOX = (64, 64)


def encoded(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(content: bytes, *, exact: bool = False, box: tuple[int, int] = BOX):
    known, pixels = worker.decode(content, box, exact=exact)
    shape = (known["height"], known["width"], known["channels"])
    return known, np.frombuffer(pixels, np.uint8).reshape(shape)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_give_the_same_pixels(kind):
    picture = noise(1, 10, 7)
    options = {"lossless": True} if kind == "WEBP" else {}
    known, pixels = decoded(encoded(picture, kind, **options))
    np.testing.assert_array_equal(pixels, np.asarray(picture))
    assert known["format"] == kind
    assert known["original"] == (10, 7)


def test_jpeg_and_gif_are_read():
    plain = Image.new("RGB", (9, 9), (200, 30, 40))
    for kind in ("JPEG", "GIF"):
        _, pixels = decoded(encoded(plain, kind))
        assert np.abs(pixels.astype(int) - [200, 30, 40]).max() <= 3


def test_grey_colour_becomes_one_channel_and_equals_true_grey():
    grey = noise(2, 8, 8, 1)
    as_grey, pixels = decoded(encoded(grey))
    as_colour, _ = decoded(encoded(grey.convert("RGB")))
    assert as_grey["channels"] == as_colour["channels"] == 1
    assert as_grey["digest"] == as_colour["digest"]
    np.testing.assert_array_equal(pixels[:, :, 0], np.asarray(grey))


def test_alpha_is_composed_onto_white():
    picture = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    picture.putpixel((1, 2), (255, 0, 0, 255))
    picture.putpixel((0, 0), (0, 0, 0, 51))
    _, pixels = decoded(encoded(picture))
    assert pixels[2, 1].tolist() == [255, 0, 0]
    assert pixels[3, 3].tolist() == [255, 255, 255]
    assert pixels[0, 0].tolist() == [204, 204, 204]


def test_palette_with_a_transparent_colour_and_grey_with_alpha():
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.putpixel((0, 0), 0)
    _, pixels = decoded(encoded(palette, transparency=0))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[3, 3].tolist() == [10, 20, 30]
    _, pixels = decoded(encoded(Image.new("LA", (4, 4), (0, 0))))
    assert (pixels == 255).all()
    _, pixels = decoded(encoded(Image.new("RGB", (4, 4), (9, 8, 7)), transparency=(9, 8, 7)))
    assert (pixels == 255).all()


def test_sixteen_bits_are_scaled_not_clipped():
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    _, pixels = decoded(encoded(Image.fromarray(values)))
    assert pixels[0, :, 0].tolist() == [0, 1, 128, 255]
    _, pixels = decoded(encoded(Image.fromarray(values), "TIFF"))
    assert pixels[0, :, 0].tolist() == [0, 1, 128, 255]


def test_float_pictures_within_range_are_read_and_others_refused():
    values = np.array([[0.0, 0.5, 1.0]], np.float32)
    _, pixels = decoded(encoded(Image.fromarray(values), "TIFF"))
    assert pixels[0, :, 0].tolist() == [0, 128, 255]
    with pytest.raises(worker.Unusable, match="unsupported-picture"):
        decoded(encoded(Image.fromarray(values * 1000), "TIFF"))


def test_cmyk_and_one_bit_pictures_are_read():
    _, pixels = decoded(encoded(Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "TIFF"))
    assert (pixels == 255).all()
    _, pixels = decoded(encoded(Image.new("1", (4, 4), 1)))
    assert (pixels == 255).all()


def test_exif_orientation_is_applied():
    picture = noise(3, 6, 10)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees
    known, pixels = decoded(encoded(picture, exif=exif))
    np.testing.assert_array_equal(pixels, np.asarray(picture.transpose(Image.Transpose.ROTATE_270)))
    assert known["original"] == (10, 6)


def test_the_first_frame_of_an_animation_is_taken_and_counted():
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue", "green")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    known, pixels = decoded(content)
    assert known["frames"] == 3
    assert pixels[0, 0].tolist() == [255, 0, 0]


def test_large_pictures_shrink_to_the_box_and_small_ones_only_when_exact():
    assert decoded(encoded(noise(4, 100, 50)))[1].shape == (64, 64, 3)
    assert decoded(encoded(noise(4, 20, 10)))[1].shape == (20, 10, 3)
    assert decoded(encoded(noise(4, 20, 10)), exact=True, box=(32, 32))[1].shape == (32, 32, 3)


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and has next to no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\x00" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


HOSTILE = {
    "100,000 x 100,000 PNG": (png_header(100_000, 100_000), "huge-picture"),
    "64.1 Mpx PNG": (png_header(8_010, 8_010), "huge-picture"),
    "short data": (png_header(100, 100), "truncated-picture"),
    "text": (b"hello, I am not a picture", "unreadable-picture"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unreadable-picture"),
    "FITS": (b"SIMPLE  =                    T" + b" " * 2850, "unreadable-picture"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unreadable-picture"),
    "header only": (b"\x89PNG\r\n\x1a\n", "unreadable-picture"),
    "zeros": (b"\x00" * 1000, "unreadable-picture"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content_is_named(tmp_path, name):
    content, code = HOSTILE[name]
    (tmp_path / "x.png").write_bytes(content)
    header, pixels = worker._answer(str(tmp_path / "x.png"), [64, 64, 0])
    assert header["code"] == code, header
    assert pixels == b""
    assert header["reason"]
    assert header["remedy"]


@pytest.mark.parametrize(("kind", "size"), [("PNG", 12), ("JPEG", 24), ("GIF", 12), ("WEBP", 16)])
def test_no_truncated_file_passes(tmp_path, kind, size):
    content = encoded(noise(5, size, size), kind)
    path = tmp_path / "x"
    for end in range(1, len(content) - 1, 10):
        path.write_bytes(content[:end])
        header, _ = worker._answer(str(path), [64, 64, 0])
        assert header.get("code") in ("truncated-picture", "unreadable-picture"), (end, header)


def test_a_jpeg_or_png_without_its_end_marker_was_cut_off(tmp_path):
    for kind, missing in (("JPEG", 2), ("PNG", 12)):
        (tmp_path / "x").write_bytes(encoded(noise(6), kind)[:-missing])
        header, _ = worker._answer(str(tmp_path / "x"), [64, 64, 0])
        assert header["code"] == "truncated-picture"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_does_not_lose_the_picture():
    content = encoded(noise(7), "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\xff\xff" + b"\xff" * 20)
    assert decoded(content)[1].shape == (12, 12, 3)
