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
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

PYTHON = [sys.executable, "-m", "edge_digits"]
WATCHED = "open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,symlink,\
symlinkat,truncate,chmod,fchmodat,utimensat,mknod,mknodat,socket"
_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += +(?!-1)\S")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Watched:
    """A command, and the files and folders that it may write to."""

    arguments: list[str]
    outputs: tuple[str, ...] = ()
    codes: tuple[int, ...] = (0,)


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
    Watched(["recipes"], LIBRARIES),
    Watched(["synthesize", "-o", "made", "-n", "4", "--data", "train.csv"], ("made", *LIBRARIES)),
    Watched(["train", "--recipe", "logistic", "--data", "train.csv", "-o", "run", "--fast"], ("run", *LIBRARIES)),
    Watched(["compare", "run", "-o", "compare.png"], ("compare.png", *LIBRARIES)),
    Watched(["export", "run", "-o", "out", "--max-drop", "1", "--min-agreement", "0"], ("out", *LIBRARIES), (0, 5)),
)


def prepare(folder: Path) -> None:
    """Two pictures with their labels, tables of 400 rows with labels and one without, a video of 12 frames."""
    (folder / "pictures").mkdir()
    (folder / "home").mkdir()
    (folder / "tmp").mkdir()
    sheet = np.full((120, 200, 3), 235, np.uint8)
    cv2.putText(sheet, "47", (40, 90), cv2.FONT_HERSHEY_SIMPLEX, 2.5, (60, 40, 40), 5)
    for name in ("a.png", "pictures/a.png", "pictures/b.png"):
        cv2.imwrite(str(folder / name), sheet)
    (folder / "pictures" / "labels.csv").write_text("file,text\na.png,47\nb.png,11\n")
    names = ",".join(f"pixel{i}" for i in range(784))
    rows = [",".join(map(str, row)) for row in np.random.default_rng(0).integers(0, 256, (400, 784))]
    (folder / "test.csv").write_text("\n".join([names, *rows, ""]))
    (folder / "train.csv").write_text(
        "\n".join([f"label,{names}", *(f"{i % 10},{row}" for i, row in enumerate(rows)), ""])
    )
    video = cv2.VideoWriter(str(folder / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (200, 120))
    for _ in range(12):
        video.write(sheet)
    video.release()


def watch(command: list[str], outputs: tuple[str, ...], folder: Path) -> tuple[int, list[str]]:
    """The exit code of a command that runs in `folder`, and what it touched without leave."""
    environment = os.environ | {
        "HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    with tempfile.NamedTemporaryFile("r", prefix="edge-digits-strace-", errors="replace") as trace:
        done = subprocess.run(
            ["strace", "-f", "-qq", "-s", "4096", "-o", trace.name, "-e", f"trace={WATCHED}", *command],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        touched = [reason for line in trace if (reason := breach(line, outputs, folder))]
    return done.returncode, sorted(set(touched))


def breach(line: str, outputs: tuple[str, ...], folder: Path) -> str | None:
    """What is wrong with one line of strace: a call that succeeded and should not have been made."""
    found = _CALL.match(line)
    if found is None:
        return None
    call, arguments = found.groups()
    if call == "socket":
        return None if arguments.startswith("AF_UNIX") else f"{call}({arguments})"
    if call.startswith("open") and not re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE", arguments):
        return None
    for path in _TEXT.findall(arguments)[: 2 if call.startswith(("rename", "link")) else 1]:
        if not allowed(os.path.normpath(folder / path), outputs, folder):
            return f"{call}({arguments})"
    return None


def allowed(path: str, outputs: tuple[str, ...], folder: Path) -> bool:
    """Whether it is a device, an output, in a folder that is one, or the temporary file beside one."""
    if path.startswith(("/dev/", "/proc/self/fd/")) and not path.startswith("/dev/shm/"):
        return True
    if any(path.startswith(f"{output}/") for output in outputs if output.startswith("/")):
        return True
    name = os.path.relpath(path, folder)
    beside = {os.path.dirname(output) for output in outputs}  # noqa: PTH120
    temporary = os.path.basename(name).startswith(".edge-digits-") and os.path.dirname(name) in beside  # noqa: PTH119, PTH120
    return temporary or any(name == output or name.startswith(f"{output}/") for output in outputs)


def notices() -> bool:
    """Whether a file and a socket that nobody asked for are seen, so that silence means something."""
    guilty = "import socket; open('x', 'w'); open('ok', 'w'); socket.socket().close()"
    with tempfile.TemporaryDirectory() as name:
        _, touched = watch([sys.executable, "-c", guilty], ("ok",), Path(name))
    return len(touched) == 2 and "AF_INET" in touched[1] and '"x"' in touched[0]


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
            code, touched = watch([*PYTHON, *one.arguments], one.outputs, folder)
            failed |= bool(touched) or code not in one.codes
            print(f"{' '.join(one.arguments)}: exit code {code}, {len(touched)} breaches", flush=True)
            for call in touched[:5]:
                print(f"    {call[:200]}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
