"""What every peer of `seven.py` trains: data (NumPy only), sizes, and the models in Keras.

128 batches (of 32: 4,096 examples), float32, Adam. `mflop` counts multiplications and additions
of the matrix products of one step: forward once, and twice that for the gradients.
"""

import json
import sys

import numpy as np

STEPS_PER_EPOCH = 128
NAMES = ("dense", "cnn", "rnn", "lstm", "gru", "transformer", "gan")
NOISE = 100


def make(name, batch_size):
    """(inputs, targets), the same for everyone; the GAN has pictures and no targets."""
    generator, examples = np.random.default_rng(0), STEPS_PER_EPOCH * batch_size

    def normal(*shape):
        return generator.standard_normal((examples, *shape), "float32")

    if name == "dense":
        return normal(100), generator.integers(0, 10, examples).astype("int32")
    if name == "cnn":
        return normal(28, 28, 1), generator.integers(0, 10, examples).astype("int32")
    if name in ("rnn", "lstm", "gru"):
        return normal(10, 1), normal(1)
    if name == "transformer":
        return normal(10, 32), normal(1)
    return np.tanh(normal(784)), None


def mflop(batch_size):
    """Millions of floating-point operations of the matrix products of a step, by model."""
    three = 3 * 2 * batch_size / 1e6  # forward and two gradients; a product and a sum; a batch
    recurrent = 10 * (50 + 1) * 50
    attention = 4 * 10 * 32 * 64 + 2 * 2 * 10 * 10 * 32
    feed_forward = 2 * 10 * 32 * 32
    convolutions = 26 * 26 * 9 * 32 + 11 * 11 * 9 * 32 * 64
    gan = 100 * 128 + 128 * 784 + 784 * 128 + 128
    return {
        "dense": three * (100 * 64 + 64 * 64 + 64 * 10),
        "cnn": three * (convolutions + 5 * 5 * 64 * 64 + 64 * 10),
        "rnn": three * recurrent,
        "lstm": three * 4 * recurrent,
        "gru": three * 3 * recurrent,
        "transformer": three * (attention + feed_forward),
        # Both networks forward and backward for the generator, the other one twice for itself.
        "gan": three * (gan + 2 * (784 * 128 + 128)),
    }


def result(peer, version, model, first_s, epoch_s, loss):
    """The result of one model.

    first_s: from the call of fit to the end of its first epoch, compilation included;
    epoch_s: seconds of each later epoch.
    """
    return {
        "peer": peer,
        "version": version,
        "model": model,
        "first_epoch_s": round(first_s, 3),
        "epochs": len(epoch_s),
        "us_per_step": round(1e6 * float(np.median(epoch_s)) / STEPS_PER_EPOCH, 1),
        "fastest_us_per_step": round(1e6 * min(epoch_s) / STEPS_PER_EPOCH, 1),
        "loss": round(float(loss), 4),
    }


def run(measure):
    """Measure what the command line names; a JSON list is the last line."""
    names, way, epochs, batch_size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    print(json.dumps([measure(name, way, epochs, batch_size) for name in names.split(",")]))


def build(name):
    """The compiled Keras model."""
    import keras

    layers = keras.layers
    if name == "gan":
        return build_gan()
    if name == "dense":
        stack = [layers.Input((100,)), layers.Dense(64, "relu"), layers.Dense(64, "relu")]
        stack += [layers.Dense(10, "softmax")]
    elif name == "cnn":
        stack = [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            layers.Dense(10, "softmax"),
        ]
    elif name in ("rnn", "lstm", "gru"):
        cell = {"rnn": layers.SimpleRNN, "lstm": layers.LSTM, "gru": layers.GRU}[name]
        stack = [layers.Input((10, 1)), cell(50), layers.Dense(1)]
    if name == "transformer":
        inputs = layers.Input((10, 32))
        attended = layers.MultiHeadAttention(2, 32, dropout=0.1)(inputs, inputs)
        hidden = layers.LayerNormalization()(inputs + layers.Dropout(0.1)(attended))
        fed = layers.Dense(32)(layers.Dense(32, "relu")(hidden))
        hidden = layers.LayerNormalization()(hidden + layers.Dropout(0.1)(fed))
        outputs = layers.Dense(1)(layers.GlobalAveragePooling1D()(hidden))
        model = keras.Model(inputs, outputs)
    else:
        model = keras.Sequential(stack)
    loss = "sparse_categorical_crossentropy" if name in ("dense", "cnn") else "mse"
    model.compile(keras.optimizers.Adam(1e-3), loss)
    return model


