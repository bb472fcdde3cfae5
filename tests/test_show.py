"""show: the rows that are asked for, what is said of them, and that both are seen in the terminal and in the PNG."""

from __future__ import annotations

import gzip
import io
import os
import pty
import re
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import csv_table, mnist, png, some
from PIL import Image
from test_imports import HEAVY, command, loaded_after

from edge_digits import Classifier
from edge_digits.any_table import AnyTableReader
from edge_digits.classifier import load_ensemble
from edge_digits.cli import app
from edge_digits.errors import TableError, UsageError
from edge_digits.half_blocks import Colours, draw_lines
from edge_digits.sheet import draw_sheet, encode_png
from edge_digits.show import MAX_ROWS, RandomRows, RowRange, ShownRow, choose, label_rows

CHOSEN = some(40, seed=5)
TILES, LABELS = mnist()[0][CHOSEN], mnist()[1][CHOSEN]


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


Run = Callable[..., Done]


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs `edge-digits show` in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            app(["show", *map(str, arguments)], prog_name="edge-digits")
        heard = capfdbinary.readouterr()
        assert b"Traceback" not in heard.err
        return Done(int(ended.value.code or 0), heard.out, heard.err.decode())

    return run


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A small train.csv: 40 rows."""
    path = tmp_path / "train.csv"
    path.write_bytes(csv_table(TILES, LABELS))
    return path


@pytest.fixture
def unlabelled(tmp_path: Path) -> Path:
    """A small test.csv: the same 40 rows without their labels."""
    path = tmp_path / "test.csv"
    path.write_bytes(csv_table(TILES))
    return path


# ---- a table of either kind


@pytest.mark.parametrize("packed", ["plain", "gz", "gz in many members", "zip"])
@pytest.mark.parametrize("labels", [LABELS, None], ids=["labels", "no labels"])
def test_the_kind_of_a_table_is_told_by_its_header(tmp_path: Path, packed: str, labels: NDArray | None) -> None:
    data = b"\xef\xbb\xbf" + csv_table(TILES, labels)
    path = tmp_path / "table"
    if packed == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("table.csv", data)
    elif packed == "plain":
        path.write_bytes(data)
    else:  # the first members hold less than the name of the first column
        ends = [0, 5, 7, 2000, len(data)] if "many" in packed else [0, len(data)]
        path.write_bytes(b"".join(gzip.compress(data[i:j], 1) for i, j in pairwise(ends)))
    parts = list(AnyTableReader(str(path), rows=7).any_tiles())
    assert [len(tiles) for tiles, _ in parts] == [7, 7, 7, 7, 7, 5]
    np.testing.assert_array_equal(np.concatenate([tiles for tiles, _ in parts]), TILES)
    if labels is None:
        assert all(found is None for _, found in parts)
    else:
        np.testing.assert_array_equal(np.concatenate([found for _, found in parts if found is not None]), labels)


HEADER, FIRST, *_ = csv_table(TILES, LABELS).split(b"\n")
BAD_TABLES = {
    "empty": (b"", "is empty"),
    "header alone": (HEADER + b"\n", "no rows"),
    "picture": (png(TILES[0]), "not a CSV"),
    "no header": (FIRST + b"\n", "line 1: numbers where the header label, pixel0"),
    "submission": (b"ImageId,Label\n1,2\n", "line 1: it has an ImageId column"),
    "label at the end": (HEADER.removeprefix(b"label,") + b",label\n" + FIRST + b"\n", "line 1: column 1 is 'pixel0'"),
    "bad cell": (HEADER + b"\n" + FIRST + b"\n" + FIRST.replace(b",0,", b",x,", 1) + b"\n", "line 3: column pixel"),
    "short row": (HEADER + b"\n" + FIRST + b"\n1,2\n", "line 3: 2 columns, not 785"),
    "no line at all": (b"a" * 300_000, "line 1: longer than"),
}


@pytest.mark.parametrize("kind", BAD_TABLES)
@pytest.mark.parametrize("how", [[], ["--random", "1"], ["-o", "grid.png"]], ids=["range", "random", "png"])
def test_a_bad_table_is_told_with_its_line_and_leaves_no_picture(run: Run, kind: str, how: list[str]) -> None:
    data, reason = BAD_TABLES[kind]
    Path("bad.csv").write_bytes(data)
    done = run("bad.csv", *how)
    assert (done.code, done.out) == (1, b"")
    assert re.fullmatch(rf"edge-digits: bad\.csv: .*{reason}.*\n", done.err)
    assert os.listdir() == ["bad.csv"]  # noqa: PTH208


# ---- which rows


def read(rows: RowRange | RandomRows, path: Path, chunk: int = 1024) -> list[int]:
    """The numbers of the rows that are read; their tiles and labels are checked against the table's."""
    found = rows.read(AnyTableReader(str(path), rows=chunk))
    np.testing.assert_array_equal(found.tiles, TILES[found.numbers])
    assert found.labels is not None
    np.testing.assert_array_equal(found.labels, LABELS[found.numbers])
    return found.numbers.tolist()


