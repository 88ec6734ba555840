"""How well and how fast does the same GPT train and write in Septet and in a PyTorch loop?

    septet data fetch austen
    python benchmarks/text_generation_peers.py --minutes 15

A character model of 10.8 million parameters (dimension 384, six blocks of six heads, rotary
positions, tied embeddings, windows of 256, batches of 8, AdamW at 2e-3 with a one-cycle schedule)
on the six novels, the last 5 % of each held out, CPU. Each trains alone, in its own process.
Septet's minutes have everything in them (reading, compiling, scores, report), PyTorch's the
training alone. Then both write with Septet's weights, one text, keys and values kept: the same
characters at temperature 0, and how many a second, there and at temperature 0.8. The last line is
JSON. With `--keep FOLDER` the run stays there, and `--writing-alone` writes with it again.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from processes import environment_with, machine, run_peer

from septet import registry


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15.0, help="of training, each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default="austen", help="a sample's name or a path")
    parser.add_argument(
        "--set", dest="pairs", action="append", default=[], help="as in septet train"
    )
    parser.add_argument("--tokens", type=int, default=200, help="written in each timed text")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of the run and its weights")
    parser.add_argument("--writing-alone", action="store_true", help="with what is in --keep")
    parser.add_argument("--torch-python", help="Python with torch, numpy")
    return parser.parse_args()


def main() -> None:
    options = parse()
    known = options.data in registry.SAMPLES
    data = registry.sample(options.data).path() if known else Path(options.data)
    torch = environment_with("torch", ["torch==2.13.0", "numpy"], options.torch_python)
    patience = 900 + 90 * options.minutes
    if options.writing_alone and options.keep is None:
        raise SystemExit("--writing-alone writes with what an earlier --keep FOLDER left; name it.")
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    kept = None if options.keep is None else contextlib.nullcontext(str(options.keep.resolve()))
    with kept or tempfile.TemporaryDirectory() as folder:
        settings = {
            "data": str(data), "minutes": options.minutes, "seed": options.seed,
            "pairs": options.pairs, "tokens": options.tokens, "repeats": options.repeats,
            "folder": folder, "trains": not options.writing_alone,
        }  # fmt: skip
        given = json.dumps(settings)
        ours = run_peer(sys.executable, "text_septet.py", [given], timeout_s=patience)
        print(f"septet: {ours}", file=sys.stderr, flush=True)
        theirs = run_peer(torch, "text_torch.py", [given], timeout_s=patience)
        print(f"torch:  {theirs}", file=sys.stderr, flush=True)
    written = ours.pop("written"), theirs.pop("written")
    result: dict[str, Any] = {
        "septet": ours,
        "torch": theirs,
        "same_text": written[0] == written[1],
    }
    for name, value in ours.items():
        print(f"{name:<32}septet {value:12.4f}   torch {theirs[name]:12.4f}")
        if "_per_s" in name:
            result[f"{name}, ratio"] = value / theirs[name]
    print(json.dumps(result | {"machine": machine()}))


if __name__ == "__main__":
    main()
