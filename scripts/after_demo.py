"""Say what can be done with the run that `make demo` has just finished."""

import json
from pathlib import Path


def newest_run(runs: Path) -> Path | None:
    """The run folder that was made last."""
    configs = sorted(runs.glob("*/config.json"), key=lambda path: path.stat().st_mtime)
    return configs[-1].parent if configs else None


def main() -> None:
    run = newest_run(Path("runs"))
    if run is None:
        raise SystemExit("No run was made; the message above says why.")
    task = json.loads((run / "config.json").read_text(encoding="utf-8"))["task"]
    print(
        f"""
The report:           {(run / "report.html").resolve()}
The model to ship:    {(run / "model").resolve()}

Type next, after:  source .venv/bin/activate
  septet show latest                    what this run was and how good it is
  septet evaluate latest                score it again on its test pictures
  septet train {task} YOUR_FOLDER --minutes 5
                                        your own pictures, one folder a class
  septet data fetch fashion-mnist       all 70,000 pictures"""
    )


if __name__ == "__main__":
    main()
