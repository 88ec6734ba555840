"""Shapes from JSON: COCO's files, and LabelMe's, one a picture; bad entries are not fatal."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from septet.data.account import Account
from septet.errors import DataError
from septet.vision.annotations.found import read_json
from septet.vision.segmentation.legend import BACKGROUND, LONGEST_NAME, MOST_CLASSES
from septet.vision.segmentation.shapes import ShapeError, polygon_of, runs_of
from septet.vision.segmentation.sources import Found, Pair, Shape, files_of, inside
from septet.vision.sources import SPLIT_NAMES, reject, shown

COCO = "COCO's lists images, annotations and categories"
LABELME = "LabelMe's shapes of one picture"
LABELME_KINDS = ("polygon", "rectangle")


def coco_files(source: Path) -> list[Path]:
    """The COCO files of a source: itself, or what lies in it or in its `annotations` as JSON."""
    if source.is_file():
        return [source]
    for folder in (source / "annotations", source):
        if folder.is_dir():
            files = sorted(path for path in folder.glob("*.json") if _is_safe(path, source))
            if files:
                return files
    return []


def _is_safe(path: Path, source: Path) -> bool:
    return path.is_file() and path.resolve().is_relative_to(source.resolve())


def find_coco(source: Path, account: Account) -> Found:
    """Pictures and shapes of COCO files; a file's name says which split it is.

    Raises:
        DataError: A file is no COCO JSON, or their categories differ.
    """
    files = coco_files(source)
    if not files:
        raise DataError(f"'{shown(source.name)}' has no JSON file in it or in 'annotations'.")
    root = source.parent if source.is_file() else source
    if source.is_file() and root.name == "annotations":
        root = root.parent
    found = Found(legend_folders=[root])
    for path in files:
        values = read_json(path, COCO)
        names = _categories(values, path.name)
        classes = [BACKGROUND, *names.values()]
        if found.classes is not None and found.classes != classes:
            raise DataError(
                f"'{shown(path.name)}' has other categories than '{shown(files[0].name)}'. Give "
                "all files the same list."
            )
        found.classes = classes
        _read_coco(values, names, path, root, found, account)
    return found


def _categories(values: Any, file: str) -> dict[int, str]:
    """Names by id, in the file's order."""
    lists = [values.get(k) if isinstance(values, dict) else None for k in ("images", "annotations")]
    categories = values.get("categories") if isinstance(values, dict) else None
    if not all(isinstance(part, list) for part in lists) or not isinstance(categories, list):
        raise DataError(
            f"'{shown(file)}' is no COCO JSON: expected the lists images, annotations, categories."
        )
    names: dict[int, str] = {}
    for entry in categories:
        fields: dict[str, Any] = entry if isinstance(entry, dict) else {}
        number: Any = fields.get("id")
        name: Any = fields.get("name")
        good = type(number) is int and isinstance(name, str) and 0 < len(name) <= LONGEST_NAME
        if not good or number in names or name in names.values():
            raise DataError(
                f"'{shown(file)}' has the category {str(entry)[:80]}; expected an id and a name "
                "that no other has."
            )
        names[number] = name
    if not 1 <= len(names) <= MOST_CLASSES - 1:
        raise DataError(
            f"'{shown(file)}' has {len(names)} categories; expected 1 to {MOST_CLASSES - 1}."
        )
    return names


def _read_coco(
    values: dict[str, Any],
    names: Mapping[int, str],
    path: Path,
    root: Path,
    found: Found,
    account: Account,
) -> None:
    file = shown(os.path.relpath(path, root))
    split = split_of(path.stem)
    real = os.path.realpath(root)
    of_picture: dict[Any, list[Shape]] = {}
    problems: dict[Any, tuple[str, str]] = {}
    for entry in values["annotations"]:
        number = entry.get("image_id") if isinstance(entry, dict) else None
        if not isinstance(number, int | str):
            account.warn(
                "bad-annotation", file, f"An annotation names no picture: {str(entry)[:80]}.",
                "Mend or remove it.",
            )  # fmt: skip
            continue
        try:
            shape = _coco_shape(entry, names)
        except ShapeError as error:
            code = "unknown-class" if "category" in str(error) else "bad-shape"
            problems.setdefault(number, (code, str(error)))
            continue
        of_picture.setdefault(number, []).append(shape)
    known = set()
    for entry in values["images"]:
        number = entry.get("id") if isinstance(entry, dict) else None
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not isinstance(number, int | str):
            what = f"An image has no id or file name: {str(entry)[:80]}."
            reject(account, "bad-image", (file, None), what, "Mend or remove it.")
            continue
        place = (shown(name), None)
        if number in known:
            what = f"Two images of {file} have the id {str(number)[:40]}."
            reject(account, "repeated-id", place, what, "Give each its own.")
            continue
        known.add(number)
        target = _picture_path(real, name, path.stem, path)
        if target is None:
            what = f"The path '{shown(name)[:200]}' leaves the folder."
            reject(account, "outside-folder", place, what, "Use a path relative to the folder.")
            continue
        if number in problems:
            code, what = problems[number]
            reject(account, code, place, what, f"Mend the annotation in {file}.")
            continue
        size = _declared(entry.get("height"), entry.get("width"))
        account.read += 1
        shapes = tuple(of_picture.get(number, ()))
        found.pairs.append(Pair(place[0], target, split, file, None, shapes, size))
    lost = [number for number in {**of_picture, **problems} if number not in known]
    if lost:
        account.warn(
            "missing-picture", file,
            f"The annotations of {len(lost)} pictures name no image of the file; the first is of "
            f"image {str(lost[0])[:40]}.", "Add the images, or remove the annotations.",
        )  # fmt: skip


