"""Generative adversarial networks (Goodfellow et al., arXiv:1406.2661): two players and their step.

Know nothing of files; pictures are numbers from -1 to 1. One model holds both players, and
one state both optimizers, so that a training of both is one pure step.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import keras
from keras import layers
from pydantic import ConfigDict, Field, validate_call

from septet.models.adversarial_steps import STEPS
from septet.models.doubling import DoublingConv2D
from septet.models.spectral import SpectralNormalization

# Its functions are typed as giving None.
ops: Any = keras.ops

Side = Annotated[int, Field(ge=4, le=1024, strict=True)]
Width = Annotated[int, Field(ge=1, le=16_384, strict=True)]
Hidden = Annotated[list[Width], Field(min_length=1, max_length=16)]
Design = Literal["dense", "dcgan"]
Loss = Literal["non-saturating", "hinge", "wasserstein"]

SLOPE = 0.2
"""Of the leaky ReLUs for negative values, as in DCGAN."""

checked = validate_call(config=ConfigDict(allow_inf_nan=False))


@checked
def generator(
    *,
    height: Side,
    width: Side,
    channels: Literal[1, 3],
    design: Design = "dcgan",
    noise_dim: Width = 64,
    filters: Width = 32,
    hidden: Hidden | None = None,
) -> keras.Model:
    """Noise [batch, noise_dim] -> pictures [batch, height, width, channels] from -1 to 1.

    Args:
        height: Of the pictures; of "dcgan" a multiple of 4.
        width: Of the pictures; of "dcgan" a multiple of 4.
        channels: 1 for grey, 3 for colour.
        design: "dense": two hidden dense layers; "dcgan": convolutions that double each side
            twice, after Radford et al. (arXiv:1511.06434).
        noise_dim: Normal numbers that a picture is made from.
        filters: Of the last hidden stage; the first has twice as many. Of "dense", an
            eighth of the first hidden layer's units.
        hidden: Units of each hidden layer of "dense", instead of those of `filters`.

    Raises:
        ValueError: An argument is out of range or they do not fit each other.
    """
    _check_hidden(hidden, design)
    noise = keras.Input((noise_dim,), dtype="float32", name="noise")
    features: Any = noise
    if design == "dense":
        for place, units in enumerate(hidden or (8 * filters, 16 * filters), 1):
            features = layers.Dense(units, name=f"dense{place}")(features)
            features = layers.LeakyReLU(SLOPE, name=f"relu{place}")(features)
        flat = layers.Dense(height * width * channels, activation="tanh", name="pixels")(features)
        pictures = layers.Reshape((height, width, channels), name="pictures")(flat)
        return keras.Model(noise, pictures, name="generator")
    _check_sides(height, width)
    features = layers.Dense(height * width * filters // 8, use_bias=False, name="dense")(features)
    features = layers.Reshape((height // 4, width // 4, 2 * filters), name="reshape")(features)
    for place, number in enumerate((2 * filters, filters), 1):
        features = layers.BatchNormalization(momentum=0.9, name=f"normalization{place}")(features)
        features = layers.ReLU(name=f"relu{place}")(features)
        features = DoublingConv2D(number, use_bias=False, name=f"convolution{place}")(features)
    features = layers.BatchNormalization(momentum=0.9, name="normalization3")(features)
    features = layers.ReLU(name="relu3")(features)
    pixels = layers.Conv2D(channels, 3, padding="same", activation="tanh", name="pixels")(features)
    return keras.Model(noise, pixels, name="generator")


@checked
def discriminator(
    *,
    height: Side,
    width: Side,
    channels: Literal[1, 3],
    design: Design = "dcgan",
    filters: Width = 32,
    is_spectral: bool = False,
    hidden: Hidden | None = None,
) -> keras.Model:
    """Pictures [batch, height, width, channels] from -1 to 1 -> logits [batch, 1] of being real.

    Args:
        height: Of the pictures; of "dcgan" a multiple of 4.
        width: Of the pictures; of "dcgan" a multiple of 4.
        channels: 1 for grey, 3 for colour.
        design: As in `generator`.
        filters: Of the first stage; the second has twice as many. Of "dense", a sixteenth of
            the first hidden layer's units.
        is_spectral: Divide each weight by its largest singular value (Miyato et al.,
            arXiv:1802.05957).
        hidden: As in `generator`, from the pictures on.

    Raises:
        ValueError: An argument is out of range or they do not fit each other.
    """

    def normed(layer: Any) -> Any:
        if not is_spectral:
            return layer
        return SpectralNormalization(layer, name=f"spectral_{layer.name}")

    _check_hidden(hidden, design)
    pictures = keras.Input((height, width, channels), dtype="float32", name="pictures")
    features: Any = pictures
    if design == "dense":
        features = layers.Flatten(name="flatten")(features)
        for place, units in enumerate(hidden or (16 * filters, 8 * filters), 1):
            features = normed(layers.Dense(units, name=f"dense{place}"))(features)
            features = layers.LeakyReLU(SLOPE, name=f"relu{place}")(features)
    else:
        _check_sides(height, width)
        for place, number in enumerate((filters, 2 * filters), 1):
            convolution = layers.Conv2D(
                number, 4, strides=2, padding="same", name=f"convolution{place}"
            )
            features = layers.LeakyReLU(SLOPE, name=f"relu{place}")(normed(convolution)(features))
        features = layers.Flatten(name="flatten")(features)
    logits = normed(layers.Dense(1, name="logit"))(features)
    return keras.Model(pictures, logits, name="discriminator")


def _check_hidden(hidden: list[int] | None, design: str) -> None:
    if hidden is not None and design != "dense":
        raise ValueError(f"Received hidden {hidden}, which only the design 'dense' has.")


def _check_sides(height: int, width: int) -> None:
    if height % 4 or width % 4:
        raise ValueError(
            f"Received pictures of {height}x{width}; 'dcgan' needs multiples of 4. "
            "Resize them, or choose the design 'dense'."
        )


Term = Callable[[Any], Any]


def _mean(values: Any) -> Any:
    return ops.mean(ops.cast(values, "float32"))


LOSSES: Mapping[str, tuple[Term, Term, Term]] = {
    # Of logits: what the discriminator loses on real ones, on false ones, and the generator.
    "non-saturating": (
        lambda real: _mean(ops.softplus(-real)),
        lambda false: _mean(ops.softplus(false)),
        lambda false: _mean(ops.softplus(-false)),
    ),
    "hinge": (
        lambda real: _mean(ops.relu(1.0 - real)),
        lambda false: _mean(ops.relu(1.0 + false)),
        lambda false: -_mean(false),
    ),
    "wasserstein": (lambda real: -_mean(real), _mean, lambda false: -_mean(false)),
}
"""Goodfellow et al. (arXiv:1406.2661); Lim and Ye (arXiv:1705.02894); Arjovsky et al.
(arXiv:1701.07875), which needs the gradient penalty."""


@checked
def adversarial(
    *,
    height: Side,
    width: Side,
    channels: Literal[1, 3],
    design: Design = "dcgan",
    noise_dim: Width = 64,
    filters: Width = 32,
    loss: Loss = "non-saturating",
    is_spectral: bool = True,
    gradient_penalty: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.0,
    critic_steps: Annotated[int, Field(ge=1, le=20, strict=True)] = 1,
    seed: Annotated[int, Field(ge=0, lt=2**31, strict=True)] = 0,
    hidden: Hidden | None = None,
    shares_noise: bool = False,
) -> keras.Model:
    """Both players, ready to compile.

    The arguments are those of `generator`, `discriminator` and `Adversarial`; the
    discriminator has the generator's `hidden` from its end.

    Raises:
        ValueError: An argument is out of range or they do not fit each other.
    """
    sizes: dict[str, Any] = {
        "height": height,
        "width": width,
        "channels": channels,
        "design": design,
        "filters": filters,
    }
    return Adversarial(
        generator(noise_dim=noise_dim, hidden=hidden, **sizes),
        discriminator(
            is_spectral=is_spectral, hidden=None if hidden is None else hidden[::-1], **sizes
        ),
        loss=loss,
        gradient_penalty=gradient_penalty,
        critic_steps=critic_steps,
        seed=seed,
        shares_noise=shares_noise,
    )


class Adversarial(keras.Model):
    """A generator and a discriminator that train against each other.

    The discriminator sees real and false pictures as one batch, so it must not normalise by
    the batch; spectral normalisation is the usual choice.

    `compile(optimizer, discriminator_optimizer=...)`, then `fit` or `septet.fit` with
    pictures from -1 to 1 alone. Each step trains the discriminator, on real pictures and as
    many of the generator's, and then the generator.

    Args:
        generator: Noise to pictures.
        discriminator: Pictures to logits of being real.
        loss: A key of `LOSSES`.
        gradient_penalty: Weight of Gulrajani et al.'s penalty (arXiv:1704.00028); 0 for none.
        critic_steps: Trainings of the discriminator to each of the generator.
        seed: Of the noise.
        shares_noise: The generator learns from the noise that the discriminator saw last, and
            not from new noise, which saves one forward pass where it does not normalise by
            the batch.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        loss: Loss = "non-saturating",
        gradient_penalty: float = 0.0,
        critic_steps: int = 1,
        seed: int = 0,
        shares_noise: bool = False,
    ):
        """See the class."""
        super().__init__(name="adversarial")
        if loss not in LOSSES:
            raise ValueError(f"Received loss '{loss}'; expected one of {', '.join(LOSSES)}.")
        self.generator = generator
        self.discriminator = discriminator
        self.terms = LOSSES[loss]
        self.gradient_penalty = gradient_penalty
        self.critic_steps = critic_steps
        self.shares_noise = shares_noise
        self.seeds = keras.random.SeedGenerator(seed)
        self.noise_dim: int = generator.inputs[0].shape[-1]
        self.built = True

    def compile(
        self, optimizer: Any = "adam", discriminator_optimizer: Any = None, **rest: Any
    ) -> None:
        """Choose both optimizers; the discriminator's is one like the generator's when absent."""
        super().compile(optimizer=optimizer, **rest)
        second: Any = (
            type(self.optimizer).from_config(self.optimizer.get_config())
            if discriminator_optimizer is None
            else keras.optimizers.get(discriminator_optimizer)
        )
        self.optimizer.build(self.generator.trainable_variables)
        second.build(self.discriminator.trainable_variables)
        # Tracked as weights that no gradient changes, so that every state has them.
        self.second = second
        self.second_variables = list(second.variables)
        for variable in self.second_variables:
            self._track_variable(variable)
        self.measures = [keras.metrics.Mean(name=name) for name in ("loss", "discriminator_loss")]

    @property
    def metrics(self) -> list[Any]:
        """The running losses of both players."""
        return self.measures

    def call(self, noise: Any, training: bool | None = None) -> Any:
        """The generator's pictures."""
        return self.generator(noise, training=training)

    def train_step(self, *given: Any) -> Any:
        """One training of both players, in the form of the backend.

        Raises:
            NotImplementedError: There is no such form.
        """
        backend = keras.backend.backend()
        if backend not in STEPS:
            raise NotImplementedError(f"Two players cannot train on the backend '{backend}'.")
        return STEPS[backend](self, *given)
