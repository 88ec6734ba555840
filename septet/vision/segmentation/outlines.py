"""Outlines of YOLO: a text file for each picture, a class and a polygon a line."""

from pathlib import Path

from septet.data.account import Account
from septet.errors import DataError
from septet.vision.annotations.found import number_of, read_text
from septet.vision.annotations.yolo import WHAT, YoloReader, class_names, parse_yaml
from septet.vision.segmentation.legend import BACKGROUND, LONGEST_NAME, MOST_CLASSES
from septet.vision.segmentation.shapes import MOST_POINTS, ShapeError
from septet.vision.segmentation.sources import Found, Pair, Shape
from septet.vision.sources import reject, shown

FAR = 10.0
"""Sides from the picture, beyond which a coordinate is a mistake: pixels in place of shares."""


def find_outlines(source: Path, account: Account) -> Found:
    """Pictures and polygons of a YAML file and the folders or lists of pictures that it names.

    Raises:
        DataError: The YAML is not understood, has too many classes, or names nothing there.
    """
    name = shown(source.name)
    described = parse_yaml(read_text(source, WHAT), name)
    names = class_names(described, name)
    if len(names) > MOST_CLASSES - 1:
        raise DataError(f"'{name}' has {len(names)} classes; expected {MOST_CLASSES - 1} at most.")
    for label in names:
        if len(label) > LONGEST_NAME or label == BACKGROUND:
            raise DataError(
                f"'{name}' names a class '{shown(label)[:40]}'; expected at most {LONGEST_NAME} "
                f"characters, and not '{BACKGROUND}', which is what no outline surrounds."
            )
    reader = OutlineReader(source.parent, names, account)
    reader.read_all(described, name)
    return Found(reader.pairs, [BACKGROUND, *names], [source.parent])


class OutlineReader(YoloReader):
    """Reads pictures with polygons; a picture with a line that is none is rejected."""

    def __init__(self, root: Path, names: list[str], account: Account):
        """Nothing is read yet."""
        super().__init__(root, names, account)
        self.pairs: list[Pair] = []

    def _add(self, place: str, path: str, split: str, labels: Path) -> None:
        """Take a picture with its outlines."""
        name = shown(labels.name)
        shapes: list[Shape] = []
        if labels.is_file():
            try:
                lines = read_text(labels, "lines of a class and a polygon").splitlines()
                for number, line in enumerate(lines, 1):
                    if line.split():
                        shapes.append(self._shape(line.split(), f"Line {number} of '{name}'"))
            except (DataError, ShapeError) as error:
                self.account.read -= 1
                reject(self.account, "bad-shape", (place, None), str(error), f"Mend '{name}'.")
                return
        self.pairs.append(Pair(place, path, split, name, None, tuple(shapes)))

    def _shape(self, words: list[str], where: str) -> Shape:
        numbers = [number_of(word) for word in words]
        values = [number for number in numbers if number is not None]
        if len(values) < len(words):
            raise ShapeError(f"{where} is '{' '.join(words)[:60]}', which are not numbers.")
        if len(words) == 5:
            raise ShapeError(f"{where} has a box and no outline: boxes are for object-detection.")
        if len(words) < 7 or len(words) % 2 == 0 or len(words) > 2 * MOST_POINTS:
            raise ShapeError(
                f"{where} has {len(words)} numbers; expected a class and pairs, at least three."
            )
        label = values[0]
        if label != int(label) or not 0 <= label < len(self.names):
            raise ShapeError(
                f"{where} has the class {words[0][:20]}, none of 0 to {len(self.names) - 1}."
            )
        if any(abs(value) > FAR for value in values[1:]):
            raise ShapeError(f"{where} has coordinates in pixels; expected shares of the sides.")
        return Shape(self.names[int(label)], (tuple(values[1:]),), is_share=True)
