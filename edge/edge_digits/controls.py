"""What the keys and clicks in the window do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from edge_digits.errors import OutputError, UsageError
from edge_digits.keepsakes import free_name, save_example, save_frame, stamp
from edge_digits.overlay import HELP, HELP_PAUSED, display_scale, draw_help, draw_look, draw_panel
from edge_digits.reading import Box
from edge_digits.steady import Look
from edge_digits.stop import Stop
from edge_digits.window import CLOSED, Window

_QUIT = {ord("q"), 27, CLOSED}  # 27: Esc
_TAB = 9
_SHOWN = 2.5  # seconds that a message stands in place of the help


class Controls:
    """Shows each look, and does what the keys ask for."""

    def __init__(
        self, window: Window, source: str, collect: Path | None, toggle_recording: Callable[[str], str | None]
    ) -> None:
        """`toggle_recording` starts one under the name it is given, or gives the name of the one that it ends."""
        self._window, self._source, self._collect = window, source, collect
        self._toggle_recording = toggle_recording
        self._look: Look | None = None
        self._status = ""
        self._paused = self._panel = self._recording = False
        self._chosen: Box | None = None
        self._message, self._said = "", 0.0

    def show(self, look: Look, status: str, *, recording: bool) -> None:
        """The newest look."""
        self._look, self._status, self._recording = look, status, recording
        self._draw()

    def go_on(self, stop: Stop) -> bool:
        """Does what the keys ask for, until they no longer ask to pause. False when they ask to end."""
        while True:
            key = self._window.key(30 if self._paused else 1)
            if key in _QUIT:
                return False
            self._click()
            if key >= 0:
                self._press(key)
            if not self._paused or stop.code:
                return True
            self._draw()

    def _press(self, key: int) -> None:
        if self._look is None:
            return
        try:
            if key == ord(" "):
                self._paused = not self._paused
                self._chosen = self._doubtful() if self._paused else None
            elif key == ord("s"):
                self._say(f"saved {save_frame(self._source, self._look)} and its record")
            elif key == ord("d"):
                self._panel = not self._panel
            elif key == ord("r"):
                self._record()
            elif self._paused and key == _TAB:
                self._choose_next()
            elif self._paused and ord("0") <= key <= ord("9"):
                self._save_example(key - ord("0"))
        except (OutputError, UsageError) as error:
            self._say(str(error))
        self._draw()

    def _record(self) -> None:
        ended = self._toggle_recording(str(free_name(Path(), f"edge-digits-{stamp()}", ".mp4")))
        if self._recording:
            self._say(f"recorded {ended}" if ended else "nothing was recorded")
        self._recording = not self._recording

    def _save_example(self, label: int) -> None:
        assert self._look is not None
        digit = next((d for d in self._look.reading.digits if d.box == self._chosen), None)
        tile = self._look.tile(digit) if digit else None
        if self._collect is None:
            self._say("start with --collect DIR to save examples")
        elif tile is None:
            self._say("choose a digit first, with tab or a click")
        else:
            self._say(f"saved {save_example(self._collect, label, tile, self._look.frame.number)}")
            self._choose_next()

    def _doubtful(self) -> Box | None:
        """The least sure digit that has a tile: an example of it is worth most."""
        assert self._look is not None
        there = [digit for digit in self._look.reading.digits if self._look.tile(digit) is not None]
        return min(there, key=lambda digit: digit.confidence).box if there else None

    def _choose_next(self) -> None:
        assert self._look is not None
        boxes = [digit.box for digit in self._look.reading.digits]
        if boxes:
            self._chosen = boxes[(boxes.index(self._chosen) + 1) % len(boxes)] if self._chosen in boxes else boxes[0]

    def _click(self) -> None:
        at = self._window.click()
        if at is None or self._look is None or not self._paused:
            return
        scale = display_scale(self._look.frame.image)
        x, y = at[0] / scale, at[1] / scale
        for digit in self._look.reading.digits:
            left, top, width, height = digit.box
            if left <= x < left + width and top <= y < top + height:
                self._chosen = digit.box

    def _say(self, message: str) -> None:
        self._message, self._said = message, time.monotonic()

    def _draw(self) -> None:
        if self._look is None:
            return
        status = ("REC  " if self._recording else "") + ("paused" if self._paused else self._status)
        picture = draw_look(self._look, status, self._chosen)
        if self._panel:
            picture = draw_panel(picture, self._look, self._chosen)
        recent = time.monotonic() - self._said < _SHOWN
        line = self._message if recent else HELP_PAUSED if self._paused else HELP
        self._window.show(draw_help(picture, line))
