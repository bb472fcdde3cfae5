"""The webcam loop: read each frame, print what it says, show it, record it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import deque
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol, Self, TextIO

import numpy as np

from edge_digits.draw import draw_reading
from edge_digits.errors import OutputError, UsageError
from edge_digits.opencv import cv2
from edge_digits.outputs import check_output, stage_output
from edge_digits.reading import Reading
from edge_digits.video import Frame, Image, Note, Source


class FrameReader(Protocol):
    """What reads a frame: a Reader, or anything like one."""

    def read(self, image: Image, /) -> Reading:
        """What `image`, (H, W, 3) BGR or (H, W) uint8, says."""


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """What the loop does with each frame."""

    window: bool = True
    """Show the frames, where there is a display."""
    output: str | None = None
    """Record the drawn frames to this .mp4 or .avi."""
    format: Literal["text", "jsonl"] = "text"
    """text: a line when what is read changes; jsonl: a record for each frame."""
    max_frames: int | None = None
    """End after so many frames."""
    force: bool = False
    """Replace an `output` that is there."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the loop did."""

    frames: int
    """Read and printed."""
    dropped: int
    """By a live source, as newer ones had come."""
    failed: int
    """Pictures or parts of the source that could not be read."""
    seconds: float
    """Of wall-clock time."""
    output: str | None
    """The file that was recorded: its name ends in .avi where .mp4 could not be written."""


def run(source: Source, reader: FrameReader, settings: LiveSettings, *, stdout: TextIO, note: Note) -> Summary:
    """Read `source` to its end, to `max_frames`, or until q, Esc or the window's closing ends it.

    However it ends, Ctrl-C included, what was recorded is kept and the exception goes on to the caller. Raises
    OutputExistsError before the first frame, OutputError when the recording fails, SourceError when the source is lost.
    """
    started = time.monotonic()
    recorder = _Recorder(settings.output, source, force=settings.force, note=note) if settings.output else None
    frames, last_text = 0, ""
    rate = _FrameRate()
    with ExitStack() as stack:
        if recorder:
            stack.enter_context(recorder)
        window = stack.enter_context(_Window(note)) if settings.window and _has_display(note) else None
        for frame in islice(source, settings.max_frames):
            reading = reader.read(frame.image)
            frames += 1
            if settings.format == "jsonl":
                _print_record(source.name, frame, reading, stdout)
            elif reading.text != last_text:
                last_text = reading.text
                _print_text(frame, reading, stdout)
            rate.tick()
            if recorder or window:
                drawn = draw_reading(frame.image, reading, caption=rate.text)
                if recorder:
                    recorder.write(drawn, frame.time)
                if window and not window.show(drawn):
                    break
    output = recorder.written if recorder else None
    return Summary(frames, source.dropped, source.failed, time.monotonic() - started, output)


def _print_record(source: str, frame: Frame, reading: Reading, stdout: TextIO) -> None:
    record = {**reading.record(source), "frame": frame.number, "time": round(frame.time, 4)}
    stdout.write(json.dumps(record) + "\n")
    stdout.flush()


def _print_text(frame: Frame, reading: Reading, stdout: TextIO) -> None:
    """Seconds and the lines that are read, or a dash when they are gone."""
    stdout.write(f"{frame.time:8.2f}  {' / '.join(reading.lines) or '-'}\n")
    stdout.flush()


class _FrameRate:
    """Frames a second of wall-clock time, over the last 30."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=31)

    def tick(self) -> None:
        """A frame is done."""
        self._times.append(time.perf_counter())

    @property
    def text(self) -> str:
        """As drawn; "" while there is nothing to measure."""
        span = self._times[-1] - self._times[0] if self._times else 0.0
        return f"{(len(self._times) - 1) / span:.0f} frames/s" if span > 0 else ""


# The window

_PROBE = """
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, OSError, ValueError):
    pass
