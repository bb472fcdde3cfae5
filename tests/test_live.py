"""live.py: what is printed, recorded and shown, and that no end of the loop loses what was recorded."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_digits import live
from edge_digits.errors import EdgeDigitsError, OutputError, OutputExistsError, SourceError, UsageError
from edge_digits.live import LiveSettings, Summary, run
from edge_digits.opencv import cv2
from edge_digits.reading import Digit, Reading
from edge_digits.video import Frame, Source, open_source

SIZE = 120, 160  # height and width of the frames


class InkReader:
    """Takes all bright ink for one digit: that of the fifth of the width, counted from 0, in which it begins."""

    def __init__(self, fail_at: int | None = None, error: BaseException | None = None) -> None:
        self.count = 0
        self.fail_at, self.error = fail_at, error

    def read(self, image: np.ndarray, /) -> Reading:
        if self.count == self.fail_at and self.error:
            raise self.error
        self.count += 1
        rows, columns = np.nonzero(image.min(axis=2) > 128)
        if not len(rows):
            return Reading()
        x, y = int(columns.min()), int(rows.min())
        digit = 5 * x // image.shape[1]
        box = (x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1)
        return Reading((Digit(digit, 1.0, box, 0, tuple(float(i == digit) for i in range(10))),))


def _picture(place: int | None, height: int = SIZE[0], width: int = SIZE[1]) -> np.ndarray:
    """Ink in one of the five fifths of the width, or none."""
    image = np.zeros((height, width, 3), np.uint8)
    if place is not None:
        image[height // 3 : height // 2, place * width // 5 + 4 : place * width // 5 + 20] = 255
    return image


PLACES = [None, None, 1, 1, 1, 3, 3, None, None, 2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten frames that show nothing, 1, 3, nothing, 2."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, place in enumerate(PLACES):
        cv2.imwrite(str(folder / f"{number}.png"), _picture(place))
    return folder


def _run(
    source: str | Path, reader: InkReader | None = None, *, note: list[str] | None = None, **settings: object
) -> tuple[Summary, str]:
    """What `run` returns and prints, without a window unless asked for."""
    stdout = io.StringIO()
    notes: list[str] = [] if note is None else note
    chosen = LiveSettings(**{"window": False, **settings})  # type: ignore[arg-type]
    with open_source(str(source), note=notes.append) as frames:
        summary = run(frames, reader or InkReader(), chosen, stdout=stdout, note=notes.append)
    return summary, stdout.getvalue()


def _frames_of(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(np.asarray(read[1], np.uint8))
    capture.release()
    return frames


def test_jsonl_is_one_record_a_frame(folder: Path) -> None:
    summary, out = _run(folder, format="jsonl")
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["text"] for record in records] == ["" if place is None else str(place) for place in PLACES]
    assert [record["frame"] for record in records] == list(range(10))
    assert [record["time"] for record in records] == pytest.approx([n / 30 for n in range(10)], abs=1e-3)
    assert list(records[2]) == ["source", "text", "lines", "digits", "rejected", "error", "frame", "time"]
    assert records[2]["source"] == str(folder)
    assert records[2]["digits"] == [{"digit": 1, "confidence": 1.0, "box": [36, 40, 16, 20], "line": 0}]
    assert (summary.frames, summary.dropped, summary.failed, summary.output) == (10, 0, 0, None)


def test_text_is_a_line_when_what_is_read_changes(folder: Path) -> None:
    _, out = _run(folder)
    assert [line.split() for line in out.splitlines()] == [["0.07", "1"], ["0.17", "3"], ["0.23", "-"], ["0.30", "2"]]


@pytest.mark.parametrize(("limit", "expected"), [(1, 1), (4, 4), (10, 10), (99, 10)])
def test_max_frames_ends_it(folder: Path, limit: int, expected: int) -> None:
    reader = InkReader()
    summary, out = _run(folder, reader, format="jsonl", max_frames=limit)
    assert summary.frames == reader.count == len(out.splitlines()) == expected


def test_each_line_is_flushed_when_it_is_printed(folder: Path) -> None:
    class Pipe(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1
            assert self.getvalue().count("\n") == self.flushed

    pipe = Pipe()
    with open_source(str(folder), note=print) as source:
        run(source, InkReader(), LiveSettings(window=False, format="jsonl"), stdout=pipe, note=print)
    assert pipe.flushed == 10


@pytest.mark.parametrize("name", ["out.mp4", "out.avi", "OUT.MP4"])
def test_the_recording_has_every_frame_with_what_was_read_drawn_on_it(folder: Path, tmp_path: Path, name: str) -> None:
    summary, _ = _run(folder, output=str(tmp_path / name))
    assert summary.output == str(tmp_path / name)
    frames = _frames_of(tmp_path / name)
    assert len(frames) == 10
    assert frames[0].shape == (2 * SIZE[0], 2 * SIZE[1], 3), "enlarged to be legible"
    box = frames[5][85:115, 190:200].astype(int)  # the left side of the box around the 3
    assert (box[..., 1] - box[..., 2] > 60).any(), "green"
    capture = cv2.VideoCapture(str(tmp_path / name))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(30)
    capture.release()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["frames", name])


@pytest.mark.parametrize("fps", [61.069, 119.881, 23.976, 1000.0, 0.001])
def test_any_frame_rate_can_be_recorded_as_mp4(tmp_path: Path, fps: float) -> None:
    class Clip(Source):
        def __iter__(self) -> Iterator[Frame]:
            yield from (Frame(_picture(1), number, number / self.fps) for number in range(3))

        def close(self) -> None:
            pass

    out = str(tmp_path / "out.mp4")
    notes: list[str] = []
    with Clip("clip", fps, live=False) as source:
        run(source, InkReader(), LiveSettings(False, out), stdout=io.StringIO(), note=notes.append)
    assert len(_frames_of(tmp_path / "out.mp4")) == 3
    assert notes == []


def test_the_recording_of_a_live_source_keeps_its_time(tmp_path: Path) -> None:
    class Camera(Source):
        def __iter__(self) -> Iterator[Frame]:
            for number, moment in enumerate((0.0, 0.5, 0.51, 2.0)):
                yield Frame(_picture(1), number, moment)

        def close(self) -> None:
            pass

    with Camera("0", 10.0, live=True) as source:
        settings = LiveSettings(window=False, output=str(tmp_path / "out.mp4"))
        run(source, InkReader(), settings, stdout=io.StringIO(), note=print)
    assert len(_frames_of(tmp_path / "out.mp4")) == 21


def test_frames_of_other_sizes_are_fitted_to_the_first(tmp_path: Path) -> None:
    sizes = [(121, 161), (240, 320), (50, 300), (900, 100), (5, 5)]
    for number, (height, width) in enumerate(sizes):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((height, width, 3), 200, np.uint8))
    summary, _ = _run(tmp_path, output=str(tmp_path / "out.mp4"))
    frames = _frames_of(tmp_path / "out.mp4")
    assert summary.frames == len(frames) == 5
    assert {frame.shape for frame in frames} == {(242, 322, 3)}
    tall = frames[3].mean(axis=2)
    assert tall[100, 5] < 40, "black beside it"
    assert tall[100, 161] > 160


def test_an_existing_recording_is_kept_unless_forced(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"of last year")
    reader = InkReader()
    with pytest.raises(OutputExistsError):
        _run(folder, reader, output=str(out))
    assert out.read_bytes() == b"of last year"
    assert reader.count == 0, "refused before any work"
    _run(folder, output=str(out), force=True)
    assert len(_frames_of(out)) == 10


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("out.txt", UsageError),
        ("out", UsageError),
        ("-", UsageError),
        ("missing/out.mp4", OutputError),
        (os.fsdecode(b"\xff.mp4"), OutputError),
    ],
)
def test_a_recording_that_cannot_be_made_is_an_error_before_any_work(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: type[EdgeDigitsError]
) -> None:
    monkeypatch.chdir(tmp_path)
    reader = InkReader()
    with pytest.raises(error):
        _run(folder, reader, output=name)
    assert reader.count == 0
    assert os.listdir(tmp_path) == ["frames"]  # noqa: PTH208 – a name that is not UTF-8 would show here


class _NoMp4:
    """cv2.VideoWriter of an OpenCV that can write only some codecs."""

    codecs: tuple[str, ...] = ("MJPG",)
    fourcc = staticmethod(cv2.VideoWriter.fourcc)
    real = cv2.VideoWriter

    def __new__(cls, path: str, codec: int, *rest: Any) -> Any:
        if codec in [cls.fourcc(*name) for name in cls.codecs]:
            return cls.real(path, codec, *rest)
        return cls.real()


def test_without_an_mp4_writer_the_recording_is_an_avi_and_said_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "VideoWriter", _NoMp4)
    notes: list[str] = []
    summary, _ = _run(folder, output=str(tmp_path / "out.mp4"), note=notes)
    assert summary.output == str(tmp_path / "out.avi")
    assert len(_frames_of(tmp_path / "out.avi")) == 10
    assert len(notes) == 1
    assert "out.avi" in notes[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames", "out.avi"]
    with pytest.raises(OutputExistsError):
        _run(folder, output=str(tmp_path / "out.mp4"))


def test_without_any_writer_it_is_an_error_and_nothing_is_left(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "VideoWriter", type("_None", (_NoMp4,), {"codecs": ()}))
    with pytest.raises(OutputError, match="cannot be written"):
        _run(folder, output=str(tmp_path / "out.mp4"))
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_a_recording_that_lost_its_index_is_an_error_and_not_left_behind(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk:
        """Writes as a full disk does: without an error, and without the end."""

        fourcc = staticmethod(cv2.VideoWriter.fourcc)

        def __init__(self, path: str, *rest: object) -> None:
            self.path = Path(path)

        def isOpened(self) -> bool:
            return True

        def write(self, image: np.ndarray) -> None:
            self.path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(500))

        def release(self) -> None:
            pass

    monkeypatch.setattr(cv2, "VideoWriter", FullDisk)
    with pytest.raises(OutputError, match="disk full"):
        _run(folder, output=str(tmp_path / "out.mp4"))
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), SourceError("lost"), BrokenPipeError()])
@pytest.mark.parametrize("at", [1, 6])
def test_whatever_ends_the_loop_leaves_the_frames_so_far(
    folder: Path, tmp_path: Path, error: BaseException, at: int
) -> None:
    out = tmp_path / "out.mp4"
    with pytest.raises(type(error)) as caught:
        _run(folder, InkReader(at, error), output=str(out))
    assert caught.value is error
    assert len(_frames_of(out)) == at
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames", "out.mp4"]


def test_an_interrupt_before_the_first_frame_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _run(folder, InkReader(0, KeyboardInterrupt()), output=str(tmp_path / "out.mp4"))
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_a_closed_stdout_reaches_the_caller(folder: Path, tmp_path: Path) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            if '"frame": 4' in text:
                raise BrokenPipeError
            return super().write(text)

    settings = LiveSettings(window=False, format="jsonl", output=str(tmp_path / "out.mp4"))
    with open_source(str(folder), note=print) as source, pytest.raises(BrokenPipeError):
        run(source, InkReader(), settings, stdout=Closed(), note=print)
    assert len(_frames_of(tmp_path / "out.mp4")) == 4


# The window


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is a display without DISPLAY")
def test_without_a_display_it_says_so_once_and_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    notes: list[str] = []
    summary, out = _run(folder, note=notes, window=True, format="jsonl")
    assert summary.frames == len(out.splitlines()) == 10
    assert len(notes) == 1
    assert "no window" in notes[0]
    assert "DISPLAY" in notes[0]


@pytest.mark.skipif(sys.platform != "linux", reason="DISPLAY is X11's")
def test_a_display_that_is_not_there_does_not_end_the_process(folder: Path) -> None:
    program = f"""
