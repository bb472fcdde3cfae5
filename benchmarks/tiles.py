"""How the tiles framed from pictures are distributed, against those of a table, as Kaggle's train.csv.

`python benchmarks/tiles.py PICTURES train.csv.gz` takes a folder with labels.csv, as evaluate-pictures does, and prints
for each kind of picture of one digit, read as one region, what tests/tile_statistics.py measures: the mean with its
standard deviation, and how far the distribution lies from the table's (Kolmogorov and Smirnov, 0 to 1).
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from tile_statistics import STATISTICS, Tiles, distance, statistics

from edge_digits import Reader
from edge_digits.any_table import AnyTableReader
from edge_digits.picture_labels import load_labels

MOST = 5000
"""Rows of the table that are measured: the first ones."""
Statistics = dict[str, NDArray[np.float64]]


def table_tiles(path: str) -> Tiles:
    """The first tiles of a table."""
    with closing(AnyTableReader(path).any_tiles()) as chunks:
        parts, count = [], 0
        for tiles, _ in chunks:
            parts.append(tiles.copy())
            count += len(tiles)
            if count >= MOST:
                break
    return np.concatenate(parts)[:MOST]


def report(name: str, measured: Statistics, table: Statistics) -> None:
    """One line."""
    cells = (
        f"{measured[each].mean():8.2f} ± {measured[each].std():5.2f} ({distance(measured[each], table[each]):4.2f})"
        for each in STATISTICS
    )
    print(f"{name:30}{len(measured['ink']):>6,}{''.join(cells)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="a folder with labels.csv")
    parser.add_argument("table", help="a CSV of tiles")
    asked = parser.parse_args()
    table = statistics(table_tiles(asked.table))
    reader = Reader()
    kinds: dict[str, list[Tiles]] = defaultdict(list)
    for picture in load_labels(str(asked.pictures)):
        if len(picture.text) == 1:
            trace = reader.trace(picture.path)
            if len(trace.parts) == 1:
                kinds[picture.kind].append(trace.tiles[0])
    print(f"{'':30}{'n':>6}" + "".join(f"{each:>23}" for each in STATISTICS))
    report(Path(asked.table).name, table, table)
    for kind, tiles in sorted(kinds.items()):
        report(kind, statistics(np.stack(tiles)), table)
    report("all pictures", statistics(np.stack([tile for each in kinds.values() for tile in each])), table)


if __name__ == "__main__":
    main()
