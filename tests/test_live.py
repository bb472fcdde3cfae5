"""live.py: what is printed and when, and that no end of the loop loses any of it."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import numpy as np
import pytest
from ink_reader import EVENTS, PLACES, Frames, InkReader, ink

from edge_digits.errors import OutputExistsError, SourceError, UsageError
from edge_digits.live import Latencies, LiveSettings, Summary, run
from edge_digits.opencv import cv2
from edge_digits.stop import Stop
from edge_digits.video import Source
from edge_digits.view import View


def _run(
    source: Source | None = None, reader: InkReader | None = None, *, note: list[str] | None = None, **settings: object
) -> tuple[Summary, str]:
    """What `run` returns and prints, without a window unless asked for."""
    stdout = io.StringIO()
    notes: list[str] = [] if note is None else note
    chosen = LiveSettings(**{"window": False, **settings})  # type: ignore[arg-type]
    with source or Frames(PLACES) as frames:
        summary = run(frames, reader or InkReader(), chosen, stdout=stdout, note=notes.append)
    return summary, stdout.getvalue()


def _count_frames(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


# ---- what is printed


def test_each_event_is_a_line_of_json() -> None:
    summary, out = _run()
    events = [json.loads(line) for line in out.splitlines()]
    assert sorted((e["event"], e["id"], e["text"]) for e in events) == sorted(EVENTS)
    assert events[-1] == {
        "event": "gone", "id": 3, "text": "2", "box": [68, 40, 16, 20], "time": 2.6333, "frame": 79, "confidence": 1.0,
    }  # fmt: skip
    assert [event["frame"] for event in events] == sorted(event["frame"] for event in events)
    assert (summary.frames, summary.dropped, summary.failed, summary.output) == (80, 0, 0, None)
    assert 0 < summary.read < 80


def test_text_is_a_line_for_each_event() -> None:
    _, out = _run(format="text")
    assert [line.split()[1:] for line in out.splitlines()][:1] == [["appeared", "#1", "1"]]
    assert len(out.splitlines()) == 6


def test_a_reading_must_hold_as_long_as_is_asked_for() -> None:
    assert _run(stable=0.9)[1] == ""
    assert len(_run(stable=0.1)[1].splitlines()) == 6


def test_every_frame_has_a_record_where_that_is_asked_for() -> None:
    summary, out = _run(every_frame=True)
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["frame"] for record in records] == list(range(80))
    assert [record["time"] for record in records] == pytest.approx([n / 30 for n in range(80)], abs=1e-4)
    assert summary.read == 80
    assert list(records[0]) == ["source", "text", "lines", "digits", "rejected", "error", "frame", "time"]
    assert records[20]["digits"] == [{"digit": 1, "confidence": 1.0, "box": [36, 40, 16, 20], "line": 0}]
    assert {record["text"] for record in records} >= {"", "1", "3", "2"}
    _, text = _run(every_frame=True, format="text")
    assert text.splitlines()[0].split() == ["0.00", "-"]
    assert text.splitlines()[20].split() == ["0.67", "1"]


@pytest.mark.parametrize(("limit", "expected"), [(1, 1), (40, 40), (80, 80), (99, 80)])
def test_max_frames_ends_it(limit: int, expected: int) -> None:
    reader = InkReader()
    summary, out = _run(None, reader, every_frame=True, max_frames=limit)
    assert summary.frames == reader.count == len(out.splitlines()) == expected


def test_each_line_is_flushed_when_it_is_printed() -> None:
    class Pipe(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1
            assert self.getvalue().count("\n") == self.flushed

    for every, lines in ((True, 80), (False, 6)):
        pipe = Pipe()
        settings = LiveSettings(window=False, every_frame=every)
        run(Frames(PLACES), InkReader(), settings, stdout=pipe, note=print)
        assert pipe.flushed == lines


def test_what_is_read_is_the_view() -> None:
    _, out = _run(Frames([3] * 30), every_frame=True, view=View(mirror=True))
    assert {json.loads(line)["text"] for line in out.splitlines()} == {"1"}, "it begins 24 pixels left of 3"
    _, out = _run(Frames([3] * 30), every_frame=True, view=View(roi=(80, 20, 80, 80)))
    assert json.loads(out.splitlines()[-1])["digits"][0]["box"] == [20, 20, 16, 20]


def test_files_are_played_at_their_own_rate_where_that_is_asked_for() -> None:
    started = time.monotonic()
    summary, _ = _run(Frames([1] * 15), realtime=True)
    assert 0.45 < time.monotonic() - started < 2
    assert summary.latency < 0.3
    started = time.monotonic()
    _run(Frames([1] * 15, 0.5))
    assert time.monotonic() - started < 5


def test_the_time_to_an_answer_is_counted_in_little_memory() -> None:
    latencies = Latencies()
    assert latencies.percentile(95) == 0
    for milliseconds in range(1000):
        latencies.add(milliseconds % 100 / 1000)
    assert latencies.percentile(95) == pytest.approx(0.095, abs=0.001)
    latencies.add(1e9)
    assert latencies.percentile(100) == pytest.approx(2, abs=0.01)


# ---- how it ends


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), SourceError("lost"), BrokenPipeError()])
@pytest.mark.parametrize("at", [1, 6])
def test_whatever_ends_the_loop_leaves_the_frames_so_far(tmp_path: Path, error: BaseException, at: int) -> None:
    with pytest.raises(type(error)) as caught:
        _run(None, InkReader(at, error), every_frame=True, output=str(tmp_path / "out.mp4"), record=tmp_path / "rec")
    assert caught.value is error
    assert _count_frames(tmp_path / "out.mp4") == at
    assert len((tmp_path / "rec" / "frames.jsonl").read_text().splitlines()) == at
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "rec"]


def test_an_interrupt_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _run(None, InkReader(0, KeyboardInterrupt()), output=str(tmp_path / "out.mp4"))
    assert list(tmp_path.iterdir()) == []


def test_a_lost_source_leaves_no_number_in_view() -> None:
    class Lost(Frames):
        def __iter__(self):  # type: ignore[no-untyped-def]
            yield from super().__iter__()
            raise SourceError("lost")

    stdout = io.StringIO()
    with pytest.raises(SourceError):
        run(Lost([1] * 30), InkReader(), LiveSettings(window=False), stdout=stdout, note=print)
    assert [json.loads(line)["event"] for line in stdout.getvalue().splitlines()] == ["appeared", "gone"]


def test_a_stop_ends_it_at_the_next_frame_or_the_next_moment_without_one() -> None:
    class Silent(Frames):
        def __iter__(self):  # type: ignore[no-untyped-def]
            yield from super().__iter__()
            stop.code = 130
            yield None
            raise AssertionError("goes on")

    stop = Stop()
    stdout = io.StringIO()
    summary = run(Silent([1] * 30), InkReader(), LiveSettings(window=False), stdout=stdout, note=print, stop=stop)
    assert summary.frames == 30
    assert stdout.getvalue().count("gone") == 1


def test_a_closed_stdout_reaches_the_caller(tmp_path: Path) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            if '"frame": 4' in text:
                raise BrokenPipeError
            return super().write(text)

    settings = LiveSettings(window=False, every_frame=True, output=str(tmp_path / "out.mp4"))
    with pytest.raises(BrokenPipeError):
        run(Frames(PLACES), InkReader(), settings, stdout=Closed(), note=print)
    assert _count_frames(tmp_path / "out.mp4") == 4


@pytest.mark.parametrize("name", ["out.mp4", "rec"])
def test_what_is_there_is_refused_before_any_work_and_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / "out.mp4").write_bytes(b"of last year")
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec" / "notes.txt").write_text("mine")
    reader = InkReader()
    settings = {"output": str(tmp_path / name)} if name == "out.mp4" else {"record": tmp_path / name}
    with pytest.raises(OutputExistsError):
        _run(None, reader, **settings)
    assert reader.count == 0
    assert (tmp_path / "out.mp4").read_bytes() == b"of last year"
    assert [path.name for path in (tmp_path / "rec").iterdir()] == ["notes.txt"]


def test_a_part_outside_the_frames_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="outside"):
        _run(view=View(roi=(500, 0, 10, 10)))


def test_frames_may_be_grey_and_of_any_size(tmp_path: Path) -> None:
    frames = [ink(1), ink(1)[..., 0], ink(1, 240, 320), np.zeros((9, 7), np.uint8), ink(1, 33, 1000)]
    summary, out = _run(Frames(frames), every_frame=True, output=str(tmp_path / "out.mp4"))
    assert summary.frames == len(out.splitlines()) == _count_frames(tmp_path / "out.mp4") == 5
