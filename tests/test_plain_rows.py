"""Plain rows are read as cell by cell, and what may be anything else is left to that."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_digits import tables
from edge_digits.plain_rows import PlainRows, parse_plain

NAMES = ("pixel0", "pixel1", "pixel2")
HEADER = b"pixel0,pixel1,pixel2\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_table_of_plain_rows_is_read_to_its_end_however_its_text_comes(end: bytes, size: int) -> None:
    cells = np.random.default_rng(0).choice([0, 5, 10, 99, 100, 199, 255], (50, 3))
    text = HEADER[:-1] + end + b"".join(b"%d,%d,%d" % tuple(row) + end for row in cells)
    at = len(HEADER) + len(end) - 1
    plain = PlainRows([text[:at], *(text[i : i + size] for i in range(at, len(text), size))], NAMES)
    np.testing.assert_array_equal(np.concatenate(list(plain)), cells)
    assert (plain.rest, plain.line) == (b"", 52)


@settings(max_examples=500, deadline=None)
@given(st.text('0012359,,,,\n\r "', max_size=40))
def test_what_passes_for_plain_is_what_the_rules_say(text: str) -> None:
    block = text.encode() + b"\n"
    cells = parse_plain(block, 2)
    if cells is not None:
        lines = [line.removesuffix(b"\r") for line in block.split(b"\n")[:-1]]
        np.testing.assert_array_equal(cells, tables._parse_slowly("-", lines, 2, ("pixel0", "pixel1")))


@pytest.mark.parametrize(
    "line",
    ["1,2", "1,2,3,4", "1,2,256", "1,2,300", "1,2,999", "1,2,0001", "1,,3", ",2,3", "1,2,", "", "1,2,-3"],
)
def test_it_ends_before_what_is_not_plain(line: str) -> None:
    chunks = iter([HEADER, b"4,5,6\n7,8,9\n", line.encode() + b"\n1,2,3\n", b"never taken"])
    plain = PlainRows(chunks, NAMES)
    assert [cells.tolist() for cells in plain] == [[[4, 5, 6], [7, 8, 9]]]
    assert plain.line == 4
    assert plain.rest == line.encode() + b"\n1,2,3\n"
    assert next(chunks) == b"never taken"


@pytest.mark.parametrize("header", [b"a,b,c\n", b"\xef\xbb\xbf" + HEADER, b"pixel0,1,2\n", b"pixel0,pixel1"])
def test_a_header_that_is_not_plain_is_left(header: bytes) -> None:
    plain = PlainRows([header], NAMES)
    assert list(plain) == []
    assert (plain.rest, plain.line) == (header, 1)


def test_a_label_above_9_and_a_line_without_end_are_left() -> None:
    plain = PlainRows([b"label,pixel0\n9,200\n", b"10,200\n"], ("label", "pixel0"))
    assert [cells.tolist() for cells in plain] == [[[9, 200]]]
    assert plain.rest == b"10,200\n"
    endless = PlainRows([HEADER, *[b"1,2,3,4" * 9] * 9], NAMES)
    assert list(endless) == []
    assert len(endless.rest) == 63
