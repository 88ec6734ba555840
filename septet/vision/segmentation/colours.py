"""A colour for each class: the legend's own, or ones that are told apart."""

from collections.abc import Sequence

from septet.vision.segmentation.legend import BACKGROUND

Colour = tuple[int, int, int]

DISTINCT: tuple[Colour, ...] = (
    (0, 114, 178), (230, 159, 0), (204, 121, 167), (0, 158, 115), (213, 94, 0), (86, 180, 233),
    (240, 228, 66), (140, 86, 75), (148, 103, 189), (127, 127, 127), (188, 189, 34), (214, 39, 40),
)  # fmt: skip
"""Okabe and Ito's, which people who see few colours tell apart, and some more."""


def palette_of(
    labels: Sequence[str], known: Sequence[Sequence[int] | None] | None = None
) -> list[Colour]:
    """A colour a class; the background is black unless the legend says otherwise."""
    colours: list[Colour] = []
    number = 0
    for place, label in enumerate(labels):
        given = known[place] if known else None
        if given is not None:
            red, green, blue = given
            colours.append((red, green, blue))
        elif label.casefold() == BACKGROUND:
            colours.append((0, 0, 0))
        else:
            colours.append(_distinct(number))
            number += 1
    return colours


def _distinct(number: int) -> Colour:
    """The n-th colour; after the dozen by the golden angle around the wheel."""
    if number < len(DISTINCT):
        return DISTINCT[number]
    import colorsys

    turn = number * 0.618034 % 1.0
    red, green, blue = colorsys.hsv_to_rgb(
        turn, 0.55 + 0.1 * (number % 5), 0.9 - 0.1 * (number % 3)
    )
    return round(255 * red), round(255 * green), round(255 * blue)
