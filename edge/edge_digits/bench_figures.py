"""Figures of a benchmark: what was measured how often, between which limits it lay, and what it was to keep within."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_digits.errors import EdgeDigitsError


@dataclass(frozen=True)
class Figure:
    """One thing that was measured n times."""

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The one to quote."""
        return statistics.median(self.values)

    def text(self) -> str:
        """`  name   median unit  (least to most, n = 5)`."""
        spread = f"({_short(min(self.values))} to {_short(max(self.values))}, n = {len(self.values)})"
        if len(self.values) == 1:
            spread = "(once)"
        return f"  {self.name:<52}{_short(self.median):>9} {self.unit:<10}{spread}"

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            "name": self.name, "unit": self.unit, "median": self.median, "least": min(self.values),
            "most": max(self.values), "n": len(self.values),
        }  # fmt: skip


@dataclass(frozen=True)
class Budget:
    """What a figure may be at most, or must be at least."""

    name: str
    value: float
    limit: float
    unit: str = "×"
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def text(self) -> str:
        """`  pass  name: 1.12 × (at most 1.2 ×)`."""
        limit = f"{'at least' if self.at_least else 'at most'} {self.limit:g} {self.unit}"
        return f"  {'pass' if self.met else 'FAIL'}  {self.name}: {_short(self.value)} {self.unit} ({limit})"

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            "name": self.name, "value": self.value, "unit": self.unit,
            "at_least" if self.at_least else "at_most": self.limit, "met": self.met,
        }  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    rounds: int
    """Of what takes turns."""
    calls: int
    """Of one tile, in a round."""
    watched: float
    """Seconds that the share of a core is measured over."""
    rows: int
    pictures: int
    """Of 640 × 480, that `classify` reads; 0 leaves that out."""

    @property
    def judged(self) -> bool:
        """Whether there are rows and pictures enough to judge what is written of many."""
        return self.rows >= 10_000 and self.pictures >= 500


@dataclass(frozen=True)
class Part:
    """What one part found."""

    title: str
    figures: list[Figure]
    budgets: list[Budget]


@dataclass(frozen=True)
class Ran:
    """A process that has ended."""

    seconds: float
    """From its start to its end."""
    megabytes: float
    """The most memory that it held, in MB of 10⁶ bytes."""


def process_milliseconds(*arguments: str) -> float:
    """How long Python takes with these arguments, as a whole process."""
    return 1e3 * run_python(*arguments).seconds


def _short(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def in_turn(rounds: int, tasks: Mapping[str, Callable[[], float]]) -> dict[str, tuple[float, ...]]:
    """What each task measures, `rounds` times: what disturbs one disturbs all, as they take turns in a drawn order."""
    found: dict[str, list[float]] = {name: [] for name in tasks}
    order, rng = list(tasks), random.Random(0)
    for _ in range(rounds):
        rng.shuffle(order)
        for name in order:
            found[name].append(tasks[name]())
    return {name: tuple(values) for name, values in found.items()}


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the ratios of what was measured in the same round."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def seconds_of(work: Callable[[], object], times: int = 1) -> float:
    """How long it takes once, of so many times one after the other."""
    started = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - started) / times


def milliseconds_of(work: Callable[[], object], times: int = 1) -> float:
    """The same."""
    return 1e3 * seconds_of(work, times)


# A process begins with the peak of the one that it was forked from: this one is small.
_LAUNCHER = """
import os, sys, time
started = time.perf_counter()
nowhere = os.open(os.devnull, os.O_WRONLY)
process = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ,
                         file_actions=[(os.POSIX_SPAWN_DUP2, nowhere, 1)])
_, status, used = os.wait4(process, 0)
print(time.perf_counter() - started, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def run_python(*arguments: str) -> Ran:
    """Runs this Python in a process of its own. Raises EdgeDigitsError where that fails."""
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *arguments]
    done = subprocess.run(launcher, capture_output=True, text=True, stdin=subprocess.DEVNULL, errors="replace")
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise EdgeDigitsError(f"what is to be measured fails: {reason[0]}")
    seconds, held = map(float, done.stdout.split())
    return Ran(seconds, held / 1e6)
