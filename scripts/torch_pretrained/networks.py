"""torchvision's and timm's networks in plain PyTorch, under their names."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

CLASSES = 7


def conv3(before: int, after: int, stride: int = 1) -> Any:
    return nn.Conv2d(before, after, 3, stride, 1, bias=False)


class BasicBlock(nn.Module):
    """torchvision.models.resnet.BasicBlock."""

    expansion = 1

    def __init__(self, before: int, planes: int, stride: int, downsample: Any):
        super().__init__()
        self.conv1, self.bn1 = conv3(before, planes, stride), nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv3(planes, planes), nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + identity)


class Bottleneck(nn.Module):
    """torchvision.models.resnet.Bottleneck."""

    expansion = 4

    def __init__(self, before: int, planes: int, stride: int, downsample: Any):
        super().__init__()
        self.conv1 = nn.Conv2d(before, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = conv3(planes, planes, stride), nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + identity)


class ResNet(nn.Module):
    """torchvision.models.resnet.ResNet; timm's of the same names has the same tensors."""

    def __init__(self, block: Any, counts: list[int]):
        super().__init__()
        self.inplanes = 64
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(64), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for stage, count in enumerate(counts):
            planes, stride = 64 * 2**stage, 1 if stage == 0 else 2
            self.add_module(f"layer{stage + 1}", self.stage(block, planes, count, stride))
        self.fc = nn.Linear(512 * block.expansion, CLASSES)

    def stage(self, block: Any, planes: int, count: int, stride: int) -> Any:
        after, downsample = planes * block.expansion, None
        if stride != 1 or self.inplanes != after:
            downsample = nn.Sequential(
                nn.Conv2d(self.inplanes, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )
        blocks = [block(self.inplanes, planes, stride, downsample)]
        self.inplanes = after
        return nn.Sequential(*blocks, *(block(after, planes, 1, None) for _ in range(count - 1)))

    def forward(self, x: Any) -> Any:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class MlpBlock(nn.Sequential):
    """torchvision.ops.MLP as its Vision Transformer has it."""

    def __init__(self, dim: int):
        super().__init__(
            nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(0.0), nn.Linear(4 * dim, dim),
            nn.Dropout(0.0),
        )  # fmt: skip


class OldMlpBlock(nn.Module):
    """The same under the names of torchvision's first release, which its files still have."""

    def __init__(self, dim: int):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: Any) -> Any:
        return self.linear_2(functional.gelu(self.linear_1(x)))


class EncoderBlock(nn.Module):
    """torchvision.models.vision_transformer.EncoderBlock."""

    def __init__(self, dim: int, heads: int, mlp: Any):
        super().__init__()
        self.ln_1 = nn.LayerNorm(dim, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.ln_2, self.mlp = nn.LayerNorm(dim, eps=1e-6), mlp(dim)

    def forward(self, x: Any) -> Any:
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """torchvision.models.vision_transformer.Encoder."""

    def __init__(self, length: int, depth: int, dim: int, heads: int, mlp: Any):
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.zeros(1, length, dim))
        self.layers = nn.Sequential()
        for place in range(depth):
            self.layers.add_module(f"encoder_layer_{place}", EncoderBlock(dim, heads, mlp))
        self.ln = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x: Any) -> Any:
        return self.ln(self.layers(x + self.pos_embedding))


