"""From a folder, list or archive of videos to checked splits of clips."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from septet.data.account import Account, Rejection
from septet.data.dataset import Dataset, Split
from septet.data.scratch import ArrayList, new_array
from septet.data.splitting import limited
from septet.errors import DataError
from septet.vision import cache
from septet.vision.archives import read_archive
from septet.vision.gathering import LARGEST_OWN_SIZE, SMALLEST_OWN_SIZE, Gathered, fit
from septet.vision.reading import (
    DELIMITERS,
    count_classes,
    nothing_usable,
    ordered,
    reject_unknown_labels,
    split_rows,
)
from septet.vision.sources import Found, read_list, shown
from septet.vision.video import checks
from septet.vision.video.clips import Sampling, clip_places, filled
from septet.vision.video.decoding import Request, Video, kept, require_reader
from septet.vision.video.options import VideoDataOptions
from septet.vision.video.sources import VideoFolderReader
from septet.vision.video.worker import is_same


@dataclass
class Videos:
    """Usable videos: clips uint8 [clips, frames, height, width] or [..., 3] in `gathered.pixels`.

    Args:
        gathered: One video a row.
        counts: Frames of each whole video.
        stills: Whether all its frames are the same.
    """

    gathered: Gathered = field(default_factory=Gathered)
    counts: list[int] = field(default_factory=list)
    stills: list[bool] = field(default_factory=list)


def read_videos(source: Path, options: VideoDataOptions, seed: int) -> Dataset:
    """Read, check and split the videos at `source`.

    Examples are {"clips": uint8 [N, clips, frames, height, width, channels]}, one a video;
    targets are class names.

    Raises:
        DataError: `source` as a whole cannot be understood.
        MissingPackageError: It has video files, and PyAV is not installed.
    """
    account = Account()
    sampling = Sampling(options.frames, options.stride, options.clips)
    videos = gather(source, options, sampling, account)
    gathered = videos.gathered
    if not len(gathered):
        raise DataError(nothing_usable(source, account, "video"))
    checks.check_videos(gathered, videos.counts, videos.stills, sampling, account)
    rows = split_rows(gathered, options, seed)
    rows = reject_unknown_labels(gathered, rows, account)
    rows = limited(rows, options.limit, seed=seed, account=account, noun="videos")
    height, width = frame_size(gathered, options, account)
    channels = options.channels or (3 if any(each.ndim == 5 for each in gathered.pixels) else 1)
    clips = max(len(each) for each in gathered.pixels)
    shape = (clips, options.frames, height, width, channels)
    splits = {
        name: Split(
            {"clips": stack(gathered.pixels, chosen, shape, options.fit)},
            np.array([gathered.labels[row] for row in chosen], dtype=object),
            [gathered.places[row] for row in chosen],
        )
        for name, chosen in rows.items()
    }
    account.classes = count_classes(splits)
    account.close({name: len(split) for name, split in splits.items()})
    labels = ordered(set(splits["train"].targets.tolist()), gathered.class_order)
    facts = {"labels": labels, "height": height, "width": width, "channels": channels}
    facts |= {"frames": options.frames, "stride": options.stride, "clips": clips}
    facts["fit"] = options.fit
    return Dataset(splits, account, facts)


def gather(source: Path, options: VideoDataOptions, sampling: Sampling, account: Account) -> Videos:
    """All usable videos of a folder, `.csv`, `.tsv` or `.npz` file.

    Raises:
        DataError: There is nothing at `source`, or nothing that can be understood.
    """
    if source.is_dir():
        return _decoded(VideoFolderReader(source, account).read(), options, sampling, account)
    if not source.is_file():
        raise DataError(f"There is no file or folder '{shown(str(source))}'.")
    suffix = source.suffix.lower()
    if suffix == ".npz":
        return _sampled(read_archive(source, account, are_videos=True), sampling)
    if suffix in DELIMITERS:
        columns = {
            "path": options.path_column,
            "label": options.label_column,
            "split": options.split_column,
        }
        found = read_list(source, account, columns, DELIMITERS[suffix])
        return _decoded(found, options, sampling, account)
    raise DataError(
        f"'{shown(source.name)}' is no set of videos. Expected a folder with one folder for each "
        "class, a .csv or .tsv file of paths and labels, or a .npz file of arrays."
    )


def _decoded(
    found: Found, options: VideoDataOptions, sampling: Sampling, account: Account
) -> Videos:
    paths = [example.path for example in found.examples]
    if any(not os.path.isdir(path) for path in paths):
        require_reader()
    side = options.size or LARGEST_OWN_SIZE
    exact = options.size is not None or options.fit != "stretch"
    request = Request((side, side), exact, sampling, options.fit)
    videos, examples, facts = Videos(), [], []
    for example, result in zip(found.examples, cache.decoded(paths, kept(request)), strict=True):
        if not isinstance(result, Video):
            place = (example.file, example.line, result.reason, result.remedy)
            account.rejections.append(Rejection(result.code, *place))
            continue
        known = result.known
        clips = result.clips[..., 0] if known["channels"] == 1 else result.clips
        height, width = known["original"]
        videos.gathered.add(
            clips, example.label, example.split, example.place, known["digest"], (height, width)
        )
        videos.gathered.blanks.append(known["blank"])
        videos.counts.append(known["count"])
        videos.stills.append(known["still"])
        examples.append(example)
        facts.append(known)
    checks.check_files(found.folders, examples, facts, account)
    return videos


def _sampled(whole: Gathered, sampling: Sampling) -> Videos:
    """Clips of videos that came as arrays."""
    videos, pixels = Videos(whole), ArrayList()
    for video in whole.pixels:
        pixels.append(video[clip_places(len(video), sampling)])
        videos.counts.append(len(video))
        videos.stills.append(len(video) > 1 and all(is_same(frame, video[0]) for frame in video))
    whole.pixels = pixels
    return videos


def frame_size(gathered: Gathered, options: VideoDataOptions, account: Account) -> tuple[int, int]:
    """Height and width that all frames get, said in a note where it was chosen."""
    if options.size is not None:
        return options.size, options.size
    sizes = set(gathered.originals)
    if len(sizes) == 1 and options.fit == "stretch":
        height, width = next(iter(sizes))
        if SMALLEST_OWN_SIZE <= min(height, width) and max(height, width) <= LARGEST_OWN_SIZE:
            return height, width
    account.note(
        "resized",
        "all",
        f"Frames are resized to {LARGEST_OWN_SIZE}x{LARGEST_OWN_SIZE} pixels.",
        "Choose another size with --set data.size=128",
    )
    return LARGEST_OWN_SIZE, LARGEST_OWN_SIZE


def stack(
    videos: ArrayList,
    rows: Sequence[int] | np.ndarray,
    shape: tuple[int, ...],
    how: str = "stretch",
) -> np.ndarray:
    """Some of the videos as one array, uint8 [N, *shape], shape as in `read_videos`.

    In a file of the cache where they do not fit into memory.

    Raises:
        StorageError: They do not fit on the disk either.
    """
    height, width, channels = shape[2:]
    stacked = new_array((len(rows), *shape), np.uint8)
    for place, row in enumerate(rows):
        stacked[place] = filled(fitted(videos[row], height, width, channels, how), shape[0])
    return stacked


def fitted(
    clips: np.ndarray, height: int, width: int, channels: int, how: str = "stretch"
) -> np.ndarray:
    """Clips uint8 [k, frames, h, w] or [k, frames, h, w, 3] as [k, frames, height, width, c]."""
    has_colour = clips.ndim == 5
    if clips.shape[2:4] == (height, width) and has_colour == (channels == 3):
        return clips if has_colour else clips[..., None]
    if clips.shape[2:4] == (height, width) and not has_colour:
        return np.repeat(clips[..., None], channels, axis=-1)
    flat = clips.reshape(-1, *clips.shape[2:])
    frames = [fit(frame, height, width, channels, how) for frame in flat]
    return np.stack(frames).reshape(*clips.shape[:2], height, width, channels)
