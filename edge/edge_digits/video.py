"""Cameras, video files, folders of pictures and streams → frames."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from edge_digits.errors import ImageError, SourceError
from edge_digits.image_headers import HEAD_BYTES, picture_format
from edge_digits.images import find_pictures
from edge_digits.opencv import cv2

Image = npt.NDArray[np.uint8]
"""(H, W, 3) in BGR order, or (H, W)."""

Note = Callable[[str], None]
"""Takes one line for the person who watches, and shows it."""

FOLDER_FPS = 30.0
"""Frames a second of a folder of pictures, and of a video or camera that does not say."""

TIMEOUT = 5.0
"""Seconds that a camera or stream may take to open, and then for each frame."""

_STREAM = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_STREAM_SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https")
_MOVING = {"GIF"}  # pictures that are read as video
_GIVE_UP_EARLY = 0.9  # OpenCV's share of the time-out: it should end its wait before we end ours


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image of a source."""

    image: Image
    number: int
    """Its place in the source, from 0; what was dropped or damaged keeps its number."""
    time: float
    """Seconds of media time since the first frame; of cameras and streams, of capture."""


class Source(ABC):
    """Frames, to be iterated over once and then closed: use it in a `with` block."""

    def __init__(self, name: str, fps: float, *, live: bool) -> None:
        self.name = name
        """As given by the caller."""
        self.fps = fps if 0.5 <= fps <= 500 else FOLDER_FPS
        """Frames a second, as the source says."""
        self.live = live
        """Whether frames come whether or not one is ready for them."""
        self.dropped = 0
        """Frames of a live source that came too fast to be read."""
        self.failed = 0
        """Pictures that could not be read, and 1 for a video that ends before its time."""

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames. Raises SourceError when the source is lost on the way."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the device or file. May be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(source: str, *, note: Note, timeout: float = TIMEOUT) -> Source:
    """Open a camera (`0`, `/dev/video0`), a video file, a picture or a folder of them, or a stream (rtsp, http, https).

    note: gets a line for each damaged picture, for a video that is cut short, and for the end of a stream.
    timeout: seconds for a camera or stream to open, and then to give each frame.

    Raises SourceError with the reason.
    """
    camera = _camera_index(source)
    if camera is not None:
        return _open_camera(source, camera, note=note, timeout=timeout)
    if scheme := _STREAM.match(source):
        if scheme[0][:-3].lower() not in _STREAM_SCHEMES:
            raise SourceError(f"{source}: no kind of stream that can be read (those are {', '.join(_STREAM_SCHEMES)})")
        url = _opencv_name(source)
        return _LiveSource(source, lambda: _open_stream(url, timeout), camera=False, note=note, timeout=timeout)
    path = Path(source)
    try:
        if not source or not path.exists():
            raise SourceError(f"{source or repr(source)}: no such file or folder")
        if path.is_dir():
            return _PictureSource(source, note=note)
        if not path.is_file():
            raise SourceError(f"{source}: neither a file nor a folder nor a camera")
        with path.open("rb") as file:
            kind = picture_format(file.read(HEAD_BYTES))
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        raise SourceError(f"{source}: {getattr(error, 'strerror', None) or error}") from error
    if kind and kind.name not in _MOVING:
        return _PictureSource(source, note=note)
    return _FileSource(source, note=note)


# Files and folders: every frame, in order


class _MediaClock:
    """Seconds of media time of each frame: as the file says, and counted on by its rate where it says nothing sane."""

    def __init__(self, fps: float) -> None:
        self._step = 1 / fps
        self._start: float | None = None
        self._last = 0.0

    def time(self, capture: cv2.VideoCapture) -> float:
        """Of the frame that `capture` gave last. Never less than of the one before it."""
        said = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if self._start is None:
            self._start = said
            return 0.0
        since_start = said - self._start
        self._last = since_start if self._last < since_start < float("inf") else self._last + self._step
        return self._last


