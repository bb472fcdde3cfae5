"""Ctrl-C as a wish: what is open is closed in good order, at the next frame. The third one is an order."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any, Self

ORDER = 3
"""The Ctrl-C that ends the program wherever it is, as when who reads its output has stopped."""


class Stop:
    """While it is entered, Ctrl-C and a polite kill set `code` and do nothing else."""

    def __init__(self) -> None:
        self.code = 0
        """130 once interrupted, 143 once terminated."""
        self._asked = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python allows it there alone
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: FrameType | None) -> None:
        self.code = self.code or 128 + number
        self._asked += 1
        if self._asked >= ORDER:
            sys.exit(self.code)
