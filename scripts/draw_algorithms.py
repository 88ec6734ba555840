"""The drawings of docs/algorithms: schemes drawn here, results drawn from the pages' own programs.

    python -m scripts.draw_algorithms            # all
    python -m scripts.draw_algorithms lstm gan   # these

Both languages share them, so that they hold symbols and few words.
"""

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image

from scripts.algorithm_pages import FOLDER, blocks, page, run
from scripts.shapes import (
    BLUE,
    DARK_RED,
    GREEN,
    GREY,
    INK,
    ORANGE,
    RED,
    arrow,
    box,
    canvas,
    columns,
    dot,
    path,
    words,
)


def network() -> None:
    axes = canvas(11, 4)
    for row, name in enumerate(("x_1", "x_2", "x_3")):
        y = 3.1 - row
        dot(axes, (0.5, y), f"${name}$", colour=GREEN)
        arrow(axes, (0.75, y), (2.2, 2.1 + 0.12 * (1 - row)), f"$w_{row + 1}$", shift=(0, 0.17))
    dot(axes, (2.5, 2.1), r"$\Sigma$", radius=0.3)
    arrow(axes, (2.5, 1.2), (2.5, 1.8), "$b$", shift=(0.2, -0.1))
    arrow(axes, (2.8, 2.1), (3.4, 2.1), "$z$")
    box(axes, (3.8, 2.1), r"$\varphi$", width=0.8)
    arrow(axes, (4.2, 2.1), (4.9, 2.1), "$a$")
    words(axes, (2.5, 0.4), "neuron")
    columns(axes, (6.3, 7.8, 9.3, 10.6), (3, 4, 4, 2), 2.2)
    for x, text in ((6.3, "$x$"), (7.8, "$a^{(1)}$"), (9.3, "$a^{(2)}$"), (10.6, r"$\hat y$")):
        words(axes, (x, 3.75), text)
    words(axes, (8.45, 0.4), "network of layers")


def propagation() -> None:
    axes = canvas(11, 3.2)
    places = (0.7, 2.9, 5.3, 7.7, 10.0)
    texts = ("$x$", r"$W^{(1)}, b^{(1)}$", r"$W^{(2)}, b^{(2)}$", r"$\hat y$", r"$\mathcal{L}$")
    colours = (GREEN, BLUE, BLUE, ORANGE, RED)
    for x, text, colour in zip(places, texts, colours, strict=True):
        box(axes, (x, 1.7), text, colour=colour, width=1.3, height=0.8)
    forward = ("", "$a^{(1)}$", "$a^{(2)}$", "")
    backward = ("", r"$\delta^{(1)}$", r"$\delta^{(2)}$", r"$\partial\mathcal{L}/\partial\hat y$")
    for left, right, there, back in zip(places[:-1], places[1:], forward, backward, strict=True):
        arrow(axes, (left + 0.65, 1.9), (right - 0.65, 1.9), there)
        if left > 1:
            arrow(axes, (right - 0.65, 1.5), (left + 0.65, 1.5), back, DARK_RED, shift=(0, -0.27))
    backs = {
        1: r"$\partial\mathcal{L}/\partial W^{(1)}$",
        2: r"$\partial\mathcal{L}/\partial W^{(2)}$",
    }
    for place, text in backs.items():
        arrow(axes, (places[place], 1.3), (places[place], 0.65), colour=DARK_RED)
        words(axes, (places[place], 0.4), text, colour=DARK_RED)
    words(axes, (5.3, 2.85), "forward: values, kept")
    words(axes, (8.3, 0.4), "backward: gradients", colour=DARK_RED)


