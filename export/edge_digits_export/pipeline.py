"""A run or a .keras file → NAME-fp32.onnx, NAME-int8.onnx, NAME.proof.json and NAME.proof.html, or nothing."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import onnx

import edge_digits
from edge_digits.classifier import CONTRACT, temper
from edge_digits.errors import OutputError, UsageError
from edge_digits.outputs import check_output, open_output
from edge_digits_export.bench import Bench, Candidate
from edge_digits_export.calibration import CalibrationTiles, draw_calibration
from edge_digits_export.choice import QuantizationChoice
from edge_digits_export.convert import (
    convert_or_refuse,
    hash_weights,
    load_network,
    pixels_of,
    predict,
    set_temperature,
    takes_whole_numbers,
)
from edge_digits_export.gates import FEW_ROWS, LEAST_ROWS, Gate, Limits, check_gates
from edge_digits_export.graph import SIGNIFICANT_BITS, round_weights, write_bytes
from edge_digits_export.latency import measure_latency, slowdown
from edge_digits_export.layers import describe_layers, worst_layers
from edge_digits_export.pixels import BYTES, USUAL, Pixels
from edge_digits_export.proof import Findings, build_proof, tool_versions
from edge_digits_export.proof_page import write_proof_page
from edge_digits_export.scoring import Scoring, measure_scores
from edge_digits_export.search import Trial, search
from edge_digits_export.simplify import ConversionError
from edge_digits_export.sources import Source, name_model, open_source
from edge_digits_export.temperature import HIGHEST, LOWEST, Temperature, find_logits, fit_temperature
from edge_digits_export.verify import (
    Parity,
    Probabilities,
    check_finite,
    check_probabilities,
    paired_difference,
    rows_text,
)

Note = Callable[[str], None]
LEAST_BITS = 12
"""Of a weight of fp32: below it is no float any more that one would call so."""


@dataclass(frozen=True)
class ExportSettings:
    """What to export, where to, and how."""

    source: Path
    """A run folder (its best network) or a .keras file."""
    output: Path
    """The folder that the files go to; it is made where it is missing."""
    data: str | Path | None = None
    """Labelled rows, as `load_data` takes them. None: those that the run was trained on."""
    name: str | None = None
    """None: the recipe's name, or the file's."""
    force: bool = False
    """Replace files that are there."""
    limits: Limits = field(default_factory=Limits)
    choice: QuantizationChoice = field(default_factory=QuantizationChoice)
    """How int8 is made."""
    search: bool = False
    """Try a grid of choices instead, and keep the fastest that passes the gates."""
    temperature: float | None = None
    """None: fitted on the held-out rows."""
    significant_bits: int = SIGNIFICANT_BITS
    """Of the weights of fp32's largest layer, 12 to 24, smaller ones have more: with fewer a package of it gets
    smaller, as far as its gate lets it."""
    pixels: str | None = None
    """What the network was trained on: "unit" (0 to 1), "bytes", "signed" (−1 to 1), or "MEAN,STD" of the bytes. None:
    the bytes where it takes or scales them by itself, else 0 to 1; refused where another of these reads better."""


@dataclass(frozen=True)
class Exported:
    """What came of it."""

    fp32: Path
    int8: Path
    proof: Path
    page: Path
    """The proof for people."""
    parity: Parity
    compared_were: str
    """What the compared rows are to the network: "held out", …"""
    choice: QuantizationChoice
    temperature: Temperature

    def text(self) -> str:
        """The comparison as a table for people."""
        return self.parity.text(self.compared_were)


def export(settings: ExportSettings, note: Note = lambda _: None) -> Exported:
    """Converts, quantizes, compares, and writes the files when every gate is passed. `note` is told each step.

    Raises InputError for a source that cannot be read, UsageError for settings that do not fit it, GateError where a
    gate is not passed: then nothing is written.
    """
    asked = None if settings.pixels is None else Pixels.parse(settings.pixels)
    name = name_model(settings.source, settings.name)
    paths = _check_outputs(settings, name)
    if not LEAST_BITS <= settings.significant_bits <= SIGNIFICANT_BITS:
        raise UsageError(f"--bits {settings.significant_bits}: it must be {LEAST_BITS} to {SIGNIFICANT_BITS}")
    source = open_source(settings.source, settings.data, name)
    note("converting")
    network = load_network(source.network)
    pixels = _pixels(network, asked, settings.source)
    told = predict(network, source.compared.tiles, pixels)
    answers = told.probabilities
    check_finite("Keras", answers)
    check_probabilities(str(settings.source), answers)
    early = [*_recorded_gate(source, answers), *([] if asked else _pixels_gate(network, pixels, source))]
    check_gates(early)
    temperature, fp32 = _convert(settings, source, network, pixels)
    written = round_weights(fp32, settings.significant_bits)
    answers = temper(answers, temperature.value)

    def draw(n: int) -> CalibrationTiles:
        return draw_calibration(source.training, n, source.augmentation)

    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            fp32, written, answers, source.compared, source.more, draw, settings.limits, Path(folder), settings.source
        )
        check_gates(bench.fp32_gates())  # what is wrong before int8 is said before any time is spent on it
        note("quantizing")
        candidate, trials = _quantize(settings, bench, note)
        note(f"comparing on {rows_text(len(source.compared), source.compared_were)}")
        if candidate.parity.fp32_int8.rows < LEAST_ROWS:
            note(f"int8 and fp32 were compared on {candidate.parity.fp32_int8.rows:,} rows alone: {FEW_ROWS}")
        noise = bench.noise(candidate.choice)
        check_gates(candidate.gates, _worst(noise))
        models = {"fp32": bench.classifier, "int8": candidate.classifier}
        scoring = measure_scores(told.digit_scores, models, source)
        score_gates = scoring.gates(settings.limits) if scoring else []
        check_gates(score_gates)
        if scoring is not None:
            note(scoring.text())
        times = measure_latency(models, source.compared.tiles[0])
        if slower := slowdown(times["fp32"], times["int8"]):
            note(f"int8 is {slower:.1f} times slower than fp32 here: it saves space alone")
        files = {
            precision: write_bytes(model, _metadata(source, precision, candidate.parity, scoring))
            for precision, model in (("fp32", written), ("int8", candidate.model))
        }
        found = Findings(
            name=source.name,
            recipe=source.recipe,
            source={**source.about, "network_sha256": hash_weights(network)},
            parameters=int(network.count_params()),
            pixels=pixels,
            significant_bits=settings.significant_bits,
            temperature=temperature,
            tempered_on_compared=source.tempered_on_compared and temperature.rows > 0,
            candidate=candidate,
            calibration=bench.calibration(candidate.choice),
            trials=trials,
            gates=[*early, *candidate.gates, *score_gates],
            scoring=scoring,
            layers=describe_layers(fp32, candidate.model, noise),
            compared=source.compared,
            fp32=bench.answers,
            files=files,
            microseconds=times,
        )
    _write(settings, paths, files, found)
    return Exported(*paths, candidate.parity, source.compared_were, candidate.choice, temperature)


def _check_outputs(settings: ExportSettings, name: str) -> tuple[Path, Path, Path, Path]:
    """Where the files go to. Raises UsageError and OutputError before any work is done for them."""
    folder = settings.output
    ends = ("-fp32.onnx", "-int8.onnx", ".proof.json", ".proof.html")
    fp32, int8, proof, page = (folder / f"{name}{end}" for end in ends)
    _try_folder(folder)
    for path in (fp32, int8, proof, page) if folder.exists() else ():
        check_output(str(path), force=settings.force)
    return fp32, int8, proof, page


def _try_folder(folder: Path) -> None:
    """Makes a missing folder and takes it away again, as a gate may fail. Raises OutputError where it cannot."""
    made: list[Path] = []
    try:
        for path in (*reversed(folder.parents), folder):
            if not path.exists():
                path.mkdir()
                made.append(path)
        if not folder.is_dir():
            raise OutputError(f"{folder}: is no folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"{folder}: cannot be written to: Permission denied")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
    finally:
        for path in reversed(made):
            path.rmdir()


def _pixels(network: keras.Model, asked: Pixels | None, source: Path) -> Pixels:
    """What the network is given: as asked for, else as it shows by itself."""
    if asked is not None and asked != BYTES and takes_whole_numbers(network):
        raise UsageError(f"--pixels {asked.name}: {source} takes whole numbers, which can be nothing but the bytes")
    return asked or pixels_of(network)


def _pixels_gate(network: keras.Model, pixels: Pixels, source: Source) -> list[Gate]:
    """Whether the network reads other values of the pixels better, past the 95 % interval of the paired difference.

    Training rows join where few were held out: on them, too, it reads best what it was trained on.
    """
    if takes_whole_numbers(network):
        return []
    tiles = np.concatenate([source.compared.tiles, source.more.tiles])
    labels = np.concatenate([source.compared.labels, source.more.labels])
    hits = {each: predict(network, tiles, each).digits == labels for each in {pixels, *USUAL}}
    gains = {other: paired_difference(hits[other], hits[pixels]) for other in USUAL if other != pixels}
    best = max(gains, key=lambda other: gains[other][0])
    gain, interval = gains[best]
    reason = (
        f"{source.network.name} reads {100 * gain:.2f} points more of {len(labels):,} rows right "
        f"(± {100 * interval:.2f}) when it is given --pixels {best.name} than with {pixels.name}: "
        "say with --pixels what it was trained on"
    )
    return [Gate("pixels", gain, interval, gain <= interval, reason)]


def _convert(
    settings: ExportSettings, source: Source, network: keras.Model, pixels: Pixels
) -> tuple[Temperature, onnx.ModelProto]:
    """The fp32 graph with its temperature in it."""
    model = convert_or_refuse(network, settings.source, pixels)
    temperature, tempering = Temperature(), source.tempering
    if settings.temperature is not None:
        if not LOWEST <= settings.temperature <= HIGHEST:
            raise UsageError(f"--temperature {settings.temperature:g}: it must be {LOWEST:g} to {HIGHEST:g}")
        temperature = Temperature(settings.temperature)
    elif tempering is not None:
        fitted = model
        if tempering.network != source.network:
            fitted = convert_or_refuse(load_network(tempering.network), tempering.network, pixels)
        logits = find_logits(fitted, tempering.rows.tiles)
        if logits is not None:
            # Fitted on rows that it may have learnt, it could only make the answers surer than they should be.
            lowest = LOWEST if tempering.unseen else 1.0
            temperature = fit_temperature(logits, tempering.rows.labels, lowest)
    try:
        return temperature, set_temperature(model, temperature.value)
    except ConversionError as error:
        raise UsageError(f"--temperature {temperature.value:g}: {error}") from error


def _quantize(settings: ExportSettings, bench: Bench, note: Note) -> tuple[Candidate, list[Trial] | None]:
    try:
        if settings.search:
            return search(bench, settings.choice, note)
        return bench.make(settings.choice), None
    except ValueError as error:  # a layer that there is not
        raise UsageError(f"the quantization choice does not fit: {error}") from error


def _recorded_gate(source: Source, answers: Probabilities) -> list[Gate]:
    """Whether the network is the one that was trained, told by the accuracy that the training wrote down."""
    if source.recorded is None:
        return []
    labels = source.compared.labels
    found = float((answers.argmax(axis=1) == labels).mean())
    off, limit = abs(found - source.recorded), max(0.001, 2 / len(labels))  # a tie may fall the other way
    reason = (
        f"{source.network.name} is right on {100 * found:.2f} % of the rows on which its training wrote down "
        f"{100 * source.recorded:.2f} %: it is not the network that was trained"
    )
    return [Gate("recorded accuracy", off, limit, off <= limit, reason)]


def _worst(noise: dict[str, float]) -> str:
    names = worst_layers(noise)
    return f"{names[0]} has the worst signal-to-noise, {noise[names[0]]:.1f} dB" if names else ""


def _metadata(source: Source, precision: str, parity: Parity, scoring: Scoring | None) -> dict[str, str]:
    """What the contract wants a model to say of itself."""
    found = parity.fp32 if precision == "fp32" else parity.int8
    data = source.about["data"]
    return {
        "contract": CONTRACT,
        "name": source.name,
        "version": edge_digits.__version__,
        "recipe": source.recipe,
        "precision": precision,
        "trained_on": f"{data['name']}, SHA-256 {data['sha256']}",
        "accuracy": f"{found.accuracy:.5f} on {found.n} rows of {data['name']} {data['compared_rows_were']}",
        # Without a digit_score every tile counts as a digit.
        "reject_below": f"{scoring.thresholds[precision]:g}" if scoring else "0",
        "picture_temperature": f"{scoring.picture_temperature.value:g}" if scoring else "1",
        "tools": ", ".join(f"{name} {number}" for name, number in tool_versions().items()),
    }


def _write(
    settings: ExportSettings, paths: tuple[Path, Path, Path, Path], files: dict[str, bytes], found: Findings
) -> None:
    try:
        settings.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{settings.output}: cannot be made: {error.strerror}") from error
    *models, proof_path, page = paths
    for path, data in zip(models, files.values(), strict=True):
        with open_output(str(path), force=settings.force, binary=True) as out:
            out.write(data)
    proof = build_proof(found)
    with open_output(str(proof_path), force=settings.force) as out:
        out.write(json.dumps(proof, indent=2) + "\n")
    write_proof_page(proof, str(page), settings.force)