@pytest.mark.parametrize("chunk", [1, 7, 10, 1024])
@pytest.mark.parametrize("text", ["0:18", ":5", "35:", "39:", ":", "0:40", "6:8", "7:14", "13", "0", "39", "007:0008"])
def test_rows_are_those_that_python_slices(labelled: Path, text: str, chunk: int) -> None:
    parts = [int(part) if part else None for part in text.split(":")]
    expected = list(range(40))[slice(*parts) if len(parts) == 2 else slice(parts[0], parts[0] + 1)]  # type: ignore[operator]
    assert read(RowRange.parse(text), labelled, chunk) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-1", "none is negative"),
        ("-3:", "none is negative"),
        ("5:-1", "none is negative"),
        ("", "is not A:B"),
        ("x", "is not A:B"),
        ("1:9:2", "is not A:B"),
        ("1,2", "is not A:B"),
        ("1 : 2", "is not A:B"),
        ("1.5", "is not A:B"),
        ("٣", "is not A:B"),
        ("9" * 5000, "is not A:B"),
        ("7:7", "holds no row"),
        ("7:3", "holds no row"),
        (":0", "holds no row"),
        (f"0:{MAX_ROWS + 1}", "more than 1,000 rows"),
    ],
)
def test_what_is_no_range_of_rows_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        RowRange.parse(text)


@pytest.mark.parametrize("chunk", [7, 40, 1024])
@pytest.mark.parametrize(("text", "missing"), [("40", "40"), ("30:41", "40"), ("40:", "40"), ("50:60", "50")])
def test_rows_beyond_the_table_are_an_error_with_its_length(
    labelled: Path, text: str, missing: str, chunk: int
) -> None:
    with pytest.raises(UsageError, match=rf"train.csv: has 40 rows, .*no row {missing}$"):
        read(RowRange.parse(text), labelled, chunk)


def test_a_range_without_an_end_is_refused_past_the_limit_and_without_reading_on(tmp_path: Path) -> None:
    row = ",".join(["3", *["0"] * 784]).encode()
    (tmp_path / "long.csv").write_bytes(HEADER + b"\n" + (row + b"\n") * MAX_ROWS)
    assert len(RowRange.parse(":").read(AnyTableReader(str(tmp_path / "long.csv"))).numbers) == MAX_ROWS
    (tmp_path / "long.csv").write_bytes(HEADER + b"\n" + (row + b"\n") * 5000 + b"bad\n")
    with pytest.raises(UsageError, match="more than 1,000 rows"):
        RowRange.parse("3:").read(AnyTableReader(str(tmp_path / "long.csv")))


