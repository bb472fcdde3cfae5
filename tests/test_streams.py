"""streams.py and cameras.py: the newest frame, within its time; what is lost is opened again, or given up."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from stream_server import Serving, streaming

from edge_digits import cameras, streams, video
from edge_digits.errors import SourceError
from edge_digits.opencv import cv2
from edge_digits.video import Frame, Source, SourceSettings, open_source


def _picture(number: int) -> np.ndarray:
    """Its number, up to 24, can be told from its brightness: 10 × number."""
    return np.full((48, 64, 3), 10 * (number % 25), np.uint8)


def _numbers(frames: Iterable[Frame]) -> list[int]:
    """Which picture each frame shows."""
    return [round(float(frame.image.mean()) / 10) for frame in frames]


def _no_note(line: str) -> None:
    raise AssertionError(f"unexpected: {line}")


def _impatient(timeout: float, retries: int = 0) -> SourceSettings:
    return SourceSettings(timeout=timeout, retries=retries)


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses before a lost source is opened again that a test can wait for."""
    monkeypatch.setattr(streams, "FIRST_PAUSE", 0.1)


class _Capture:
    """Stands in for a camera."""

    def __init__(self, pictures: int | None, hold: threading.Event | None = None, period: float = 0.0) -> None:
        self.pictures, self.hold, self.period = pictures, hold, period
        self.given = 0
        self.released = False
        self.asked: dict[int, float] = {}

    def isOpened(self) -> bool:
        return True

    def get(self, prop: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: 1280.0, cv2.CAP_PROP_FRAME_HEIGHT: 720.0, cv2.CAP_PROP_FPS: 25.0}.get(prop, 0)

    def set(self, prop: int, value: float) -> bool:
        self.asked[prop] = value
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.pictures is not None and self.given >= self.pictures:
            if self.hold:
                self.hold.wait(20)
            return False, None
        time.sleep(self.period)
        self.given += 1
        return True, _picture(self.given)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Put what is to be camera 0 into the list, for each time it is opened: a _Capture, or what makes one."""
    content: list[object] = []

    def connect(index: int, settings: SourceSettings) -> object:
        what = content.pop(0) if len(content) > 1 else content[0]
        return what() if callable(what) else what

    monkeypatch.setattr(cameras, "_connect", connect)
    monkeypatch.setattr(sys, "platform", "any")
    return content


# ---- cameras


def test_no_camera_is_an_error_that_names_what_was_tried() -> None:
    started = time.monotonic()
    with pytest.raises(SourceError) as caught:
        open_source("63", note=_no_note)
    assert time.monotonic() - started < 6
    assert str(caught.value).startswith("no camera: tried ")
    assert "63" in str(caught.value)
    assert "video file" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/videoN is Linux")
@pytest.mark.parametrize("source", ["63", "/dev/video63", "063"])
def test_a_camera_has_the_same_name_by_number_and_by_device(source: str) -> None:
    with pytest.raises(SourceError, match=r"tried /dev/video63 \(not there\)"):
        open_source(source, note=_no_note)


def test_a_camera_that_opens_but_gives_no_frame_is_an_error_in_time(camera: list[object]) -> None:
    camera.append(_Capture(0))
    started = time.monotonic()
    with pytest.raises(SourceError, match="opens, but gives no frame"):
        open_source("0", _impatient(0.3), note=_no_note)
    assert time.monotonic() - started < 2


def test_a_camera_of_frames_that_are_too_large_is_refused_unread(
    camera: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "MAX_PIXELS", 1280 * 720 - 1)
    vast = _Capture(None)
    camera.append(vast)
    with pytest.raises(SourceError, match="has frames of 1,280 × 720 pixels, and the limit is 921,599"):
        open_source("0", _impatient(1), note=_no_note)
    assert (vast.given, vast.released) == (0, True)


def test_a_camera_that_hangs_while_it_opens_is_an_error_in_time(camera: list[object]) -> None:
    hold = threading.Event()

    def hang() -> _Capture:
        hold.wait(20)
        return _Capture(0)

    camera.append(hang)
    started = time.monotonic()
    with pytest.raises(SourceError, match="no answer within"):
        open_source("0", _impatient(0.3), note=_no_note)
    assert time.monotonic() - started < 3
    hold.set()


def test_a_camera_that_stops_is_an_error_after_its_frames(camera: list[object]) -> None:
    hold = threading.Event()
    camera.append(_Capture(3, hold, period=0.05))
    seen: list[int] = []
    with (
        open_source("0", _impatient(0.4), note=_no_note) as source,
        pytest.raises(SourceError, match=r"no frame for 0\.4 s, after 3 frames"),
    ):
        seen.extend(frame.number for frame in source if frame)
    hold.set()
    assert seen[-1] == 2


def test_a_live_source_gives_its_newest_frame_and_counts_the_dropped(camera: list[object]) -> None:
    capture = _Capture(None, period=0.005)
    camera.append(capture)
    frames: list[Frame] = []
    with open_source("0", note=_no_note) as source:
        assert source.live
        for frame in source:
            assert frame is not None
            frames.append(frame)
            time.sleep(0.05)
            if len(frames) == 6:
                break
        dropped = source.dropped
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > 15
    assert dropped >= numbers[-1] + 1 - len(numbers)
    assert all(later.time > earlier.time for earlier, later in pairwise(frames))
    assert all(0 <= time.perf_counter() - frame.arrived < 2 for frame in frames)
    assert capture.released


@pytest.mark.usefixtures("brisk")
def test_a_lost_camera_is_opened_again_and_its_numbers_and_times_go_on(camera: list[object]) -> None:
    camera += [_Capture(3, period=0.03), _Capture(0), _Capture(3, period=0.03)]
    notes: list[str] = []
    frames: list[Frame] = []
    waited = 0

    def watch(source: Source) -> None:
        nonlocal waited
        for frame in source:
            if frame is None:
                waited += 1
            else:
                frames.append(frame)
                if len(frames) > 5:
                    camera[:] = [_Capture(0)]

    with (
        open_source("0", _impatient(0.3, 2), note=notes.append) as source,
        pytest.raises(SourceError, match="given up after 2 more tries"),
    ):
        watch(source)
    assert waited > 3, "the keys are looked at meanwhile"
    assert [frame.number for frame in frames] == list(range(6))
    assert all(later.time > earlier.time for earlier, later in pairwise(frames))
    assert frames[3].time > 0.4, "the time without frames counts"
    assert len([note for note in notes if "trying again" in note]) == 2, "once for each loss"
    assert len([note for note in notes if "is back" in note]) == 1


def test_cameras_are_listed_with_size_and_rate(monkeypatch: pytest.MonkeyPatch, camera: list[object]) -> None:
    class Shut(_Capture):
        def isOpened(self) -> bool:
            return False

    monkeypatch.setattr(cameras, "MOST_CAMERAS", 3)
    camera += [_Capture(1), Shut(1), Shut(1)]
    assert [found.describe() for found in cameras.list_cameras()] == ["0  1280x720  25 frames/s"]


def test_a_camera_that_hangs_does_not_hold_up_the_list(monkeypatch: pytest.MonkeyPatch, camera: list[object]) -> None:
    hold = threading.Event()
    monkeypatch.setattr(cameras, "MOST_CAMERAS", 1)
    camera.append(lambda: hold.wait(20) and _Capture(1))
    started = time.monotonic()
    assert cameras.list_cameras(timeout=0.3) == []
    assert time.monotonic() - started < 3
    hold.set()


def test_a_camera_is_asked_for_size_and_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = _Capture(None, period=0.01)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: capture)
    monkeypatch.setattr(sys, "platform", "any")
    with open_source("0", SourceSettings(size=(1280, 720), fps=15.0), note=_no_note) as source:
        assert next(iter(source)) is not None
    assert capture.asked[cv2.CAP_PROP_FRAME_WIDTH] == 1280
    assert capture.asked[cv2.CAP_PROP_FRAME_HEIGHT] == 720
    assert capture.asked[cv2.CAP_PROP_FPS] == 15
    assert capture.asked[cv2.CAP_PROP_BUFFERSIZE] == 1


# ---- streams


@pytest.mark.usefixtures("brisk")
def test_a_stream_that_drops_and_comes_back_is_read_on() -> None:
    notes: list[str] = []
    frames: list[Frame] = []
    with (
        streaming(_picture, Serving(10, 0.03), Serving(10, 0.03)) as url,
        open_source(url, _impatient(3, 1), note=notes.append) as source,
        pytest.raises(SourceError, match="the stream ended, after 20 frames; given up after 1 more try"),
    ):
        frames.extend(frame for frame in source if frame)
    assert source.live
    assert _numbers(frames) == [frame.number for frame in frames]
    assert frames[-1].number == 19
    assert 0.5 < frames[-1].time < 5, "capture time"
    assert [("trying again" in note, "is back" in note) for note in notes] == [
        (True, False),
        (False, True),
        (True, False),
    ]


@pytest.mark.parametrize("frames", [0, 10])
def test_a_stream_that_stalls_is_an_error_in_time(capfd: pytest.CaptureFixture[str], frames: int) -> None:
    with streaming(_picture, Serving(frames, 0.01, stall=20)) as url:
        started = time.monotonic()
        with (
            pytest.raises(SourceError, match=r"no frame for|no answer within") as caught,
            open_source(url.replace("//", "//user:secret@"), _impatient(1), note=_no_note) as source,
        ):
            list(source)
        assert time.monotonic() - started < 4
    assert "secret" not in str(caught.value)
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("brisk")
def test_a_stream_that_stalls_and_comes_back_is_read_on() -> None:
    notes: list[str] = []
    frames: list[Frame] = []
    with (
        streaming(_picture, Serving(5, 0.03, stall=20), Serving(5, 0.03)) as url,
        open_source(url, _impatient(1, 1), note=notes.append) as source,
        suppress(SourceError),
    ):
        frames.extend(frame for frame in source if frame)
    assert [frame.number for frame in frames][-1] == 9
    assert "no frame for 1 s, after 5 frames; trying again" in notes[0]


def test_a_damaged_picture_in_a_stream_does_not_end_it() -> None:
    frames: list[Frame] = []
    with (
        streaming(_picture, Serving(20, 0.03, damaged=frozenset({7}))) as url,
        open_source(url, _impatient(3), note=_no_note) as source,
        pytest.raises(SourceError, match="ended"),
    ):
        frames.extend(frame for frame in source if frame)
    assert _numbers(frames)[-1] == 19


def test_a_stream_nobody_serves_is_an_error_that_keeps_the_password() -> None:
    with pytest.raises(SourceError, match="cannot be opened") as caught:
        open_source("http://user:secret@127.0.0.1:9/stream", _impatient(2, 5), note=_no_note)
    assert "secret" not in str(caught.value)


def test_a_video_file_behind_an_address_loses_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    for number in range(20):
        writer.write(_picture(number))
    writer.release()
    content = path.read_bytes()

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
                    assert frame is not None
                    time.sleep(0.005)
                    frames.append(frame)
        finally:
            server.shutdown()
            thread.join()
    assert _numbers(frames) == list(range(20))
    assert [frame.time for frame in frames] == pytest.approx([number / 25 for number in range(20)], abs=1e-3)
    assert source.dropped == 0
