"""Canvas, colours and safe text for figures: matplotlib without pyplot or global state.

Class names are the user's files and cells: never mathematics, never a missing glyph.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1f2937"
FAINT = "#6b7280"
RULE = "#e5e7eb"
BLUE = "#2563eb"
ORANGE = "#d9730d"
GREY = "#9ca3af"
DOTS_PER_INCH = 130
WIDTH_IN = 7.2
LONGEST_LABEL = 26
FAMILIES = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "AR PL UMing CN",
    "Droid Sans Fallback",
    "PingFang SC",
    "Hiragino Sans GB",
    "Arial Unicode MS",
    "Microsoft YaHei",
    "SimHei",
    "Noto Serif CJK SC",
    "Noto Serif CJK JP",
    "Noto Sans",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
)
MOST_NAMED = 12

collecting: ContextVar[set[str] | None] = ContextVar("collecting", default=None)
"""Gets the characters of labels that no installed font has; see `undrawn`."""


def new_figure(height_in: float, width_in: float = WIDTH_IN) -> "Figure":
    """An empty white figure, drawn by Agg."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(width_in, height_in), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white"
    )
    FigureCanvasAgg(figure)
    return figure


def save(figure: "Figure", folder: Path, name: str) -> None:
    """Write `figure` to `folder/name`; equal figures give equal bytes."""
    figure.savefig(folder / name, format="png", metadata={"Software": None})


def style(axes: "Axes", title: str = "", x: str = "", y: str = "", grid: str = "y") -> None:
    """Quiet axes: faint rules, no box; title at the left. `grid` is "x", "y", "both" or ""."""
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side == "bottom" and grid in ("y", "both"))
        axes.spines[side].set_color(GREY)
    axes.tick_params(length=0, labelsize=9, labelcolor=INK)
    if grid:
        axes.grid(visible=True, axis=cast("Any", grid), color=RULE, linewidth=0.8)
        axes.set_axisbelow(True)
    if title:
        axes.set_title(title, loc="left", fontsize=11, color=INK, fontweight="bold", pad=10)
    axes.set_xlabel(x, fontsize=9.5, color=FAINT)
    axes.set_ylabel(y, fontsize=9.5, color=FAINT)


def legend(axes: "Axes", **where: Any) -> None:
    """A frameless legend."""
    font = {"size": 9, "family": label_families()}
    axes.legend(frameon=False, prop=font, labelcolor=INK, handlelength=1.4, **where)


@contextmanager
def undrawn() -> Iterator[set[str]]:
    """Collects the characters of labels made inside that no installed font has."""
    found: set[str] = set()
    token = collecting.set(found)
    try:
        yield found
    finally:
        collecting.reset(token)


def remark_on(characters: Iterable[str]) -> str:
    """What a person should know of characters that could not be drawn; empty where there are none.

    Of what is no character at all, as an undecodable byte, nothing is said.
    """
    named = sorted(char for char in characters if char.isprintable())
    if not named:
        return ""
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return (
        f"No installed font has the characters {' '.join(named[:MOST_NAMED])}{more}: the "
        "pictures have a number such as #3 in place of a name with one, and ? in other texts. "
        "Install a font that has them before the next run, as with: apt install fonts-noto-cjk"
    )


def safe_label(label: object, number: int) -> str:
    """`label` as matplotlib may draw it: one short line, no mathematics.

    A name with a character that no installed font has becomes "#number".
    """
    text = " ".join(str(label).split())
    if len(text) > LONGEST_LABEL:
        text = text[: LONGEST_LABEL - 1].rstrip() + "…"
    if not text or lacking(text):
        return f"#{number}"
    return text.replace("$", r"\$")


def safe_text(text: str) -> str:
    """A line as matplotlib may draw it: no mathematics, "?" for what no installed font has."""
    without = lacking(text)
    drawn = "".join("?" if char in without else char for char in text)
    return drawn.replace("$", r"\$")


def label_families() -> list[str]:
    """Installed font families to draw labels with, in order of preference."""
    return [family for family, _, _ in _fonts()]


def font_file(text: str) -> str | None:
    """The file of the first font that has all of `text`, for other drawers; None where none has."""
    for _, path, font in _fonts():
        if all(font.get_char_index(ord(char)) for char in text):
            return path
    return None


@lru_cache(maxsize=1)
def _fonts() -> tuple[tuple[str, str, Any], ...]:
    """Family, file and glyphs of each of `FAMILIES` that is installed."""
    from matplotlib import font_manager

    installed = _installed()
    if not any(family in installed for family in FAMILIES[1:]):
        # Matplotlib keeps its list from its first start on: what was installed since is not in it.
        known = {entry.fname for entry in font_manager.fontManager.ttflist}
        for path in sorted(set(font_manager.findSystemFonts()) - known):
            try:
                font_manager.fontManager.addfont(path)
            except (OSError, RuntimeError, ValueError):  # a broken font file is as good as none
                continue
        installed = _installed()
    fonts = []
    for family in FAMILIES:
        if family in installed:
            path = font_manager.findfont(font_manager.FontProperties(family=[family]))
            fonts.append((family, str(path), font_manager.get_font(path)))
    return tuple(fonts)


def _installed() -> set[str]:
    from matplotlib import font_manager

    return {entry.name for entry in font_manager.fontManager.ttflist}


def lacking(text: str) -> set[str]:
    """The characters of a text that no installed font has."""
    found = {char for char in text if not _has_glyph(char)}
    collected = collecting.get()
    if collected is not None:
        collected |= found
    return found


@lru_cache(maxsize=4096)
def _has_glyph(char: str) -> bool:
    return any(font.get_char_index(ord(char)) for _, _, font in _fonts())
