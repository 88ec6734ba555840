"""Pictures of attention: what each token of an answer looked at."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from septet.evaluation.drawing import label_families, new_figure, safe_label, save, style

COLUMNS = 2
ROW_IN = 4.0
WIDTH_IN = 10.0


def draw_attention(entries: Sequence[Mapping[str, Any]], folder: Path, name: str) -> None:
    """Write one picture with a map for each entry.

    Args:
        entries: {"source": tokens, "target": tokens, "weights": [target][source]}.
        folder: Where to.
        name: Of the PNG.
    """
    columns = min(COLUMNS, len(entries))
    rows = math.ceil(len(entries) / columns)
    figure = new_figure(ROW_IN * rows, WIDTH_IN if columns > 1 else WIDTH_IN / 2)
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, entry in zip(every, entries, strict=False):
        style(axes, grid="")
        weights = np.asarray(entry["weights"], np.float64)
        axes.imshow(weights, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
        # Above the map there are other labels than below, so this comes before their font.
        axes.xaxis.tick_top()
        for axis, tokens in ((axes.xaxis, entry["source"]), (axes.yaxis, entry["target"])):
            labels = [safe_label(_visible(token), place) for place, token in enumerate(tokens, 1)]
            axis.set_ticks(range(len(labels)), labels)
            for label in axis.get_ticklabels():
                label.set_fontfamily(label_families())
                label.set_fontsize(8)
        for label in axes.get_xticklabels():
            label.set_rotation(60)
            label.set_horizontalalignment("left")
            label.set_rotation_mode("anchor")
    for axes in every[len(entries) :]:
        axes.set_axis_off()
    save(figure, folder, name)


def _visible(token: str) -> str:
    """A token with its space shown, where that is all there is of it."""
    return token if token.strip() else "␣"
