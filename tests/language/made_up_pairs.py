"""Clean made-up parallel text for the tests, which spoil it in one place and write it."""

import csv
import io
import json
import random
import struct
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

THINGS = [
    ("table", "die Tabelle", "表格"), ("page", "die Seite", "页面"),
    ("cell", "die Zelle", "单元格"),
    ("file", "die Datei", "文件"), ("list", "die Liste", "列表"), ("line", "die Linie", "线条"),
    ("colour", "die Farbe", "颜色"), ("form", "die Form", "表单"), ("menu", "das Menü", "菜单"),
    ("window", "das Fenster", "窗口"), ("picture", "das Bild", "图片"),
    ("word", "das Wort", "单词"),
]  # fmt: skip
VERBS = [
    ("open", "öffnen", "打开"), ("close", "schließen", "关闭"), ("delete", "löschen", "删除"),
    ("copy", "kopieren", "复制"), ("move", "verschieben", "移动"), ("save", "speichern", "保存"),
    ("rename", "umbenennen", "重命名"), ("print", "drucken", "打印"),
]  # fmt: skip
PLACES = [
    ("in the left column", "in der linken Spalte", "在左边的栏中"),
    ("on the first sheet", "auf dem ersten Blatt", "在第一张表上"),
    ("below the heading", "unter der Überschrift", "在标题下面"),
    ("with the mouse", "mit der Maus", "用鼠标"),
    ("from the keyboard", "mit der Tastatur", "用键盘"),
    ("in the dialog", "in dem Dialog", "在对话框中"),
]
WHEN = [
    ("now", "jetzt", "现在"), ("later", "später", "以后"), ("at once", "sofort", "立刻"),
    ("at any time", "jederzeit", "随时"), ("again", "noch einmal", "再次"),
]  # fmt: skip

Row = tuple[str, str]


def pairs(count: int = 240, seed: int = 0, into: str = "de") -> list[Row]:
    """Different English sentences and their translations, into German ("de") or Chinese ("zh")."""
    draw, rows, seen = random.Random(seed), [], set()
    place = {"de": 1, "zh": 2}[into]
    while len(rows) < count:
        thing, other = draw.sample(THINGS, 2)
        verb, where, when = draw.choice(VERBS), draw.choice(PLACES), draw.choice(WHEN)
        english = f"You can {verb[0]} the {thing[0]} and the {other[0]} {where[0]} {when[0]}."
        if english in seen:
            continue
        seen.add(english)
        german = f"Sie können {thing[1]} und {other[1]} {where[1]} {when[1]} {verb[1]}."
        chinese = f"您可以{when[2]}{where[2]}{verb[2]}{thing[2]}和{other[2]}。"
        rows.append((english, (english, german, chinese)[place]))
    return rows


def as_table(
    rows: Sequence[tuple[str, ...]], header: Sequence[str] = ("en", "de"), sep="\t"
) -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=sep, lineterminator="\n")
    writer.writerows([header, *rows])
    return file.getvalue()


def as_json_lines(rows: Sequence[Row], header: Sequence[str] = ("en", "de")) -> str:
    lines = [json.dumps(dict(zip(header, row, strict=True)), ensure_ascii=False) for row in rows]
    return "\n".join(lines) + "\n"


def write_two(folder: Path, rows: Sequence[Row], stem="corpus", languages=("en", "de")) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for place, language in enumerate(languages):
        text = "".join(row[place] + "\n" for row in rows)
        (folder / f"{stem}.{language}").write_text(text, encoding="utf-8")
    return folder / f"{stem}.{languages[0]}"


def as_tmx(rows: Sequence[Row], languages=("en", "de")) -> str:
    units = "\n".join(
        "<tu>"
        + "".join(
            f'<tuv xml:lang="{language}"><seg>{escape(text)}</seg></tuv>'
            for language, text in zip(languages, row, strict=True)
        )
        + "</tu>"
        for row in rows
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n'
        f'<tmx version="1.4"><header srclang="{languages[0]}"/><body>\n{units}\n</body></tmx>\n'
    )


def as_po(rows: Sequence[Row], language="de") -> str:
    head = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
    head += f'"Language: {language}\\n"\n'
    entries = "".join(
        f'\n#: source.c:{number}\nmsgid "{_quoted(source)}"\nmsgstr "{_quoted(target)}"\n'
        for number, (source, target) in enumerate(rows)
    )
    return head + entries


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def as_mo(rows: Sequence[Row], language="de") -> bytes:
    """A compiled catalog, as msgfmt writes it but for the table of hashes."""
    head = f"Content-Type: text/plain; charset=UTF-8\nLanguage: {language}\n"
    every = sorted([(b"", head.encode()), *((s.encode(), t.encode()) for s, t in rows)])
    count = len(every)
    tables, data, start = [[], []], b"", 28 + 16 * count
    for place in (0, 1):
        for entry in every:
            tables[place] += [len(entry[place]), start + len(data)]
            data += entry[place] + b"\0"
    head_words = (0x950412DE, 0, count, 28, 28 + 8 * count, 0, 28 + 16 * count)
    numbers = [*head_words, *tables[0], *tables[1]]
    return struct.pack(f"<{len(numbers)}I", *numbers) + data
