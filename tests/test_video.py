"""video.py: frames come in order with their times, and what cannot be read says so within its time."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edge_digits import video
from edge_digits.errors import SourceError
from edge_digits.opencv import cv2
from edge_digits.video import Frame, open_source


def _picture(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Its number can be told from its brightness: 10 × number."""
    return np.full((height, width, 3), 10 * number, np.uint8)


def _write_video(path: Path, codec: str, frames: int, fps: float = 25.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(_picture(number))
    writer.release()
    return path


def _numbers(frames: list[Frame]) -> list[int]:
    """Which picture each frame shows."""
    return [round(float(frame.image.mean()) / 10) for frame in frames]


def _no_note(line: str) -> None:
    raise AssertionError(f"unexpected: {line}")


@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "mp4v"), ("clip.avi", "MJPG")])
def test_a_file_gives_all_frames_in_order_with_their_times(tmp_path: Path, name: str, codec: str) -> None:
    path = _write_video(tmp_path / name, codec, 20)
    with open_source(str(path), note=_no_note) as source:
        assert source.name == str(path)
        assert source.fps == pytest.approx(25)
        assert not source.live
        frames = []
        for frame in source:
            time.sleep(0.002)  # a slow reader loses nothing
            frames.append(frame)
    assert _numbers(frames) == list(range(20))
    assert [frame.number for frame in frames] == list(range(20))
    assert [frame.time for frame in frames] == pytest.approx([number / 25 for number in range(20)], abs=1e-3)
    assert frames[0].image.shape == (48, 64, 3)
    assert frames[0].image.dtype == np.uint8


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([0, 40, 90, 200], [0, 0.04, 0.09, 0.2]),
        ([1000, 1040, 1080], [0, 0.04, 0.08]),
        ([0, 0, 0, 0], [0, 0.1, 0.2, 0.3]),
        ([0, 50, 20, 200], [0, 0.05, 0.15, 0.2]),
        ([0, float("nan"), float("inf"), 1000], [0, 0.1, 0.2, 1.0]),
        ([float("nan"), 40, 80], [0, 0.1, 0.2]),
    ],
    ids=["its own", "from its start", "says nothing", "jumps back", "not finite", "no start"],
)
def test_the_time_is_what_the_file_says_and_goes_on_where_that_is_not_sane(
    said: list[float], expected: list[float]
) -> None:
    class Capture:
        def get(self, prop: int) -> float:
            return next(values)

    values = iter(said)
    clock = video._MediaClock(10)
    assert [clock.time(Capture()) for _ in said] == pytest.approx(expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a:b.avi", "%03d.avi", "http:x.avi"])
def test_a_name_that_looks_like_an_address_or_a_pattern_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _write_video(tmp_path / name, "MJPG", 3)
    monkeypatch.chdir(tmp_path)
    with open_source(name, note=_no_note) as source:
        assert len(list(source)) == 3


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_a_name_that_is_not_utf_8_does_not_end_the_process(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.avi")
    try:
        _write_video(tmp_path / "clip.avi", "MJPG", 2).rename(path)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    with pytest.raises(SourceError, match="UTF-8"):
        open_source(path, note=_no_note)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "mp4v"), ("clip.avi", "MJPG")])
def test_a_truncated_video_gives_the_frames_it_has_or_an_error(
    tmp_path: Path, name: str, codec: str, share: float
) -> None:
    path = _write_video(tmp_path / name, codec, 25)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    notes: list[str] = []
    try:
        source = open_source(str(path), note=notes.append)
    except SourceError:  # an mp4 has its index at the end, an avi its header at the start
        assert name.endswith(".mp4") or share < 0.1
        return
    with source:
        frames = list(source)
    assert _numbers(frames) == sorted(set(_numbers(frames))), "each once, in order"
    assert 0 < len(frames) < 25
    assert source.failed == 1
    assert "cut short" in notes[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file"),
        (b"", "empty file"),
        (b"words, not a video\n" * 50, "no video"),
        (bytes(5000), "no video"),
    ],
    ids=["missing", "empty", "text", "zeros"],
)
def test_a_file_that_is_no_video_is_an_error_with_its_path(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes | None, reason: str
) -> None:
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=reason) as caught:
        open_source(str(path), note=_no_note)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.exit_code == 4
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("source", ["", "\0", "ftp://127.0.0.1/x", "x" * 5000, "9" * 5000, "-"])
def test_a_source_that_makes_no_sense_is_an_error(source: str) -> None:
    with pytest.raises(SourceError):
        open_source(source, note=_no_note)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(SourceError, match="neither a file"):
        open_source(str(tmp_path / "pipe.mp4"), note=_no_note)


