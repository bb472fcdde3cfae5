"""Batches of columns, alone and on two workers of Ray."""

from __future__ import annotations

import importlib.util
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import compose, some

from edge_digits import Classifier, Reader
from edge_digits.batches import Batch

Tiles = NDArray[np.uint8]

GUIDE = Path(__file__).parents[1] / "docs" / "ray.md"


# ---- tiles


def columns(tiles: Tiles, form: str) -> Batch:
    flat = tiles.reshape(-1, 784)
    return {
        "pixels": lambda: {f"pixel{i}": flat[:, i].astype(np.int64) for i in range(784)},
        "tile": lambda: {"tile": tiles},
        "flat": lambda: {"tile": flat.astype(np.int32)},
        "rows": lambda: {"tile": np.array([*flat, None], object)[:-1]},
    }[form]()


@pytest.mark.parametrize("form", ["pixels", "tile", "flat", "rows"])
def test_a_batch_gets_the_answers_and_keeps_its_other_columns(classifier: Classifier, tiles: Tiles, form: str) -> None:
    chosen = tiles[some(100)]
    told = classifier.classify(chosen)
    found = classifier({"id": np.arange(100), **columns(chosen, form)})
    assert sorted(found) == ["confidence", "digit", "id"]
    assert np.array_equal(found["digit"], told.digits)
    assert np.array_equal(found["confidence"], told.confidences)
    assert np.array_equal(found["id"], np.arange(100))


@pytest.mark.parametrize("form", ["pixels", "tile", "rows"])
def test_an_empty_batch_gets_empty_answers(classifier: Classifier, form: str) -> None:
    found = classifier(columns(np.zeros((0, 28, 28), np.uint8), form))
    assert {name: len(values) for name, values in found.items()} == {"digit": 0, "confidence": 0}


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        ({"id": np.arange(3)}, "needs a column tile"),
        ({f"pixel{i}": np.zeros(3, np.int64) for i in range(783)}, "needs a column tile"),
        ({"tile": np.full((3, 784), 256)}, "from 0 to 255, not from 256 to 256"),
        ({"tile": np.full((3, 784), -1)}, "from 0 to 255"),
        ({"tile": np.zeros((3, 784))}, "784 whole numbers in each row, not float64"),
        ({"tile": np.zeros((3, 783), np.uint8)}, r"784 whole numbers in each row, not uint8 of shape \(3, 783\)"),
    ],
)
def test_what_is_no_batch_of_tiles_is_a_value_error(classifier: Classifier, batch: Batch, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        classifier(batch)


# ---- pictures


def test_pictures_are_read_from_bytes_and_from_paths(reader: Reader, tmp_path: Path) -> None:
    picture = compose([some(3).tolist()])
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), picture.image)
    expected = [reader.read(str(path)).text, "", ""]
    paths = np.array([str(path), str(tmp_path / "missing.png"), str(tmp_path)], object)
    found = reader({"path": paths})
    assert found["text"].tolist() == expected
    assert [bool(error) for error in found["error"]] == [False, True, True]
    assert np.array_equal(found["path"], paths)
    found = reader({"path": paths, "bytes": np.array([path.read_bytes(), b"", b"no picture"], object)})
    assert found["text"].tolist() == expected
    assert sorted(found) == ["error", "path", "text"]
    assert len(expected[0]) == 3
    with pytest.raises(ValueError, match="needs a column bytes"):
        reader({"tile": paths})


def test_a_reader_can_be_pickled(tmp_path: Path) -> None:
    reader = Reader(count=2, min_confidence=0.2)
    copy = pickle.loads(pickle.dumps(reader))
    image = compose([some(2).tolist()]).image
    assert copy.read(image) == reader.read(image)
    assert copy.min_confidence == 0.2


# ---- Ray

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed: .[ray]")

_DYING = """
import os, pathlib, signal
flag = pathlib.Path(source, "killed")
class Dying(Classifier):
    def __call__(self, batch):
        answers = super().__call__(batch)
        if 57 in batch["id"] and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return answers
"""


def shards(folder: Path, tiles: Tiles) -> None:
    """Five CSV files of 40 rows, with an id."""
    header = ",".join(["id", *(f"pixel{i}" for i in range(784))])
    for start in range(0, 200, 40):
        rows = [",".join(map(str, [i, *tiles[i].ravel()])) for i in range(start, start + 40)]
        (folder / f"{start}.csv").write_text("\n".join([header, *rows, ""]))


def run_guide(tmp_path: Path, tiles: Tiles, *changes: tuple[str, str]) -> Any:
    """What the guide's first program writes of 200 rows, sorted by id."""
    import pandas as pd

    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    shards(source, tiles)
    (program,) = re.findall(r"```python\n(import sys.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    local = 'ray.init(num_cpus=4, include_dashboard=False, logging_level="ERROR")'
    for old, new in (
        ("ray.init()", local),
        ("read_csv(source)", 'read_csv(source, file_extensions=["csv"])'),
        *changes,
    ):
        assert old in program
        program = program.replace(old, new)
    command = [sys.executable, "-c", program, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    return pd.read_parquet(target).sort_values("id", ignore_index=True)


@needs_ray
@pytest.mark.parametrize("killed", [False, True], ids=["plain", "worker_killed"])
def test_two_workers_give_every_row_once(classifier: Classifier, tiles: Tiles, tmp_path: Path, killed: bool) -> None:
    chosen = tiles[some(200)]
    told = classifier.classify(chosen)
    changes = [("batch_size=1024", "batch_size=20")]
    if killed:
        changes += [("ray.init(num", _DYING + "ray.init(num"), ("map_batches(Classifier", "map_batches(Dying")]
    found = run_guide(tmp_path, chosen, *changes)
    assert (tmp_path / "source" / "killed").exists() is killed
    assert found["id"].tolist() == list(range(200))
    assert np.array_equal(found["digit"], told.digits)
    np.testing.assert_allclose(found["confidence"], told.confidences, atol=1e-6)
