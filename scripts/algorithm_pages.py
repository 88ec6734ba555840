"""The examples of docs/algorithms: taken from the pages, run, and their results compared.

    python -m scripts.algorithm_pages lstm gan    # run these, say what differs
    python -m scripts.algorithm_pages --write     # run all, write results and Chinese pages' code
    python -m scripts.algorithm_pages --copy      # run nothing, write the Chinese pages' code

A page's Python blocks are one program. Under each block that prints stands a `text` block with
what it printed. The Chinese page of a name has the code and the results of the English one.
"""

import argparse
import contextlib
import io
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "algorithms"
NAMES = (
    "network",
    "propagation",
    "losses",
    "optimizers",
    "feed-forward",
    "cnn",
    "rnn",
    "lstm",
    "gru",
    "transformer",
    "gan",
)
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.M | re.S)
DECIMAL = re.compile(r"-?\d+\.\d+(?:e[-+]\d+)?")
TOLERANCE = 0.06
"""Absolute, of printed decimals: other processors round otherwise, and training carries it on."""
TOLERANCES = {"propagation": 2e-3, "gan": 0.2}
"""Of a page that trains for a moment, and of a game of two, which soon goes another way."""


@dataclass(frozen=True)
class Block:
    """One piece of a page's program and what stands under it."""

    code: str
    result: str


def page(name: str, language: str = "") -> Path:
    """The file of a page; `language` is "" or ".zh-CN"."""
    return FOLDER / f"{name}{language}.md"


def blocks(text: str) -> list[Block]:
    """The program of a page, piece by piece."""
    return [Block(found[1], found[2] or "") for found in BLOCK.finditer(text)]


def run(program: list[Block]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(what it printed, the names so far) after each piece."""
    names: dict[str, Any] = {"__name__": "__page__"}
    for number, block in enumerate(program, 1):
        printed = io.StringIO()
        code = compile(block.code, f"<block {number}>", "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        yield printed.getvalue(), names


def difference(name: str, printed: str, expected: str) -> str | None:
    """Where two results differ in words, whole numbers, or decimals beyond the tolerance."""
    tolerance = TOLERANCES.get(name, TOLERANCE)
    lines, wanted = printed.splitlines(), expected.splitlines()
    if len(lines) != len(wanted):
        return f"{len(lines)} lines were printed and {len(wanted)} are on the page:\n{printed}"
    for line, want in zip(lines, wanted, strict=True):
        same = _words(line) == _words(want) and all(
            abs(float(a) - float(b)) <= tolerance
            for a, b in zip(DECIMAL.findall(line), DECIMAL.findall(want), strict=True)
        )
        if not same:
            return f"printed {line!r}; the page has {want!r}"
    return None


def _words(line: str) -> list[str]:
    return DECIMAL.sub("#", line).split()


def with_blocks(text: str, program: list[Block]) -> str:
    """A page with its code and results replaced, in order."""
    pieces = iter(program)

    def replaced(_: re.Match[str]) -> str:
        block = next(pieces)
        result = f"\n```text\n{block.result}```\n" if block.result else ""
        return f"```python\n{block.code}```\n{result}"

    return BLOCK.sub(replaced, text)


def write(name: str, program: list[Block]) -> None:
    """Put code and results into both pages of a name."""
    for language in ("", ".zh-CN"):
        path = page(name, language)
        if path.exists():
            path.write_text(with_blocks(path.read_text(encoding="utf-8"), program), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--write", action="store_true", help="write what came out into the pages")
    parser.add_argument("--copy", action="store_true", help="run nothing; write the Chinese pages")
    options = parser.parse_args()
    if options.copy:
        for name in options.names or NAMES:
            write(name, blocks(page(name).read_text(encoding="utf-8")))
        return
    problems = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ["SEPTET_RUNS"] = folder
        for name in options.names or NAMES:
            begin = time.process_time()
            program = blocks(page(name).read_text(encoding="utf-8"))
            results = [printed for printed, _ in run(program)]
            found = [
                difference(name, printed, block.result)
                for printed, block in zip(results, program, strict=True)
            ]
            problems += [f"{name}: {problem}" for problem in found if problem]
            if options.write:
                made = [Block(b.code, r) for b, r in zip(program, results, strict=True)]
                write(name, made)
            used_s = time.process_time() - begin
            print(f"{name}: {len(program)} blocks ran, {used_s:.0f} s of CPU", flush=True)
    if problems and not options.write:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
