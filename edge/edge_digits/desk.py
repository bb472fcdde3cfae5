"""Sheets of paper in a photo, told from the desk that they lie on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_digits.ink import MIN_CONTRAST, MIN_SCENE, shrink
from edge_digits.levels import count_levels, percentile
from edge_digits.opencv import cv2
from edge_digits.pieces import EDGE_OF_SHEET, quantile

SEARCHED_SIDE = 256
"""Pixels of the longer side: enough to see a sheet's edges."""
LEAST, MOST = 0.04, 0.97
"""Shares of the picture between which a sheet covers it: less is none to write on, more leaves no desk beside it."""
STRAIGHT = 0.02
"""Share of its outline by which an edge may be off a straight line."""
EDGES = 2, 4
"""A sheet has so many, but for those that the picture's border makes; a shadow that falls on it has one."""
SLENDER = 0.3
"""Share of its length that a sheet is wide at least; what is slimmer may be a 1."""
COVERED = 0.94
"""Share of the polygon of its corners that a sheet covers at least."""
BLANK = 0.6
"""Share of a sheet that is paper without ink at least: a frame has less."""
STEP = 12
"""Levels of brightness that a sheet's edge rises by at least, beside its desk …"""
SEEN = 0.9
"""… on that share of its outline, and all of it to the same side."""
DESK = 2 / 100, 5 / 100, 10 / 100
"""Shares of the picture's longer side at which a desk is looked for beside a sheet: a stroke ends before."""
SHARP = 0.8
"""Share of what an edge rises by from the second of these places that it rises by from the first; a shadow is soft."""
LIGHT_SIDE, REACH = 32, 1.6
"""Pixels of the longer side on which the light on the paper is carried on beside it, and how far it is smoothed."""


