"""recording.py: whatever is written can be played, keeps its time, and leaves room on the disk."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ink_reader import SIZE, Frames, InkReader, ink

from edge_digits import recording
from edge_digits.errors import EdgeDigitsError, OutputError, OutputExistsError, UsageError
from edge_digits.live import LiveSettings, run
from edge_digits.opencv import cv2
from edge_digits.recording import VideoRecorder

Note = Callable[[str], None]


def _frames_of(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(np.asarray(read[1], np.uint8))
    capture.release()
    return frames


def _no_note(line: str) -> None:
    raise AssertionError(f"unexpected: {line}")


def _record(
    path: Path | str, images: list[np.ndarray], *, fps: float = 30.0, times: list[float] | None = None,
    live: bool = False, force: bool = False, note: Note = _no_note,
) -> VideoRecorder:  # fmt: skip
    recorder = VideoRecorder(str(path), fps, live=live, force=force, note=note)
    for number, image in enumerate(images):
        recorder.write(image, times[number] if times else number / fps)
    recorder.close()
    return recorder


@pytest.mark.parametrize("name", ["out.mp4", "out.avi", "OUT.MP4"])
def test_the_loop_records_every_frame_with_what_was_read_drawn_on_it(tmp_path: Path, name: str) -> None:
    settings = LiveSettings(window=False, output=str(tmp_path / name))
    summary = run(Frames([3] * 30), InkReader(), settings, stdout=io.StringIO(), note=_no_note)
    assert summary.output == str(tmp_path / name)
    frames = _frames_of(tmp_path / name)
    assert len(frames) == 30
    assert frames[0].shape == (2 * SIZE[0], 2 * SIZE[1], 3), "enlarged to be legible"
    box = frames[25][85:115, 190:200].astype(int)  # the left side of the box around the 3
    assert (box[..., 1] - box[..., 2] > 60).any(), "green, as it is told"
    unsure = frames[2][85:115, 190:200].astype(int)
    assert not (unsure[..., 1] - unsure[..., 2] > 60).any()
    capture = cv2.VideoCapture(str(tmp_path / name))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(30)
    capture.release()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("fps", [61.069, 119.881, 23.976, 1000.0, 0.001])
def test_any_frame_rate_can_be_recorded_as_mp4(tmp_path: Path, fps: float) -> None:
    _record(tmp_path / "out.mp4", [ink(1)] * 3, fps=fps)
    assert len(_frames_of(tmp_path / "out.mp4")) == 3


@pytest.mark.parametrize(
    ("times", "expected"),
    [([0.0, 0.5, 0.51, 1.2], 13), ([7.0, 7.5], 6), ([0.0, 60.0, 60.1], 13)],
    ids=["repeated and left out", "begun late", "a minute without frames"],
)
def test_the_recording_of_a_live_source_keeps_its_time(tmp_path: Path, times: list[float], expected: int) -> None:
    _record(tmp_path / "out.mp4", [ink(1)] * len(times), fps=10, times=times, live=True)
    assert len(_frames_of(tmp_path / "out.mp4")) == expected


def test_frames_of_other_sizes_are_fitted_to_the_first(tmp_path: Path) -> None:
    sizes = [(121, 161), (240, 320), (50, 300), (900, 100), (5, 5)]
    _record(tmp_path / "out.mp4", [np.full((height, width, 3), 200, np.uint8) for height, width in sizes])
    frames = _frames_of(tmp_path / "out.mp4")
    assert len(frames) == 5
    assert {frame.shape for frame in frames} == {(122, 162, 3)}
    tall = frames[3].mean(axis=2)
    assert tall[50, 5] < 40, "black beside it"
    assert tall[50, 81] > 160


def test_an_existing_recording_is_kept_unless_forced(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"of last year")
    with pytest.raises(OutputExistsError):
        _record(out, [ink(1)])
    assert out.read_bytes() == b"of last year"
    _record(out, [ink(1)] * 10, force=True)
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: type[EdgeDigitsError]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error):
        VideoRecorder(name, 30, live=False, force=False, note=_no_note)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 – a name that is not UTF-8 would show here


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "VideoWriter", _NoMp4)
    notes: list[str] = []
    recorder = _record(tmp_path / "out.mp4", [ink(1)] * 10, note=notes.append)
    assert recorder.written == str(tmp_path / "out.avi")
    assert len(_frames_of(tmp_path / "out.avi")) == 10
    assert len(notes) == 1
    assert "out.avi" in notes[0]
    assert [path.name for path in tmp_path.iterdir()] == ["out.avi"]
    with pytest.raises(OutputExistsError):
        _record(tmp_path / "out.mp4", [ink(1)], note=notes.append)


def test_without_any_writer_it_is_an_error_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoWriter", type("_None", (_NoMp4,), {"codecs": ()}))
    with pytest.raises(OutputError, match="cannot be written"):
        _record(tmp_path / "out.mp4", [ink(1)], note=lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_a_recording_that_lost_its_index_is_an_error_and_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
        _record(tmp_path / "out.mp4", [ink(1)])
    assert list(tmp_path.iterdir()) == []


# ---- a disk that is nearly full


def _filling(monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """A disk that has room for so many looks at it."""
    left = iter([recording.LEAST_FREE] * looks + [recording.LEAST_FREE - 1] * 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=next(left)))


def test_a_recording_ends_on_a_disk_that_is_nearly_full_and_reading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _filling(monkeypatch, 2)
    notes: list[str] = []
    reader = InkReader()
    settings = LiveSettings(window=False, every_frame=True, output=str(tmp_path / "out.mp4"))
    out = io.StringIO()
    summary = run(Frames([1] * 90), reader, settings, stdout=out, note=notes.append)
    assert (summary.frames, reader.count, summary.cut_short) == (90, 90, True)
    assert out.getvalue().count("\n") == 90
    assert len(_frames_of(tmp_path / "out.mp4")) == 30, "two looks, fifteen frames apart"
    assert len(notes) == 1
    assert "50 MB" in notes[0]


def test_on_a_disk_that_is_nearly_full_no_recording_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _filling(monkeypatch, 0)
    notes: list[str] = []
    recorder = _record(tmp_path / "out.mp4", [ink(1)] * 3, note=notes.append)
    assert recorder.is_full
    assert recorder.written is None
    assert len(notes) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_for_a_replay_ends_there_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _filling(monkeypatch, 1)
    notes: list[str] = []
    settings = LiveSettings(window=False, record=tmp_path / "rec")
    summary = run(Frames([1] * 60), InkReader(), settings, stdout=io.StringIO(), note=notes.append)
    assert (summary.frames, summary.cut_short, len(notes)) == (60, True, 1)
    assert len((tmp_path / "rec" / "frames.jsonl").read_text().splitlines()) == 15
