"""The pages of docs/algorithms: their programs run and print what is on them, in both languages."""

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from scripts.algorithm_pages import FOLDER, NAMES, Block, blocks, difference, page, run, with_blocks

CHINESE = ".zh-CN"
SECTIONS = {
    "": ("## Equations", "## Example", "## When to ", "## Sources"),
    CHINESE: ("## 公式", "## 示例", "## (?:何时|如何)", "## 参考文献"),
}
MATH_BLOCK = re.compile(r"^```math\n(.*?)^```", re.M | re.S)
MATH = re.compile(r"\$[^$\n]+\$")
LARGEST_BYTES = 60_000


def text_of(name: str, language: str = "") -> str:
    return page(name, language).read_text(encoding="utf-8")


# Two players for 40 epochs, two Transformers.
LONG = ("gan", "transformer")


# Keras' variables give NumPy 2 a DeprecationWarning, which Python does not show to users either.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in NAMES],
)
def test_example_prints_what_is_on_the_page(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEPTET_RUNS", str(tmp_path / "runs"))
    program = blocks(text_of(name))
    assert any(block.result for block in program)
    for block, (printed, _) in zip(program, run(program), strict=True):
        assert difference(name, printed, block.result) is None


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_have_the_same_program_results_equations_and_pictures(name):
    english, chinese = text_of(name), text_of(name, CHINESE)
    assert blocks(english) == blocks(chinese)
    counts = [len(re.findall("^```python$", text, re.M)) for text in (english, chinese)]
    assert counts == [len(blocks(english))] * 2
    without_words = [
        [
            re.sub(r"\\text\{[^}]*\}|[^\x00-\x7f]|\s", "", found)
            for found in MATH_BLOCK.findall(text)
        ]
        for text in (english, chinese)
    ]
    # What stands in \text may be in another order in the other language.
    assert len(without_words[0]) == len(without_words[1])
    for ours, theirs in zip(*without_words, strict=True):
        assert sorted(ours) == sorted(theirs)
    pictures = [re.findall(r"!\[[^\]]+\]\((\S+)\)", text) for text in (english, chinese)]
    assert pictures[0] == pictures[1]
    assert pictures[0][0] == f"{name}.png"


@pytest.mark.parametrize("language", ["", CHINESE])
@pytest.mark.parametrize("name", NAMES)
def test_page_has_its_parts_and_is_linked(name, language):
    text = text_of(name, language)
    places = [re.search(f"^{section}", text, re.M) for section in SECTIONS[language]]
    starts = [place.start() for place in places if place]
    assert len(starts) == len(places)
    assert starts == sorted(starts)
    index = (FOLDER / f"README{language}.md").read_text(encoding="utf-8")
    assert f"]({name}{language}.md)" in index
    assert f"]({name}{'' if language else CHINESE}.md)" in text


NAMED = re.compile(r"`(septet(?:\.\w+)+)(\([^`]*\))?`")


def what_is_named(dotted: str) -> Any:
    """The module or object that a page calls by its full name."""
    words = dotted.split(".")
    for end in range(len(words), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(words[:end]))
        except ModuleNotFoundError:
            continue
        for word in words[end:]:
            found = getattr(found, word)
        return found
    raise ModuleNotFoundError(dotted)


def arguments_of(call: str) -> list[str]:
    """The names of the arguments in "(a=1, ...)"."""
    tree = ast.parse(f"f{call.replace(', ...', '').replace('...', '')}", mode="eval").body
    assert isinstance(tree, ast.Call)
    return [keyword.arg for keyword in tree.keywords if keyword.arg]


DOCUMENTS = sorted(FOLDER.parent.rglob("*.md"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_function_that_a_page_names_is_there_with_its_arguments(path: Path):
    for dotted, call in NAMED.findall(path.read_text("utf-8")):
        found = what_is_named(dotted)
        if call:
            assert set(arguments_of(call)) <= set(inspect.signature(found).parameters), dotted


def test_a_function_or_argument_that_is_not_there_is_found():
    with pytest.raises(AttributeError, match="no_such"):
        what_is_named("septet.models.dense.no_such")
    assert arguments_of("(input_dim=30, hidden=[16], ...)") == ["input_dim", "hidden"]


def test_readmes_link_to_the_index_of_their_language():
    for language in ("", CHINESE):
        text = (FOLDER.parent.parent / f"README{language}.md").read_text(encoding="utf-8")
        assert f"](docs/algorithms/README{language}.md)" in text


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.md")), ids=lambda path: path.name)
def test_equations_in_a_line_stand_where_github_draws_them(path: Path):
    for line in re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.M | re.S).splitlines():
        line = re.sub(r"`[^`]*`", "code", line)
        assert line.count("$") % 2 == 0, line
        for found in MATH.finditer(line):
            before, after = line[: found.start()][-1:], line[found.end() :][:1]
            assert before in ("", " ", "("), line
            assert after in ("", " ", ",", ".", ";", ":", ")", "|"), line


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.png")), ids=lambda path: path.name)
def test_picture_is_small_and_used(path: Path):
    assert path.stat().st_size < LARGEST_BYTES
    assert any(f"]({path.name})" in text_of(name) for name in NAMES)


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        ("loss 0.58, 3 epochs\n", None),
        ("loss 0.60, 3 epochs\n", "the page has 'loss 0.52, 3 epochs'"),
        ("loss 0.52, 4 epochs\n", "printed 'loss 0.52, 4 epochs'"),
        ("gain 0.52, 3 epochs\n", "printed 'gain 0.52, 3 epochs'"),
        ("loss 0.52, 3 epochs\nmore\n", "2 lines were printed and 1 are on the page"),
        ("", "0 lines were printed and 1 are on the page"),
    ],
)
def test_a_result_that_differs_is_found(printed, message):
    found = difference("lstm", printed, "loss 0.52, 3 epochs\n")
    assert found is None if message is None else message in found
    assert difference("propagation", "loss 0.53\n", "loss 0.52\n") is not None


def test_writing_replaces_code_and_results_and_nothing_else():
    text = "# Page\n\n```python\nold\n```\n\n```text\n1\n```\n\nwords\n\n```python\n```\n\nend\n"
    program = [Block("a = 1\n", ""), Block("print(a)\n", "1\n")]
    written = with_blocks(text, program)
    assert blocks(written) == program
    assert written.startswith("# Page\n\n```python\na = 1\n```\n")
    assert written.endswith("words\n\n```python\nprint(a)\n```\n\n```text\n1\n```\n\nend\n")
    assert [printed for printed, _ in run(program)] == ["", "1\n"]
