"""What keys save: a frame with its record, and tiles as labelled examples that `train --data` reads."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edge_digits.errors import OutputError
from edge_digits.outputs import open_output
from edge_digits.reading import Record
from edge_digits.sheet import encode_png
from edge_digits.steady import Look


def frame_record(source: str, look: Look) -> Record:
    """What is read in a frame, as plain data."""
    return {**look.reading.record(source), "frame": look.frame.number, "time": round(look.frame.time, 4)}


def stamp() -> str:
    """The time now, as part of a file's name."""
    return time.strftime("%Y%m%d-%H%M%S")


def free_name(folder: Path, stem: str, suffix: str) -> Path:
    """A name that no file has yet: STEM.suffix, or STEM-2.suffix, …"""
    path, count = folder / f"{stem}{suffix}", 1
    while path.exists():
        count += 1
        path = folder / f"{stem}-{count}{suffix}"
    return path


def save_frame(source: str, look: Look) -> Path:
    """The frame, and beside it its record, .json, in the working folder: the picture's path. Raises OutputError."""
    path = free_name(Path(), f"edge-digits-{stamp()}-{look.frame.number:06}", ".png")
    _save(path, encode_png(look.frame.image))
    _save(path.with_suffix(".json"), (json.dumps(frame_record(source, look), indent=2) + "\n").encode())
    return path


def save_example(folder: Path, label: int, tile: NDArray[Any], number: int) -> Path:
    """A tile, (28, 28) uint8, of the frame of that number as DIR/LABEL/….png. Raises OutputError."""
    home = folder / str(label)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{home}: cannot be made ({(error.strerror or str(error)).lower()})") from error
    path = free_name(home, f"{stamp()}-{number:06}", ".png")
    _save(path, encode_png(tile))
    return path


def _save(path: Path, data: bytes) -> None:
    with open_output(str(path), force=False, binary=True) as out:
        out.write(data)
