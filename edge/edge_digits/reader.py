"""Image → Reading: find, frame, classify, reject."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_digits.batches import Batch, read_batch
from edge_digits.breaks import join_halves
from edge_digits.classifier import Classifier, temper
from edge_digits.colours import to_gray
from edge_digits.engines import EngineName
from edge_digits.errors import ImageError, UsageError
from edge_digits.find import Found, Region, find
from edge_digits.images import PictureSource, load_image
from edge_digits.ink import is_light_on_dark
from edge_digits.limits import MAX_DIGITS, MAX_PIXELS, MIN_CONFIDENCE, MIN_CONFIDENCE_UNSCORED
from edge_digits.opencv import cv2, memory_errors
from edge_digits.pieces import MAX_STROKE, quantile
from edge_digits.points import part_points
from edge_digits.reading import Digit, Reading, Record, Rejected, error_record
from edge_digits.slashes import set_slashes_apart
from edge_digits.tiles import BOX, SIDE, frame, stroke_width
from edge_digits.variations import ask_again
from edge_digits.ways import Part, are_digits, best_way, find_ways

if TYPE_CHECKING:
    from edge_digits.form import Form

SURELY = 0.95
"""Digit score below which there is no digit in a picture of something else."""
AMID_DIGITS = 0.5
"""Share of the model's threshold that is enough for a digit score where all else of its word, two digits or more, is
above it: what stands among digits is most likely one, and without it their number is a wrong one."""
WORD_GAP = 0.8
"""Heights of a digit that may lie between two of a word."""
LEAST_SCORED = 18
"""Pixels of the longer side: of fewer, a bar may be a 1 or the edge of anything, and no digit score tells."""
SMALL_PRINT = 3
"""Parts of a word at least, one of them of fewer pixels, of which together the scores do tell: they are letters …"""
SELDOM_DIGITS = 0.04
"""… where their geometric mean is below this."""
MANY_STROKES = 20
"""Parts from which on a picture may be one of strokes, digits or none: blades of grass, rain, hatching …"""
STROKES = 0.85
"""… where so many of the digits among them are 1s …"""
UNEVEN = 0.3
"""… and the middle half of their heights differs by more than this share of the median: one hand writes more evenly."""
MOST_CUT = 4
"""Digits into which one region is cut where the form of the number is known …"""
MANY = 100
"""… and where there are no more regions than this. Else only those are cut that look like several."""


@dataclass(frozen=True, eq=False)
class Trace:
    """How a picture was read, step by step."""

    image: NDArray[np.uint8]
    """(H, W) or (H, W, 3) uint8, BGR."""
    ink: NDArray[np.uint8] | None
    """Light flattened, bright on black, at the size it was searched at; None where there is none."""
    parts: tuple[Part, ...]
    """What was taken for a digit: its region, its tile, what the network said of it."""
    reading: Reading

    @property
    def regions(self) -> tuple[Region, ...]:
        """Where each part is."""
        return tuple(part.region for part in self.parts)

    @property
    def tiles(self) -> NDArray[np.uint8]:
        """(n, 28, 28): as the network saw them."""
        return np.array([part.tile for part in self.parts], np.uint8).reshape(-1, SIDE, SIDE)

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """(n, 10): what it said of each."""
        return np.array([part.probabilities for part in self.parts], np.float32).reshape(-1, 10)


class Reader:
    """Reads the digits in pictures with a bundled model or an .onnx of the contract.

    A digit less sure than `min_confidence` is rejected; a picture of more than `max_pixels` is refused undecoded;
    of more than `max_digits` regions the first are classified, and the others are rejected.

    Where the form of the number is known, `count` is how many digits it has, `pattern` what it looks like, such as
    `\\d{2}:\\d{2}` (see `form`): then the likeliest reading of that form is the one, or none where none fits.

    `min_confidence` is 0.35 if it is not given, 0.5 where the model does not tell what is no digit, and 0 for a form.

    Raises ModelError where the model is missing, damaged or not of the contract, UsageError for a form that is none,
    ValueError for a limit that is none.
    """

    def __init__(
        self,
        model: str | Path = "digits",
        *,
        min_confidence: float | None = None,
        max_pixels: int = MAX_PIXELS,
        max_digits: int = MAX_DIGITS,
        count: int | None = None,
        pattern: str | None = None,
        engine: EngineName = "auto",
    ) -> None:
        if count is not None and pattern is not None:
            raise UsageError("--count and --pattern exclude each other: a pattern says how many digits there are")
        if min_confidence is not None and not 0 <= min_confidence <= 1:
            raise ValueError(f"min_confidence must be 0 to 1, not {min_confidence}")
        if max_pixels < 1 or max_digits < 1:
            raise ValueError(f"max_pixels and max_digits must be 1 or more, not {max_pixels} and {max_digits}")
        self._form, self._count = _known_form(count, pattern), count
        self.classifier = Classifier(model, engine=engine)
        if min_confidence is None:
            min_confidence = MIN_CONFIDENCE if self.classifier.reject_below else MIN_CONFIDENCE_UNSCORED
            min_confidence = 0.0 if self._form else min_confidence
        self.min_confidence = min_confidence
        self.max_pixels, self.max_digits = max_pixels, max_digits

    def read(self, image: str | os.PathLike[str] | bytes | NDArray[np.uint8]) -> Reading:
        """What a picture says: a path, the bytes of a picture file, or an array, (H, W) or (H, W, 3) uint8, BGR.

        Arrays of other kinds are taken as `load_image` takes them.

        Raises ImageError where it cannot be read, ValueError where the array is no image.
        """
        return self.trace(image).reading

    def trace(self, image: str | os.PathLike[str] | bytes | NDArray[np.uint8]) -> Trace:
        """As `read`, with the steps that led there."""
        return self._trace(load_image(image, max_pixels=self.max_pixels))

    def __call__(self, batch: Batch) -> Batch:
        """As `read`, for `map_batches` of Ray Data: see `batches.read_batch`."""
        return read_batch(self, batch)

    def record(self, picture: PictureSource, top: int = 0) -> Record:
        """The record of a picture that was found; what cannot be read has its reason under `error`."""
        return self.record_and_trace(picture, top)[0]

    def record_and_trace(self, picture: PictureSource, top: int = 0) -> tuple[Record, Trace | None]:
        """As `record`, with the steps that led there; None where it cannot be read."""
        try:
            with memory_errors():
                trace = self._trace(picture.load(max_pixels=self.max_pixels))
        except ImageError as error:
            return error_record(picture.source, error.reason), None
        except MemoryError:
            return error_record(picture.source, "there is not enough memory to search it"), None
        return trace.reading.record(picture.source, top), trace

    def _trace(self, image: NDArray[np.uint8]) -> Trace:
        tile = as_tile(image)
        if tile is not None:
            rows, columns = np.flatnonzero(tile.any(axis=1)), np.flatnonzero(tile.any(axis=0))
            top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
            box = (int(left), int(top), int(right - left), int(bottom - top))
            found = Found((Region(box, tile[top:bottom, left:right]),), (), tile)
            wholes = self.ask(found.regions, tile[np.newaxis])
        else:
            found = find(image).cut_off(self.max_digits)
            wholes, points = part_points(join_halves(self.ask(found.regions), self.ask), self.ask)
            found = replace(found, rejected=(*found.rejected, *points))
        if self._form is not None:
            return self._trace_form(self._form, image, found, wholes)
        parts = wholes
        if tile is None:
            parts, slashes = set_slashes_apart([part for whole in wholes for part in self._cut(whole)])
            found = replace(found, rejected=(*found.rejected, *slashes))
        parts = self._ask_again(parts, framed=tile is None)
        answers = [(part, int(part.probabilities.argmax()), float(part.probabilities.max())) for part in parts]
        return Trace(image, found.ink, tuple(parts), self._reading(answers, found.rejected))

    def _cut(self, whole: Part) -> tuple[Part, ...]:
        """The digits that a region is best cut into, or the region as one."""
        parts = best_way(find_ways(whole, self.ask)).parts
        if len(parts) > 1 and self._is_none(whole, something_else=False) and any(map(_is_scored, parts)):
            all_digits = not any(self._is_none(part, something_else=False) for part in parts)
            return parts if all_digits and are_digits(whole, parts) else (whole,)
        return parts

    def _trace_form(self, form: Form, image: NDArray[np.uint8], found: Found, wholes: list[Part]) -> Trace:
        """The reading of a known form: the likeliest of all ways to cut what was found."""
        if self._count is not None and len(wholes) > self._count:
            wholes, slashes = set_slashes_apart(wholes)
            found = replace(found, rejected=(*found.rejected, *slashes))
        most = MOST_CUT if len(wholes) <= MANY else None
        fit = form.fit([find_ways(whole, self.ask, most) for whole in wholes])
        if fit is None:
            refused = tuple(Rejected(w.region.box, f"does not fit {form}: {w.probabilities.argmax()}") for w in wholes)
            return Trace(image, found.ink, tuple(wholes), Reading((), (*found.rejected, *refused)))
        dropped = tuple(Rejected(part.region.box, f"too many for {form}") for part in fit.dropped)
        parts = tuple(part for part, _, _ in fit.digits)
        return Trace(image, found.ink, parts, self._reading(fit.digits, (*found.rejected, *dropped)))

    def ask(self, regions: Sequence[Region], tiles: NDArray[np.uint8] | None = None) -> list[Part]:
        """What the network says of each region, framed; `tiles`, (n, 28, 28), where they are already."""
        if not regions:
            return []
        asked = np.stack([frame(region.ink) for region in regions]) if tiles is None else tiles
        said = self.classifier.classify(asked)
        probabilities = self._temper(said.probabilities, framed=tiles is None)
        scores = [None] * len(asked) if said.digit_scores is None else said.digit_scores.tolist()
        return [Part(*each) for each in zip(regions, asked, probabilities, scores, strict=True)]

    def _temper(self, probabilities: NDArray[np.float32], framed: bool) -> NDArray[np.float32]:
        """Those of framed tiles; a tile as it is gets the answer that its CSV row would get."""
        return temper(probabilities, self.classifier.picture_temperature) if framed else probabilities

    def _ask_again(self, parts: Sequence[Part], framed: bool) -> list[Part]:
        """The parts, with a steadier answer where the first was unsure and a digit is likely."""
        asked = [i for i, part in enumerate(parts) if not self._is_none(part, something_else=False)]
        if not asked:
            return list(parts)

        def classify(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
            return self._temper(self.classifier.classify(tiles).probabilities, framed)

        tiles, first = (np.stack([getattr(parts[i], name) for i in asked]) for name in ("tile", "probabilities"))
        answers = list(parts)
        for i, probabilities in zip(asked, ask_again(tiles, first, classify), strict=True):
            answers[i] = replace(parts[i], probabilities=probabilities)
        return answers

    def _are_none(self, parts: Sequence[Part]) -> list[bool]:
        """Of each part, in reading order, whether its digit score says that it is no digit, by what is around it."""
        everywhere = self._show_something_else(parts)
        found = []
        for word in _words(parts):
            if _is_small_print(word):
                found += [True] * len(word)
                continue
            something_else = self._show_something_else(word) or (everywhere and not _is_number(word))
            none = [self._is_none(part, something_else) for part in word]
            if none.count(True) == 1 and len(word) > 2 and not something_else:
                mild = AMID_DIGITS * self.classifier.reject_below
                none = [is_none and _is_below(part, mild) for is_none, part in zip(none, word, strict=True)]
            found += none
        return found

    def _show_something_else(self, parts: Sequence[Part]) -> bool:
        """Whether the network takes half of the parts of a picture or of a word, or more, for no digits."""
        scored = [part for part in parts if _is_scored(part)]
        nones = sum(_is_below(part, self.classifier.reject_below) for part in scored)
        return nones > 0 and len(scored) <= 2 * nones

    def _is_none(self, part: Part, something_else: bool) -> bool:
        """`something_else`: whether that is what the part is a part of."""
        if something_else:
            return _is_below(part, max(self.classifier.reject_below, SURELY))
        return _is_scored(part) and _is_below(part, self.classifier.reject_below)

    def _reading(self, answers: Sequence[tuple[Part, int, float]], rejected: tuple[Rejected, ...]) -> Reading:
        """`answers`: parts with their digits and confidences."""
        digits: list[Digit] = []
        refused = list(rejected)
        are_none = [False] * len(answers) if self._form else self._are_none([part for part, _, _ in answers])
        lines: dict[int, int] = {}  # a line whose every region is rejected leaves no gap
        for (part, digit, confidence), is_none in zip(answers, are_none, strict=True):
            region = part.region
            if is_none:
                refused.append(Rejected(region.box, f"not a digit: {part.score:.1%} for one"))
                continue
            if confidence < self.min_confidence:
                refused.append(Rejected(region.box, f"unsure: {confidence:.0%} for {digit}"))
                continue
            line = lines.setdefault(region.line, len(lines))
            digits.append(Digit(digit, confidence, region.box, line, tuple(float(p) for p in part.probabilities)))
        if self._form is None and _are_strokes(digits, len(answers)):
            refused += [Rejected(digit.box, "not a digit: one of many uneven strokes") for digit in digits]
            digits = []
        return Reading(tuple(digits), tuple(refused))


def _known_form(count: int | None, pattern: str | None) -> Form | None:
    if count is None and pattern is None:
        return None
    from edge_digits.form import Form

    return Form.of_count(count) if count is not None else Form.of_pattern(pattern or "")


def _are_strokes(digits: Sequence[Digit], looked_at: int) -> bool:
    """Whether digits, of so many parts that were looked at, are not a hand's, but strokes of all lengths like 1s."""
    ones = sum(digit.digit == 1 for digit in digits)
    if not digits or looked_at < MANY_STROKES or ones < STROKES * len(digits):
        return False
    heights = [digit.box[3] for digit in digits]
    low, middle, high = (quantile(heights, share) for share in (0.25, 0.5, 0.75))
    return high - low > UNEVEN * middle


