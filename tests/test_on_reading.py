"""on_reading.py: a command for each reading, without a shell, that never holds up the loop."""

from __future__ import annotations

import io
import json
import shlex
import sys
import time
from pathlib import Path

import pytest
from ink_reader import PLACES, Frames, InkReader

from edge_digits import on_reading
from edge_digits.errors import UsageError
from edge_digits.events import Event
from edge_digits.live import LiveSettings, run
from edge_digits.on_reading import ReadingCommand

EVENT = Event("appeared", 7, "4017", (1, 2, 3, 4), 1.25, 38, 0.98)

WRITE = "import json, os, sys; open(sys.argv[1] + str(os.getpid()), 'w').write(json.dumps(sys.argv[2:]))"
"""Writes its arguments to a file of its own."""


def _command(folder: Path, *words: str) -> str:
    return shlex.join([sys.executable, "-c", WRITE, f"{folder}/out-", *words])


def _written(folder: Path) -> list[list[str]]:
    return sorted(json.loads(path.read_text()) for path in folder.glob("out-*"))


def _no_note(line: str) -> None:
    raise AssertionError(f"unexpected: {line}")


def test_fields_are_filled_in_and_no_shell_sees_them(tmp_path: Path) -> None:
    words = ["{text}", "{id} {event}", "$HOME;`id`|&", "{time}-{frame}-{confidence}", "{other}", "a  b"]
    command = ReadingCommand(_command(tmp_path, *words), note=_no_note)
    command.run(EVENT)
    command.close()
    expected = ["4017", "7 appeared", "$HOME;`id`|&", "1.2500-38-0.9800", "{other}", "a  b"]
    assert _written(tmp_path) == [expected]


def test_it_runs_for_each_reading_of_the_loop_and_not_when_one_is_gone(tmp_path: Path) -> None:
    settings = LiveSettings(window=False, on_reading=_command(tmp_path, "{text}"))
    run(Frames(PLACES), InkReader(), settings, stdout=io.StringIO(), note=_no_note)
    assert _written(tmp_path) == [["1"], ["2"], ["3"]]


@pytest.mark.parametrize("command", ["", "   ", "'unclosed"])
def test_what_is_no_command_is_wrong_usage(command: str) -> None:
    with pytest.raises(UsageError, match="--on-reading"):
        ReadingCommand(command, note=_no_note)


def test_one_that_cannot_be_started_or_fails_is_said_once() -> None:
    for words, reason in (("no-such-program-97 {text}", "No such file"), ("false", "exit code 1")):
        notes: list[str] = []
        command = ReadingCommand(words, note=notes.append)
        for _ in range(3):
            command.run(EVENT)
            time.sleep(0.1)
        command.close()
        assert len(notes) == 1
        assert reason in notes[0]


def test_slow_ones_do_not_pile_up_and_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_reading, "PATIENCE", 0.2)
    notes: list[str] = []
    command = ReadingCommand("sleep 60", note=notes.append)
    started = time.monotonic()
    for _ in range(20):
        command.run(EVENT)
    running = list(command._running)
    assert len(running) == on_reading.MOST_RUNNING
    command.close()
    assert time.monotonic() - started < 5
    for process in running:
        assert process.wait(5) != 0
    assert len(notes) >= 2


def test_what_it_prints_does_not_mix_with_the_events(capfd: pytest.CaptureFixture[str]) -> None:
    command = ReadingCommand("echo {text}", note=_no_note)
    command.run(EVENT)
    command.close()
    assert capfd.readouterr() == ("", "4017\n")
