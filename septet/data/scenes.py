"""The sample `scenes`: cut-outs of Tux Paint on photographs, with exact boxes and masks.

Cut-outs and photographs of the test occur in no training scene, though two cut-outs of one
kind ("lion", "lion-2") may be on either side. Training scenes vary more than those of the
test: in colour, in shape, and by what is of no class.
"""

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from septet.data.composing import Cutout, Scene, Variety, compose_scene, run_lengths

if TYPE_CHECKING:
    from PIL import Image

SIDE = 160
COUNTS = {"train": 4000, "test": 500}
SEED = 5
STAMPS = "usr/share/tuxpaint/stamps/"
CLASSES: Mapping[str, tuple[str, ...]] = {
    "bird": ("animals/birds/",),
    "coin": (
        "symbols/money/canadian/",
        "symbols/money/euro/",
        "symbols/money/japanese/",
        "symbols/money/us/",
    ),
    "flower": ("plants/flowers/",),
    "food": ("food/fruit/", "food/nuts/", "food/spices/", "food/vegetables/"),
    "house": ("town/houses/",),
    "letter": ("symbols/alphabets/english/filled/", "symbols/alphabets/german/filled/"),
    "mammal": ("animals/mammals/",),
    "sign": ("town/roadsigns/",),
}
"""Folders of each class: 15 cut-outs or more that look alike enough to learn from."""
LEFT_OUT = re.compile(
    r"_mirror\.|/birds/cartoon/|/fruit/cartoon/|teddy|edward_bear|hedgehog|7spoke|wheel_tractor"
    r"|railroad|stoplight|traffic_cone|cave_entrance|/l_filled"
)
"""Drawn animals and fruit, toys, and what lies in a folder of a class without being
of it; the letter "l", which is an "I"."""
SMALLEST = 0.2
"""Least length of an object's longer side as it is drawn, as a share of `SIDE`."""
TURNS = {"coin": 180.0, "flower": 180.0, "letter": 10.0, "sign": 10.0, "house": 8.0}
WRITTEN = ("coin", "letter", "sign")
BLACK = ("letter",)
"""Given any colour, as Tux Paint gives them the one that is chosen."""
TEST_SHARE = 0.25
PHOTOGRAPHS: Mapping[str, tuple[str, ...]] = {
    "train": (
        "nature/Aqua.jpg",
        "nature/Blinds.jpg",
        "nature/GreenMeadow.jpg",
        "nature/Wood.jpg",
        "abstract/Elephants.jpg",
        "Bridge_by_Sander_Klootwijk.jpg",
        "Dragonfly_by_Bolly.jpg",
        "Picture_1A_by_freespace.jpg",
        "Wine_by_Jakkub_Mede.jpg",
        "aitzgorri_by_Aitzol_Berasategi.jpg",
        "analogpattern_by_Peter_Nerlich.jpg",
        "greentock_by_Peter_Nerlich.jpg",
        "life_by_Aitzol_Berasategi.jpg",
        "picosdeeuropa_by_Aitzol_Berasategi.jpg",
        "sunset_by_Aitzol_Berasategi.jpg",
        "umang_by_Abhishek_Mudgal.jpg",
        "BytheWater/contents/images/2560x1600.jpg",
        "ColdRipple/contents/images/2560x1600.jpg",
        "ColorfulCups/contents/images/2560x1600.jpg",
        "DarkestHour/contents/images/2560x1600.jpg",
        "EveningGlow/contents/images/2560x1600.jpg",
        "FallenLeaf/contents/images/2560x1600.jpg",
        "Grey/contents/images/2560x1600.jpg",
        "Kite/contents/images/2560x1600.jpg",
        "OneStandsOut/contents/images/2560x1600.jpg",
        "Path/contents/images/2560x1600.jpg",
        "summer_1am/contents/images/2560x1600.jpg",
        "Volna/contents/images/5120x2880.jpg",
        "data/astronaut.png",
        "data/brick.png",
        "data/gravel.png",
        "data/hubble_deep_field.jpg",
        "data/ihc.png",
        "data/moon.png",
        "data/page.png",
    ),
    "test": (
        "nature/Dune.jpg",
        "nature/RainDrops.jpg",
        "nature/Storm.jpg",
        "data/camera.png",
        "data/coffee.png",
        "data/grass.png",
    ),
}
"""By the end of their path; none shows a thing of a class."""
LARGEST_SHORTER_SIDE = 800
COLOURS = (
    (0, 114, 178), (230, 159, 0), (204, 121, 167), (0, 158, 115),
    (213, 94, 0), (86, 180, 233), (240, 228, 66), (140, 86, 75), (127, 127, 127), (255, 152, 150),
)  # fmt: skip


