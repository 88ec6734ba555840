"""Record what torchvision's and timm's networks answer, for the test of weights by their names.

    python scripts/torch_pretrained

Needs PyTorch (2.13.0 was used) and NumPy alone: the networks are written here in plain PyTorch,
with the names, shapes and arithmetic of torchvision (resnet.py, vision_transformer.py,
convnext.py) and timm (vision_transformer.py, convnext.py, efficientnet.py), which do not import
beside it. Weights and pictures are drawn by names, as the test draws them again; kept are names,
shapes and answers. Writes tests/models/reference/pretrained.npz.
"""

import json
import sys
import zlib
from pathlib import Path

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from networks import NETWORKS

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "models" / "reference"


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The value of the tensor of that name, float32; the same in tests/models/drawn_weights.py."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    values = random.standard_normal(shape, dtype=np.float32)
    if len(shape) < 2:
        is_scale = name.endswith("weight") or "gamma" in name
        return np.float32(1.0 if is_scale else 0.0) + np.float32(0.1) * values
    if "pos" in name or "token" in name:
        return np.float32(0.1) * values
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 1
    return values * np.float32(fan_in**-0.5)


def main() -> None:
    arrays: dict[str, np.ndarray] = {}
    listed = {}
    torch.manual_seed(0)
    for name, (make, side) in NETWORKS.items():
        module = make().eval()
        state = module.state_dict()
        shapes = {key: tuple(value.shape) for key, value in state.items()}
        floats = {key for key, value in state.items() if value.is_floating_point()}
        with torch.no_grad():
            for key in floats:
                state[key].copy_(torch.tensor(drawn(key, shapes[key])))
        picture = np.random.default_rng(zlib.crc32(name.encode())).integers(
            0, 256, (2, side, side, 3)
        )
        mean, deviation = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
        given = torch.tensor((picture - mean) / deviation).permute(0, 3, 1, 2)
        with torch.no_grad():
            answers = module.double()(given).numpy()
        listed[name] = {
            "side": side,
            "tensors": {key: list(shape) for key, shape in shapes.items() if key in floats},
            "others": sorted(set(shapes) - floats),
        }
        arrays[name] = answers.astype(np.float32)
        print(f"{name}: {len(shapes)} tensors, answers up to {abs(answers).max():.3f}")
    arrays["listed"] = np.frombuffer(json.dumps(listed).encode(), np.uint8)
    FOLDER.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(FOLDER / "pretrained.npz", **arrays)  # type: ignore[arg-type]
    print(f"{(FOLDER / 'pretrained.npz').stat().st_size:,} bytes")


if __name__ == "__main__":
    sys.exit(main())
