"""video.py: frames of files come in order with their times, and what cannot be read says so."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from edge_digits import video
from edge_digits.errors import SourceError, UsageError
from edge_digits.opencv import cv2
from edge_digits.video import Frame, MediaClock, SourceSettings, open_source


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


def _numbers(frames: Iterable[Frame | None]) -> list[int]:
    """Which picture each frame shows."""
    return [round(float(frame.image.mean()) / 10) for frame in frames if frame]


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
    clock = MediaClock(10)
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


def test_frames_of_more_pixels_than_a_picture_may_have_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vast.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (640, 480))
    writer.write(np.full((480, 640, 3), 200, np.uint8))
    writer.release()
    monkeypatch.setattr(video, "MAX_PIXELS", 640 * 480)
    open_source(str(path), note=_no_note).close()
    monkeypatch.setattr(video, "MAX_PIXELS", 640 * 480 - 1)
    monkeypatch.setattr(video, "read_frame", lambda _: pytest.fail("it was read"))
    with pytest.raises(SourceError) as caught:
        open_source(str(path), note=_no_note)
    assert str(caught.value) == f"{path}: has frames of 640 × 480 pixels, and the limit is 307,199 in all"


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}/x.ts\n",
        "ffconcat version 1.0\nfile {address}/x.ts\n",
        "ffconcat version 1.0\nfile /etc/passwd\n",
    ],
    ids=["m3u8", "ffconcat", "ffconcat of a file"],
)
def test_a_file_that_names_addresses_opens_none(tmp_path: Path, playlist: str) -> None:
    path = tmp_path / "clip.m3u8"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        path.write_text(playlist.format(address=f"http://127.0.0.1:{server.getsockname()[1]}"))
        with pytest.raises(SourceError, match="no video"):
            open_source(str(path), note=_no_note)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("source", ["", "\0", "ftp://127.0.0.1/x", "x" * 5000, "9" * 5000])
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


def test_a_pattern_gives_the_pictures_that_match_at_the_rate_that_is_asked_for(tmp_path: Path) -> None:
    for number in (2, 10, 3):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), _picture(number))
    cv2.imwrite(str(tmp_path / "other.png"), _picture(20))
    with open_source(str(tmp_path / "frame*.png"), SourceSettings(fps=10), note=_no_note) as source:
        frames = list(source)
    assert _numbers(frames) == [2, 3, 10]
    assert [frame.time for frame in frames if frame] == pytest.approx([0, 0.1, 0.2])
    with pytest.raises(SourceError, match="matches"):
        open_source(str(tmp_path / "none*.png"), note=_no_note)


@pytest.mark.parametrize("settings", [SourceSettings(size=(640, 480)), SourceSettings(fps=10.0)], ids=["size", "fps"])
def test_what_a_video_cannot_be_asked_for_is_wrong_usage(tmp_path: Path, settings: SourceSettings) -> None:
    path = _write_video(tmp_path / "clip.avi", "MJPG", 3)
    with pytest.raises(UsageError, match=r"--(size|fps)"):
        open_source(str(path), settings, note=_no_note)
