"""Cameras and streams: the newest frame, within a time limit, and opened again when they are lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from edge_digits.errors import SourceError
from edge_digits.opencv import cv2
from edge_digits.video import (
    FOLDER_FPS,
    Frame,
    MediaClock,
    Note,
    Source,
    SourceSettings,
    ffmpeg_backend,
    read_frame,
    sane_fps,
    too_large,
    without_password,
)

Connect = Callable[[], cv2.VideoCapture]

BEAT = 0.1
"""Seconds after which a source that has no new frame says so."""
FIRST_PAUSE = 0.5
"""Seconds before a lost source is opened again; each further pause is twice as long …"""
LONGEST_PAUSE = 30.0
"""… up to this."""
DAMAGED = 3
"""Frames of a stream in a row that may fail to be read before it is lost."""
_GIVE_UP_EARLY = 0.9  # OpenCV's share of the time-out: it should end its wait before we end ours


def open_stream(name: str, url: str, settings: SourceSettings, *, note: Note) -> Source:
    """A stream. Raises SourceError when it cannot be opened, or gives no frame in time."""
    return LiveSource(name, lambda: _connect(url, settings.timeout), settings, camera=False, note=note)


def _connect(url: str, timeout: float) -> cv2.VideoCapture:
    if ffmpeg_backend() != cv2.CAP_FFMPEG:
        return cv2.VideoCapture(url)
    limit = int(1000 * _GIVE_UP_EARLY * timeout)
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
    return cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)


class LiveSource(Source):
    """The newest frame of a camera or stream; a video file behind an address loses none."""

    def __init__(self, name: str, connect: Connect, settings: SourceSettings, *, camera: bool, note: Note) -> None:
        super().__init__(name, FOLDER_FPS, live=True)
        self._connect, self._camera, self._note = connect, camera, note
        self._timeout, self._retries = settings.timeout, settings.retries
        self._shown = without_password(name)
        self._grabber = _Grabber(connect, camera=camera, timeout=self._timeout)
        try:
            fault = self._grabber.wait_for_first()
            if fault:
                raise SourceError(f"{self._shown}: {fault}")
        except BaseException:
            self.close()
            raise
        self.fps, self.live = self._grabber.fps, not self._grabber.finite

    def __iter__(self) -> Iterator[Frame | None]:
        frames, started = 0, None
        while True:
            dropped = self.dropped
            reason = "the camera is lost" if self._camera else "the stream ended"
            waited = time.monotonic()
            while True:
                frame = self._grabber.take(BEAT)
                self.dropped = dropped + self._grabber.dropped
                if frame is not None:
                    waited = time.monotonic()
                    if self.live:  # numbers and times go on where another connection left off
                        started = started if started is not None else frame.arrived
                        frame = Frame(frame.image, frames + frame.number, frame.arrived - started, frame.arrived)
                    yield frame
                elif self._grabber.ended:
                    if self._grabber.stalled:
                        reason = f"no frame for {self._timeout:g} s"
                    break
                elif time.monotonic() - waited >= self._timeout:
                    reason = f"no frame for {self._timeout:g} s"
                    break
                else:
                    yield None
            frames += self._grabber.count
            if not self.live:
                return
            yield from self._reopen(f"{self._shown}: {reason}, after {frames:,} frames")

    def _reopen(self, lost: str) -> Iterator[None]:
        """Opens it again, with growing pauses. Raises SourceError when it is given up."""
        if self._retries:
            self._note(f"{lost}; trying again")
        started = time.monotonic()
        for tried in range(self._retries):
            self._grabber.close()
            resume = time.monotonic() + min(FIRST_PAUSE * 2**tried, LONGEST_PAUSE)
            while (left := resume - time.monotonic()) > 0:
                time.sleep(min(BEAT, left))
                yield None
            self._grabber = _Grabber(self._connect, camera=self._camera, timeout=self._timeout)
            waited = time.monotonic()
            while not self._grabber.settled(BEAT) and time.monotonic() - waited < self._timeout:
                yield None
            if self._grabber.has_frame:
                self._note(f"{self._shown}: is back after {time.monotonic() - started:.1f} s")
                return
        tries = f"; given up after {self._retries} more {'try' if self._retries == 1 else 'tries'}"
        raise SourceError(lost + tries * bool(self._retries))

    def close(self) -> None:
        """End the connection."""
        self._grabber.close()


class _Grabber:
    """One connection. A thread opens, reads and releases the capture, so that one that hangs stops nobody."""

    def __init__(self, connect: Connect, *, camera: bool, timeout: float) -> None:
        self._connect, self._camera, self._timeout = connect, camera, timeout
        self.fps = FOLDER_FPS
        self.finite = self.stalled = self.ended = False
        """A video file behind an address; ended as no frame came in time; ended at all."""
        self.fault: str | None = None
        """Why it is refused though it opens."""
        self.count = self.dropped = 0
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._opened = self._closing = False
        self._thread = threading.Thread(target=self._run, name="edge-digits-grab", daemon=True)
        self._thread.start()

    @property
    def has_frame(self) -> bool:
        """Whether one waits to be taken."""
        return self._newest is not None

    def settled(self, seconds: float) -> bool:
        """Whether there is a frame, or none will come; waits that long for it."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: self._newest is not None or self.ended, seconds))

    def wait_for_first(self) -> str | None:
        """Why there is no first frame; None when there is one."""
        in_time = self.settled(self._timeout)
        if self.has_frame:
            return None
        if self.fault:
            return self.fault
        if self._opened:
            return "opens, but gives no frame"
        return "cannot be opened" if in_time and not self.stalled else f"no answer within {self._timeout:g} s"

    def take(self, seconds: float) -> Frame | None:
        """The newest frame; None when none comes within that time."""
        self.settled(seconds)
        with self._changed:
            frame, self._newest = self._newest, None
            self._changed.notify_all()
        return frame

    def close(self) -> None:
        """End the thread; one that hangs in OpenCV is left behind."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        asked = time.monotonic()
        try:
            capture = self._connect()
            try:
                if capture.isOpened() and (fault := too_large(capture)):
                    self.fault = fault
                elif capture.isOpened():
                    self._keep_newest(capture)
                else:
                    self.stalled = self._is_stall(asked)
            finally:
                capture.release()
        except (cv2.error, OverflowError):  # OverflowError: a camera number past C's int
            pass
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify_all()

    def _keep_newest(self, capture: cv2.VideoCapture) -> None:
        self.finite = not self._camera and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0
        self.fps = sane_fps(capture.get(cv2.CAP_PROP_FPS))
        clock = MediaClock(self.fps)
        self._opened, last, failed = True, time.monotonic(), 0
        while not self._closing:
            image = read_frame(capture)
            if image is None:
                self.stalled, failed = self._is_stall(last), failed + 1
                # A camera may fail now and then, and while it warms up; a stream may send damaged pictures.
                if self.stalled or (not self._camera and failed > DAMAGED):
                    return
                time.sleep(0.01)
                continue
            failed = 0
            seconds = clock.time(capture) if self.finite else 0.0
            self._offer(Frame(image, self.count, seconds, time.perf_counter()))
            last = time.monotonic()

    def _offer(self, frame: Frame) -> None:
        with self._changed:
            if self.finite:
                self._changed.wait_for(lambda: self._newest is None or self._closing)
            self.dropped += self._newest is not None and not self._closing
            self._newest = frame
            self.count += 1
            self._changed.notify_all()

    def _is_stall(self, since: float) -> bool:
        return time.monotonic() - since >= 0.8 * _GIVE_UP_EARLY * self._timeout
