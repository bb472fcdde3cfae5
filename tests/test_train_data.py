from __future__ import annotations

import gzip
import hashlib
import io
import zipfile

import numpy as np
import pytest

pytest.importorskip("pandas", reason="training is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("sklearn", reason="training is not installed: pip install 'edge-digits[train]'")

import pandas as pd
from sklearn.model_selection import train_test_split

from edge_digits.errors import TableError, UsageError
from edge_digits.tables import TableReader
from edge_digits_train.data import DataSet, load_data, split_data

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


# ---- Reading ----


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
    found = load_data(path)
    np.testing.assert_array_equal(found.tiles, some)
    np.testing.assert_array_equal(found.labels, truths)
    assert (found.tiles.dtype, found.labels.dtype, len(found), found.name) == (np.uint8, np.uint8, 1000, "train.csv")
    assert found.sha256 == hashlib.sha256(some.tobytes() + truths.astype(np.uint8).tobytes()).hexdigest()


def test_training_reads_what_the_runtime_reads(tmp_path, real):
    path = tmp_path / "train.csv"
    path.write_bytes(real[2])
    chunks = list(TableReader(str(path)).labelled_tiles())
    found = load_data(str(path))
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
        (csv(ROW + ",", ROW + ","), 2, "786 columns, not 785"),
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


def test_missing_file_and_folder_are_refused_with_their_name(tmp_path):
    with pytest.raises(TableError, match=r"missing\.csv: no such file"):
        load_data(tmp_path / "missing.csv")
    with pytest.raises(TableError, match="is a folder"):
        load_data(tmp_path)


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
    training, held_out = split_data(data, 0.1, 27)
    expected = train_test_split(data.tiles, data.labels, test_size=0.1, random_state=27, stratify=data.labels)
    for found, wanted in zip((training.tiles, held_out.tiles, training.labels, held_out.labels), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert training.name == held_out.name == "train.csv"


def test_split_keeps_each_digits_share_and_every_row_once():
    data = numbered(UNEVEN)
    training, held_out = split_data(data, 0.1, 27)
    assert sorted([*numbers(training), *numbers(held_out)]) == list(range(len(data)))
    np.testing.assert_array_equal(data.labels[numbers(held_out)], held_out.labels)
    assert len(held_out) == -(-len(data) // 10)
    counts = np.bincount(held_out.labels, minlength=10)
    assert (np.abs(counts - np.array(UNEVEN) / 10) < 1).all()


def test_split_depends_on_the_seed_alone():
    data = numbered(UNEVEN)
    first, again, other = (numbers(split_data(data, 0.1, seed)[1]) for seed in (27, 27, 28))
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


@pytest.mark.parametrize("counts", [[1] * 10, [0] * 9 + [1], [30] * 9 + [1]])
def test_too_few_rows_to_hold_some_out_are_refused(counts):
    with pytest.raises(UsageError, match=rf"train\.csv: too few rows \({sum(counts)}\) to hold out 10%") as caught:
        split_data(numbered(counts), 0.1, 27)
    assert caught.value.exit_code == 2
