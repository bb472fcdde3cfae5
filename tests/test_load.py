"""The small form of tests/reliability/load.py."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "reliability"))

from load import fill, many, sharing


def test_one_reader_serves_threads_and_processes_as_it_would_one_alone():
    ways = dict(sharing(6))
    assert len(ways) == 5
    assert not any(ways.values()), ways


def test_a_thousand_pictures_take_no_more_memory_than_five_hundred(tmp_path):
    fill(tmp_path, 1000)
    memory, wrong = many(tmp_path, 1000)
    assert wrong == 0
    assert memory[50] > 20e6
    assert memory[90] < 1.1 * memory[50]
