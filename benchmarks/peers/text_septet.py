"""`septet train text-generation` for some minutes, then text written by its model.

    python text_septet.py SETTINGS_AS_JSON

Leaves in the folder what the other peer needs: tokens, settings and the trained weights.
"""

import functools
import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

import septet
from septet import registry
from septet.config import parse_settings, validate
from septet.language.corpus_checks import texts_of
from septet.language.packing import characters_of_each, packed, side_by_side
from septet.language.tokenizer_schema import PreparedTokenizer
from septet.language.tokenizing import tokenizer_of
from septet.models.writing import Choice, Writer
from septet.runs.observer import Observer

PROMPT = 64
"""Tokens that are gone on from."""
TEMPERATURES = (0.0, 0.8)


class Speeds(Observer):
    """Keeps the speed of every chunk."""

    def __init__(self):
        self.steps_per_s: list[float] = []

    def progress(self, progress):
        self.steps_per_s.append(progress.steps_per_s)


def main(given):
    folder = Path(given["folder"])
    os.environ["SEPTET_RUNS"] = str(folder / "runs")
    found = train(given, folder) if given["trains"] else {}
    model = septet.load(folder / "runs" / "peer" / "model")
    prompt = np.array([json.loads((folder / "shared.json").read_text())["prompt"]], np.int32)
    # Compiled and warm.
    for temperature in TEMPERATURES:
        write(model, prompt, given, temperature)
    for temperature in TEMPERATURES:
        written, found[f"write_tokens_per_s at {temperature}"] = write(
            model, prompt, given, temperature
        )
        if not temperature:
            found["written"] = written
    print(json.dumps(found))


def train(given, folder):
    """Scores and speed; leaves in the folder what the other peer needs."""
    observer = Speeds()
    run = septet.train(
        "text-generation",
        given["data"],
        settings=parse_settings(given["pairs"]),
        minutes=given["minutes"],
        seed=given["seed"],
        name="peer",
        observer=observer,
    )
    config = json.loads((run.folder / "config.json").read_text())
    model = run.load()
    training, prepared = config["training"], model.prepared
    tokenizer = tokenizer_of(PreparedTokenizer.model_validate(prepared["tokenizer"]))
    task = registry.task("text-generation")
    options = validate(task.data_options, config["data"], "data")
    splits = task.read(Path(given["data"]), options, given["seed"]).splits
    _, targets = side_by_side(packed(texts_of(splits["test"]), tokenizer), prepared["length"])
    inputs = task.arrays(splits["test"], prepared)[0]["tokens"]
    np.savez(
        folder / "tokens.npz",
        train=packed(texts_of(splits["train"]), tokenizer).astype(np.int32),
        test_inputs=inputs,
        test_targets=targets,
        characters=characters_of_each(tokenizer),
    )
    np.savez(
        folder / "weights.npz",
        **{weight.path: np.array(weight.value) for weight in model.network.weights},
    )
    # From within a novel: at the beginning of one, line breaks alone are likeliest to follow.
    prompt = inputs[len(inputs) // 2, :PROMPT].astype(np.int32)
    shared = {
        "arguments": model.description.arguments,
        "training": training,
        "prompt": prompt.tolist(),
        "length": prepared["length"],
    }
    (folder / "shared.json").write_text(json.dumps(shared))
    steps = observer.steps_per_s[len(observer.steps_per_s) // 5 :]
    batch = training["batch_size"] * prepared["length"]
    return {
        "bits_per_character": run.scores["bits_per_character"],
        "parameters": int(model.network.count_params()),
        "train_tokens_per_s": statistics.median(steps) * batch,
    }


def write(model, prompt, given, temperature):
    """What follows, and tokens a second: the median of some repeats, each of another seed."""
    network = model.network
    weights = (
        [variable.value for variable in network.trainable_variables],
        [variable.value for variable in network.non_trainable_variables],
    )
    # Nothing is an end, so that the number of tokens is the same for both.
    writer = writer_of(network)
    seconds = []
    for seed in range(given["repeats"]):
        choice = Choice(temperature=temperature, seed=seed)
        begin = time.perf_counter()
        pieces = list(writer.write(weights, prompt, given["tokens"], choice))
        seconds.append(time.perf_counter() - begin)
    written = np.concatenate(pieces, axis=1)[0].tolist()
    return written, given["tokens"] / statistics.median(seconds)


@functools.cache
def writer_of(network):
    return Writer(network, end=-1, banned=(0, 1, 2, 3))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
