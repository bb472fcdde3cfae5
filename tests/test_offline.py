"""No command opens a socket, and each works without a home folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from pictures import csv_table, mnist, png, write_number

GUARD = """
import socket, sys

def refuse(*arguments, **named):
    print("a socket was opened", file=sys.stderr)
    import os
    os._exit(99)

socket.socket.__init__ = refuse
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = refuse
"""
COMMANDS = {
    "classify": ["classify", "number.png"],
    "submit": ["submit", "test.csv", "-o", "-"],
    "evaluate": ["evaluate", "train.csv"],
    "evaluate-pictures": ["evaluate-pictures", "."],
    "show": ["show", "test.csv", "--rows", "0"],
    "webcam": ["webcam", "--no-window", "clip.avi"],
    "models list": ["models", "list"],
    "models verify": ["models", "verify"],
    "doctor": ["doctor"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("offline")
    (folder / "guard").mkdir()
    (folder / "guard" / "sitecustomize.py").write_text(GUARD)
    tiles, labels = mnist()
    (folder / "test.csv").write_bytes(csv_table(tiles[:20]))
    (folder / "train.csv").write_bytes(csv_table(tiles[:20], labels[:20]))
    image = write_number("407", height=60).image
    (folder / "number.png").write_bytes(png(image))
    (folder / "labels.csv").write_text("file,text\nnumber.png,407\n")
    size = image.shape[1] // 2 * 2, image.shape[0] // 2 * 2
    video = cv2.VideoWriter(str(folder / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, size)
    for _ in range(8):
        video.write(np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)[: size[1], : size[0]]))
    video.release()
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join([str(folder / "guard"), *sys.path[1:]])}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        env={**environment, "HOME": str(folder / "there-is-none")},
    )  # fmt: skip


def test_the_guard_notices_a_socket(folder):
    done = run(folder, "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')")
    assert (done.returncode, done.stderr) == (99, "a socket was opened\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_command_opens_no_socket_and_needs_no_home(folder, name):
    done = run(folder, "-m", "edge_digits", *COMMANDS[name])
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not (folder / "there-is-none").exists()
