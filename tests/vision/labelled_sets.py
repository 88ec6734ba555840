"""Small sets of pictures with boxes, written in each of the formats."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = ("cat", "dog")
SIZE = (64, 96)


def pictures(folder: Path, count: int, *, seed: int = 0, suffix: str = ".png") -> list[str]:
    """Write so many different pictures of 96x64 pixels; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    names = [f"{number:03}{suffix}" for number in range(count)]
    for name in names:
        pixels = random.integers(0, 256, (4, 6, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((SIZE[1], SIZE[0])).save(folder / name)
    return names


def box_of(number: int) -> tuple[int, int, int, int]:
    """A good box, another for each number: left, top, right, bottom."""
    left, top = 4 + number % 20, 6 + number % 10
    return left, top, left + 30, top + 24


def coco_json(names: list[str], **changes: Any) -> dict[str, Any]:
    """COCO JSON with one box a picture."""
    images = [
        {"id": n, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
        for n, name in enumerate(names)
    ]
    annotations = []
    for n in range(len(names)):
        left, top, right, bottom = box_of(n)
        annotations.append(
            {
                "id": n,
                "image_id": n,
                "category_id": 5 + n % 2,
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": 0,
            }
        )
    categories = [{"id": 5 + n, "name": name} for n, name in enumerate(NAMES)]
    return {"images": images, "annotations": annotations, "categories": categories, **changes}


def coco(folder: Path, count: int = 20) -> dict[str, Any]:
    """A COCO set in `images` and `annotations/train.json`; what the file holds."""
    content = coco_json(pictures(folder / "images", count))
    write_json(folder / "annotations" / "train.json", content)
    return content


def write_json(path: Path, content: Any) -> None:
    """Write it, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def voc_xml(name: str, boxes: list[tuple[Any, ...]]) -> str:
    """An annotation of Pascal VOC: boxes of label, xmin, ymin, xmax, ymax."""
    things = "".join(
        f"<object><name>{label}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax>"
        f"<ymax>{d}</ymax></bndbox></object>"
        for label, a, b, c, d in boxes
    )
    return (
        f"<annotation><filename>{name}</filename><size><width>{SIZE[1]}</width>"
        f"<height>{SIZE[0]}</height><depth>3</depth></size>{things}</annotation>"
    )


def voc(folder: Path, count: int = 20) -> None:
    """A VOC set in `JPEGImages` and `Annotations`."""
    (folder / "Annotations").mkdir(parents=True)
    for n, name in enumerate(pictures(folder / "JPEGImages", count)):
        left, top, right, bottom = box_of(n)
        text = voc_xml(name, [(NAMES[n % 2], left + 1, top + 1, right, bottom)])
        (folder / "Annotations" / f"{n:03}.xml").write_text(text)


def yolo(folder: Path, count: int = 20) -> None:
    """A YOLO set in `images/train` and `labels/train` with `data.yaml`."""
    (folder / "labels/train").mkdir(parents=True)
    for n, _ in enumerate(pictures(folder / "images/train", count)):
        left, top, right, bottom = box_of(n)
        x, y = (left + right) / 2 / SIZE[1], (top + bottom) / 2 / SIZE[0]
        wide, high = (right - left) / SIZE[1], (bottom - top) / SIZE[0]
        (folder / f"labels/train/{n:03}.txt").write_text(f"{n % 2} {x} {y} {wide} {high}\n")
    (folder / "data.yaml").write_text("path: .\ntrain: images/train\nnames:\n  0: cat\n  1: dog\n")
