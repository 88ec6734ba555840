"""Every layout is read to the same pixels; every seeded defect is found and none invented."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from septet.data.composing import run_lengths
from septet.errors import DataError
from septet.vision.segmentation.options import SegmentationDataOptions
from septet.vision.segmentation.reading import read_segments
from tests.vision.segmentation.making_masks import COLOURS, NAMES, indexed, make_pairs, scene

PLAIN = SegmentationDataOptions()


def read(folder: Path, **options):
    return read_segments(folder, SegmentationDataOptions(**options), 0)


def rejections(dataset) -> dict[str, str]:
    return {rejection.file: rejection.code for rejection in dataset.account.rejections}


def by_source(dataset) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Picture and mask by the number in a source's name."""
    return {
        Path(source).stem: (picture, mask)
        for split in dataset.splits.values()
        for source, picture, mask in zip(
            split.sources, split.examples["pictures"], split.targets, strict=True
        )
    }


def assert_whole(dataset, count: int = 12) -> None:
    """It holds the scenes of `make_pairs`, every pixel of them."""
    assert dataset.account.read == dataset.account.used == count
    found = by_source(dataset)
    assert len(found) == count
    for number in range(count):
        pixels, mask = scene(number)
        np.testing.assert_array_equal(found[f"{number:03d}"][0], pixels)
        np.testing.assert_array_equal(found[f"{number:03d}"][1], mask)


def test_indexed_masks_are_read_without_a_finding(tmp_path):
    dataset = read(make_pairs(tmp_path))
    assert_whole(dataset)
    assert dataset.account.findings == []
    assert dataset.facts["labels"] == list(NAMES)
    assert dataset.facts["colours"] == [list(colour) for colour in COLOURS]
    assert dataset.account.classes["disc"]["train"] > 0


def test_masks_in_colour_are_read_by_the_legend(tmp_path):
    make_pairs(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        Image.open(path).convert("RGB").save(path)
    assert_whole(read(tmp_path))


@pytest.mark.parametrize("layout", ["splits-above", "splits-below", "endings", "beside", "flat"])
def test_every_layout_is_paired(tmp_path, layout):
    make_pairs(tmp_path / "made")
    for number in range(12):
        name = f"{number:03d}.png"
        split = "train" if number < 9 else "test"
        picture, mask = {
            "splits-above": (f"{split}/images/{name}", f"{split}/masks/{name}"),
            "splits-below": (f"images/{split}/{name}", f"masks/{split}/{name}"),
            "endings": (f"images/{name}", f"SegmentationClass/{number:03d}_mask.png"),
            "beside": (f"{split}/{name}", f"masks/{split}/{name}"),
            "flat": (name, f"{number:03d}_mask.png"),
        }[layout]
        for kind, place in (("images", picture), ("masks", mask)):
            (tmp_path / "set" / place).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "made" / kind / name).rename(tmp_path / "set" / place)
    (tmp_path / "made" / "legend.csv").rename(tmp_path / "set" / "legend.csv")
    dataset = read(tmp_path / "set")
    assert_whole(dataset)
    if layout.startswith(("splits", "beside")):
        assert len(dataset.splits["test"]) == 3


