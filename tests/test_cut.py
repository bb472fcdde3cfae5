from __future__ import annotations

import numpy as np
import pytest
from touching import crop, touching_pair

from edge_digits import Reader
from edge_digits.cut import between, find_seams
from edge_digits.find import Region
from edge_digits.ways import Part, best_way, find_ways

Image = np.ndarray


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.fixture(scope="module")
def pairs(tiles: Image, labels: Image) -> list[tuple[Image, str]]:
    """120 pictures of two digits that touch."""
    rng, found = np.random.default_rng(11), list[tuple[Image, str]]()
    while len(found) < 120:
        i, j = rng.integers(0, len(tiles), 2)
        picture = touching_pair(tiles[i], tiles[j])
        if picture is not None:
            found.append((picture, f"{labels[i]}{labels[j]}"))
    return found


def bars(bridge: int) -> Image:
    """Two upright bars with `bridge` rows of ink between them."""
    ink = np.zeros((40, 30), np.uint8)
    ink[:, :6] = ink[:, 24:] = 255
    ink[20 : 20 + bridge] = 255
    return ink


def test_the_best_seam_crosses_the_bridge_and_parts_the_bars() -> None:
    best = min(find_seams(bars(4)), key=lambda seam: seam.crossed)
    assert (best.columns > 3).all()
    assert (best.columns < 26).all()
    assert 0.4 < best.crossed < 1.2  # the bridge is 4 high, the bars are 6 wide
    assert min(seam.crossed for seam in find_seams(bars(0))) == 0


def test_parts_have_all_the_ink_and_none_twice() -> None:
    ink = np.random.default_rng(0).integers(0, 256, (50, 40), dtype=np.uint8)
    seams = find_seams(ink)
    assert len(seams) > 2
    for seam in seams:
        np.testing.assert_array_equal(between(ink, None, seam) + between(ink, seam, None), ink)
        assert between(ink, None, seam).any()
        assert between(ink, seam, None).any()
    assert [s.columns.mean() for s in seams] == sorted(s.columns.mean() for s in seams)
    assert not between(ink, seams[0], seams[0]).any()


@pytest.mark.parametrize("shape", [(1, 1), (30, 1), (30, 2), (1, 30), (2, 2)])
def test_ink_that_is_too_narrow_has_no_seam_or_one_that_leaves_none_empty(shape: tuple[int, int]) -> None:
    ink = np.full(shape, 255, np.uint8)
    for seam in find_seams(ink):
        assert between(ink, None, seam).any()
        assert between(ink, seam, None).any()


def whole(reader: Reader, ink: Image) -> Part:
    [part] = reader.ask([Region((5, 7, 2 * ink.shape[1], 2 * ink.shape[0]), ink)])
    return part


def test_boxes_of_parts_lie_within_the_box_of_the_whole_and_side_by_side(reader: Reader) -> None:
    ways = find_ways(whole(reader, bars(4)), reader.ask, 2)
    assert [len(way.parts) for way in ways] == [1, 2]
    left, right = (part.region for part in ways[1].parts)
    assert left.touching
    assert right.touching
    assert left.box[:2] == (5, 7)
    assert left.box[0] + left.box[2] <= right.box[0] + 6  # a seam may wander into a bar where it crosses
    assert right.box[0] + right.box[2] == 5 + 60
    assert best_way(ways) is max(ways, key=lambda way: way.worth)


def test_touching_pairs_are_cut_and_read(reader: Reader, pairs: list[tuple[Image, str]]) -> None:
    """Measured 84 %; none of them is read without a cut."""
    texts = [reader.read(picture).text for picture, _ in pairs]
    assert np.mean([text == truth for text, (_, truth) in zip(texts, pairs, strict=True)]) > 0.75
    assert max(len(text) for text in texts) <= 3


def test_how_many_digits_there_are_is_a_great_help(pairs: list[tuple[Image, str]]) -> None:
    """Measured 90.8 %."""
    two = Reader(count=2)
    texts = [two.read(picture).text for picture, _ in pairs]
    assert {len(text) for text in texts} <= {0, 2}
    assert texts.count("") <= 3
    assert np.mean([text == truth for text, (_, truth) in zip(texts, pairs, strict=True)]) > 0.78


def test_single_digits_stay_whole(reader: Reader, tiles: Image) -> None:
    """Measured: none of 385 is cut."""
    cut = 0
    for tile in tiles[::13]:
        picture = 255 - np.pad(np.kron(tile, np.ones((3, 3), np.uint8)), 40)
        cut += any(part.region.touching for part in reader.trace(picture).parts)
    assert cut <= 6


def test_a_tile_is_never_cut(reader: Reader, tiles: Image) -> None:
    for tile in tiles[::50]:
        assert len(reader.read(tile).digits) == 1


def test_digits_that_stand_one_on_the_other_are_cut(reader: Reader, tiles: Image, labels: Image) -> None:
    """Told by how high the others are."""
    six, nought = (crop(tiles[np.flatnonzero(labels == digit)[3]]) for digit in (6, 0))
    eights = [crop(tile) for tile in tiles[labels == 8][:6]]
    page = np.zeros((70, 190), np.uint8)
    for i, eight in enumerate(eights):
        page[8 : 8 + eight.shape[0], 8 + 26 * i : 8 + 26 * i + eight.shape[1]] = eight
    page[8 : 8 + six.shape[0], 164 : 164 + six.shape[1]] = six
    top = 8 + six.shape[0] - 1
    while True:
        trial = page.copy()
        trial[top : top + nought.shape[0], 164 : 164 + nought.shape[1]] |= nought
        rows = trial[:, 160:].any(axis=1)
        if np.flatnonzero(rows)[-1] - np.flatnonzero(rows)[0] + 1 == rows.sum():
            break
        top -= 1
    picture = 255 - np.kron(trial, np.ones((3, 3), np.uint8))
    assert sorted(reader.read(picture).text.replace("\n", "")) == sorted("888888" + "60")