def losses() -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3))
    e = np.linspace(-3, 3, 301)
    left.plot(e, e**2, label="squared")
    left.plot(e, abs(e), label="absolute")
    left.plot(e, np.where(abs(e) <= 1, e**2 / 2, abs(e) - 0.5), label="Huber, $d = 1$")
    left.set(xlabel=r"error $\hat y - y$", ylabel="loss", ylim=(0, 4))
    p = np.linspace(0.01, 1, 300)
    right.plot(p, -np.log(p), label="cross-entropy")
    right.plot(p, -((1 - p) ** 2) * np.log(p), label=r"focal, $\gamma = 2$")
    right.plot(p, np.maximum(0, 1 - np.log(p / (1.0001 - p))), label="hinge, $z = $ logit of $p$")
    right.set(xlabel="probability $p$ of the right class", ylim=(0, 4))
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()


def feed_forward() -> None:
    axes = canvas(9, 4)
    columns(axes, (0.8, 3.2, 5.6, 8.0), (4, 5, 5, 3), 2.2, gap=0.62)
    for x, text in ((0.8, "input"), (3.2, "hidden"), (5.6, "hidden"), (8.0, "output")):
        words(axes, (x, 0.3), text)
    for x, number in ((2.0, 1), (4.4, 2), (6.8, 3)):
        words(axes, (x, 3.8), f"$W^{{({number})}}$")


def cnn() -> None:
    axes = canvas(11, 3.6)

    def stack(x: float, side: float, count: int, colour: str) -> None:
        for layer in reversed(range(count)):
            offset = 0.12 * layer
            axes.add_patch(
                Rectangle(
                    (x + offset, 1.9 - side / 2 + offset), side, side, fc=colour, ec=INK, lw=0.8
                )
            )

    shapes = ((0.2, 2.0, 1, GREEN), (3.1, 1.7, 4, BLUE), (5.9, 0.9, 4, GREY), (7.7, 0.6, 6, BLUE))
    for each in shapes:
        stack(*each)
    axes.add_patch(Rectangle((0.9, 1.9), 0.5, 0.5, fc=ORANGE, ec=INK))
    axes.plot([1.4, 3.6], [2.4, 2.2], [1.4, 3.6], [1.9, 2.2], color=INK, lw=0.7)
    dot(axes, (3.6, 2.2), radius=0.06, colour=ORANGE)
    axes.add_patch(Rectangle((4.1, 1.3), 0.4, 0.4, fc=ORANGE, ec=INK))
    axes.plot([4.5, 6.3], [1.7, 1.75], [4.5, 6.3], [1.3, 1.75], color=INK, lw=0.7)
    dot(axes, (6.3, 1.75), radius=0.06, colour=ORANGE)
    arrow(axes, (7.3, 1.9), (7.6, 1.9))
    arrow(axes, (9.1, 1.9), (9.4, 1.9))
    for row in range(5):
        dot(axes, (9.7, 0.9 + 0.5 * row), radius=0.18, colour=ORANGE)
    labels = ((1.2, "picture"), (4.1, "convolution:\none map a filter"), (6.6, "pooling"))
    for x, text in (*labels, (8.3, "convolution,\npooling"), (9.8, "dense")):
        words(axes, (x, 0.35), text, size=10)


def rnn() -> None:
    axes = canvas(11, 3.4)
    box(axes, (1.3, 1.7), "cell", height=0.8)
    arrow(axes, (1.3, 0.6), (1.3, 1.3), "$x_t$", shift=(0.3, 0))
    arrow(axes, (1.3, 2.1), (1.3, 2.9))
    words(axes, (1.6, 2.75), "$h_t$")
    path(axes, (2.0, 1.7), (2.4, 1.7), (2.4, 2.45), (0.2, 2.45), (0.2, 1.7), (0.6, 1.7))
    words(axes, (3.2, 1.7), "$=$", size=16)
    places, names = (4.7, 6.5, 8.3, 10.1), ("1", "2", "3", "T")
    arrow(axes, (3.6, 1.7), (4.15, 1.7), "$h_0$")
    for x, name in zip(places, names, strict=True):
        box(axes, (x, 1.7), "cell", width=1.1, height=0.8)
        arrow(axes, (x, 0.6), (x, 1.3))
        words(axes, (x, 0.35), f"$x_{name}$")
        arrow(axes, (x, 2.1), (x, 2.7))
        words(axes, (x, 2.95), f"$h_{name}$")
    for left, right, text in zip(places[:-1], places[1:], ("$U$", "$U$", r"$\cdots$"), strict=True):
        arrow(axes, (left + 0.55, 1.7), (right - 0.55, 1.7), text)