class _FileSource(Source):
    def __init__(self, name: str, *, note: Note) -> None:
        # The absolute path, as FFmpeg takes "a:b" for an address.
        self._capture = cv2.VideoCapture(_opencv_name(str(Path(name).absolute())), _file_backend())
        self._first = _read(self._capture)
        if self._first is None:
            reason = "holds no frame that can be read" if self._capture.isOpened() else _why_no_video(Path(name))
            self._capture.release()
            raise SourceError(f"{name}: {reason}")
        super().__init__(name, self._capture.get(cv2.CAP_PROP_FPS), live=False)
        self._note = note

    def __iter__(self) -> Iterator[Frame]:
        clock = _MediaClock(self.fps)
        number, image = 0, self._first
        while image is not None:
            yield Frame(image, number, clock.time(self._capture))
            number, image = number + 1, _read(self._capture)
        promised = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if number < 0.95 * promised - 2:  # some formats only estimate their length
            self.failed += 1
            self._note(f"{self.name}: ends after {number} of {promised:.0f} frames: it is cut short or damaged")

    def close(self) -> None:
        self._capture.release()


class _PictureSource(Source):
    def __init__(self, name: str, *, note: Note) -> None:
        super().__init__(name, FOLDER_FPS, live=False)
        search = find_pictures([name])
        self._pictures = list(search)
        self._note = note
        if all(picture.path is None for picture in self._pictures):
            raise SourceError("; ".join(f"{picture.source}: {picture.error}" for picture in self._pictures))
        if search.skipped:
            note(f"{name}: passed over {search.skipped} file{'s' * (search.skipped > 1)} without a picture's signature")

    def __iter__(self) -> Iterator[Frame]:
        for number, picture in enumerate(self._pictures):
            try:
                image = picture.load()
            except ImageError as error:
                self.failed += 1
                self._note(f"{error}; skipped")
                continue
            yield Frame(image, number, number / self.fps)
        if self.failed == len(self._pictures):
            raise SourceError(f"{self.name}: none of its pictures can be read")

    def close(self) -> None:
        pass


