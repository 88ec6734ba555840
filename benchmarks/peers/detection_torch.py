"""Peer: the same detector in a plain eager PyTorch loop, for so many minutes of training.

    python detection_torch.py SCENES MINUTES SEED

FCOS with a residual backbone (width 16, one block a stage), a pyramid of strides 8, 16 and 32,
quality focal loss and generalised IoU; mirrored, scaled, moved and recoloured pictures; AdamW
under one cycle of the learning rate; batch 16. Scores by pycocotools.
"""

import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from septet.evaluation.detection import evaluate_boxes

STRIDES = (8, 16, 32)
BATCH, RATE, DECAY, WARMUP = 16, 2e-3, 5e-2, 0.2
DIM, DEPTH, WIDTH = 48, 2, 16


def read(folder, split):
    """Pictures uint8 [n, 3, h, w], boxes [n, most, 5] with class -1 for none, and class names."""
    listed = json.loads((folder / "annotations" / f"{split}.json").read_text())
    rows = {image["id"]: row for row, image in enumerate(listed["images"])}
    pictures = np.stack(
        [
            np.asarray(Image.open(folder / split / image["file_name"]).convert("RGB"))
            for image in listed["images"]
        ]
    )
    boxes = [[] for _ in rows]
    numbers = {category["id"]: n for n, category in enumerate(listed["categories"])}
    for entry in listed["annotations"]:
        left, top, width, height = entry["bbox"]
        box = [numbers[entry["category_id"]], left, top, left + width, top + height]
        boxes[rows[entry["image_id"]]].append(box)
    table = np.full((len(boxes), max(map(len, boxes)), 5), -1, np.float32)
    for row, mine in enumerate(boxes):
        table[row, : len(mine)] = mine
    names = [category["name"] for category in listed["categories"]]
    return (
        torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(),
        torch.from_numpy(table),
        names,
    )


def convolved(inputs, outputs, size=3, stride=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs, momentum=0.05),
    )


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first, self.second = convolved(inputs, outputs, 3, stride), convolved(outputs, outputs)
        nn.init.zeros_(self.second[1].weight)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else convolved(inputs, outputs, 1, stride)

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.second(F.relu(self.first(x))))


