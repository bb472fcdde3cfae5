"""mjpeg.py: the JPEG pictures of a pipe come out whole, whatever stands between them and however they are cut up."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pictures import jpeg_bytes

from edge_digits.errors import SourceError
from edge_digits.mjpeg import LARGEST, JpegSplitter, MjpegSource
from edge_digits.opencv import cv2
from edge_digits.video import SourceSettings


def _jpeg(number: int, *, progressive: bool = False) -> bytes:
    """A picture whose noise makes every byte come up."""
    noise = np.random.default_rng(number).integers(0, 256, (40, 56, 3), np.uint8)
    noise[:] = noise // 8 + 5 * number
    if progressive:
        return cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    restarts = [cv2.IMWRITE_JPEG_RST_INTERVAL, number % 3]
    return cv2.imencode(".jpg", noise, restarts)[1].tobytes()


def _with_thumbnail(data: bytes) -> bytes:
    """A picture with another, whole one in its EXIF segment."""
    inner = b"Exif\0\0" + jpeg_bytes(np.zeros((8, 8), np.uint8), 50)
    return data[:2] + b"\xff\xe1" + (len(inner) + 2).to_bytes(2) + inner + data[2:]


PICTURES = [*(_jpeg(n) for n in range(6)), _jpeg(6, progressive=True), _with_thumbnail(_jpeg(7))]
HEADER = b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n"


@pytest.mark.parametrize(
    "between", [b"", HEADER, b"\xff", b"\xff\xd9\0\xff\xff"], ids=["nothing", "multipart", "FF", "junk"]
)
@pytest.mark.parametrize("chunk", [1, 7, 1000, 10**9])
def test_every_picture_comes_out_as_it_went_in(between: bytes, chunk: int) -> None:
    data = b"".join(between + picture for picture in PICTURES) + between
    splitter = JpegSplitter()
    found = [picture for start in range(0, len(data), chunk) for picture in splitter.feed(data[start : start + chunk])]
    assert found == PICTURES
    assert (splitter.damaged, splitter.rest) == (0, 0)


def test_a_picture_cut_short_loses_itself_alone() -> None:
    splitter = JpegSplitter()
    data = PICTURES[0] + PICTURES[1][: len(PICTURES[1]) // 2] + PICTURES[2] + PICTURES[3] + PICTURES[4][:-40]
    assert list(splitter.feed(data)) == [PICTURES[0], PICTURES[2], PICTURES[3]]
    assert (splitter.damaged, splitter.rest) == (1, len(PICTURES[4]) - 40)


def test_what_comes_out_of_a_damaged_stream_does_not_depend_on_how_it_is_cut_up() -> None:
    rng = np.random.default_rng(0)
    whole = np.frombuffer(HEADER.join(PICTURES), np.uint8)
    for _ in range(100):
        data = whole.copy()
        places = rng.integers(0, len(data), 12)
        data[places] = rng.choice([0, 0xFF, 0xD8, 0xD9, 0xDA, 7], 12)
        stream = data.tobytes()
        at_once, in_pieces = JpegSplitter(), JpegSplitter()
        found = list(at_once.feed(stream))
        cuts = [0, *sorted(rng.integers(0, len(stream), 20).tolist()), len(stream)]
        assert found == [picture for a, b in pairwise(cuts) for picture in in_pieces.feed(stream[a:b])]
        assert (at_once.damaged, at_once.rest) == (in_pieces.damaged, in_pieces.rest)
        assert all(picture[:3] == b"\xff\xd8\xff" and picture[-2:] == b"\xff\xd9" for picture in found)


def test_starts_without_end_take_neither_long_nor_deep() -> None:
    splitter = JpegSplitter()
    started = time.monotonic()
    assert list(splitter.feed(b"\xff\xd8\xff\x00" * 200_000)) == []
    assert time.monotonic() - started < 5
    assert splitter.damaged >= 199_999


def test_what_never_ends_is_refused() -> None:
    splitter = JpegSplitter()
    head = _jpeg(1)[:-2]
    with pytest.raises(ValueError, match="64 MB"):
        list(splitter.feed(head + bytes(LARGEST)))


def _source(data: bytes, *, settings: SourceSettings | None = None, hold: float = 0.0) -> tuple[MjpegSource, list[str]]:
    """A source at whose other end `data` is written, and the end then held open for so long."""
    read_end, write_end = os.pipe()

    def write() -> None:
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(data)
            pipe.flush()
            time.sleep(hold)

    threading.Thread(target=write, daemon=True).start()
    notes: list[str] = []
    return MjpegSource(read_end, settings or SourceSettings(), note=notes.append), notes


def test_a_pipe_gives_every_frame_in_order_at_the_rate_that_is_asked_for() -> None:
    source, notes = _source(b"".join(PICTURES * 20), settings=SourceSettings(fps=10))
    frames = []
    for frame in source:
        assert frame is not None
        time.sleep(0.001)
        frames.append(frame)
    assert len(frames) == 8 * 20
    assert [frame.time for frame in frames] == pytest.approx([number / 10 for number in range(160)])
    assert all(
        np.array_equal(one.image, cv2.imdecode(np.frombuffer(p, np.uint8), 1))
        for one, p in zip(frames, PICTURES, strict=False)
    )
    assert all(later.arrived >= earlier.arrived for earlier, later in pairwise(frames))
    assert (notes, source.failed) == ([], 0)


def test_a_damaged_picture_and_one_cut_short_are_said_and_the_others_come() -> None:
    damaged = _jpeg(3)[:20] + b"\xff\xd9"
    source, notes = _source(PICTURES[0] + damaged + PICTURES[1] + PICTURES[2][:-30])
    assert [frame.number for frame in source if frame] == [0, 2]
    assert source.failed == 2
    assert ["damaged" in notes[0], "cut short" in notes[1]] == [True, True]


def test_a_pipe_that_falls_silent_is_an_error_in_time_and_says_so_meanwhile() -> None:
    source, _ = _source(PICTURES[0], settings=SourceSettings(timeout=0.5), hold=3)
    started = time.monotonic()
    seen = []
    with pytest.raises(SourceError, match=r"nothing for 0.5 s"):
        seen.extend(source)
    assert time.monotonic() - started < 2
    assert seen[0] is not None
    assert seen[1:] == [None] * len(seen[1:])
    assert len(seen) > 2


@pytest.mark.parametrize("data", [b"", b"words\n" * 100, PICTURES[0][:-10]], ids=["empty", "text", "cut short"])
def test_a_pipe_without_a_picture_is_an_error(data: bytes) -> None:
    source, _ = _source(data)
    with pytest.raises(SourceError, match="no JPEG"):
        list(source)


def test_stdin_of_the_command_is_read(tmp_path: object) -> None:
    from pictures import write_number

    image = cv2.copyMakeBorder(
        write_number("7", height=60, seed=1).image, 60, 60, 90, 90, cv2.BORDER_CONSTANT, value=255
    )
    command = [sys.executable, "-m", "edge_digits", "webcam", "-", "--no-window"]
    done = subprocess.run(command, input=jpeg_bytes(image, 90) * 30, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b'"text": "7"') == 2, "appeared, and gone at the end"
    closed = subprocess.run(["bash", "-c", '"$@" <&-', "bash", *command], capture_output=True, check=False, timeout=60)
    assert closed.returncode == 4
    assert b"Traceback" not in closed.stderr


def test_what_comes_from_stdin_can_be_recorded_in_the_current_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge_digits", "webcam", "-", "--no-window", "--record", "."]
    done = subprocess.run(command, input=PICTURES[0], capture_output=True, check=False, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "000000.png").exists()
