"""What several tests share and what takes time to make."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import mnist

from edge_digits import Classifier, Reader


@pytest.fixture(scope="session")
def tiles() -> NDArray[np.uint8]:
    """(5000, 28, 28): real MNIST, 500 of each digit."""
    return mnist()[0]


@pytest.fixture(scope="session")
def labels() -> NDArray[np.int64]:
    """(5000,): of `tiles`."""
    return mnist()[1]


@pytest.fixture(scope="session")
def reader() -> Reader:
    return Reader()


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier()
