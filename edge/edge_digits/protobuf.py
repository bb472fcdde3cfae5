"""Protobuf messages read by a schema: the runtime has no onnx package, and must look into a file before it is run."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_DEPTH = 100
"""Messages inside messages: protobuf's own limit."""
MAX_FIELDS = 100_000
"""A digit model has some thousands; more are there to keep us busy."""

Schema = dict[str, dict[int, tuple[str, str]]]
"""Each kind of message's fields: number → (name, kind). The kinds that are no messages are int, float and bytes."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MASK = (1 << 64) - 1


class DamagedError(Exception):
    """The bytes are no protobuf message; its text says where."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message, and by name the values of those of its fields that the schema knows."""

    kind: str
    values: dict[str, list[int | float | memoryview | Message]] = field(default_factory=dict)

    def messages(self, name: str) -> list[Message]:
        """Those of a field that holds messages."""
        return [value for value in self.values.get(name, []) if isinstance(value, Message)]

    def integers(self, name: str) -> list[int]:
        """Those of a field that holds whole numbers, signed."""
        return [value for value in self.values.get(name, []) if isinstance(value, int)]

    def floats(self, name: str) -> list[float]:
        """Those of a field that holds floats."""
        return [value for value in self.values.get(name, []) if isinstance(value, float)]

    def integer(self, name: str) -> int:
        """The last one, which is the one that counts; 0 where there is none."""
        found = self.integers(name)
        return found[-1] if found else 0

    def data(self, name: str) -> memoryview:
        """The last bytes; empty where there are none."""
        found = [value for value in self.values.get(name, []) if isinstance(value, memoryview)]
        return found[-1] if found else memoryview(b"")

    def texts(self, name: str) -> list[str]:
        """Bytes as text; what is not UTF-8 in it is escaped."""
        found = [value for value in self.values.get(name, []) if isinstance(value, memoryview)]
        return [bytes(value).decode("utf-8", "backslashreplace") for value in found]

    def text(self, name: str) -> str:
        """The last text; empty where there is none."""
        found = self.texts(name)
        return found[-1] if found else ""


def parse(data: bytes, schema: Schema, kind: str) -> Message:
    """The message of `kind` that `data` is. Fields that the schema does not know are passed over.

    Raises DamagedError where the bytes are none: cut off, of no wire type, nested too deeply, too many fields.
    """
    return _Parser(memoryview(data), schema).message(kind, 0, len(data), 0)


class _Parser:
    """Reads from one buffer, so that each place in it can be told."""

    def __init__(self, data: memoryview, schema: Schema) -> None:
        self._data = data
        self._schema = schema
        self._position = 0
        self._fields = 0

    def message(self, kind: str, start: int, end: int, depth: int) -> Message:
        if depth > MAX_DEPTH:
            raise DamagedError(f"what begins at byte {start:,} is nested more than {MAX_DEPTH} deep")
        known, found = self._schema[kind], Message(kind)
        for number, wire, begin, finish in list(self._spans(start, end)):
            if number not in known:
                continue
            name, inner = known[number]
            values = found.values.setdefault(name, [])
            if inner == "int" and wire == _VARINT:
                values.append(self._varint(begin, finish))
            elif inner == "int" and wire == _BYTES:
                values.extend(self._varints(begin, finish))
            elif inner == "float" and wire in (_FIXED32, _BYTES):
                values.extend(self._floats(begin, finish))
            elif inner == "bytes" and wire == _BYTES:
                values.append(self._data[begin:finish])
            elif inner in self._schema and wire == _BYTES:
                values.append(self.message(inner, begin, finish, depth + 1))
        return found

    def _spans(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """(number, wire type, first byte, byte after the last) of each field's value."""
        position = start
        while position < end:
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise DamagedError(f"it has more than {MAX_FIELDS:,} fields")
            begin = position
            key = self._varint(position, end)
            number, wire, position = key >> 3, key & 7, self._position
            if wire == _VARINT:
                self._varint(position, end)
                size = self._position - position
            elif wire == _BYTES:
                size = self._varint(position, end)
                position = self._position
            else:
                size = {_FIXED64: 8, _FIXED32: 4}.get(wire, -1)
            # A parser that keeps 32 bits of a key would see another field there than we do.
            if not 8 <= key < 1 << 32 or size < 0:
                raise DamagedError(f"there is no field at byte {begin:,}")
            if position + size > end:
                raise DamagedError(f"what begins at byte {begin:,} runs past its end")
            yield number, wire, position, position + size
            position += size

    def _varint(self, position: int, end: int) -> int:
        """The signed 64-bit number at `position`; moves on behind it."""
        value = shift = 0
        start = position
        while shift < 70 and position < end:
            byte = self._data[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                self._position = position
                value &= _MASK
                return value - (1 << 64) if value >> 63 else value
        raise DamagedError(f"there is no number at byte {start:,}")

    def _varints(self, position: int, end: int) -> Iterator[int]:
        while position < end:
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise DamagedError(f"it has more than {MAX_FIELDS:,} fields")
            yield self._varint(position, end)
            position = self._position

    def _floats(self, begin: int, end: int) -> Iterator[float]:
        if (end - begin) % 4:
            raise DamagedError(f"there are no floats at byte {begin:,}")
        return (value for (value,) in struct.iter_unpack("<f", self._data[begin:end]))
