"""Fuzzes one target, guided by the coverage of our own code.

    pip install atheris
    python tests/fuzz/fuzz.py pictures --seconds 1800

What it tries starts from tests/fuzz/corpus/TARGET and from seeds that it makes. What fails is written to the current
folder as crash-…, timeout-… or oom-…: make it small, put it into the corpus, and tests/test_fuzz_corpus.py replays it
from then on. It goes on after a failure, says at the end what it did, and then exits with 1.
"""

from __future__ import annotations

import argparse
import gzip
import io
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
import onnx_bytes

TARGETS = ("pictures", "arrays", "tables", "models", "running-models")
CORPUS = Path(__file__).with_name("corpus")
RUNS = 10_000
"""Executions of one process: atheris keeps 50 kB of each, whatever the target does."""
LIMITS = ["-timeout=60", "-rss_limit_mb=3000", "-print_final_stats=1"]  # seconds, on a busy machine; MB
MAX_BYTES = {"models": 6000, "running-models": 6000}
"""Longer than the small seeds, so that what is changed is seldom a weight."""


def main() -> int:
    """Runs until the time is up; 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=1800)
    parser.add_argument("--in", dest="grown", help=argparse.SUPPRESS)  # a process of this one, and its corpus
    asked = parser.parse_args()
    if asked.grown:
        fuzz(asked.target, asked.grown, asked.seconds)
    with tempfile.TemporaryDirectory(prefix="edge-digits-fuzz-") as folder:
        for number, seed in enumerate(seeds(asked.target)):
            Path(folder, f"seed-{number}").write_bytes(seed)
        return repeat(asked.target, folder, asked.seconds)


def repeat(target: str, folder: str, seconds: int) -> int:
    """Starts one process after the other, and adds up what they say."""
    end, executions, covered, failures = time.monotonic() + seconds, 0, "none", 0
    while (left := round(end - time.monotonic())) > 0:
        command = [sys.executable, __file__, target, "--seconds", str(left), "--in", folder]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        said = done.stdout + done.stderr
        executions += int((re.findall(r"stat::number_of_executed_units: (\d+)", said) or ["0"])[-1])
        covered = (re.findall(r"cov: (\d+ ft: \d+)", said) or [covered])[-1]
        if done.returncode:
            failures += 1
            print(said[-5000:], flush=True)
        if "#" not in said:  # it did not even begin
            break
    print(f"{target}: {executions:,} executions in {seconds:,} s, edges covered: {covered}, {failures} findings")
    return 1 if failures else 0


def fuzz(target: str, folder: str, seconds: int) -> None:
    """One process of it, which ends Python."""
    import atheris

    with atheris.instrument_imports(include=["edge_digits"]):
        import targets
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    limits = [*LIMITS, f"-max_total_time={seconds}", f"-runs={RUNS}", f"-max_len={MAX_BYTES.get(target, 60_000)}"]
    atheris.Setup([sys.argv[0], folder, str(CORPUS / target), *limits], targets.TARGETS[target])
    atheris.Fuzz()


def seeds(target: str) -> list[bytes]:
    """Small files of our making, of each format that the target reads."""
    if target in ("pictures", "arrays"):
        return pictures(as_arrays=target == "arrays")
    return tables() if target == "tables" else [onnx_bytes.small_model(), b"\x08\x08\x12\x00"]


def pictures(*, as_arrays: bool) -> list[bytes]:
    """A number in each format that OpenCV writes, gray and coloured; as arrays with their sizes in front."""
    image = np.full((64, 96), 230, np.uint8)  # JPEG 2000 refuses to write less
    cv2.putText(image, "71", (10, 48), cv2.FONT_HERSHEY_SIMPLEX, 1.5, 30, 4)
    if as_arrays:
        return [bytes([63, 0, 95, 0]) + image.tobytes(), bytes([9, 0, 9, 0]) + np.random.default_rng(0).bytes(100)]
    colour = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    ends = (".png", ".jpg", ".bmp", ".tiff", ".webp", ".pgm", ".gif", ".jp2", ".avif", ".ras", ".pam")
    written = [cv2.imencode(end, each) for end in ends if cv2.haveImageWriter(end) for each in (image, colour)]
    floats = [cv2.imencode(end, colour.astype(np.float32) / 255) for end in (".hdr", ".pfm")]
    progressive = cv2.imencode(".jpg", colour, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    return [data.tobytes() for done, data in (*written, *floats, progressive) if done]


def tables() -> list[bytes]:
    """Two rows, with labels and without, plain and packed."""
    names = ",".join(f"pixel{i}" for i in range(784))
    rows = "\n".join(",".join(map(str, row)) for row in np.random.default_rng(0).integers(0, 256, (2, 784)))
    plain = f"{names}\n{rows}\n".encode()
    labelled = f"label,{names}\n3,{rows.splitlines()[0]}\n".encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("test.csv", plain)
    return [plain, labelled, gzip.compress(plain), packed.getvalue(), b"\xef\xbb\xbf" + plain]


if __name__ == "__main__":
    raise SystemExit(main())