def lstm() -> None:
    axes = canvas(10, 5.2)
    axes.add_patch(FancyBboxPatch((1.2, 0.9), 7.6, 3.6, boxstyle="round,pad=0", fc="white", ec=INK))
    arrow(axes, (0.2, 4.0), (2.25, 4.0))
    words(axes, (0.6, 4.25), "$c_{t-1}$")
    dot(axes, (2.5, 4.0), r"$\times$", colour=ORANGE)
    arrow(axes, (2.75, 4.0), (4.55, 4.0))
    dot(axes, (4.8, 4.0), "$+$", colour=ORANGE)
    arrow(axes, (5.05, 4.0), (9.8, 4.0))
    words(axes, (9.4, 4.25), "$c_t$")
    gates = ((2.5, r"$\sigma$"), (4.1, r"$\sigma$"), (5.5, r"$\tanh$"), (6.7, r"$\sigma$"))
    for x, text in gates:
        box(axes, (x, 1.9), text, width=0.9, height=0.5)
        arrow(axes, (x, 1.25), (x, 1.65))
    axes.plot([0.2, 6.7], [1.25, 1.25], color=INK, lw=1.2)
    words(axes, (0.6, 1.5), "$h_{t-1}$")
    arrow(axes, (1.7, 0.2), (1.7, 1.25))
    words(axes, (2.0, 0.4), "$x_t$")
    arrow(axes, (2.5, 2.15), (2.5, 3.76), "$f_t$", shift=(0.25, 0))
    dot(axes, (4.8, 3.0), r"$\times$", colour=ORANGE)
    path(axes, (4.1, 2.15), (4.1, 3.0), (4.56, 3.0))
    path(axes, (5.5, 2.15), (5.5, 3.0), (5.04, 3.0))
    words(axes, (3.85, 2.55), "$i_t$")
    words(axes, (5.75, 2.55), "$g_t$")
    arrow(axes, (4.8, 3.24), (4.8, 3.76))
    box(axes, (7.9, 3.2), r"$\tanh$", width=0.9, height=0.5, colour=GREY)
    arrow(axes, (7.9, 4.0), (7.9, 3.45))
    dot(axes, (7.9, 2.4), r"$\times$", colour=ORANGE)
    arrow(axes, (7.9, 2.95), (7.9, 2.64))
    path(axes, (6.7, 2.15), (6.7, 2.4), (7.66, 2.4))
    words(axes, (6.95, 2.62), "$o_t$")
    path(axes, (7.9, 2.16), (7.9, 1.4), (9.8, 1.4))
    words(axes, (9.4, 1.65), "$h_t$")
    words(axes, (5.0, 4.85), "forget: $f_t$    write: $i_t, g_t$    show: $o_t$")


