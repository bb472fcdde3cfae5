"""However tiles and pictures come in, the answers are the same to the last bit."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import csv_table, jpeg_bytes, mnist, noisy, png, write_number

from edge_digits import Classifier, Reader
from edge_digits.classifier import load_ensemble
from edge_digits.images import find_pictures
from edge_digits.reader import as_tile
from edge_digits.reading import Reading
from edge_digits.tables import TableReader

few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
rows = st.lists(st.integers(0, 4999), min_size=1, max_size=40)
numbers = st.from_regex(r"[0-9]{1,5}", fullmatch=True)


@pytest.fixture(
    scope="module", params=[("digits-int8", "auto"), ("digits-fp32", "auto"), ("digits-int8", "numpy")], ids=" ".join
)
def classifier(request: pytest.FixtureRequest) -> Classifier:
    model, engine = request.param
    return Classifier(model, engine=engine)


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def answers(reading: Reading) -> list[tuple[object, ...]]:
    """All that a reading says, its probabilities bit for bit."""
    return [(d.digit, d.box, d.line, d.probabilities) for d in reading.digits] + [(r.box,) for r in reading.rejected]


@few
@given(rows)
def test_a_tile_has_one_answer_in_any_batch_and_any_order(classifier, chosen):
    tiles = mnist()[0][chosen]
    together = classifier.classify(tiles).probabilities
    alone = np.concatenate([classifier.classify(tile).probabilities for tile in tiles])
    backwards = classifier.classify(tiles[::-1]).probabilities[::-1]
    limit = 0 if "int8" in classifier.name else 1e-6  # in float32 a sum's order may depend on the batch
    assert np.abs(together - alone).max() <= limit
    assert np.abs(together - backwards).max() <= limit


@few
@given(rows, st.integers(2, 4))
def test_threads_change_no_answer(classifier, chosen, threads):
    tiles = mnist()[0][chosen]
    shared = Classifier(classifier.name, threads=threads, engine=classifier.engine)
    np.testing.assert_array_equal(classifier.classify(tiles).probabilities, shared.classify(tiles).probabilities)


@few
@given(numbers, st.integers(0, 10**6), st.sampled_from([".png", ".jpg", ".bmp", ".tiff"]))
def test_path_bytes_stdin_and_array_read_the_same(reader, text, seed, extension):
    image = noisy(write_number(text, seed=seed, height=30 + seed % 50).image, 3, seed)
    data = jpeg_bytes(image, 80) if extension == ".jpg" else png(image, extension)
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    expected = answers(reader.read(decoded))
    assert answers(reader.read(data)) == expected
    with tempfile.NamedTemporaryFile(suffix=extension) as file:
        Path(file.name).write_bytes(data)
        assert answers(reader.read(file.name)) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        (picture,) = find_pictures(["-"])
        assert answers(reader.read(picture.load())) == expected


@few
@given(rows)
def test_a_tile_as_png_and_as_its_row_get_the_same_probabilities(reader, chosen):
    tiles, labels = (part[chosen] for part in mnist())
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(csv_table(tiles, labels))
        file.flush()
        of_rows = np.concatenate([t for t, _ in TableReader(file.name).labelled_tiles()])
    np.testing.assert_array_equal(of_rows, tiles)
    expected = load_ensemble([reader.classifier.name])(of_rows)
    for tile, probabilities in zip(tiles, expected, strict=True):
        if as_tile(tile) is None:  # a few of MNIST's are off their place, and framed anew as a picture
            continue
        (part,) = reader.trace(png(tile)).parts
        np.testing.assert_array_equal(part.probabilities, probabilities)


def test_nearly_all_of_mnist_is_in_the_normal_form():
    assert np.mean([as_tile(tile) is not None for tile in mnist()[0][::5]]) > 0.95
