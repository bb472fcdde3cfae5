"""The webcam loop: look at each frame, tell what becomes of the numbers in it, show it, record it."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np

from edge_digits.controls import Controls
from edge_digits.errors import SourceError, UsageError
from edge_digits.events import Event
from edge_digits.keepsakes import frame_record
from edge_digits.limits import STABLE
from edge_digits.on_reading import ReadingCommand
from edge_digits.outputs import are_same_file
from edge_digits.overlay import draw_look
from edge_digits.recording import LEAST_FREE, DiskWatch, VideoRecorder
from edge_digits.replay import Keeper
from edge_digits.steady import FrameReader, Look, SteadyReader
from edge_digits.stop import Stop
from edge_digits.video import Frame, Note, Source, without_password
from edge_digits.view import View
from edge_digits.window import open_window


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """What the loop does with each frame."""

    window: bool = True
    """Show the frames, where there is a display."""
    output: str | None = None
    """Record the drawn frames to this .mp4 or .avi."""
    format: Literal["text", "jsonl"] = "jsonl"
    every_frame: bool = False
    """Read each frame, and print its record in place of the events."""
    stable: float = STABLE
    """Seconds that a reading must hold before it is told."""
    max_frames: int | None = None
    """End after so many frames."""
    realtime: bool = False
    """Play files at their own rate."""
    view: View = field(default_factory=View)
    record: Path | None = None
    """Keep the frames and what was decided on them in this folder."""
    about: dict[str, Any] = field(default_factory=dict)
    """What else that folder is to say of how it was read."""
    collect: Path | None = None
    """Save labelled examples in this folder."""
    on_reading: str | None = None
    """Run this command for each reading."""
    force: bool = False
    """Replace an `output` and a `record` that are there."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the loop did."""

    frames: int
    """Looked at."""
    read: int
    """Read: the others were as the last one that was."""
    dropped: int
    """By a live source, as newer ones had come."""
    failed: int
    """Pictures or parts of the source that could not be read."""
    seconds: float
    """Of wall-clock time."""
    latency: float
    """Seconds from a frame to its answer, in 95 of 100 frames at most."""
    output: str | None
    """The file that was recorded: its name ends in .avi where .mp4 could not be written."""
    cut_short: bool
    """A recording was ended as the disk was nearly full."""

    def describe(self) -> str:
        """One line."""
        rate = f" ({self.frames / self.seconds:.0f} a second)" if self.seconds else ""
        dropped = f", {self.dropped:,} dropped" if self.dropped else ""
        recorded = f", recorded to {self.output}" if self.output else ""
        latency = f", answered within {1000 * self.latency:.1f} ms in 95 of 100" if self.frames else ""
        plural = "" if self.frames == 1 else "s"
        return f"{self.frames:,} frame{plural}{rate}, {self.read:,} read{dropped}{latency}{recorded}"


class Latencies:
    """How long answers took, in bounded memory."""

    _BIN = 0.0005  # seconds

    def __init__(self) -> None:
        self._counts = np.zeros(4000, np.int64)

    def add(self, seconds: float) -> None:
        """One answer's."""
        self._counts[min(int(seconds / self._BIN), len(self._counts) - 1)] += 1

    def percentile(self, percent: float) -> float:
        """Seconds, to half a millisecond; 0 where there is none."""
        below = np.cumsum(self._counts) >= percent / 100 * self._counts.sum()
        return float(below.argmax() + 1) * self._BIN if self._counts.any() else 0.0


def run(
    source: Source, reader: FrameReader, settings: LiveSettings, *, stdout: TextIO, note: Note, stop: Stop | None = None
) -> Summary:
    """Read `source` to its end, to `max_frames`, until `stop`, or until q, Esc or the window's closing ends it.

    However it ends, what was recorded is kept, and an exception goes on to the caller. Raises OutputExistsError before
    the first frame, OutputError when the recording fails, SourceError when the source is lost.
    """
    with ExitStack() as stack:
        loop = _Loop(source, reader, settings, stdout=stdout, note=note, stack=stack)
        loop.run(stop or Stop())
    return loop.summary()