def build_gan():
    """The GAN on any backend: each has the `train_step` of its own form."""
    import keras
    from keras import layers, ops

    def generator():
        return keras.Sequential(
            [
                layers.Input((NOISE,)),
                layers.Dense(128),
                layers.LeakyReLU(0.2),
                layers.Dense(784, "tanh"),
            ]
        )

    def discriminator():
        return keras.Sequential(
            [layers.Input((784,)), layers.Dense(128), layers.LeakyReLU(0.2), layers.Dense(1)]
        )

    def entropy(outputs, target):
        """Mean binary cross-entropy of logits against one target."""
        return ops.mean(ops.softplus(-outputs if target else outputs))

    class Gan(keras.Model):
        def __init__(self):
            super().__init__()
            self.generator, self.discriminator = generator(), discriminator()
            self.seeds = keras.random.SeedGenerator(0)
            self.second = keras.optimizers.Adam(2e-4, 0.5)
            self.second.build(self.discriminator.trainable_variables)
            # Tracked, so that the JAX form finds them among the non-trainable variables.
            self.second_state = list(self.second.variables)
            self.built = True

        def call(self, inputs):
            return self.discriminator(inputs)

    backend = keras.backend.backend()
    if backend == "jax":
        model_class = jax_gan(Gan, entropy)
    elif backend == "tensorflow":
        model_class = tensorflow_gan(Gan, entropy)
    else:
        model_class = torch_gan(Gan, entropy)
    model = model_class()
    model.compile(keras.optimizers.Adam(2e-4, 0.5))
    # The generator's optimizer knows only the generator.
    model.optimizer.build(model.generator.trainable_variables)
    return model


class Values:
    """Values of variables, which cannot be keys themselves."""

    def __init__(self, variables, values):
        self._values = {}
        self.put(variables, values)

    def put(self, variables, values):
        self._values |= {id(v): value for v, value in zip(variables, values, strict=True)}

    def of(self, variables):
        return [self._values[id(v)] for v in variables]


def jax_gan(base, entropy):
    import jax
    import keras

    class JaxGan(base):
        def train_step(self, state, data):
            trainable, fixed, optimizer, metrics = state
            real = data[0] if isinstance(data, tuple) else data
            values = Values(self.trainable_variables, trainable)
            others = Values(self.non_trainable_variables, fixed)
            made = values.of(self.generator.trainable_variables)
            judged = values.of(self.discriminator.trainable_variables)
            second = others.of(self.second.variables)
            pairs = list(zip(self.non_trainable_variables, fixed, strict=True))
            with keras.StatelessScope(pairs) as scope:
                noise = keras.random.normal((len(real), NOISE), seed=self.seeds)
            others.put([self.seeds.state], [scope.get_current_value(self.seeds.state)])

            def fake_of(made):
                return self.generator.stateless_call(made, [], noise)[0]

            def judge(judged, pictures):
                return self.discriminator.stateless_call(judged, [], pictures)[0]

            fake = fake_of(made)
            d_loss, d_grads = jax.value_and_grad(
                lambda judged: entropy(judge(judged, real), 1) + entropy(judge(judged, fake), 0)
            )(judged)
            judged, second = self.second.stateless_apply(second, d_grads, judged)
            g_loss, g_grads = jax.value_and_grad(
                lambda made: entropy(judge(judged, fake_of(made)), 1)
            )(made)
            made, optimizer = self.optimizer.stateless_apply(optimizer, g_grads, made)
            values.put(self.generator.trainable_variables, made)
            values.put(self.discriminator.trainable_variables, judged)
            others.put(self.second.variables, second)
            trainable = values.of(self.trainable_variables)
            fixed = others.of(self.non_trainable_variables)
            return {"loss": d_loss, "generator": g_loss}, (trainable, fixed, optimizer, metrics)

    return JaxGan


def tensorflow_gan(base, entropy):
    import keras
    import tensorflow as tf

    class TensorFlowGan(base):
        def train_step(self, data):
            real = data[0] if isinstance(data, tuple) else data
            noise = keras.random.normal((tf.shape(real)[0], NOISE), seed=self.seeds)
            fake = self.generator(noise)
            with tf.GradientTape() as tape:
                judged = self.discriminator(real), self.discriminator(fake)
                d_loss = entropy(judged[0], 1) + entropy(judged[1], 0)
            variables = self.discriminator.trainable_variables
            self.second.apply(tape.gradient(d_loss, variables), variables)
            with tf.GradientTape() as tape:
                g_loss = entropy(self.discriminator(self.generator(noise)), 1)
            variables = self.generator.trainable_variables
            self.optimizer.apply(tape.gradient(g_loss, variables), variables)
            return {"loss": d_loss, "generator": g_loss}

    return TensorFlowGan


def torch_gan(base, entropy):
    import keras
    import torch

    class TorchGan(base):
        def train_step(self, data):
            real = data[0] if isinstance(data, tuple) else data
            noise = keras.random.normal((len(real), NOISE), seed=self.seeds)

            def update(optimizer, network, loss):
                self.zero_grad()
                loss.backward()
                weights = network.trainable_weights
                with torch.no_grad():
                    optimizer.apply([weight.value.grad for weight in weights], weights)

            fake = self.generator(noise).detach()
            d_loss = entropy(self.discriminator(real), 1) + entropy(self.discriminator(fake), 0)
            update(self.second, self.discriminator, d_loss)
            g_loss = entropy(self.discriminator(self.generator(noise)), 1)
            update(self.optimizer, self.generator, g_loss)
            return {"loss": d_loss.detach(), "generator": g_loss.detach()}

    return TorchGan
