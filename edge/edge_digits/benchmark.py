"""`edge-digits benchmark`: how fast and how small it is on this machine, and whether it keeps its budgets."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edge_digits
from edge_digits.bench_commands import measure_starts, measure_tables
from edge_digits.bench_figures import Budget, Part, Sizes
from edge_digits.bench_models import measure_engines, measure_models
from edge_digits.bench_pictures import measure_pictures
from edge_digits.errors import GateError
from edge_digits.parallel import cores

_LIBRARIES = ("numpy", "onnxruntime", "opencv-python", "opencv-python-headless", "typer")

FULL = Sizes(rounds=7, calls=500, watched=5.0, rows=28_000, pictures=1_000)
QUICK = Sizes(rounds=3, calls=100, watched=0.5, rows=2_000, pictures=0)

_PARTS: dict[str, Callable[[Sizes, Path], Part]] = {
    "models": measure_models,
    "numpy engine": measure_engines,
    "starts": measure_starts,
    "pictures": measure_pictures,
    "tables": measure_tables,
}


@dataclass(frozen=True)
class Benchmark:
    """What was measured."""

    sizes: Sizes
    machine: dict[str, str]
    parts: list[Part]
    seconds: float

    @property
    def budgets(self) -> list[Budget]:
        """Those of all parts."""
        return [budget for part in self.parts for budget in part.budgets]

    def gate(self) -> None:
        """Raises GateError where a budget is not kept."""
        if missed := [budget for budget in self.budgets if not budget.met]:
            raise GateError(f"{len(missed)} of {len(self.budgets)} budgets are not kept: {missed[0].name}")

    def text(self) -> str:
        """A table for people."""
        lines = [", ".join(f"{key} {value}" for key, value in self.machine.items())]
        for part in self.parts:
            lines += ["", part.title, *(figure.text() for figure in part.figures)]
        lines += ["", "Budgets", *(budget.text() for budget in self.budgets)]
        if not self.sizes.judged:
            lines.append("  Those of many rows and pictures are not judged with --quick.")
        return "\n".join([*lines, "", f"Medians of rounds that took turns; {self.seconds:.0f} s in all."])

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            "machine": self.machine,
            "quick": not self.sizes.judged,
            "seconds": round(self.seconds, 1),
            "parts": [
                {"title": part.title, "figures": [figure.as_dict() for figure in part.figures]} for part in self.parts
            ],
            "budgets": [budget.as_dict() for budget in self.budgets],
        }


def benchmark(*, quick: bool, progress: Callable[[str], None]) -> Benchmark:
    """Measures all parts; `progress` is told which begins. Nothing is left on the disk."""
    return measure(QUICK if quick else FULL, progress)


def measure(sizes: Sizes, progress: Callable[[str], None]) -> Benchmark:
    """As `benchmark`, of other sizes."""
    started, parts, machine = time.monotonic(), [], describe_machine()
    with tempfile.TemporaryDirectory(prefix="edge-digits-") as folder:
        for number, (name, part) in enumerate(_PARTS.items(), start=1):
            progress(f"{number} of {len(_PARTS)}: {name}")
            parts.append(part(sizes, Path(folder)))
    return Benchmark(sizes, machine, parts, time.monotonic() - started)


def describe_machine() -> dict[str, str]:
    """What the figures depend on."""
    told = {
        "edge-digits": edge_digits.__version__,
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": f"{cores()} of {os.cpu_count()}",
    }
    if hasattr(os, "getloadavg"):
        told["load"] = f"{os.getloadavg()[0]:.1f}"  # of others: near 0 is a quiet machine
    for library in _LIBRARIES:
        try:
            told[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return told
