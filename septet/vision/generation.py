"""The task image-generation: pictures like those it was shown, from noise."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from septet.config import ModelOptions
from septet.data.dataset import Dataset, Split
from septet.errors import ConfigError, DataError
from septet.task import Arrays, Augment, Prepared, Task
from septet.vision import inputs as vision_inputs
from septet.vision.options import ImageDataOptions
from septet.vision.reading import read_dataset

NOISE_DIM = 64
NOISE_SEED = 20_140_610
"""Of the noise that is scored and looked at: the same for every run."""
MOST_SCORED = 2000
MOST_ASKED = 10_000
LEAST_SCORED = 8
COLUMNS = 10

Side = Annotated[int, Field(ge=4, le=1024)]


class PreparedGeneration(BaseModel):
    """What a generator needs to know: the size of its pictures, and of the noise."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    height: Side
    width: Side
    channels: Literal[1, 3]
    noise_dim: Annotated[int, Field(ge=1, le=4096)]


class GenerationDataOptions(ImageDataOptions):
    """How a set of pictures is read; labels are not needed."""

    validation_fraction: float = Field(
        default=0.0, ge=0.0, le=0.0, description="Nothing is validated in training."
    )
    test_fraction: float = Field(
        default=0.1,
        ge=0.0,
        lt=1.0,
        description="Share of the pictures set aside for scores when no test set is there.",
    )


class GenerationModelOptions(ModelOptions):
    """The two networks and their game."""

    design: Literal["dcgan", "dense"] = Field(
        default="dcgan",
        description="dcgan: convolutions, sides of a multiple of 4; dense: plain layers.",
    )
    filters: int = Field(
        default=32, ge=4, le=512, description="Of the last stage of the generator; more cost time."
    )
    loss: Literal["non-saturating", "hinge", "wasserstein"] = Field(
        default="hinge", description="What both players play for."
    )
    spectral: bool = Field(default=True, description="Spectral normalisation of the discriminator.")
    gradient_penalty: float = Field(
        default=0.0,
        ge=0.0,
        le=1000.0,
        description="Weight of the gradient penalty; 10 is usual with wasserstein.",
    )
    critic_steps: int = Field(
        default=1, ge=1, le=20, description="Discriminator steps to each of the generator."
    )
    flip: bool = Field(
        default=True, description="Mirror training pictures left and right, half of the time."
    )


@dataclass(frozen=True)
class MadePicture:
    """A generated picture.

    Args:
        pixels: uint8 [height, width, 1 or 3].
    """

    pixels: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """As nested lists of numbers from 0 to 255."""
        height, width, channels = self.pixels.shape
        return {
            "height": height,
            "width": width,
            "channels": channels,
            "pixels": self.pixels.tolist(),
        }

    def to_image(self) -> Any:
        """As a Pillow picture."""
        from PIL import Image

        return Image.fromarray(self.pixels[..., 0] if self.pixels.shape[-1] == 1 else self.pixels)


