"""Safe HTML pieces of a report: escaping, tables, pictures and the page around them.

Everything from outside is text: `text` is the only way in. The page has no script, loads
nothing, and its policy forbids both.
"""

import base64
import hashlib
import html
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
LONGEST_TEXT = 2000
MAX_PICTURE_BYTES = 20 * 2**20
MOST_WHOLE = 20
"""Characters of a cell up to which its words are not broken: narrow screens scroll."""

CSS = """
:root { color-scheme: light dark; --ink: #1f2937; --faint: #6b7280; --rule: #e5e7eb;
  --page: #ffffff; --card: #f8fafc; --accent: #1d4ed8; --warn: #b45309; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e7eb; --faint: #9ca3af;
  --rule: #374151; --page: #111827; --card: #1f2937; --accent: #93c5fd; --warn: #fbbf24;
  --bad: #fca5a5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.1rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .2rem; }
h2 { font-size: 1.25rem; margin: 2.8rem 0 .8rem; padding-top: 1.2rem;
  border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
p { margin: .5rem 0; }
.faint { color: var(--faint); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  gap: .7rem; margin: 1.4rem 0; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: .7rem;
  padding: .8rem 1rem; }
.tile b { display: block; font-size: 1.25rem; line-height: 1.35;
  font-variant-numeric: tabular-nums; }
.tile.first { grid-column: 1 / -1; }
.tile.first b { font-size: 2.8rem; color: var(--accent); }
.tile span { color: var(--faint); font-size: .88rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th { text-align: left; color: var(--faint); font-weight: 500; }
th, td { padding: .38rem .8rem .38rem 0; border-bottom: 1px solid var(--rule);
  vertical-align: top; unicode-bidi: isolate; min-width: 3.2rem; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
td.wide { min-width: 12rem; }
td.whole, th.whole { overflow-wrap: normal; }
code, pre { font: .88rem/1.6 ui-monospace, "SFMono-Regular", Consolas, monospace; }
pre { background: var(--card); border: 1px solid var(--rule); border-radius: .7rem;
  padding: .8rem 1rem; white-space: pre-wrap; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr));
  gap: 1.2rem; align-items: start; }
figure { margin: 1rem 0; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; background: #fff;
  border-radius: .5rem; }
figcaption { color: var(--faint); font-size: .9rem; margin-top: .5rem; }
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--accent); }
.explained { background: var(--card); border: 1px solid var(--rule); border-radius: .7rem;
  padding: .4rem 1rem; margin: .7rem 0; }
.explained span { white-space: pre-wrap; border-radius: .2rem; }
.for1 { background: rgb(59 130 246 / .18); } .for2 { background: rgb(59 130 246 / .36); }
.for3 { background: rgb(59 130 246 / .54); } .for4 { background: rgb(59 130 246 / .72); }
.against1 { background: rgb(249 115 22 / .18); } .against2 { background: rgb(249 115 22 / .36); }
.against3 { background: rgb(249 115 22 / .54); } .against4 { background: rgb(249 115 22 / .72); }
.warning { color: var(--warn); }
.error { color: var(--bad); }
"""


class Html(str):
    """Markup that is safe as it is: made here, every foreign part of it escaped."""


def text(value: Any) -> Html:
    """Any value as escaped text; invisible and direction-changing characters made visible."""
    if isinstance(value, Html):
        return value
    shown = str(value)
    if len(shown) > LONGEST_TEXT:
        shown = shown[:LONGEST_TEXT] + "…"
    return Html(html.escape("".join(map(_visible, shown)), quote=True))


def _visible(char: str) -> str:
    """`char`, or its code where it would not be seen, or would move what is."""
    if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn"):
        return char
    if char in "\u200c\u200d":  # joiners, which several scripts and emoji need
        return char
    return f"\\u{{{ord(char):x}}}"


def element(tag: str, *content: Any, css: str = "") -> Html:
    """`<tag class=css>` around content, each part escaped unless it is Html."""
    attribute = f' class="{html.escape(css, quote=True)}"' if css else ""
    return Html(f"<{tag}{attribute}>{''.join(map(text, content))}</{tag}>")


def join(parts: Iterable[Any]) -> Html:
    """Parts after one another, each escaped unless it is Html."""
    return Html("\n".join(text(part) for part in parts))


def table(
    header: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Iterable[int] = ()
) -> Html:
    """A table that scrolls sideways on a narrow screen; columns in `numbers` align right."""
    right = set(numbers)

    def line(tag: str, cells: Sequence[Any]) -> Html:
        parts = [
            element(tag, cell, css="number" if place in right else _css_of(cell))
            for place, cell in enumerate(cells)
        ]
        return element("tr", *parts)

    head = element("thead", line("th", header)) if header else Html("")
    body = element("tbody", *(line("td", row) for row in rows))
    return element("div", element("table", head, body), css="scroll")


def _css_of(cell: Any) -> str:
    """Short words are not broken."""
    return "whole" if isinstance(cell, str) and len(cell) <= MOST_WHOLE else ""


def capped(rows: Sequence[Any], most: int) -> tuple[Sequence[Any], Html]:
    """The first `most` rows and a line that says how many are left out."""
    rest = len(rows) - most
    if rest <= 0:
        return rows, Html("")
    return rows[:most], element("p", f"… and {rest:,} more.", css="faint")


def details(summary: str, *content: Any) -> Html:
    """Content that unfolds on a click, without a script."""
    return element("details", element("summary", summary), *content)


def figure(path: Path, caption: str) -> Html:
    """The PNG at `path`, embedded; a sentence in its place when it is no PNG file."""
    data = _picture(path)
    if data is None:
        return element("p", f"(The picture {path.name} is missing.)", css="faint")
    source = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    image = Html(f'<img alt="{text(caption)}" src="{source}">')
    return element("figure", image, element("figcaption", caption))


def _picture(path: Path) -> bytes | None:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_PICTURE_BYTES:
            return None
        data = path.read_bytes()
    except (OSError, ValueError):
        return None
    return data if data.startswith(PNG_SIGNATURE) else None


def page(title: str, content: Html) -> str:
    """The whole document. Its policy allows this style sheet, embedded pictures, nothing else."""
    digest = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{text(title)}</title>\n<style>{CSS}</style>\n</head>\n"
        f"<body>\n<main>\n{content}\n</main>\n</body>\n</html>\n"
    )
