"""One line on stderr that tells how far a long command has come."""

from __future__ import annotations

import contextlib
import sys
import time
from types import TracebackType

_QUIET_SECONDS = 1.0  # what is done sooner needs no line


class ProgressLine:
    """A line that is redrawn in a terminal, and stays away where stderr is none, or `output` goes to the same one."""

    def __init__(self, unit: str, output: str | None = None) -> None:
        self._unit = unit
        self._started = self._drawn = time.monotonic()
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        if output == "-" and sys.stdout is not None and sys.stdout.isatty():
            self._terminal = False
        self._shown = False

    def update(self, done: int, total: int | None = None) -> None:
        """So many units are done, of so many where that is known."""
        now = time.monotonic()
        if not self._terminal or now - self._started < _QUIET_SECONDS or now - self._drawn < 0.1:
            return
        self._drawn, self._shown = now, True
        if total:
            left = (now - self._started) * (total - done) / max(done, 1)
            text = f"{100 * done / total:3.0f} % of {total:,} {self._unit}, {left:.0f} s left"
        else:
            text = f"{done:,} {self._unit}, {done / (now - self._started):,.0f} a second"
        self._draw(text)

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._draw("")

    def _draw(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the work goes on without
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
