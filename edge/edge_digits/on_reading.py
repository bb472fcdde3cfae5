"""`--on-reading`: a command for each reading, run beside the loop and without a shell."""

from __future__ import annotations

import shlex
import subprocess
import time

from edge_digits.errors import UsageError
from edge_digits.events import Event
from edge_digits.video import Note

MOST_RUNNING = 8
"""Commands at one time: of readings that come while so many run, none is started."""
PATIENCE = 5.0
"""Seconds that commands may still run when the source is at its end."""
_FIELDS = ("text", "id", "event", "time", "frame", "confidence")


class ReadingCommand:
    """A command and its arguments, in which {text}, {id}, {event}, {time}, {frame} and {confidence} are filled in."""

    def __init__(self, command: str, *, note: Note) -> None:
        """Raises UsageError for what is no command."""
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--on-reading {command!r}: {str(error).lower()}") from error
        if not self._words:
            raise UsageError("--on-reading: names no command")
        self._note = note
        self._running: list[subprocess.Popen[bytes]] = []
        self._told: set[str] = set()

    def run(self, event: Event) -> None:
        """Starts it for a number that appeared or changed; its output goes to stderr."""
        if event.event == "gone":
            return
        self._reap()
        if len(self._running) >= MOST_RUNNING:
            self._tell(f"{MOST_RUNNING} are still running: readings are left out until one ends")
            return
        words = [_filled(word, event) for word in self._words]
        try:
            self._running.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True))
        except (OSError, ValueError) as error:
            self._tell(f"cannot be started ({getattr(error, 'strerror', None) or error})")

    def close(self) -> None:
        """Waits for those that run, and ends them where they take too long."""
        until = time.monotonic() + PATIENCE
        for process in self._running:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.terminate()
                self._tell(f"still ran {PATIENCE:g} s after the end, and was ended")
        self._reap()

    def _reap(self) -> None:
        for process in [process for process in self._running if process.poll() is not None]:
            self._running.remove(process)
            if process.returncode:
                self._tell(f"ended with exit code {process.returncode}")

    def _tell(self, what: str) -> None:
        """Once: a command that fails may do so at each reading."""
        if what not in self._told:
            self._told.add(what)
            self._note(f"--on-reading {self._words[0]}: {what}")


def _filled(word: str, event: Event) -> str:
    for field in _FIELDS:
        value = getattr(event, field)
        word = word.replace("{" + field + "}", f"{value:.4f}" if isinstance(value, float) else str(value))
    return word
