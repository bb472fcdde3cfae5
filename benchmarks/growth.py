"""How time and memory grow with rows, with a picture's side and with its digits: `python benchmarks/growth.py OUT.png`.

Each point is the median of `--rounds`: of `submit` as a whole process, and of a picture from its file's bytes to the
answer, without the start of the process. Memory is the peak of the process of `submit` or `classify`. Draws them on
logarithmic axes beside a line of what grows in proportion, and prints them.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import matplotlib
import numpy as np

from edge_digits import Reader
from edge_digits.bench_figures import Ran, run_python, seconds_of
from edge_digits.bench_material import load_tiles, write_table

matplotlib.use("Agg")
from matplotlib import pyplot

ROWS = (10_000, 100_000, 1_000_000)
SIDES = (1_000, 2_000, 4_000)
"""Width in pixels of a picture of ten digits, 3/4 as high; the digits grow with it."""
DIGITS = (10, 30, 100)
"""On a picture of 2,400 × 1,800."""


@dataclass(frozen=True)
class Point:
    """One size, measured."""

    size: int
    ran: list[Ran]

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(ran.seconds for ran in self.ran)

    @property
    def megabytes(self) -> float:
        """The median."""
        return statistics.median(ran.megabytes for ran in self.ran)


def packed_table(folder: Path, rows: int) -> Path:
    """A table as Kaggle's, gzipped: a million rows are 1.8 GB."""
    plain, packed = folder / "part.csv", folder / f"{rows}.csv.gz"
    write_table(plain, ROWS[0])
    header, _, part = plain.read_bytes().partition(b"\n")
    with gzip.open(packed, "wb", compresslevel=1) as file:
        file.write(header + b"\n")
        for _ in range(rows // ROWS[0]):
            file.write(part)
    return packed


def sheet(folder: Path, width: int, count: int) -> Path:
    """A PNG of `count` digits on a grid, dark on light."""
    height = width * 3 // 4
    across = int(np.ceil(np.sqrt(count * 4 / 3)))
    down = -(-count // across)
    side = min(width // across, height // down) * 3 // 4
    image = np.full((height, width), 235, np.uint8)
    for i, tile in enumerate(np.resize(load_tiles(), (count, 28, 28))):
        top = height * (i // across) // down + side // 8
        left = width * (i % across) // across + side // 8
        image[top : top + side, left : left + side] -= cv2.resize(tile, (side, side)) // 4 * 3
    path = folder / f"{width}-{count}.png"
    assert cv2.imwrite(str(path), image)
    return path


def measure(folder: Path, rounds: int) -> Iterator[tuple[str, list[Point]]]:
    """(what grows, its points)."""
    submit = ("-m", "edge_digits", "submit", "-o", str(folder / "out.csv"), "--force")
    tables = {rows: packed_table(folder, rows) for rows in ROWS}
    yield (
        "rows of a table",
        [
            # The longest alone takes as long as all others together.
            Point(rows, [run_python(*submit, str(path)) for _ in range(1 if rows == ROWS[-1] else rounds)])
            for rows, path in tables.items()
        ],
    )
    reader = Reader()
    for what, sheets in {
        "width of a picture of ten digits": {width: sheet(folder, width, DIGITS[0]) for width in SIDES},
        "digits of a picture": {count: sheet(folder, 2_400, count) for count in DIGITS},
    }.items():
        yield what, [Point(size, [read(reader, path) for _ in range(rounds)]) for size, path in sheets.items()]


def read(reader: Reader, path: Path) -> Ran:
    """The time of reading it, and the memory of a process that does."""
    data = path.read_bytes()
    return Ran(seconds_of(partial(reader.read, data)), run_python("-m", "edge_digits", "classify", str(path)).megabytes)


def draw(found: dict[str, list[Point]], path: Path) -> None:
    """Time above, memory below."""
    figure, axes = pyplot.subplots(2, len(found), figsize=(11, 6), constrained_layout=True)
    for column, (what, points) in enumerate(found.items()):
        sizes = [point.size for point in points]
        for axis, values, unit in (
            (axes[0, column], [point.seconds for point in points], "seconds"),
            (axes[1, column], [point.megabytes for point in points], "MB"),
        ):
            axis.loglog(sizes, values, "o-", color="#1f77b4")
            pixels = "picture of ten" in what
            line = [values[0] * (size / sizes[0]) ** (2 if pixels else 1) for size in sizes]
            axis.loglog(sizes, line, ":", color="grey", label="as the pixels" if pixels else "in proportion")
            for size, value in zip(sizes, values, strict=True):
                axis.annotate(f"{value:.3g}", (size, value), textcoords="offset points", xytext=(0, 6), ha="center")
            axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
            axis.minorticks_off()
            axis.margins(0.15)
            axis.set_ylabel(unit)
            axis.set_xlabel(what)
            axis.legend(loc="upper left", frameon=False)
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the PNG to draw")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for what, points in measure(Path(folder), asked.rounds):
            found[what] = points
            for point in points:
                print(f"{what:<34}{point.size:>10,}{point.seconds:>9.3f} s{point.megabytes:>7.0f} MB", flush=True)
    draw(found, asked.out)
    print(asked.out, file=sys.stderr)


if __name__ == "__main__":
    main()
