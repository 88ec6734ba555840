"""How far are Septet's layers and networks from PyTorch's on copied weights?

    python benchmarks/parity.py

Prints a table of the largest absolute differences, forwards and backwards, over the variants
of each layer and network, as the engine runs them on a CPU (lowered), or with `--plain` as
Keras on JAX does; then one JSON line. What PyTorch computed was recorded by
`scripts/torch_reference`.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import septet

from processes import machine  # isort: skip
from tests.models.parity.cases import CASES  # isort: skip
from tests.models.parity.comparing import KINDS, differences  # isort: skip

HEADINGS = ("outputs", "gradients of weights", "gradients of inputs", "statistics")


def main() -> None:
    """Compare all, print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="what a name must begin with")
    parser.add_argument("--plain", action="store_true", help="without the lowering")
    arguments = parser.parse_args()
    rows: dict[str, dict[str, float]] = defaultdict(dict)
    variants: dict[str, int] = defaultdict(int)
    for name, case in CASES.items():
        if not name.startswith(arguments.only):
            continue
        what = name.partition(":")[0]
        variants[what] += 1
        for kind, apart in differences(case, not arguments.plain).items():
            rows[what][kind] = max(rows[what].get(kind, 0.0), apart)
    print(table(rows, variants))
    report = {
        "benchmark": "parity",
        "version": septet.__version__,
        "machine": machine(),
        "comparisons": sum(variants.values()),
        "largest": max(apart for row in rows.values() for apart in row.values()),
    }
    print(json.dumps(report))


def table(rows: dict[str, dict[str, float]], variants: dict[str, int]) -> str:
    """In Markdown."""
    lines = [
        f"| layer or network | variants | {' | '.join(HEADINGS)} |",
        "|---|---|" + "---|" * len(HEADINGS),
    ]
    for what, row in rows.items():
        cells = (f"{row[kind]:.1e}" if kind in row else "" for kind in KINDS)
        lines.append(f"| {what} | {variants[what]} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
