"""Watches, with strace, which files each command opens for writing, makes or removes, and which sockets it opens.

    python tests/reliability/writes.py            # the runtime's commands
    python tests/reliability/writes.py --train    # and those that train, compare and export, for minutes

Allowed are what was named as output, with the temporary file beside it, and devices; sockets to other machines never
are. It prints a line for each command, and exits with 1 where something else was touched. Python's own bytecode, which
it keeps beside the modules when they are first loaded, is switched off.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

ROWS = 4000
"""Of the tables: `train --fast` takes a tenth of them, and of each digit some must be left to hold out."""
PYTHON = [sys.executable, "-m", "edge_digits"]
WATCHED = "open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,symlink,\
symlinkat,truncate,chmod,fchmodat,utimensat,mknod,mknodat,socket,connect,sendto,sendmsg,sendmmsg"
_SENDING = ("connect", "sendto", "sendmsg", "sendmmsg")
_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += +(?!-1)\S")
_TRY = re.compile(rf"^\d+ +({'|'.join(_SENDING)})\((.*)")
_RESUMED = re.compile(r" *<\.\.\. \w+ resumed>(.*)")
_PATH = re.compile(r'(?:\w+<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
"""A path, and the folder that it begins in where that is told by a number."""


@dataclass(frozen=True)
class Watched:
    """A command, and the files and folders that it may write to."""

    arguments: list[str]
    outputs: tuple[str, ...] = ()
    codes: tuple[int, ...] = (0,)
    sockets: bool = False
    """Whether it may make some that nothing is sent through: urllib3, which Keras loads, asks so if there is IPv6."""


LIBRARIES = ("home/.keras", "home/.cache", "home/.config", "tmp", "/dev/shm")
"""What Keras, matplotlib and scikit-learn keep for themselves."""
RUNTIME = (
    Watched(["classify", "a.png"]),
    Watched(["classify", "pictures", "--jobs", "2", "-o", "out.json", "--format", "json"], ("out.json",)),
    Watched(["classify", "a.png", "--save", "s", "--explain", "e", "--crops", "c"], ("s", "e", "c")),
    Watched(["submit", "test.csv", "-o", "out.csv"], ("out.csv",)),
    Watched(["submit", "test.csv", "-o", "-"]),
    Watched(["evaluate", "train.csv", "--trained-on", "train.csv"]),
    Watched(["evaluate-pictures", "pictures", "--wrong", "wrong.csv"], ("wrong.csv",)),
    Watched(["show", "test.csv", "-o", "grid.png"], ("grid.png",)),
    Watched(["webcam", "clip.avi", "--no-window", "-o", "out.mp4", "--record", "rec"], ("out.mp4", "rec")),
    Watched(["doctor"]),
    Watched(["models", "list"]),
    Watched(["models", "verify"]),
    Watched(["models", "diff", "digits-int8", "digits-fp32"]),
)
TRAINING = (
    Watched(["recipes"], LIBRARIES, sockets=True),
    Watched(["synthesize", "-o", "made", "-n", "4", "--data", "train.csv"], ("made", *LIBRARIES), sockets=True),
    Watched(
        ["train", "--recipe", "logistic", "--data", "train.csv", "-o", "run", "--fast"],
        ("run", *LIBRARIES),
        sockets=True,
    ),
    Watched(["compare", "run", "-o", "compare.png"], ("compare.png", *LIBRARIES), sockets=True),
    Watched(
        ["export", "run", "-o", "out", "--max-drop", "1", "--min-agreement", "0", "--min-accuracy", "0"],
        ("out", *LIBRARIES),
        sockets=True,
    ),
)


def prepare(folder: Path) -> None:
    """Two pictures with their labels, tables of 4,000 rows with labels and one without, a video of 12 frames."""
    (folder / "pictures").mkdir()
    (folder / "home").mkdir()
    (folder / "tmp").mkdir()
    sheet = np.full((120, 200, 3), 235, np.uint8)
    cv2.putText(sheet, "47", (40, 90), cv2.FONT_HERSHEY_SIMPLEX, 2.5, (60, 40, 40), 5)
    for name in ("a.png", "pictures/a.png", "pictures/b.png"):
        cv2.imwrite(str(folder / name), sheet)
    (folder / "pictures" / "labels.csv").write_text("file,text\na.png,47\nb.png,11\n")
    names = ",".join(f"pixel{i}" for i in range(784))
    rng, rows = np.random.default_rng(0), []
    for number in range(ROWS):
        tile = np.zeros((28, 28), np.uint8)
        place = int(rng.integers(3, 9)), int(rng.integers(21, 27))
        cv2.putText(tile, str(number % 10), place, cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
        rows.append(",".join(map(str, tile.ravel())))
    (folder / "test.csv").write_text("\n".join([names, *rows, ""]))
    (folder / "train.csv").write_text(
        "\n".join([f"label,{names}", *(f"{i % 10},{row}" for i, row in enumerate(rows)), ""])
    )
    video = cv2.VideoWriter(str(folder / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (200, 120))
    for _ in range(12):
        video.write(sheet)
    video.release()


def watch(command: list[str], may: Watched, folder: Path) -> tuple[int, list[str]]:
    """The exit code of a command that runs in `folder`, and what it touched without leave."""
    environment = os.environ | {
        "HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    with tempfile.NamedTemporaryFile("r", prefix="edge-digits-strace-", errors="replace") as trace:
        done = subprocess.run(
            ["strace", "-f", "-qq", "-y", "-s", "4096", "-o", trace.name, "-e", f"trace={WATCHED}", *command],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        touched = [reason for line in joined(trace) if (reason := breach(line, may, folder))]
    return done.returncode, sorted(set(touched))


def joined(trace: Iterable[str]) -> Iterator[str]:
    """The lines of strace, each call on one, where another thread's came between its beginning and its end."""
    begun: dict[str, str] = {}
    for line in trace:
        thread, _, call = line.rstrip("\n").partition(" ")
        if call.endswith("<unfinished ...>"):
            begun[thread] = line.rstrip("\n").removesuffix("<unfinished ...>")
        elif resumed := _RESUMED.match(call):
            yield begun.pop(thread, "") + resumed[1]
        else:
            yield line.rstrip("\n")


