"""Pictures → records, by several processes where there are many.

Processes and not threads: half of finding digits is Python, of which a process runs one line at a time. Two threads
were no faster than one.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from itertools import chain, islice
from queue import SimpleQueue

from edge_digits.errors import EdgeDigitsError
from edge_digits.images import PictureSource
from edge_digits.parallel import map_ahead
from edge_digits.reader import Reader
from edge_digits.reading import Record

_ALONE = 0.3
"""Seconds that one process reads before others are started, which takes as long."""
_TASK = 4
"""Pictures that a process is given at a time."""
_PROGRAM = "from edge_digits.picture_pool import work; work()"

Task = tuple[list[PictureSource], int]
"""Pictures, and how many of each digit's likeliest answers to list."""


def read_records(
    reader: Reader, pictures: Iterable[PictureSource], top: int = 0, jobs: int = 1
) -> Generator[Record, None, None]:
    """The record of each picture, in their order, read by up to `jobs` processes.

    Raises EdgeDigitsError where one of them is killed. Close it (`contextlib.closing`) to stop early.
    """
    rest = iter(pictures)
    started = time.monotonic()
    while jobs == 1 or time.monotonic() - started < _ALONE:
        picture = next(rest, None)
        if picture is None:
            return
        yield reader.record(picture, top)
    first = list(islice(rest, jobs * _TASK))
    if len(first) < jobs * _TASK:
        yield from (reader.record(picture, top) for picture in first)
    else:
        yield from _read_together(reader, chain(first, rest), top, jobs)


def _read_together(
    reader: Reader, pictures: Iterator[PictureSource], top: int, jobs: int
) -> Generator[Record, None, None]:
    """Each of as many threads as there are processes waits for the answers of one."""
    tasks: Iterator[Task] = iter(lambda: (list(islice(pictures, _TASK)), top), ([], top))
    idle: SimpleQueue[_Worker] = SimpleQueue()

    def ask(task: Task) -> list[Record]:
        worker = idle.get()
        try:
            return worker.ask(task)
        finally:
            idle.put(worker)

    with ExitStack() as workers:
        for _ in range(jobs):
            idle.put(workers.enter_context(closing(_Worker(reader))))
        for records in workers.enter_context(closing(map_ahead(ask, tasks, jobs))):
            yield from records


class _Worker:
    """A process that reads pictures, in a session of its own: Ctrl-C is for the one that started it."""

    def __init__(self, reader: Reader) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )
        self._reader: Reader | None = reader

    def ask(self, task: Task) -> list[Record]:
        """The records of the task's pictures."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            if self._reader is not None:
                pickle.dump(self._reader, self._process.stdin)
                self._reader = None
            pickle.dump(task, self._process.stdin)
            self._process.stdin.flush()
            records: list[Record] = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise EdgeDigitsError("a process that read pictures was killed: --jobs 1 needs less memory") from error
        return records

    def close(self) -> None:
        """Ends it, whatever it does."""
        with suppress(OSError), self._process:  # what could not be written to it is lost
            self._process.kill()


def work() -> None:
    """What a process of the pool does: reads what stdin asks for until there is no more."""
    from edge_digits.opencv import cv2

    cv2.setNumThreads(1)  # the cores have each a process
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints would be no answer
    with suppress(EOFError, BrokenPipeError):
        reader: Reader = pickle.load(sys.stdin.buffer)
        while True:
            pictures, top = pickle.load(sys.stdin.buffer)
            pickle.dump([reader.record(picture, top) for picture in pictures], out)
            out.flush()
