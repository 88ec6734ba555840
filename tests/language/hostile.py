"""Contents that no reader may crash on, hang on, or take much memory for."""

import gzip
import random
import resource
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from septet.data.account import Account
from septet.errors import DataError

MOST_MEMORY_KB = 700_000
LONGEST_MESSAGE = 900


def hostile_contents(good: bytes) -> dict[str, bytes]:
    """Forty and more spoilt forms of a good file's bytes, by what was done to it."""
    draw = random.Random(0)
    text = good.decode("utf-8", "replace")
    middle = len(good) // 2
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.txt", bytes(20_000_000))
    flipped = bytearray(good)
    for place in draw.sample(range(len(good)), 40):
        flipped[place] ^= 0xFF
    shuffled = good.splitlines(keepends=True)
    draw.shuffle(shuffled)
    found = {
        "empty": b"",
        "one byte": b"a",
        "one newline": b"\n",
        "newlines": b"\n" * 1_000_000,
        "spaces": b" " * 1_000_000,
        "byte-order mark alone": b"\xef\xbb\xbf",
        "two byte-order marks": b"\xef\xbb\xbf" * 2 + good,
        "mark in the middle": good[:middle] + b"\xef\xbb\xbf" + good[middle:],
        "utf-16": text.encode("utf-16"),
        "utf-16 without mark": text.encode("utf-16-le"),
        "utf-16 other end": text.encode("utf-16-be"),
        "utf-32": text.encode("utf-32"),
        "latin-1": text.replace("e", "é").encode("latin-1", "replace"),
        "gb18030": ("中文" * 500 + "\n").encode("gb18030") + good,
        "shift-jis": ("日本語" * 500 + "\n").encode("shift-jis") + good,
        "gzip": gzip.compress(good),
        "gzip bomb": gzip.compress(bytes(20_000_000)),
        "zip bomb": archive.getvalue(),
        "bzip2": b"BZh91AY&SY" + draw.randbytes(500),
        "png": b"\x89PNG\r\n\x1a\n" + draw.randbytes(500),
        "pdf": b"%PDF-1.7\n" + good,
        "noise": draw.randbytes(50_000),
        "noise after": good + draw.randbytes(5_000),
        "flipped bytes": bytes(flipped),
        "nul first": b"\x00" + good,
        "nul in the middle": good[:middle] + b"\x00" + good[middle:],
        "nul last": good + b"\x00",
        "all nul": bytes(1_000_000),
        "all 0xff": b"\xff" * 100_000,
        "over-long form of nul": good[:middle] + b"\xc0\x80" + good[middle:],
        "surrogate in utf-8": good[:middle] + b"\xed\xa0\x80" + good[middle:],
        "beyond unicode": good[:middle] + b"\xf5\x80\x80\x80" + good[middle:],
        "cut character": good[:middle] + "é".encode()[:1],
        "control bytes": bytes(range(32)) * 100 + good,
        "escape codes": b"\x1b[2J\x1b]0;title\x07" + good,
        "one huge line": b"a" * 5_000_000,
        "huge line inside": good[:middle] + b"b" * 3_000_000 + good[middle:],
        "quotes": b'"' * 100_001,
        "open quote": b'"' + good,
        "open quotes everywhere": good.replace(b"\n", b'\n"'),
        "deep brackets": b"[" * 200_000,
        "deep objects": b'{"a":' * 50_000,
        "long number": b'{"text": ' + b"9" * 10_000 + b"}\n",
        "cr only": good.replace(b"\n", b"\r"),
        "mixed ends": good.replace(b"\n", b"\r\n", 50),
        "wide": b",".join(b"c%d" % i for i in range(25_000)) + b"\n1\n",
        "no line ends": good.replace(b"\n", b" "),
        "shuffled": b"".join(shuffled),
        "repeated": good * 20,
    }
    found |= {f"cut at {part}/8": good[: len(good) * part // 8] for part in range(1, 8)}
    return found


def hostile_parquet(good: bytes) -> dict[str, bytes]:
    """The same, with lies about sizes where a Parquet file has them."""

    def footer(size: int) -> bytes:
        return good[:-8] + struct.pack("<I", size & 0xFFFFFFFF) + b"PAR1"

    found = hostile_contents(good)
    found |= {f"footer of {size}": footer(size) for size in (0, 1, 2**20, 2**31 - 1, 2**32 - 1)}
    draw = random.Random(1)
    for number in range(12):
        spoilt = bytearray(good)
        for _ in range(3):
            spoilt[draw.randrange(4, len(good) - 8)] = draw.randrange(256)
        found[f"spoilt {number}"] = bytes(spoilt)
    return found


def hostile_folders(root: Path, good: bytes) -> dict[str, Path]:
    """Folders of texts whose files are as above, and such as no files are."""
    import os

    found = {}

    def folder(name: str) -> Path:
        path = root / name.replace("/", "-")
        for label in ("positive", "negative"):
            (path / label).mkdir(parents=True)
            for number in range(30):
                text = f"A text of the class {label}, number {number}, quite different."
                (path / label / f"{number}.txt").write_text(text)
        found[name] = path
        return path

    for name, content in hostile_contents(good).items():
        (folder(name) / "positive" / "0.txt").write_bytes(content)
    place = folder("loop of links") / "positive"
    (place / "loop").symlink_to(place)
    (place / "self.txt").symlink_to("self.txt")
    (folder("link to nothing") / "positive" / "x.txt").symlink_to("absent.txt")
    (folder("link to a device") / "positive" / "x.txt").symlink_to("/dev/zero")
    os.mkfifo(folder("pipe") / "positive" / "x.txt")
    (folder("folder called a text") / "positive" / "x.txt").mkdir()
    with (folder("ten gigabytes") / "positive" / "x.txt").open("wb") as file:
        file.truncate(10 << 30)
    deep = folder("deep") / "positive"
    for _ in range(60):
        deep /= "d"
    deep.mkdir(parents=True)
    (deep / "x.txt").write_text("too deep")
    name = os.fsencode(folder("name of bytes") / "positive") + b"/caf\xe9\xff.txt"
    with open(name, "wb") as file:
        file.write(b"a fine text")
    (folder("name that moves") / "positive" / "a\u202etxt.exe.txt").write_text("a fine text")
    (folder("name of tags") / "<script>alert(1)<").mkdir()
    (root / "nothing").mkdir()
    found["nothing"] = root / "nothing"
    (root / "empty classes" / "positive").mkdir(parents=True)
    found["empty classes"] = root / "empty classes"
    return found


def refused_or_counted(read: Callable[[Path], Account], path: Path, tmp_path: Path) -> str:
    """Refused with one clear message, or counted in an account that balances: which."""
    try:
        account = read(path)
    except DataError as error:
        message = str(error)
        assert 20 < len(message) < LONGEST_MESSAGE
        assert str(tmp_path) not in message
        return "refused"
    assert account.read == account.used + len(account.rejections)
    for entry in account.rejections:
        assert 10 < len(entry.reason) < LONGEST_MESSAGE
        assert str(tmp_path) not in entry.reason + entry.file
    account.to_json()
    return "counted"


def memory_kb() -> int:
    """Most that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def sweep(
    read: Callable[[Path], Account], contents: dict[str, bytes], suffix: str, tmp_path: Path
) -> dict[str, str]:
    """What became of at least forty contents, by name; never with much memory."""
    before, found = memory_kb(), {}
    for number, (name, content) in enumerate(contents.items()):
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(content)
        found[name] = refused_or_counted(read, path, tmp_path)
    assert memory_kb() - before < MOST_MEMORY_KB
    assert len(found) >= 40
    return found
