"""Much work at once: many pictures in one call, one reader for many threads, and for forked and spawned processes.

    python tests/reliability/load.py --pictures 100000

It prints what it measured, and exits with 1 where memory grew by more than a tenth after the first tenth of the
pictures, or an answer was another than that of one reader alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_digits import Classifier, Reader

DIFFERENT = 50
"""Pictures that are different; the others are links to them."""
GROWTH = 1.1
"""Times the memory at a tenth of the way that may be used later."""

Image = NDArray[np.uint8]
Answers = list[tuple[float, ...]]


def sheets(count: int, size: tuple[int, int] = (60, 120)) -> list[Image]:
    """Numbers drawn on grey paper with some noise, all different."""
    rng = np.random.default_rng(0)
    drawn = []
    for number in range(count):
        sheet = np.full(size, 230, np.uint8)
        cv2.putText(sheet, str(100 + number), (10, size[0] * 3 // 4), cv2.FONT_HERSHEY_SIMPLEX, size[0] / 50, 40, 3)
        drawn.append(np.clip(sheet + rng.normal(0, 3, size), 0, 255).astype(np.uint8))
    return drawn


# ---- many pictures


def fill(folder: Path, pictures: int) -> None:
    """So many pictures, in folders of 1,000."""
    encoded = [bytes(cv2.imencode(".png", sheet)[1]) for sheet in sheets(min(pictures, DIFFERENT))]
    for number in range(pictures):
        path = folder / f"{number // 1000:03}" / f"{number % 1000:03}.png"
        path.parent.mkdir(exist_ok=True)
        if number < len(encoded):
            path.write_bytes(encoded[number])
        else:
            path.hardlink_to(folder / "000" / f"{number % len(encoded):03}.png")


def resident(process: int) -> int:
    """Bytes in memory of a process and those that it started."""
    page, pids = os.sysconf("SC_PAGE_SIZE"), [process]
    for task in Path(f"/proc/{process}/task").iterdir():
        pids += map(int, (task / "children").read_text().split())
    return sum(page * int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)


def many(folder: Path, pictures: int) -> tuple[dict[int, int], int]:
    """`classify` of them all, in one call: its memory in bytes by percent of the way, and how many were read wrong."""
    command = [sys.executable, "-m", "edge_digits", "classify", str(folder), "--format", "jsonl"]
    texts: dict[str, str] = {}
    memory, wrong = {}, 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for number, line in enumerate(child.stdout):
            record = json.loads(line)
            kind = f"{number % DIFFERENT}"
            wrong += record["error"] is not None or record["text"] != texts.setdefault(kind, record["text"])
            if number + 1 in (pictures // 10, pictures // 2, pictures * 9 // 10):
                memory[100 * (number + 1) // pictures] = resident(child.pid)
        child.wait()
        wrong += abs(pictures - number - 1) + (child.returncode != 0)
    return memory, wrong


# ---- one for all


def answers(reader: Reader, image: Image) -> Answers:
    """All that a reading says, bit for bit."""
    return [(*digit.box, *digit.probabilities) for digit in reader.read(image).digits]


def in_threads(reader: Reader, images: list[Image], threads: int) -> list[Answers]:
    """What one reader says when so many threads share it."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda image: answers(reader, image), images))


_inherited: Reader | None = None


def in_processes(method: str, reader: Reader, images: list[Image], processes: int) -> list[Answers]:
    """What `reader` says in other processes: handed down to those that are forked, pickled for the others."""
    global _inherited
    _inherited = reader
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(processes, context, _take, () if method == "fork" else (reader,)) as pool:
        return list(pool.map(_answer, images, timeout=300))


def _take(*reader: Reader) -> None:
    global _inherited
    if reader:
        (_inherited,) = reader


def _answer(image: Image) -> Answers:
    assert _inherited is not None
    return answers(_inherited, image)


def sharing(count: int, threads: int = 16) -> Iterator[tuple[str, int]]:
    """(way of sharing, answers that differ from those of one reader alone)."""
    images = [*sheets(count), *sheets(2, (1500, 2000))]  # OpenCV starts threads for the large ones
    reader = Reader()
    alone = [answers(reader, image) for image in images]
    assert sum(map(len, alone)) >= 3 * count
    tiles = np.random.default_rng(1).integers(0, 256, (16 * count, 28, 28), np.uint8)
    classifier = Classifier()
    expected = classifier.classify(tiles).probabilities
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(lambda part: classifier.classify(part).probabilities, np.split(tiles, count)))
    yield f"a Classifier shared by {threads} threads", int((np.concatenate(parts) != expected).any(axis=1).sum())
    found = in_threads(reader, images, threads)
    yield f"a Reader shared by {threads} threads", sum(a != b for a, b in zip(alone, found, strict=True))
    for method in ("fork", "spawn", "forkserver"):
        found = in_processes(method, reader, images, 2)
        yield f"two processes by {method}", sum(a != b for a, b in zip(alone, found, strict=True))


def main() -> int:
    """1 where something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--shared", type=int, default=200, help="pictures read by each way of sharing")
    asked = parser.parse_args()
    failed = False
    for way, different in sharing(asked.shared):
        print(f"{way}: {different} of {asked.shared} answers differ", flush=True)
        failed |= different > 0
    with tempfile.TemporaryDirectory(prefix="edge-digits-load-") as name:
        fill(Path(name), asked.pictures)
        started = time.monotonic()
        memory, wrong = many(Path(name), asked.pictures)
        took = time.monotonic() - started
    at = ", ".join(f"{size / 1e6:.0f} MB at {percent} %" for percent, size in memory.items())
    print(f"{asked.pictures:,} pictures in one call: {took:.0f} s, {at}; {wrong} wrong or missing")
    grew = max(memory.values()) > GROWTH * memory[min(memory)]
    return 1 if failed or grew or wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
