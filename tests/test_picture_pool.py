"""Several processes read what one would have read."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

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


def test_several_processes_give_the_same_records_in_the_same_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    get_context = multiprocessing.get_context
    monkeypatch.setattr(multiprocessing, "get_context", lambda kind: started.append(1) or get_context(kind))
    reader = Reader(count=2, min_confidence=0.25)  # its settings go along
    alone = list(read_records(reader, find_pictures([str(folder)]), top=2))
    assert not started
    assert len(alone) == COUNT
    assert [i for i, record in enumerate(alone) if record["error"]] == [7]
    assert sum(len(record["text"]) == 2 for record in alone) > 20
    monkeypatch.setattr(picture_pool, "_ALONE", 0.0)
    assert list(read_records(reader, find_pictures([str(folder)]), top=2, jobs=2)) == alone
    assert started
    assert not multiprocessing.active_children()


def test_few_pictures_are_read_by_one_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_pool, "_ALONE", 0.0)
    monkeypatch.setattr(picture_pool, "_read_together", None)
    paths = [str(folder / f"{i}.png") for i in range(6)]
    assert len(list(read_records(Reader(), find_pictures(paths), jobs=2))) == 6


def test_a_process_that_is_killed_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_pool, "_ALONE", 0.0)
    records = read_records(Reader(), find_pictures([str(folder)] * 40), jobs=2)
    next(records)
    for child in multiprocessing.active_children():
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(EdgeDigitsError, match=r"was killed: --jobs 1"):
        list(records)
    assert not multiprocessing.active_children()
