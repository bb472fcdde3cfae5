"""Interrupts commands at random moments, and looks at what is left.

    python tests/reliability/kill_loop.py --tries 200

Of each try: the exit code is the documented one (130 for Ctrl-C, 143 for a polite kill, 0 where it had ended), stderr
has no traceback, no temporary file is left, and the output is the old one or the new one, whole. It prints a line for
each command and signal, and exits with 1 where something did not hold.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

OLD = b"what was there before\n"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Command:
    """What is run, in a folder that `prepare` has filled, and how its output is judged."""

    name: str
    arguments: list[str]
    output: str
    is_whole: Callable[[bytes, bytes], bool]
    """(what is there, what a run that nobody interrupts leaves) → whether it is all of it."""


@dataclass
class Tally:
    """What came of the tries of one command and signal."""

    old: int = 0
    new: int = 0
    early: int = 0
    """Sent before the program itself had begun."""
    failures: list[str] = field(default_factory=list)


def prepare(folder: Path) -> None:
    """A table of 2,000 rows, 24 pictures and a video of 60 frames."""
    rng = np.random.default_rng(0)
    tile = np.zeros((28, 28), np.uint8)
    cv2.putText(tile, "7", (5, 23), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
    row = ",".join(map(str, tile.ravel()))
    (folder / "test.csv").write_text(",".join(f"pixel{i}" for i in range(784)) + "\n" + f"{row}\n" * 2000)
    (folder / "pictures").mkdir()
    video = cv2.VideoWriter(str(folder / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30, (320, 240))
    for number in range(60):
        sheet = np.full((240, 320, 3), 235, np.uint8)
        cv2.putText(sheet, str(100 + number), (60, 140), cv2.FONT_HERSHEY_SIMPLEX, 2, (60, 40, 40), 5)
        sheet = np.clip(sheet + rng.normal(0, 3, sheet.shape), 0, 255).astype(np.uint8)
        video.write(sheet)
        if number < 24:
            cv2.imwrite(str(folder / "pictures" / f"{number}.png"), sheet)
    video.release()


def plays(data: bytes, _: bytes) -> bool:
    """Whether a video can be opened and each of its frames read: a recording that was ended early is one, too."""
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(data)
        file.flush()
        capture = cv2.VideoCapture(file.name)
        promised, frames = capture.get(cv2.CAP_PROP_FRAME_COUNT), 0
        while capture.read()[0]:
            frames += 1
        return frames > 0 and frames >= promised - 1


def same(found: bytes, whole: bytes) -> bool:
    """Whether it is the whole output, byte for byte."""
    return found == whole


COMMANDS = (
    Command("submit", ["submit", "test.csv", "-o", "out.csv", "--force"], "out.csv", same),
    Command("classify", ["classify", "pictures", "--format", "json", "-o", "out.json", "--force"], "out.json", same),
    Command("webcam", ["webcam", "clip.avi", "--no-window", "-o", "out.mp4", "--force"], "out.mp4", plays),
)


def attempt(command: Command, number: int, folder: Path, whole: bytes, moment: float, tally: Tally) -> None:
    """Starts the command over an old output, sends it the signal after `moment` seconds, and looks."""
    output = folder / command.output
    output.write_bytes(OLD)
    before = {path.name for path in folder.iterdir()}
    child = subprocess.Popen(
        [sys.executable, "-m", "edge_digits", *command.arguments],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(moment)
    early = is_starting(child.pid)
    child.send_signal(number)
    try:
        _, said = child.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        tally.failures.append(f"after {moment:.3f} s: it did not end within 30 s")
        return
    tally.early += early
    found = output.read_bytes() if output.exists() else b""
    left = {path.name for path in folder.iterdir()} - before
    allowed = (0, 1, 128 + number, -number) if early else (0, 128 + number)  # 1: Python's, while it loads its site
    wrong = [
        *([f"exit code {child.returncode}"] if child.returncode not in allowed else []),
        *(["a traceback"] if "Traceback" in said and not early else []),
        *([f"left {', '.join(sorted(left))}"] if left else []),
    ]
    if found == OLD:
        tally.old += 1
    elif command.is_whole(found, whole):
        tally.new += 1
    else:
        wrong.append(f"an output of {len(found)} bytes that is neither the old one nor a whole one")
    tally.failures += [f"after {moment:.3f} s: {reason}" for reason in wrong]


def is_starting(process: int) -> bool:
    """Whether Python is still on its way to `main`, which then handles a polite kill, and ignores it at the end."""
    status = Path(f"/proc/{process}/status").read_text()
    masks = [int(mask, 16) for mask in re.findall(r"^Sig(?:Cgt|Ign):\s+(\w+)", status, re.MULTILINE)]
    return bool(masks) and not any(mask >> (signal.SIGTERM - 1) & 1 for mask in masks)


def main() -> int:
    """1 where something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [command.name for command in COMMANDS]
    parser.add_argument("commands", nargs="*", choices=[*names, []], metavar="COMMAND", help="all, where none is named")
    parser.add_argument("--tries", type=int, default=200, help="of each command and signal")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    failed = False
    with tempfile.TemporaryDirectory(prefix="edge-digits-kill-") as name:
        folder = Path(name)
        prepare(folder)
        for command in [each for each in COMMANDS if not asked.commands or each.name in asked.commands]:
            started = time.monotonic()
            subprocess.run([sys.executable, "-m", "edge_digits", *command.arguments], cwd=folder, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
            took, whole = time.monotonic() - started, (folder / command.output).read_bytes()
            for number in SIGNALS:
                tally = Tally()
                for _ in range(asked.tries):
                    attempt(command, number, folder, whole, rng.uniform(0, 1.1 * took), tally)
                failed |= bool(tally.failures)
                print(
                    f"{command.name:9} {signal.Signals(number).name:8} {asked.tries} tries over {1.1 * took:.1f} s: "
                    f"{tally.early} while Python started, {tally.old} old, {tally.new} new, "
                    f"{len(tally.failures)} failures",
                    flush=True,
                )
                for failure in tally.failures[:5]:
                    print(f"    {failure}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
