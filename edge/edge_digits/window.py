"""The window: whether there can be one, showing a picture in it, and the keys and clicks it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from typing import Self

from edge_digits.opencv import cv2
from edge_digits.video import Image, Note

CLOSED = -2
"""What `key` gives when the window was closed."""
LARGEST = 1280, 800
"""Pixels, width and height, that the window opens with at most; a person may enlarge it."""

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


def open_window(note: Note) -> Window | None:
    """A window, or None with a line that says why there is none."""
    problem = display_problem()
    if problem:
        note(f"no window: {problem}; going on without one")
        return None
    return Window(note)


class Window:
    """The window; one whose display fails on the way is given up, and said so."""

    _NAME = "edge-digits"

    def __init__(self, note: Note) -> None:
        self._note = note
        self._open = self._lost = False
        self._click: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(cv2.error):
            cv2.destroyAllWindows()

    def show(self, image: Image) -> None:
        """Put a picture into it."""
        if self._lost:
            return
        try:
            if not self._open:
                self._open_for(image)
            cv2.imshow(self._NAME, image)
        except cv2.error as error:
            self._lose(error)

    def key(self, milliseconds: int) -> int:
        """The key that was pressed, as a small letter's code; -1 for none, CLOSED when the window was closed.

        Waits for that long, in which the window is redrawn.
        """
        if self._lost or not self._open:
            return -1
        try:
            code = cv2.waitKey(milliseconds)
            if not self._is_visible():
                return CLOSED
        except cv2.error as error:
            self._lose(error)
            return -1
        code = code & 0xFF if code >= 0 else -1  # the other bits are of Shift and NumLock
        return code + 32 if ord("A") <= code <= ord("Z") else code

    def click(self) -> tuple[int, int] | None:
        """Where the picture was clicked since the last call, x and y in its pixels."""
        click, self._click = self._click, None
        return click

    def _lose(self, error: cv2.error) -> None:
        self._lost = True
        self._note(f"the window is lost ({error.err or 'by OpenCV'}); going on without one")

    def _open_for(self, image: Image) -> None:
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")  # Qt misses fonts that are not used here
        cv2.namedWindow(self._NAME, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        height, width = image.shape[:2]
        shrink = min(1.0, LARGEST[0] / width, LARGEST[1] / height)
        cv2.resizeWindow(self._NAME, max(1, round(width * shrink)), max(1, round(height * shrink)))
        cv2.setMouseCallback(self._NAME, self._on_mouse)
        self._open = True

    def _on_mouse(self, event: int, x: int, y: int, *_: object) -> None:
        if event == cv2.EVENT_LBUTTONDOWN:
            self._click = x, y

    def _is_visible(self) -> bool:
        try:
            return cv2.getWindowProperty(self._NAME, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # so do some window systems say that it was closed
            return False