import cv2
cv2.namedWindow("edge-digits", cv2.WINDOW_NORMAL)
cv2.waitKey(1)
cv2.destroyAllWindows()
"""


def display_problem(timeout: float = 5.0) -> str | None:
    """Why no window can be shown; None where one can.

    A child process tries it, as OpenCV may end the process that opens a window without a display. timeout: seconds.
    """
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "neither DISPLAY nor WAYLAND_DISPLAY is set"
    quiet = subprocess.DEVNULL
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-c", _PROBE], stdin=quiet, stdout=quiet, stderr=quiet, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return f"the display does not answer within {timeout:g} s"
    except OSError as error:
        return f"it could not be tried: {error}"
    if child.returncode == 0:
        return None
    return "the display cannot be opened" if child.returncode < 0 else "this OpenCV was built without windows"


def _has_display(note: Note) -> bool:
    problem = display_problem()
    if problem:
        note(f"no window: {problem}; going on without one")
    return problem is None


class _Window:
    """The window; one whose display fails on the way is given up, and said so."""

    _NAME = "edge-digits"
    _LARGEST = 1280, 800  # pixels, width and height; a person may enlarge it

    def __init__(self, note: Note) -> None:
        self._note = note
        self._open = self._lost = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(cv2.error):
            cv2.destroyAllWindows()

    def show(self, image: Image) -> bool:
        """False when q, Esc or closing the window asks to end."""
        if self._lost:
            return True
        try:
            if not self._open:
                self._open_for(image)
            cv2.imshow(self._NAME, image)
            return (cv2.waitKey(1) & 0xFF) not in (ord("q"), ord("Q"), 27) and self._is_visible()
        except cv2.error as error:
            self._lost = True
            self._note(f"the window is lost ({error.err or 'by OpenCV'}); going on without one")
            return True

    def _open_for(self, image: Image) -> None:
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")  # Qt misses fonts that are not used here
        cv2.namedWindow(self._NAME, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        height, width = image.shape[:2]
        shrink = min(1.0, self._LARGEST[0] / width, self._LARGEST[1] / height)
        cv2.resizeWindow(self._NAME, max(1, round(width * shrink)), max(1, round(height * shrink)))
        self._open = True

    def _is_visible(self) -> bool:
        try:
            return cv2.getWindowProperty(self._NAME, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # so do some window systems say that it was closed
            return False


# The recording


class _Recorder:
    """Drawn frames → a video file, staged beside the target and kept however the loop ends."""

    def __init__(self, path: str, source: Source, *, force: bool, note: Note) -> None:
        if Path(path).suffix.lower() not in (".mp4", ".avi"):
            raise UsageError(f"{path}: a recording's name ends in .mp4 or .avi")
        try:
            str(Path(path).resolve()).encode()
        except UnicodeEncodeError:  # with which OpenCV ends the process
            raise OutputError(f"{path!a}: a name that is not UTF-8, which OpenCV cannot write") from None
        check_output(path, force=force)
        self._path, self._source, self._force, self._note = path, source, force, note
        fps = min(max(source.fps, 1.0), 240.0)
        self._fps = round(fps, 3 if fps < 65 else 2)  # MPEG-4 has 16 bits for the numerator of 61069/1000
        self._writer: cv2.VideoWriter | None = None
        self._frames = 0
        self.written: str | None = None

    def __enter__(self) -> Self:
        return self

    def write(self, image: Image, seconds: float) -> None:
        """Add a frame. Those of a live source are repeated or left out, so that the recording keeps their time."""
        if self._writer is None:
            height, width = image.shape[:2]
            self._size = max(16, width + width % 2), max(16, height + height % 2)  # the encoders want even sides
            self._start()
            assert self._writer is not None
        due = int(seconds * self._fps) + 1 if self._source.live else self._frames + 1
        image = _fit(image, *self._size)
        for _ in range(due - self._frames):
            self._writer.write(image)
            self._frames += 1

    def _start(self) -> None:
        """Open mp4v, or MJPG in an .avi where this OpenCV cannot write that."""
        if self._path.lower().endswith(".mp4"):
            if self._try(self._path, "mp4v"):
                return
            self._path = str(Path(self._path).with_suffix(".avi"))
            self._note(f"this OpenCV cannot write .mp4: recording to {self._path}")
        if not self._try(self._path, "MJPG"):
            raise OutputError(f"{self._path}: cannot be written as a video")

    def _try(self, path: str, codec: str) -> bool:
        try:
            with ExitStack() as stage:
                self._staged = stage.enter_context(stage_output(path, force=self._force, suffix=Path(path).suffix))
                writer = cv2.VideoWriter(str(self._staged), cv2.VideoWriter.fourcc(*codec), self._fps, self._size)
                if not writer.isOpened():
                    raise _NoWriter
                self._writer, self._stage = writer, stage.pop_all()
        except _NoWriter:
            return False
        return True

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._writer is None:
            if error is None:
                self._note(f"{self._path}: not written, as there was no frame")
            return
        self._writer.release()
        with self._stage:
            # VideoWriter says nothing when the disk is full: then the index at the end is missing.
            capture = cv2.VideoCapture(str(self._staged))
            playable = capture.isOpened() and capture.read()[0]
            capture.release()
            if not playable:
                raise OutputError(f"{self._path}: could not be written to its end: is the disk full?")
        self.written = self._path


class _NoWriter(Exception):
    """This OpenCV cannot write such a video."""


def _fit(image: Image, width: int, height: int) -> Image:
    """`image` in the middle of a black (height, width, 3), shrunk or enlarged to fit; to an odd one a line is added."""
    h, w = image.shape[:2]
    if (w, h) == (width, height):
        return image
    if not (0 <= width - w < 2 and 0 <= height - h < 2):
        ratio = min(width / w, height / h)
        w, h = min(width, max(1, round(w * ratio))), min(height, max(1, round(h * ratio)))
        how = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, (w, h), interpolation=how), np.uint8)
    fitted = np.zeros((height, width, 3), np.uint8)
    top, left = (height - h) // 2, (width - w) // 2
    fitted[top : top + h, left : left + w] = image
    return fitted
