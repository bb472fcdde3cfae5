"""Fuzzes one target, guided by the coverage of our own code.

    pip install atheris
    python tests/fuzz/fuzz.py pictures --seconds 1800

What it tries starts from tests/fuzz/corpus/TARGET and from seeds that it makes. What fails is written to the current
folder as crash-…: make it small, put it into the corpus, and tests/test_fuzz_corpus.py replays it from then on.
"""

from __future__ import annotations

import argparse
import gzip
import io
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["edge_digits"]):
    import cv2
    import numpy as np
    from targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
_started = time.monotonic()


def main() -> None:
    """Runs until the time is up, or something fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=1800)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-digits-fuzz-") as folder:
        grown = Path(folder)
        for number, seed in enumerate(seeds(asked.target)):
            (grown / f"seed-{number}").write_bytes(seed)
        (CORPUS / asked.target).mkdir(parents=True, exist_ok=True)
        limits = [f"-max_total_time={asked.seconds}", "-timeout=20", "-rss_limit_mb=3000", "-max_len=60000"]
        atheris.Setup([sys.argv[0], str(grown), str(CORPUS / asked.target), *limits], TARGETS[asked.target])
        atheris.Fuzz()


def seeds(target: str) -> list[bytes]:
    """Small files of our making, of each format that the target reads."""
    rng = np.random.default_rng(0)
    if target in ("pictures", "arrays"):
        image = np.full((24, 40), 230, np.uint8)
        cv2.putText(image, "71", (4, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 30, 2)
        if target == "arrays":
            return [bytes([23, 0, 39, 0]) + image.tobytes(), bytes([9, 0, 9, 0]) + rng.bytes(100)]
        colour = cv2.cvtColor(image, cv2.COLOR_GRAY2BGRA)
        ends = (".png", ".jpg", ".bmp", ".tiff", ".webp", ".pgm", ".gif")
        written = [cv2.imencode(end, picture) for end in ends for picture in (image, colour[:, :, :3])]
        return [data.tobytes() for done, data in written if done]
    if target == "tables":
        names = ",".join(f"pixel{i}" for i in range(784))
        rows = "\n".join(",".join(map(str, row)) for row in rng.integers(0, 256, (2, 784)))
        plain = f"{names}\n{rows}\n".encode()
        labelled = f"label,{names}\n3,{rows.splitlines()[0]}\n".encode()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("test.csv", plain)
        return [plain, labelled, gzip.compress(plain), packed.getvalue(), b"\xef\xbb\xbf" + plain]
    import edge_digits_models

    folder = Path(edge_digits_models.__file__).parent
    return [path.read_bytes()[:60000] for path in folder.glob("*.onnx")] + [b"\x08\x08\x12\x00"]


if __name__ == "__main__":
    main()
