"""The benchmark of the models, without anything around them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_digits.bench_figures import (
    Budget,
    Figure,
    Part,
    Sizes,
    in_turn,
    milliseconds_of,
    run_python,
    seconds_of,
)
from edge_digits.bench_material import load_tiles
from edge_digits.classifier import Classifier
from edge_digits.model_files import bundled_files
from edge_digits.parallel import cores, map_ahead

_BATCH = 256
_RATE = 30  # calls a second, as a camera's frames


def measure_models(sizes: Sizes, _: Path) -> Part:
    """Each bundled model: one tile, many tiles, one core and all, the time to load it, what it holds and idles."""
    tile, figures = load_tiles()[4], []
    many = np.resize(load_tiles(), (_BATCH, 28, 28))
    models = {name: Classifier(name) for name in bundled_files()}
    single: dict[str, list[float]] = {name: [] for name in models}
    tasks: dict[str, Callable[[], float]] = {}
    for name, model in models.items():
        tasks[f"{name}: one tile, p50"] = partial(_one, model, tile, sizes.calls, single[name])
        tasks[f"{name}: {_BATCH} tiles, one core"] = partial(_on_one_core, model, many)
        tasks[f"{name}: {_BATCH} tiles, {cores()} cores"] = partial(_on_all_cores, model, many)
        tasks[f"{name}: load and check"] = partial(milliseconds_of, partial(Classifier, name))
    found = in_turn(sizes.rounds, tasks)
    for name, model in models.items():
        figures += [
            Figure(task, "µs" if "one tile" in task else "tiles/s" if "tiles," in task else "ms", values)
            for task, values in found.items()
            if task.startswith(name)
        ]
        figures += [
            Figure(f"{name}: one tile, p99", "µs", (float(np.quantile(single[name], 0.99)),)),
            Figure(f"{name}: memory of a process that has answered", "MB", (_held(name),)),
            Figure(f"{name}: of a core at {_RATE} calls a second", "%", (_share(model, tile, sizes.watched),)),
        ]
    return Part("Models", figures, [])


def _one(model: Classifier, tile: NDArray[np.uint8], calls: int, all_of_them: list[float]) -> float:
    """The median in microseconds."""
    took = [1e6 * seconds_of(partial(model.classify, tile)) for _ in range(calls)]
    all_of_them += took
    return float(np.median(took))


def _on_one_core(model: Classifier, many: NDArray[np.uint8]) -> float:
    """Tiles a second."""
    return len(many) / seconds_of(partial(model.classify, many), 4)


def _on_all_cores(model: Classifier, many: NDArray[np.uint8]) -> float:
    """Tiles a second."""
    chunks = 4 * cores()
    return chunks * len(many) / seconds_of(lambda: deque(map_ahead(model.classify, [many] * chunks), 0))


def _held(name: str) -> float:
    code = f"import numpy as np, edge_digits as e; e.Classifier({name!r}).classify(np.zeros((28, 28), np.uint8))"
    return run_python("-c", code).megabytes


def _share(model: Classifier, tile: NDArray[np.uint8], seconds: float) -> float:
    """Per cent of a core's time."""
    started, used = time.monotonic(), time.process_time()
    for call in range(int(seconds * _RATE)):
        model.classify(tile)
        time.sleep(max(0.0, started + (call + 1) / _RATE - time.monotonic()))
    return 100 * (time.process_time() - used) / (time.monotonic() - started)


def measure_engines(sizes: Sizes, _: Path) -> Part:
    """numpy alone, against onnxruntime."""
    tiles, figures, budgets = load_tiles(), [], []
    for name in bundled_files():
        numpy, other = Classifier(name, engine="numpy"), Classifier(name)
        wrong = int(np.count_nonzero(numpy.classify(tiles).digits != other.classify(tiles).digits))
        one = partial(milliseconds_of, partial(numpy.classify, tiles[4]), sizes.calls // 10)
        found = in_turn(sizes.rounds, {"one": one})
        figures.append(Figure(f"{name}: one tile, numpy alone", "ms", found["one"]))
        budgets += [
            Budget(f"{name}: a tile with numpy alone", figures[-1].median, 3, "ms"),
            Budget(f"{name}: check tiles that numpy reads otherwise", wrong, 0, "tiles"),
        ]
    return Part("Without onnxruntime", figures, budgets)
