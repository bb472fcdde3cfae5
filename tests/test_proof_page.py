from __future__ import annotations

import copy
import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import proofs
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="export is not installed: pip install 'edge-digits[train]'")

from edge_digits.errors import OutputExistsError
from edge_digits_export.proof_page import render_proof_page, write_proof_page

Proof = dict[str, Any]


@pytest.fixture(scope="module")
def made(tiles: NDArray[np.uint8], labels: NDArray[np.int64]) -> Proof:
    return proofs.proof(tiles, labels)


@pytest.fixture
def proof(made: Proof) -> Proof:
    """One that may be changed."""
    return copy.deepcopy(made)


class Page(HTMLParser):
    """A page as a browser takes it apart: what is open is closed, and what it shows as text."""

    EMPTY = frozenset({"meta", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.shown = ""
        self.cells: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in {"td", "th"}:
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.shown += data.replace("\xa0", " ")
            if {"td", "th"} & set(self.open):
                self.cells[-1][-1] += data.replace("\xa0", " ")

    def row(self, first: str) -> list[str]:
        """The cells of the row that begins so."""
        return next(cells for cells in self.cells if cells[0] == first)


def test_the_page_is_one_file_that_fetches_and_runs_nothing(proof: Proof) -> None:
    page = Page(render_proof_page(proof))
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed", "form", "video", "audio"}
    for tag, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on")}
        for name in ("src", "href", "srcset", "action", "data"):
            assert (attributes.get(name) or "data:image/png;base64,").startswith("data:image/png;base64,"), tag
    assert "url(" not in render_proof_page(proof)
    assert "@import" not in render_proof_page(proof)
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_the_verdict_comes_first_with_its_figures(proof: Proof) -> None:
    text = Page(render_proof_page(proof)).shown
    top = " ".join(text[: text.index("Gates")].split())
    for precision in ("int8", "fp32"):
        found = proof["parity"][precision]
        assert f"{100 * found['accuracy']:.2f} %" in top
        low, high = found["interval"]
        assert f"{100 * low:.2f} to {100 * high:.2f} %" in top
    assert f"of {proof['parity']['int8']['n']:,} digits held out are read right" in top
    assert "all 5 gates passed" in top
    assert f"{proof['files']['int8']['bytes']:,}" in top
    assert "82,786" in top
    assert "2.32 times as long" in top


def test_a_gate_that_was_not_passed_is_in_the_verdict(proof: Proof) -> None:
    proof["gates"][3].update(passed=False, figure=0.002)
    page = Page(render_proof_page(proof))
    assert "1 of 5 gates not passed" in page.shown
    assert page.row("int8 accuracy")[2:] == ["0.200 points", "0.050 points", "not passed"]
    assert "all 5 gates" not in page.shown


def test_a_drop_within_chance_says_so(proof: Proof) -> None:
    proof["gates"][3].update(figure=0.0007)
    page = Page(render_proof_page(proof))
    assert page.row("int8 accuracy")[-1] == "passed (within chance)"
    assert "Within chance: past its limit, but by no more than these few rows would show by chance alone" in page.shown


def test_what_int8_wins_is_no_loss(proof: Proof) -> None:
    assert "Within chance" not in Page(render_proof_page(proof)).shown
    proof["gates"][3].update(figure=-0.00017)
    assert Page(render_proof_page(proof)).row("int8 accuracy")[2] == "none: 0.017 points won"


def test_training_rows_in_the_comparison_are_told(proof: Proof) -> None:
    pair = proof["parity"]["fp32_int8"]
    assert "training rows as well" not in Page(render_proof_page(proof)).shown
    proof["parity"]["int8"]["n"] = 250
    pair["rows"] = 2000
    shown = Page(render_proof_page(proof)).shown
    assert "As 250 rows are few, fp32 and int8 are compared with each other on 1,750 training rows as well" in shown
    assert "rows in all" not in shown
    pair["rows"] = 1999
    assert "There are 1,999 rows in all: fewer than 2,000 say little" in Page(render_proof_page(proof)).shown


def test_a_slower_int8_is_called_so(proof: Proof) -> None:
    proof["latency"].update(fp32_us=40.0, int8_us=68.0, ratio_fp32_to_int8=0.59)
    shown = Page(render_proof_page(proof)).shown
    assert "fp32 takes 40 µs, so int8 is 1.7 times slower here: it saves space alone" in shown
    assert "0.59 times as long" not in shown


def test_the_page_names_no_folder_of_the_machine_but_the_networks(proof: Proof) -> None:
    proof["source"]["network"] = "/home/somebody/runs/base/best.keras"
    html = render_proof_page(proof)
    assert "base/best.keras" in html
    assert "somebody" not in html
    assert "/base" not in html


def test_rows_that_served_twice_are_told(proof: Proof) -> None:
    proof["temperature"]["on_compared_rows"] = True
    shown = Page(render_proof_page(proof)).shown
    assert f"{proof['temperature']['value']:.4g}, fitted on the compared rows: loss" in shown


@pytest.mark.parametrize(
    ("pixels", "said"), [("unit", "0 to 1"), ("bytes", "bytes, 0 to 255"), ("33.3,78.6", "over a deviation: 33.3,78.6")]
)
def test_the_pixels_of_the_network_are_told(proof: Proof, pixels: str, said: str) -> None:
    proof["pixels"] = pixels
    assert said in Page(render_proof_page(proof)).shown


def test_numbers_are_not_broken(proof: Proof) -> None:
    """The page breaks words anywhere, so that hashes fit a telephone: numbers must be kept from it."""
    style = render_proof_page(proof).partition("<style>")[2].partition("</style>")[0]
    assert "td { white-space: nowrap; }" in style
    assert ".result strong, .boxes b { white-space: nowrap; }" in style


def test_each_gate_stands_with_its_figure_and_limit(proof: Proof) -> None:
    page = Page(render_proof_page(proof))
    assert page.row("fp32 difference")[2:] == ["1.2e-07", "1e-05", "passed"]
    assert page.row("fp32 digits")[2:] == ["0", "0", "passed"]
    assert page.row("int8 agreement")[2:] == ["100.00 %", "99.90 %", "passed"]
    proof["gates"].append({"name": "something new", "figure": 3, "limit": 4, "passed": True})
    assert Page(render_proof_page(proof)).row("something new") == ["something new", "", "3", "4", "passed"]


def test_accuracies_and_agreement_are_those_of_the_proof(proof: Proof) -> None:
    page = Page(render_proof_page(proof))
    for key, name in (("keras", "Keras"), ("fp32", "fp32"), ("int8", "int8")):
        found = proof["parity"][key]
        assert page.row(name)[1] == f"{100 * found['accuracy']:.2f} %"
        assert page.row(name)[3] == f"{found['correct']:,} of {found['n']:,}"
    pair = proof["parity"]["fp32_int8"]
    cells = page.row("fp32 and int8")
    assert cells[1] == f"{pair['rows']:,}"
    assert float(cells[2]) == pytest.approx(pair["max_difference"], rel=0.01)
    assert cells[4:] == [str(pair["different_digits"]), f"{pair['different_clear_digits']} of {pair['clear_rows']:,}"]


@pytest.mark.parametrize(
    ("drop", "said"),
    [
        (0.0, "int8 reads as many right as fp32"),
        (0.0012, "int8 reads 0.120 points fewer right"),
        (-0.0004, "int8 reads 0.040 points more right"),
    ],
)
def test_the_drop_is_said_in_words(proof: Proof, drop: float, said: str) -> None:
    proof["parity"]["int8_drop"] = drop
    assert said in Page(render_proof_page(proof)).shown


def test_a_bar_is_as_long_as_its_signal_to_noise(proof: Proof) -> None:
    html = render_proof_page(proof)
    widths = [float(width) for width in re.findall(r'class="bar" style="width: ([\d.]+)%"', html)]
    assert widths[0] / widths[1] == pytest.approx(38.2 / 29.5, rel=0.01)
    page = Page(html)
    assert page.row("conv1")[1:] == ["Conv, Relu", "24 × 26 × 26", "240", "146,016", "960", "624", " 38.2 dB"]
    assert page.row("softmax1")[-1] == "not quantized"


@pytest.mark.parametrize(("decibels", "width", "text"), [(200.0, 55.0, "nothing lost"), (-3.0, 0.0, "-3.0 dB")])
def test_a_bar_stays_within_its_track(proof: Proof, decibels: float, width: float, text: str) -> None:
    proof["layers"][0]["snr_db"] = decibels
    html = render_proof_page(proof)
    assert f'style="width: {width}%"' in html
    assert Page(html).row("conv1")[-1] == f" {text}"


def test_the_tiles_are_the_pictures_of_the_proof(proof: Proof, tiles: NDArray[np.uint8]) -> None:
    page = Page(render_proof_page(proof))
    pictures = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 25
    for source, one in zip(pictures, proof["disagreements"], strict=True):
        data = b64decode(str(source).partition(",")[2])
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(found, tiles[one["row"]])


def test_each_tile_stands_with_both_answers_and_the_label(proof: Proof) -> None:
    one = proof["disagreements"][0]
    one.update(label=7, row=1234, fp32=[0.0] * 7 + [0.6, 0.4, 0.0], int8=[0.0] * 7 + [0.45, 0.55, 0.0])
    html = render_proof_page(proof)
    shown = " ".join(Page(html).shown.split())
    assert "fp32: 7 with 60.00 %int8: 8 with 55.00 %label 7: int8 wrongrow 1,234" in shown
    assert html.count('<li class="other">') == 1 + sum(
        np.argmax(each["fp32"]) != np.argmax(each["int8"]) for each in proof["disagreements"][1:]
    )
    one.update(label=9)
    assert "label 9: both wrong" in Page(render_proof_page(proof)).shown


def test_the_search_is_shown_where_there_was_one(proof: Proof) -> None:
    assert "What else was tried" not in render_proof_page(proof)
    chosen = proof["quantization"]["choice"]
    tried = {"choice": chosen, "accuracy": 0.99, "drop": 0.0, "agreement": 1.0, "microseconds": 70.0, "passed": True,
             "why": None}  # fmt: skip
    other = {**tried, "choice": {**chosen, "float_layers": ["conv1"]}, "passed": False, "why": "it is <slow>"}
    proof["search"] = [other, tried]
    html = render_proof_page(proof)
    assert "not passed: it is <slow>" in Page(html).shown
    assert html.count('<tr class="best">') == 1
    assert html.index("conv1", html.index("What else was tried")) < html.index('<tr class="best">')


def test_all_that_comes_from_the_proof_is_escaped(proof: Proof) -> None:
    evil = "<script>alert('x')</script>&\""

    def poison(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {(evil if key == "versions" else name): poison(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [poison(inner, key) for inner in value]
        return evil if isinstance(value, str) and key != "tile" else value

    bad = poison(proof)
    bad["search"] = [{"choice": bad["quantization"]["choice"], "accuracy": 1.0, "drop": 0.0, "agreement": 1.0,
                      "microseconds": 1.0, "passed": False, "why": evil}]  # fmt: skip
    html = render_proof_page(bad)
    assert "<script" not in html
    assert not [tag for tag, _ in Page(html).tags if tag == "script"]
    assert Page(html).shown.count(evil) > 15


def test_a_network_of_ones_own_has_its_page_too(proof: Proof) -> None:
    """A .keras file has no recipe, no seed and no versions, and may have seen the rows."""
    proof["source"] = {key: proof["source"][key] for key in ("network", "network_sha256", "data")}
    proof["source"]["data"]["compared_rows_were"] = "which it may have seen"
    proof["temperature"] = {"value": 1.0, "rows": 0, "loss_before": None, "loss_after": None, "on_compared_rows": False}
    proof["disagreements"] = []
    page = Page(render_proof_page(proof))
    assert "digits which it may have seen are read right" in page.shown
    assert "disagree most" not in page.shown


def test_how_it_was_made_is_told(proof: Proof) -> None:
    shown = Page(render_proof_page(proof)).shown
    parts = [
        "base/best.keras", "1" * 64, "2" * 64, "digits-int8.onnx", "recipe base, seed 0, passes 80, pass 60",
        "uint8 × int8 of 7 bits, per channel, calibration 1000, method minmax",
        f"{proof['temperature']['value']:.4g}, fitted on 5,000 rows",
        "1,000 training tiles, varied as in training, seed 0", "keras 3.15.1, onnxruntime 1.31.1",
    ]  # fmt: skip
    for part in parts:
        assert part in shown
    for file in proof["files"].values():
        assert file["sha256"] in shown


def test_the_same_proof_makes_the_same_page(proof: Proof, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    write_proof_page(proof, str(path), force=False)
    assert path.read_text(encoding="utf-8") == render_proof_page(proof)
    with pytest.raises(OutputExistsError):
        write_proof_page(proof, str(path), force=False)
    write_proof_page({**proof, "name": "other"}, str(path), force=True)
    assert "<h1>other</h1>" in path.read_text(encoding="utf-8")
