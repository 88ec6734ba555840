"""Clean made-up reviews for the tests, which spoil them in one place and write them."""

import csv
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path

GOOD = ["wonderful", "moving", "funny", "brilliant", "charming", "gripping", "tender", "fresh"]
BAD = ["dreadful", "boring", "clumsy", "shallow", "tedious", "annoying", "stale", "lifeless"]
THINGS = ["film", "story", "cast", "script", "ending", "music", "plot", "dialogue"]
ENDS = ["from start to end", "as always", "for once", "in every scene", "to my surprise"]

HAO = ["精彩", "感人", "有趣", "出色", "迷人", "动人", "温暖", "新鲜"]
HUAI = ["糟糕", "无聊", "笨拙", "肤浅", "乏味", "烦人", "陈旧", "呆板"]
SHI = ["电影", "故事", "演员", "剧本", "结局", "音乐", "情节", "对白"]

GUT = [
    "großartig",
    "berührend",
    "fröhlich",
    "schön",
    "überzeugend",
    "fesselnd",
    "zärtlich",
    "frisch",
]
SCHLECHT = ["öde", "langweilig", "plump", "seicht", "zäh", "lästig", "müde", "leblos"]
DINGE = ["der Film", "die Handlung", "das Drehbuch", "der Schluss", "die Musik", "das Gespräch"]

Row = tuple[str, str]
"""Text and class."""


def reviews(count: int = 240, seed: int = 0) -> list[Row]:
    """Different sentences of about ten words, half of them positive."""
    return _rows(count, seed, _english)


def chinese_reviews(count: int = 240, seed: int = 0) -> list[Row]:
    """The same in Chinese, whose words no space parts."""
    return _rows(count, seed, _chinese)


def german_reviews(count: int = 240, seed: int = 0) -> list[Row]:
    """The same in German."""
    return _rows(count, seed, _german)


def _rows(count, seed, make) -> list[Row]:
    draw, rows, seen = random.Random(seed), [], set()
    while len(rows) < count:
        label = ("positive", "negative")[len(rows) % 2]
        text = make(draw, label)
        if text not in seen:
            seen.add(text)
            rows.append((text, label))
    return rows


def _english(draw: random.Random, label: str) -> str:
    words = GOOD if label == "positive" else BAD
    first, second = draw.sample(words, 2)
    one, other = draw.sample(THINGS, 2)
    return f"The {one} is {first}, and the {other} seems {second} {draw.choice(ENDS)}."


def _chinese(draw: random.Random, label: str) -> str:
    words = HAO if label == "positive" else HUAI
    first, second = draw.sample(words, 2)
    one, other = draw.sample(SHI, 2)
    return f"这部片子的{one}很{first}，{other}也{draw.choice(['非常', '十分', '相当'])}{second}。"


def _german(draw: random.Random, label: str) -> str:
    words = GUT if label == "positive" else SCHLECHT
    first, second = draw.sample(words, 2)
    one, other = draw.sample(DINGE, 2)
    return f"Ich fand, {one} ist {first}, und {other} wirkt ziemlich {second}."


Tagged = tuple[str, list[str]]
"""Text and any number of labels."""


def tagged(count: int = 240, seed: int = 0) -> list[Tagged]:
    """Sentences labelled by what they speak of: cast, ending, music, and whether they praise it."""
    return _tagged(count, seed, _tagged_english)


def chinese_tagged(count: int = 240, seed: int = 0) -> list[Tagged]:
    """The same in Chinese, labels too."""
    return _tagged(count, seed, _tagged_chinese)


def _tagged(count, seed, make) -> list[Tagged]:
    draw, rows, seen = random.Random(seed), [], set()
    while len(rows) < count:
        text, labels = make(draw)
        if text not in seen:
            seen.add(text)
            rows.append((text, sorted(labels)))
    return rows


def _tagged_english(draw: random.Random) -> tuple[str, list[str]]:
    is_good, words = draw.random() < 0.4, draw.sample(THINGS, 2)
    first, second = draw.sample(GOOD if is_good else BAD, 2)
    labels = [word for word in words if word in ("cast", "ending", "music")]
    text = f"The {words[0]} is {first}, and the {words[1]} seems {second} {draw.choice(ENDS)}."
    return text, labels + ["praise"] * is_good


def _tagged_chinese(draw: random.Random) -> tuple[str, list[str]]:
    is_good, words = draw.random() < 0.4, draw.sample(SHI, 2)
    first, second = draw.sample(HAO if is_good else HUAI, 2)
    labels = [word for word in words if word in ("演员", "结局", "音乐")]
    text = f"这部片子的{words[0]}很{first}，{words[1]}也{draw.choice(['非常', '十分'])}{second}。"
    return text, labels + ["赞扬"] * is_good


def tagged_json_lines(rows: Sequence[Tagged]) -> str:
    """Rows as JSON lines with a list of labels each."""
    lines = [json.dumps({"text": t, "tags": c}, ensure_ascii=False) for t, c in rows]
    return "\n".join(lines) + "\n"


def as_csv(
    rows: Sequence[tuple[str, ...]], header: tuple[str, ...] = ("text", "label"), delimiter=","
) -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerows([header, *rows])
    return file.getvalue()


def as_json_lines(rows: list[Row]) -> str:
    lines = [json.dumps({"text": t, "label": c}, ensure_ascii=False) for t, c in rows]
    return "\n".join(lines) + "\n"


def write_folders(folder: Path, rows: list[Row]) -> Path:
    """A folder for each class with a file for each text."""
    for number, (text, label) in enumerate(rows):
        path = folder / label / f"{number:04d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
