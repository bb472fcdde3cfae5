"""Replays what fuzzing has found: tests/fuzz/corpus/TARGET/…, each once a failure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "fuzz"
sys.path.insert(0, str(FUZZ))

from targets import TARGETS  # noqa: E402

FOUND = sorted(path.relative_to(FUZZ / "corpus") for path in (FUZZ / "corpus").glob("*/*"))


@pytest.mark.parametrize("found", FOUND, ids=str)
def test_what_fuzzing_found_is_handled(found):
    TARGETS[found.parts[0]]((FUZZ / "corpus" / found).read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_takes_rubbish_and_nothing(target):
    for data in (b"", b"\0", b"rubbish" * 100, bytes(range(256)) * 10):
        TARGETS[target](data)