def test_what_follows_the_rows_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(csv_table(TILES, LABELS) + b"bad\n")
    assert read(RowRange.parse("30:40"), tmp_path / "train.csv", chunk=10) == list(range(30, 40))
    with pytest.raises(TableError, match="line 42"):
        read(RowRange.parse("30:"), tmp_path / "train.csv", chunk=10)


@pytest.mark.parametrize("chunk", [1, 7, 1024])
def test_random_rows_are_those_that_draw_the_lowest_numbers(labelled: Path, chunk: int) -> None:
    for seed in range(5):
        drawn = np.random.default_rng(seed).random(40)
        for count in (1, 18, 40):
            assert read(RandomRows(count, seed), labelled, chunk) == sorted(np.argsort(drawn)[:count].tolist())


def test_every_row_is_as_likely_to_be_drawn_as_any_other(labelled: Path) -> None:
    table = [(TILES[i : i + 8], LABELS[i : i + 8]) for i in range(0, 40, 8)]

    class Stored(AnyTableReader):
        def any_tiles(self):  # type: ignore[no-untyped-def]
            yield from table

    draws = 1000
    counts = np.zeros(40, int)
    for seed in range(draws):
        counts[RandomRows(10, seed).read(Stored(str(labelled))).numbers] += 1
    spread = np.sqrt(draws * 0.25 * 0.75)
    assert counts.sum() == 10 * draws
    assert np.abs(counts - draws / 4).max() < 4 * spread
    assert counts.std() > spread / 2, "as even as no chance would be"


def test_more_random_rows_than_there_are_is_an_error_with_their_number(labelled: Path) -> None:
    with pytest.raises(UsageError, match=r"train.csv: has 40 rows, fewer than the 41"):
        read(RandomRows(41, 0), labelled)
    with pytest.raises(UsageError, match="more than 1,000"):
        RandomRows(MAX_ROWS + 1, 0)
    for count, seed in ((0, 0), (1, -1)):
        with pytest.raises(ValueError, match="rows, seed"):
            RandomRows(count, seed)


def test_drawing_from_a_long_table_takes_little_memory(tmp_path: Path) -> None:
    row = ",".join(["3", *["255"] * 784]).encode()
    (tmp_path / "long.csv").write_bytes(HEADER + b"\n" + (row + b"\n") * 6000)
    reader = AnyTableReader(str(tmp_path / "long.csv"), rows=100)
    tracemalloc.start()
    try:
        RandomRows(18, 0).read(reader)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4e6  # the tiles alone are 4.7 MB, the text 19


def test_without_a_choice_the_first_18_rows_are_shown_or_as_many_as_there_are(labelled: Path, tmp_path: Path) -> None:
    assert read(choose(None, None, 0), labelled) == list(range(18))
    (tmp_path / "short.csv").write_bytes(csv_table(TILES[:3], LABELS[:3]))
    assert read(choose(None, None, 0), tmp_path / "short.csv") == [0, 1, 2]


# ---- what is said


def test_rows_get_their_labels_and_the_answers_of_the_classifier(labelled: Path, classifier: Classifier) -> None:
    rows = RowRange.parse("5:25").read(AnyTableReader(str(labelled)))
    predictions = classifier.classify(TILES[5:25])
    shown = label_rows(rows, lambda tiles: classifier.classify(tiles).probabilities)
    assert [row.number for row in shown] == list(range(5, 25))
    assert [row.label for row in shown] == LABELS[5:25].tolist()
    assert [row.answer for row in shown] == predictions.digits.tolist()
    assert [row.confidence for row in shown] == predictions.confidences.tolist()
    assert all((row.tile == TILES[row.number]).all() for row in shown)
    assert {(row.answer, row.confidence) for row in label_rows(rows)} == {(None, None)}


