"""A training told on stderr: a bar in a terminal, a line for each pass elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from edge_digits_train.runs import PassResult


class TrainingProgress:
    """Shows loss, validation accuracy and the time left."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        columns = [
            TextColumn("{task.description}"), BarColumn(), TextColumn("loss {task.fields[loss]:.4f}"),
            TextColumn("validation {task.fields[validation]}"), TimeElapsedColumn(), TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
        ]  # fmt: skip
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = TaskID(0)
        self._passes = 0

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, passes: int, steps: int, done: int) -> None:
        """Before the first pass."""
        self._passes = passes
        self._task = self._bar.add_task(
            f"pass {done + 1}/{passes}", total=passes * steps, completed=done * steps, loss=0.0, validation="–"
        )

    def step(self, loss: float) -> None:
        """After each step."""
        self._bar.update(self._task, advance=1, loss=loss)

    def end_pass(self, result: PassResult) -> None:
        """After each pass."""
        validation = f"{100 * result.validation_accuracy:.2f} %"
        number = min(result.number + 1, self._passes)
        self._bar.update(self._task, description=f"pass {number}/{self._passes}", validation=validation)
        if not self._console.is_terminal:
            self._console.print(
                f"pass {result.number}/{self._passes}  loss {result.loss:.4f}  validation {validation}  "
                f"{result.seconds:.0f} s",
                highlight=False,
            )
