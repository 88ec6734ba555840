"""The public surface: what `septet` offers, and that asking for little loads little."""

import json
import subprocess
import sys

import pytest

import septet

HEAVY = ("keras", "jax", "numpy", "PIL", "matplotlib", "pyarrow", "scipy", "tensorflow", "torch")


def loaded_by(code: str) -> set[str]:
    """Top names in `sys.modules` after `code` ran in a new process."""
    code += "\nimport json, sys\nprint(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import septet",
        "import septet.registry, septet.errors",
        "from septet import registry; [registry.sample(name) for name in registry.SAMPLES]",
    ],
)
def test_import_loads_nothing_heavy(code):
    assert loaded_by(code) & set(HEAVY) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import contextlib, io, sys\n"
        f"sys.argv = ['septet', *{arguments!r}]\n"
        "from septet.cli.main import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main()"
    )
    assert loaded_by(code) & set(HEAVY) == set()


def test_public_names_are_sorted_and_nothing_else_leaks():
    assert septet.__all__ == sorted(septet.__all__)
    assert set(dir(septet)) == set(septet.__all__)


@pytest.mark.parametrize("name", [name for name in septet.__all__ if not name.startswith("__")])
def test_public_name_exists_and_is_documented(name):
    function = getattr(septet, name)
    assert callable(function)
    assert (function.__doc__ or "").strip()


def test_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = septet.trian


def test_a_chosen_keras_backend_is_respected():
    code = (
        "import os; os.environ['KERAS_BACKEND'] = 'torch'; import septet; "
        "print(os.environ['KERAS_BACKEND'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "torch"