class ImageGeneration(Task):
    """Pictures like those it was shown."""

    name: ClassVar[str] = "image-generation"
    summary: ClassVar[str] = "Make new pictures like yours (a folder of pictures, CSV, or .npz)"
    data_options: ClassVar = GenerationDataOptions
    model_options: ClassVar = GenerationModelOptions
    prepared_type: ClassVar = PreparedGeneration
    training_defaults: ClassVar[Mapping[str, Any]] = {
        "batch_size": 64,
        "optimizer": "adam",
        "momentum": 0.5,
        "learning_rate": 4e-4,
        "schedule": "constant",
        "clip_norm": None,
        "average_decay": 0.999,
        "restore_best": False,
    }
    least_epochs: ClassVar[int] = 30
    least_steps: ClassVar[int] = 10_000
    most_epochs: ClassVar[int] = 1000
    monitor: ClassVar[tuple[str, str]] = ("loss", "min")
    loss: ClassVar[str] = "adversarial"
    scoring_s: ClassVar[float] = 12.0

    def read(self, source: Path, options: GenerationDataOptions, seed: int) -> Dataset:
        """Read, check and split the pictures at `source`; class folders may be there or not."""
        return read_dataset(Path(source), options, seed, labels_optional=True)

    def prepare(self, dataset: Dataset, options: GenerationDataOptions) -> Prepared:
        """The size of the pictures and of the noise."""
        sizes = {name: dataset.facts[name] for name in ("height", "width", "channels")}
        learned = {**sizes, "noise_dim": NOISE_DIM}
        return PreparedGeneration.model_validate(learned).model_dump(mode="json")

    def arrays(self, split: Split, prepared: Prepared) -> tuple[Arrays, np.ndarray]:
        """Pictures, uint8 [N, height, width, channels], as they are; zeros for targets."""
        return {"pictures": split.examples["pictures"]}, np.zeros(len(split), np.int32)

    def encode(self, inputs: Any, prepared: Prepared) -> Arrays:
        """Noise for numbers of pictures: [4] or [1, 3] ask for four.

        Raises:
            DataError: What came is not a number of pictures.
        """
        count = 0
        for given in inputs if isinstance(inputs, Sequence) and inputs != str(inputs) else [inputs]:
            text = str(given).strip()
            if not text.isdecimal() or not 1 <= int(text) <= MOST_ASKED:
                raise DataError(
                    f"'{text[:40]}' is no number of pictures. Expected 1 to {MOST_ASKED:,}, "
                    "as in: septet predict RUN 16"
                )
            count += int(text)
        return {"noise": noise(min(count, MOST_ASKED), prepared["noise_dim"], None)}

    def architecture(
        self, prepared: Prepared, options: GenerationModelOptions
    ) -> tuple[str, dict[str, Any]]:
        """Both players."""
        height, width = prepared["height"], prepared["width"]
        if options.design == "dcgan" and (height % 4 or width % 4):
            raise ConfigError(
                f"Setting 'model.design' is dcgan, which makes pictures whose sides are multiples "
                f"of 4, and these are {height}x{width}. Set data.size={max(4, height // 4 * 4)} "
                "or model.design=dense."
            )
        arguments = {name: prepared[name] for name in ("height", "width", "channels", "noise_dim")}
        return "adversarial", arguments | {
            "design": options.design,
            "filters": options.filters,
            "loss": options.loss,
            "is_spectral": options.spectral,
            "gradient_penalty": options.gradient_penalty,
            "critic_steps": options.critic_steps,
        }

    def shipped_architecture(
        self, name: str, arguments: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """The generator alone."""
        kept = ("height", "width", "channels", "noise_dim", "design", "filters")
        return "generator", {key: arguments[key] for key in kept}

    def shipped_network(self, network: Any) -> Any:
        """The generator alone; it may be all there is."""
        return getattr(network, "generator", network)

    def queries(self, split: Split, prepared: Prepared) -> Arrays:
        """Noise for as many pictures as are scored."""
        return {"noise": noise(min(len(split), MOST_SCORED), prepared["noise_dim"], NOISE_SEED)}

    def glimpses(self, prepared: Prepared) -> Arrays | None:
        """Noise for one row of pictures."""
        return {"noise": noise(COLUMNS, prepared["noise_dim"], NOISE_SEED)}

    def draw_glimpse(self, outputs: np.ndarray, prepared: Prepared) -> bytes:
        """The pictures side by side, as a PNG."""
        return png(sheet(to_bytes(outputs), len(outputs)))

    def augment(self, prepared: Prepared, options: GenerationModelOptions) -> Augment | None:
        """Mirroring of {"pictures": uint8 [batch, height, width, channels]}."""
        from septet.vision import augmentation

        if not options.flip:
            return None
        return augmentation.of_pictures(augmentation.flip)

    def evaluate(self, outputs: np.ndarray, split: Split, prepared: Prepared) -> dict[str, Any]:
        """As `evaluate_beside`, with half of the split in place of the training examples."""
        half = len(split) // 2
        first, second = split.take(np.arange(half)), split.take(np.arange(half, len(split)))
        return self.evaluate_beside(outputs[: len(second)], second, first, prepared)

    def evaluate_beside(
        self, outputs: np.ndarray, split: Split, train: Split, prepared: Prepared
    ) -> dict[str, Any]:
        """Frechet distance, precision and recall in the features of a small classifier.

        Each is also given for real training pictures in the place of the generated ones.
        """
        from septet.evaluation.generated import evaluate_generated
        from septet.vision.features import Features

        count = min(len(outputs), len(split), len(train))
        if count < LEAST_SCORED:
            raise DataError(
                f"Generated pictures are scored against at least {LEAST_SCORED} real ones; here "
                f"are {count}. Set data.test_fraction higher, or give more pictures."
            )
        size = (prepared["height"], prepared["width"], prepared["channels"])
        split, train = (_in_size(each, size) for each in (split, train))
        random = np.random.default_rng(NOISE_SEED)
        features = Features(train.examples["pictures"], train.targets)
        real = split.take(np.sort(random.permutation(len(split))[:count]))
        other = train.take(np.sort(random.permutation(len(train))[:count]))
        return evaluate_generated(
            features(real.examples["pictures"]),
            features(to_bytes(outputs[:count])),
            features(other.examples["pictures"]),
        )

    def answer(self, outputs: np.ndarray, prepared: Prepared) -> list[MadePicture]:
        """The pictures."""
        return [MadePicture(pixels) for pixels in to_bytes(outputs)]

    def draw(
        self,
        outputs: np.ndarray,
        split: Split,
        evaluation: Mapping[str, Any],
        prepared: Prepared,
        folder: Path,
    ) -> list[tuple[str, str]]:
        """A hundred generated pictures, and as many real ones to compare."""
        count = min(COLUMNS**2, len(outputs), len(split))
        (folder / "generated.png").write_bytes(png(sheet(to_bytes(outputs[:count]), COLUMNS)))
        real = np.asarray(split.examples["pictures"][:count])
        (folder / "real.png").write_bytes(png(sheet(real, COLUMNS)))
        return [
            ("generated.png", "Generated pictures, not chosen by anyone."),
            ("real.png", "Real pictures that were not trained on, to compare."),
        ]

    def inputs_from_arguments(self, arguments: Sequence[str]) -> list[Any]:
        """The numbers as they are."""
        return list(arguments)


def _in_size(split: Split, size: tuple[int, int, int]) -> Split:
    """`split` with its pictures as high, wide and coloured as those that are made."""
    pictures = split.examples["pictures"]
    if pictures.shape[1:] == size:
        return split
    sized = vision_inputs.encode_pictures(list(pictures), *size)
    return replace(split, examples={"pictures": sized})


def noise(count: int, size: int, seed: int | None) -> np.ndarray:
    """Normal numbers, float32 [count, size]; others each time without a seed."""
    return np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)


def to_bytes(outputs: np.ndarray) -> np.ndarray:
    """Pixels from -1 to 1 as uint8."""
    return np.clip(np.rint((outputs + 1.0) * 127.5), 0, 255).astype(np.uint8)


def sheet(pictures: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """Pictures [n, height, width, channels] in rows, with white lines between: one picture."""
    count, height, width, channels = pictures.shape
    rows = -(-count // columns)
    whole = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, channels), 255, np.uint8
    )
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        top, left = row * (height + gap), column * (width + gap)
        whole[top : top + height, left : left + width] = picture
    return whole


def png(pixels: np.ndarray, scale: int = 2) -> bytes:
    """uint8 [height, width, 1 or 3] as a PNG, each pixel a square of `scale`."""
    from PIL import Image

    large = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    image = Image.fromarray(large[..., 0] if large.shape[-1] == 1 else large)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
