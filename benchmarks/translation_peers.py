"""How well does the same Transformer translate after the same time in Septet and in PyTorch?

    septet data fetch libreoffice-en-de
    pip install '.[language]'
    python benchmarks/translation_peers.py --minutes 30

English into German, sentences of LibreOffice's help, CPU; tokens, sizes of the network, loss,
optimizer and highest rate are the same. PyTorch trains for so many minutes in a plain loop
over batches of about one length; for Septet, reading, compiling, translating the test and the
report lie within them, too. Both are scored on the test split by greedy search, and Septet by its
own search as well, and says how long one sentence takes. The last line is JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from processes import environment_with, machine, run_peer

import septet
from septet import api, registry
from septet.config import parse_settings
from septet.language.tokenizing import tokenizer_of
from septet.language.translation import PreparedTranslation
from septet.language.translation_scores import corpus_scores
from septet.runs.folder import runs_root
from septet.runs.session import read


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default="libreoffice-en-de", help="a sample's name or a table")
    parser.add_argument("--set", action="append", default=[], metavar="GROUP.NAME=VALUE")
    parser.add_argument("--only", choices=("septet", "torch"), nargs="+",
                        default=["septet", "torch"])  # fmt: skip
    parser.add_argument("--torch-python", help="Python with torch and numpy")
    return parser.parse_args()


def write_tokens(path: Path, splits: dict[str, Any], tokenizer: Any) -> None:
    """Both sides of all splits as token numbers, one after another, and their lengths."""
    arrays = {}
    for name, split in splits.items():
        sides = {"source": split.examples["texts"].tolist(), "target": split.targets.tolist()}
        for side, texts in sides.items():
            ids = tokenizer.encode(texts)
            arrays[f"{name}_{side}"] = np.concatenate(ids)
            arrays[f"{name}_{side}_lengths"] = np.array([len(each) for each in ids])
    np.savez(path, **arrays)


def scores(texts: list[str], references: list[str], prepared: PreparedTranslation) -> dict:
    found = corpus_scores(texts, references, prepared.score_tokenizer)
    return {**found["scores"], "intervals": found["intervals"], "signatures": found["signatures"]}


def warm_ms(model: Any, **options: Any) -> float:
    """Milliseconds of one sentence's answer, median of twenty after the first two."""
    seconds = []
    for _ in range(22):
        begin = time.perf_counter()
        model.predict("Click the button.", **options)
        seconds.append(time.perf_counter() - begin)
    return round(1e3 * statistics.median(seconds[2:]), 1)


def main() -> None:
    options = parse()
    known = options.data in registry.SAMPLES
    data = registry.sample(options.data).path() if known else Path(options.data)
    settings = parse_settings(options.set)
    config = api.resolve_config(
        "translation", data, settings, minutes=options.minutes, seed=options.seed
    )
    material = read(config)
    prepared = PreparedTranslation.model_validate(material.prepared)
    tokenizer = tokenizer_of(prepared.tokenizer)
    test = material.dataset.splits["test"]
    references, asked = test.targets.tolist(), test.examples["texts"].tolist()
    _, sizes = material.task.architecture(
        material.prepared, material.task.model_options.model_validate(config.model)
    )
    result: dict[str, Any] = {"machine": machine(), "minutes": options.minutes, "sizes": sizes}
    if "septet" in options.only:
        run = septet.train(
            "translation", data, settings=settings, minutes=options.minutes, seed=options.seed
        )
        model = run.load()
        answer_ms = {"as usual": warm_ms(model), "greedy": warm_ms(model, beams=1)}
        greedy = [str(answer) for answer in model.predict(asked, beams=1)]
        result["septet"] = {
            **run.scores,
            "greedy": scores(greedy, references, prepared),
            "answer_ms": answer_ms,
            "folder": str(run.folder.relative_to(runs_root())),
        }
        print(f"Septet: {result['septet']}", flush=True)
    if "torch" in options.only:
        python = environment_with("torch", ["torch==2.13.0", "numpy"], options.torch_python)
        with tempfile.TemporaryDirectory() as folder:
            tokens, found = Path(folder) / "tokens.npz", Path(folder) / "found.json"
            write_tokens(tokens, material.dataset.splits, tokenizer)
            training = config.training
            how = {
                **sizes,
                "seconds": 60 * options.minutes,
                "seed": options.seed,
                "learning_rate": training.learning_rate,
                "warmup": training.warmup,
                "smoothing": training.label_smoothing,
                "weight_decay": training.weight_decay,
                "clip_norm": training.clip_norm,
                "average_decay": training.average_decay,
                "tokens": training.batch_size * prepared.target_length,
                "growth": prepared.growth,
            }
            peer = run_peer(
                python,
                "translation_torch.py",
                [tokens, json.dumps(how), found],
                timeout_s=1200 + 200 * options.minutes,
            )
            ids = json.loads(found.read_text())
        texts = [tokenizer.decode(row) for row in ids]
        result["torch"] = {**peer, "greedy": scores(texts, references, prepared)}
        print(f"PyTorch: {result['torch']}", flush=True)
    print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