import sys
from test_live import InkReader
from edge_digits.live import LiveSettings, run
from edge_digits.video import open_source
def note(line):
    print(line, file=sys.stderr)
with open_source({str(folder)!r}, note=note) as source:
    run(source, InkReader(), LiveSettings(format="jsonl"), stdout=sys.stdout, note=note)
"""
    env = {**os.environ, "DISPLAY": ":9876", "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    child = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60)
    assert child.returncode == 0
    assert len(child.stdout.splitlines()) == 10
    assert child.stderr.count("\n") == 1
    assert "no window" in child.stderr


def test_a_display_that_does_not_answer_is_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 20\n")
    slow.chmod(0o755)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(sys, "executable", str(slow))
    started = time.monotonic()
    assert "does not answer" in (live.display_problem(timeout=0.3) or "")
    assert time.monotonic() - started < 3


class _Screen:
    """Takes the place of OpenCV's windows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[np.ndarray] = []
        self.key_at: dict[int, int] = {}
        self.closed_at = self.fails_at = -1
        monkeypatch.setattr(live, "display_problem", lambda: None)
        for name in ("namedWindow", "resizeWindow", "destroyAllWindows"):
            monkeypatch.setattr(cv2, name, lambda *args: None)
        monkeypatch.setattr(cv2, "imshow", self.imshow)
        monkeypatch.setattr(cv2, "waitKey", lambda delay: self.key_at.get(len(self.shown), -1))
        monkeypatch.setattr(
            cv2, "getWindowProperty", lambda name, prop: 0.0 if len(self.shown) == self.closed_at else 1.0
        )

    def imshow(self, name: str, image: np.ndarray) -> None:
        if len(self.shown) == self.fails_at:
            raise cv2.error("the display is gone")
        self.shown.append(image)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> _Screen:
    return _Screen(monkeypatch)


