"""Drawn frames → a video file that is kept however the program ends."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from edge_digits.errors import OutputError, UsageError
from edge_digits.opencv import cv2
from edge_digits.outputs import check_output, stage_output
from edge_digits.video import Image, Note

LEAST_FREE = 50 << 20
"""Bytes that a recording leaves free on its disk."""
_LOOK_EVERY = 15  # frames: half a second of a camera's, in which no recording grows by so much
_LONGEST_GAP = 1.0  # seconds: a longer one, as of a stream that was lost, is left out of the recording


class DiskWatch:
    """Tells when a disk is nearly full."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._calls = 0

    def is_full(self) -> bool:
        """Whether less than LEAST_FREE is left; looked up now and then."""
        self._calls += 1
        return self._calls % _LOOK_EVERY == 1 and shutil.disk_usage(self._folder).free < LEAST_FREE


class VideoRecorder:
    """A video file: staged beside its name, mp4v, or MJPG in an .avi where this OpenCV cannot write that."""

    def __init__(self, path: str, fps: float, *, live: bool, force: bool, note: Note) -> None:
        """`live`: frames are repeated or left out so that the recording keeps their time.

        Raises OutputExistsError, OutputError, or UsageError for a name that is no video's.
        """
        if Path(path).suffix.lower() not in (".mp4", ".avi"):
            raise UsageError(f"{path}: a recording's name ends in .mp4 or .avi")
        try:
            str(Path(path).resolve()).encode()
        except UnicodeEncodeError:  # with which OpenCV ends the process
            raise OutputError(f"{path!a}: a name that is not UTF-8, which OpenCV cannot write") from None
        check_output(path, force=force)
        self._path, self._live, self._force, self._note = path, live, force, note
        fps = min(max(fps, 1.0), 240.0)
        self._fps = round(fps, 3 if fps < 65 else 2)  # MPEG-4 has 16 bits for the numerator of 61069/1000
        self._watch = DiskWatch(Path(path).resolve().parent)
        self._writer: cv2.VideoWriter | None = None
        self._start = 0.0
        self._frames = 0
        self.written: str | None = None
        """The file, once it is closed: its name ends in .avi where .mp4 could not be written."""
        self.is_full = False
        """Whether it was closed early, as the disk is nearly full."""

    def write(self, image: Image, seconds: float) -> None:
        """Add a frame of this time, (H, W, 3) uint8; all are fitted to the size of the first. Raises OutputError."""
        if self.is_full:
            return
        if self._watch.is_full():
            self.is_full = True
            self._note(f"{self._path}: less than {LEAST_FREE >> 20} MB are free on its disk: recording ends here")
            self.close()
            return
        if self._writer is None:
            height, width = image.shape[:2]
            self._size = max(16, width + width % 2), max(16, height + height % 2)  # the encoders want even sides
            self._begin()
            self._start = seconds
            assert self._writer is not None
        due = self._frames + 1
        if self._live:
            gap = seconds - self._start - self._frames / self._fps
            self._start += max(0.0, gap - _LONGEST_GAP)
            due = int((seconds - self._start) * self._fps) + 1
        image = _fit(image, *self._size)
        for _ in range(due - self._frames):
            self._writer.write(image)
            self._frames += 1

    def close(self) -> None:
        """End the file. Raises OutputError where it turns out that it cannot be played."""
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        with self._stage:
            # VideoWriter says nothing when the disk is full: then the index at the end is missing.
            capture = cv2.VideoCapture(str(self._staged))
            playable = capture.isOpened() and capture.read()[0]
            capture.release()
            if not playable:
                raise OutputError(f"{self._path}: could not be written to its end: is the disk full?")
        self.written = self._path

    def _begin(self) -> None:
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