@pytest.mark.parametrize(
    ("row", "said", "percent", "wrong"),
    [
        ({"label": 0}, "0", "", False),
        ({"answer": 0, "confidence": 0.996}, "read as 0", "99 %", False),
        ({"answer": 4, "confidence": 1.0}, "read as 4", "99 %", False),
        ({"label": 0, "answer": 0, "confidence": 0.5}, "0 read as 0", "50 %", False),
        ({"label": 7, "answer": 0, "confidence": 0.319}, "7 read as 0", "31 %", True),
    ],
)
def test_what_is_said_of_a_row(row: dict, said: str, percent: str, wrong: bool) -> None:
    shown = ShownRow(3, TILES[0], **row)
    assert (shown.said, shown.percent, shown.wrong) == (said, percent, wrong)


# ---- the terminal

ONE = ShownRow(41999, TILES[0], 7, 1, 0.634)


def pixels(lines: list[str]) -> NDArray[np.int64]:
    """What a terminal shows of the lines of one tile, (28, 28), 0 to 255, from their escape codes."""

    def grey(kind: str, values: str) -> int:
        if kind == "2":
            (value,) = set(values.split(";"))
            return int(value)
        return {16: 0, 231: 255}.get(int(values)) or (0 if values == "16" else 8 + 10 * (int(values) - 232))

    shown = []
    for line in lines:
        upper, lower = [], []
        assert line.endswith("\x1b[0m"), "the colours end with the line"
        for code, text in re.findall(r"\x1b\[([\d;]+)m(▀*)", line.removesuffix("\x1b[0m")):
            found = re.fullmatch(r"38;([25]);([\d;]+);48;([25]);([\d;]+)", code)
            assert found, code
            upper += [grey(found[1], found[2])] * len(text)
            lower += [grey(found[3], found[4])] * len(text)
        shown += [upper, lower]
    return np.array(shown)


def test_half_blocks_show_every_pixel_in_its_own_grey() -> None:
    ramp = np.arange(784).reshape(28, 28).astype(np.uint8)
    for tile in (TILES[0], ramp, np.full((28, 28), 255, np.uint8)):
        _, *lines, last = draw_lines([ShownRow(0, tile, 5)], 80, Colours.full)
        assert (len(lines), last) == (14, "")
        np.testing.assert_array_equal(pixels(lines), tile)
        _, *lines, _ = draw_lines([ShownRow(0, tile, 5)], 80, Colours.palette)
        assert np.abs(pixels(lines) - tile).max() <= 8  # from the lightest of 24 greys, 238, to white
        assert np.abs(pixels(lines) - tile).mean() <= 3


def test_without_colours_blocks_show_where_the_ink_is() -> None:
    _, *lines, _ = draw_lines([ShownRow(0, TILES[0], 5)], 80, Colours.none)
    halves = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
    padded = [line.ljust(28) for line in lines]
    ink = np.array([[halves[c][half] for c in line] for line in padded for half in (0, 1)])
    np.testing.assert_array_equal(ink, TILES[0] >= 96)


def shown_width(line: str) -> int:
    """In characters, without the escape codes."""
    return len(re.sub(r"\x1b\[[\d;]*m", "", line))


@pytest.mark.parametrize("colours", Colours)
@pytest.mark.parametrize(("width", "columns"), [(20, 1), (28, 1), (57, 1), (58, 2), (80, 2), (120, 4), (500, 7)])
def test_as_many_tiles_stand_side_by_side_as_the_terminal_is_wide(width: int, columns: int, colours: Colours) -> None:
    rows = [ShownRow(i, np.full((28, 28), 255, np.uint8), i) for i in range(7)]
    lines = list(draw_lines(rows, width, colours))
    assert max(map(shown_width, lines)) == 30 * columns - 2
    assert len(lines) == 16 * -(-7 // columns)
    titles = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines[::16]]
    assert [re.findall(r"row (\d): (\d)", title) for title in titles] == [
        [(str(i), str(i)) for i in range(start, min(start + columns, 7))] for start in range(0, 7, columns)
    ]
    assert [title.index("row 1") for title in titles if "row 1" in title] == [30 if columns > 1 else 0]