def test_every_frame_is_shown(folder: Path, screen: _Screen) -> None:
    summary, _ = _run(folder, window=True)
    assert summary.frames == len(screen.shown) == 10


@pytest.mark.parametrize("key", [ord("q"), ord("Q"), 27, 0x100000 | ord("q")], ids=["q", "Q", "Esc", "q with NumLock"])
def test_a_key_ends_it_and_the_recording_is_kept(folder: Path, tmp_path: Path, screen: _Screen, key: int) -> None:
    screen.key_at = {2: ord("x"), 4: key}
    summary, _ = _run(folder, window=True, output=str(tmp_path / "out.mp4"))
    assert summary.frames == len(screen.shown) == len(_frames_of(tmp_path / "out.mp4")) == 4


def test_closing_the_window_ends_it(folder: Path, screen: _Screen) -> None:
    screen.closed_at = 3
    summary, _ = _run(folder, window=True)
    assert summary.frames == len(screen.shown) == 3


def test_a_window_lost_on_the_way_is_said_once_and_reading_goes_on(folder: Path, screen: _Screen) -> None:
    screen.fails_at = 3
    notes: list[str] = []
    summary, _ = _run(folder, window=True, note=notes)
    assert summary.frames == 10
    assert len(screen.shown) == 3
    assert len(notes) == 1


