"""Models of every kind that `septet.fit` promises to train as Keras does, each with data.

A kind is a function without arguments: (compiled model, inputs, targets). No layer has a bias
that a normalisation takes out again: its gradient is rounding alone, which Adam makes large.
"""

# What Keras annotates is narrower than what it takes.
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportOptionalSubscript=false, reportAssignmentType=false
# pyright: reportGeneralTypeIssues=false, reportReturnType=false

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

ops: Any = keras.ops

NUM_EXAMPLES, NUM_CLASSES = 40, 3
Example = tuple[keras.Model, Any, Any]
KINDS: dict[str, Callable[[], Example]] = {}


def kind(build: Callable[[], Example]) -> Callable[[], Example]:
    """Add a kind of model to the zoo."""
    KINDS[build.__name__] = build
    return build


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(NUM_EXAMPLES, *shape)).astype(np.float32)


def classes(seed: int = 1, count: int = NUM_CLASSES) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, count, NUM_EXAMPLES).astype(np.int32)


def entropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def classifier(*stack: Any, **compiled: Any) -> keras.Sequential:
    model = keras.Sequential([*stack, layers.Dense(NUM_CLASSES)])
    compiled = {"optimizer": "adam", "loss": entropy(), "metrics": ["accuracy"], **compiled}
    model.compile(**compiled)
    return model


def regressor(*stack: Any, **compiled: Any) -> keras.Sequential:
    model = keras.Sequential([*stack, layers.Dense(1)])
    model.compile(**{"optimizer": "adam", "loss": "mse", "metrics": ["mae"], **compiled})
    return model


@kind
def sequential() -> Example:
    return classifier(layers.Input((5,)), layers.Dense(8, "relu")), numbers(5), classes()


@kind
def unbuilt_with_normalisation_and_dropout() -> Example:
    hidden = layers.Dense(8, use_bias=False)
    stack = hidden, layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.3)
    return classifier(*stack), numbers(5), classes()


@kind
def functional() -> Example:
    inputs = layers.Input((5,))
    hidden = layers.Dense(8, "relu")(inputs)
    outputs = layers.Dense(1)(layers.Concatenate()([hidden, inputs]))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    return model, numbers(5), numbers(1, seed=2)