def coco_of(folder: Path, count: int = 12, kind: str = "runs") -> dict:
    """COCO's JSON for `count` scenes, whose pictures are written to `folder/images`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number in range(count):
        pixels, mask = scene(number)
        Image.fromarray(pixels).save(folder / "images" / f"{number:03d}.png")
        images.append({"id": number, "file_name": f"{number:03d}.png", "width": 32, "height": 32})
        for category in (1, 2):
            area = mask == category
            if not area.any():
                continue
            outline = {"size": [32, 32], "counts": run_lengths(area)}
            if kind == "polygons":
                # Each row's runs as a rectangle.
                outline = []
                for y, row in enumerate(area):
                    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
                    for left, right in edges.reshape(-1, 2).tolist():
                        outline.append([left, y, right, y, right, y + 1, left, y + 1])
            annotations.append(
                {"id": len(annotations), "image_id": number, "category_id": category,
                 "segmentation": outline, "bbox": [0, 0, 1, 1], "iscrowd": 0}
            )  # fmt: skip
    categories = [{"id": n, "name": name} for n, name in enumerate(NAMES) if n]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(folder: Path, values) -> Path:
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    text = values if isinstance(values, str) else json.dumps(values)
    (folder / "annotations" / "all.json").write_text(text)
    return folder


@pytest.mark.parametrize("kind", ["runs", "polygons"])
def test_coco_is_read(tmp_path, kind):
    write_coco(tmp_path, coco_of(tmp_path, kind=kind))
    dataset = read(tmp_path)
    assert_whole(dataset)
    assert dataset.account.findings == []
    assert dataset.facts["labels"] == list(NAMES)
    assert_whole(read(tmp_path / "annotations" / "all.json"))


def labelme_of(pixels: np.ndarray, mask: np.ndarray) -> dict:
    shapes = []
    for category in (1, 2):
        for y, x in np.argwhere(mask == category).tolist():
            shapes.append({"label": NAMES[category], "shape_type": "rectangle",
                           "points": [[x, y], [x + 1, y + 1]]})  # fmt: skip
    return {"shapes": shapes, "imageHeight": len(pixels), "imageWidth": pixels.shape[1]}


def write_labelme(folder: Path, count: int = 12) -> Path:
    for number in range(count):
        pixels, mask = scene(number)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
        (folder / f"{number:03d}.json").write_text(json.dumps(labelme_of(pixels, mask)))
    return folder


def test_labelme_is_read(tmp_path):
    dataset = read(write_labelme(tmp_path))
    assert_whole(dataset)
    assert dataset.account.findings == []


def test_masks_of_two_values_are_background_and_foreground(tmp_path):
    make_pairs(tmp_path, legend=False)
    for path in (tmp_path / "masks").iterdir():
        mask = np.asarray(Image.open(path))
        Image.fromarray(((mask == 1) * 255).astype(np.uint8)).save(path)
    dataset = read(tmp_path)
    assert dataset.facts["labels"] == ["background", "foreground"]
    np.testing.assert_array_equal(by_source(dataset)["003"][1], scene(3)[1] == 1)


def test_classes_without_a_legend_are_called_by_their_numbers(tmp_path):
    dataset = read(make_pairs(tmp_path, legend=False))
    assert dataset.facts["labels"] == ["background", "class 1", "class 2"]
    assert [finding.code for finding in dataset.account.findings] == ["no-legend"]


def spoiled(folder: Path) -> dict[str, str]:
    """Defects in a set of forty pairs: by picture or mask, the code that must be found."""
    make_pairs(folder, 40)
    images, masks = folder / "images", folder / "masks"

    def mask_of(number: int) -> np.ndarray:
        return np.array(Image.open(masks / f"{number:03d}.png"))

    (masks / "001.png").unlink()
    (images / "002.png").unlink()
    indexed(mask_of(3)[:20]).save(masks / "003.png")
    mask = mask_of(4)
    mask[5, 5] = 9
    indexed(mask).save(masks / "004.png")
    colours = np.array(Image.open(masks / "005.png").convert("RGB"))
    colours[0, 0] = (1, 2, 3)
    Image.fromarray(colours).save(masks / "005.png")
    (masks / "006.png").write_bytes((masks / "006.png").read_bytes()[:-30])
    (images / "007.png").write_bytes(b"")
    indexed(np.full((32, 32), 255, np.uint8)).save(masks / "008.png")
    Image.fromarray(scene(9)[0]).save(masks / "009.png")
    Image.open(masks / "010.png").convert("L").save(masks / "010.jpg", quality=100)
    (masks / "010.png").unlink()
    Image.fromarray(mask_of(11).astype(np.uint16) + 300).save(masks / "011.png")
    Image.open(images / "012.png").save(images / "012.jpg")
    indexed(mask_of(13)).save(masks / "013_mask.png")
    (masks / "013.png").rename(masks / "013_label.png")
    (images / "014.png").unlink()
    (images / "014.png").symlink_to("/etc/hostname")
    return {
        "images/001.png": "missing-mask",
        "masks/002.png": "missing-picture",
        "images/003.png": "mask-size",
        "images/004.png": "unknown-class",
        "images/005.png": "unknown-colour",
        "images/006.png": "mask-truncated-picture",
        "images/007.png": "empty-file",
        "images/008.png": "all-ignored",
        "images/009.png": "mask-too-many-values",
        "images/010.png": "lossy-mask",
        "images/011.png": "unknown-class",
        "images/012.png": "two-pictures",
        "images/013.png": "two-masks",
        "images/014.png": "outside-folder",
        "masks/014.png": "missing-picture",
    }


def test_every_defect_is_found_and_none_invented(tmp_path):
    expected = spoiled(tmp_path)
    dataset = read(tmp_path)
    assert rejections(dataset) == expected
    account = dataset.account
    assert account.read == account.used + len(account.rejections)
    assert account.findings == []
    for rejection in account.rejections:
        assert rejection.reason.endswith((".", ")"))
        assert rejection.remedy


def test_the_same_picture_in_two_splits_and_with_two_masks_is_said(tmp_path):
    for split in ("train", "test"):
        make_pairs(tmp_path / split)
        for kind in ("images", "masks"):
            for path in (tmp_path / split / kind).iterdir():
                if split == "test" and path.stem > "002":
                    path.unlink()
    for number in (1, 2):
        Image.fromarray(scene(90 + number)[0]).save(tmp_path / f"test/images/00{number}.png")
        indexed(scene(90 + number)[1]).save(tmp_path / f"test/masks/00{number}.png")
    codes = Counter(finding.code for finding in read(tmp_path).account.findings)
    assert codes == {"duplicate-across-splits": 1}
    indexed(scene(5)[1]).save(tmp_path / "test" / "masks" / "000.png")
    codes = Counter(finding.code for finding in read(tmp_path).account.findings)
    assert codes == {"duplicate-across-splits": 1, "two-masks": 1}


def test_a_class_that_training_lacks_or_nobody_has_is_said(tmp_path):
    make_pairs(tmp_path / "train", legend=False)
    make_pairs(tmp_path / "test", 4, legend=False)
    (tmp_path / "classes.txt").write_text("background\ndisc\nsquare\nstar\ncircle\n")
    for path in (tmp_path / "test" / "masks").iterdir():
        mask = np.array(Image.open(path))
        mask[0, 0] = 3
        indexed(mask).save(path)
        picture = tmp_path / "test" / "images" / path.name
        pixels = np.array(Image.open(picture))
        pixels[0, 0] = 0
        Image.fromarray(pixels).save(picture)
    found = {f.code: f.where for f in read(tmp_path).account.findings}
    assert found == {"class-not-in-train": "star", "empty-class": "circle"}


def test_coco_defects_are_found_and_none_invented(tmp_path):
    values = coco_of(tmp_path, 20)
    images, annotations = values["images"], values["annotations"]

    def of(number: int) -> dict:
        return next(entry for entry in annotations if entry["image_id"] == number)

    of(0)["category_id"] = 77
    of(1)["segmentation"] = [[1, 2, 3]]
    of(2)["segmentation"] = []
    of(3)["segmentation"]["counts"] = [3]
    images[4]["width"] = 64
    images[5]["file_name"] = "../../etc/passwd.png"
    images[6]["file_name"] = "absent.png"
    images.append({"id": 7, "file_name": "007.png"})
    images.append({"file_name": "x.png"})
    annotations.append({"image_id": 999, "category_id": 1, "segmentation": [[0, 0, 1, 0, 1, 1]]})
    annotations.append("nonsense")
    dataset = read(write_coco(tmp_path, values))
    assert rejections(dataset) == {
        "000.png": "unknown-class",
        "001.png": "bad-shape",
        "002.png": "bad-shape",
        "003.png": "bad-shape",
        "004.png": "mask-size",
        "../../etc/passwd.png": "outside-folder",
        "absent.png": "missing-file",
        "007.png": "repeated-id",
        "annotations/all.json": "bad-image",
    }
    codes = sorted(finding.code for finding in dataset.account.findings)
    assert codes == ["bad-annotation", "missing-picture"]


def test_labelme_defects_are_found_and_none_invented(tmp_path):
    write_labelme(tmp_path, 14)

    def change(number: int, **values) -> None:
        path = tmp_path / f"{number:03d}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    (tmp_path / "000.json").unlink()
    (tmp_path / "001.png").unlink()
    change(2, imageWidth=99)
    change(3, shapes=[{"label": "disc", "points": [[0, 0]], "shape_type": "polygon"}])
    change(4, shapes=[{"label": "disc", "points": [[0, 0], [3, 3]], "shape_type": "circle"}])
    change(5, shapes=[{"label": 7, "points": [[0, 0], [3, 3], [0, 3]]}])
    change(6, shapes="none")
    (tmp_path / "007.json").write_text("{")
    dataset = read(tmp_path)
    assert rejections(dataset) == {
        "000.png": "missing-mask",
        "001.json": "missing-picture",
        "002.png": "mask-size",
        "003.json": "bad-shape",
        "004.json": "bad-shape",
        "005.json": "bad-shape",
        "006.json": "bad-shape",
        "007.json": "bad-shape",
    }
    assert dataset.account.findings == []


HOSTILE_JSON = [
    "", "[", "null", "[]", "{}", "[" * 200_000, '{"images": 1}', "\x00", '"' + "x" * 1000,
    '{"images": [], "annotations": []}', '{"images": [], "annotations": [], "categories": {}}',
    '{"images": [], "annotations": [], "categories": []}',
    '{"images": [], "annotations": [], "categories": [{"id": 1}]}',
    '{"images": [], "annotations": [], "categories": [{"id": "1", "name": "a"}]}',
    '{"images": [], "annotations": [], "categories": [{"id": true, "name": "a"}]}',
    '{"images": [], "annotations": [], "categories": [{"id": 1, "name": ""}]}',
    '{"images": [], "annotations": [], "categories": [{"id": 1, "name": 5}]}',
    '{"images": [], "annotations": [], "categories": [1]}',
    '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"},'
    ' {"id": 1, "name": "b"}]}',
    '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"},'
    ' {"id": 2, "name": "a"}]}',
    '{"images": [NaN], "annotations": [], "categories": [{"id": 1, "name": "a"}]}',
    '{"images": [Infinity], "annotations": [], "categories": [{"id": 1, "name": "a"}]}',
    '{"images": [' + "9" * 5000 + '], "annotations": [], "categories": [{"id": 1, "name": "a"}]}',
    '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}',
]  # fmt: skip
HOSTILE_ENTRIES = [
    {"file_name": None}, {"file_name": ""}, {"file_name": "/etc/passwd"},
    {"file_name": "a\x00.png"}, {"file_name": "C:\\x.png"}, {"file_name": ["a"]},
    {"file_name": "../000.png"}, {"id": None}, {"id": {}}, {"id": [1]},
    {"height": 10**9, "width": 1}, {"height": -1, "width": 5},
]  # fmt: skip
HOSTILE_SHAPES = [
    {"size": [10**6, 10**6], "counts": [10**12]}, {"size": [32, 32], "counts": "o" * 10**5},
    {"size": [32, 32], "counts": [10**30]}, [[0, 0] * 200_000], [["a"] * 6], [[1e308] * 6], 7,
    {"counts": None}, [None], [[[0, 1], [1, 2], [2, 3]]],
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE_JSON)
def test_hostile_coco_files_are_refused_with_one_message(tmp_path, text):
    coco_of(tmp_path, 2)
    with pytest.raises(DataError) as caught:
        read(write_coco(tmp_path, text))
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("number", range(len(HOSTILE_ENTRIES) + len(HOSTILE_SHAPES)))
def test_hostile_coco_entries_cost_one_picture(tmp_path, number):
    values = coco_of(tmp_path, 4)
    if number < len(HOSTILE_ENTRIES):
        values["images"][0].update(HOSTILE_ENTRIES[number])
    else:
        values["annotations"][0]["segmentation"] = HOSTILE_SHAPES[number - len(HOSTILE_ENTRIES)]
    dataset = read(write_coco(tmp_path, values))
    assert dataset.account.used == 3
    assert len(dataset.account.rejections) == 1


def hostile_masks() -> dict[str, bytes]:
    """Contents of mask files that must cost one picture and nothing else."""
    import io
    import struct
    import zlib

    def saved(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        return file.getvalue()

    good = saved(indexed(scene(0)[1]))
    huge = bytearray(good)
    huge[16:24] = struct.pack(">II", 60_000, 60_000)
    huge[29:33] = struct.pack(">I", zlib.crc32(bytes(huge[12:29])))
    lying = bytearray(good)
    lying[16:24] = struct.pack(">II", 4000, 4000)
    lying[29:33] = struct.pack(">I", zlib.crc32(bytes(lying[12:29])))
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    cases = {f"cut-{n}": good[:n] for n in (1, 8, 20, 33, 40, 60, 700, len(good) - 20)}
    cases |= {f"flipped-{n}": good[:n] + bytes([good[n] ^ 255]) + good[n + 1 :] for n in
              (0, 5, 17, 25, 30, 36)}  # fmt: skip
    cases |= {
        "empty": b"", "zeros": bytes(1000), "text": b"P1 1 1 1", "huge": bytes(huge),
        "lying": bytes(lying), "html": b"<html></html>", "zip": b"PK\x03\x04" + bytes(50),
        "pickle": b"\x80\x04cos\nsystem\n", "photo": saved(Image.fromarray(noise)),
        "photo-jpeg": saved(Image.fromarray(noise), "JPEG"),
        "photo-webp": saved(Image.fromarray(noise), "WEBP"),
        "other-size": saved(indexed(np.zeros((16, 16), np.uint8))),
        "one-pixel": saved(indexed(np.zeros((1, 1), np.uint8))),
        "long": saved(indexed(np.zeros((1, 5000), np.uint8))),
        "out-of-range": saved(indexed(np.full((32, 32), 77, np.uint8))),
        "sixteen-bits": saved(Image.fromarray(np.full((32, 32), 60_000, np.uint16))),
        "float": saved(Image.fromarray(np.full((32, 32), 0.5, np.float32)), "TIFF"),
        "negative": saved(Image.fromarray(np.full((32, 32), -5, np.int32)), "TIFF"),
        "unknown-colour": saved(Image.new("RGB", (32, 32), (7, 7, 7))),
        "all-ignored": saved(Image.new("L", (32, 32), 255)),
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "gif-cut": saved(indexed(scene(0)[1]), "GIF")[:40],
        "bmp-lies": b"BM"
        + struct.pack("<I2H2I2i2H2I", 100, 0, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0),
        "tiff-loop": b"II*\x00\x08\x00\x00\x00\x00\x00\x08\x00\x00\x00",
        "webp-cut": saved(Image.fromarray(noise), "WEBP")[:50],
        "jpeg-cut": saved(Image.fromarray(noise), "JPEG")[:200],
    }  # fmt: skip
    return cases


def test_hostile_masks_cost_one_picture_each(tmp_path):
    cases = hostile_masks()
    assert len(cases) >= 40
    make_pairs(tmp_path, len(cases) + 10)
    for number, content in enumerate(cases.values()):
        (tmp_path / "masks" / f"{number:03d}.png").write_bytes(content)
    found = rejections(read(tmp_path))
    expected = {f"images/{number:03d}.png" for number in range(len(cases))}
    assert set(found) == expected, {
        name: number for number, name in enumerate(cases) if f"images/{number:03d}.png" not in found
    }


def test_a_source_that_is_no_set_is_refused(tmp_path):
    for name, text in (("a.txt", "x"), ("b.png", "x")):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match="no set for segmentation"):
            read(tmp_path / name)
    with pytest.raises(DataError, match="There is no file or folder"):
        read(tmp_path / "absent")
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="has no masks"):
        read(tmp_path / "images")
    with pytest.raises(DataError, match="has no JSON file"):
        read(tmp_path / "images", format="coco")


def test_colours_without_a_legend_are_named_with_the_remedy(tmp_path):
    make_pairs(tmp_path, legend=False)
    for path in (tmp_path / "masks").iterdir():
        Image.open(path).convert("RGB").save(path)
    with pytest.raises(DataError, match=r"there is no legend.*legend\.csv.*200, 30, 30"):
        read(tmp_path)


def test_larger_pictures_are_resized_or_cut_into_tiles(tmp_path):
    make_pairs(tmp_path, 4, side=80)
    resized = read(tmp_path, size=30)
    assert resized.facts["height"] == 32
    assert resized.splits["train"].targets.shape[1:] == (32, 32)
    assert set(np.unique(resized.splits["train"].targets)) <= {0, 1, 2}
    tiled = read(tmp_path, size=64, large="tile", validation_fraction=0.0, test_fraction=0.0)
    assert len(tiled.splits["train"]) == 16
    assert tiled.account.read == tiled.account.used == 16
    pixels, mask = scene(0, 80)
    np.testing.assert_array_equal(tiled.splits["train"].targets[0], mask[:64, :64])
    np.testing.assert_array_equal(tiled.splits["train"].targets[3][:16, :16], mask[64:, 64:])
    assert (tiled.splits["train"].targets[3][16:] == 255).all()
    np.testing.assert_array_equal(tiled.splits["train"].examples["pictures"][0], pixels[:64, :64])


def test_pascal_voc_is_read_by_its_lists(tmp_path):
    make_pairs(tmp_path)
    (tmp_path / "images").rename(tmp_path / "JPEGImages")
    (tmp_path / "masks").rename(tmp_path / "SegmentationClass")
    shutil.copytree(tmp_path / "SegmentationClass", tmp_path / "SegmentationObject")
    # VOC has many more pictures than masks: those are for boxes.
    for number in range(30):
        Image.new("RGB", (32, 32), (number, 9, 9)).save(tmp_path / f"JPEGImages/box{number}.png")
    lists = tmp_path / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("".join(f"{n:03}\n" for n in range(8)))
    (lists / "val.txt").write_text("008\n009\n")
    (lists / "test.txt").write_text("010\n011\ngone\n")
    dataset = read(tmp_path)
    account = dataset.account
    assert account.rejections == []
    assert account.splits == {"train": 8, "validation": 2, "test": 2}
    assert {f.code for f in account.findings} == {"not-listed", "missing-picture"}
    assert any("30 pictures are in none" in finding.message for finding in account.findings)


def outlines(folder: Path, count: int = 12) -> Path:
    """A YOLO set whose pictures show a square each, with its outline."""
    random = np.random.default_rng(0)
    for number in range(count):
        split = "train" if number < count - 4 else "val"
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 60, (64, 32, 3)).astype(np.uint8)
        top, left = 8 + number, 4 + number
        pixels[top : top + 16, left : left + 8] = 250
        Image.fromarray(pixels).save(folder / f"images/{split}/{number:03}.png")
        corners = [(left, top), (left + 8, top), (left + 8, top + 16), (left, top + 16)]
        words = [f"{x / 32} {y / 64}" for x, y in corners]
        (folder / f"labels/{split}/{number:03}.txt").write_text(f"{number % 2} {' '.join(words)}\n")
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [one, two]\n")
    return folder


def test_outlines_of_yolo_are_read(tmp_path):
    dataset = read(outlines(tmp_path), test_fraction=0.2)
    account = dataset.account
    assert (account.read, account.used, account.rejections) == (12, 12, [])
    assert account.findings == []
    assert account.splits["validation"] == 4
    assert dataset.facts["labels"] == ["background", "one", "two"]
    for split in dataset.splits.values():
        for pixels, mask in zip(split.examples["pictures"], split.targets, strict=True):
            np.testing.assert_array_equal(mask > 0, pixels[..., 0] == 250)


HOSTILE_OUTLINES = {
    "words": b"this is no outline at all",
    "a box": b"0 0.5 0.5 0.2 0.2",
    "two points": b"0 0.1 0.1 0.2 0.2 0.3",
    "an odd number": b"0 0.1 0.1 0.2 0.2 0.3 0.3 0.4",
    "one number": b"0",
    "class of text": b"one 0.1 0.1 0.5 0.1 0.5 0.5",
    "class negative": b"-1 0.1 0.1 0.5 0.1 0.5 0.5",
    "class too high": b"2 0.1 0.1 0.5 0.1 0.5 0.5",
    "class broken": b"0.5 0.1 0.1 0.5 0.1 0.5 0.5",
    "class NaN": b"nan 0.1 0.1 0.5 0.1 0.5 0.5",
    "class huge": b"9" * 400 + b" 0.1 0.1 0.5 0.1 0.5 0.5",
    "NaN": b"0 nan 0.1 0.5 0.1 0.5 0.5",
    "infinite": b"0 inf 0.1 0.5 0.1 0.5 0.5",
    "minus infinite": b"0 0.1 -inf 0.5 0.1 0.5 0.5",
    "1e999": b"0 1e999 0.1 0.5 0.1 0.5 0.5",
    "pixels": b"0 48 32 30 24 10 12",
    "commas": b"0,0.1,0.1,0.5,0.1,0.5,0.5",
    "decimal commas": b"0 0,1 0,1 0,5 0,1 0,5 0,5",
    "binary": bytes(range(256)),
    "zero bytes": bytes(3000),
    "not UTF-8": b"\xff\xfe0 0.5",
    "UTF-16": "0 0.1 0.1 0.5 0.1 0.5 0.5".encode("utf-16"),
    "JSON": b'{"shapes": []}',
    "XML": b"<annotation/>",
    "brackets": b"0 [0.1, 0.1] [0.5, 0.1] [0.5, 0.5]",
    "long line": b"0 " + b"0.5 " * 400_001,
    "too many points": b"0 " + b"0.5 " * 300_000,
    "null characters": b"0 0.5\x00 0.5 0.2 0.2 0.3 0.3",
    "escape": b"\x1b[2J 0.1 0.1 0.5 0.1 0.5 0.5",
    "carriage return": b"0 0.1 0.1 0.5\r0.1 0.5 0.5",
    "good, then bad": b"0 0.1 0.1 0.5 0.1 0.5 0.5\n0 0.1",
    "hexadecimal": b"0x0 0x1 0.1 0.5 0.1 0.5 0.5",
    "booleans": b"True 0.1 0.1 0.5 0.1 0.5 0.5",
    "quotes": b'"0" 0.1 0.1 0.5 0.1 0.5 0.5',
    "gzip": b"\x1f\x8b\x08" + bytes(range(200)),
    "a path": b"../../../../etc/passwd",
    "a number that is long": b"0 0." + b"1" * 100_000 + b"x 0.1 0.5 0.1 0.5 0.5",
    "far away": b"0 1e6 1e6 2e6 1e6 2e6 2e6",
    "far below": b"0 -11 0.1 0.5 0.1 0.5 0.5",
    "names of classes": b"one\ntwo\n",
}


@pytest.fixture(scope="module")
def outlined(tmp_path_factory):
    return outlines(tmp_path_factory.mktemp("outlines"))


@pytest.mark.parametrize("name", HOSTILE_OUTLINES)
def test_a_hostile_outline_costs_its_picture(name, outlined):
    path = outlined / "labels/train/003.txt"
    before = path.read_bytes()
    path.write_bytes(HOSTILE_OUTLINES[name])
    try:
        account = read(outlined, max_rejected=1.0, test_fraction=0.2).account
    finally:
        path.write_bytes(before)
    (rejection,) = account.rejections
    assert (rejection.code, rejection.file) == ("bad-shape", "images/train/003.png")
    assert len(rejection.reason) < 400
    assert (account.read, account.used) == (12, 11)
    assert len(HOSTILE_OUTLINES) >= 40


def test_outlines_that_show_nothing_or_too_much_are_said(tmp_path):
    outlines(tmp_path)
    for number, line in enumerate(
        [
            "0 1.2 0.1 1.5 0.1 1.5 0.5",
            "0 0.1 0.1 0.5 0.5 0.9 0.9",
            "0 0.5 0.5 1.5 0.5 1.5 0.9 0.5 0.9",
        ]
    ):
        path = tmp_path / f"labels/train/{number:03}.txt"
        path.write_text(path.read_text() + line + "\n")
    account = read(tmp_path, test_fraction=0.2).account
    found = {finding.code: finding for finding in account.findings}
    assert set(found) == {"shape-outside", "empty-shape", "shape-beyond-edge"}
    assert found["shape-outside"].where == "images/train/000.png"
    assert "reaches 16 pixels beyond" in found["shape-beyond-edge"].message
    assert account.used == 12


def test_other_yaml_is_refused_for_outlines(tmp_path):
    outlines(tmp_path)
    for text, message in (
        ("train: images/train\nnames: [one, background]", "what no outline surrounds"),
        ("train: images/train\nnames: [" + ", ".join(f"c{n}" for n in range(300)) + "]", "300"),
        ("train: nowhere\nnames: [one]", "names no pictures that are there"),
    ):
        (tmp_path / "data.yaml").write_text(text)
        with pytest.raises(DataError, match=message):
            read(tmp_path / "data.yaml")
