"""What the webcam command costs: processor, time to an answer, memory.

`python benchmarks/live.py [--seconds 20] [--frames 10000]` draws videos of 640 x 480 at 30 frames a second: a blank
wall, ten digits that keep their place, ten that are held in a hand, all with a camera's noise. It plays each in real
time to `edge-digits webcam --no-window`, a process of its own, and prints its processor time, start and imports
included, as a share of one core, and how soon 95 of 100 frames are answered; then the same with onnxruntime's session
as it is by default, on the same frames. At the end, memory over many frames.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from clips import Scene, Written, at

from edge_digits import Predictions, Reader
from edge_digits.live import LiveSettings, run
from edge_digits.model_files import load_model_file
from edge_digits.opencv import use_one_core
from edge_digits.video import Frame, Source, SourceSettings, open_source

TEN = ("40173", "26859")


def held(x: float, y: float, time: float) -> tuple[float, float, float, float]:
    """Where a sheet is that is held in a hand."""
    return x + 14 * math.sin(2.1 * time), y + 9 * math.sin(3.3 * time), 2 * math.sin(1.7 * time), 1.0


def scenes(seconds: float) -> dict[str, Scene]:
    """What is played."""
    places = [(text, 320, 150 + 180 * row) for row, text in enumerate(TEN)]
    still = [Written(text, at(x, y), seed=row) for row, (text, x, y) in enumerate(places)]
    moving = [
        Written(text, lambda time, x=x, y=y: held(x, y, time), seed=row)  # type: ignore[misc]
        for row, (text, x, y) in enumerate(places)
    ]
    return {
        "blank": Scene([], seconds=seconds, noise=3),
        "ten digits, still": Scene(still, seconds=seconds, noise=3),
        "ten digits, held in a hand": Scene(moving, seconds=seconds, noise=3),
    }


class DefaultClassifier:
    """The same model in a session with none of our settings."""

    def __init__(self, model: str) -> None:
        self._session = onnxruntime.InferenceSession(load_model_file(model).data, providers=["CPUExecutionProvider"])

    def classify(self, tiles: np.ndarray) -> Predictions:
        """As Classifier."""
        return Predictions(self._session.run(["probabilities"], {"tiles": tiles})[0], None)


class Looped(Source):
    """Frames that come again and again, as a file that never ends."""

    def __init__(self, frames: list[Frame], count: int) -> None:
        super().__init__("looped", 30.0, live=False)
        self._frames, self._count = frames, count
        self.resident: list[int] = []
        """Bytes of memory, each tenth of the way."""

    def __iter__(self) -> Iterator[Frame]:
        for number in range(self._count):
            if number % (self._count // 10) == 0:
                self.resident.append(resident())
            there = self._frames[number % len(self._frames)]
            yield Frame(there.image, number, number / self.fps, time.perf_counter())
        self.resident.append(resident())

    def close(self) -> None:
        """Nothing is open."""


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def play(clip: Path, seconds: float, *, default_session: bool = False) -> str:
    """Share of a core, and the time to an answer, of a process that reads a clip in real time."""
    command = [sys.executable, "-m", "edge_digits", "webcam", str(clip), "--no-window", "--realtime"]
    if default_session:
        command = [sys.executable, __file__, "--play", str(clip)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{100 * spent / seconds:5.1f} % of a core; {done.stderr.strip().removeprefix('edge-digits: ')}"


def play_here(clip: str) -> None:
    """What the command does, with onnxruntime's default session."""
    use_one_core()
    reader = Reader()
    reader.classifier = DefaultClassifier("digits")  # type: ignore[assignment]
    with open_source(clip, SourceSettings(), note=print) as source:
        done = run(source, reader, LiveSettings(window=False, realtime=True), stdout=io.StringIO(), note=print)
    print(done.describe(), file=sys.stderr)


def memory(frames: int) -> str:
    """Resident memory while so many frames are read, as fast as they can be."""
    there = list(islice(scenes(2)["ten digits, held in a hand"].frames(), 60))
    source = Looped(there, frames)
    run(source, Reader(), LiveSettings(window=False), stdout=io.StringIO(), note=print)
    return " ".join(f"{amount / 1e6:.1f}" for amount in source.resident) + " MB"


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description="What the webcam command costs.")
    parser.add_argument("--seconds", type=float, default=20, help="of each video")
    parser.add_argument("--frames", type=int, default=10_000, help="over which memory is watched")
    parser.add_argument("--play", metavar="CLIP", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.play:
        play_here(asked.play)
        return
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, scene) in enumerate(scenes(asked.seconds).items()):
            clip = scene.write(Path(folder) / f"{number}.mp4")
            print(f"{name:27} {play(clip, asked.seconds)}")
            print(f"{'  default session':27} {play(clip, asked.seconds, default_session=True)}")
    if asked.frames:
        print(f"memory over {asked.frames:,} frames  {memory(asked.frames)}")


if __name__ == "__main__":
    main()
