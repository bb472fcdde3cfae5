"""replay.py: what was recorded is read again to the same events, bit for bit."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from clips import Clip, Scene, Written, at
from ink_reader import PLACES, Frames, InkReader, ink

from edge_digits import Reader
from edge_digits.errors import OutputError, OutputExistsError, SourceError
from edge_digits.live import LiveSettings, run
from edge_digits.replay import is_recording, recorded_settings
from edge_digits.steady import FrameReader
from edge_digits.video import Source, SourceSettings, open_source
from edge_digits.view import View


def _run(source: Source, reader: FrameReader | None = None, **settings: object) -> str:
    out = io.StringIO()
    chosen = LiveSettings(**{"window": False, **settings})  # type: ignore[arg-type]
    with source:
        run(source, reader or InkReader(), chosen, stdout=out, note=_no_note)
    return out.getvalue()


def _no_note(line: str) -> None:
    raise AssertionError(f"unexpected: {line}")


def test_a_recording_gives_the_same_events_bit_for_bit(tmp_path: Path, reader: Reader) -> None:
    scene = Scene(
        [
            Written("4017", lambda t: (150 + 120 * t, 120, 0, 1), seed=1),
            Written("268", at(430, 330), start=0.5, seed=2),
        ],
        noise=5,
    )
    folder = tmp_path / "rec"
    first = _run(Clip(scene), reader, record=folder)
    again = _run(open_source(str(folder), note=_no_note), reader)
    assert first == again
    assert first == (folder / "events.jsonl").read_text()
    assert first.count("appeared") == 2


def test_frames_and_decisions_are_kept_as_they_were(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 128, (10, 120, 160, 3), np.uint8)
    images = [*noise, ink(1), ink(1)[..., 0]]
    times = [0.1 * n + 1 / 3 for n in range(12)]
    folder = tmp_path / "rec"
    _run(Frames(images, live=True, times=times), record=folder)
    lines = [json.loads(line) for line in (folder / "frames.jsonl").read_text().splitlines()]
    assert [line["time"] for line in lines] == times
    assert {type(line["read"]) for line in lines} == {bool}
    with open_source(str(folder), note=_no_note) as source:
        frames = [frame for frame in source if frame]
    assert [frame.time for frame in frames] == times
    assert [frame.number for frame in frames] == list(range(12))
    for frame, image in zip(frames, images, strict=True):
        assert np.array_equal(frame.image, image)


def test_dropped_frames_keep_their_numbers(tmp_path: Path) -> None:
    class Dropping(Frames):
        def __iter__(self):  # type: ignore[no-untyped-def]
            yield from (frame for frame in super().__iter__() if frame.number % 3)

    first = _run(Dropping(PLACES, live=True), record=tmp_path / "rec")
    assert _run(open_source(str(tmp_path / "rec"), note=_no_note)) == first
    assert first


def test_the_view_is_applied_once(tmp_path: Path) -> None:
    first = _run(Frames([3] * 30), record=tmp_path / "rec", view=View(rotate=180, roi=(10, 20, 100, 90)))
    assert _run(open_source(str(tmp_path / "rec"), note=_no_note)) == first


def test_how_it_was_read_is_told(tmp_path: Path) -> None:
    assert recorded_settings(str(tmp_path)) == {}
    _run(Frames([1], 12.5), record=tmp_path / "rec", stable=0.7, about={"model": "digits-fp32"})
    about = recorded_settings(str(tmp_path / "rec"))
    assert {name: about[name] for name in ("source", "fps", "stable", "every_frame", "model")} == {
        "source": "frames", "fps": 12.5, "stable": 0.7, "every_frame": False, "model": "digits-fp32",
    }  # fmt: skip
    with open_source(str(tmp_path / "rec"), note=_no_note) as source:
        assert source.fps == 12.5
    camera = Frames([1])
    camera.name = "rtsp://user:secret@camera/stream"
    _run(camera, record=tmp_path / "other")
    assert recorded_settings(str(tmp_path / "other"))["source"] == "rtsp://camera/stream"


def test_a_recording_replaces_a_recording_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    _run(Frames([1] * 5), record=folder)
    with pytest.raises(OutputExistsError, match="--force"):
        _run(Frames([1]), record=folder)
    (folder / "notes.txt").write_text("mine")
    _run(Frames([1] * 2), record=folder, force=True)
    assert sorted(path.name for path in folder.glob("*.png")) == ["000000.png", "000001.png"]
    assert (folder / "notes.txt").read_text() == "mine"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="new folder"):
        _run(Frames([1]), record=tmp_path / "mine", force=True)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="no folder"):
        _run(Frames([1]), record=tmp_path / "file", force=True)
    assert not is_recording(tmp_path / "mine")


def test_a_recording_is_kept_where_no_frame_comes_to_replace_it(tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    _run(Frames([1] * 5), record=folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    _run(Frames([]), record=folder, force=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    _run(Frames([]), record=tmp_path / "new")
    assert is_recording(tmp_path / "new")


@pytest.mark.parametrize(
    "line", ["[1]", "null", '{"file": 5}', '{"file": ""}', '{"file": ".."}', '{"file": "sub"}', "\udcff"]
)
def test_a_damaged_recording_is_replaced_and_skips_what_tells_of_no_frame(tmp_path: Path, line: str) -> None:
    folder = tmp_path / "rec"
    _run(Frames([1] * 3), record=folder)
    (folder / "sub").mkdir()
    with (folder / "frames.jsonl").open("a", errors="surrogateescape") as lines:
        lines.write(line + "\n")
    notes: list[str] = []
    with open_source(str(folder), note=notes.append) as source:
        assert [frame.number for frame in source if frame] == [0, 1, 2]
    assert len(notes) == 1
    _run(Frames([1] * 2), record=folder, force=True)
    assert sorted(path.name for path in folder.glob("*.png")) == ["000000.png", "000001.png"]
    assert (folder / "sub").is_dir()


@pytest.mark.parametrize(
    "wrong", [{"stable": None}, {"stable": "y"}, {"stable": float("nan")}, {"fps": "x"}, {"fps": True}], ids=str
)
def test_settings_of_a_recording_that_are_no_numbers_are_told(tmp_path: Path, wrong: dict[str, object]) -> None:
    folder = tmp_path / "rec"
    _run(Frames([1] * 2), record=folder)
    about = json.loads((folder / "recording.json").read_text())
    (folder / "recording.json").write_text(json.dumps(about | wrong))
    with pytest.raises(SourceError, match=rf"recording\.json: is damaged: its {next(iter(wrong))} is"):
        recorded_settings(str(folder))


def test_a_recording_that_was_cut_short_or_damaged_gives_what_it_has(tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    _run(Frames([1] * 5), record=folder)
    (folder / "000001.png").write_bytes(b"no picture")
    (folder / "000002.png").unlink()
    with (folder / "frames.jsonl").open("a") as lines:
        lines.write('{"frame": 5, "time"')
    notes: list[str] = []
    with open_source(str(folder), note=notes.append) as source:
        assert [frame.number for frame in source if frame] == [0, 3, 4]
    assert source.failed == len(notes) == 3
    (folder / "recording.json").write_text('{"format": 99}')
    with pytest.raises(SourceError, match="this version"):
        open_source(str(folder), note=_no_note)
    (folder / "recording.json").write_text("words")
    with pytest.raises(SourceError, match="cannot be read"):
        recorded_settings(str(folder))


def test_a_rate_cannot_be_asked_of_a_recording(tmp_path: Path) -> None:
    _run(Frames([1]), record=tmp_path / "rec")
    with pytest.raises(Exception, match="--fps"):
        open_source(str(tmp_path / "rec"), SourceSettings(fps=10), note=_no_note)
