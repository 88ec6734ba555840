"""What a person should know about a set of videos before training on it.

Knows decoded videos and their labels; reads no files.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from septet.data.account import Account
from septet.data.labels import warn_of_labels
from septet.vision.checks import check_duplicates, check_folders, warn_each
from septet.vision.gathering import Gathered
from septet.vision.sources import Example
from septet.vision.video.clips import Sampling
from septet.vision.video.containers import FORMATS
from septet.vision.video.sources import EXTENSIONS

LONG = 4
"""Times a clip's span, from which the median video is said to be long."""
OUTLYING_RATE = 1.5
"""Times faster or slower than the median, from which frames a second stand out."""

Facts = Sequence[Mapping[str, Any]]
"""What a decoder said of each usable video."""


def check_files(
    found: Sequence[tuple[str, str]], examples: Sequence[Example], facts: Facts, account: Account
) -> None:
    """Say which files have a wrong extension or an unusual rate, and which folders are empty."""
    wrong = []
    for example, known in zip(examples, facts, strict=True):
        suffix = PurePosixPath(example.path).suffix
        kind = EXTENSIONS.get(suffix.lower())
        if known["format"] != "frames" and FORMATS.get(str(kind)) != known["format"]:
            message = f"The content is {known['format']}, the extension is '{suffix}'. It was used."
            wrong.append((example.place, message))
    remedy = "Rename it after its content."
    warn_each(account, "wrong-extension", wrong, remedy, "files have a wrong extension")
    _check_rates(examples, facts, account)
    check_folders(found, examples, account, noun="video")


def _check_rates(examples: Sequence[Example], facts: Facts, account: Account) -> None:
    rates = np.array([known["rate"] for known in facts], float)
    if not (rates > 0).any():
        return
    median = float(np.median(rates[rates > 0]))
    odd = [
        (example.place, f"It has {rate:g} frames a second; the median is {median:g}.")
        for example, rate in zip(examples, rates, strict=True)
        if rate > 0 and abs(np.log(rate / median)) > np.log(OUTLYING_RATE)
    ]
    remedy = "Things move faster or slower in it; save all videos at one rate."
    warn_each(account, "odd-rate", odd, remedy, "videos have another rate")


def check_videos(
    gathered: Gathered, counts: Sequence[int], stills: Sequence[bool], sampling: Sampling,
    account: Account,
) -> None:  # fmt: skip
    """All checks that need frames, lengths, given splits and labels."""
    check_duplicates(gathered, account, "video")
    blank = [
        (gathered.places[row], "The whole video has one colour.")
        for row, is_blank in enumerate(gathered.blanks)
        if is_blank
    ]
    remedy = "Look whether it was saved or cut wrongly."
    warn_each(account, "blank-video", blank, remedy, "videos have one colour only")
    still = [
        (gathered.places[row], "Nothing moves in it: all its frames are the same.")
        for row, is_still in enumerate(stills)
        if is_still and not gathered.blanks[row]
    ]
    warn_each(account, "still-video", still, remedy, "videos in which nothing moves")
    _check_lengths(gathered, counts, sampling, account)
    classes = warn_of_labels(
        gathered.labels, account, place=lambda row: gathered.places[row], whole="all", noun="video"
    )
    if len(classes) < 2:
        message = f"There is {len(classes)} class; a classifier needs at least two."
        remedy = "Give one folder for each class, or check the label column."
        account.forbid("too-few-classes", "all", message, remedy)


def _check_lengths(
    gathered: Gathered, counts: Sequence[int], sampling: Sampling, account: Account
) -> None:
    short = [
        (
            gathered.places[row],
            f"It has {count} frames and a clip spans {sampling.span}. The last one is held.",
        )
        for row, count in enumerate(counts)
        if count < sampling.span
    ]
    remedy = "Lower data.frames or data.stride, or remove it."
    warn_each(account, "short-video", short, remedy, "videos are shorter than a clip")
    median = float(np.median(np.array(counts)))
    if median >= LONG * sampling.span:
        stride = max(1, int(median // sampling.frames // 2))
        account.note(
            "long-videos",
            "all",
            f"A clip spans {sampling.span} frames of about {median:.0f}.",
            f"Look at longer stretches with, say, --set data.stride={stride}",
        )
