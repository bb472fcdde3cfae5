from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edge_digits.errors import UsageError
from edge_digits.find import Region
from edge_digits.form import Form
from edge_digits.ways import Part, Way


def part(**chances: float) -> Part:
    """A part with these chances: d3=0.6, the rest shared out."""
    given = {int(name[1:]): chance for name, chance in chances.items()}
    row = np.full(10, (1 - sum(given.values())) / (10 - len(given)), np.float32)
    for digit, chance in given.items():
        row[digit] = chance
    return Part(Region((0, 0, 9, 9), np.zeros((9, 9), np.uint8)), np.zeros((28, 28), np.uint8), row)


def one(**chances: float) -> list[Way]:
    return [Way((part(**chances),), 0.0)]


def text(form: Form, regions: list[list[Way]]) -> str | None:
    fit = form.fit(regions)
    return None if fit is None else "".join(str(digit) for _, digit, _ in fit.digits)


THREE = [one(d3=0.6, d5=0.3), one(d7=0.9), one(d1=0.5, d4=0.45)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"\d\d\d", "371"), (r"\d{3}", "371"), (r"\d{1,5}", "371"), (r"\d+", "371"), (r"\d*", "371"),
        (r"5\d\d", "571"), (r"[5-9]\d[2-9]", "574"), (r"\d{2}:\d", "371"), (r"\d{2}\.\d{1,2}", "371"),
        (r"\d\d\d\d?", "371"), (r"1?\d+", "371"), (r"[35]+7\d", "371"), (r"(3)", None),
    ],
)  # fmt: skip
def test_the_likeliest_digits_that_the_pattern_allows_are_read(pattern: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(UsageError, match="at 1 is none of"):
            Form.of_pattern(pattern)
    else:
        assert text(Form.of_pattern(pattern), THREE) == expected


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "there is no digit in it"), (":", "there is no digit in it"), ("abc", "'a' at 1"), (r"\d{2", r"'{' at 3"),
        (r"\w+", r"'\\\\' at 1"), ("[9-0]", "bad character range"), (r"\d{5,2}", r"\{5,2\} ends below where it begins"),
        (r"\d{4", r"--pattern '\\d{4': '{' at 3"),
        (r"\d{9999}", "repeats more than 1,000 times"), (r"\d|\d", "at 3"), ("[^0]", r"'\[' at 1"), ("{2}", "at 1"),
    ],
)  # fmt: skip
def test_a_pattern_that_is_none_is_refused_with_the_place(pattern: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Form.of_pattern(pattern)


@pytest.mark.parametrize("count", [0, -1, 1001, True, "4", 4.0])
def test_a_count_that_cannot_be_is_refused(count: Any) -> None:
    with pytest.raises(UsageError, match=f"--count {count}: it must be a whole number, 1 to 1,000"):
        Form.of_count(count)


def test_a_region_is_cut_where_the_form_wants_one_digit_more() -> None:
    two = Way((part(d1=0.99), part(d5=0.99)), -3.0)
    regions = [one(d3=0.9), [*one(d4=0.9), two], one(d2=0.9)]
    assert text(Form.of_count(3), regions) == "342"
    assert text(Form.of_count(4), regions) == "3152"
    assert text(Form.of_count(5), regions) is None


def test_the_region_that_costs_least_is_dropped_where_there_is_one_too_many() -> None:
    regions = [one(d3=0.9), one(d4=0.9), one(d2=0.9)]
    fit = Form.of_pattern(r"3\d").fit(regions)
    assert fit is not None
    assert len(fit.dropped) == 1
    assert "".join(str(digit) for _, digit, _ in fit.digits) in {"34", "32"}
    assert text(Form.of_pattern("42"), regions) == "42"
    assert text(Form.of_count(2), []) is None


@pytest.mark.parametrize("pattern", [r"\d{2}/\d{2}", r"\d\d / \d\d", r"\d{1,2}/\d{2}"])
def test_what_stands_where_the_pattern_has_a_mark_is_passed_over(pattern: str) -> None:
    regions = [one(d3=0.9), one(d7=0.9), one(d1=0.99), one(d4=0.9), one(d2=0.9)]
    fit = Form.of_pattern(pattern).fit(regions)
    assert fit is not None
    assert [digit for _, digit, _ in fit.digits] == [3, 7, 4, 2]
    assert fit.dropped == regions[2][0].parts


def test_nothing_is_passed_over_where_all_of_it_may_be_read() -> None:
    assert text(Form.of_pattern(r"\d{1,3}/\d{2}"), [one(d3=0.9)] * 5) == "33333"


def test_digits_that_were_cut_out_against_the_picture_are_not_sure() -> None:
    def surest(worth: float) -> float:
        two = Way((part(d1=0.99), part(d5=0.99)), worth)
        fit = Form.of_count(2).fit([[*one(d4=0.9), two]])
        assert fit is not None
        return max(sure for _, _, sure in fit.digits)

    assert surest(2.0) > 0.95
    assert surest(-6.0) < 0.1
    assert surest(-2000.0) < 1e-9


def test_confidence_is_the_share_among_the_digits_that_may_stand_there() -> None:
    fit = Form.of_pattern("[35]").fit([one(d3=0.2, d5=0.1, d8=0.6)])
    assert fit is not None
    ((_, digit, sure),) = fit.digits
    assert digit == 3
    assert math.isclose(sure, 2 / 3, rel_tol=1e-5)


def test_many_places_take_no_time() -> None:
    assert text(Form.of_pattern(r"\d{0,1000}"), [one(d3=0.9)] * 50) == "3" * 50
