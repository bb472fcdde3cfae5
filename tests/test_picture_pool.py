"""Several processes read what one would have read."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import cv2
import pytest
from pictures import compose, some

from edge_digits import Reader, picture_pool
from edge_digits.errors import EdgeDigitsError
from edge_digits.images import find_pictures
from edge_digits.picture_pool import read_records

COUNT = 26  # no multiple of a task


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of two digits each, and one that is damaged."""
    folder = tmp_path_factory.mktemp("pictures")
    numbers = some(2 * COUNT)
    for i in range(COUNT):
        assert cv2.imwrite(str(folder / f"{i}.png"), compose([numbers[2 * i : 2 * i + 2].tolist()]).image)
    whole = (folder / "7.png").read_bytes()
    (folder / "7.png").write_bytes(whole[: len(whole) // 2])
    return folder


def watched(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that are started from now on."""
    started: list[subprocess.Popen[bytes]] = []
    plain = subprocess.Popen

    def start(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        started.append(plain(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return started


def test_several_processes_give_the_same_records_in_the_same_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = watched(monkeypatch)
    reader = Reader(count=2, min_confidence=0.25)  # its settings go along
    alone = list(read_records(reader, find_pictures([str(folder)]), top=2))
    assert not started
    assert len(alone) == COUNT
    assert [i for i, record in enumerate(alone) if record["error"]] == [7]
    assert sum(len(record["text"]) == 2 for record in alone) > 20
    monkeypatch.setattr(picture_pool, "_ALONE", 0.0)
    assert list(read_records(reader, find_pictures([str(folder)]), top=2, jobs=2)) == alone
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)


def test_few_pictures_are_read_by_one_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_pool, "_ALONE", 0.0)
    monkeypatch.setattr(picture_pool, "_read_together", None)
    paths = [str(folder / f"{i}.png") for i in range(6)]
    assert len(list(read_records(Reader(), find_pictures(paths), jobs=2))) == 6


def test_a_process_that_is_killed_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_pool, "_ALONE", 0.0)
    started = watched(monkeypatch)
    records = read_records(Reader(), find_pictures([str(folder)] * 40), jobs=2)
    next(records)
    started[0].kill()
    with pytest.raises(EdgeDigitsError, match=r"was killed: --jobs 1"):
        list(records)
    assert all(process.returncode is not None for process in started)