def _opencv_name(name: str) -> str:
    """`name`, when OpenCV can take it. Raises SourceError for one that is not UTF-8, with which it ends the process."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise SourceError(f"{name!a}: a name that is not UTF-8, which OpenCV cannot open") from None
    return name


def _file_backend() -> int:
    """FFmpeg where this OpenCV has it: the others guess at picture sequences and write to stderr."""
    return cv2.CAP_FFMPEG if cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBackends() else cv2.CAP_ANY


def _read(capture: cv2.VideoCapture) -> Image | None:
    """The next frame; None at the end, and where OpenCV fails."""
    try:
        done, image = capture.read()
    except cv2.error:
        return None
    return np.asarray(image, np.uint8) if done and image is not None and image.size else None


def _why_no_video(path: Path) -> str:
    if path.stat().st_size == 0:
        return "an empty file"
    return "no video, or one that is cut short or of a kind that this OpenCV cannot read"


# Cameras and streams: the newest frame, within a time limit


class _LiveSource(Source):
    """The newest frame. A thread opens, reads and releases the capture, so that one that hangs stops nobody."""

    def __init__(
        self, name: str, connect: Callable[[], cv2.VideoCapture], *, camera: bool, note: Note, timeout: float
    ) -> None:
        super().__init__(name, FOLDER_FPS, live=True)
        self._connect, self._camera, self._note, self._timeout = connect, camera, note, timeout
        self._shown = re.sub(r"//[^/@]*@", "//", name)  # no password of a stream's in a message
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._opened = self._ended = self._stalled = self._closing = False
        self._thread = threading.Thread(target=self._grab, name="edge-digits-grab", daemon=True)
        self._thread.start()
        try:
            self._wait_for_first()
        except BaseException:
            self.close()
            raise

    def _wait_for_first(self) -> None:
        with self._changed:
            in_time = self._changed.wait_for(lambda: self._newest or self._ended, self._timeout)
            if self._newest is not None:
                return
            reason = f"no answer within {self._timeout:g} s"
            if self._opened:
                reason = "opens, but gives no frame"
            elif in_time and not self._stalled:
                reason = "cannot be opened"
        raise SourceError(f"{self._shown}: {reason}")

    def __iter__(self) -> Iterator[Frame]:
        number = -1
        while True:
            with self._changed:
                in_time = self._changed.wait_for(lambda: self._newest or self._ended, self._timeout)
                frame, self._newest = self._newest, None
                self._changed.notify_all()
            if frame is not None:
                number = frame.number
                yield frame
            elif not in_time or self._stalled:
                raise SourceError(f"{self._shown}: no frame for {self._timeout:g} s, after {number + 1} frames")
            elif self._camera:
                raise SourceError(f"{self._shown}: the camera is lost, after {number + 1} frames")
            else:
                if self.live:
                    self._note(f"{self._shown}: the stream ended after {number + 1} frames")
                return

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout=1.0)  # one that hangs in OpenCV is left behind

    def _grab(self) -> None:
        asked = time.monotonic()
        try:
            capture = self._connect()
            try:
                if capture.isOpened():
                    self._keep_newest(capture)
                else:
                    self._stalled = self._is_stall(asked)
            finally:
                capture.release()
        except (cv2.error, OverflowError):  # OverflowError: a camera number past C's int
            pass
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _keep_newest(self, capture: cv2.VideoCapture) -> None:
        finite = not self._camera and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0  # a video file behind an http address
        self.live = not finite
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0.5 <= fps <= 500 else FOLDER_FPS
        clock = _MediaClock(self.fps)
        self._opened = True
        number, started, last = 0, 0.0, time.monotonic()
        while not self._closing:
            image, now = _read(capture), time.monotonic()
            if image is None:
                self._stalled = self._is_stall(last)
                if not self._camera or self._stalled:  # a camera may fail now and then, and while it warms up
                    return
                time.sleep(0.01)
                continue
            started, last = (started or now), now
            frame = Frame(image, number, clock.time(capture) if finite else now - started)
            number += 1
            self._offer(frame, wait=finite)
            if finite:
                last = time.monotonic()

    def _offer(self, frame: Frame, *, wait: bool) -> None:
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._newest is None or self._closing)
            self.dropped += self._newest is not None and not self._closing
            self._newest = frame
            self._changed.notify_all()

    def _is_stall(self, since: float) -> bool:
        return time.monotonic() - since >= 0.8 * _GIVE_UP_EARLY * self._timeout


def _open_stream(url: str, timeout: float) -> cv2.VideoCapture:
    if _file_backend() != cv2.CAP_FFMPEG:
        return cv2.VideoCapture(url)
    limit = int(1000 * _GIVE_UP_EARLY * timeout)
    settings = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
    return cv2.VideoCapture(url, cv2.CAP_FFMPEG, settings)


def _camera_index(source: str) -> int | None:
    """The number of the camera that `source` names: `0`, `/dev/video0`, or a link to it as in /dev/v4l/by-id."""
    for name in (source, os.path.realpath(source) if source.startswith("/dev/") else ""):
        if match := re.fullmatch(r"(?:/dev/video)?([0-9]{1,9})", name):
            return int(match[1])
    return None


def _open_camera(name: str, index: int, *, note: Note, timeout: float) -> Source:
    """Raises SourceError that names what was tried, and what else there is."""
    device = f"/dev/video{index}" if sys.platform == "linux" else f"camera {index}"
    reason = there_is = ""
    if sys.platform == "linux":
        others = sorted((p.name for p in Path("/dev").glob("video[0-9]*")), key=lambda name: (len(name), name))
        there_is = f"; there is {', '.join(f'/dev/{name}' for name in others)}" if others else ""
        if not Path(device).exists():
            reason = "not there"
        elif not os.access(device, os.R_OK | os.W_OK):
            reason = "no permission: is this user in the group video?"
    if not reason:
        try:
            return _LiveSource(name, lambda: _connect_camera(index), camera=True, note=note, timeout=timeout)
        except SourceError as error:
            reason = str(error).removeprefix(f"{name}: ")
    raise SourceError(f"no camera: tried {device} ({reason}){there_is}; --source takes a video file, too")


def _connect_camera(index: int) -> cv2.VideoCapture:
    for backend in (cv2.CAP_V4L2, cv2.CAP_ANY) if sys.platform == "linux" else (cv2.CAP_ANY,):
        capture = cv2.VideoCapture(index, backend)
        if capture.isOpened():
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            break
    return capture