@pytest.mark.parametrize(
    ("row", "title"),
    [
        (ShownRow(41999, TILES[0], 7), "row 41999: 7"),
        (ShownRow(27999, TILES[0], None, 7, 0.9), "row 27999: read as 7, 90 %"),
        (ONE, "✗ 41999: 7 read as 1, 63 %"),
        (ShownRow(12, TILES[0], 7, 7, 0.634), "✓ 12: 7 read as 7, 63 %"),
        (ShownRow(10**12, TILES[0], 7, 1, 0.634), "✗ 1000000000000: 7 read as 1"),
    ],
)
def test_titles_fit_above_their_tiles_and_mark_what_is_wrong(row: ShownRow, title: str) -> None:
    assert next(draw_lines([row], 80, Colours.none)) == title
    coloured = next(draw_lines([row], 80, Colours.palette))
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured).rstrip() == title
    assert ("\x1b[1;91m" in coloured) == row.wrong


@pytest.mark.parametrize(
    ("environment", "terminal", "colours"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, True, Colours.full),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit"}, True, Colours.full),
        ({"TERM": "xterm-256color"}, True, Colours.palette),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, False, Colours.none),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, True, Colours.none),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, True, Colours.palette),  # no-color.org: where it is not empty
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, True, Colours.none),
        ({}, True, Colours.none),
    ],
)
def test_colours_are_those_that_the_terminal_has(environment: dict, terminal: bool, colours: Colours) -> None:
    assert Colours.of(environment, terminal) is colours


