"""The program: `edge-digits`, and `python -m edge_digits`."""

import atexit
import contextlib
import os
import sys
from typing import NoReturn

from edge_digits.cli import main


def run() -> NoReturn:
    """As `main`, in a process of its own, which ends at once: Python would first take apart all modules, for 25 ms."""
    try:
        main()
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        atexit._run_exitfuncs()
        with contextlib.suppress(AttributeError, OSError):  # it may be missing, or closed
            sys.stderr.flush()
        os._exit(end.code)


if __name__ == "__main__":
    run()