def gru() -> None:
    axes = canvas(10, 4.8)
    axes.add_patch(FancyBboxPatch((1.2, 0.8), 7.6, 3.4, boxstyle="round,pad=0", fc="white", ec=INK))
    words(axes, (0.6, 3.95), "$h_{t-1}$")
    arrow(axes, (0.2, 3.7), (6.26, 3.7))
    dot(axes, (6.5, 3.7), r"$\times$", colour=ORANGE)
    arrow(axes, (6.74, 3.7), (7.76, 3.7))
    dot(axes, (8.0, 3.7), "$+$", colour=ORANGE)
    arrow(axes, (8.24, 3.7), (9.8, 3.7))
    words(axes, (9.4, 3.95), "$h_t$")
    box(axes, (2.6, 1.7), r"$\sigma$", width=0.9, height=0.5)
    words(axes, (2.25, 2.2), "$r_t$")
    dot(axes, (2.6, 2.8), r"$\times$", colour=ORANGE)
    arrow(axes, (2.6, 1.95), (2.6, 2.56))
    arrow(axes, (2.6, 3.7), (2.6, 3.04), "$U_h$", shift=(-0.32, 0))
    box(axes, (4.3, 2.8), r"$\tanh$", width=0.9, height=0.5)
    arrow(axes, (2.84, 2.8), (3.85, 2.8))
    box(axes, (6.0, 1.7), r"$\sigma$", width=0.9, height=0.5)
    words(axes, (5.75, 2.2), "$z_t$")
    path(axes, (6.0, 1.95), (6.0, 2.35), (6.5, 2.35), (6.5, 3.46))
    dot(axes, (8.0, 2.8), r"$\times$", colour=ORANGE)
    arrow(axes, (4.75, 2.8), (7.76, 2.8))
    words(axes, (5.3, 3.05), r"$\tilde h_t$")
    path(axes, (6.45, 1.7), (8.0, 1.7), (8.0, 2.56))
    words(axes, (7.3, 1.95), "$1 - z_t$")
    arrow(axes, (8.0, 3.04), (8.0, 3.46))
    path(axes, (1.6, 3.7), (1.6, 1.2), (2.35, 1.2), (2.35, 1.45))
    path(axes, (2.35, 1.2), (6.25, 1.2), (6.25, 1.45))
    for x in (2.85, 5.75):
        path(axes, (4.3, 0.95), (x, 0.95), (x, 1.45))
    dot(axes, (4.3, 0.95), radius=0.05, colour=INK)
    arrow(axes, (4.3, 0.2), (4.3, 2.55))
    words(axes, (4.6, 0.4), "$x_t$")
    words(axes, (5.0, 4.5), "reset: $r_t$    update: $z_t$")


def transformer() -> None:
    axes = canvas(10.5, 4.6)
    axes.add_patch(Rectangle((3.25, 0.55), 5.25, 3.75, fc="white", ec=INK, ls="--", lw=0.8))
    words(axes, (9.45, 2.4), "block,\nseveral times", size=10)
    for x, text, colour in ((0.85, "tokens or\npatches", GREEN), (2.45, "embedding", BLUE)):
        box(axes, (x, 3.4), text, colour=colour, width=1.2, size=10)
    arrow(axes, (1.45, 3.4), (1.85, 3.4))
    arrow(axes, (2.45, 4.4), (2.45, 3.7))
    words(axes, (1.75, 4.2), "positions", size=10)
    arrow(axes, (3.05, 3.4), (4.05, 3.4))
    for y, text in ((3.4, "attention"), (1.1, "dense, dense")):
        box(axes, (4.7, y), "norm", colour=GREY, width=1.3, size=10)
        arrow(axes, (5.35, y), (5.55, y))
        box(axes, (6.2, y), text, colour=ORANGE, width=1.3, size=10)
        arrow(axes, (6.85, y), (7.46, y))
        dot(axes, (7.7, y), "$+$")
        path(axes, (3.75, y), (3.75, y + 0.65), (7.7, y + 0.65), (7.7, y + 0.24))
    words(axes, (6.2, 2.8), r"$\mathrm{softmax}(QK^\top / \sqrt{d})\,V$", size=10)
    path(axes, (7.94, 3.4), (8.25, 3.4), (8.25, 2.35), (3.5, 2.35), (3.5, 1.1), (4.05, 1.1))
    arrow(axes, (7.94, 1.1), (8.75, 1.1))
    box(axes, (9.45, 1.1), "norm, mean,\ndense", colour=GREEN, width=1.4, size=10)