def find_sheets(gray: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """1 on sheets that lie on a darker or a lighter desk, but for their edges, (H, W) uint8; None where there are none.

    They may be turned, seen from aslant, and cut off by the picture's border.
    """
    if max(gray.shape) < MIN_SCENE:
        return None
    small = shrink(gray, SEARCHED_SIDE)
    scale = np.array(gray.shape[::-1]) / np.array(small.shape[::-1])
    edge = np.ones((round(max(gray.shape) * EDGE_OF_SHEET) * 2 + 1,) * 2, np.uint8)
    for outlines in _outlines(small):
        found = [hull for outline, blank in outlines if (hull := _sheet(outline, blank, small)) is not None]
        if not found:
            continue
        sheets = np.zeros_like(gray)
        for hull in found:
            cv2.fillConvexPoly(sheets, np.rint((hull + 0.5) * scale - 0.5).astype(np.int32), 1)
        sheets = np.asarray(cv2.erode(sheets, edge, borderType=cv2.BORDER_CONSTANT, borderValue=1), np.uint8)
        if _are_written_on(gray, sheets):
            return sheets
    return None


def desk_beside(sheets: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 where none of the sheets, (H, W), nor the edge of one is."""
    edge = np.ones((round(max(sheets.shape) * EDGE_OF_SHEET) * 4 + 3,) * 2, np.uint8)
    return np.asarray(1 - cv2.dilate(sheets, edge), np.uint8)


def without_desk(gray: NDArray[np.uint8], sheets: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, (H, W) uint8, with paper in place of what lies beside sheets: as bright as they are nearby."""
    return np.where(sheets > 0, gray, _carry_on(gray, sheets)).astype(np.uint8)


def on_one_paper(gray: NDArray[np.uint8], sheets: NDArray[np.uint8], desk: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, (H, W) uint8, with the sheets as bright as the desk is, and what is neither as the desk."""
    around = _carry_on(gray, desk)
    level = np.clip(gray + around - _carry_on(gray, sheets), 0, 255)
    return np.where(sheets > 0, level, np.where(desk > 0, gray, around)).astype(np.uint8)


def _carry_on(gray: NDArray[np.uint8], places: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How bright it would be all over the picture, (H, W): as it is nearby on places, 1 in (H, W)."""
    if not places.any():
        return np.zeros(gray.shape, np.float32)
    scale = LIGHT_SIDE / max(gray.shape)
    size = max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale))
    share, light = (
        cv2.GaussianBlur(cv2.resize(each, size, interpolation=cv2.INTER_AREA).astype(np.float32), (0, 0), REACH)
        for each in (places * np.uint8(255), gray * places)
    )
    nowhere = 0.25  # of 255: as good as none near
    near = 255 * (light + nowhere * light.sum() / share.sum()) / (share + nowhere)
    return np.asarray(cv2.resize(near.clip(0, 255), gray.shape[::-1]), np.float32)


def _outlines(gray: NDArray[np.uint8]) -> Iterator[list[tuple[NDArray[np.int32], float]]]:
    """(outline, (n, 1, 2) of x and y, area without holes) of large places that may be sheets.

    Of what is lighter than the rest, of what is darker, and of what edges enclose.
    """
    _, light = cv2.threshold(gray, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    rise = cv2.morphologyEx(cv2.blur(gray, (3, 3)), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    for places in (light, 1 - light, rise < STEP):
        outlines, nested = cv2.findContours(np.asarray(places, np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        if not outlines:
            continue
        areas, hole_of = np.array([cv2.contourArea(each) for each in outlines]), nested[0, :, 3]
        is_hole = hole_of >= 0
        blank = areas - np.bincount(hole_of[is_hole], areas[is_hole], len(areas))
        large = np.flatnonzero(~is_hole & (areas > LEAST * gray.size) & (areas < MOST * gray.size))
        yield [(np.asarray(outlines[i], np.int32), float(blank[i])) for i in large.tolist()]


def _sheet(outline: NDArray[np.int32], blank: float, gray: NDArray[np.uint8]) -> NDArray[np.int32] | None:
    """The hull, (n, 2) of x and y, of what has this outline and covers so much without its holes; None: no sheet."""
    hull = np.asarray(cv2.convexHull(outline)[:, 0], np.int32)
    whole, sides, corners = cv2.contourArea(hull), cv2.minAreaRect(hull)[1], corners_of(hull)
    covered = min(cv2.contourArea(outline), cv2.contourArea(corners)) >= COVERED * whole and blank >= BLANK * whole
    return hull if covered and min(sides) >= SLENDER * max(sides) and _has_edges(corners, gray) else None


def corners_of(hull: NDArray[np.int32]) -> NDArray[np.int32]:
    """The corners of an outline, both (n, 2) of x and y; its edges may be off a straight line."""
    corners = cv2.approxPolyDP(hull, STRAIGHT * cv2.arcLength(hull, closed=True), closed=True)
    return np.asarray(corners[:, 0], np.int32)


def _has_edges(corners: NDArray[np.int32], gray: NDArray[np.uint8]) -> bool:
    """Whether the edges of a polygon are those of a sheet, but for the ones that the picture's border makes."""
    far = np.array(gray.shape[::-1]) - 1
    middle = corners.mean(axis=0)
    rises = []
    for one, other in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if (((one <= 2) & (other <= 2)) | ((one >= far - 2) & (other >= far - 2))).any():
            continue
        along = other - one
        across = np.array([-along[1], along[0]]) / max(1.0, float(np.hypot(*along)))
        across *= np.sign(across @ (middle - one)) * max(gray.shape)
        places = one + np.linspace(0.1, 0.9, 20)[:, None] * along
        paper, *desk = (_look(gray, places + off * across) for off in (DESK[0], *(-off for off in DESK)))
        rises.append(paper - np.array(desk))
    if not EDGES[0] <= len(rises) <= EDGES[1]:
        return False
    rise = np.concatenate(rises, axis=1)
    rise *= np.sign(quantile(rise.ravel().tolist(), 0.5))
    at_once, soon, _ = (quantile(row, 0.5) for row in rise.tolist())
    return bool(np.mean(rise >= STEP) >= SEEN and at_once >= SHARP * soon)


def _look(gray: NDArray[np.uint8], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """The brightness at places (n, 2) of x and y, or where the picture ends on the way there."""
    x, y = np.rint(np.clip(places, 0, np.array(gray.shape[::-1]) - 1)).astype(int).T
    return np.asarray(gray[y, x], np.float64)


def _are_written_on(gray: NDArray[np.uint8], sheets: NDArray[np.uint8]) -> bool:
    """Whether anything differs from the paper as ink must."""
    levels = count_levels(gray, sheets)
    found = np.flatnonzero(levels)
    return len(found) > 0 and int(np.abs(found - percentile(levels, 50)).max()) > MIN_CONTRAST * 255