class Subclassed(keras.Model):
    """Layers made in `__init__`, built at the first batch."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(8, activation="tanh")
        self.drop = layers.Dropout(0.2)
        self.out = layers.Dense(NUM_CLASSES)

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.out(self.drop(self.hidden(inputs), training=training))


@kind
def subclassed() -> Example:
    model = Subclassed()
    model.compile("adam", entropy(), metrics=["accuracy"])
    return model, numbers(5), classes()


@kind
def many_inputs() -> Example:
    first, second = layers.Input((4,), name="first"), layers.Input((3,), name="second")
    model = keras.Model(
        {"first": first, "second": second},
        layers.Dense(1)(layers.Concatenate()([layers.Dense(6, "relu")(first), second])),
    )
    model.compile("adam", "mae")
    return model, {"first": numbers(4), "second": numbers(3, seed=3)}, numbers(1, seed=2)


@kind
def many_outputs_with_loss_weights() -> Example:
    inputs = layers.Input((5,))
    hidden = layers.Dense(6, "relu")(inputs)
    outputs = [
        layers.Dense(1, name="number")(hidden),
        layers.Dense(NUM_CLASSES, name="class")(hidden),
    ]
    model = keras.Model(inputs, outputs)
    model.compile(
        "adam", ["mse", entropy()], loss_weights=[0.3, 2.0], metrics=[["mae"], ["accuracy"]]
    )
    return model, numbers(5), (numbers(1, seed=2), classes())


@kind
def dicts_in_and_out() -> Example:
    first, second = layers.Input((4,), name="first"), layers.Input((3,), name="second")
    both = layers.Concatenate()([first, second])
    model = keras.Model(
        {"first": first, "second": second},
        {"size": layers.Dense(1)(both), "label": layers.Dense(NUM_CLASSES)(both)},
    )
    model.compile("adam", {"size": "mse", "label": entropy()}, metrics={"label": ["accuracy"]})
    inputs = {"first": numbers(4), "second": numbers(3, seed=3)}
    return model, inputs, {"size": numbers(1, seed=2), "label": classes()}


@kind
def nested() -> Example:
    inner = keras.Sequential([layers.Input((5,)), layers.Dense(6, use_bias=False)])
    inner.add(layers.BatchNormalization())
    inputs = layers.Input((5,))
    model = keras.Model(inputs, layers.Dense(1)(layers.ReLU()(inner(inputs))))
    model.compile("adam", "mse")
    return model, numbers(5), numbers(1, seed=2)


@kind
def convolutions() -> Example:
    stack = [
        layers.Input((8, 8, 2)),
        layers.Conv2D(4, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.MaxPooling2D(),
        layers.Conv2D(6, 3),
        layers.GlobalAveragePooling2D(),
    ]
    return classifier(*stack), numbers(8, 8, 2), classes()


@kind
def residual_convolutions() -> Example:
    inputs = layers.Input((8, 8, 2))
    hidden = layers.Conv2D(4, 3, padding="same")(inputs)
    again = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(layers.ReLU()(hidden))
    short = layers.Conv2D(4, 1, strides=2)(hidden)
    pooled = layers.AveragePooling2D(2)(layers.Add()([again, short]))
    model = keras.Model(inputs, layers.Dense(NUM_CLASSES)(layers.Flatten()(pooled)))
    model.compile("adam", entropy())
    return model, numbers(8, 8, 2), classes()


@kind
def other_convolutions() -> Example:
    stack = [
        layers.Input((12, 3)),
        layers.Conv1D(4, 3, dilation_rate=2),
        layers.SeparableConv1D(6, 3),
        layers.GlobalMaxPooling1D(),
    ]
    return regressor(*stack), numbers(12, 3), numbers(1, seed=2)


@kind
def transposed_and_depthwise_convolutions() -> Example:
    stack = [
        layers.Input((6, 6, 2)),
        layers.DepthwiseConv2D(3, padding="same"),
        layers.Conv2DTranspose(3, 3, strides=2),
        layers.UpSampling2D(),
        layers.GlobalAveragePooling2D(),
    ]
    return regressor(*stack), numbers(6, 6, 2), numbers(1, seed=2)


class Noisy(layers.Layer):
    """Draws from a seed generator of its own in training."""

    def __init__(self):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(7)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        return inputs + 0.1 * keras.random.normal(ops.shape(inputs), seed=self.seed_generator)


@kind
def seed_generators() -> Example:
    stack = layers.Input((5,)), Noisy(), layers.GaussianDropout(0.2), layers.Dense(6, "relu")
    return regressor(*stack), numbers(5), numbers(1, seed=2)


@kind
def regularisers() -> Example:
    hidden = layers.Dense(6, kernel_regularizer="l2", activity_regularizer="l1")
    return regressor(layers.Input((5,)), hidden), numbers(5), numbers(1, seed=2)


class AddsLoss(layers.Layer):
    """Adds a loss of what passes."""

    def call(self, inputs: Any) -> Any:
        self.add_loss(0.1 * ops.mean(ops.square(inputs)))
        return inputs


@kind
def added_losses() -> Example:
    stack = layers.Input((5,)), layers.Dense(6), AddsLoss()
    return regressor(*stack), numbers(5), numbers(1, seed=2)


@kind
def added_loss_alone() -> Example:
    model = keras.Sequential([layers.Input((5,)), layers.Dense(6), AddsLoss()])
    model.compile("adam")
    return model, numbers(5), None


@kind
def custom_loss() -> Example:
    def loss(targets: Any, outputs: Any) -> Any:
        return ops.mean(ops.abs(targets - outputs) ** 1.5, axis=-1)

    stack = layers.Input((5,)), layers.Dense(6, "elu")
    return regressor(*stack, loss=loss), numbers(5), numbers(1, seed=2)


class ShareAbove(keras.metrics.Metric):
    """Share of outputs above 0, as a user would write a metric."""

    def __init__(self, **settings: Any):
        super().__init__(name="share_above", **settings)
        self.above = self.add_variable((), "zeros", name="above")
        self.seen = self.add_variable((), "zeros", name="seen")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.above.assign_add(ops.sum(ops.cast(y_pred > 0, "float32")))
        self.seen.assign_add(ops.cast(ops.size(y_pred), "float32"))

    def result(self) -> Any:
        return self.above / self.seen


@kind
def custom_metric() -> Example:
    model = regressor(layers.Input((5,)), layers.Dense(6), metrics=[ShareAbove(), "mse"])
    return model, numbers(5), numbers(1, seed=2)


class OwnStep(keras.Model):
    """A `train_step` of its own, in Keras' JAX form, whose logs have names of their own."""

    def train_step(self, state: Any, data: Any) -> Any:
        import jax

        trainable, non_trainable, optimizer, metrics = state
        inputs, targets = data

        def loss_of(trainable: Any) -> Any:
            outputs, rest = self.stateless_call(trainable, non_trainable, inputs, training=True)
            return ops.mean(ops.square(outputs - targets)), rest

        (loss, rest), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        return {"square": loss}, (trainable, rest, optimizer, metrics)


@kind
def custom_train_step() -> Example:
    inputs = layers.Input((5,))
    hidden = layers.BatchNormalization()(layers.Dense(6, use_bias=False)(inputs))
    model = OwnStep(inputs, layers.Dense(1)(hidden))
    model.compile("adam")
    return model, numbers(5), numbers(1, seed=2)


class OwnLoss(keras.Model):
    """A `compute_loss` of its own."""

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        return ops.mean(ops.logaddexp(y_pred - y, y - y_pred))


@kind
def custom_compute_loss() -> Example:
    inputs = layers.Input((5,))
    model = OwnLoss(inputs, layers.Dense(1)(layers.Dense(6, "relu")(inputs)))
    model.compile("adam", metrics=["mae"])
    return model, numbers(5), numbers(1, seed=2)


@kind
def weighted_metrics() -> Example:
    model = classifier(layers.Input((5,)), layers.Dense(6), weighted_metrics=["accuracy"])
    return model, numbers(5), classes()


