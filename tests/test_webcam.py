"""`edge-digits webcam` as a person runs it: its answers, its exit codes, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from clips import Scene, Written, at
from commands import Run, runner
from pictures import png, write_number
from stream_server import Serving, streaming

WEBCAM = [sys.executable, "-m", "edge_digits", "webcam"]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return runner(capfd, monkeypatch, "webcam")


SCENE = Scene([Written("4017", lambda t: (200 + 60 * t, 140, 0, 1), seed=1), Written("268", at(420, 330), seed=2)])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of two numbers, one of which moves."""
    return SCENE.write(tmp_path_factory.mktemp("clip") / "clip.mp4")


def _events(out: str) -> list[tuple[str, int, str]]:
    return [(e["event"], e["id"], e["text"]) for e in map(json.loads, out.splitlines())]


TOLD = {("appeared", "4017"), ("appeared", "268"), ("gone", "4017"), ("gone", "268")}


def test_a_video_is_told_in_events(run: Run, clip: Path) -> None:
    done = run(clip, "--no-window")
    assert done.code == 0
    assert {(event, text) for event, _, text in _events(done.out)} == TOLD
    assert len(done.out.splitlines()) == 4
    assert "60 frames" in done.err
    assert "in 95 of 100" in done.err


def test_the_source_may_be_an_option(run: Run, clip: Path) -> None:
    assert run("--source", clip, "--no-window").out == run(clip, "--no-window").out


def test_every_frame_is_a_record(run: Run, clip: Path) -> None:
    done = run(clip, "--no-window", "--every-frame", "--max-frames", 12)
    records = [json.loads(line) for line in done.out.splitlines()]
    assert [record["frame"] for record in records] == list(range(12))
    assert [record["time"] for record in records] == pytest.approx([n / 30 for n in range(12)], abs=0.002)
    assert {record["text"] for record in records} == {"4017\n268"}
    assert {record["source"] for record in records} == {str(clip)}


def test_the_view_is_what_is_read(run: Run, clip: Path) -> None:
    out = run(clip, "--no-window", "--every-frame", "--max-frames", 3, "--roi", "300,220,300,240").out
    assert {json.loads(line)["text"] for line in out.splitlines()} == {"268"}
    turned = [
        cv2.rotate(frame.image, cv2.ROTATE_90_COUNTERCLOCKWISE)
        for _, frame in zip(range(3), SCENE.frames(), strict=False)
    ]
    Path("turned").mkdir()
    for number, image in enumerate(turned):
        cv2.imwrite(f"turned/{number}.png", image)
    out = run("turned", "--no-window", "--every-frame", "--rotate", 90).out
    assert {json.loads(line)["text"] for line in out.splitlines()} == {"4017\n268"}


def test_a_pattern_of_pictures_is_a_video_at_the_rate_that_is_asked_for(run: Run) -> None:
    Path("frames").mkdir()
    for number in range(10):
        (Path("frames") / f"{number}.png").write_bytes(
            png(write_number("58", height=60, size=(200, 300), seed=1).image)
        )
    done = run("frames/*.png", "--no-window", "--fps", 10)
    assert _events(done.out) == [("appeared", 1, "58"), ("gone", 1, "58")]
    assert json.loads(done.out.splitlines()[0])["time"] == pytest.approx(0.4)


def test_what_was_recorded_is_told_again_bit_for_bit_with_its_own_settings(run: Run, clip: Path) -> None:
    first = run(clip, "--no-window", "--record", "rec", "--stable", 0.6, "--model", "digits-fp32")
    assert first.code == 0
    assert run("rec", "--no-window").out == first.out == Path("rec/events.jsonl").read_text()
    assert run("rec", "--no-window", "--stable", 0.2).out != first.out
    assert run(clip, "--no-window", "--record", "rec").code == 2


def test_text_is_for_people(run: Run, clip: Path) -> None:
    lines = run(clip, "--no-window", "--format", "text").out.splitlines()
    assert {tuple(line.split()[1::2]) for line in lines} == TOLD