def breach(line: str, may: Watched, folder: Path) -> str | None:
    """What is wrong with one line of strace: a call that should not have been made, and that succeeded or was sent."""
    found = _TRY.match(line) or _CALL.match(line)
    if found is None:
        return None
    call, arguments = found.groups()
    if call in _SENDING:
        return f"{call}({arguments}" if "AF_INET" in arguments else None
    if call == "socket":
        return None if arguments.startswith("AF_UNIX") or may.sockets else f"{call}({arguments})"
    if call.startswith("open") and not re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE", arguments):
        return None
    for base, path in _PATH.findall(arguments)[: 2 if call.startswith(("rename", "link")) else 1]:
        if not allowed(os.path.normpath(folder / base / path), may.outputs, folder):
            return f"{call}({arguments})"
    return None


def allowed(path: str, outputs: tuple[str, ...], folder: Path) -> bool:
    """Whether it is a device, an output, in a folder that is one, or the temporary file beside one."""
    if path.startswith(("/dev/", "/proc/self/fd/")) and not path.startswith("/dev/shm/"):
        return True
    if re.fullmatch(r"/proc/self/task/\d+/comm", path):  # the name of a thread
        return True
    if any(path.startswith(f"{output}/") for output in outputs if output.startswith("/")):
        return True
    name = os.path.relpath(path, folder)
    places = [output if output.startswith("/") else os.path.dirname(output) for output in outputs]  # noqa: PTH120
    temporary = any(name.startswith(os.path.join(place, ".edge-digits-")) for place in places)  # noqa: PTH118
    return temporary or any(name == output or name.startswith(f"{output}/") for output in outputs)


def notices() -> bool:
    """Whether a file and a socket that nobody asked for are seen, so that silence means something."""
    guilty = (
        "import os, socket; open('x', 'w'); open('ok', 'w'); socket.socket().close(); os.mkdir('m'); "
        "os.open('in', os.O_CREAT | os.O_WRONLY, dir_fd=os.open('m', os.O_RDONLY)); "
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))"
    )
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-c", guilty]
        _, touched = watch(command, Watched([], ("ok", "m")), Path(name))
        (Path(name) / "m" / "in").unlink()
        (Path(name) / "m").rmdir()
        _, sent = watch(command, Watched([], ("ok", "x", "m"), sockets=True), Path(name))
    seen = [call.partition("(")[0] for call in touched]
    return seen == ["connect", "openat", "socket", "socket"] and [call[:7] for call in sent] == ["connect"]


def main() -> int:
    """1 where a command touched what it should not have."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true", help="also the commands that need the extra `train`")
    asked = parser.parse_args()
    if not notices():
        print("strace does not show what is opened here: is it installed, and allowed?")
        return 1
    failed = False
    with tempfile.TemporaryDirectory(prefix="edge-digits-writes-") as name:
        folder = Path(name).resolve()
        prepare(folder)
        for one in (*RUNTIME, *(TRAINING if asked.train else ())):
            code, touched = watch([*PYTHON, *one.arguments], one, folder)
            failed |= bool(touched) or code not in one.codes
            print(f"{' '.join(one.arguments)}: exit code {code}, {len(touched)} breaches", flush=True)
            for call in touched[:5]:
                print(f"    {call[:200]}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
