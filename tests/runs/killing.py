"""Training processes that are killed or starved of disk, and what their runs end with.

Each point is a real process, forked from a server that has the heavy imports done and no
device started, so that a point costs a training and not an import.
"""

import hashlib
import importlib.util
import json
import multiprocessing
import os
import sys
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np

from tests.runs.hostile import good_folder
from tests.vision.segmentation.making_masks import make_pairs

# Starting a process also asks how the others are, and two threads that ask at once get one answer.
ASKING = threading.Lock()

# By steps and never by time, so that every run of a job makes the same operations.
CHECKPOINTS = ["training.checkpoint_every_steps=3", "training.checkpoint_every_s=100000"]
TABLE_SETTINGS = [
    *CHECKPOINTS,
    "training.restore_best=true",
    "training.epochs=4",
    "training.batch_size=16",
    "model.width=8",
    "model.depth=1",
]
PICTURE_SETTINGS = [
    *CHECKPOINTS,
    "training.epochs=2",
    "training.batch_size=16",
    "model.width=4",
    "model.depth=1",
    "model.dense_dim=0",
]
GENERATION_SETTINGS = [
    *CHECKPOINTS,
    "training.epochs=2",
    "training.batch_size=16",
    "model.filters=4",
    "data.test_fraction=0.3",
]

SEGMENTATION_SETTINGS = [
    *CHECKPOINTS,
    "model.hue=0.05",
    "training.epochs=2",
    "training.batch_size=8",
    "model.width=4",
    "model.depth=1",
    "model.stem=2",
]

VIDEO_SETTINGS = [
    *CHECKPOINTS,
    "training.epochs=2",
    "training.batch_size=16",
    "data.frames=4",
    "data.clips=2",
    "model.width=4",
    "model.depth=1",
]

TEXT_SETTINGS = [
    *CHECKPOINTS,
    "training.epochs=2",
    "training.batch_size=16",
    "model.dim=4",
    "model.buckets=50",
]

# Enough texts for validation that thresholds are tuned.
LABEL_SETTINGS = [*TEXT_SETTINGS, "data.validation_fraction=0.4"]

# Two lengths of rows, and blocks that are held and freed.
ENCODER_SETTINGS = [
    *CHECKPOINTS,
    "training.epochs=2",
    "training.batch_size=4",
    "model.frozen=0.3",
    "model.thawing=0.3",
]

WRITING_SETTINGS = [
    *CHECKPOINTS,
    "training.epochs=2",
    "training.batch_size=8",
    "data.length=16",
    "model.dim=8",
    "model.depth=1",
    "model.heads=1",
    "model.dropout=0.1",
]

TRANSLATION_SETTINGS = [
    *CHECKPOINTS,
    "training.epochs=3",
    "training.batch_size=4",
    "training.average_decay=0.9",
    "data.tokenizer=bytes",
    "data.length=32",
    "model.dim=8",
    "model.depth=1",
    "model.num_heads=2",
]

DETECTION_SETTINGS = [
    *CHECKPOINTS,
    "training.epochs=2",
    "training.batch_size=16",
    "data.test_fraction=0.2",
    "data.validation_fraction=0.2",
    "model.backbone_width=4",
    "model.pyramid_dim=8",
    "model.head_depth=1",
    "model.mosaic=0.5",
    "model.hue=0.05",
    "model.stretch=0.2",
]


@dataclass(frozen=True)
class Job:
    """A tiny training: task, data and settings."""

    task: str
    data: Path
    settings: list[str]

    def train(self) -> list[str]:
        """The command line that begins it."""
        pairs = [word for setting in self.settings for word in ("--set", setting)]
        return ["train", self.task, str(self.data), "--name", "job", *pairs]


