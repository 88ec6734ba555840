"""Settings of image classification; their descriptions are the help and the docs."""

from typing import Annotated, Literal

from pydantic import Field

from septet.config import DataOptions, Fraction, ModelOptions, Probability

Architecture = Literal[
    "cnn",
    "resnet",
    "convnext-atto",
    "convnext-micro",
    "convnext-tiny",
    "efficientnet-lite0",
    "efficientnet-lite1",
    "efficientnet-lite2",
    "efficientnet-lite3",
    "efficientnet-lite4",
    "resnet-micro",
    "resnet-patch",
    "resnet-mini",
    "resnet18",
    "resnet34",
    "resnet50",
    "small-cnn",
    "vit-base",
    "vit-micro",
    "vit-small",
    "vit-tiny",
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetV2B0",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "Xception",
]
"""The keys of `septet.models`' tables, which this must not import; a test compares them."""
Setting = bool | int | float | str | list[int]


class ImageDataOptions(DataOptions):
    """How a set of pictures is read."""

    size: int | None = Field(
        default=None,
        ge=4,
        le=1024,
        description="Height and width that all pictures are resized to. Default: their own size "
        "if all have the same and it is at most 64 pixels a side, otherwise 64.",
    )
    channels: Literal[1, 3] | None = Field(
        default=None,
        description="1: turn all pictures grey; 3: keep colour. Default: 1 if all are grey.",
    )
    fit: Literal["stretch", "crop", "letterbox"] = Field(
        default="stretch",
        description="How pictures of another shape are brought to the size. stretch: their shape "
        "is lost; crop: their middle; letterbox: the whole of them, with grey bars.",
    )
    path_column: str | None = Field(
        default=None,
        description="Column of a CSV or TSV file that has the paths; guessed if absent.",
    )
    label_column: str | None = Field(
        default=None,
        description="Column of a CSV or TSV file that has the labels; guessed if absent.",
    )
    split_column: str | None = Field(
        default=None,
        description="Column of a CSV or TSV file that says train, validation or test; "
        "'split' if there is one.",
    )


class StartOptions(ModelOptions):
    """Weights that training starts from, and how they are trained on."""

    pretrained: str | None = Field(
        default=None,
        description="Weights to start from: a run or model folder (of the same task: its network "
        "is kept); for pictures also a .safetensors file with the names of torchvision or timm, "
        "efficientnet-lite0 (after septet data fetch efficientnet-lite0), or a folder with a "
        "KerasHub preset; to classify them, also the name of a Keras application whose weights "
        "Keras has on this machine.",
    )
    pixels: Literal["auto", "imagenet", "half", "data"] = Field(
        default="auto",
        description="How pictures are scaled for weights to start from: by ImageNet's mean and "
        "deviation, to -1..1 (half), or by those of the data. auto: as the weights were learned.",
    )
    frozen: Fraction | None = Field(
        default=None,
        description="Share of the run in which only what is new is trained. Default with "
        "pretrained: 0.2.",
    )
    thawing: Fraction = Field(
        default=0.0,
        description="Share of the run, after frozen, over which the stages are freed one by one, "
        "the last first; 0: together.",
    )
    layer_decay: float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        description="What the learning rate of each stage is multiplied by for every stage between "
        "it and what is new. Default with pretrained: 0.8.",
    )
    frozen_norms: bool = Field(
        default=False,
        description="Leave normalisations of batches that were learned before as they are, "
        "statistics, scales and offsets: less time a step, and better where batches are small.",
    )


class ImageModelOptions(StartOptions):
    """Which network, and how training pictures are changed."""

    architecture: Architecture = Field(
        default="cnn",
        description="cnn: a small convolutional network, quick on a CPU; resnet: a residual "
        "network, better on larger colour pictures and slower; resnet18, resnet34, resnet50, "
        "convnext-..., efficientnet-lite..., vit-...: those of torchvision and timm; micro and "
        "mini: narrow ones; MobileNetV2 and others: those of keras.applications.",
    )
    backbone: dict[str, Setting] | None = Field(
        default=None,
        description="Changes to the sizes of a backbone (resnet18 ... vit-base), as "
        '{"width": 16, "stem": "small"}.',
    )
    width: int = Field(
        default=32,
        ge=4,
        le=256,
        description="Filters of the first stage; each next stage doubles them.",
    )
    depth: int | None = Field(
        default=None,
        ge=1,
        le=8,
        description="Stages, each of half the height and width. Default: as many as leave at "
        "least 3 pixels a side.",
    )
    repeats: Annotated[int, Field(ge=1, le=8)] = Field(
        default=2,
        description="Convolutions in each stage but the first and last, which have one (cnn), "
        "or blocks in each stage (resnet); at most 32 in all.",
    )
    dense_dim: int = Field(
        default=128,
        ge=0,
        le=8192,
        description="Units of the hidden dense layer of cnn; 0 for none.",
    )
    dropout: Probability = Field(
        default=0.1, description="Share of units dropped before dense layers."
    )
    flip: bool | Literal["auto"] = Field(
        default="auto",
        description="Mirror training pictures left and right, half of the time. auto: yes; "
        "turn it off where left and right mean something, as in text or digits.",
    )
    shift: int = Field(
        default=1,
        ge=0,
        le=64,
        description="Move training pictures by up to so many pixels each way.",
    )
    crop: float = Field(
        default=0.0,
        ge=0.0,
        le=0.9,
        description="Cut up to this share off each side of training pictures and enlarge the rest.",
    )
    rotation: float = Field(
        default=0.0,
        ge=0.0,
        le=180.0,
        description="Turn training pictures by up to so many degrees.",
    )
    colour: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Change brightness, contrast and saturation of training pictures by up to "
        "this share.",
    )
    hue: float = Field(
        default=0.0,
        ge=0.0,
        le=0.5,
        description="Turn the colours of training pictures by up to this share of a full turn.",
    )
    blur: float = Field(
        default=0.0,
        ge=0.0,
        le=5.0,
        description="Blur half of the training pictures by a Gaussian of up to so many pixels.",
    )
    cutout: int = Field(
        default=0, ge=0, le=512, description="Cover a square of so many pixels a side; 0 for none."
    )
    mixup: float = Field(
        default=0.0,
        ge=0.0,
        le=10.0,
        description="Blend training pictures and their labels in pairs, by shares drawn from a "
        "beta distribution of this concentration (0.2 is usual); 0 for none.",
    )
    cutmix: float = Field(
        default=0.0,
        ge=0.0,
        le=10.0,
        description="Put a rectangle of another training picture into each, and mix the labels by "
        "its area, drawn as for mixup (1.0 is usual); with both, one of them a step.",
    )
