"""Digit networks as people write them, each with something that an export may trip over; untrained, no weight at 0."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import layers, ops

from edge_digits_train.networks import build_network


def softmax() -> keras.Layer:
    return layers.Dense(10, activation="softmax")


def _on_bytes(body: Callable[[keras.KerasTensor], keras.KerasTensor]) -> keras.Model:
    tiles = keras.Input((28, 28), dtype="uint8")
    return keras.Model(tiles, body(layers.Reshape((28, 28, 1))(layers.Rescaling(1 / 255)(tiles))))


def float_input() -> keras.Model:
    """Values of 0 to 1 with a channel, as most tutorials have it."""
    body = [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), softmax()]
    return keras.Sequential([keras.Input((28, 28, 1)), *body])


def dense_only() -> keras.Model:
    return keras.Sequential([keras.Input((28, 28)), layers.Flatten(), layers.Dense(16, activation="relu"), softmax()])


def rescaled_float() -> keras.Model:
    """Float values that it scales itself."""
    body = [layers.Rescaling(1 / 255), layers.Conv2D(4, 5, strides=2, activation="relu"), layers.Flatten(), softmax()]
    return keras.Sequential([keras.Input((28, 28, 1)), *body])


def divided_float() -> keras.Model:
    tiles = keras.Input((28, 28))
    return keras.Model(tiles, softmax()(layers.Flatten()(tiles / 255.0)))


def normalised() -> keras.Model:
    """Float values less their mean, over their deviation: of bytes, to judge by the numbers."""
    norm = layers.Normalization(mean=33.3, variance=78.6**2)
    return keras.Sequential([keras.Input((28, 28)), norm, layers.Flatten(), layers.Dense(8, "relu"), softmax()])


def other_scaling() -> keras.Model:
    """Raw bytes in, scaled to -1 to 1."""
    tiles = keras.Input((28, 28), dtype="uint8")
    x = layers.Reshape((28, 28, 1))(layers.Rescaling(1 / 127.5, offset=-1)(tiles))
    x = layers.Flatten()(layers.Conv2D(4, 5, strides=2, activation="relu")(x))
    return keras.Model(tiles, softmax()(x))


def divided_by_an_operation() -> keras.Model:
    tiles = keras.Input((28, 28))
    return keras.Model(tiles, softmax()(layers.Flatten()(ops.divide(tiles, 255.0))))


def scaled_in_two_steps() -> keras.Model:
    """The first of the two changes nothing."""
    body = [layers.Rescaling(1.0), layers.Rescaling(1 / 255), layers.Flatten(), softmax()]
    return keras.Sequential([keras.Input((28, 28)), *body])


def bytes_with_a_channel() -> keras.Model:
    """Raw bytes as (28, 28, 1), as image pipelines hand them on."""
    body = [layers.Rescaling(1 / 255), layers.Conv2D(4, 5, strides=2, activation="relu"), layers.Flatten(), softmax()]
    return keras.Sequential([keras.Input((28, 28, 1), dtype="uint8"), *body])


def flattened_bytes() -> keras.Model:
    """Reshaped before they are floats."""
    tiles = keras.Input((28, 28), dtype="uint8")
    return keras.Model(tiles, softmax()(layers.Rescaling(1 / 255)(layers.Flatten(dtype="uint8")(tiles))))


def whole_numbers() -> keras.Model:
    tiles = keras.Input((28, 28), dtype="int32")
    return keras.Model(tiles, softmax()(layers.Flatten()(layers.Rescaling(1 / 255)(tiles))))


def other_name() -> keras.Model:
    """Its one answer has a name of its own."""
    tiles = keras.Input((28, 28))
    return keras.Model(tiles, {"digit": softmax()(layers.Flatten()(tiles))})


def no_scaling() -> keras.Model:
    """Raw bytes as they are, through a layer that normalises."""
    tiles = keras.Input((28, 28), dtype="uint8")
    x = layers.Reshape((28, 28, 1))(layers.Rescaling(1.0)(tiles))
    x = layers.Conv2D(4, 5, strides=2, padding="same", activation="relu")(layers.BatchNormalization()(x))
    return keras.Model(tiles, softmax()(layers.GlobalAveragePooling2D()(x)))


def residual() -> keras.Model:
    """Sums of two paths, two kinds of pooling side by side, and no bias at the end."""

    def body(x: keras.KerasTensor) -> keras.KerasTensor:
        x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
        y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(x))
        x = layers.ReLU()(layers.Add()([x, y]))
        x = layers.Concatenate()([layers.MaxPooling2D(2)(x), layers.AveragePooling2D(2)(x)])
        return layers.Dense(10, use_bias=False, activation="softmax")(layers.Flatten()(x))

    return _on_bytes(body)


def depthwise() -> keras.Model:
    """MobileNet's blocks."""

    def body(x: keras.KerasTensor) -> keras.KerasTensor:
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3, strides=2, use_bias=False)(x)))
        x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, use_bias=False)(x)))
        x = layers.SeparableConv2D(8, 3, strides=2, activation="relu")(x)
        return softmax()(layers.GlobalMaxPooling2D()(x))

    return _on_bytes(body)