class _Loop:
    """One run."""

    def __init__(
        self,
        source: Source,
        reader: FrameReader,
        settings: LiveSettings,
        *,
        stdout: TextIO,
        note: Note,
        stack: ExitStack,
    ) -> None:
        self._source, self._settings, self._stdout, self._note = source, settings, stdout, note
        self._steady = SteadyReader(reader, stable=settings.stable, every=settings.every_frame)
        self._recorder: VideoRecorder | None = None
        self._command = self._keeper = self._controls = None
        self._written: str | None = None
        self._cut_short = False
        if settings.on_reading:
            self._command = ReadingCommand(settings.on_reading, note=note)
            stack.callback(self._command.close)
        if settings.output:
            self._start_recording(settings.output, force=settings.force)
        stack.callback(self._end_recording)
        if settings.record:
            if any(are_same_file(str(settings.record), str(folder)) for folder in source.folders):
                raise UsageError(f"{settings.record}: is read, so it cannot be recorded to, too: name another folder")
            about = {"source": without_password(source.name), "fps": source.fps, "stable": settings.stable}
            about |= {"every_frame": settings.every_frame, **settings.about}
            self._keeper = stack.enter_context(Keeper(settings.record, about, force=settings.force))
            self._watch = DiskWatch(settings.record)
        window = open_window(note) if settings.window else None
        if window:
            stack.enter_context(window)
            self._controls = Controls(window, source.name, settings.collect, self._toggle_recording)
        self._frames = self._read = 0
        self._started = time.perf_counter()
        self._latencies = Latencies()
        self._rate = _Rate()

    def run(self, stop: Stop) -> None:
        """Every frame; what is in view at the end, however it came, is gone."""
        try:
            self._run(stop)
        except SourceError:
            self._end()
            raise
        self._end()

    def _run(self, stop: Stop) -> None:
        for frame in self._source:
            if frame is not None:
                if self._settings.realtime and not self._source.live:
                    frame = self._at_its_time(frame, stop)
                self._take(replace(frame, image=self._settings.view.apply(frame.image)))
            if stop.code or (self._controls and not self._controls.go_on(stop)):
                break
            if self._settings.max_frames and self._frames >= self._settings.max_frames:
                break

    def _end(self) -> None:
        events = self._steady.end()
        self._tell(events)
        if self._keeper:
            self._keeper.tell(events)

    def summary(self) -> Summary:
        """What was done, once it is done."""
        return Summary(
            self._frames, self._read, self._source.dropped, self._source.failed, time.perf_counter() - self._started,
            self._latencies.percentile(95), self._written, self._cut_short,
        )  # fmt: skip

    def _take(self, frame: Frame) -> None:
        look = self._steady.look(frame)
        latency = time.perf_counter() - frame.arrived
        self._latencies.add(latency)
        self._rate.tick(latency)
        self._frames += 1
        self._read += look.is_read
        if self._settings.every_frame:
            self._print_frame(look)
        else:
            self._tell(look.events)
        if self._keeper:
            self._keep(look)
        if self._recorder or self._controls:
            status = self._rate.text
            if self._recorder:
                self._recorder.write(draw_look(look, status), frame.time)
            if self._controls:
                self._controls.show(look, status, recording=self._recorder is not None)

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            if not self._settings.every_frame:
                self._stdout.write((event.line() if self._settings.format == "text" else event.json()) + "\n")
                self._stdout.flush()
            if self._command:
                self._command.run(event)

    def _print_frame(self, look: Look) -> None:
        if self._settings.format == "jsonl":
            line = json.dumps(frame_record(self._source.name, look))
        else:
            line = f"{look.frame.time:8.2f}  {' / '.join(look.reading.lines) or '-'}"
        self._stdout.write(line + "\n")
        self._stdout.flush()
        self._tell(look.events)

    def _keep(self, look: Look) -> None:
        assert self._keeper is not None
        if self._watch.is_full():
            self._note(f"{self._settings.record}: less than {LEAST_FREE >> 20} MB are free on its disk: it ends here")
            self._keeper, self._cut_short = None, True
        else:
            self._keeper.keep(look)

    def _at_its_time(self, frame: Frame, stop: Stop) -> Frame:
        """Waits until the frame is due."""
        if not self._frames:
            self._started = time.perf_counter() - frame.time
        due = self._started + frame.time
        while (left := due - time.perf_counter()) > 0 and not stop.code:
            time.sleep(min(left, 0.1))
        return replace(frame, arrived=due)

    def _toggle_recording(self, path: str) -> str | None:
        """Starts a recording, or ends the one that runs and gives its file's name."""
        if self._recorder:
            self._end_recording()
            return self._written
        self._start_recording(path, force=False)
        return None

    def _start_recording(self, path: str, *, force: bool) -> None:
        source = self._source
        self._recorder = VideoRecorder(path, source.fps, live=source.live, force=force, note=self._note)

    def _end_recording(self) -> None:
        if self._recorder:
            recorder, self._recorder = self._recorder, None
            recorder.close()
            self._written, self._cut_short = recorder.written or self._written, self._cut_short or recorder.is_full


class _Rate:
    """Frames a second of wall-clock time and the usual latency, over about the last second."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._period = self._latency = 0.0

    def tick(self, latency: float) -> None:
        """A frame is done, so many seconds after it came."""
        now = time.perf_counter()
        if self._last is not None:
            period = now - self._last
            self._period += (period - self._period) * (0.05 if self._period else 1)
        self._latency += (latency - self._latency) * (0.05 if self._last is not None else 1)
        self._last = now

    @property
    def text(self) -> str:
        """As drawn; "" while there is nothing to measure."""
        return f"{1 / self._period:.0f} frames/s  {1000 * self._latency:.0f} ms" if self._period else ""
