"""The seven models made by the builders of `septet.models`: the same networks, sizes and losses.

Where a builder takes its inputs by name, or pictures in place of rows, `shaped` gives them so.
Classifiers give logits here, and probabilities in `seven_models`; the loss is the same.
"""

import keras

from septet.models.adversarial import adversarial
from septet.models.convolutional import cnn
from septet.models.dense import mlp
from septet.models.recurrent import recurrent
from septet.models.transformer import encoder

INPUTS = {
    "dense": "features",
    "cnn": "pictures",
    "rnn": "series",
    "lstm": "series",
    "gru": "series",
    "transformer": "series",
}


def shaped(name, inputs):
    """The inputs of `seven_models.make` as the builder's network takes them."""
    if name == "gan":
        return inputs.reshape(-1, 28, 28, 1)
    return {INPUTS[name]: inputs}


def network(name):
    """The network alone, of the GAN both players."""
    if name == "dense":
        return mlp(num_features=100, num_outputs=10, hidden=[64, 64], activation="relu")
    if name == "cnn":
        return cnn(
            height=28, width=28, channels=1, num_classes=10, mean=[0.0], deviation=[1.0],
            filters=[32, 64], convolutions=[1, 1], dense_dim=64, dropout=0.0,
            is_normalised=False, padding="valid", dtype="float32",
        )  # fmt: skip
    if name == "transformer":
        return encoder(
            num_features=32, num_outputs=1, length=10, dim=32, depth=1, num_heads=2, head_dim=32,
            feed_forward_dim=32, positions="none", norm="post", activation="relu", dropout=0.1,
            input_dropout=0.0, has_projection=False, epsilon=1e-3,
        )  # fmt: skip
    if name == "gan":
        return adversarial(
            height=28, width=28, channels=1, design="dense", noise_dim=100, hidden=[128],
            is_spectral=False, shares_noise=True,
        )  # fmt: skip
    kind = "simple" if name == "rnn" else name
    return recurrent(num_features=1, num_outputs=1, kind=kind, hidden=[50])


def build(name):
    """The compiled model."""
    model = network(name)
    if name == "gan":
        adam = keras.optimizers.Adam(2e-4, 0.5)
        model.compile(adam, discriminator_optimizer=keras.optimizers.Adam(2e-4, 0.5))
        return model
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), entropy if name in ("dense", "cnn") else "mse")
    return model