@kind
def gradient_accumulation() -> Example:
    optimizer = keras.optimizers.Adam(gradient_accumulation_steps=2)
    stack = layers.Input((5,)), layers.Dense(6, "relu")
    return regressor(*stack, optimizer=optimizer), numbers(5), numbers(1, seed=2)


@kind
def averaged_weights() -> Example:
    optimizer = keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.8)
    stack = layers.Input((5,)), layers.Dense(6, "relu")
    return regressor(*stack, optimizer=optimizer), numbers(5), numbers(1, seed=2)


@kind
def loss_scaling() -> Example:
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), dynamic_growth_steps=2)
    stack = layers.Input((5,)), layers.Dense(6, "relu")
    return regressor(*stack, optimizer=optimizer), numbers(5), numbers(1, seed=2)


@kind
def mixed_precision() -> Example:
    stack = layers.Input((5,)), layers.Dense(6, "relu", dtype="mixed_bfloat16")
    return regressor(*stack), numbers(5), numbers(1, seed=2)


@kind
def learning_rate_schedule() -> Example:
    rate = keras.optimizers.schedules.CosineDecay(0.05, 6, warmup_steps=2, warmup_target=0.1)
    stack = layers.Input((5,)), layers.Dense(6, "relu")
    optimizer = keras.optimizers.RMSprop(rate)
    return regressor(*stack, optimizer=optimizer), numbers(5), numbers(1, seed=2)


@kind
def momentum_and_clipping() -> Example:
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True, global_clipnorm=0.5)
    stack = layers.Input((5,)), layers.Dense(6, "relu")
    return regressor(*stack, optimizer=optimizer), numbers(5), numbers(1, seed=2)


@kind
def weight_decay_and_constraints() -> Example:
    hidden = layers.Dense(6, "relu", kernel_constraint="max_norm", bias_constraint="non_neg")
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1, clipvalue=0.2)
    model = regressor(layers.Input((5,)), hidden, optimizer=optimizer)
    return model, numbers(5), numbers(1, seed=2)


@kind
def simple_recurrent() -> Example:
    stack = layers.Input((6, 3)), layers.Bidirectional(layers.SimpleRNN(4))
    return regressor(*stack), numbers(6, 3), numbers(1, seed=2)


@kind
def long_short_term_memory() -> Example:
    stack = layers.Input((6, 3)), layers.LSTM(4, return_sequences=True), layers.LSTM(3)
    return regressor(*stack), numbers(6, 3), numbers(1, seed=2)


@kind
def gated_recurrent_with_masks() -> Example:
    words = np.random.default_rng(3).integers(0, 20, (NUM_EXAMPLES, 7)).astype(np.int32)
    stack = layers.Embedding(20, 4, mask_zero=True), layers.GRU(5, recurrent_dropout=0.1)
    return classifier(*stack), words, classes()


@kind
def transformer_block() -> Example:
    inputs = layers.Input((6, 8))
    attended = layers.MultiHeadAttention(2, 4, dropout=0.1, use_bias=False)(inputs, inputs)
    hidden = layers.LayerNormalization()(inputs + attended)
    hidden = layers.LayerNormalization()(hidden + layers.Dense(8, "gelu")(hidden))
    outputs = layers.Dense(1)(layers.GlobalAveragePooling1D()(hidden))
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse")
    return model, numbers(6, 8), numbers(1, seed=2)


@kind
def frozen_layers() -> Example:
    frozen = layers.Dense(6, "relu", trainable=False)
    still = layers.BatchNormalization(trainable=False)
    return classifier(layers.Input((5,)), frozen, still), numbers(5), classes()


@kind
def shared_layers() -> Example:
    left, right = layers.Input((4,)), layers.Input((4,))
    tower = layers.Dense(5, "tanh")
    model = keras.Model([left, right], layers.Dot(1)([tower(left), tower(right)]))
    model.compile("adam", "mse")
    return model, (numbers(4), numbers(4, seed=4)), numbers(1, seed=2)


@kind
def autoencoder() -> Example:
    model = keras.Sequential([layers.Input((6,)), layers.Dense(3), layers.Dense(6)])
    model.compile("nadam", "huber")
    return model, numbers(6), numbers(6)


@kind
def several_steps_per_execution() -> Example:
    model = classifier(layers.Input((5,)), layers.Dense(6), steps_per_execution=2)
    return model, numbers(5), classes()


@kind
def per_step_outputs() -> Example:
    stack = layers.Input((6, 3)), layers.TimeDistributed(layers.Dense(4, "relu"))
    return regressor(*stack), numbers(6, 3), numbers(6, 1, seed=2)


@kind
def binary_with_many_metrics() -> Example:
    model = keras.Sequential([layers.Input((5,)), layers.Dense(1, "sigmoid")])
    names = "AUC", "Precision", "Recall"
    metrics = [getattr(keras.metrics, name)(name=name.lower()) for name in names]
    model.compile("adagrad", "binary_crossentropy", metrics=metrics)
    return model, numbers(5), classes(count=2)[:, None].astype(np.float32)
