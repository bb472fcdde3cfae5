"""Work for all cores that we may use, done in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 3
"""Items for each worker that are under way or done: enough that none waits for the slowest of them."""


def cores() -> int:
    """How many cores this process may use: in a container that may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_ahead(function: Callable[[T], R], items: Iterable[T], workers: int | None = None) -> Generator[R, None, None]:
    """`function` of each item, in their order: it runs in `workers` threads, on all cores where none are said.

    The caller's own thread takes the items, so that making them overlaps with the work on those before. No more than a
    few are held at a time. What an item or the function raises is raised in its place, after the results before it.
    Close it (`contextlib.closing`) to stop early: what has not begun is dropped.
    """
    from concurrent.futures import ThreadPoolExecutor

    workers = workers or cores()
    pool = ThreadPoolExecutor(workers, "edge-digits")
    iterator = iter(items)
    pending: deque[Future[R]] = deque()
    failure: Exception | None = None
    more = True
    try:
        while more or pending:
            while more and len(pending) < _AHEAD * workers:
                try:
                    pending.append(pool.submit(function, next(iterator)))
                except StopIteration:
                    more = False
                except Exception as error:
                    failure, more = error, False
            if pending:
                yield pending.popleft().result()
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(cancel_futures=True)
        if isinstance(items, Generator):
            items.close()
