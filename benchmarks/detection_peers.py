"""How well does a detector find things after the same time in Septet and in PyTorch?

    septet data fetch scenes
    python benchmarks/detection_peers.py --minutes 20

Both train from scratch on the 4,000 training scenes, alone, in a process of their own, on the
same cores, and are scored by pycocotools on the 500 test scenes. Septet's time is that of
`septet train --minutes`, with everything in it; PyTorch's is its training loop alone.

The peer is the same network (FCOS family, same backbone, pyramid, head, losses, assignment,
augmentation, batch and optimizer) in a plain eager PyTorch loop, in an environment that this
script makes. torchvision and ultralytics, which needs it, are left out: torchvision's builds
want the torch of their own index, whose CPU builds are not those of the package index.
KerasHub's RetinaNet is left out, too: it is another and larger network, meant to start from
pretrained weights. The last line is JSON.
"""

import argparse
import json
import sys
from pathlib import Path

from processes import environment_with, machine, run_peer

from septet import registry


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="the folder of scenes, if it is not fetched")
    parser.add_argument(
        "--only", choices=["septet", "torch"], nargs="+", default=["septet", "torch"]
    )
    parser.add_argument("--set", action="append", default=[], metavar="GROUP.NAME=VALUE")
    parser.add_argument("--python", help="an environment with torch, numpy, pillow, pycocotools")
    return parser.parse_args()


def main() -> None:
    options = parse()
    data = options.data or registry.sample("scenes").path()
    timeout_s = 900 + 90 * options.minutes
    results = []
    for name in options.only:
        arguments = [data, options.minutes, options.seed]
        if name == "septet":
            arguments += options.set
            python: str | Path = sys.executable
        else:
            packages = ["torch==2.13.0", "numpy", "pillow", "pycocotools"]
            python = environment_with("detection", packages, options.python)
        result = run_peer(python, f"detection_{name}.py", arguments, timeout_s=timeout_s)
        print(f"{name}: mAP@.5 {result['map_50']:.4f}, mAP {result['map']:.4f}", flush=True)
        results.append({"peer": name, **result})
    question = {"benchmark": "detection_peers", "minutes": options.minutes, "seed": options.seed}
    print(json.dumps({**question, "machine": machine(), "peers": results}))


if __name__ == "__main__":
    main()
