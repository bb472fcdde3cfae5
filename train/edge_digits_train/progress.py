"""A training told on stderr: a bar in a terminal, a line for each pass elsewhere."""

from __future__ import annotations

import math
import signal
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn

from edge_digits_train.runs import PassResult

_WIDE = 120
"""Columns of a terminal from which on words are written out and there is room for a bar."""
_SHORT = {"accuracy": "acc", "validation": "val", "rate": "lr", " images/s": "/s", " %": "%"}


class TrainingProgress:
    """Shows loss, accuracies, learning rate, images a second and the time left.

    Within its block Ctrl-C and a polite kill are kept for the next time that it is told something, and raised there as
    SystemExit: raised wherever the program happens to be, Python may swallow them (in a __del__, say). A second one
    does as it would outside.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._wide = self._console.width >= _WIDE
        columns: list[ProgressColumn] = [TextColumn("{task.description}"), TextColumn("{task.fields[figures]}")]
        left = TimeRemainingColumn(elapsed_when_finished=False, compact=not self._wide)
        wide = [columns[0], BarColumn(bar_width=16), columns[1], TextColumn("left"), left]
        columns = wide if self._wide else [*columns, left]
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task: TaskID | None = None
        self._passes = self._images = self._batch = 0
        self._began = 0.0
        self._last = ""
        self._signal = 0
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> TrainingProgress:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._keep)
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        self._give_back()
        if kind is None:
            self._check()

    def _keep(self, number: int, _: FrameType | None) -> None:
        self._signal = number
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _check(self) -> None:
        if self._signal:
            raise SystemExit(128 + self._signal)

    def read(self, done: int, total: int | None) -> None:
        """While pictures are read; in a terminal alone."""
        self._check()
        if self._task is None:
            self._task = self._bar.add_task("", figures="")
        self._bar.update(self._task, description=f"pictures {done:,}", total=total, completed=done)

    def draw(self, done: int, total: int) -> None:
        """While pictures are drawn, and their tiles cut out."""
        self._check()
        if self._console.is_terminal:
            if self._task is None:
                self._task = self._bar.add_task("", figures="")
            self._bar.update(self._task, description=f"drawing pictures {done:,}", total=total, completed=done)
        elif done == total:
            self._console.print(f"{total:,} pictures drawn", soft_wrap=True)

    def ask(self, done: int, total: int) -> None:
        """While teachers answer, after its first pass or before; in a terminal alone."""
        self._check()
        if self._task is not None:
            self._bar.update(self._task, figures=f"asking the teachers {done:,} of {total:,}")

    def start(self, run: Path, passes: int, steps: int, batch: int, done: int) -> None:
        """Before the first pass of a run; what was told of another is over."""
        self._check()
        self._console.print(f"{run}: {'from pass ' + str(done + 1) if done else 'a new run'}", soft_wrap=True)
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._passes, self._images, self._batch, self._last = passes, steps * batch, batch, ""
        self._task = self._bar.add_task(
            self._description(done + 1), total=passes * steps, completed=done * steps, figures=""
        )
        self._begin()

    def step(self, loss: float, accuracy: float) -> None:
        """After each step."""
        self._check()
        self._seen += self._batch
        rate = self._seen / max(1e-9, time.monotonic() - self._began)
        figures = f"loss {loss:.4f}  accuracy {100 * accuracy:.2f} %{self._last}  {rate:,.0f} images/s"
        if not self._wide:
            for word, short in _SHORT.items():
                figures = figures.replace(word, short)
        if self._task is not None:
            self._bar.update(self._task, advance=1, figures=figures)

    def end_pass(self, result: PassResult) -> None:
        """After each pass."""
        validation = ""
        if not math.isnan(result.validation_accuracy):
            validation = f"  validation {100 * result.validation_accuracy:.2f} %"
        self._last = f"{validation}  rate {result.learning_rate:.2g}"
        if self._task is not None:
            self._bar.update(self._task, description=self._description(result.number + 1))
        if not self._console.is_terminal:
            self._console.print(
                f"pass {result.number}/{self._passes}  loss {result.loss:.4f}  accuracy {100 * result.accuracy:.2f} %"
                f"{self._last}  {self._images / max(0.01, result.seconds):,.0f} images/s  {result.seconds:.0f} s",
                soft_wrap=True,
            )
        self._begin()
        self._check()

    def _begin(self) -> None:
        self._began, self._seen = time.monotonic(), 0

    def _description(self, number: int) -> str:
        return f"pass {min(number, self._passes)}/{self._passes}"
