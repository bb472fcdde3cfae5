"""MJPEG on stdin: JPEG pictures one after the other, whatever stands between them → frames."""

from __future__ import annotations

import io
import os
import select
import sys
import time
from collections.abc import Iterator

from edge_digits.errors import ImageError, SourceError
from edge_digits.images import load_image
from edge_digits.streams import BEAT
from edge_digits.video import FOLDER_FPS, Frame, Note, Source, SourceSettings

LARGEST = 64 << 20
"""Bytes of one picture: what is longer is no MJPEG."""
_START, _END = b"\xff\xd8\xff", 0xD9
_WITHIN = {0x00, 0x01, 0xFF, *range(0xD0, 0xD8)}  # what may follow FF in compressed data; TEM, RST0 to RST7
_ANOTHER, _LOWEST = 0xD8, 0xC0
_DAMAGED = -1


class JpegSplitter:
    """Bytes as they come → whole JPEG files. What lies between them, such as multipart headers, is passed over."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._place = 0
        """How far the picture that begins the data is known; 0 while none does."""
        self.damaged = 0
        """Pictures that another began in."""

    @property
    def rest(self) -> int:
        """Bytes of a picture that has begun and not ended."""
        return len(self._data) if self._place else 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pictures that these bytes complete. Raises ValueError when one would be larger than LARGEST."""
        self._data += data
        while self._begin():
            end = self._find_end()
            if end == _DAMAGED:
                self.damaged += 1
                del self._data[: self._place]
                self._place = 0
                continue
            if end is None:
                if len(self._data) > LARGEST:
                    raise ValueError(f"a picture of more than {LARGEST >> 20} MB")
                return
            picture = bytes(self._data[:end])
            del self._data[:end]
            self._place = 0
            yield picture

    def _begin(self) -> bool:
        if not self._place:
            start = self._data.find(_START)
            del self._data[: start if start >= 0 else max(0, len(self._data) - 2)]
            if start < 0:
                return False
            self._place = 2
        return True

    def _find_end(self) -> int | None:
        """Where the picture ends, marker by marker (ITU T.81, B.1), as a thumbnail in it has an end of its own.

        None where that has not come yet, _DAMAGED where the picture is cut short by another.
        """
        data = self._data
        while True:
            place = data.find(b"\xff", self._place)
            if place < 0 or place + 1 >= len(data):
                self._place = place if place >= 0 else len(data)
                return None
            self._place, marker = place, data[place + 1]
            if marker in _WITHIN:
                self._place += 1 if marker == 0xFF else 2
            elif marker == _END:
                return place + 2
            elif marker == _ANOTHER or marker < _LOWEST:
                return _DAMAGED
            else:  # a segment, whatever it holds
                if place + 4 > len(data):
                    return None
                length = 2 + int.from_bytes(data[place + 2 : place + 4])
                if place + length > len(data):
                    return None
                self._place += length


def open_stdin(settings: SourceSettings, *, note: Note) -> Source:
    """MJPEG on standard input. Raises SourceError where there is none."""
    try:
        fd = sys.stdin.fileno()
    except (AttributeError, ValueError, io.UnsupportedOperation) as error:
        raise SourceError("-: standard input is closed") from error
    if os.isatty(fd):
        raise SourceError("-: standard input is a terminal: pipe MJPEG into it, from a camera's program or `cat`")
    return MjpegSource(fd, settings, note=note)


class MjpegSource(Source):
    """Every picture of a pipe, in order, none dropped: who writes waits while one is read."""

    def __init__(self, fd: int, settings: SourceSettings, *, note: Note) -> None:
        super().__init__("-", settings.fps or FOLDER_FPS, live=False)
        self._fd, self._timeout, self._note = fd, settings.timeout, note

    def __iter__(self) -> Iterator[Frame | None]:
        number = given = 0
        for data in self._pictures():
            if data is None:
                yield None
                continue
            arrived = time.perf_counter()
            try:
                image = load_image(data)
            except ImageError as error:
                self.failed += 1
                self._note(f"-: picture {number} is damaged ({error.reason}); skipped")
            else:
                given += 1
                yield Frame(image, number, number / self.fps, arrived)
            number += 1
        if not given:
            raise SourceError("-: holds no JPEG picture that can be read")

    def _pictures(self) -> Iterator[bytes | None]:
        """The pictures' bytes; None where none comes for a moment."""
        splitter, last = JpegSplitter(), time.monotonic()
        while True:
            if not select.select([self._fd], [], [], BEAT)[0]:
                if time.monotonic() - last >= self._timeout:
                    raise SourceError(f"-: nothing for {self._timeout:g} s")
                yield None
                continue
            data, last = os.read(self._fd, 1 << 16), time.monotonic()
            if not data:
                break
            try:
                yield from splitter.feed(data)
            except ValueError as error:
                raise SourceError(f"-: {error}: no MJPEG") from error
        cut_short = splitter.damaged + bool(splitter.rest)
        if cut_short:
            self.failed += cut_short
            self._note(f"-: {cut_short} picture{'s' * (cut_short > 1)} cut short")

    def close(self) -> None:
        """Stdin is not ours to close."""
