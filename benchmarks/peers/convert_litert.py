"""The same network for LiteRT, float and int8, for one tile and for 256.

`convert_litert.py NETWORK.keras TILES.npy FOLDER` writes float-1.tflite, int8-256.tflite and so on. The ranges of int8
are those of the tiles, (n, 28, 28) uint8; nothing else is told to the converter than that bytes go in.
"""

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

network = keras.models.load_model(sys.argv[1], compile=False)
tiles = np.load(sys.argv[2])
folder = Path(sys.argv[3])


def converter(batch: int, kind: tf.DType) -> tf.lite.TFLiteConverter:
    """Of the network with its weights inside."""
    function = tf.function(lambda tiles: network(tiles, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((batch, 28, 28), kind))
    return tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(concrete)])


def samples(batch: int) -> Iterator[list[np.ndarray]]:
    """What the ranges are taken from."""
    some = np.resize(tiles, (512, 28, 28)).astype(np.float32)
    return ([some[i : i + batch]] for i in range(0, len(some), batch))


for batch in (1, 256):
    (folder / f"float-{batch}.tflite").write_bytes(converter(batch, tf.uint8).convert())
    quantizing = converter(batch, tf.float32)
    quantizing.optimizations = [tf.lite.Optimize.DEFAULT]
    quantizing.representative_dataset = partial(samples, batch)
    quantizing.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    quantizing.inference_input_type = tf.uint8
    (folder / f"int8-{batch}.tflite").write_bytes(quantizing.convert())
