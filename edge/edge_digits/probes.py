"""What the doctor tries in processes of their own: `python -m edge_digits.probes NAME` prints findings as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_digits.errors import EdgeDigitsError

SELF_TEST = Path(__file__).with_name("self_test.jpg")
SELF_TEST_LINES = ["4017", "268", "59"]
"""What is written in it."""

Answer = dict[str, str]
"""name, status, found and advice, as a Finding has them."""


def _say(name: str, status: str, found: str, advice: str = "") -> Answer:
    return {"name": name, "status": status, "found": found, "advice": advice}


def _opencv() -> Iterator[Answer]:
    from edge_digits.opencv import cv2

    built = dict(line.strip().split(":", 1) for line in cv2.getBuildInformation().splitlines() if line.count(":") == 1)
    window = next((value.strip() for key, value in built.items() if key == "GUI"), "")
    backends = dict.fromkeys(cv2.videoio_registry.getBackendName(b) for b in cv2.videoio_registry.getBackends())
    found = f"{cv2.__version__}; windows: {window.lower() or 'none'}; video: {', '.join(backends) or 'none'}"
    if "FFMPEG" not in backends:
        yield _say(
            "OpenCV build", "note", found, "without FFMPEG few videos and no streams can be read: use the package"
        )
    elif window.upper() in ("", "NONE"):
        yield _say("OpenCV build", "note", found, "a headless build: webcam runs without a window")
    else:
        yield _say("OpenCV build", "ok", found)


def _onnxruntime() -> Iterator[Answer]:
    import numpy as np

    from edge_digits.classifier import Classifier

    started = time.perf_counter()
    classifier = Classifier()
    loaded = time.perf_counter() - started
    tile = np.zeros((1, 28, 28), np.uint8)
    times = []
    for _ in range(50):
        started = time.perf_counter()
        classifier.classify(tile)
        times.append(time.perf_counter() - started)
    found = f"{classifier.name} loads in {1000 * loaded:.0f} ms and takes {1e6 * sorted(times)[25]:.0f} µs a tile"
    yield _say("classifier", "ok", found)


def _models() -> Iterator[Answer]:
    from edge_digits.model_check import verify
    from edge_digits.model_files import load_manifest

    for name, entry in load_manifest()["models"].items():
        for precision in entry["files"]:
            try:
                yield _say(f"{name}-{precision}", "ok", verify(f"{name}-{precision}").text().split("  ", 1)[1])
            except EdgeDigitsError as error:
                yield _say(f"{name}-{precision}", "problem", str(error), "install edge-digits anew")


def _self_test() -> Iterator[Answer]:
    from edge_digits.reader import Reader

    reader = Reader()
    started = time.perf_counter()
    lines = reader.read(SELF_TEST).lines
    took = f"in {1000 * (time.perf_counter() - started):.0f} ms"
    expected = " / ".join(SELF_TEST_LINES)
    if lines == SELF_TEST_LINES:
        yield _say("self-test", "ok", f"{SELF_TEST.name} says {expected}, {took}")
    else:
        yield _say(
            "self-test", "problem", f"{SELF_TEST.name} says {expected}, but {' / '.join(lines) or 'nothing'} was read",
            "install edge-digits, OpenCV and onnxruntime anew; where that does not help, report it",
        )  # fmt: skip


def _display() -> Iterator[Answer]:
    from edge_digits.window import display_problem

    problem = display_problem(timeout=3.0)
    if problem is None:
        yield _say("display", "ok", "a window can be shown")
    else:
        yield _say("display", "note", problem, "webcam goes on without a window; -o out.mp4 keeps what it would show")


def _cameras() -> Iterator[Answer]:
    from edge_digits.cameras import list_cameras

    cameras = list_cameras(timeout=2.0)
    for camera in cameras:
        yield _say("camera", "ok", camera.describe())
    if not cameras:
        yield _say(
            "camera", "note", "none opens", "plug one in, or join the group video; files and streams work without"
        )


PROBES: dict[str, Callable[[], Iterator[Answer]]] = {
    "opencv": _opencv,
    "onnxruntime": _onnxruntime,
    "models": _models,
    "self-test": _self_test,
    "display": _display,
    "cameras": _cameras,
}


def main(probe: str) -> None:
    """Prints the findings of one probe on the last line of stdout; an error of ours becomes one."""
    try:
        answers = list(PROBES[probe]())
    except EdgeDigitsError as error:
        text, _, advice = str(error).partition(": ")
        answers = [_say(probe, "problem", text, advice)]
    print(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1])
