"""Canvas, colours and safe text for figures: matplotlib without pyplot or global state.

Class names are the user's files and cells: never mathematics, never a missing glyph.
"""

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
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
    "Noto Sans",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
)


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
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, handlelength=1.4, **where)


def safe_label(label: object, number: int) -> str:
    """`label` as matplotlib may draw it: one short line, no mathematics.

    A name with a character that no installed font has becomes "#number".
    """
    text = " ".join(str(label).split())
    if len(text) > LONGEST_LABEL:
        text = text[: LONGEST_LABEL - 1].rstrip() + "…"
    if not text or not all(_has_glyph(char) for char in text):
        return f"#{number}"
    return text.replace("$", r"\$")


def safe_text(text: str) -> str:
    """A line as matplotlib may draw it: no mathematics, "?" for what no installed font has."""
    drawn = "".join(char if _has_glyph(char) else "?" for char in text)
    return drawn.replace("$", r"\$")


def label_families() -> list[str]:
    """Installed font families to draw labels with, in order of preference."""
    return [family for family, _ in _fonts()]


@lru_cache(maxsize=1)
def _fonts() -> tuple[tuple[str, Any], ...]:
    from matplotlib import font_manager

    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    fonts = []
    for family in FAMILIES:
        if family in installed:
            path = font_manager.findfont(font_manager.FontProperties(family=[family]))
            fonts.append((family, font_manager.get_font(path)))
    return tuple(fonts)


@lru_cache(maxsize=4096)
def _has_glyph(char: str) -> bool:
    return any(font.get_char_index(ord(char)) for _, font in _fonts())
