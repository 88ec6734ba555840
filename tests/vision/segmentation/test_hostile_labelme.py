"""Fifty hostile LabelMe files: each costs its own picture at most, and says why."""

import json
import os

import pytest

from septet.errors import DataError
from septet.vision.segmentation.options import SegmentationDataOptions
from septet.vision.segmentation.reading import read_segments
from tests.vision.segmentation.making_masks import scene
from tests.vision.segmentation.test_reading import labelme_of, write_labelme

GOOD = labelme_of(*scene(0))
TEXT = json.dumps(GOOD).encode()
BOX = {"label": "disc", "shape_type": "rectangle", "points": [[1, 1], [9, 9]]}
DEEP = b"[" * 200_000


def changed(**values) -> bytes:
    return json.dumps({**GOOD, **values}).encode()


def shaped(**values) -> bytes:
    """The good file with one more shape, changed."""
    return changed(shapes=[*GOOD["shapes"], {**BOX, **values}])


def written(points: str) -> bytes:
    """A shape whose points are as no library writes them."""
    return shaped(points="POINTS").replace(b'"POINTS"', points.encode())


REFUSED = {
    "empty": b"",
    "spaces": b"  \n",
    "cut in half": TEXT[: len(TEXT) // 2],
    "cut at the end": TEXT[:-1],
    "cut early": TEXT[:5],
    "bytes after": TEXT + b"]",
    "two values": TEXT + TEXT,
    "zero bytes": bytes(3000),
    "binary": bytes(range(256)) * 20,
    "UTF-16": TEXT.decode().encode("utf-16"),
    "UTF-8 cut in a letter": '{"shapes": [], "x": "ü'.encode()[:-1],
    "gzip": b"\x1f\x8b\x08" + TEXT,
    "pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "XML": b"<annotation><object/></annotation>",
    "null": b"null",
    "number": b"7",
    "text": b'"shapes"',
    "list": b"[]",
    "nothing in it": b"{}",
    "deep lists": DEEP,
    "deep objects": b'{"shapes":' * 100_000,
    "deep within": TEXT[:-1] + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "shapes null": changed(shapes=None),
    "shapes an object": changed(shapes={"0": BOX}),
    "shapes of numbers": changed(shapes=[1, 2]),
    "shapes of lists": changed(shapes=[[], [BOX]]),
    "label missing": changed(shapes=[{"points": BOX["points"]}]),
    "label null": shaped(label=None),
    "label empty": shaped(label=""),
    "label a list": shaped(label=["disc"]),
    "label without an end": shaped(label="x" * 100_000),
    "label half a character": shaped(label="LABEL").replace(b"LABEL", b"\\ud800"),
    "type unknown": shaped(shape_type="teapot"),
    "type a list": shaped(shape_type=["polygon"]),
    "type an object": shaped(shape_type={"a": 1}),
    "points missing": changed(shapes=[{"label": "disc"}]),
    "points null": shaped(points=None),
    "points empty": shaped(points=[], shape_type="polygon"),
    "points of text": shaped(points=["11", "99"]),
    "points flat": shaped(points=[1, 1, 9, 9]),
    "points of three": shaped(points=[[1, 1, 1], [9, 9, 9]]),
    "points of truth": shaped(points=[[True, True], [False, False]]),
    "points of nothing": shaped(points=[[None, None], [1, 1]]),
    "rectangle of one": shaped(points=[[1, 1]]),
    "rectangle of four": shaped(points=[[1, 1], [9, 1], [9, 9], [1, 9]]),
    "polygon of two": shaped(points=[[1, 1], [9, 9]], shape_type="polygon"),
    "polygon without an end": shaped(points=[[1, 1], [2, 2]] * 60_000, shape_type="polygon"),
    "NaN": written("[[NaN, 1], [9, 9]]"),
    "infinite": written("[[-Infinity, 1], [9, 9]]"),
    "huge": written("[[1e999, 1], [9, 9]]"),
    "huge whole": written("[[" + "9" * 5000 + ", 1], [9, 9]]"),
    "huge whole, short": shaped(points=[[10**300, 1], [9, 9]]),
    "far away": shaped(points=[[1e9, 1e9], [2e9, 2e9]]),
    "size a lie": changed(imageHeight=10**9, imageWidth=10**9),
    "size negative": changed(imageHeight=-32, imageWidth=-32),
    "size turned": changed(imageHeight=32, imageWidth=64),
}
USED = {
    "path up, beside its picture": changed(imagePath="../../../etc/passwd"),
    "path absolute, beside its picture": changed(imagePath="/etc/passwd"),
    "path a number": changed(imagePath=7),
    "path with a zero": changed(imagePath="a\x00.png"),
    "picture within, a lie": changed(imageData="iVBORw0KGgo" * 10_000),
    "size of text": changed(imageHeight="32", imageWidth=None),
    "outside the picture": shaped(points=[[100, 100], [200, 200]]),
    "larger than the picture": shaped(points=[[-500, -500], [500, 500]]),
    "no area": shaped(points=[[3, 3], [3, 3]]),
    "name repeated": TEXT[:-1] + b', "shapes": []}',
    "byte order mark": b"\xef\xbb\xbf" + TEXT,
}
OPTIONS = SegmentationDataOptions(max_rejected=1.0, validation_fraction=0.0, test_fraction=0.0)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Four good pictures, the first file of which the tests replace."""
    return write_labelme(tmp_path_factory.mktemp("labelme"), 4)


def read_with(home, content: bytes):
    (home / "000.json").write_bytes(content)
    account = read_segments(home, OPTIONS, 0).account
    assert account.read == account.used + len(account.rejections)
    json.dumps(account.to_json(), allow_nan=False).encode()
    return account


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_file_costs_its_picture_with_a_reason(home, name):
    account = read_with(home, REFUSED[name])
    assert account.used == 3, name
    (rejection,) = account.rejections
    assert rejection.file in ("000.json", "000.png")
    assert 10 < len(rejection.reason) < 300
    assert str(home) not in rejection.reason
    assert rejection.remedy


@pytest.mark.parametrize("name", USED)
def test_what_is_odd_and_harmless_is_used(home, name):
    account = read_with(home, USED[name])
    assert (account.used, account.rejections) == (4, []), name


def test_there_are_forty_hostile_files():
    assert len(REFUSED) >= 40


@pytest.mark.parametrize("path", ["../secret.png", "/etc/hostname", "C:\\a.png", "a\x00.png", ""])
def test_a_picture_outside_the_folder_is_not_opened(tmp_path, path):
    (tmp_path / "set").mkdir()
    inside = write_labelme(tmp_path / "set", 3)
    (tmp_path / "secret.png").write_bytes((inside / "000.png").read_bytes())
    (inside / "odd.json").write_bytes(changed(imagePath=path))
    account = read_segments(inside, OPTIONS, 0).account
    assert account.used == 3
    assert [(r.file, r.code) for r in account.rejections] == [("odd.json", "missing-picture")]


def test_links_pipes_and_folders_in_place_of_files_are_not_opened(tmp_path):
    write_labelme(tmp_path, 6)
    outside = tmp_path.parent / f"{tmp_path.name}-outside.json"
    outside.write_bytes(TEXT)
    for number in range(3):
        (tmp_path / f"00{number}.json").unlink()
    (tmp_path / "000.json").symlink_to(outside)
    os.mkfifo(tmp_path / "001.json")
    (tmp_path / "002.json").mkdir()
    account = read_segments(tmp_path, OPTIONS, 0).account
    assert account.used == 3
    assert {rejection.code for rejection in account.rejections} == {"missing-mask"}


def test_more_labels_than_a_mask_can_hold_are_refused(tmp_path):
    write_labelme(tmp_path, 2)
    shapes = [{**BOX, "label": f"class {number}"} for number in range(400)]
    (tmp_path / "000.json").write_bytes(changed(shapes=shapes))
    with pytest.raises(DataError, match=r"The files have 40\d labels; expected \d+ at most"):
        read_segments(tmp_path, OPTIONS, 0)
