"""Answers that are pictures as PNG files: masks, overlays, what was made. No file is replaced."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from septet.cli.describing import visible
from septet.runs import storage


def save_named(answers: Sequence[Any], names: Sequence[str], folder: str) -> list[list[str]]:
    """Save each answer's pictures as PNG files in `folder`, called after its input; their paths.

    A name that is taken gets a number, so that nothing is lost.

    Raises:
        StorageError: A file could not be written.
    """
    place, saved = Path(folder), []
    for answer, name in zip(answers, names, strict=True):
        pictures = answer.to_images()
        stem = free_stem(place, Path(name).stem or "picture", list(pictures))
        paths = []
        for ending, picture in pictures.items():
            file = io.BytesIO()
            picture.save(file, "PNG")
            path = place / f"{stem}{ending}.png"
            storage.commit_file(path, file.getvalue())
            paths.append(str(path))
        saved.append(paths)
    return saved


def free_stem(folder: Path, stem: str, endings: Sequence[str]) -> str:
    """`stem`, or with the first number after it that no file in `folder` has yet."""
    number, free = 1, stem
    while any((folder / f"{free}{ending}.png").exists() for ending in endings):
        number += 1
        free = f"{stem}-{number}"
    return free


def save_pictures(answers: Sequence[Any], folder: str) -> list[str]:
    """Save answers that are pictures as PNG files of their own in `folder`; their paths.

    Files that are there are kept: the numbers go on after the highest.

    Raises:
        StorageError: A file could not be written.
    """
    place = Path(folder)
    taken = [path.stem for path in place.glob("[0-9]*.png")] if place.is_dir() else []
    first = max((int(stem) for stem in taken if stem.isdecimal()), default=0) + 1
    paths = []
    for number, answer in enumerate(answers, first):
        file = io.BytesIO()
        answer.to_image().save(file, "PNG")
        path = place / f"{number:05d}.png"
        storage.commit_file(path, file.getvalue())
        paths.append(str(path))
    return paths


def save_overlays(
    answers: Sequence[Any], names: Sequence[str] | None, folder: str
) -> list[list[str]]:
    """Save the pictures with what was found drawn on them, as PNG files in `folder`; their paths.

    A file is called after its input, with a number where that name is taken. An answer whose
    picture is not known has none.

    Raises:
        StorageError: A file could not be written.
    """
    place, saved = Path(folder), []
    for number, answer in enumerate(answers, 1):
        paths: list[str] = []
        content = answer.overlay()
        if content is not None:
            stem = visible(Path(names[number - 1]).stem if names else f"{number:05d}")
            path, again = place / f"{stem}-found.png", 1
            while path.exists():
                again += 1
                path = place / f"{stem}-found-{again}.png"
            storage.commit_file(path, content)
            paths.append(str(path))
        saved.append(paths)
    return saved


def save_arrays(pictures: Sequence[Any], folder: str) -> list[str]:
    """Save arrays [height, width, 3] as PNG files in `folder`, as `save_pictures` does."""
    if not pictures:
        return []
    from types import SimpleNamespace

    from PIL import Image

    wrapped = [
        SimpleNamespace(to_image=lambda array=array: Image.fromarray(array)) for array in pictures
    ]
    return save_pictures(wrapped, folder)
