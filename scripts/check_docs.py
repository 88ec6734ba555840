"""Check that what the documents name exists: linked files, headings, commands, make targets."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE_BLOCK = re.compile(r"^```(?:bash|sh|console|text)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)


def documents() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def anchor(heading: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def broken_links(document: Path) -> list[str]:
    """Links to files and headings that are not there; the web is not asked."""
    problems = []
    for link in LINK.findall(FENCED.sub("", document.read_text(encoding="utf-8"))):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, fragment = link.partition("#")
        target = (document.parent / path) if path else document
        if not target.exists():
            problems.append(f"links to '{link}', which does not exist")
        elif fragment and target.suffix == ".md":
            headings = HEADING.findall(target.read_text(encoding="utf-8"))
            if fragment not in map(anchor, headings):
                problems.append(f"links to '{link}', but no heading there is called so")
    return problems


def help_commands() -> set[str]:
    """The subcommands that `septet --help` lists."""
    command = [sys.executable, "-m", "septet", "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^\s+([a-z]+)(?:\s|$)", shown, re.MULTILINE))


def bad_commands(document: Path, commands: set[str], targets: set[str]) -> list[str]:
    """Commands in code blocks whose subcommand, target or script is not there."""
    problems = []
    for block in CODE_BLOCK.findall(document.read_text(encoding="utf-8")):
        for line in block.splitlines():
            words = line.removeprefix("$ ").split("#")[0].split()
            if len(words) < 2 or words[1].startswith("-"):
                continue
            if words[0] == "septet" and words[1] not in commands:
                problems.append(f"shows '{line.strip()}', but there is no 'septet {words[1]}'")
            if words[0] == "make" and words[1] not in targets:
                problems.append(f"shows '{line.strip()}', but there is no target '{words[1]}'")
            if words[0] == "python" and words[1].endswith(".py") and "/" in words[1]:
                if not (ROOT / words[1]).is_file():
                    problems.append(f"shows '{line.strip()}', but there is no {words[1]}")
    return problems


def main() -> None:
    commands = help_commands()
    targets = set(TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    problems = [
        f"{document.relative_to(ROOT)} {problem}"
        for document in documents()
        for problem in broken_links(document) + bad_commands(document, commands, targets)
    ]
    if problems:
        sys.exit("\n".join(problems))
    print(f"docs: {len(documents())} files, all links and commands exist")


if __name__ == "__main__":
    main()
