"""Cameras, streams, video files, folders and recordings → frames."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from edge_digits.errors import ImageError, SourceError, UsageError
from edge_digits.image_headers import HEAD_BYTES, picture_format
from edge_digits.images import find_pictures
from edge_digits.limits import MAX_PIXELS
from edge_digits.opencv import cv2

Image = npt.NDArray[np.uint8]
"""(H, W, 3) in BGR order, or (H, W)."""

Note = Callable[[str], None]
"""Takes one line for the person who watches, and shows it."""

FOLDER_FPS = 30.0
"""Frames a second of a folder of pictures, of MJPEG on stdin, and of a video or camera that does not say."""

TIMEOUT = 5.0
"""Seconds that a camera or stream may take to open, and then for each frame."""

RETRIES = 3
"""Times that a lost camera or stream is opened again."""

SANE_FPS = 0.5, 500.0
"""Frames a second: what else a source says of itself is not believed."""

_STREAM = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_STREAM_SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https")
_MOVING = {"GIF"}  # pictures that are read as video
_PATTERN = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image of a source."""

    image: Image
    number: int
    """Its place in the source, from 0; what was dropped or damaged keeps its number."""
    time: float
    """Seconds of media time since the first frame; of cameras and streams, of capture."""
    arrived: float = 0.0
    """When it was there to be read, on the clock of time.perf_counter."""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """How a source is opened."""

    size: tuple[int, int] | None = None
    """Width and height to ask a camera for."""
    fps: float | None = None
    """Frames a second: to ask a camera for, or of what has no rate of its own, a folder or MJPEG on stdin."""
    retries: int = RETRIES
    """Times that a lost camera or stream is opened again before it is given up."""
    timeout: float = TIMEOUT
    """Seconds for a camera or stream to open, and then to give each frame."""


