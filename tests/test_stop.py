"""stop.py: Ctrl-C is noted, and does nothing else; the third one ends the program."""

from __future__ import annotations

import os
import signal

import pytest

from edge_digits.stop import Stop


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_is_noted_and_the_third_is_obeyed(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Stop() as stop:
        assert stop.code == 0
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.code == code, "the first one counts"
        with pytest.raises(SystemExit) as ended:
            os.kill(os.getpid(), signal.SIGINT)
    assert ended.value.code == code
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
