"""Work for all cores: in order, overlapped, bounded, and ended whenever its user ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from edge_digits.errors import TableError
from edge_digits.parallel import cores, map_ahead


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("edge-digits")]


def double(number: int) -> int:
    return 2 * number


@pytest.mark.parametrize("workers", [1, 2, 7, None])
def test_results_come_in_the_order_of_the_items(workers: int | None) -> None:
    def slow_at_times(number: int) -> int:
        time.sleep(0.01 if number % 5 == 0 else 0)
        return 2 * number

    assert list(map_ahead(slow_at_times, iter(range(40)), workers)) == list(range(0, 80, 2))
    assert list(map_ahead(double, [], workers)) == []
    assert list(map_ahead(lambda item: item, [None, None], workers)) == [None, None]
    assert threads() == []


def test_two_workers_work_at_once_while_the_next_item_is_made() -> None:
    together = threading.Barrier(3, timeout=20)  # two at work, and the maker of the third item

    def items() -> Iterator[int]:
        yield from range(2)
        together.wait()
        yield 2

    def work(number: int) -> int:
        if number < 2:
            together.wait()
        return number

    assert list(map_ahead(work, items(), 2)) == [0, 1, 2]


def test_no_more_than_a_few_items_are_held() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    for result in map_ahead(double, items(), 2):
        assert len(made) <= result // 2 + 6


@pytest.mark.parametrize("error", [TableError("-", "bad"), ValueError("bad")])
def test_what_an_item_raises_comes_after_the_results_before_it(error: Exception) -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise error

    got: list[int] = []
    with pytest.raises(type(error)) as caught:
        got.extend(map_ahead(double, items(), 2))
    assert got == [2, 4]
    assert caught.value is error
    assert threads() == []


def test_what_the_function_raises_comes_in_its_place() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise RuntimeError("three")
        return number

    got: list[int] = []
    with pytest.raises(RuntimeError, match="three"):
        got.extend(map_ahead(work, range(100), 2))
    assert got == [0, 1, 2]
    assert threads() == []


@pytest.mark.parametrize("taken", [1, 3])
def test_closed_early_it_ends_its_threads_and_the_items(taken: int) -> None:
    closed, done = threading.Event(), []

    def items() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.set()

    results = map_ahead(lambda number: done.append(number), items(), 2)
    for _ in range(taken):
        next(results)
    results.close()
    assert threads() == []
    assert closed.is_set()
    assert len(done) < 20


def test_interrupt_ends_the_program_though_it_waits_for_stdin() -> None:
    code = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
import concurrent.futures.thread  # Python's import drops an interrupt that comes while it tidies up
from contextlib import closing
from edge_digits.parallel import map_ahead
from edge_digits.tables import TableReader
try:
    with closing(map_ahead(len, TableReader('-').tiles())) as chunks:
        print('waiting', flush=True)
        next(chunks)
except KeyboardInterrupt:
    print('interrupted')
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"waiting\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0  # its stdin is open all the while
        assert process.stdout.read() == b"interrupted\n"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no process can be kept to some cores here")
def test_only_the_cores_that_we_may_use_count() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    code += "from edge_digits.parallel import cores; print(cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "1\n"
    assert cores() == len(os.sched_getaffinity(0))