def _coco_shape(entry: dict[str, Any], names: Mapping[int, str]) -> Shape:
    category = entry.get("category_id")
    if type(category) is not int or category not in names:
        raise ShapeError(
            f"An annotation has the category {str(category)[:40]}, which is not listed."
        )
    outline = entry.get("segmentation")
    if isinstance(outline, dict):
        return Shape(names[category], runs=runs_of(outline))
    if not isinstance(outline, list) or not outline:
        raise ShapeError("An annotation has no segmentation, only a box or nothing.")
    return Shape(names[category], tuple(polygon_of(part) for part in outline))


def _picture_path(real: str, name: str, stem: str, file: Path) -> str | None:
    """Where a picture of a COCO file may lie; the first place that exists, else the first."""
    guesses = [name, f"images/{name}", f"{stem}/{name}", f"images/{stem}/{name}"]
    word = next((w for w in stem.replace("-", "_").split("_") if w.casefold() in SPLIT_NAMES), None)
    if word:
        guesses += [f"{word}/{name}", f"images/{word}/{name}"]
    beside = os.path.relpath(file.parent.resolve(), real)
    if beside not in (".", "annotations"):
        guesses.append(f"{beside}/{name}")
    paths = [inside(real, guess) for guess in guesses]
    good = [path for path in paths if path is not None]
    return next((path for path in good if os.path.isfile(path)), paths[0])


def split_of(stem: str) -> str | None:
    """The split that a name such as "instances_val2017" or "train" is for."""
    words = [word.rstrip("0123456789") for word in stem.replace("-", "_").casefold().split("_")]
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)


def _declared(height: Any, width: Any) -> tuple[int, int] | None:
    return (height, width) if type(height) is int and type(width) is int else None


def find_labelme(root: Path, account: Account) -> Found:
    """Pictures with a LabelMe JSON file of the same name each.

    Raises:
        DataError: There is none.
    """
    real = os.path.realpath(root)
    found, names, used = Found(legend_folders=[root]), set(), set()
    pictures = [path for path, _ in files_of(real, account)]
    by_stem = {os.path.splitext(path)[0]: path for path in pictures}
    for path in sorted(Path(real).rglob("*.json")):
        if not _is_safe(path, root) or any(part.startswith(".") for part in path.parts[-2:]):
            continue
        place = shown(os.path.relpath(path, real)).replace(os.sep, "/")
        try:
            values = read_json(path, LABELME)
            shapes = _labelme_shapes(values)
        except (DataError, ShapeError) as error:
            picture = by_stem.get(os.path.splitext(path)[0])
            used.add(picture)
            reject(account, "bad-shape", (place, None), str(error), "Mend or remove the file.")
            continue
        name = values.get("imagePath")
        below = os.path.relpath(path.parent, real)
        picture = by_stem.get(os.path.splitext(path)[0])
        if picture is None and isinstance(name, str):
            picture = inside(real, name if below == "." else f"{below}/{name}")
        if picture is None or not os.path.isfile(picture):
            what = f"Its picture '{shown(str(name))[:200]}' is not in the folder."
            reject(account, "missing-picture", (place, None), what, "Add it, or remove the file.")
            continue
        used.add(picture)
        names.update(shape.label for shape in shapes)
        parts = [part.casefold() for part in place.split("/")[:-1]]
        split = next((SPLIT_NAMES[part] for part in parts if part in SPLIT_NAMES), None)
        size = _declared(values.get("imageHeight"), values.get("imageWidth"))
        account.read += 1
        of_picture = shown(os.path.relpath(picture, real)).replace(os.sep, "/")
        found.pairs.append(Pair(of_picture, picture, split, place, None, shapes, size))
    for path in pictures:
        if path not in used:
            place = (shown(os.path.relpath(path, real)).replace(os.sep, "/"), None)
            reject(
                account, "missing-mask", place, "No JSON file has its name.",
                "Add its labels (a file without shapes if it shows nothing), or remove it.",
            )  # fmt: skip
    names.discard(BACKGROUND)
    if len(names) > MOST_CLASSES - 1:
        raise DataError(f"The files have {len(names)} labels; expected {MOST_CLASSES - 1} at most.")
    found.classes = [BACKGROUND, *sorted(names)]
    return found


def _labelme_shapes(values: Any) -> tuple[Shape, ...]:
    entries = values.get("shapes") if isinstance(values, dict) else None
    if not isinstance(entries, list):
        raise ShapeError("It is no LabelMe JSON: it has no list 'shapes'.")
    shapes = []
    for entry in entries:
        label, points = (
            entry.get(k) if isinstance(entry, dict) else None for k in ("label", "points")
        )
        if not isinstance(label, str) or not 0 < len(label) <= LONGEST_NAME:
            raise ShapeError(f"A shape has the label {str(label)[:40]!r}.")
        kind = entry.get("shape_type") or "polygon"
        if kind not in LABELME_KINDS:
            raise ShapeError(
                f"A shape is a {str(kind)[:40]}; only polygons and rectangles are read."
            )
        pairs = isinstance(points, list) and all(
            isinstance(p, list) and len(p) == 2 for p in points
        )
        if not isinstance(points, list) or not pairs or (kind == "rectangle" and len(points) != 2):
            raise ShapeError("A shape's points are no list of pairs.")
        if kind == "rectangle":
            (x0, y0), (x1, y1) = points
            points = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
        shapes.append(Shape(label, (polygon_of([v for point in points for v in point]),)))
    return tuple(shapes)