class TorchvisionViT(nn.Module):
    """torchvision.models.VisionTransformer."""

    def __init__(
        self, side: int, patch: int, depth: int, dim: int, heads: int, mlp: Any = MlpBlock
    ):
        super().__init__()
        self.conv_proj = nn.Conv2d(3, dim, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.encoder = Encoder((side // patch) ** 2 + 1, depth, dim, heads, mlp)
        self.heads = nn.Sequential()
        self.heads.add_module("head", nn.Linear(dim, CLASSES))

    def forward(self, x: Any) -> Any:
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1)
        return self.heads(self.encoder(x)[:, 0])


class TimmAttention(nn.Module):
    """timm.models.vision_transformer.Attention."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Any) -> Any:
        batch, length, dim = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(batch, length, dim))


class TimmMlp(nn.Module):
    """timm.layers.Mlp."""

    def __init__(self, dim: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: Any) -> Any:
        return self.fc2(functional.gelu(self.fc1(x)))


class TimmBlock(nn.Module):
    """timm.models.vision_transformer.Block."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(dim, eps=1e-6), TimmAttention(dim, heads)
        self.norm2, self.mlp = nn.LayerNorm(dim, eps=1e-6), TimmMlp(dim)

    def forward(self, x: Any) -> Any:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """timm.layers.PatchEmbed."""

    def __init__(self, dim: int, patch: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, x: Any) -> Any:
        return self.proj(x).flatten(2).transpose(1, 2)


class TimmViT(nn.Module):
    """timm.models.VisionTransformer."""

    def __init__(self, side: int, patch: int, depth: int, dim: int, heads: int):
        super().__init__()
        self.patch_embed = PatchEmbed(dim, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, (side // patch) ** 2 + 1, dim))
        self.blocks = nn.Sequential(*(TimmBlock(dim, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(dim, eps=1e-6), nn.Linear(dim, CLASSES)

    def forward(self, x: Any) -> Any:
        x = self.patch_embed(x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


class LayerNorm2d(nn.LayerNorm):
    """Over the channels of [batch, channels, height, width]."""

    def forward(self, x: Any) -> Any:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Permute(nn.Module):
    """torchvision.ops.Permute."""

    def __init__(self, *axes: int):
        super().__init__()
        self.axes = axes

    def forward(self, x: Any) -> Any:
        return x.permute(self.axes)


class CNBlock(nn.Module):
    """torchvision.models.convnext.CNBlock."""

    def __init__(self, dim: int):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, 7, padding=3, groups=dim), Permute(0, 2, 3, 1),
            nn.LayerNorm(dim, eps=1e-6), nn.Linear(dim, 4 * dim), nn.GELU(),
            nn.Linear(4 * dim, dim), Permute(0, 3, 1, 2),
        )  # fmt: skip
        self.layer_scale = nn.Parameter(torch.ones(dim, 1, 1))

    def forward(self, x: Any) -> Any:
        return x + self.layer_scale * self.block(x)


class TorchvisionConvNeXt(nn.Module):
    """torchvision.models.ConvNeXt."""

    def __init__(self, depths: list[int], dim: int):
        super().__init__()
        norm: Any = partial(LayerNorm2d, eps=1e-6)  # pyright: ignore
        parts: list[Any] = [nn.Sequential(nn.Conv2d(3, dim, 4, 4), norm(dim))]
        for stage, depth in enumerate(depths):
            if stage:
                parts.append(nn.Sequential(norm(dim), nn.Conv2d(dim, 2 * dim, 2, 2)))
                dim *= 2
            parts.append(nn.Sequential(*(CNBlock(dim) for _ in range(depth))))
        self.features = nn.Sequential(*parts)
        self.classifier = nn.Sequential(norm(dim), nn.Flatten(1), nn.Linear(dim, CLASSES))

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x).mean((2, 3), keepdim=True))


class TimmConvNeXtBlock(nn.Module):
    """timm.models.convnext.ConvNeXtBlock."""

    def __init__(self, dim: int, is_conv_mlp: bool):
        super().__init__()
        self.conv_dw = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = TimmMlp(dim)
        if is_conv_mlp:
            self.mlp.fc1, self.mlp.fc2 = nn.Conv2d(dim, 4 * dim, 1), nn.Conv2d(4 * dim, dim, 1)
        self.gamma = nn.Parameter(torch.ones(dim))
        self.is_conv_mlp = is_conv_mlp

    def forward(self, x: Any) -> Any:
        y = self.norm(self.conv_dw(x).permute(0, 2, 3, 1))
        if self.is_conv_mlp:
            y = self.mlp(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        else:
            y = self.mlp(y)
        return x + (self.gamma * y).permute(0, 3, 1, 2)


class TimmConvNeXtStage(nn.Module):
    """timm.models.convnext.ConvNeXtStage."""

    def __init__(self, before: int, dim: int, depth: int, is_conv_mlp: bool):
        super().__init__()
        self.downsample: Any = nn.Identity()
        if before != dim:
            self.downsample = nn.Sequential(
                LayerNorm2d(before, eps=1e-6), nn.Conv2d(before, dim, 2, 2)
            )
        self.blocks = nn.Sequential(*(TimmConvNeXtBlock(dim, is_conv_mlp) for _ in range(depth)))

    def forward(self, x: Any) -> Any:
        return self.blocks(self.downsample(x))


class TimmConvNeXt(nn.Module):
    """timm.models.ConvNeXt with the head of its classifiers."""

    def __init__(self, depths: list[int], dim: int, is_conv_mlp: bool):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, dim, 4, 4), LayerNorm2d(dim, eps=1e-6))
        stages, before = [], dim
        for stage, depth in enumerate(depths):
            stages.append(TimmConvNeXtStage(before, dim * 2**stage, depth, is_conv_mlp))
            before = dim * 2**stage
        self.stages = nn.Sequential(*stages)
        self.head = nn.Module()
        self.head.norm, self.head.fc = LayerNorm2d(before, eps=1e-6), nn.Linear(before, CLASSES)

    def forward(self, x: Any) -> Any:
        x = self.stages(self.stem(x)).mean((2, 3), keepdim=True)
        return self.head.fc(self.head.norm(x).flatten(1))


class SamePadded(nn.Conv2d):
    """timm.layers.Conv2dSame: TensorFlow's padding, further at the far side."""

    def forward(self, x: Any) -> Any:
        edges: list[int] = []
        for side, size, stride in zip(x.shape[:1:-1], self.kernel_size, self.stride, strict=True):
            total = max((-(-side // stride) - 1) * stride + size - side, 0)
            edges += [total // 2, total - total // 2]
        return super().forward(functional.pad(x, edges))


def lite_norm(channels: int) -> Any:
    return nn.BatchNorm2d(channels, eps=1e-3)


class DepthwiseSeparable(nn.Module):
    """timm.models._efficientnet_blocks.DepthwiseSeparableConv without attention."""

    def __init__(self, before: int, after: int, size: int, stride: int):
        super().__init__()
        self.conv_dw = SamePadded(before, before, size, stride, groups=before, bias=False)
        self.bn1 = lite_norm(before)
        self.conv_pw, self.bn2 = nn.Conv2d(before, after, 1, bias=False), lite_norm(after)
        self.is_beside = stride == 1 and before == after

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv_pw(functional.relu6(self.bn1(self.conv_dw(x)))))
        return x + y if self.is_beside else y


class InvertedResidual(nn.Module):
    """timm.models._efficientnet_blocks.InvertedResidual without attention."""

    def __init__(self, before: int, after: int, size: int, stride: int, times: int):
        super().__init__()
        inner = times * before
        self.conv_pw, self.bn1 = nn.Conv2d(before, inner, 1, bias=False), lite_norm(inner)
        self.conv_dw = SamePadded(inner, inner, size, stride, groups=inner, bias=False)
        self.bn2 = lite_norm(inner)
        self.conv_pwl, self.bn3 = nn.Conv2d(inner, after, 1, bias=False), lite_norm(after)
        self.is_beside = stride == 1 and before == after

    def forward(self, x: Any) -> Any:
        y = functional.relu6(self.bn1(self.conv_pw(x)))
        y = functional.relu6(self.bn2(self.conv_dw(y)))
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.is_beside else y


class EfficientNetLite(nn.Module):
    """timm's tf_efficientnet_lite0 to 4."""

    def __init__(self, wider: float, deeper: float):
        super().__init__()
        self.conv_stem, self.bn1 = SamePadded(3, 32, 3, 2, bias=False), lite_norm(32)
        stages, before = [], 32
        for place, (count, size, stride, times, dim) in enumerate(LITE_STAGES):
            after = make_divisible(dim * wider)
            is_end = place in (0, len(LITE_STAGES) - 1)
            count = count if is_end else math.ceil(count * deeper)
            blocks = []
            for block in range(count):
                step = stride if block == 0 else 1
                if times == 1:
                    blocks.append(DepthwiseSeparable(before, after, size, step))
                else:
                    blocks.append(InvertedResidual(before, after, size, step, times))
                before = after
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head, self.bn2 = nn.Conv2d(before, 1280, 1, bias=False), lite_norm(1280)
        self.classifier = nn.Linear(1280, CLASSES)

    def forward(self, x: Any) -> Any:
        x = self.blocks(functional.relu6(self.bn1(self.conv_stem(x))))
        return self.classifier(functional.relu6(self.bn2(self.conv_head(x))).mean((2, 3)))


LITE_STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip
"""Blocks, window, stride, times as wide inside, channels."""


def make_divisible(value: float) -> int:
    """timm.layers.make_divisible by 8."""
    found = max(8, int(value + 4) // 8 * 8)
    return found + 8 if found < 0.9 * value else found


NETWORKS: dict[str, tuple[Callable[[], Any], int]] = {
    "resnet18": (lambda: ResNet(BasicBlock, [2, 2, 2, 2]), 64),
    "resnet34": (lambda: ResNet(BasicBlock, [3, 4, 6, 3]), 75),
    "resnet50": (lambda: ResNet(Bottleneck, [3, 4, 6, 3]), 64),
    "vit-base torchvision": (lambda: TorchvisionViT(64, 16, 12, 768, 12), 64),
    "vit-base torchvision 2022": (lambda: TorchvisionViT(32, 16, 12, 768, 12, OldMlpBlock), 32),
    "vit-tiny timm": (lambda: TimmViT(64, 16, 12, 192, 3), 64),
    "vit-small timm": (lambda: TimmViT(64, 16, 12, 384, 6), 64),
    "convnext-tiny torchvision": (lambda: TorchvisionConvNeXt([3, 3, 9, 3], 96), 64),
    "convnext-tiny timm": (lambda: TimmConvNeXt([3, 3, 9, 3], 96, False), 64),
    "convnext-atto timm": (lambda: TimmConvNeXt([2, 2, 6, 2], 40, True), 64),
    "efficientnet-lite0 timm": (lambda: EfficientNetLite(1.0, 1.0), 64),
    "efficientnet-lite3 timm": (lambda: EfficientNetLite(1.2, 1.4), 75),
}
"""A network and the side of its picture, by backbone and, where there are several, layout."""
