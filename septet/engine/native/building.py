"""The machine's C compiler: found, asked what the processor has, and run for each text.

What it makes is kept in an owner-only folder under the hash of all that it was made from.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from septet.data import resources
from septet.engine.native.tiling import Vectors

COMPILERS = ("gcc", "clang", "cc")
FLAGS = (
    "-std=gnu11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast",
    "-fopenmp-simd", "-fPIC", "-pthread", "-w",
)  # fmt: skip
TIMEOUT_S = 120.0
SWITCH = "SEPTET_NATIVE"
"""Environment variable: "0" leaves everything to XLA."""
SPLIT = "SEPTET_SPLIT"
"""Environment variable: "0" multiplies all numbers as they are; see `multiply.py`."""


class NoCompilerError(Exception):
    """There is no C compiler that works here."""


@functools.cache
def compiler() -> tuple[str, Vectors]:
    """(path of the compiler, what the processor has).

    Raises:
        NoCompilerError: There is none, or it is switched off.
    """
    if os.environ.get(SWITCH, "1") == "0":
        raise NoCompilerError(f"{SWITCH} is 0.")
    for name in COMPILERS:
        path = shutil.which(name)
        if path is None:
            continue
        command = [path, *_machine(), "-dM", "-E", "-x", "c", os.devnull]
        try:
            found = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if found.returncode == 0:
            return path, _vectors(found.stdout)
    raise NoCompilerError(f"None of {', '.join(COMPILERS)} is on the PATH.")


def cores() -> int:
    """Processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def description() -> str:
    """The compiler in words, for a receipt: other machine code may round otherwise."""
    try:
        path, vectors = compiler()
    except NoCompilerError:
        return "none"
    tiles = ", tiles of bfloat16" if vectors.has_tiles and may_split() else ""
    return f"{_version(path).splitlines()[0]}, vectors of {vectors.lanes}{tiles}"


def may_split() -> bool:
    """Whether numbers may be split into halves, where the processor multiplies tiles of those."""
    return os.environ.get(SPLIT, "1") != "0"


def _machine() -> list[str]:
    is_arm = platform.machine().lower() in ("aarch64", "arm64")
    return ["-mcpu=native"] if is_arm else ["-march=native"]


def _vectors(macros: str) -> Vectors:
    if "__AVX512F__" in macros:
        return Vectors(16, 32, "__AMX_BF16__" in macros and "__AVX512BF16__" in macros)
    if "__AVX__" in macros:
        return Vectors(8, 16)
    return Vectors(4, 32 if "__ARM_NEON" in macros else 16)


def build(texts: Sequence[str], *, include: str | None = None) -> ctypes.CDLL:
    """The program that the texts are together; each is compiled by itself, at the same time.

    Args:
        texts: In C.
        include: Folder of what they include.

    Raises:
        NoCompilerError: The compiler is gone or refuses a text, or there is no room for its work.
    """
    path, vectors = compiler()
    command = [path, *FLAGS, *_machine(), f"-DLANES={vectors.lanes}"]
    if vectors.lanes == 16:
        command.append("-mprefer-vector-width=512")
    if include is not None:
        command += ["-I", include]
    key = "\n".join([*command, _version(path), platform.processor(), _cpu(), "\0".join(texts)])
    name = f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.so"
    folder = resources.owner_only(resources.cache_root() / "native")
    kept = folder / name if folder is not None else None
    if kept is not None and kept.exists():
        try:
            return ctypes.CDLL(str(kept))
        except OSError:
            kept.unlink(missing_ok=True)
    try:
        return _made(texts, command, kept)
    except OSError as error:
        # No room for what the compiler writes: XLA needs none.
        raise NoCompilerError(str(error)) from None


def _made(texts: Sequence[str], command: Sequence[str], kept: Path | None) -> ctypes.CDLL:
    """The program, compiled; a copy of it goes to `kept`."""
    with tempfile.TemporaryDirectory(prefix="septet-native-") as made:
        objects = [Path(made) / f"part{place}.o" for place in range(len(texts))]

        def compile_one(text: str, target: Path) -> None:
            source = target.with_suffix(".c")
            source.write_text(text)
            _run([*command, "-c", str(source), "-o", str(target)])

        with ThreadPoolExecutor(cores(), thread_name_prefix="septet-compiler") as pool:
            for _ in pool.map(compile_one, texts, objects):
                pass
        library = Path(made) / "step.so"
        _run([*command, "-shared", *map(str, objects), "-o", str(library), "-lm"])
        if kept is not None:
            _keep(library, kept)
        return ctypes.CDLL(str(library))


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoCompilerError(str(error)) from None
    if done.returncode:
        raise NoCompilerError(done.stderr[-2000:])


def _keep(library: Path, kept: Path) -> None:
    """Have a copy of `library` at `kept`, whole or not at all; a full disk only costs the copy.

    Synced first: code that a power cut left half written would end the process that runs it.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=kept.parent, suffix=".part") as copy:
            copy.write(library.read_bytes())
            copy.flush()
            os.fsync(copy.fileno())
            # Another process may have made the same one meanwhile: it is as good.
            with contextlib.suppress(FileExistsError):
                os.link(copy.name, kept)
    except OSError:
        pass


@functools.cache
def _version(path: str) -> str:
    found = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=TIMEOUT_S)
    return found.stdout


@functools.cache
def _cpu() -> str:
    """Kind and abilities of the processor: what was made for another one must not run here."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))