def test_a_folder_gives_its_pictures_in_natural_order_at_30_a_second(tmp_path: Path) -> None:
    for number in (0, 1, 2, 10, 11):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), _picture(number, height=20 + number))
    (tmp_path / "notes.txt").write_text("of the day")
    notes: list[str] = []
    with open_source(str(tmp_path), note=notes.append) as source:
        frames = list(source)
    assert _numbers(frames) == [0, 1, 2, 10, 11]
    assert [frame.time for frame in frames] == pytest.approx([0, 1 / 30, 2 / 30, 3 / 30, 4 / 30])
    assert [frame.image.shape[0] for frame in frames] == [20, 21, 22, 30, 31]
    assert len(notes) == 1
    assert "1 file without a picture's signature" in notes[0]


def test_a_damaged_picture_is_skipped_and_said_so(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), _picture(number))
    damaged = tmp_path / "1.png"
    damaged.write_bytes(damaged.read_bytes()[:40])
    notes: list[str] = []
    with open_source(str(tmp_path), note=notes.append) as source:
        frames = list(source)
    assert _numbers(frames) == [0, 2]
    assert [frame.number for frame in frames] == [0, 2]
    assert source.failed == 1
    assert len(notes) == 1
    assert str(damaged) in notes[0]


def test_a_folder_whose_pictures_are_all_damaged_and_one_without_any_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no pictures"):
        open_source(str(tmp_path), note=_no_note)
    cv2.imwrite(str(tmp_path / "0.png"), _picture(0))
    (tmp_path / "0.png").write_bytes((tmp_path / "0.png").read_bytes()[:40])
    with open_source(str(tmp_path), note=lambda line: None) as source, pytest.raises(SourceError, match="none of"):
        list(source)


def test_a_single_picture_is_one_frame(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "img_001.png"), _picture(7))
    cv2.imwrite(str(tmp_path / "img_002.png"), _picture(8))
    with open_source(str(tmp_path / "img_001.png"), note=_no_note) as source:
        assert _numbers(list(source)) == [7]


