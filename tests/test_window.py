"""window.py and controls.py: a window where there can be one, and what its keys and clicks do."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ink_reader import Frames, InkReader

from edge_digits import controls, window
from edge_digits.live import LiveSettings, Summary, run
from edge_digits.opencv import cv2
from edge_digits.overlay import HELP, HELP_PAUSED
from edge_digits.video import Source

TAB, ESC, SPACE = 9, 27, ord(" ")


def _run(source: Source | None = None, *, note: list[str] | None = None, **settings: Any) -> tuple[Summary, str]:
    notes: list[str] = [] if note is None else note
    stdout = io.StringIO()
    summary = run(source or Frames([1] * 30), InkReader(), LiveSettings(**settings), stdout=stdout, note=notes.append)
    return summary, stdout.getvalue()


# ---- whether there can be a window


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is a display without DISPLAY")
def test_without_a_display_it_says_so_once_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    notes: list[str] = []
    summary, out = _run(note=notes, every_frame=True)
    assert summary.frames == len(out.splitlines()) == 30
    assert len(notes) == 1
    assert "no window" in notes[0]
    assert "DISPLAY" in notes[0]


PROGRAM = """
import sys
from ink_reader import Frames, InkReader
from edge_digits.live import LiveSettings, run
def note(line):
    print(line, file=sys.stderr)
run(Frames([1] * 30), InkReader(), LiveSettings(every_frame=True), stdout=sys.stdout, note=note)
"""


def _environment(display: str) -> dict[str, str]:
    return {**os.environ, "DISPLAY": display, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}


@pytest.mark.skipif(sys.platform != "linux", reason="DISPLAY is X11's")
def test_a_display_that_is_not_there_does_not_end_the_process() -> None:
    child = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=_environment(":9876"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0
    assert len(child.stdout.splitlines()) == 30
    assert child.stderr.count("\n") == 1
    assert "no window" in child.stderr


def test_a_display_that_does_not_answer_is_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 20\n")
    slow.chmod(0o755)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(sys, "executable", str(slow))
    started = time.monotonic()
    assert "does not answer" in (window.display_problem(timeout=0.3) or "")
    assert time.monotonic() - started < 3


# ---- keys and clicks, on a screen of our own


class _Screen:
    """Takes the place of OpenCV's windows. `keys`: what is pressed, in turn, once so many pictures were shown."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[np.ndarray] = []
        self.keys: dict[int, list[int]] = {}
        self.clicks: dict[int, tuple[int, int]] = {}
        self.closed_at = self.fails_at = -1
        self.said: list[str] = []
        self.mouse: Any = None
        monkeypatch.setattr(window, "display_problem", lambda: None)
        for name in ("namedWindow", "resizeWindow", "destroyAllWindows"):
            monkeypatch.setattr(cv2, name, lambda *args: None)
        monkeypatch.setattr(cv2, "setMouseCallback", lambda name, call: setattr(self, "mouse", call))
        monkeypatch.setattr(cv2, "imshow", self.imshow)
        monkeypatch.setattr(cv2, "waitKey", self.wait_key)
        visible = lambda name, prop: 0.0 if len(self.shown) == self.closed_at else 1.0  # noqa: E731
        monkeypatch.setattr(cv2, "getWindowProperty", visible)
        draw_help = controls.draw_help

        def listen(picture: np.ndarray, line: str) -> np.ndarray:
            self.said.append(line)
            return draw_help(picture, line)

        monkeypatch.setattr(controls, "draw_help", listen)

    def imshow(self, name: str, image: np.ndarray) -> None:
        if len(self.shown) == self.fails_at:
            raise cv2.error("the display is gone")
        self.shown.append(image)

    def wait_key(self, delay: int) -> int:
        assert len(self.shown) < 500, "it does not end"
        if len(self.shown) in self.clicks:
            self.mouse(cv2.EVENT_LBUTTONDOWN, *self.clicks.pop(len(self.shown)), 0, None)
        due = next((at for at, keys in self.keys.items() if keys and at <= len(self.shown)), None)
        return -1 if due is None else self.keys[due].pop(0)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> _Screen:
    monkeypatch.chdir(tmp_path)
    return _Screen(monkeypatch)