class Detector(nn.Module):
    def __init__(self, classes, size, mean, deviation):
        super().__init__()
        self.register_buffer("mean", mean[None, :, None, None])
        self.register_buffer("deviation", deviation[None, :, None, None])
        self.stem = convolved(3, WIDTH, 7, 2)
        widths = [WIDTH * 2**stage for stage in range(4)]
        before = [WIDTH, *widths[:3]]
        self.stages = nn.ModuleList(
            Block(a, b, 1 if stage == 0 else 2)
            for stage, (a, b) in enumerate(zip(before, widths, strict=True))
        )
        self.laterals = nn.ModuleList(convolved(width, DIM, 1) for width in widths[1:])
        self.smooth = nn.ModuleList(convolved(DIM, DIM) for _ in STRIDES)
        self.towers = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(DIM, DIM, 3, 1, 1, bias=False) for _ in range(DEPTH))
            for _ in "cb"
        )
        self.norms = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleList(nn.BatchNorm2d(DIM, momentum=0.05) for _ in range(DEPTH))
                for _ in "cb"
            )
            for _ in STRIDES
        )
        self.classes, self.distances = nn.Conv2d(DIM, classes, 1), nn.Conv2d(DIM, 4, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
        for layer in (self.classes, self.distances):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(self.classes.bias, -math.log(99))
        middles, strides = [], []
        for stride in STRIDES:
            y, x = np.mgrid[: size // stride, : size // stride].astype(np.float32)
            middles.append((np.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride)
            strides.append(np.full(len(middles[-1]), stride, np.float32))
        self.register_buffer("middles", torch.from_numpy(np.concatenate(middles)))
        self.register_buffer("strides", torch.from_numpy(np.concatenate(strides)))

    def forward(self, pictures):
        x = F.relu(self.stem((pictures.float() - self.mean) / self.deviation))
        x, maps = F.max_pool2d(x, 3, 2, 1), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        laterals = [layer(level) for layer, level in zip(self.laterals, maps[1:], strict=True)]
        for place in (1, 0):
            laterals[place] = laterals[place] + F.interpolate(laterals[place + 1], scale_factor=2)
        logits, boxes = [], []
        for place, level in enumerate(laterals):
            level = F.relu(self.smooth[place](level))
            hidden = [level, level]
            for kind in (0, 1):
                for layer, norm in zip(self.towers[kind], self.norms[place][kind], strict=True):
                    hidden[kind] = F.relu(norm(layer(hidden[kind])))
            logits.append(self.classes(hidden[0]).flatten(2).transpose(1, 2))
            sides = (
                4
                * STRIDES[place]
                * F.softplus(self.distances(hidden[1]).flatten(2).transpose(1, 2))
            )
            boxes.append(sides)
        sides = torch.cat(boxes, 1)
        boxes = torch.cat([self.middles - sides[..., :2], self.middles + sides[..., 2:]], -1)
        return torch.cat(logits, 1), boxes


def loss_of(model, logits, boxes, targets):
    x, y, strides = model.middles[:, :1], model.middles[:, 1:], model.strides[:, None]
    label, left, top, right, bottom = (targets[:, None, :, k] for k in range(5))
    width, height = right - left, bottom - top
    inside = (x > left) & (x < right) & (y > top) & (y < bottom)
    near = ((x - (left + right) / 2).abs() < 1.5 * strides) & (
        (y - (top + bottom) / 2).abs() < 1.5 * strides
    )
    longer = torch.maximum(width, height)
    low = torch.where(strides == STRIDES[0], 0.0, 2 * strides)
    high = torch.where(strides == STRIDES[-1], 1e9, 8 * strides)
    allowed = inside & near & (longer >= low) & (longer <= high) & (label >= 0)
    chosen = torch.where(allowed, width * height, 1e12).argmin(-1)
    learns = allowed.any(-1).float()
    wanted = targets.gather(1, chosen[..., None].expand(-1, -1, 5))
    truths = wanted[..., 1:]
    shared = (
        (
            torch.minimum(boxes[..., 2:], truths[..., 2:])
            - torch.maximum(boxes[..., :2], truths[..., :2])
        )
        .clamp(min=0)
        .prod(-1)
    )
    union = sum((b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1) for b in (boxes, truths)) - shared
    hull = (
        (
            torch.maximum(boxes[..., 2:], truths[..., 2:])
            - torch.minimum(boxes[..., :2], truths[..., :2])
        )
        .clamp(min=0)
        .prod(-1)
    )
    overlap = shared / union.clamp(min=1e-6)
    generalised = overlap - (hull - union) / hull.clamp(min=1e-6)
    quality = overlap.detach().clamp(0, 1) * learns
    aims = F.one_hot(wanted[..., 0].long().clamp(min=0), logits.shape[-1]) * quality[..., None]
    entropy = F.binary_cross_entropy_with_logits(logits, aims, reduction="none")
    focal = ((aims - logits.sigmoid()).square() * entropy).sum()
    return (focal + 2 * ((1 - generalised) * learns).sum()) / learns.sum().clamp(min=1)


def augmented(pictures, targets):
    count, _, height, width = pictures.shape
    step = torch.exp((torch.rand(count) * 2 - 1) * math.log(1.4))
    moved = (torch.rand(2, count) * 2 - 1) * 0.2 + (torch.rand(2, count) * 2 - 1) * (1 - step).abs()
    sign = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 0, 2], matrix[:, 1, 1], matrix[:, 1, 2] = (
        step * sign,
        moved[1],
        step,
        moved[0],
    )
    grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
    values = F.grid_sample(pictures.float() - 114, grid, align_corners=False) + 114
    factors = 1 + 0.3 * (torch.rand(3, count, 1, 1, 1) * 2 - 1)
    values = values * factors[0]
    middle = values.mean((1, 2, 3), keepdim=True)
    values = middle + (values - middle) * factors[1]
    grey = values.mean(1, keepdim=True)
    values = (grey + (values - grey) * factors[2]).clamp(0, 255)
    half = torch.tensor([width, height, width, height]) / 2
    offset = torch.stack([moved[1], moved[0]] * 2, -1)[:, None]
    scale = torch.stack([step * sign, step] * 2, -1)[:, None]
    sides = ((targets[..., 1:] / half - 1 - offset) / scale + 1) * half
    sides = torch.stack(
        [
            torch.minimum(sides[..., 0], sides[..., 2]),
            sides[..., 1],
            torch.maximum(sides[..., 0], sides[..., 2]),
            sides[..., 3],
        ],
        -1,
    )
    cut = torch.minimum(sides.clamp(min=0), 2 * half)
    lengths, before = cut[..., 2:] - cut[..., :2], (sides[..., 2:] - sides[..., :2]).prod(-1)
    stays = (
        (lengths.prod(-1) >= 0.3 * before) & (lengths.min(-1).values >= 4) & (targets[..., 0] >= 0)
    )
    return values, torch.cat([torch.where(stays, targets[..., 0], -1.0)[..., None], cut], -1)


def kept(scores, boxes):
    """Score, class and box of the best after suppression, one picture: [n, 6]."""
    values, order = scores.flatten().topk(512)
    label, boxes = order % scores.shape[1], boxes[order // scores.shape[1]]
    rows = []
    for score, kind, box in zip(values.tolist(), label.tolist(), boxes.tolist(), strict=True):
        if score < 0.02:
            break
        if all(other[1] != kind or overlap_of(box, other[2:]) <= 0.5 for other in rows):
            rows.append([score, kind, *box])
    return np.array(rows[:100], np.float32).reshape(-1, 6)


def overlap_of(a, b):
    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return shared / max(
        (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared, 1e-6
    )


def main(path, minutes, seed):
    torch.manual_seed(seed)
    folder = Path(path)
    pictures, targets, names = read(folder, "train")
    size = pictures.shape[-1]
    pixels = pictures[::8].float()
    model = Detector(len(names), size, pixels.mean((0, 2, 3)), pixels.std((0, 2, 3)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    begin, steps = time.monotonic(), 0
    while True:
        for rows in torch.randperm(len(pictures)).split(BATCH):
            share = (time.monotonic() - begin) / (60 * minutes)
            if share >= 1:
                break
            rise = share / WARMUP
            fall = 0.5 * (1 + math.cos(math.pi * (share - WARMUP) / (1 - WARMUP)))
            for group in optimizer.param_groups:
                group["lr"] = RATE * (0.04 + 0.96 * rise if rise < 1 else fall)
            inputs, wanted = augmented(pictures[rows], targets[rows])
            loss = loss_of(model, *model(inputs), wanted)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            steps += 1
        if share >= 1:
            break
    model.eval()
    test, truths, _ = read(folder, "test")
    found = []
    with torch.inference_mode():
        for at in range(0, len(test), 50):
            logits, boxes = model(test[at : at + 50])
            found += [
                kept(*pair) for pair in zip(logits.sigmoid(), boxes.clamp(0, size), strict=True)
            ]
    wanted = [rows[rows[:, 0] >= 0].numpy() for rows in truths]
    evaluation = evaluate_boxes(found, wanted, names)
    scores = {name: evaluation["scores"][name] for name in ("map_50", "map", "map_75")}
    print(json.dumps({**scores, "steps": steps, "torch": torch.__version__}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