def _words(parts: Sequence[Part]) -> list[list[Part]]:
    """Parts in reading order, in runs that stand side by side."""
    words: list[list[Part]] = []
    for part in parts:
        if words and _stand_side_by_side(words[-1][-1].region, part.region):
            words[-1].append(part)
        else:
            words.append([part])
    return words


def _stand_side_by_side(one: Region, other: Region) -> bool:
    gap = other.box[0] - (one.box[0] + one.box[2])
    return one.line == other.line and gap <= WORD_GAP * max(one.box[3], other.box[3])


def _is_number(word: Sequence[Part]) -> bool:
    """Whether all of a word but one at most are surely digits, two or more: then it is one whatever is around it."""
    surely = sum(_is_scored(part) and not _is_below(part, SURELY) for part in word)
    return surely >= max(2, len(word) - 1)


def _is_small_print(word: Sequence[Part]) -> bool:
    """Whether a word is one of letters, too small for the score of each to tell."""
    if len(word) < SMALL_PRINT or all(map(_is_scored, word)):
        return False
    return sum(part.log_score for part in word) < len(word) * math.log(SELDOM_DIGITS)


def _is_scored(part: Part) -> bool:
    """Whether it has a digit score that tells."""
    return part.score is not None and max(part.region.box[2:]) >= LEAST_SCORED


def _is_below(part: Part, threshold: float) -> bool:
    return part.score is not None and part.score < threshold


def as_tile(image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The image itself, ink bright on black, where it is a tile in MNIST's normal form already; None where it is not.

    Such a tile reaches the network as its CSV row would: every step that it is spared is one that could change it.
    """
    if image.shape[:2] != (SIDE, SIDE):
        return None
    gray = to_gray(image)
    tile = gray if is_light_on_dark(gray) else np.asarray(255 - gray, np.uint8)
    rows, columns = np.flatnonzero(tile.any(axis=1)), np.flatnonzero(tile.any(axis=0))
    if not len(rows) or max(np.ptp(rows), np.ptp(columns)) + 1 not in range(BOX - 1, BOX + 1):
        return None
    moments = cv2.moments(tile)
    x, y = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    if stroke_width(tile) > MAX_STROKE * BOX:
        return None
    centred = abs(x - SIDE / 2) < 1 and abs(y - SIDE / 2) < 1
    return tile if centred else None
