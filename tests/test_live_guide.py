"""docs/live.md is true: its options and keys exist, its events look as they do, its examples can be trained on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clips import Scene, Written, at

from edge_digits import Reader
from edge_digits.events import Event
from edge_digits.keepsakes import save_example
from edge_digits.overlay import HELP, HELP_PAUSED
from edge_digits.steady import SteadyReader

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "live.md"

pytestmark = pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not beside the tests")


@pytest.fixture(scope="module")
def text() -> str:
    return GUIDE.read_text(encoding="utf-8")


def test_every_option_is_one_of_the_command_and_the_other_way_round(text: str) -> None:
    command = [sys.executable, "-m", "edge_digits", "webcam", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    options = set(re.findall(r"(?<=\s)--[a-z][a-z-]+", said))
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    of_others = {"--codec", "--recipe", "--data", "--seconds"}
    assert told - of_others <= options
    assert options - told == {"--help", "--source", "--output", "--window"}


def test_the_events_look_as_they_do(text: str) -> None:
    block = re.search(r"```json\n(.*?)```", text, re.S)
    assert block
    for line in block[1].splitlines():
        record = json.loads(line)
        event = Event(**{**record, "box": tuple(record["box"])})
        assert event.json() == line


def test_every_key_of_the_help_lines_is_told(text: str) -> None:
    table = text[text.index("| key |") :]
    for key in re.findall(r"(?:^|   )(\S+) ", f"{HELP}   {HELP_PAUSED}"):
        assert key.replace("0-9", "0 to 9") in table


def test_what_the_keys_collect_is_what_train_reads(tmp_path: Path, reader: Reader) -> None:
    from edge_digits_train.sources.pictures import read_pictures

    text = "4017268359"
    places = [Written(digit, at(90 + 110 * (n % 5), 120 + 200 * (n // 5)), seed=n) for n, digit in enumerate(text)]
    steady = SteadyReader(reader)
    look = [steady.look(frame) for frame in Scene(places, seconds=0.2).frames()][-1]
    saved = []
    for digit in look.reading.digits:
        tile = look.tile(digit)
        assert tile is not None
        saved.append((digit.digit, tile.tobytes()))
        save_example(tmp_path, digit.digit, tile, look.frame.number)
    tiles, labels = read_pictures(tmp_path)
    assert sorted(str(label) for label in labels) == sorted(text)
    assert sorted(
        (int(label), tile.tobytes()) for label, tile in zip(labels, np.asarray(tiles), strict=True)
    ) == sorted(saved)
