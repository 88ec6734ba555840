"""The house: imports go down the list of DESIGN.md, never up, and fields never meet."""

import ast
import sys
from pathlib import Path

import pytest

import septet

PACKAGE = Path(septet.__file__).parent
# From the top; a room may import from the rooms of lower rows and from itself.
ROWS = (
    ("__main__",),
    ("cli", "serve"),
    ("api",),
    ("fitting", "inspection"),
    ("language", "tables", "vision"),
    ("models",),
    ("runs",),
    ("engine",),
    ("evaluation",),
    ("data",),
    ("registry", "task", "config", "backends", "errors", "version"),
)
HEIGHT = {room: len(ROWS) - row for row, rooms in enumerate(ROWS) for room in rooms}
BANNED_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
BANNED_CALLS = {"eval", "exec", "compile", "__import__"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imported(tree: ast.AST) -> set[str]:
    """Every module that is named in an import anywhere in `tree`, in functions too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write the whole name of the module"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def at_import_time(tree: ast.Module) -> set[str]:
    """Top packages that are imported when the module is."""
    names = set()
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            names.update(name.split(".")[0] for name in imported(ast.Module([node], [])))
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            if not is_type_checking(node):
                pending.extend(ast.iter_child_nodes(node))
    return names


def uphill(path: Path) -> list[str]:
    """Rooms that the module imports although they are not below its own."""
    own = room_of(path)
    rooms = {
        name.split(".")[1]
        for name in imported(tree_of(path))
        if name.startswith("septet.") and name.split(".")[1] in HEIGHT
    }
    return sorted(room for room in rooms if room != own and HEIGHT[room] >= HEIGHT[own])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_only_from_rooms_below_its_own(path):
    if path == PACKAGE / "__init__.py":
        pytest.skip("the public names come from api, on first use")
    if room_of(path) in ROWS[-1]:
        allowed = set(ROWS[-1])
        found = {
            name.split(".")[1]
            for name in at_type_free(path)
            if name.startswith("septet.") and name.split(".")[1] in HEIGHT
        }
        assert found <= allowed
        return
    assert uphill(path) == []


def at_type_free(path: Path) -> set[str]:
    """Imports of a module of the lowest row, but for those that only type checkers see."""
    tree = tree_of(path)
    tree.body = [node for node in tree.body if not is_type_checking(node)]
    return imported(tree)


def test_every_room_has_its_row():
    rooms = {room_of(path) for path in MODULES} - {"__init__"}
    assert rooms <= set(HEIGHT)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_executes_nothing_that_a_file_could_name(path):
    tree = tree_of(path)
    tops = {name.split(".")[0] for name in imported(tree)}
    calls = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    arguments = {
        ast.unparse(keyword)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
    }
    assert tops & BANNED_MODULES == set()
    assert calls & BANNED_CALLS == set()
    assert not arguments & {"allow_pickle=True", "shell=True", "safe_mode=False"}


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if room_of(path) in ("data", "evaluation", "cli", *ROWS[-1])],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_light_module_does_not_import_keras_or_jax_at_its_top(path):
    assert (
        at_import_time(tree_of(path))
        & {"keras", "jax", "matplotlib", "PIL", "pyarrow", "tokenizers"}
        == set()
    )


def test_uphill_import_is_found(tmp_path, monkeypatch):
    (tmp_path / "engine").mkdir()
    path = tmp_path / "engine" / "wrong.py"
    path.write_text(
        "def f():\n    from septet.runs import folder\n    import septet.data.account\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    assert uphill(path) == ["runs"]