@pytest.mark.skipif(not shutil.which("Xvfb"), reason="needs Xvfb, a display without a screen")
def test_a_real_window_is_opened_and_closing_it_ends_the_loop(folder: Path) -> None:
    program = f"""
import sys
from test_live import InkReader
from edge_digits.live import LiveSettings, display_problem, run
from edge_digits.opencv import cv2
from edge_digits.video import open_source

problem = display_problem()
if problem and "without windows" in problem:
    sys.exit(77)
assert problem is None, problem

class Reader(InkReader):
    def read(self, image):
        if self.count == 4:
            cv2.destroyWindow("edge-digits")
        return super().read(image)

calls = []
real = cv2.imshow
def imshow(name, image):
    calls.append(name)
    if len(calls) <= 4:
        real(name, image)
cv2.imshow = imshow
with open_source({str(folder)!r}, note=print) as source:
    summary = run(source, Reader(), LiveSettings(), stdout=sys.stdout, note=lambda line: sys.exit(line))
assert summary.frames == 5, summary
"""
    read_end, write_end = os.pipe()
    with subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "640x480x24"],
        pass_fds=[write_end], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as server:  # fmt: skip
        os.close(write_end)
        try:
            with os.fdopen(read_end) as display:
                number = display.readline().strip()
            path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
            env = {**os.environ, "DISPLAY": f":{number}", "PYTHONPATH": path}
            child = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60)
        finally:
            server.terminate()
    if child.returncode == 77:
        pytest.skip("this OpenCV was built without windows")
    assert (child.returncode, child.stderr) == (0, "")