def in_a_terminal(*arguments: str, **environment: str) -> str:
    """What a command writes to a terminal of 80 by 24 characters."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "edge_digits", *arguments],
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
        env={**{name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLORTERM", "COLUMNS")},
             "TERM": "xterm", **environment},
    ) as process:  # fmt: skip
        os.close(theirs)
        heard = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # what Linux says when the other end is closed
                break
            if not part:
                break
            heard += part
        process.wait(30)
    os.close(ours)
    return heard.decode().replace("\r\n", "\n")


def test_a_terminal_gets_colours_and_never_a_png(labelled: Path) -> None:
    shown = in_a_terminal("show", str(labelled), "--rows", "4", COLORTERM="truecolor")
    np.testing.assert_array_equal(pixels(shown.splitlines()[1:15]), TILES[4])
    assert "no picture: name a file" in in_a_terminal("show", str(labelled), "-o", "-")


# ---- the PNG


def test_the_sheet_shows_each_tile_enlarged_in_reading_order() -> None:
    sheet = draw_sheet([ShownRow(i, TILES[i], 1) for i in range(18)])
    places = []
    for tile in TILES[:18]:
        enlarged = tile.repeat(5, axis=0).repeat(5, axis=1)
        _, _, (x, y), _ = cv2.minMaxLoc(cv2.matchTemplate(sheet[..., 0], enlarged, cv2.TM_SQDIFF))
        assert (sheet[y : y + 140, x : x + 140] == enlarged[..., np.newaxis]).all()
        places.append((y, x))
    assert len({y for y, _ in places}) == 3
    assert len({x for _, x in places}) == 6
    assert places == sorted(places)


def reddish(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return picture[..., 2].astype(int) - picture[..., 0] > 100


def test_a_wrong_answer_is_framed_and_crossed_and_no_other_is() -> None:
    right, wrong = ShownRow(0, TILES[0], 7, 7, 0.9), ShownRow(0, TILES[0], 7, 1, 0.9)
    assert not reddish(draw_sheet([right])).any()
    sheet = draw_sheet([wrong])
    red = reddish(sheet)
    rows = np.flatnonzero(red.sum(axis=1) >= 150)
    assert 8 <= len(rows) <= 12, "the frame's upper and lower edge"
    grey = sheet.min(axis=2)
    for edge in (grey[rows[0] : rows[4], 20:140], grey[rows[0] : rows[-1], 11:14]):
        assert (edge < 200).all(), "seen without its colour, too"
    beside = [draw_sheet([wrong, right]), draw_sheet([right, wrong])]
    half = beside[0].shape[1] // 2
    assert [reddish(sheet)[:, half:].any() for sheet in beside] == [False, True]
    assert reddish(sheet[rows[-1] + 1 :, :30]).sum() > 60, "the cross"


@pytest.mark.parametrize("number", [0, 41999, 10**12, 10**25])
def test_what_is_said_stands_below_the_tile_within_its_cell(number: int) -> None:
    blank = np.full((28, 28), 255, np.uint8)
    for row in (ShownRow(number, blank, 7), ShownRow(number, blank, 8, 8, 0.88), ShownRow(number, blank, 8, 3, 0.88)):
        sheet = draw_sheet([row, row])
        ink = (sheet.min(axis=2) < 200)[160:]
        left, right = ink[:, : sheet.shape[1] // 2], ink[:, sheet.shape[1] // 2 :]
        assert left.sum() > 60
        assert right.sum() == left.sum(), "none is cut off or written over"
        assert not ink[-3:].any()
        assert not ink[:, -9:].any()
    fewer, more = (draw_sheet([ShownRow(1, blank, 1, None, None), ShownRow(n, blank, 1)]) for n in (1, 2))
    assert (fewer != more).any(), "the row's number is written"


def test_a_sheet_of_the_most_rows_is_still_a_picture_that_programs_open() -> None:
    row = ShownRow(41999, TILES[0], 8, 8, 0.88)
    height, width, _ = draw_sheet([row] * MAX_ROWS).shape
    assert height * width < 40e6
    assert 1 < width / height < 2
    assert draw_sheet([row]).shape[0] < 250
    with pytest.raises(ValueError, match="no rows"):
        draw_sheet([])


def test_the_png_holds_the_sheet() -> None:
    sheet = draw_sheet([ONE])
    image = Image.open(io.BytesIO(encode_png(sheet)))
    assert image.format == "PNG"
    np.testing.assert_array_equal(np.asarray(image.convert("RGB"))[..., ::-1], sheet)


# ---- the command


def expected(rows: list[ShownRow]) -> str:
    return "".join(f"{line}\n" for line in draw_lines(rows, 80, Colours.none))


def test_show_prints_the_rows_with_their_labels(run: Run, labelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = run(labelled)
    assert (done.code, done.err) == (0, "")
    assert done.text == expected([ShownRow(i, TILES[i], int(LABELS[i])) for i in range(18)])
    assert run(labelled, "--rows", "3:9").text == expected([ShownRow(i, TILES[i], int(LABELS[i])) for i in range(3, 9)])
    monkeypatch.setenv("COLUMNS", "200")
    assert len(run(labelled).text.splitlines()) == 16 * 3


def test_show_reads_stdin_once_whatever_the_table(run: Run, labelled: Path, unlabelled: Path) -> None:
    for path in (labelled, unlabelled):
        packed = gzip.compress(path.read_bytes())
        assert run("-", "--rows", "30:", stdin=packed) == run(path, "--rows", "30:")


def test_show_draws_the_same_rows_for_the_same_seed(run: Run, labelled: Path) -> None:
    once, again, other = (run(labelled, "--random", 6, "--seed", seed).text for seed in (1, 1, 2))
    assert once == again != other
    numbers = [int(number) for number in re.findall(r"row (\d+):", once)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 6


def test_show_of_rows_without_labels_gives_the_answers_of_the_model(run: Run, unlabelled: Path) -> None:
    probabilities = load_ensemble(["digits"])(TILES[:18])
    digits, confidences = probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1).tolist()
    titles = re.findall(r"row (\d+): read as (\d), (\d+) %", run(unlabelled).text)
    assert [(int(row), int(answer)) for row, answer, _ in titles] == list(enumerate(digits))
    assert [int(p) for *_, p in titles] == [min(99, int(100 * c)) for c in confidences]
    assert run(unlabelled, "--model", "digits").text == run(unlabelled).text


def test_show_with_a_model_marks_the_wrong_answers(run: Run, tmp_path: Path, classifier: Classifier) -> None:
    said = np.where(np.arange(40) % 4 == 0, (LABELS + 1) % 10, LABELS)
    (tmp_path / "wrong.csv").write_bytes(csv_table(TILES, said))
    answers = classifier.classify(TILES).digits
    done = run("wrong.csv", "--rows", ":", "--model", "digits")
    titles = re.findall(r"([✗✓]) (\d+): (\d) read as (\d)", done.text)
    assert titles == [
        ("✓" if label == answer else "✗", str(i), str(label), str(answer))
        for i, (label, answer) in enumerate(zip(said.tolist(), answers.tolist(), strict=True))
    ]
    assert sum(mark == "✗" for mark, *_ in titles) >= 10
    assert "read as" not in run("wrong.csv").text


def test_show_writes_the_sheet_to_a_file_or_stdout(run: Run, labelled: Path) -> None:
    rows = [ShownRow(i, TILES[i], int(LABELS[i])) for i in range(18)]
    done = run(labelled, "-o", "grid.png")
    assert (done.code, done.out, done.err) == (0, b"", "")
    assert Path("grid.png").read_bytes() == encode_png(draw_sheet(rows)) == run(labelled, "-o", "-").out
    again = run(labelled, "--rows", "0", "-o", "grid.png")
    assert again.code == 2
    assert "--force" in again.err
    assert run(labelled, "--rows", "0", "-o", "grid.png", "--force").code == 0
    assert Path("grid.png").read_bytes() == encode_png(draw_sheet(rows[:1]))


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--rows", "1", "--random", "1"], 2, "exclude each other"),
        (["--rows", "-1"], 2, "negative"),
        (["--rows", "40"], 2, "has 40 rows"),
        (["--random", "41"], 2, "has 40 rows"),
        (["--random", "0"], 2, "--random"),
        (["--random", "2000"], 2, "1,000"),
        (["--seed", "-1"], 2, "--seed"),
        (["-o", "grid.jpg"], 2, "ends in .png"),
        (["-o", "nowhere/grid.png"], 1, "nowhere"),
        (["--model", "digit-int8"], 3, "did you mean digits-int8"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_show_refuses_what_makes_no_sense(
    run: Run, labelled: Path, arguments: list[str], code: int, reason: str
) -> None:
    done = run(labelled, *arguments)
    assert (done.code, done.out) == (code, b"")
    assert reason in done.err
    assert os.listdir(labelled.parent) == ["train.csv"]  # noqa: PTH208


def test_show_of_a_missing_table_is_exit_code_1(run: Run) -> None:
    done = run("missing.csv")
    assert (done.code, done.err) == (1, "edge-digits: missing.csv: no such file or directory\n")


def test_show_loads_opencv_for_a_png_and_onnxruntime_for_answers_alone(labelled: Path, unlabelled: Path) -> None:
    png_path = str(labelled.parent / "grid.png")
    assert not loaded_after(command("show", str(labelled))) & HEAVY
    assert loaded_after(command("show", str(unlabelled))) & HEAVY == {"onnxruntime"}
    assert loaded_after(command("show", str(labelled), "-o", png_path)) & HEAVY == {"cv2"}


@pytest.mark.parametrize(("output", "stdout"), [("", ">/dev/full"), ("-o -", ">&-")])
def test_a_stdout_that_is_full_or_closed_is_one_line(labelled: Path, output: str, stdout: str) -> None:
    line = f'"$0" -m edge_digits show train.csv {output} {stdout}'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable], cwd=labelled.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(r"edge-digits: stdout: .*\n", done.stderr)
