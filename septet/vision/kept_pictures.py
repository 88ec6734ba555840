"""Pictures and masks of large sets, decoded once and then taken from the cache."""

from collections.abc import Iterator, Sequence

import numpy as np

from septet.vision.cache import Facts, Kind, decoded
from septet.vision.decoding import Mask, Picture, Undecodable, shared_pool

LEAST = 2000
"""Files of a set from which they are kept: fewer are decoded in seconds."""
DECODED_AT_ONCE = 1024


def pictures(
    paths: Sequence[str],
    box: tuple[int, int],
    *,
    exact: bool,
    how: str = "stretch",
    at_once: int | None = None,
) -> Iterator[Picture | Undecodable]:
    """One result for each path, in order; see `DecoderPool.decode`.

    Raises:
        RunError: No worker can be started.
    """

    def decode(part: Sequence[str]) -> list[Picture | Undecodable]:
        return shared_pool().decode(part, box, exact=exact, how=how)

    request = {"box": list(box), "exact": exact, "how": how}
    together = at_once or DECODED_AT_ONCE
    return _of(paths, Kind("pictures", request, decode, _split_picture, _joined_picture, together))


def masks(paths: Sequence[str], *, at_once: int | None = None) -> Iterator[Mask | Undecodable]:
    """One result for each path, in order; see `DecoderPool.decode_masks`.

    Raises:
        RunError: No worker can be started.
    """

    def decode(part: Sequence[str]) -> list[Mask | Undecodable]:
        return shared_pool().decode_masks(part)

    together = at_once or DECODED_AT_ONCE
    return _of(paths, Kind("masks", {}, decode, _split_mask, _joined_mask, together))


def _of(paths: Sequence[str], kind: Kind) -> Iterator:
    if len(paths) >= LEAST:
        yield from decoded(paths, kind)
        return
    for begin in range(0, len(paths), kind.at_once):
        yield from kind.decode(paths[begin : begin + kind.at_once])


def _split_picture(picture: Picture) -> tuple[np.ndarray, Facts]:
    return picture.pixels, {
        "original": list(picture.original),
        "format": picture.format,
        "frames": picture.frames,
        "digest": picture.digest,
        "blank": picture.blank,
    }


def _joined_picture(pixels: np.ndarray, facts: Facts) -> Picture:
    height, width = facts["original"]
    return Picture(pixels, **{**facts, "original": (height, width)})


def _split_mask(mask: Mask) -> tuple[np.ndarray, Facts]:
    colours = [list(colour) for colour in mask.colours]
    facts = {"values": mask.values, "colours": colours, "counts": mask.counts}
    return mask.places, {**facts, "format": mask.format}


def _joined_mask(places: np.ndarray, facts: Facts) -> Mask:
    return Mask(places, **{**facts, "colours": [tuple(colour) for colour in facts["colours"]]})
