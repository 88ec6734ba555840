"""Start a peer in a process of its own and read the JSON that it prints last."""

import json
import os
import platform
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"


def run_peer(
    python: str | Path,
    script: str,
    arguments: Sequence[Any],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    timeout_s: float = 3600.0,
) -> Any:
    """What `peers/script` printed last, as JSON.

    Raises:
        SystemExit: The peer failed or took too long; the message has the end of its stderr.
    """
    # A peer's environment need not have Septet installed; Septet's own peer finds the tree.
    paths = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    settings = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        **(environment or {}),
    }
    command = [str(python), str(PEERS / script), *map(str, arguments)]
    try:
        done = subprocess.run(
            command, env=settings, cwd=folder, capture_output=True, text=True, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{script} took over {timeout_s:g} s.") from None
    if done.returncode != 0:
        raise SystemExit(f"{script} failed with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def environment_with(name: str, packages: Sequence[str], given: str | None) -> Path:
    """The Python of an environment that has `packages`: `given`, or one made beside ours."""
    if given is not None:
        return Path(given)
    folder = HERE.parent / ".venv" / "peers" / name
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        print(f"Making an environment with {', '.join(packages)} ...", file=sys.stderr)
        venv.create(folder, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", *packages]
        subprocess.run(command, check=True)
        (folder / "made").touch()
    return python


def machine() -> dict[str, Any]:
    """What was measured on: kind of processor, cores that may be used, load before the start."""
    return {
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
    }


def processor_name() -> str:
    """The processor's own name where Linux tells, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