def norms_behind() -> keras.Model:
    """A batch normalisation behind each activation."""

    def body(x: keras.KerasTensor) -> keras.KerasTensor:
        x = layers.BatchNormalization(scale=False)(layers.Conv2D(4, 3, activation="relu")(x))
        x = layers.BatchNormalization()(layers.Conv2D(4, 3, strides=2, activation="relu")(x))
        x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
        return softmax()(layers.Dropout(0.3)(layers.BatchNormalization()(x)))

    return _on_bytes(body)


def activations() -> keras.Model:
    """Those that int8 has no operator for."""

    def body(x: keras.KerasTensor) -> keras.KerasTensor:
        x = layers.Conv2D(4, 3, strides=2, activation="swish")(x)
        x = layers.LeakyReLU()(layers.Conv2D(4, 3, activation="elu")(x))
        x = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(4, 3)(x))
        x = layers.Dense(8, activation="gelu")(layers.Dense(8, activation="tanh")(layers.Flatten()(x)))
        return layers.Softmax()(layers.Dense(10)(x))

    return _on_bytes(body)


def convolutional_head() -> keras.Model:
    """Its last layer is a convolution."""

    def body(x: keras.KerasTensor) -> keras.KerasTensor:
        x = layers.Conv2D(10, 8)(layers.Conv2D(4, 5, strides=3, activation="relu")(x))
        return layers.Activation("softmax")(layers.Flatten()(x))

    return _on_bytes(body)


def squeezed() -> keras.Model:
    """Channels weighed by what they hold, and a mean over the places at the end."""

    def body(x: keras.KerasTensor) -> keras.KerasTensor:
        x = layers.Conv2D(6, 3, strides=2, activation="relu")(x)
        weights = layers.Dense(6, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
        x = layers.Conv2D(10, 3)(layers.ZeroPadding2D(1)(layers.Multiply()([x, weights])))
        return layers.Activation("softmax")(layers.GlobalAveragePooling2D()(x))

    return _on_bytes(body)


def nested() -> keras.Model:
    """A network in a network, which turns its tiles while it is trained."""
    inner = keras.Sequential(
        [keras.Input((28, 28, 1)), layers.RandomRotation(0.1), layers.Conv2D(4, 3, activation="relu")]
    )
    return _on_bytes(lambda x: softmax()(layers.Flatten()(layers.MaxPooling2D(2)(inner(x)))))


def upright() -> keras.Model:
    """Slanted digits are set upright first."""
    body = [layers.Conv2D(6, 5, strides=2), layers.BatchNormalization(), layers.ReLU(), layers.Flatten(), softmax()]
    return build_network("upright", body, deskew=True)


def scored() -> keras.Model:
    """A second answer: is it a digit at all."""
    tiles = keras.Input((28, 28), dtype="uint8")
    x = layers.Reshape((28, 28, 1))(layers.Rescaling(1 / 255)(tiles))
    x = layers.Flatten()(layers.Conv2D(4, 5, strides=3, activation="relu")(x))
    score = layers.Dense(1, activation="sigmoid", name="digit_score")(x)
    return keras.Model(tiles, {"probabilities": softmax()(x), "digit_score": score})


ALL = [
    float_input, dense_only, rescaled_float, divided_float, normalised, other_scaling, no_scaling, residual, depthwise,
    norms_behind, activations, convolutional_head, squeezed, nested, upright, scored, divided_by_an_operation,
    scaled_in_two_steps, bytes_with_a_channel, flattened_bytes, whole_numbers, other_name,
]  # fmt: skip

SCALING_FLOATS = [rescaled_float, divided_float, normalised, divided_by_an_operation, scaled_in_two_steps]
"""Those that take floats and scale them by themselves."""


def stir(network: keras.Model) -> keras.Model:
    """Gives the weights that begin as 0 or 1 other values, as a training would."""
    rng = np.random.default_rng(0)
    kinds = {"bias": (-0.2, 0.2), "beta": (-0.2, 0.2), "moving_mean": (-0.2, 0.2), "alpha": (0, 0.3)}
    kinds |= {"gamma": (0.5, 1.5), "moving_variance": (0.5, 2)}
    for variable in network.variables:
        kind = variable.path.rpartition("/")[2]
        if kind in kinds:
            variable.assign(rng.uniform(*kinds[kind], variable.shape))
    return network


def make(function: Callable[[], keras.Model]) -> keras.Model:
    """The network with the same weights each time."""
    keras.utils.set_random_seed(0)
    return stir(function())
