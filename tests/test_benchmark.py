"""The benchmark measures what it says, and says whether the budgets are kept."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Run, runner

from edge_digits import Reader, benchmark, cli
from edge_digits.bench_figures import Budget, Figure, Sizes, in_turn, ratio, run_python
from edge_digits.bench_material import (
    PHOTO,
    SCREEN,
    SMALL,
    load_tiles,
    make_one_of_many,
    make_pictures,
    write_table,
)
from edge_digits.errors import EdgeDigitsError, GateError
from edge_digits.model_files import bundled_files
from edge_digits.tables import TableReader

TINY = Sizes(rounds=1, calls=10, watched=0.1, rows=300, pictures=12)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(benchmark, "QUICK", TINY)
    return runner(capfd, monkeypatch, "benchmark", "--quick")


# ---- all of it, small


def test_it_tells_all_that_it_is_asked_for(run: Run) -> None:
    done = run("--format", "json")
    assert done.code == 0
    found = json.loads(done.out)
    figures: dict[str, Any] = {figure["name"]: figure for part in found["parts"] for figure in part["figures"]}
    for model in ("digits-fp32", "digits-int8"):
        for what in ("p50", "p99", "256 tiles, one core", "load", "memory", "30 calls a second", "numpy alone"):
            assert any(name.startswith(model) and what in name for name in figures), (model, what)
    for picture in (SMALL, SCREEN, PHOTO):
        for stage in ("decode", "find", "frame", "classify", "all"):
            assert any(name.startswith(picture) and name.split(": ")[1].startswith(stage) for name in figures)
    assert all(0 < figure["least"] <= figure["median"] <= figure["most"] for figure in figures.values())
    budgets = {budget["name"]: budget for budget in found["budgets"]}
    assert len(budgets) == len(found["budgets"]) >= 9
    assert not any("many pictures" in name or "the longer of" in name for name in budgets)  # of so few it says nothing
    assert budgets["runtime and models on disk"]["met"]
    assert 40 < budgets["submit: memory"]["value"] < 400
    assert {"numpy", "onnxruntime", "cores", "Python"} <= found["machine"].keys()
    assert [line for line in done.err.splitlines() if "of 5" in line] == done.err.splitlines()


def test_the_table_for_people_marks_each_budget(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "_PARTS", {"numpy engine": benchmark._PARTS["numpy engine"]})
    done = run()
    assert done.code == 0
    assert done.out.count("check tiles that numpy reads otherwise: 0 tiles (at most 0 tiles)") == len(bundled_files())
    marks = [line.split()[0] for line in done.out.partition("Budgets")[2].splitlines() if "at most" in line]
    assert len(marks) == 2 * len(bundled_files())
    assert set(marks) <= {"pass", "FAIL"}
    assert done.err == "edge-digits: 1 of 1: numpy engine\n"


def test_a_missed_budget_ends_with_5_if_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    missed = benchmark.Part("part", [], [Budget("good", 1, 2), Budget("bad", 3, 2)])
    monkeypatch.setattr(benchmark, "_PARTS", {"part": lambda *_: missed})
    assert run().code == 0
    done = run("--gate")
    assert done.code == GateError.exit_code == 5
    assert "  FAIL  bad: 3 × (at most 2 ×)" in done.out
    assert "1 of 2 budgets are not kept: bad" in done.err
    assert "benchmark" in {command.name or command.callback.__name__ for command in cli.app.registered_commands}


# ---- how it measures


def test_tasks_take_turns() -> None:
    said: list[str] = []

    def task(name: str) -> float:
        said.append(name)
        return float(len(said))

    found = in_turn(5, {name: lambda name=name: task(name) for name in "abc"})  # type: ignore[misc]
    assert all(sorted(said[i : i + 3]) == ["a", "b", "c"] for i in range(0, 15, 3))
    assert len({tuple(said[i : i + 3]) for i in range(0, 15, 3)}) > 1
    assert {name: len(values) for name, values in found.items()} == {"a": 5, "b": 5, "c": 5}
    assert found["a"] == tuple(i + 1 for i, name in enumerate(said) if name == "a")


def test_a_ratio_is_that_of_pairs() -> None:
    assert ratio([2, 20, 9], [1, 10, 3]) == 2  # that of the medians would be 3


def test_a_budget_is_kept_up_to_its_limit() -> None:
    assert Budget("a", 2, 2).met
    assert not Budget("a", 2.01, 2).met
    assert Budget("a", 2, 2, at_least=True).met
    assert not Budget("a", 1.99, 2, at_least=True).met


def test_a_figure_tells_its_spread() -> None:
    figure = Figure("one", "ms", (3.0, 1.0, 10.0))
    assert figure.text().split() == ["one", "3", "ms", "(1", "to", "10,", "n", "=", "3)"]
    assert figure.as_dict() == {"name": "one", "unit": "ms", "median": 3.0, "least": 1.0, "most": 10.0, "n": 3}


def test_time_and_memory_are_those_of_the_process_alone() -> None:
    ballast = np.ones(400_000_000, np.uint8)  # a process begins with the peak of the one that it was forked from
    began = time.perf_counter()
    small = run_python("-c", "import time; time.sleep(0.3)")
    took = time.perf_counter() - began
    large = run_python("-c", "x = bytearray(b'1') * 200_000_000")
    assert ballast.sum() == 400_000_000
    assert 0.3 <= small.seconds <= took
    assert 3 < small.megabytes < 60
    assert 200 < large.megabytes < 290


def test_a_process_that_fails_is_told() -> None:
    with pytest.raises(EdgeDigitsError, match="what is to be measured fails: ValueError: no"):
        run_python("-c", "raise ValueError('no')")


# ---- what it reads


def test_its_table_is_one(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", 23)
    read = np.concatenate(list(TableReader(str(tmp_path / "t.csv")).tiles()))
    assert np.array_equal(read, np.resize(load_tiles(), (23, 28, 28)))


def test_its_pictures_are_searched_and_asked_about_in_full(reader: Reader) -> None:
    """Their tiles are hard ones: the network need not take each for a digit."""
    pictures = make_pictures()
    assert reader.read(pictures[SMALL]).text == "4"
    for image, regions in ((pictures[SCREEN], 5), (pictures[PHOTO], 12), (make_one_of_many(), 3)):
        trace = reader.trace(image)
        assert len(trace.parts) == regions
        assert len(trace.reading.digits) >= 0.6 * regions
