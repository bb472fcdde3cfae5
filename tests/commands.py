"""Commands run in the tests' own process: a start of Python for each would take minutes."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from edge_digits.cli import app


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


def runner(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *command: str) -> Run:
    """Runs `edge-digits`, the command and what it is called with."""

    def run(*arguments: object, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            app([*command, *map(str, arguments)], prog_name="edge-digits")
        heard = capfd.readouterr()
        assert "Traceback" not in heard.err
        return Done(int(ended.value.code or 0), heard.out, heard.err)

    return run
