"""Cameras: what each is called, and how one is opened."""

from __future__ import annotations

import os
import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from edge_digits.errors import SourceError
from edge_digits.opencv import cv2
from edge_digits.streams import LiveSource
from edge_digits.video import TIMEOUT, Note, Source, SourceSettings

MOST_CAMERAS = 10
"""Numbers that are tried where the system does not list its cameras."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that gives frames."""

    device: str
    """What to name it by: /dev/video0, or 0 where devices have no path."""
    name: str
    """What its maker calls it; "" where the system does not say."""
    size: tuple[int, int]
    """Width and height in pixels, unless another is asked for."""
    fps: float

    def describe(self) -> str:
        """One line."""
        rate = f"{self.fps:g} frames/s" if self.fps > 0 else "rate unknown"
        return "  ".join(part for part in (self.device, f"{self.size[0]}x{self.size[1]}", rate, self.name) if part)


def camera_index(source: str) -> int | None:
    """The number of the camera that `source` names: `0`, `/dev/video0`, or a link to it as in /dev/v4l/by-id."""
    for name in (source, os.path.realpath(source) if source.startswith("/dev/") else ""):
        if match := re.fullmatch(r"(?:/dev/video)?([0-9]{1,9})", name):
            return int(match[1])
    return None


def open_camera(name: str, index: int, settings: SourceSettings, *, note: Note) -> Source:
    """Raises SourceError that names what was tried, and what else there is."""
    device = f"/dev/video{index}" if sys.platform == "linux" else f"camera {index}"
    reason = there_is = ""
    if sys.platform == "linux":
        others = _devices()
        there_is = f"; there is {', '.join(map(str, others))}" if others else ""
        if not Path(device).exists():
            reason = "not there"
        elif not os.access(device, os.R_OK | os.W_OK):
            reason = "no permission: is this user in the group video?"
    if not reason:
        try:
            return LiveSource(name, lambda: _connect(index, settings), settings, camera=True, note=note)
        except SourceError as error:
            reason = str(error).removeprefix(f"{name}: ")
    raise SourceError(
        f"no camera: tried {device} ({reason}){there_is}; a video file, a folder or a URL can be read, too"
    )


def list_cameras(timeout: float = TIMEOUT) -> list[Camera]:
    """The cameras that open within `timeout` seconds each."""
    found = []
    linux = sys.platform == "linux"
    for index in [camera_index(str(path)) for path in _devices()] if linux else range(MOST_CAMERAS):
        assert index is not None
        shape = _ask(index, timeout)
        if shape is not None:
            device, label = str(index), Path(f"/sys/class/video4linux/video{index}/name")
            name = label.read_text(errors="replace").strip() if linux and label.exists() else ""
            found.append(Camera(f"/dev/video{index}" if linux else device, name, shape[:2], shape[2]))
    return found


def _devices() -> list[Path]:
    """Linux's, in natural order; some of them are no cameras, but what else a camera has to say."""
    return sorted(Path("/dev").glob("video[0-9]*"), key=lambda path: (len(path.name), path.name))


def _ask(index: int, timeout: float) -> tuple[int, int, float] | None:
    """Width, height and rate; None where it does not open in time."""
    said: list[tuple[int, int, float]] = []

    def ask() -> None:
        capture = _connect(index, SourceSettings())
        if capture.isOpened():
            width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
            said.append((round(width), round(height), capture.get(cv2.CAP_PROP_FPS)))
        capture.release()

    thread = threading.Thread(target=ask, name="edge-digits-list", daemon=True)
    thread.start()
    thread.join(timeout)
    return said[0] if said else None


def _connect(index: int, settings: SourceSettings) -> cv2.VideoCapture:
    for backend in (cv2.CAP_V4L2, cv2.CAP_ANY) if sys.platform == "linux" else (cv2.CAP_ANY,):
        capture = cv2.VideoCapture(index, backend)
        if capture.isOpened():
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            if settings.size or settings.fps:  # uncompressed, most give large frames at a few a second
                capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            if settings.size:
                capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.size[0])
                capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.size[1])
            if settings.fps:
                capture.set(cv2.CAP_PROP_FPS, settings.fps)
            break
    return capture
