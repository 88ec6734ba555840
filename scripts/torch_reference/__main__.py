"""Record what PyTorch computes, for the tests of parity.

    python scripts/torch_reference

Needs PyTorch (2.13.0 was used) and NumPy alone. Writes the files of tests/models/reference.
"""

from pathlib import Path

import attention
import layers
import losses
import networks
import players
import recurrent
from recording import write

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "models" / "reference"
GROUPS = {
    "layers": layers.CASES,
    "recurrent": recurrent.CASES,
    "attention": attention.CASES,
    "losses": losses.CASES,
    "networks": networks.CASES,
    "players": players.CASES,
}

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, cases in GROUPS.items():
        size = write(FOLDER / f"{name}.npz", cases)
        print(f"{name}: {len(cases)} cases, {size:,} bytes")