class Source(ABC):
    """Frames, to be iterated over once and then closed: use it in a `with` block.

    None in their place means that none has come for a moment: time to look at the keys.
    """

    def __init__(self, name: str, fps: float, *, live: bool) -> None:
        self.name = name
        """As given by the caller."""
        self.fps = sane_fps(fps)
        """Frames a second, as the source says."""
        self.live = live
        """Whether frames come whether or not one is ready for them."""
        self.dropped = 0
        """Frames of a live source that came too fast to be read."""
        self.failed = 0
        """Pictures that could not be read, and 1 for a video that ends before its time."""
        self.folders: Sequence[Path] = ()
        """Those that its pictures lie in, where they are files of their own: nothing can be recorded there."""

    @abstractmethod
    def __iter__(self) -> Iterator[Frame | None]:
        """The frames. Raises SourceError when the source is lost on the way."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the device or file. May be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(source: str, settings: SourceSettings | None = None, *, note: Note) -> Source:
    """Open a camera (`0`, `/dev/video0`), a stream (rtsp, http, https), MJPEG on stdin (`-`), or what lies on the disk:
    a video file, a picture, a folder or pattern of them, or what `--record` has kept.

    note: gets a line for each damaged picture, for a video that is cut short, and when a stream is lost and back.

    Raises SourceError with the reason; UsageError for a setting that the source cannot have.
    """
    settings = settings or SourceSettings()
    from edge_digits.cameras import camera_index, open_camera
    from edge_digits.streams import open_stream

    index = camera_index(source)
    if index is not None:
        return open_camera(source, index, settings, note=note)
    if settings.size:
        raise UsageError(f"--size is what a camera is asked for; {source} is none")
    if scheme := _STREAM.match(source):
        if scheme[0][:-3].lower() not in _STREAM_SCHEMES:
            raise SourceError(f"{source}: no kind of stream that can be read (those are {', '.join(_STREAM_SCHEMES)})")
        _no_rate(source, settings)
        return open_stream(source, opencv_name(source), settings, note=note)
    if source == "-":
        from edge_digits.mjpeg import open_stdin

        return open_stdin(settings, note=note)
    return _open_path(source, settings, note)


def _open_path(source: str, settings: SourceSettings, note: Note) -> Source:
    from edge_digits.replay import RecordedSource, is_recording

    path = Path(source)
    fps = settings.fps or FOLDER_FPS
    try:
        if source and not path.exists() and _PATTERN.search(source):
            return _PictureSource(source, fps, note=note)
        if not source or not path.exists():
            raise SourceError(f"{source or repr(source)}: no such file or folder")
        if path.is_dir():
            if is_recording(path):
                _no_rate(source, settings)
                return RecordedSource(source, note=note)
            return _PictureSource(source, fps, note=note)
        if not path.is_file():
            raise SourceError(f"{source}: neither a file nor a folder nor a camera")
        with path.open("rb") as file:
            kind = picture_format(file.read(HEAD_BYTES))
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        raise SourceError(f"{source}: {getattr(error, 'strerror', None) or error}") from error
    if kind and kind.name not in _MOVING:
        return _PictureSource(source, fps, note=note)
    _no_rate(source, settings)
    return _FileSource(source, note=note)


def _no_rate(source: str, settings: SourceSettings) -> None:
    if settings.fps:
        raise UsageError(f"--fps is for cameras, folders and stdin; {source} has a rate of its own")


class MediaClock:
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
    """A video file: every frame, in order."""

    def __init__(self, name: str, *, note: Note) -> None:
        # The absolute path, as FFmpeg takes "a:b" for an address.
        self._capture = cv2.VideoCapture(opencv_name(str(Path(name).absolute())), ffmpeg_backend())
        fault = too_large(self._capture)
        self._first = None if fault else read_frame(self._capture)
        if self._first is None:
            silent = "holds no frame that can be read" if self._capture.isOpened() else _why_no_video(Path(name))
            reason = fault or silent
            self._capture.release()
            raise SourceError(f"{name}: {reason}")
        super().__init__(name, self._capture.get(cv2.CAP_PROP_FPS), live=False)
        self._note = note

    def __iter__(self) -> Iterator[Frame]:
        clock = MediaClock(self.fps)
        number, image = 0, self._first
        self._first = None
        while image is not None:
            yield Frame(image, number, clock.time(self._capture), time.perf_counter())
            number, image = number + 1, read_frame(self._capture)
        promised = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if number < 0.95 * promised - 2:  # some formats only estimate their length
            self.failed += 1
            self._note(f"{self.name}: ends after {number} of {promised:.0f} frames: it is cut short or damaged")

    def close(self) -> None:
        self._capture.release()


class _PictureSource(Source):
    """A picture, a folder of them, or a pattern: in natural order."""

    def __init__(self, name: str, fps: float, *, note: Note) -> None:
        super().__init__(name, fps, live=False)
        search = find_pictures([name])
        self._pictures = list(search)
        self._note = note
        if all(picture.path is None for picture in self._pictures):
            raise SourceError("; ".join(f"{picture.source}: {picture.error}" for picture in self._pictures))
        self.folders = sorted({Path(picture.path).parent for picture in self._pictures if picture.path})
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
            yield Frame(image, number, number / self.fps, time.perf_counter())
        if self.failed == len(self._pictures):
            raise SourceError(f"{self.name}: none of its pictures can be read")

    def close(self) -> None:
        pass


def sane_fps(said: float) -> float:
    """A rate that a source says of itself, or FOLDER_FPS where it cannot be."""
    return said if SANE_FPS[0] <= said <= SANE_FPS[1] else FOLDER_FPS


def without_password(name: str) -> str:
    """A source's name as it may be shown to others."""
    return re.sub(r"//[^/@]*@", "//", name)


def opencv_name(name: str) -> str:
    """`name`, when OpenCV can take it. Raises SourceError for one that is not UTF-8, with which it ends the process."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise SourceError(f"{name!a}: a name that is not UTF-8, which OpenCV cannot open") from None
    return name


def ffmpeg_backend() -> int:
    """FFmpeg where this OpenCV has it: the others guess at picture sequences and write to stderr."""
    return cv2.CAP_FFMPEG if cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBackends() else cv2.CAP_ANY


def too_large(capture: cv2.VideoCapture) -> str | None:
    """Why its frames are refused unread; None where they are of a size that a picture may have."""
    width, height = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height <= MAX_PIXELS:
        return None
    return f"has frames of {width:,} × {height:,} pixels, and the limit is {MAX_PIXELS:,} in all"


def read_frame(capture: cv2.VideoCapture) -> Image | None:
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
