"""Build the wheel, look into it, install it somewhere new and use it from there."""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIZE_LIMIT = 5_000_000
NEEDED = (
    "septet/py.typed",
    "septet/data/embedded/LICENSES.md",
    "septet/engine/native/attention.c",
    "septet/engine/native/calls.h",
    "septet/data/licences/fashion-mnist-licence.txt",
    "septet/data/embedded/breast-cancer.csv",
    "septet/data/licences/libreoffice-licence.txt",
    "septet/data/embedded/number-words.tsv",
    "septet/data/embedded/diabetes.csv",
    "septet/data/embedded/fashion-sample.npz",
    "septet/data/embedded/nyc-temperature.csv",
    "septet/data/licences/nyc-weather-licence.txt",
)
USE = """
import sys
import septet
from septet import registry
assert septet.__file__.startswith(sys.argv[1]), septet.__file__
for name in registry.SAMPLES:
    sample = registry.sample(name)
    if sample.made:
        assert any(sample.path().iterdir()), name
    else:
        assert sample.fetchable or sample.path().stat().st_size == sample.size, name
"""


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, cwd=ROOT)


def check_contents(wheel: Path) -> None:
    """Exit with a message unless everything that ships is in, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    missing = [name for name in NEEDED if name not in names]
    source = {path.relative_to(ROOT).as_posix() for path in (ROOT / "septet").rglob("*.py")}
    missing += sorted(source - set(names))
    foreign = [name for name in names if name.split("/")[0] not in ("septet",)]
    foreign = [name for name in foreign if ".dist-info/" not in name]
    if missing or foreign:
        sys.exit(f"{wheel.name} lacks {missing} and should not hold {foreign}")
    if wheel.stat().st_size > SIZE_LIMIT:
        sys.exit(f"{wheel.name} has {wheel.stat().st_size} bytes, more than {SIZE_LIMIT}")


def check_use(wheel: Path, folder: Path) -> None:
    """Install the wheel alone into `folder` and read its data from there."""
    pip("install", "--no-deps", "--no-compile", "--target", str(folder), str(wheel))
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", USE, str(folder)]
    subprocess.run(command, check=True, cwd=folder, env=environment)
    command = [sys.executable, "-m", "septet", "--version"]
    subprocess.run(command, check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        built = Path(scratch) / "built"
        pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built), ".")
        (wheel,) = built.glob("*.whl")
        check_contents(wheel)
        check_use(wheel, Path(scratch) / "installed")
        print(f"wheel: {wheel.name}, {wheel.stat().st_size:,} bytes, installs and works")


if __name__ == "__main__":
    main()