def _count_frames(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


def test_every_frame_is_shown_with_the_help_below(screen: _Screen) -> None:
    summary, _ = _run()
    assert summary.frames == len(screen.shown) == 30
    assert set(screen.said) == {HELP}
    assert screen.shown[0].shape[0] > 240, "a line below the frame, enlarged"


@pytest.mark.parametrize("key", [ord("q"), ord("Q"), ESC, 0x100000 | ord("q")], ids=["q", "Q", "Esc", "q with NumLock"])
def test_a_key_ends_it_and_the_recording_is_kept(tmp_path: Path, screen: _Screen, key: int) -> None:
    screen.keys = {2: [ord("x")], 14: [key]}
    summary, out = _run(output=str(tmp_path / "out.mp4"))
    assert summary.frames == len(screen.shown) - 1 == _count_frames(tmp_path / "out.mp4") == 13
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["appeared", "gone"]


def test_closing_the_window_ends_it(screen: _Screen) -> None:
    screen.closed_at = 3
    assert _run()[0].frames == 3


def test_a_window_lost_on_the_way_is_said_once_and_reading_goes_on(screen: _Screen) -> None:
    screen.fails_at = 3
    notes: list[str] = []
    summary, _ = _run(note=notes)
    assert (summary.frames, len(screen.shown), len(notes)) == (30, 3, 1)


def test_space_pauses_and_goes_on(screen: _Screen) -> None:
    screen.keys = {5: [SPACE], 20: [SPACE]}
    summary, _ = _run()
    assert summary.frames == 30
    assert len(screen.shown) > 30 + 13, "shown again and again while it pauses"
    assert screen.said.count(HELP_PAUSED) > 13


def test_q_ends_a_pause(screen: _Screen) -> None:
    screen.keys = {5: [SPACE], 9: [ord("q")]}
    assert _run()[0].frames == 5


def test_s_saves_the_frame_and_its_record(tmp_path: Path, screen: _Screen) -> None:
    screen.keys = {20: [ord("s"), ord("s")]}
    _run()
    pictures, records = sorted(tmp_path.glob("*.png")), sorted(tmp_path.glob("*.json"))
    assert len(pictures) == len(records) == 2, "none over another"
    assert cv2.imread(str(pictures[0])).shape == (120, 160, 3), "as it came, without what is drawn"
    record = json.loads(records[0].read_text())
    assert (record["text"], record["frame"], record["source"]) == ("1", 19, "frames")
    assert any(pictures[0].name in line for line in screen.said)


def test_d_shows_what_the_network_saw(screen: _Screen) -> None:
    screen.keys = {20: [ord("d")], 25: [ord("d")]}
    _run()
    heights = [picture.shape[0] for picture in screen.shown]
    assert max(heights) > heights[0] + 84
    assert heights[-1] == heights[0]
    panel = screen.shown[heights.index(max(heights)) + 1]
    assert (panel == 20).all(axis=2).sum() > 80 * 80, "the tile of a 1"


def test_r_records_and_ends_the_recording(tmp_path: Path, screen: _Screen) -> None:
    screen.keys = {5: [ord("r")], 16: [ord("r")], 24: [ord("r")]}
    summary, _ = _run()
    videos = sorted(tmp_path.glob("edge-digits-*.mp4"))
    assert sorted(_count_frames(video) for video in videos) == [8, 10]
    assert summary.output in [video.name for video in videos]
    assert any("recorded edge-digits-" in line for line in screen.said)


def test_digits_save_the_chosen_tile_as_an_example_that_training_reads(tmp_path: Path, screen: _Screen) -> None:
    screen.keys = {20: [ord("7"), SPACE, ord("7"), TAB, ord("3")], 30: [SPACE]}
    _run(collect=tmp_path / "mine")
    found = sorted(path.relative_to(tmp_path / "mine").parts[0] for path in (tmp_path / "mine").rglob("*.png"))
    assert found == ["3", "7"], "and none before the pause"
    tile = cv2.imread(str(next((tmp_path / "mine" / "7").iterdir())), cv2.IMREAD_UNCHANGED)
    assert tile.shape == (28, 28)
    assert (tile == 20).all(), "as the network saw it"


def test_without_a_folder_to_collect_in_it_says_what_to_do(tmp_path: Path, screen: _Screen) -> None:
    screen.keys = {20: [SPACE, ord("7"), SPACE]}
    _run()
    assert any("--collect" in line for line in screen.said)
    assert list(tmp_path.iterdir()) == []


def test_a_click_chooses_a_digit(screen: _Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = []
    draw_look = controls.draw_look

    def watch(look: Any, status: str, box: Any) -> np.ndarray:
        chosen.append(box)
        return draw_look(look, status, box)

    monkeypatch.setattr(controls, "draw_look", watch)
    screen.keys = {20: [SPACE], 30: [SPACE]}
    screen.clicks = {24: (2 * 40, 2 * 45)}
    _run(Frames([1] * 30))
    assert chosen[10] is None
    assert chosen[-1] is None
    assert (36, 40, 16, 20) in chosen


def test_what_cannot_be_saved_is_said_and_it_goes_on(tmp_path: Path, screen: _Screen) -> None:
    (tmp_path / "mine").write_text("a file")
    screen.keys = {20: [SPACE, ord("7"), SPACE]}
    summary, _ = _run(collect=tmp_path / "mine")
    assert summary.frames == 30
    assert any("cannot be made" in line for line in screen.said)


# ---- a real window


@contextmanager
def _display() -> Iterator[str]:
    read_end, write_end = os.pipe()
    with subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "640x480x24"],
        pass_fds=[write_end], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as server:  # fmt: skip
        os.close(write_end)
        try:
            with os.fdopen(read_end) as display:
                yield f":{display.readline().strip()}"
        finally:
            server.terminate()


REAL = """
import sys
from ink_reader import Frames, InkReader
from edge_digits.live import LiveSettings, run
from edge_digits.opencv import cv2
from edge_digits.window import display_problem

problem = display_problem()
if problem and "without windows" in problem:
    sys.exit(77)
assert problem is None, problem

class Reader(InkReader):
    def trace(self, image):
        if self.count == 4:
            cv2.destroyWindow("edge-digits")
        return super().trace(image)

calls = []
real = cv2.imshow
def imshow(name, image):
    calls.append(name)
    if len(calls) <= 4:
        real(name, image)
cv2.imshow = imshow
settings = LiveSettings(every_frame=True)
summary = run(Frames([1] * 30), Reader(), settings, stdout=sys.stdout, note=lambda line: sys.exit(line))
assert summary.frames == 5, summary
"""


@pytest.mark.skipif(not shutil.which("Xvfb"), reason="needs Xvfb, a display without a screen")
def test_a_real_window_is_opened_and_closing_it_ends_the_loop() -> None:
    with _display() as display:
        child = subprocess.run(
            [sys.executable, "-c", REAL],
            env=_environment(display),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    if child.returncode == 77:
        pytest.skip("this OpenCV was built without windows")
    assert (child.returncode, child.stderr) == (0, "")