def make_jobs(folder: Path) -> dict[str, Job]:
    """One tiny job for each task of this version."""
    random = np.random.default_rng(0)
    jobs = {}
    for task in ("tabular-classification", "tabular-regression"):
        path = folder / f"{task}.csv"
        numbers = random.normal(size=(90, 3)).round(4)
        colours = random.choice(["red", "green", "blue"], 90)
        score = (numbers.sum(axis=1) + (colours == "red")).round(4)
        target = np.where(score > 0, "yes", "no") if "class" in task else score
        lines = [
            f"{a},{b},{c},{d},{e}" for (a, b, c), d, e in zip(numbers, colours, target, strict=True)
        ]
        path.write_text("a,b,c,colour,target\n" + "\n".join(lines) + "\n")
        jobs[task] = Job(task, path, TABLE_SETTINGS)
    labels = random.integers(0, 2, 90)
    pictures = random.integers(0, 128, (90, 8, 8)).astype(np.uint8)
    pictures[:, :4] += (labels * 100).astype(np.uint8)[:, None, None]
    path = folder / "pictures.npz"
    np.savez(path, x=pictures, y=labels)
    jobs["image-classification"] = Job("image-classification", path, PICTURE_SETTINGS)
    good_folder(folder / "start", "image-classification")
    start = [f"model.pretrained={folder / 'start'}", "model.frozen=0.4", "model.thawing=0.3"]
    changes = ["model.mixup=0.2", "model.cutmix=1", "model.blur=1"]
    tuning = [*PICTURE_SETTINGS, *start, *changes]
    jobs["fine-tuning"] = Job("image-classification", path, tuning)
    jobs["image-generation"] = Job("image-generation", path, GENERATION_SETTINGS)
    jobs["semantic-segmentation"] = Job(
        "semantic-segmentation", make_pairs(folder / "masks", 45), SEGMENTATION_SETTINGS
    )
    jobs["sentiment-analysis"] = Job(
        "sentiment-analysis", texts_for_a_job(folder / "texts.tsv"), TEXT_SETTINGS
    )
    tagged = tagged_texts_for_a_job(folder / "tagged.jsonl")
    jobs["several-labels"] = Job("sentiment-analysis", tagged, LABEL_SETTINGS)
    if importlib.util.find_spec("tokenizers"):
        encoder = Path(__file__).parent.parent / "language" / "encoders" / "distilbert"
        jobs["pretrained-encoder"] = Job(
            "sentiment-analysis",
            texts_for_a_job(folder / "long-and-short.tsv", longer=True),
            [*ENCODER_SETTINGS, f"model.pretrained={encoder}"],
        )
    jobs["text-generation"] = Job(
        "text-generation", text_for_a_job(folder / "story.txt"), WRITING_SETTINGS
    )
    jobs["translation"] = Job(
        "translation", pairs_for_a_job(folder / "pairs.tsv"), TRANSLATION_SETTINGS
    )
    if importlib.util.find_spec("pycocotools"):
        boxes = boxes_for_a_job(folder / "boxes")
        jobs["object-detection"] = Job("object-detection", boxes, DETECTION_SETTINGS)
    videos = np.repeat(pictures[:, None], 6, axis=1)
    videos[:, :, 4:] = random.integers(0, 128, (90, 6, 4, 8))
    path = folder / "videos.npz"
    np.savez(path, x=videos, y=labels)
    jobs["video-classification"] = Job("video-classification", path, VIDEO_SETTINGS)
    return jobs


