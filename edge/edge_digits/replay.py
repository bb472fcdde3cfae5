"""`--record DIR`: frames as they were read, with what was decided on each; and DIR as a source that gives them again.

recording.json   the source, its rate, how it was read
frames.jsonl     a line for each frame: its number, its time in seconds, its file, whether it was read
events.jsonl     what was told
000000.png …     the frames, turned and cut as they were read
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self, TextIO

import edge_digits
from edge_digits.errors import ImageError, OutputError, OutputExistsError, SourceError
from edge_digits.events import Event
from edge_digits.images import load_image
from edge_digits.outputs import make_folder, open_output
from edge_digits.sheet import encode_png
from edge_digits.steady import Look
from edge_digits.video import FOLDER_FPS, Frame, Note, Source

_ABOUT, _FRAMES, _EVENTS = "recording.json", "frames.jsonl", "events.jsonl"
_FORMAT = 1


class Keeper:
    """Writes a recording, frame by frame: whatever ends it, what is listed in it is whole."""

    def __init__(self, folder: Path, about: dict[str, Any], *, force: bool) -> None:
        """`about`: what is needed to read it the same way again. Raises OutputExistsError, OutputError.

        A recording that is there is replaced when the first frame comes.
        """
        self._folder, self._stack = folder, ExitStack()
        self._about = {"format": _FORMAT, "edge_digits": edge_digits.__version__, **about}
        make_folder(folder)
        replaces = any(folder.iterdir())
        if replaces and (not force or not is_recording(folder)):
            advice = "--force replaces it" if is_recording(folder) else "name a new folder"
            raise OutputExistsError(f"{folder}: exists already and is not empty; {advice}")
        self._begun = False
        if not replaces:
            self._begin()

    def _begin(self) -> None:
        self._clear()
        with open_output(str(self._folder / _ABOUT), force=True) as out:
            out.write(json.dumps(self._about, indent=2) + "\n")
        self._frames, self._events = self._open(_FRAMES), self._open(_EVENTS)
        self._begun = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def keep(self, look: Look) -> None:
        """A frame and what was decided on it. Raises OutputError."""
        if not self._begun:
            self._begin()
        frame = look.frame
        name = f"{frame.number:06}.png"
        line = {"frame": frame.number, "time": frame.time, "file": name, "read": look.is_read}
        try:
            (self._folder / name).write_bytes(encode_png(frame.image))
            self._frames.write(json.dumps(line) + "\n")
            self._frames.flush()
        except OSError as error:
            raise OutputError(f"{self._folder / name}: cannot be written ({error.strerror})") from error
        self.tell(look.events)

    def tell(self, events: Sequence[Event]) -> None:
        """What was told. Raises OutputError."""
        if not self._begun:  # no frame, so there is nothing to tell
            return
        try:
            self._events.writelines(event.json() + "\n" for event in events)
            self._events.flush()
        except OSError as error:
            raise OutputError(f"{self._folder / _EVENTS}: cannot be written ({error.strerror})") from error

    def _open(self, name: str) -> TextIO:
        return self._stack.enter_context((self._folder / name).open("w", encoding="utf-8", newline="\n"))

    def _clear(self) -> None:
        """Away with the recording that is there, if one is, and with nothing else. Raises OutputError."""
        names = [_FRAMES, _EVENTS, _ABOUT]
        if is_recording(self._folder):
            for line in _lines(self._folder):
                with suppress(ValueError, KeyError, TypeError):
                    names.append(Path(json.loads(line)["file"]).name)
        for path in (self._folder / name for name in names if name):
            if not path.is_dir():
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise OutputError(f"{path}: cannot be replaced ({error.strerror})") from error


class RecordedSource(Source):
    """A recording's frames, with their numbers and times."""

    def __init__(self, name: str, *, note: Note) -> None:
        self._folder, self._note = Path(name), note
        super().__init__(name, float(recorded_settings(name).get("fps", FOLDER_FPS)), live=False)
        self.folders = [self._folder]

    def __iter__(self) -> Iterator[Frame]:
        count = 0
        for line in _lines(self._folder):
            try:
                entry = json.loads(line)
                path = self._folder / Path(entry["file"]).name
                frame = Frame(load_image(str(path)), int(entry["frame"]), float(entry["time"]), time.perf_counter())
            except ImageError as error:
                self._skip(str(error))
            except (ValueError, KeyError, TypeError):
                self._skip(f"{self._folder / _FRAMES}: a line that tells of no frame")
            else:
                count += 1
                yield frame
        if not count:
            raise SourceError(f"{self.name}: a recording without a frame that can be read")

    def _skip(self, reason: str) -> None:
        self.failed += 1
        self._note(f"{reason}; skipped")

    def close(self) -> None:
        """Nothing stays open."""


def _lines(recording: Path) -> list[str]:
    """Those that tell of frames, damaged ones, too."""
    return (recording / _FRAMES).read_text(encoding="utf-8", errors="replace").splitlines()


def is_recording(folder: Path) -> bool:
    """Whether `--record` has made it."""
    return (folder / _ABOUT).is_file() and (folder / _FRAMES).is_file()


def recorded_settings(source: str) -> dict[str, Any]:
    """How a recording was read: what Keeper was given as `about`; {} where `source` is none.

    Raises SourceError for one that is damaged, or of a later version.
    """
    path = Path(source) / _ABOUT
    try:
        if not is_recording(Path(source)):
            return {}
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read ({error})") from error
    if not isinstance(about, dict) or about.get("format") != _FORMAT:
        raise SourceError(f"{path}: not of a recording that this version can read")
    for name in ("fps", "stable"):
        value = about.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise SourceError(f"{path}: is damaged: its {name} is {value!r}, not 0 or more")
    return about
