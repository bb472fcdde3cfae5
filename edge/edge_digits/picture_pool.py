"""Pictures → records, by several processes where there are many.

Processes and not threads: half of finding digits is Python, of which a process runs one line at a time. Two threads
were no faster than one.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain, islice

from edge_digits.errors import EdgeDigitsError
from edge_digits.images import PictureSource
from edge_digits.parallel import map_ahead
from edge_digits.reader import Reader
from edge_digits.reading import Record

_ALONE = 0.3
"""Seconds that one process reads before others are started, which takes as long."""
_TASK = 4
"""Pictures that a process is given at a time."""

_reader: Reader
"""That of a process of the pool."""


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
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    # Not forked: a copy of a process in which other threads hold locks may wait for them for ever.
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_begin, initargs=(reader,))
    tasks = iter(lambda: (list(islice(pictures, _TASK)), top), ([], top))
    try:
        with closing(map_ahead(_read, tasks, jobs, pool)) as done:
            for records in done:
                yield from records
    except BrokenProcessPool as error:
        raise EdgeDigitsError("a process that read pictures was killed: --jobs 1 needs less memory") from error


def _begin(reader: Reader) -> None:
    """In a process of the pool: the one that started it hears Ctrl-C, and OpenCV's threads would only be in the way."""
    from edge_digits.opencv import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    global _reader
    _reader = reader


def _read(task: tuple[list[PictureSource], int]) -> list[Record]:
    pictures, top = task
    return [_reader.record(picture, top) for picture in pictures]
