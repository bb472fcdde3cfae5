from __future__ import annotations

import csv
import itertools
import subprocess
import sys

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training is not installed: pip install 'edge-digits[train]'")

from edge_digits import Reader
from edge_digits.errors import OutputExistsError, UsageError
from edge_digits.picture_labels import load_labels
from edge_digits_train.data import DataSet
from edge_digits_train.synthesis.camera import Camera, View, look, shoot
from edge_digits_train.synthesis.layouts import LAYOUTS, gap_between
from edge_digits_train.synthesis.papers import LIGHTS, Ground, ink, lay, shine
from edge_digits_train.synthesis.pens import Pen, draw
from edge_digits_train.synthesis.pictures import MEDIA, Picture, Synthesis, _Hand, read_names, write_folder
from edge_digits_train.synthesis.strokes import HEIGHT, MARGIN, middle_line, thin


@pytest.fixture(scope="module")
def data(tiles, labels) -> DataSet:
    return DataSet("digits", tiles, labels.astype(np.uint8))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def bar(height: int = HEIGHT, angle: float = 0.0) -> np.ndarray:
    """A straight line `height` long, upright or turned by degrees."""
    line = np.zeros((height + 2 * MARGIN, height + 2 * MARGIN), np.uint8)
    middle, half = np.array([line.shape[1] / 2, line.shape[0] / 2]), height / 2
    along = np.array([np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))]) * half
    start, end = np.rint(middle - along).astype(int).tolist(), np.rint(middle + along).astype(int).tolist()
    cv2.line(line, start, end, 1, 1)
    return line > 0


def ends(line: np.ndarray) -> int:
    """Pixels of a line with one neighbour."""
    return int((line & (cv2.filter2D(line.astype(np.uint8), -1, np.ones((3, 3), np.uint8)) == 2)).sum())


def holes(line: np.ndarray) -> int:
    """Parts of the ground that the line cuts off."""
    return cv2.connectedComponents((~line).astype(np.uint8), connectivity=4)[0] - 2


# ---- Strokes


def test_middle_line_lies_in_the_middle_and_keeps_the_shape():
    ring = np.zeros((60, 60), np.uint8)
    cv2.circle(ring, (30, 30), 18, 1, 9)
    line = thin(ring > 0)
    y, x = np.nonzero(line)
    away = np.hypot(y - 30, x - 30)
    assert abs(away.mean() - 18) < 1
    assert away.min() > 15
    assert away.max() < 21
    assert (holes(line), ends(line)) == (1, 0)
    assert not (line[:-1, :-1] & line[1:, :-1] & line[:-1, 1:] & line[1:, 1:]).any()