def text_for_a_job(path: Path) -> Path:
    """Sixty lines of a story."""
    lines = [f"Day {number}: it rained, and 雨 fell." for number in range(60)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def boxes_for_a_job(folder: Path) -> Path:
    """Forty pictures of 32x32 pixels with a bright square each, and their boxes."""
    from PIL import Image

    random = np.random.default_rng(2)
    images, annotations = [], []
    (folder / "images").mkdir(parents=True)
    for number in range(40):
        pixels = random.integers(0, 90, (32, 32, 3)).astype(np.uint8)
        left, top = random.integers(1, 14, 2).tolist()
        pixels[top : top + 14, left : left + 14, number % 2] = 250
        Image.fromarray(pixels).save(folder / f"images/{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 32, "width": 32})
        box = {"image_id": number, "category_id": number % 2, "bbox": [left, top, 14, 14]}
        annotations.append({"id": number, **box})
    categories = [{"id": 0, "name": "red"}, {"id": 1, "name": "green"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "boxes.json").write_text(json.dumps(content))
    return folder


def pairs_for_a_job(path: Path) -> Path:
    """Sixty pairs of short sentences, eight of them for the test and as many for validation."""
    things, verbs = ["cat", "dog", "bird"], [("sees", "sieht"), ("hears", "hört")]
    lines = ["en\tde\tsplit"]
    for number in range(60):
        english, german = verbs[number % 2]
        thing = things[number % 3]
        split = "test" if number < 8 else "validation" if number < 16 else "train"
        lines.append(f"it {english} {thing} {number}\tes {german} {thing} {number}\t{split}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def texts_for_a_job(path: Path, *, longer: bool = False) -> Path:
    """Ninety sentences, half of them positive; half of them longer if asked for."""
    random = np.random.default_rng(1)
    words = {"positive": ["good", "fine", "great"], "negative": ["bad", "dull", "poor"]}
    lines = ["text\tlabel"]
    for number in range(90):
        label = ("positive", "negative")[number % 2]
        rest = " as it is" * 2 if longer and number % 4 < 2 else ""
        lines.append(f"scene {number} is {random.choice(words[label])} enough{rest}\t{label}")
    path.write_text("\n".join(lines) + "\n")
    return path


def tagged_texts_for_a_job(path: Path) -> Path:
    """Ninety sentences with none, one or both of two labels."""
    random = np.random.default_rng(3)
    lines = []
    for number in range(90):
        labels = [name for name in ("晴", "warm") if random.random() < 0.4]
        text = f"day {number} was {' and '.join(labels) or 'dull'}"
        lines.append(json.dumps({"text": text, "labels": labels}, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def command(arguments: list[str], environment: dict[str, str], log: str) -> None:
    """Run the command line in this process, as `python -m septet` would, output to `log`."""
    os.environ.update(environment)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    from septet.cli.main import main

    main(arguments)


class Driver:
    """Starts training processes on one job, each point in a folder of runs of its own."""

    def __init__(self, job: Job, folder: Path):
        """Keep everything under `folder`."""
        self.job = job
        self.folder = folder
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["tests.runs.preload"])

    def start(
        self,
        runs: Path,
        arguments: list[str],
        *,
        kill_after_s: float | None = None,
        **environment: str,
    ) -> tuple[int, str]:
        """Exit code (negative: the signal) and output of one process."""
        runs.mkdir(parents=True, exist_ok=True)
        log = runs / "output.txt"
        values = {"SEPTET_RUNS": str(runs), **environment}
        process = self.context.Process(target=command, args=(arguments, values, str(log)))
        with ASKING:
            process.start()
        if not wait([process.sentinel], kill_after_s):
            process.kill()
            wait([process.sentinel])
        with ASKING:
            process.join()
        assert process.exitcode is not None
        return process.exitcode, log.read_text() if log.exists() else ""

    @cached_property
    def whole(self) -> tuple[dict[str, str], int, float]:
        """The uninterrupted run, made once: what it ends with, its operations, its seconds."""
        runs, operations = self.folder / "whole", self.folder / "operations.log"
        begin = time.monotonic()
        code, output = self.start(runs, self.job.train(), SEPTET_FAULT_LOG=str(operations))
        assert code == 0, output
        seconds = time.monotonic() - begin
        return outcome(runs / "job"), len(operations.read_text().splitlines()), seconds

    def point(self, name: str, fault: str) -> tuple[int, str, dict[str, str]]:
        """Train under `fault`, continue without it: (exit code, output, what it ended with)."""
        runs = self.folder / name
        code, output = self.start(runs, self.job.train(), SEPTET_FAULT=fault)
        if not (runs / "job" / "config.json").exists():
            # It ended before the run existed: there is nothing to lose, and one begins again.
            resumed, text = self.start(runs, self.job.train())
        else:
            resumed, text = self.start(runs, ["resume", "job"])
        assert resumed == 0, f"{fault}: {text}"
        return code, output, outcome(runs / "job")


def outcome(run: Path) -> dict[str, str]:
    """SHA-256 of the shipped weights, of the last whole state, and of the log; what was learned."""
    last = sorted((run / "checkpoints").glob("step-*"))[-1]
    files = {
        "weights": run / "model" / "weights.safetensors",
        "state": last / "tensors.safetensors",
        "log": run / "log.jsonl",
    }
    found: dict[str, Any] = {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()
    }
    receipt = json.loads((run / "receipt.json").read_text())
    found["prepared"] = json.loads((run / "model" / "model.json").read_text())["prepared"]
    return {**found, "receipt": receipt["weights"] + receipt["log"], "step": last.name}