def test_without_a_display_it_says_so_and_goes_on(run: Run, clip: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("elsewhere there is always a display")
    done = run(clip, "--max-frames", 3, "--every-frame")
    assert (done.code, done.out.count("\n")) == (0, 3)
    assert "no window" in done.err


def test_a_video_cut_short_gives_what_it_has_and_exit_code_1(run: Run, tmp_path: Path) -> None:
    path = SCENE.write(tmp_path / "clip.avi", "MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    done = run(path, "--no-window")
    assert done.code == 1
    assert {(event, text) for event, _, text in _events(done.out)} == TOLD
    assert "cut short" in done.err


@pytest.mark.parametrize("source", ["missing.mp4", "", "number.txt", "ftp://127.0.0.1/x", "none*.png", "97"])
def test_without_a_source_it_ends_with_4_and_leaves_nothing(run: Run, tmp_path: Path, source: str) -> None:
    (tmp_path / "number.txt").write_text("no video")
    started = time.monotonic()
    done = run(source, "--no-window", "-o", "out.mp4")
    assert time.monotonic() - started < 10
    assert (done.code, done.out) == (4, "")
    assert done.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["number.txt"]


def test_the_list_of_no_camera_is_exit_code_4(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_digits import cameras

    monkeypatch.setattr(cameras, "list_cameras", list)
    done = run("--list")
    assert (done.code, done.out) == (4, "")
    assert "no camera found" in done.err
    monkeypatch.setattr(cameras, "list_cameras", lambda: [cameras.Camera("/dev/video2", "Desk", (640, 480), 30.0)])
    assert run("--list").out == "/dev/video2  640x480  30 frames/s  Desk\n"


# ---- streams


def test_a_stream_that_drops_comes_back_and_ends_is_told_and_exit_code_4(run: Run) -> None:
    frames = [frame.image for frame in SCENE.frames()]
    servings = Serving(50, 0.03), Serving(50, 0.03)
    with streaming(lambda number: frames[number % 30], *servings) as url:
        done = run(url, "--no-window", "--retries", 1)
    assert done.code == 4
    assert {(event, text) for event, _, text in _events(done.out)} >= TOLD
    assert done.err.count("trying again") == 2
    assert done.err.count("is back") == 1
    assert "given up after 1 more try" in done.err


def test_a_stream_that_stalls_from_the_start_is_given_up_in_time(run: Run) -> None:
    started = time.monotonic()
    with streaming(lambda number: SCENE.ground, Serving(0, stall=30)) as url:  # type: ignore[arg-type, return-value]
        done = run(url, "--no-window")
    assert time.monotonic() - started < 9
    assert (done.code, done.out) == (4, "")


# ---- how it ends


@contextlib.contextmanager
def _process(*arguments: object, stdin: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    command = [*WEBCAM, *map(str, arguments)]
    with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("seed", range(4))
def test_an_interrupt_leaves_a_video_that_plays_and_whole_lines(
    tmp_path: Path, clip: Path, number: signal.Signals, seed: int
) -> None:
    """At a moment of chance, up to two seconds after the first line, while frames come at their own rate."""
    long = tmp_path / "clip.mp4"
    Scene(SCENE.numbers, seconds=5, size=(480, 640), noise=0).write(long) if seed == 0 else long.symlink_to(clip)
    out, record = tmp_path / "out.mp4", tmp_path / "rec"
    with _process(long, "--no-window", "--realtime", "--every-frame", "-o", out, "--record", record) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(random.Random(seed).uniform(0, 1.2))
        child.send_signal(number)
        rest, errors = child.communicate(timeout=20)
    records = [json.loads(line) for line in (first + rest).splitlines()]
    assert (first + rest).endswith("\n")
    assert child.returncode in ((128 + number, 0) if seed else (128 + number,)), errors
    assert "Traceback" not in errors
    capture = cv2.VideoCapture(str(out))
    count = 0
    while capture.read()[0]:
        count += 1
    capture.release()
    assert count == len(records) > 0
    assert len((record / "frames.jsonl").read_text().splitlines()) == count
    for name in ("frames.jsonl", "events.jsonl"):
        for line in (record / name).read_text().splitlines():
            json.loads(line)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"clip.mp4", "out.mp4", "rec"}, "no unfinished file"


def test_an_interrupt_while_a_stream_is_silent_ends_it_at_once() -> None:
    frame = next(SCENE.frames()).image
    with (
        streaming(lambda number: frame, Serving(30, 0.02, stall=30)) as url,
        _process(url, "--no-window", "--every-frame") as child,
    ):
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(1.5)
        started = time.monotonic()
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=20)
        assert time.monotonic() - started < 4
        assert child.returncode == 130


def test_a_reader_that_has_gone_is_no_error(clip: Path) -> None:
    command = '"$@" | head -1; exit ${PIPESTATUS[0]}'
    arguments = [*WEBCAM, str(clip), "--no-window", "--every-frame"]
    done = subprocess.run(["bash", "-c", command, "bash", *arguments], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 1)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can make a small disk")
def test_on_a_real_disk_that_fills_the_recording_ends_and_plays(tmp_path: Path, clip: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=51m", "tmpfs", disk], check=False, capture_output=True
    ).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        with _process(clip, "--no-window", "--every-frame", "--record", disk / "rec") as child:
            out, errors = child.communicate(timeout=60)
        lines = (disk / "rec" / "frames.jsonl").read_text().splitlines()
        assert (out.count("\n"), child.returncode) == (60, 1)
        assert "50 MB" in errors
        assert 5 < len(lines) < 60, "looked up every 15 frames"
        assert len(list((disk / "rec").glob("*.png"))) == len(lines)
    finally:
        subprocess.run(["umount", disk], check=True)
