"""Every error that edge-digits raises on purpose, and the exit code each becomes on the command line.

EdgeDigitsError
├── InputError              1  an input that cannot be read
│   ├── ImageError             a picture
│   └── TableError             a CSV file, with its line
├── OutputError             1  an output that cannot be written
├── UsageError              2  a call that makes no sense
│   ├── OutputExistsError      an output that is there already
│   └── MissingExtraError      a command whose packages are not installed
├── ModelError              3  a model that is missing, damaged or not of the contract
├── LibraryError            3  a library that cannot be loaded
├── SourceError             4  no camera or stream
└── GateError               5  a figure that falls short of its limit
"""

from __future__ import annotations


def one_line(text: str) -> str:
    """Text as a terminal may show it: line ends, and what moves its cursor or turns its writing, are escaped."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


class EdgeDigitsError(Exception):
    """The root of all of them; its text is one line that a person can act on."""

    exit_code = 1


class InputError(EdgeDigitsError):
    """An input that cannot be read."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason


class ImageError(InputError):
    """A picture that cannot be read: `source` names it, `reason` says why."""


class TableError(InputError):
    """A CSV file that cannot be read. `line` counts from 1, the header included; None where no line is to blame."""

    def __init__(self, source: str, reason: str, line: int | None = None) -> None:
        super().__init__(source, reason if line is None else f"line {line}: {reason}")
        self.line = line


class OutputError(EdgeDigitsError):
    """An output that cannot be written."""


class UsageError(EdgeDigitsError):
    """A call that makes no sense as it stands."""

    exit_code = 2


class OutputExistsError(UsageError):
    """An output that is there already, and would be lost."""


class MissingExtraError(UsageError):
    """A command whose packages are not installed."""

    def __init__(self, what: str, extra: str, missing: str) -> None:
        super().__init__(f"{what} needs {missing}, which is not installed: pip install 'edge-digits[{extra}]'")


class ModelError(EdgeDigitsError):
    """A model that is missing, damaged or not of the contract."""

    exit_code = 3


class LibraryError(EdgeDigitsError):
    """A library that is missing or cannot be loaded."""

    exit_code = 3


class SourceError(EdgeDigitsError):
    """No camera, video or stream to read from."""

    exit_code = 4


class GateError(EdgeDigitsError):
    """A figure that falls short of its limit."""

    exit_code = 5


class EngineWarning(UserWarning):
    """numpy runs a model, as onnxruntime cannot: no error, but slower."""
