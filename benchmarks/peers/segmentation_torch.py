"""Septet's network, loss and recipe in a plain eager PyTorch loop, for so many seconds of training.

    python segmentation_torch.py FOLDER SECONDS SEED

FOLDER has `arrays.npz` (x_train, y_train, x_test) and `network.json`: "network", the arguments of
`septet.models.segmentation.unet` or, with an EfficientNet-Lite0 and its pyramid, `over_backbone`;
"start", the file of that backbone's weights and how they are trained on, or null; "training", the
batch size, rate and decay. `found.npy` with the classes of the test is written there. Data lie in
memory as tensors and batches are gathered by index: faster than a DataLoader.
"""

import itertools
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "torch_pretrained"))

WARMUP, CLIP = 0.2, 1.0
SCALE, COLOUR, IGNORED = 0.3, 0.25, 255


def convolved(channels, filters, size=3, stride=1):
    convolution = nn.Conv2d(channels, filters, size, stride, size // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight)
    return nn.Sequential(convolution, nn.BatchNorm2d(filters))


class Block(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.first = convolved(channels, filters, stride=stride)
        self.second = convolved(filters, filters)
        nn.init.zeros_(self.second[1].weight)
        same = stride == 1 and channels == filters
        self.beside = nn.Identity() if same else convolved(channels, filters, 1)
        self.stride = stride

    def forward(self, x):
        inner = self.second(functional.relu(self.first(x)))
        return functional.relu(self.beside(x[:, :, :: self.stride, :: self.stride]) + inner)


class UNet(nn.Module):
    def __init__(self, settings):
        super().__init__()
        filters, stem = settings["filters"], settings["stem"]
        for name in ("mean", "deviation"):
            self.register_buffer(name, torch.tensor(settings[name]).view(1, -1, 1, 1))
        count = max(1, stem.bit_length() - 1)
        widths = [settings["channels"], *[filters[0]] * count]
        self.stem = nn.Sequential(
            *[
                nn.Sequential(convolved(a, b, stride=2 if stem > 1 else 1), nn.ReLU())
                for a, b in itertools.pairwise(widths)
            ]
        )
        self.down, before = nn.ModuleList(), filters[0]
        for level, (width, blocks) in enumerate(zip(filters, settings["blocks"], strict=True)):
            layers = []
            for block in range(blocks):
                layers.append(Block(before, width, 2 if level and block == 0 else 1))
                before = width
            self.down.append(nn.Sequential(*layers))
        self.dropout = nn.Dropout2d(settings["dropout"])
        self.up = nn.ModuleList()
        for level in reversed(range(len(filters) - 1)):
            width = min(filters[level], settings["decoder"])
            self.up.append(convolved(before + filters[level], width))
            before = width
        self.logits = nn.Conv2d(before, settings["num_classes"] * stem**2, 1)
        self.spread = nn.PixelShuffle(stem) if stem > 1 else nn.Identity()

    def forward(self, x):
        x = self.stem((x - self.mean) / self.deviation)
        maps = []
        for level in self.down:
            x = level(x)
            maps.append(x)
        x = self.dropout(x)
        for up, beside in zip(self.up, reversed(maps[:-1]), strict=True):
            x = torch.cat([functional.interpolate(x, scale_factor=2, mode="nearest"), beside], 1)
            x = functional.relu(up(x))
        return self.spread(self.logits(x))


class Pyramid(nn.Module):
    """A panoptic feature pyramid over the maps of strides 4 to 32 of an EfficientNet-Lite0."""

    def __init__(self, settings, weights):
        super().__init__()
        from networks import EfficientNetLite

        for name in ("mean", "deviation"):
            self.register_buffer(name, torch.tensor(settings[name]).view(1, -1, 1, 1))
        self.body = EfficientNetLite(1.0, 1.0)
        if weights:
            own = self.body.state_dict()
            found = {k: v for k, v in tensors_of(weights).items() if not k.startswith("classifier")}
            assert found.keys() <= own.keys()
            self.body.load_state_dict(own | found)
        for name in ("conv_head", "bn2", "classifier"):
            delattr(self.body, name)
        dim = settings["dim"]
        self.lateral = nn.ModuleList(convolved(width, dim, 1) for width in (320, 112, 40, 24))
        self.smooth = nn.ModuleList(convolved(dim, dim) for _ in range(4))
        self.dropout = nn.Dropout2d(settings["dropout"])
        self.logits = nn.Conv2d(dim, settings["num_classes"] * 16, 1)
        self.spread = nn.PixelShuffle(4)

    def groups(self):
        """Parameters from the picture to what is new, as Septet groups them."""
        first = [*self.body.conv_stem.parameters(), *self.body.bn1.parameters()]
        stages = [list(stage.parameters()) for stage in self.body.blocks]
        known = {id(p) for part in (first, *stages) for p in part}
        return [first, *stages, [p for p in self.parameters() if id(p) not in known]]

    def forward(self, x):
        x = (x - self.mean) / self.deviation
        x = functional.relu6(self.body.bn1(self.body.conv_stem(x)))
        maps = []
        for place, stage in enumerate(self.body.blocks):
            x = stage(x)
            if place in (1, 2, 4, 6):
                maps.append(x)
        above, merged = None, 0
        for place, (lateral, smooth) in enumerate(zip(self.lateral, self.smooth, strict=True)):
            level = lateral(maps[-1 - place])
            if above is not None:
                level = level + functional.interpolate(above, scale_factor=2, mode="nearest")
            above, level = level, smooth(functional.relu(level))
            factor = 8 >> place
            if factor > 1:
                level = functional.interpolate(level, scale_factor=factor, mode="bilinear")
            merged = merged + level
        return self.spread(self.logits(self.dropout(functional.relu(merged))))


def tensors_of(path):
    """The tensors of a file of safetensors, all float32."""
    content = Path(path).read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    head = json.loads(content[8:start])
    found = {}
    for name, entry in head.items():
        if name != "__metadata__":
            low, high = (start + offset for offset in entry["data_offsets"])
            array = np.frombuffer(content[low:high], "<f4").reshape(entry["shape"])
            found[name] = torch.from_numpy(array.copy())
    return found


def changed(x, y):
    """Mirrored, enlarged or shrunk, in other light: float pictures and masks together."""
    n = len(x)
    factor = torch.exp((2 * torch.rand(n) - 1) * -math.log(1 - SCALE))
    mirror = torch.where(torch.rand(n) < 0.5, -1.0, 1.0)
    free = 1 - 1 / factor
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1] = mirror / factor, 1 / factor
    matrix[:, :, 2] = (2 * torch.rand(n, 2) - 1) * free[:, None]
    grid = functional.affine_grid(matrix, list(x.shape), align_corners=False)
    x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    known = (y + 1).float()[:, None]
    moved = functional.grid_sample(known, grid, mode="nearest", align_corners=False)[:, 0].long()
    y = torch.where(moved == 0, IGNORED, moved - 1)
    light, contrast, strength = 1 + COLOUR * (2 * torch.rand(3, n, 1, 1, 1) - 1)
    x = x * light
    middle = x.mean((1, 2, 3), keepdim=True)
    x = middle + (x - middle) * contrast
    grey = x.mean(1, keepdim=True)
    return (grey + (x - grey) * strength).clamp(0, 255), y


def loss_of(logits, masks):
    """Cross-entropy by picture, and Dice over the classes that a picture has."""
    known = (masks != IGNORED).float()
    labels = torch.where(masks == IGNORED, 0, masks)
    logs = functional.log_softmax(logits, 1)
    lost = functional.nll_loss(logs, labels, reduction="none") * known
    entropy = lost.sum((1, 2)) / known.sum((1, 2)).clamp_min(1e-6)
    chosen = functional.one_hot(labels, logits.shape[1]).permute(0, 3, 1, 2) * known[:, None]
    shares = logs.exp() * known[:, None]
    actual = chosen.sum((2, 3))
    dice = (2 * (chosen * shares).sum((2, 3)) + 1) / (actual + shares.sum((2, 3)) + 1)
    there = (actual > 0).float()
    return (entropy + 1 - (dice * there).sum(1) / there.sum(1).clamp_min(1)).mean()


def rate_at(progress):
    """Septet's one-cycle: up over the warm-up, then down along a cosine."""
    if progress < WARMUP:
        return max(progress / WARMUP, 0.01)
    return 0.5 * (1 + math.cos(math.pi * (progress - WARMUP) / (1 - WARMUP)))


def hold(model, is_held, has_frozen_norms):
    """Keep what was learned before as it is, statistics of normalisation included, or free it."""
    model.body.requires_grad_(not is_held).train(not is_held)
    for module in model.body.modules():
        if has_frozen_norms and isinstance(module, nn.BatchNorm2d):
            module.eval().requires_grad_(False)


def main(folder, seconds, seed):
    torch.manual_seed(seed)
    data = np.load(Path(folder) / "arrays.npz", allow_pickle=False)
    given = json.loads((Path(folder) / "network.json").read_text())
    settings, start, training = given["network"], given["start"], given["training"]
    x, x_test = (torch.from_numpy(data[name]).permute(0, 3, 1, 2) for name in ("x_train", "x_test"))
    y = torch.from_numpy(data["y_train"]).long()
    if "backbone" in settings:
        model = Pyramid(settings, start and start["weights"])
        parts = model.groups()
    else:
        model = UNet(settings)
        parts = [list(model.parameters())]
    decay = start["layer_decay"] if start else 1.0
    factors = [decay ** (len(parts) - 1 - place) for place in range(len(parts))]
    optimizer = torch.optim.AdamW(
        [{"params": part} for part in parts], lr=0.0, weight_decay=training["weight_decay"]
    )
    begin, steps, spent, is_held = time.monotonic(), 0, 0.0, None
    while spent < seconds:
        for rows in torch.randperm(len(y)).split(training["batch_size"]):
            if start and is_held is not (spent < start["frozen"] * seconds):
                is_held = spent < start["frozen"] * seconds
                hold(model, is_held, start["frozen_norms"])
            rate = training["learning_rate"] * rate_at(spent / seconds)
            for group, factor in zip(optimizer.param_groups, factors, strict=True):
                group["lr"] = rate * factor
            optimizer.zero_grad()
            loss_of(*(lambda a, b: (model(a), b))(*changed(x[rows].float(), y[rows]))).backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            steps, spent = steps + 1, time.monotonic() - begin
            if spent >= seconds:
                break
    model.eval()
    with torch.inference_mode():
        found = [model(part.float()).argmax(1).to(torch.uint8) for part in x_test.split(50)]
    np.save(Path(folder) / "found.npy", torch.cat(found).numpy())
    result = {"peer": "torch-eager", "version": torch.__version__, "seconds": round(spent, 2)}
    print(json.dumps({**result, "steps": steps}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