class _Capture:
    """Stands in for a camera."""

    def __init__(self, pictures: int | None, hold: threading.Event | None = None, period: float = 0.0) -> None:
        self.pictures, self.hold, self.period = pictures, hold, period
        self.given = 0
        self.released = False

    def isOpened(self) -> bool:
        return True

    def get(self, prop: int) -> float:
        return 0.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.pictures is not None and self.given >= self.pictures:
            if self.hold:
                self.hold.wait(20)
            return False, None
        time.sleep(self.period)
        self.given += 1
        return True, _picture(self.given % 25)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Put what is to be camera 0 into the list: a _Capture, or a function that makes one."""
    content: list[object] = []

    def connect(index: int) -> object:
        what = content[0]
        return what() if callable(what) else what

    monkeypatch.setattr(video, "_connect_camera", connect)
    monkeypatch.setattr(sys, "platform", "any")
    return content


def test_no_camera_is_an_error_that_names_what_was_tried() -> None:
    started = time.monotonic()
    with pytest.raises(SourceError) as caught:
        open_source("63", note=_no_note)
    assert time.monotonic() - started < 6
    assert str(caught.value).startswith("no camera: tried ")
    assert "63" in str(caught.value)
    assert "--source" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/videoN is Linux")
@pytest.mark.parametrize("source", ["63", "/dev/video63", "063"])
def test_a_camera_has_the_same_name_by_number_and_by_device(source: str) -> None:
    with pytest.raises(SourceError, match=r"tried /dev/video63 \(not there\)"):
        open_source(source, note=_no_note)


def test_a_camera_that_opens_but_gives_no_frame_is_an_error_in_time(camera: list[object]) -> None:
    camera.append(_Capture(0))
    started = time.monotonic()
    with pytest.raises(SourceError, match="opens, but gives no frame"):
        open_source("0", note=_no_note, timeout=0.3)
    assert time.monotonic() - started < 2


def test_a_camera_that_hangs_while_it_opens_is_an_error_in_time(camera: list[object]) -> None:
    hold = threading.Event()

    def hang() -> _Capture:
        hold.wait(20)
        return _Capture(0)

    camera.append(hang)
    started = time.monotonic()
    with pytest.raises(SourceError, match="no answer within"):
        open_source("0", note=_no_note, timeout=0.3)
    assert time.monotonic() - started < 3
    hold.set()


def test_a_camera_that_stops_is_an_error_after_its_frames(camera: list[object]) -> None:
    hold = threading.Event()
    camera.append(_Capture(3, hold, period=0.05))
    seen: list[int] = []
    with open_source("0", note=_no_note, timeout=0.4) as source, pytest.raises(SourceError, match="no frame for"):
        seen.extend(frame.number for frame in source)
    hold.set()
    assert seen[-1] == 2


def test_a_live_source_gives_its_newest_frame_and_counts_the_dropped(camera: list[object]) -> None:
    capture = _Capture(None, period=0.005)
    camera.append(capture)
    frames = []
    with open_source("0", note=_no_note) as source:
        assert source.live
        for frame in source:
            frames.append(frame)
            time.sleep(0.05)
            if len(frames) == 6:
                break
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > 15
    assert source.dropped >= numbers[-1] + 1 - len(numbers)
    assert all(later.time > earlier.time for earlier, later in pairwise(frames))
    assert capture.released


@contextmanager
def _mjpeg_server(frames: int, period: float, stall: float) -> Iterator[str]:
    """The address of a stream of so many pictures, `period` seconds apart, that then keeps silent for `stall`."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                for number in range(frames):
                    picture = cv2.imencode(".jpg", _picture(number))[1].tobytes()
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    self.wfile.write(head.encode() + picture + b"\r\n")
                    over.wait(period)
                over.wait(stall)
            except OSError:  # the client has gone
                pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/stream"
        finally:
            over.set()
            server.shutdown()
            thread.join()


def test_a_stream_is_read_to_its_end() -> None:
    notes: list[str] = []
    with _mjpeg_server(20, 0.03, 0) as url, open_source(url, note=notes.append) as source:
        assert source.live
        frames = list(source)
    assert _numbers(frames) == [frame.number for frame in frames]
    assert frames[-1].number == 19
    assert frames[-1].time > 0.3, "capture time"
    assert len(notes) == 1
    assert "ended after 20 frames" in notes[0]


@pytest.mark.parametrize("frames", [0, 10])
def test_a_stream_that_stalls_is_an_error_in_time(capfd: pytest.CaptureFixture[str], frames: int) -> None:
    with _mjpeg_server(frames, 0.01, 20) as url:
        started = time.monotonic()
        with (
            pytest.raises(SourceError, match=r"no frame for|no answer within"),
            open_source(url.replace("//", "//user:secret@"), note=_no_note, timeout=1) as source,
        ):
            list(source)
        assert time.monotonic() - started < 4
    assert capfd.readouterr().out == ""


def test_a_stream_nobody_serves_is_an_error_that_keeps_the_password() -> None:
    with pytest.raises(SourceError, match="cannot be opened") as caught:
        open_source("http://user:secret@127.0.0.1:9/stream", note=_no_note, timeout=2)
    assert "secret" not in str(caught.value)


def test_a_video_file_behind_an_address_loses_no_frame(tmp_path: Path) -> None:
    content = _write_video(tmp_path / "clip.mp4", "mp4v", 20).read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
            self.send_response(206)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(content) - start))
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            with suppress(OSError):  # the client seeks
                self.wfile.write(content[start:])

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            with open_source(f"http://127.0.0.1:{server.server_port}/clip.mp4", note=_no_note) as source:
                assert not source.live
                frames = []
                for frame in source:
                    time.sleep(0.005)
                    frames.append(frame)
        finally:
            server.shutdown()
            thread.join()
    assert _numbers(frames) == list(range(20))
    assert [frame.time for frame in frames] == pytest.approx([number / 25 for number in range(20)], abs=1e-3)
    assert source.dropped == 0