def changed(digit: int, tiles: np.ndarray, labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(line as the tile has it, line as drawn anew) of those digits of which something was changed."""
    found = []
    for number, tile in enumerate(tiles[labels == digit][:60]):
        plain, varied = middle_line(tile, 8, rng(number)), middle_line(tile, digit, rng(number))
        if plain.shape != varied.shape or (plain != varied).any():
            found.append((plain, varied))
    return found


def test_some_fours_get_a_closed_top(tiles, labels):
    found = changed(4, tiles, labels)
    assert 5 < len(found) < 30
    more = [holes(varied) - holes(plain) for plain, varied in found]
    assert np.mean([m == 1 for m in more]) > 0.8


def test_some_sevens_get_a_bar(tiles, labels):
    found = changed(7, tiles, labels)
    assert 10 < len(found) < 35
    assert np.mean([ends(varied) > ends(plain) for plain, varied in found]) > 0.8
    for plain, varied in found:
        rows = np.flatnonzero((varied & ~plain).any(axis=1)) - MARGIN
        assert rows.min() > 0.1 * HEIGHT
        assert rows.max() < 0.9 * HEIGHT


def test_some_ones_get_a_flag_or_a_base(tiles, labels):
    found = changed(1, tiles, labels)
    assert 15 < len(found) < 45
    plain, varied = (np.mean([line.shape[1] - 2 * MARGIN for line in lines]) for lines in zip(*found, strict=True))
    assert varied > 1.3 * plain


def test_few_zeros_get_a_slash_and_other_digits_stay_as_they_are(tiles, labels):
    assert 1 <= len(changed(0, np.repeat(tiles[labels == 0][:20], 10, axis=0), np.zeros(200))) < 20
    for digit in (2, 3, 5, 6, 9):
        assert not changed(digit, tiles, labels)


# ---- Pens


@pytest.mark.parametrize(("height", "width"), itertools.product([24, 80, 240], [0.04, 0.1, 0.2]))
def test_pen_is_as_wide_as_it_says(height, width):
    cover = draw(bar(), height, Pen(width), rng())
    across = cover[round(0.4 * len(cover)) : round(0.6 * len(cover))].sum(axis=1).mean()
    assert across == pytest.approx(max(width * height, 0.0), abs=0.6 + 0.05 * width * height)
    assert cover.max() <= 1
    assert cover.shape[0] == pytest.approx(height * (1 + width), abs=2 + 0.015 * height)


@pytest.mark.parametrize("turn", [0, 45, 90])
def test_flat_nib_is_narrow_along_its_short_side(turn):
    """Its long side lies at `turn` degrees: a stroke along it is as thin as its short side, one across it as wide."""
    pen = Pen(0.2, flatness=0.4, angle=turn)
    areas = [draw(bar(angle=90 - turn + off), 80, pen, rng()).sum() / (80 * 1.1) for off in (0, 90)]
    assert areas[0] == pytest.approx(0.4 * 0.2 * 80, rel=0.3)
    assert areas[1] == pytest.approx(0.2 * 80, rel=0.2)


def test_pressure_fading_and_grain_do_what_they_say():
    def rows(**how: float) -> np.ndarray:
        return draw(bar(), 160, Pen(0.12, **how), rng(3))

    even = rows()[20:-20]
    assert even.sum(axis=1).std() < 0.3
    assert rows(pressure=0.5)[20:-20].sum(axis=1).std() > 1
    assert even.max(axis=1).min() == 1
    assert rows(fading=0.6)[20:-20].max(axis=1).min() < 0.8
    assert rows(grain=0.6)[20:-20].mean() < 0.75 * even.mean()


# ---- Papers, lights, cameras


def test_sheet_has_the_colour_texture_and_rules_that_it_should():
    plain = lay(Ground((200, 210, 220), (0, 0, 0)), 100, 150, rng())
    assert plain.shape == (100, 150, 3)
    assert (plain == (200, 210, 220)).all()
    assert lay(Ground((200, 210, 220), (0, 0, 0), tooth=4), 100, 150, rng()).std(axis=(0, 1)) == pytest.approx(
        4, rel=0.1
    )
    ruled = lay(Ground((250, 250, 250), (0, 0, 0), rules="lines", spacing=25, rule_strength=0.5), 100, 150, rng(1))
    squared = lay(Ground((250, 250, 250), (0, 0, 0), rules="squares", spacing=25, rule_strength=0.5), 100, 150, rng(1))
    for sheet, axis, count in ((ruled, 1, 4), (squared, 1, 4), (squared, 0, 6)):
        dark = (sheet.mean(axis=(axis, 2)) < sheet.mean(axis=(axis, 2)).max() - 10).astype(int)
        assert abs((np.diff(dark) == 1).sum() - count) <= 1
    assert (ruled.mean(axis=(0, 2)).max() - ruled.mean(axis=(0, 2)).min()) < 1e-3


def test_ink_covers_as_much_as_it_is_told():
    sheet = lay(Ground((200, 200, 200), (0, 0, 0)), 10, 10, rng())
    cover = np.zeros((10, 10), np.float32)
    cover[2, 3], cover[4, 5] = 1, 0.5
    inked = ink(sheet, cover, (20, 40, 60))
    assert inked[2, 3].tolist() == [20, 40, 60]
    assert inked[4, 5].tolist() == [110, 120, 130]
    assert (inked[0] == 200).all()


@pytest.mark.parametrize("light", LIGHTS)
def test_light_dims_as_far_as_it_says(light):
    sheet = lay(Ground((200, 200, 200), (0, 0, 0)), 120, 160, rng())
    lit = shine(sheet, Ground((200, 200, 200), (0, 0, 0), light=light, dimming=0.5), rng(2))
    if light == "even":
        assert (lit == sheet).all()
        return
    assert lit.max() <= 201
    assert 95 < lit.min() < 130
    assert lit.max() - lit.min() > 60


def test_view_moves_points_as_the_truth_says():
    sheet = np.zeros((100, 140, 3), np.float32)
    sheet[30:33, 100:103] = 255
    matrix = View(turn=10, slant=0.2, tilt=0.2).matrix(100, 140, rng(1))
    y, x = np.nonzero(look(sheet, matrix)[:, :, 0] > 100)
    expected = cv2.perspectiveTransform(np.array([[[101.0, 31.0]]]), matrix)[0, 0]
    assert (x.mean(), y.mean()) == pytest.approx(tuple(expected), abs=0.7)
    assert np.hypot(*(expected - (101, 31))) > 5


def test_camera_loses_what_it_says():
    sheet = np.full((60, 80, 3), 128, np.float32)
    sheet[:, 40:] = 200
    assert (shoot(sheet, Camera(), rng()) == sheet).all()
    assert shoot(sheet, Camera(0.5), rng()).shape == (30, 40, 3)
    assert set(np.unique(shoot(sheet, Camera(levels=2), rng()))) == {255}
    noise = shoot(sheet, Camera(noise=6), rng())[:, :30].astype(float)
    assert noise.std() == pytest.approx(6, rel=0.15)
    steps = [
        np.abs(np.diff(shoot(sheet, how, rng(5))[30, :, 0].astype(int))).max() for how in (Camera(), Camera(blur=3))
    ]
    assert steps[1] < 0.3 * steps[0]
    colour = np.dstack([sheet[:, :, 0], sheet[:, :, 1] * 0.5, sheet[:, :, 2]])
    assert np.ptp(shoot(colour, Camera(grey=True), rng()), axis=2).max() == 0
    texture = rng(1).uniform(0, 255, (60, 80, 3)).astype(np.float32)
    assert (shoot(texture, Camera(quality=30), rng()) != shoot(texture, Camera(), rng())).mean() > 0.5
    assert shoot(texture, Camera(motion=9), rng()).std() < 0.5 * texture.std()


# ---- Layouts


def test_gap_is_where_the_ink_comes_nearest():
    left, right = np.zeros((10, 8), np.float32), np.zeros((10, 6), np.float32)
    left[:, 0], left[4, :5] = 1, 1
    right[:, 5], right[7, 1:] = 1, 1
    assert gap_between(left, right, 0) == min(3 + 5, 7 + 1)
    assert gap_between(left, right, -3) == 3 + 1
    assert gap_between(left, right, 20) == 10


# ---- Pictures


@pytest.fixture(scope="module")
def pictures(data) -> list[Picture]:
    synthesis = Synthesis(data, seed=2)
    return [synthesis.picture(number) for number in range(160)]


def test_pictures_follow_from_seed_and_number_alone(data, pictures):
    again = Synthesis(data, seed=2).picture(7)
    assert (again.image == pictures[7].image).all()
    assert again.digits == pictures[7].digits
    other = Synthesis(data, seed=3).picture(7)
    assert other.image.shape != again.image.shape or (other.image != again.image).any()


def test_all_media_and_layouts_come_up_and_no_others_where_some_are_named(data, pictures):
    assert {picture.kind for picture in pictures} >= {f"{m}_{layout}" for m in MEDIA for layout in LAYOUTS[:2]}
    some = Synthesis(data, media=("scan",), layouts=("number", "pair"))
    assert {some.picture(number).kind for number in range(20)} == {"scan_number", "scan_pair"}


def test_digits_of_a_layout_are_as_many_as_it_says(pictures):
    for picture in pictures:
        lines = picture.text.split("\n")
        assert "".join(lines) == "".join(str(digit.digit) for digit in sorted(picture.digits, key=lambda d: d.line))
        many = len(picture.digits)
        assert {"single": many == 1, "pair": many == 2, "number": many > 1, "lines": len(lines) > 1}[picture.layout]


def test_clutter_stands_beside_digits_or_alone(data):
    """It is ink that the labels do not tell of."""
    mixed = Synthesis(data, seed=2, media=("tablet",), layouts=("mixed",))
    alone = Synthesis(data, seed=2, media=("tablet",), layouts=("clutter",))
    for number in range(12):
        picture, other = mixed.picture(number), alone.picture(number)
        inked = picture.image.min(axis=2) < 128
        for digit in picture.digits:
            x, y, width, height = digit.box
            inked[max(0, y - 2) : y + height + 3, max(0, x - 2) : x + width + 3] = False
        assert picture.text
        assert inked.sum() > 20
        assert (other.text, other.digits) == ("", [])
        assert (other.image.min(axis=2) < 128).any()


def test_digits_are_printed_where_that_is_asked_for(data):
    """The same font gives the same digit, as no hand does."""
    covers: dict[int, set[bytes]] = {}
    for number in range(30):
        rng = np.random.default_rng(number)
        hand = _Hand(data.tiles, [np.flatnonzero(data.labels == digit) for digit in range(10)], Pen(0.1), rng, "cmr10")
        digit = int(rng.integers(10))
        covers.setdefault(digit, set()).add(hand.write(digit, 50).tobytes())
    assert all(len(found) == 1 for found in covers.values())
    assert len(covers) > 7
    by_hand, printed = (Synthesis(data, 4, ("tablet",), ("single",), share) for share in (0.0, 1.0))
    assert any((by_hand.picture(n).image.shape != printed.picture(n).image.shape) for n in range(5))


def test_boxes_lie_in_the_picture_and_hold_the_ink(data):
    synthesis = Synthesis(data, seed=5, media=("drawing", "tablet"), layouts=("single", "number"))
    for number in range(40):
        picture = synthesis.picture(number)
        height, width = picture.image.shape[:2]
        ground = np.median(picture.image.reshape(-1, 3), axis=0)
        inked = np.abs(picture.image - ground).max(axis=2) > 60
        held = np.zeros_like(inked)
        for digit in picture.digits:
            x, y, w, h = digit.box
            assert 0 <= x < x + w <= width
            assert 0 <= y < y + h <= height
            assert h >= 7
            assert inked[y : y + h, x : x + w].any()
            held[max(0, y - 2) : y + h + 2, max(0, x - 2) : x + w + 2] = True
        border = np.zeros_like(inked)
        border[:, [0, -1]] = True  # what a neighbour shows there is no digit of the picture's
        reach = cv2.connectedComponents(inked.astype(np.uint8))[1]
        cut_off = np.isin(reach, np.unique(reach[border & inked]))
        assert (inked & ~held & ~cut_off).sum() <= 0.02 * inked.sum()


def test_pairs_touch(data):
    synthesis = Synthesis(data, seed=1, media=("tablet",), layouts=("pair",))
    joined = 0
    for number in range(40):
        image = synthesis.picture(number).image.min(axis=2)
        count, _, about, _ = cv2.connectedComponentsWithStats((image < 160).astype(np.uint8), connectivity=8)
        joined += int(about[1:, cv2.CC_STAT_AREA].max() > 0.8 * about[1:, cv2.CC_STAT_AREA].sum()) if count > 1 else 0
    assert joined >= 34


def test_what_is_written_can_be_read(data):
    """The truth is the truth: clean single digits are read as it says, where it says."""
    synthesis = Synthesis(data, seed=9, media=("tablet",), layouts=("single",))
    reader, right, placed = Reader(), 0, 0
    for number in range(60):
        picture = synthesis.picture(number)
        reading = reader.read(picture.image)
        if reading.text == picture.text:
            right += 1
            x, y, w, h = picture.digits[0].box
            a, b, c, d = reading.digits[0].box
            shared = max(0, min(x + w, a + c) - max(x, a)) * max(0, min(y + h, b + d) - max(y, b))
            placed += shared / (w * h + c * d - shared) > 0.7
    assert right >= 48
    assert placed >= 0.9 * right


def test_digits_that_are_missing_are_named(tiles, labels):
    with pytest.raises(UsageError, match="some: no tile shows 3, 8; pictures are made of all ten digits"):
        Synthesis(DataSet("some", tiles[(labels != 3) & (labels != 8)], labels[(labels != 3) & (labels != 8)]))


# ---- The folder and the command


def test_folder_is_one_that_evaluate_pictures_reads(data, tmp_path):
    synthesis, told = Synthesis(data, seed=4), []
    write_folder(synthesis, tmp_path / "made", 12, lambda done, total: told.append((done, total)))
    assert told == [(n, 12) for n in range(1, 13)]
    found = load_labels(str(tmp_path / "made"))
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"labels.csv", *(picture.file for picture in found)}
    for number, labelled in enumerate(found):
        picture = synthesis.picture(number)
        assert (labelled.file, labelled.text, labelled.kind) == (f"{number + 1:02}.png", picture.text, picture.kind)
        assert (cv2.imread(labelled.path) == picture.image).all()


def test_folder_is_whole_or_not_there(data, tmp_path):
    def stop(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(Synthesis(data), tmp_path / "made", 12, stop)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "made").mkdir()
    with pytest.raises(OutputExistsError, match="is there already"):
        write_folder(Synthesis(data), tmp_path / "made", 12)


def test_names_that_are_none_are_refused():
    assert read_names("photo, scan", MEDIA, "--media") == ["scan", "photo"]
    assert read_names(None, MEDIA, "--media") == MEDIA
    with pytest.raises(UsageError, match="--media 'foto': there are drawing, tablet, scan, photo, board"):
        read_names("scan,foto", MEDIA, "--media")


def test_command_draws_pictures(tmp_path):
    def synthesize(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edge_digits", "synthesize", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    done = synthesize("-o", "made", "-n", "5", "--seed", "6", "--layouts", "number", "--media", "scan,tablet")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "edge-digits: 5 pictures and labels.csv in made\n"
    with (tmp_path / "made" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["kind"] for row in rows} == {"scan_number", "tablet_number"}
    assert sorted(path.name for path in (tmp_path / "made").glob("*.png")) == [row["file"] for row in rows]
    again = synthesize("-o", "made")
    assert again.returncode == 2
    assert "made: is there already" in again.stderr
    assert synthesize("-o", "alone", "-n", "2", "--layouts", "clutter").returncode == 0
    with (tmp_path / "alone" / "labels.csv").open(newline="") as file:
        assert [(row["text"], row["kind"].split("_")[1]) for row in csv.DictReader(file)] == [("", "clutter")] * 2
    assert synthesize("-o", "other", "--layouts", "page").returncode == 2
    assert not (tmp_path / "other").exists()