def gan() -> None:
    axes = canvas(10.5, 3.4)
    box(axes, (0.9, 2.4), "noise $z$", colour=GREY, width=1.3)
    arrow(axes, (1.55, 2.4), (2.2, 2.4))
    box(axes, (3.0, 2.4), "generator\n$G$", width=1.6, height=0.9)
    arrow(axes, (3.8, 2.4), (4.5, 2.4))
    box(axes, (5.2, 2.4), "made", colour=ORANGE, width=1.2)
    box(axes, (5.2, 1.2), "real", colour=GREEN, width=1.2)
    path(axes, (5.8, 2.4), (6.3, 2.4), (6.3, 2.0), (6.8, 2.0))
    path(axes, (5.8, 1.2), (6.3, 1.2), (6.3, 1.6), (6.8, 1.6))
    box(axes, (7.7, 1.8), "discriminator\n$D$", width=1.8, height=0.9)
    arrow(axes, (8.6, 1.8), (9.2, 1.8))
    box(axes, (9.8, 1.8), "real?", colour=RED, width=1.1)
    path(axes, (9.8, 2.1), (9.8, 3.1), (3.0, 3.1), (3.0, 2.85), colour=DARK_RED)
    path(axes, (9.8, 1.5), (9.8, 0.5), (7.7, 0.5), (7.7, 1.35), colour=DARK_RED)
    words(axes, (7.2, 2.9), r"gradient of $\mathcal{L}_G$", colour=DARK_RED, size=10)
    words(axes, (6.6, 0.5), r"gradient of $\mathcal{L}_D$", colour=DARK_RED, size=10)


def optimizers(names: dict[str, Any]) -> None:
    """The curves that the page's program has left."""
    _, axes = plt.subplots(figsize=(7.2, 3.6))
    for name, curve in names["curves"].items():
        # AdamW lies on Adam.
        style = "--" if name == "AdamW" else "-"
        axes.plot(range(1, len(curve) + 1), curve, style, marker="o", ms=3, label=name)
    axes.set(xlabel="epoch", ylabel="training loss", xticks=range(1, 6))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, ncols=2)
    plt.tight_layout()


def gan_samples(names: dict[str, Any]) -> None:
    """Forty pictures that the page's generator made, above forty real ones."""
    _, rows = plt.subplots(2, 1, figsize=(7.2, 2.2))
    for axes, pictures, text in zip(
        rows, (names["made"], names["x_test"]), ("made", "real"), strict=True
    ):
        sheet = pictures[:40, ..., 0].reshape(2, 20, 28, 28).transpose(0, 2, 1, 3).reshape(56, 560)
        axes.imshow(-sheet, cmap="gray", vmin=-1, vmax=1)
        axes.set(xticks=[], yticks=[], ylabel=text)
    plt.tight_layout()


Drawing = Callable[[], None]
SCHEMES: dict[str, Drawing] = {
    "network": network,
    "propagation": propagation,
    "losses": losses,
    "feed-forward": feed_forward,
    "cnn": cnn,
    "rnn": rnn,
    "lstm": lstm,
    "gru": gru,
    "transformer": transformer,
    "gan": gan,
}
RESULTS: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "optimizers": ("optimizers", optimizers),
    "gan-samples": ("gan", gan_samples),
}


def save(name: str) -> None:
    """The open figure as a PNG of few colours, which keeps it small."""
    drawn = io.BytesIO()
    plt.savefig(drawn, dpi=110, facecolor="white", bbox_inches="tight", pad_inches=0.1)
    plt.close("all")
    picture = Image.open(drawn).convert("RGB").quantize(64, Image.Quantize.MAXCOVERAGE)
    picture.save(FOLDER / f"{name}.png", optimize=True)


def names_left_by(name: str) -> dict[str, Any]:
    """What a page's program has defined at its end."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ["SEPTET_RUNS"] = folder
        *_, (_, names) = run(blocks(page(name).read_text(encoding="utf-8")))
    return names


def main(wanted: Iterable[str]) -> None:
    for name in wanted or (*SCHEMES, *RESULTS):
        if name in SCHEMES:
            SCHEMES[name]()
        else:
            source, draw = RESULTS[name]
            draw(names_left_by(source))
        save(name)
        print(f"{name}.png", (FOLDER / f"{name}.png").stat().st_size, "bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