def compose(contents: Mapping[str, bytes], folder: Path) -> None:
    """Write the whole set into a new folder, the same for the same contents.

    `annotations/SPLIT.json` (COCO: boxes, and masks as run lengths), `SPLIT/*.jpg`,
    `masks/SPLIT/*.png` (indexed by class, 0 for nothing) and `masks/legend.csv`.
    """
    cutouts = read_cutouts(contents)
    names = tuple(CLASSES)
    for place, (split, count) in enumerate(COUNTS.items()):
        photographs = read_photographs(contents, PHOTOGRAPHS[split])
        variety = Variety() if split == "train" else None
        scenes = (
            compose_scene(
                cutouts[split],
                photographs,
                np.random.default_rng((SEED, place, n)),
                side=SIDE,
                smallest=SMALLEST,
                variety=variety,
            )
            for n in range(count)
        )
        write_split(scenes, folder, split, names)
    write_legend(folder / "masks" / "legend.csv", names)


def read_cutouts(contents: Mapping[str, bytes]) -> dict[str, list[list[Cutout]]]:
    """The cut-outs of each class by split."""
    found: dict[str, list[list[Cutout]]] = {"train": [], "test": []}
    for category, (name, folders) in enumerate(CLASSES.items()):
        starts = tuple(STAMPS + folder for folder in folders)
        paths = [path for path in contents if path.startswith(starts) and not LEFT_OUT.search(path)]
        for split, chosen in divided(paths).items():
            cutouts = [
                Cutout(
                    _opened(contents[path]),
                    category,
                    TURNS.get(name, 20.0),
                    is_mirrored=name not in WRITTEN,
                    is_black=name in BLACK,
                )
                for path in chosen
            ]
            found[split].append(cutouts)
    return found


def divided(paths: Sequence[str]) -> dict[str, list[str]]:
    """Paths by split, a quarter for the test: those whose file names have the least SHA-256.

    Names that differ in case alone ("s" and "S") are of one shape, and stay together.
    """
    names: dict[str, list[str]] = {}
    for path in sorted(paths):
        names.setdefault(PurePosixPath(path).name.casefold(), []).append(path)
    order = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    wanted = round(TEST_SHARE * len(paths))
    test: list[str] = []
    for name in order:
        if len(test) + len(names[name]) <= wanted:
            test.extend(names[name])
    return {"train": sorted(set(paths) - set(test)), "test": sorted(test)}


def _opened(content: bytes) -> "Image.Image":
    """A stamp without its empty margin, no larger than a scene; mode "RGBA"."""
    from PIL import Image

    picture = Image.open(io.BytesIO(content)).convert("RGBA")
    picture = picture.crop(picture.getchannel("A").getbbox())
    scale = 2 * SIDE / max(picture.size)
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.convert("RGBa").resize(size, Image.Resampling.BOX).convert("RGBA")
    return picture


def read_photographs(contents: Mapping[str, bytes], ends: Sequence[str]) -> list["Image.Image"]:
    """The photographs whose paths end so; mode "RGB"."""
    from PIL import Image

    photographs = []
    for end in ends:
        (path,) = (path for path in contents if path.endswith(end))
        picture = Image.open(io.BytesIO(contents[path])).convert("RGB")
        scale = LARGEST_SHORTER_SIDE / min(picture.size)
        if scale < 1:
            size = (round(picture.width * scale), round(picture.height * scale))
            picture = picture.resize(size, Image.Resampling.BOX)
        photographs.append(picture)
    return photographs


def write_split(scenes: Iterator[Scene], folder: Path, split: str, names: Sequence[str]) -> None:
    """Write the pictures, boxes and masks of one split."""
    from PIL import Image

    for kind in ("annotations", split, f"masks/{split}"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number, scene in enumerate(scenes, 1):
        name, (height, width) = f"{number:05}", scene.pixels.shape[:2]
        Image.fromarray(scene.pixels).save(folder / split / f"{name}.jpg", quality=92)
        images.append({"id": number, "file_name": f"{name}.jpg", "width": width, "height": height})
        classes = np.zeros((height, width), np.uint8)
        for thing in scene.things:
            classes[thing.mask] = thing.category + 1
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": thing.category + 1,
                    "bbox": list(thing.box),
                    "area": int(thing.mask.sum()),
                    "iscrowd": 0,
                    "segmentation": {"size": [height, width], "counts": run_lengths(thing.mask)},
                }
            )
        _save_mask(classes, folder / "masks" / split / f"{name}.png")
    listed = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": n, "name": name} for n, name in enumerate(names, 1)],
    }
    text = json.dumps(listed, separators=(",", ":"))
    (folder / "annotations" / f"{split}.json").write_text(text, encoding="utf-8")


def _save_mask(classes: np.ndarray, path: Path) -> None:
    from PIL import Image

    picture = Image.fromarray(classes)
    picture.putpalette(bytes(value for colour in ((0, 0, 0), *COLOURS) for value in colour))
    picture.save(path)


def write_legend(path: Path, names: Sequence[str]) -> None:
    """Index, name and colour of each class of the masks, as a table."""
    rows = zip(("background", *names), ((0, 0, 0), *COLOURS), strict=False)
    lines = [f"{n},{name},{','.join(map(str, colour))}" for n, (name, colour) in enumerate(rows)]
    path.write_text("\n".join(["index,name,red,green,blue", *lines, ""]), encoding="utf-8")
