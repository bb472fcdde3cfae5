"""How well labelled videos are read.

`python benchmarks/video.py FOLDER [--model digits] [--edge 15]`, of a folder with labels.csv: file,truth,…

A truth of single digits, "0 1 2", is of digits that come one after the other: the last reading of each number before it
is gone is compared with the truth in turn, and all other readings are counted. Any other truth, "2718 / 8135", is of
digits that are all in view at the end: each frame's record is compared with it, whatever the order; the last `--edge`
frames are told, and what is reported in the first ones.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path

from edge_digits import Reader
from edge_digits.steady import SteadyReader
from edge_digits.video import open_source


def main() -> None:
    """Scores each clip."""
    parser = argparse.ArgumentParser(description="How well labelled videos are read.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="digits")
    parser.add_argument("--edge", type=int, default=15, help="frames at the beginning and at the end that are told")
    asked = parser.parse_args()
    reader = Reader(asked.model)
    with (asked.folder / "labels.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            path = asked.folder / row["file"]
            truth = row["truth"].split()
            if all(len(word) == 1 and word.isdigit() for word in truth):
                print(f"{row['file']}: {one_by_one(path, truth, reader)}")
            else:
                print(f"{row['file']}: {all_in_view(path, ''.join(truth).replace('/', ''), reader, asked.edge)}")


def one_by_one(path: Path, truth: list[str], reader: Reader) -> str:
    """Of digits that come one after the other."""
    steady = SteadyReader(reader)
    last: list[str] = []
    told = 0
    with open_source(str(path), note=print) as source:
        events = [event for frame in source if frame for event in steady.look(frame).events] + steady.end()
    for event in events:
        told += event.event != "gone"
        last += [event.text] * (event.event == "gone")
    right = sum(a == b for a, b in zip(last, truth, strict=False))
    return f"{right} of {len(truth)} in turn ({' '.join(last)}), {told - right} other readings"


def all_in_view(path: Path, truth: str, reader: Reader, edge: int) -> str:
    """Of digits that are in view together at the end."""
    steady = SteadyReader(reader, every=True)
    with open_source(str(path), note=print) as source:
        texts = [steady.look(frame).reading.text.replace("\n", "") for frame in source if frame]
    known = Counter(truth)
    right = [sum((known & Counter(text)).values()) for text in texts[-edge:]]
    invented = [sum((Counter(text) - known).values()) for text in texts[-edge:]]
    early = sum(map(len, texts[:edge]))
    return (
        f"{min(right)} to {max(right)} of {len(truth)} right in each of the last {edge} frames, "
        f"at most {max(invented)} invented; {early} reported in the first {edge}"
    )


if __name__ == "__main__":
    main()
