"""Files of labels that are damaged, lie or attack: refused with one message, or counted."""

import json
import os

import pytest

from septet.errors import DataError
from septet.vision.detection_options import DetectionDataOptions
from septet.vision.labelled import read_labelled
from tests.vision import labelled_sets as sets

OPTIONS = DetectionDataOptions(max_rejected=1.0)
GOOD = sets.coco_json([f"{n:03}.png" for n in range(8)])


def changed(**changes):
    return json.dumps({**GOOD, **changes}).encode()


def boxed(bbox, **changes):
    annotation = {"id": 1, "image_id": 0, "category_id": 5, "bbox": bbox, **changes}
    return changed(annotations=[*GOOD["annotations"], annotation])


TEXT = json.dumps(GOOD).encode()
COCO = {
    "empty": b"",
    "spaces": b"   ",
    "null": b"null",
    "number": b"7",
    "string": b'"images"',
    "list": b"[]",
    "nothing in it": b"{}",
    "cut in half": TEXT[: len(TEXT) // 2],
    "cut at the end": TEXT[:-1],
    "cut early": TEXT[:7],
    "bytes after": TEXT + b"}",
    "not UTF-8": b"\xff\xfe" + TEXT,
    "zero bytes": bytes(5000),
    "UTF-16": TEXT.decode().encode("utf-16"),
    "gzip": b"\x1f\x8b\x08" + TEXT,
    "deep lists": b"[" * 200_000,
    "deep objects": b'{"images":' * 100_000,
    "deep within": changed(images=[]).replace(b"[]", b"[" * 50_000 + b"]" * 50_000),
    "huge number": boxed([1, 1, 1, 1]).replace(b"[1, 1, 1, 1]", b"[1e999, 1, 1, 1]"),
    "huge whole number": boxed([10**400, 1, 1, 1]),
    "NaN": boxed([1, 1, 1, 1]).replace(b"[1, 1, 1, 1]", b"[NaN, 1, 1, 1]"),
    "infinite": boxed([1, 1, 1, 1]).replace(b"[1, 1, 1, 1]", b"[Infinity, 1, 1, 1]"),
    "images no list": changed(images={"0": "a.png"}),
    "images of numbers": changed(images=[1, 2, 3]),
    "images null": changed(images=None),
    "annotations no list": changed(annotations="none"),
    "annotations of lists": changed(annotations=[[], [1], "x", None]),
    "categories no list": changed(categories=5),
    "categories of text": changed(categories=["cat"]),
    "category without a name": changed(categories=[{"id": 5}]),
    "category with an object as name": changed(categories=[{"id": 5, "name": {"a": 1}}]),
    "two categories of an id": changed(categories=[{"id": 5, "name": "a"}, {"id": 5, "name": "b"}]),
    "id true": changed(categories=[{"id": True, "name": "a"}]),
    "box of three": boxed([1, 2, 3]),
    "box of text": boxed("1 2 3 4"),
    "box of booleans": boxed([True, True, True, True]),
    "box of lists": boxed([[1], [2], [3], [4]]),
    "box null": boxed(None),
    "box beyond everything": boxed([-1e6, -1e6, 2e6, 2e6]),
    "path up": changed(images=[{"id": 0, "file_name": "../../etc/passwd"}]),
    "path absolute": changed(images=[{"id": 0, "file_name": "/etc/passwd"}]),
    "path of Windows": changed(images=[{"id": 0, "file_name": "C:\\secret.png"}]),
    "path with a zero": changed(images=[{"id": 0, "file_name": "a\x00.png"}]),
    "path empty": changed(images=[{"id": 0, "file_name": ""}]),
    "path of a folder": changed(images=[{"id": 0, "file_name": "."}]),
    "path very long": changed(images=[{"id": 0, "file_name": "a" * 100_000}]),
    "path a number": changed(images=[{"id": 0, "file_name": 5}]),
    "size a lie": changed(
        images=[{"id": 0, "file_name": "000.png", "height": 10**9, "width": 10**9}]
    ),
    "size negative": changed(images=[{"id": 0, "file_name": "000.png", "height": -4, "width": -9}]),
    "class of half a character": changed(categories=[{"id": 5, "name": "\ud800"}]),
    "huge whole number in a list": changed(info=[10**3000]),
    "picture id a list": changed(images=[{"id": [0], "file_name": "000.png"}]),
}
LOLS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f'<!DOCTYPE a [<!ENTITY l0 "lol">{LOLS}]><annotation><filename>&l9;</filename></annotation>'
FILE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>'
XML = sets.voc_xml("000.png", [("cat", 5, 5, 30, 30)])


def thing(*sides, label="cat", name="000.png"):
    return sets.voc_xml(name, [(label, *sides)]).encode()


VOC = {
    "empty": b"",
    "spaces": b"  \n ",
    "words": b"no XML at all",
    "JSON": TEXT,
    "cut in half": XML[: len(XML) // 2].encode(),
    "cut at the end": XML[:-2].encode(),
    "cut early": XML[:4].encode(),
    "two roots": (XML * 2).encode(),
    "wrong end": XML.replace("</annotation>", "</other>").encode(),
    "bomb": BOMB.encode(),
    "outside entity": FILE.encode(),
    "outside type": b'<!DOCTYPE a SYSTEM "http://example.org/a.dtd">' + XML.encode(),
    "parameter entity": b'<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/hosts"> %p;]>'
    + XML.encode(),
    "unknown entity": XML.replace("cat", "&cat;").encode(),
    "deep": b"<a>" * 100_000,
    "deep within": XML.replace("<object>", "<x>" * 500 + "<object>").encode(),
    "not UTF-8": XML.encode("utf-16"),
    "binary": bytes(range(256)) * 20,
    "zero bytes": bytes(4000),
    "other encoding": b'<?xml version="1.0" encoding="ebcdic-cp-us"?>' + XML.encode(),
    "no file name": XML.replace("000.png", "").encode(),
    "path up": thing(1, 1, 9, 9, name="../../../etc/passwd"),
    "path absolute": thing(1, 1, 9, 9, name="/etc/passwd"),
    "path of Windows": thing(1, 1, 9, 9, name="C:\\secret.png"),
    "path very long": thing(1, 1, 9, 9, name="a" * 100_000),
    "path a folder": thing(1, 1, 9, 9, name="."),
    "sides of text": thing("a", "b", "c", "d"),
    "sides missing": XML.replace("<xmin>5</xmin>", "").encode(),
    "sides NaN": thing("nan", 1, 9, 9),
    "sides infinite": thing("inf", "-inf", 9, 9),
    "sides huge": thing("9" * 500, 1, 9, 9),
    "sides 1e300": thing(1, 1, "1e300", "1e300"),
    "sides inverted": thing(30, 30, 5, 5),
    "sides outside": thing(3000, 30, 5000, 500),
    "label empty": thing(1, 1, 9, 9, label=""),
    "label very long": thing(1, 1, 9, 9, label="x" * 100_000),
    "label of controls": thing(1, 1, 9, 9, label="&#27;[2J"),
    "size a lie": XML.replace("<width>96", "<width>99999999").encode(),
    "size of text": XML.replace("<width>96", "<width>wide").encode(),
    "many boxes": sets.voc_xml(
        "000.png", [("cat", n % 60, 1, n % 60 + 9, 20) for n in range(3000)]
    ).encode(),
}
YOLO = {
    "empty": b"",
    "spaces": b"   \n\n",
    "words": b"this is no label",
    "too few": b"0 0.5 0.5 0.2",
    "six": b"0 0.5 0.5 0.2 0.2 0.9",
    "class of text": b"cat 0.5 0.5 0.2 0.2",
    "class negative": b"-1 0.5 0.5 0.2 0.2",
    "class too high": b"2 0.5 0.5 0.2 0.2",
    "class huge": b"9" * 400 + b" 0.5 0.5 0.2 0.2",
    "class broken": b"0.5 0.5 0.5 0.2 0.2",
    "class NaN": b"nan 0.5 0.5 0.2 0.2",
    "NaN": b"0 nan 0.5 0.2 0.2",
    "infinite": b"0 inf 0.5 0.2 0.2",
    "minus infinite": b"0 0.5 -inf 0.2 0.2",
    "1e999": b"0 1e999 0.5 0.2 0.2",
    "negative size": b"0 0.5 0.5 -0.2 0.2",
    "no size": b"0 0.5 0.5 0 0",
    "outside": b"0 7 7 0.2 0.2",
    "pixels": b"0 48 32 30 24",
    "larger than all": b"0 0.5 0.5 90 90",
    "commas": b"0,0.5,0.5,0.2,0.2",
    "decimal commas": b"0 0,5 0,5 0,2 0,2",
    "binary": bytes(range(256)),
    "zero bytes": bytes(3000),
    "not UTF-8": b"\xff\xfe0 0.5",
    "UTF-16": "0 0.5 0.5 0.2 0.2".encode("utf-16"),
    "JSON": TEXT,
    "XML": XML.encode(),
    "long line": b"0 " + b"0.5 " * 200_000,
    "many lines": b"0 0.5 0.5 0.2 0.2\n" * 20_000,
    "many words": b"0 0.5 0.5 0.2 0.2 " * 5000,
    "polygon of two": b"0 0.1 0.1 0.2 0.2 0.3",
    "polygon flat": b"0 0.1 0.1 0.5 0.1 0.9 0.1",
    "polygon NaN": b"0 0.1 0.1 nan 0.1 0.9 0.1",
    "underscores": b"0 0_5 0.5 0.2 0.2",
    "hexadecimal": b"0x0 0x1 0.5 0.2 0.2",
    "other digits": "٣ ٠.٥ ٠.٥ ٠.٢ ٠.٢".encode(),
    "null characters": b"0 0.5\x00 0.5 0.2 0.2",
    "escape": b"\x1b[2J 0.5 0.5 0.2 0.2",
    "carriage returns": b"0 0.5 0.5\r0.2 0.2",
}

YAML_HEAD = b"train: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n"
REFUSED_YAML = {
    "empty": b"",
    "spaces": b"   \n\n",
    "words": b"no YAML at all",
    "only names": b"names: [cat, dog]",
    "no names": b"train: images/train",
    "names null": b"train: images/train\nnames:",
    "names a number": b"train: images/train\nnames: 7",
    "names empty list": b"train: images/train\nnames: []",
    "names with an empty one": b"train: images/train\nnames: [cat, '', dog]",
    "names twice": b"train: images/train\nnames: [cat, cat]",
    "numbers with a gap": b"train: images/train\nnames:\n  0: cat\n  2: dog\n",
    "numbers from one": b"train: images/train\nnames:\n  1: cat\n  2: dog\n",
    "negative number": b"train: images/train\nnames:\n  -1: cat\n  0: dog\n",
    "numbers of text": b"train: images/train\nnames:\n  a: cat\n  b: dog\n",
    "huge number": b"train: images/train\nnames:\n  " + b"9" * 5000 + b": cat\n",
    "inner names": b"train: images/train\nnames: {0: cat, 0.5: dog}\n",
    "path up": b"train: ../../../etc\nnames: [cat, dog]",
    "path absolute": b"train: /etc\nnames: [cat, dog]",
    "path with a zero": b"train: images\x00/train\nnames: [cat, dog]",
    "path not there": b"train: elsewhere\nnames: [cat, dog]",
    "path very long": b"train: " + b"a" * 100_000 + b"\nnames: [cat, dog]",
    "path of Windows": b"train: C:\\pictures\nnames: [cat, dog]",
    "base outside": b"path: /etc\ntrain: ssl\nnames: [cat, dog]",
    "a file that is no list": b"train: data.yaml\nnames: [cat, dog]",
    "a list of secrets": b"train: secrets.txt\nnames: [cat, dog]",
    "a list of itself": b"train: itself.txt\nnames: [cat, dog]",
    "a list that is binary": b"train: binary.txt\nnames: [cat, dog]",
    "not UTF-8": b"\xff\xfe" + YAML_HEAD,
    "UTF-16": YAML_HEAD.decode().encode("utf-16"),
    "binary": bytes(range(256)) * 20,
    "zero bytes": bytes(5000),
    "gzip": b"\x1f\x8b\x08" + YAML_HEAD,
    "JSON list": b"[1, 2]",
    "block text": b"train: |\n  images/train\nnames: [cat, dog]",
    "document of a Python object": b"!!python/object/apply:os.system ['true']",
    "object as names": b"train: images/train\nnames: !!python/object/apply:os.system ['true']",
    "anchor as names": b"a: &x [cat, dog]\ntrain: images/train\nnames: *x",
    "tab first": b"\ttrain: images/train",
    "deep lists": b"names: " + b"[" * 100_000,
    "deep objects": b"names: " + b"{a: " * 50_000,
    "bomb": b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 40))
    + b"names: *a39",
    "cut in half": YAML_HEAD[: len(YAML_HEAD) // 2],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A good set of each format, whose first file of labels the tests replace."""
    root = tmp_path_factory.mktemp("hostile")
    for kind, make in (("coco", sets.coco), ("voc", sets.voc), ("yolo", sets.yolo)):
        make(root / kind, 8)
    return root


def survives(folder, replaced, content, *, may_be_good=False):
    """Read a set with one file replaced: an account that balances, or one message."""
    before, message = replaced.read_bytes(), ""
    replaced.write_bytes(content)
    try:
        account = read_labelled(folder, OPTIONS, 0).account
    except DataError as error:
        message = str(error)
        account = None
    finally:
        replaced.write_bytes(before)
    if account is None:
        assert 10 < len(message) < 1500
        return None
    assert account.read == account.used + len(account.rejections)
    assert account.findings or account.rejections or may_be_good
    for entry in (*account.findings, *account.rejections):
        assert len(getattr(entry, "message", "") or getattr(entry, "reason", "")) < 600
    return account


@pytest.mark.parametrize("name", COCO)
def test_hostile_coco_is_refused_or_counted(name, home):
    survives(home / "coco", home / "coco/annotations/train.json", COCO[name])


@pytest.mark.parametrize("name", VOC)
def test_hostile_voc_is_counted_and_the_others_are_used(name, home):
    # A picture of the annotation's own name is found whatever the annotation calls it.
    may_be_good = name == "path very long"
    path = home / "voc/Annotations/000.xml"
    account = survives(home / "voc", path, VOC[name], may_be_good=may_be_good)
    assert account is not None
    assert account.used >= 7


@pytest.mark.parametrize("name", YOLO)
def test_hostile_yolo_is_counted_and_the_others_are_used(name, home):
    account = survives(home / "yolo", home / "yolo/labels/train/000.txt", YOLO[name])
    assert account is not None
    assert account.used == 8


@pytest.mark.parametrize("name", REFUSED_YAML)
def test_hostile_yaml_is_refused_with_one_message(name, home):
    path = home / "yolo/data.yaml"
    before = path.read_bytes()
    (home / "yolo/secrets.txt").write_text("/etc/passwd\n../coco/images/000.png\n")
    (home / "yolo/itself.txt").write_text("itself.txt\n.\nimages\n")
    (home / "yolo/binary.txt").write_bytes(bytes(range(256)) * 9)
    path.write_bytes(REFUSED_YAML[name])
    try:
        with pytest.raises(DataError) as caught:
            read_labelled(path, OPTIONS, 0)
    finally:
        path.write_bytes(before)
    assert 10 < len(str(caught.value)) < 1500
    assert "root:" not in str(caught.value)


def test_each_format_has_forty_hostile_inputs():
    assert min(map(len, (COCO, VOC, YOLO, REFUSED_YAML))) >= 40


def test_links_and_pipes_in_place_of_labels_are_refused(home, tmp_path):
    sets.coco(tmp_path / "a", 4)
    path = tmp_path / "a/annotations/train.json"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError):
        read_labelled(tmp_path / "a/annotations", OPTIONS, 0)
    sets.coco(tmp_path / "b", 4)
    (tmp_path / "b/images/000.png").unlink()
    (tmp_path / "b/images/000.png").symlink_to("/etc/passwd")
    account = read_labelled(tmp_path / "b", OPTIONS, 0).account
    assert [rejection.code for rejection in account.rejections] == ["outside-folder"]


def test_too_large_a_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    sets.coco(tmp_path, 4)
    monkeypatch.setattr("septet.vision.annotations.found.MOST_BYTES", 100)
    with pytest.raises(DataError, match="at most 0 MiB"):
        read_labelled(tmp_path, OPTIONS, 0)
