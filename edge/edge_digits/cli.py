"""The commands: parse, call, print, exit code. What they need is imported when they run.

Without `from __future__ import annotations`: typer would have to evaluate each of them at every start, for 15 ms.
"""

import contextlib
import copy
import functools
import math
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, ParamSpec

import typer

import edge_digits
from edge_digits.errors import (
    EdgeDigitsError,
    EngineWarning,
    MissingExtraError,
    ModelError,
    OutputError,
    OutputExistsError,
    SourceError,
    UsageError,
    one_line,
)
from edge_digits.limits import MAX_DIGITS, MAX_PIXELS, MIN_CONFIDENCE, STABLE
from edge_digits.outputs import open_output

if TYPE_CHECKING:
    from types import FrameType

    from edge_digits.reading import Record

P = ParamSpec("P")

app = typer.Typer(
    help="Reads handwritten digits from pictures, cameras, video and CSV rows, offline.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would double the time that --help takes
)
models_app = typer.Typer(help="Lists, shows, checks, compares and publishes models.", no_args_is_help=True)
app.add_typer(models_app, name="models")


class RecordFormat(StrEnum):
    """How records are printed."""

    text = "text"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


class ReportFormat(StrEnum):
    """How a report is printed."""

    text = "text"
    json = "json"


class EngineChoice(StrEnum):
    """What runs the model."""

    auto = "auto"
    onnxruntime = "onnxruntime"
    numpy = "numpy"


class FrameFormat(StrEnum):
    """How frames are printed."""

    text = "text"
    jsonl = "jsonl"


Model = Annotated[str, typer.Option(help="A bundled model (see `edge-digits models list`) or the path of an .onnx.")]
ModelsPackage = Annotated[Path, typer.Option("-o", "--output", help="The models package of a checkout.")]
MODELS_PACKAGE = Path("models/edge_digits_models")
Models = Annotated[list[str], typer.Option("--model", help="As often as you like: several models are averaged.")]
Engine = Annotated[EngineChoice, typer.Option(help="auto: numpy where onnxruntime cannot be loaded.")]
Variations = Annotated[
    int | None,
    typer.Option(
        "--tta",
        min=1,
        max=11,
        help="Average over so many small shifts and turns of each tile, itself included.",
        show_default="9, of those that are less than 80 % sure",
    ),
]
Output = Annotated[str, typer.Option("-o", "--output", help="Where to write; - is stdout.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


def main() -> NoReturn:
    """The program: runs a command and exits with its code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    # Our matrices are small: numpy's threads would only wait for one another, and take time to start.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    code: str | int | None = 0
    try:
        _only(sys.argv[1:2])(prog_name="edge-digits")
    except SystemExit as end:
        code = end.code
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else "stdout"
        code = _report(OutputError(f"{where}: cannot be written: {error.strerror}"))
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            code = code or _report(OutputError(f"stdout: cannot be written: {error.strerror}"))
        _drop(1)
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:  # Python would end with 120, from 3.14 on
        _drop(2)
    for number in (signal.SIGINT, signal.SIGTERM, *_LATER):  # all is done: one that comes while Python ends is too late
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def _only(asked: list[str]) -> typer.Typer:
    """The program with just the command that is asked for: to build them all takes typer 6 ms."""
    named = [info for info in app.registered_commands if info.callback and [_name(info.callback)] == asked]
    if not named:
        return app
    one = copy.copy(app)
    one.registered_commands, one.registered_groups = named, []
    return one


def _name(command: Callable[..., Any]) -> str:
    return command.__name__.replace("_", "-")


_LATER = [signal.SIGALRM] if hasattr(signal, "setitimer") else []
_SOON = 0.02  # seconds


def _end(number: int, frame: "FrameType | None") -> None:
    """130 for Ctrl-C, 143 for a polite kill: what is open is cleaned up on the way out.

    While a module is imported, soon: a library that is being loaded makes of it that it could not be.
    """
    if _LATER and _is_importing(frame):
        signal.signal(_LATER[0], lambda _, now: _end(number, now))
        signal.setitimer(signal.ITIMER_REAL, _SOON)
    else:
        sys.exit(128 + number)


def _is_importing(frame: "FrameType | None") -> bool:
    while frame is not None and frame.f_globals.get("__name__") != "importlib._bootstrap":
        frame = frame.f_back
    return frame is not None


def _drop(stream: int) -> None:
    """What is still to be written to a stdout, 1, or stderr, 2, that takes no more goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def _note(text: str) -> None:
    """One line on stderr; where it cannot be had, the work goes on without."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            start = "\r\x1b[K" if sys.stderr.isatty() else ""  # over a line of progress
            sys.stderr.write(start + "edge-digits: " + one_line(text) + "\n")
            sys.stderr.flush()


def _report(error: EdgeDigitsError) -> int:
    """Says what went wrong, and gives the exit code."""
    _note(str(error))
    return error.exit_code


def _print(*lines: str) -> None:
    """Lines on stdout."""
    with open_output("-", force=True) as out:
        out.writelines(f"{line}\n" for line in lines)


def _command(function: Callable[P, int | None]) -> Callable[P, None]:
    """A command whose errors become one line and an exit code."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            _refuse_nan(kwargs)
            with _warnings_noted():
                code = function(*args, **kwargs) or 0
        except EdgeDigitsError as error:
            code = _report(error)
        except MemoryError:
            code = _report(EdgeDigitsError("there is not enough memory for this"))
        except KeyboardInterrupt:
            code = 130
        except BrokenPipeError:  # a reader that has gone (`| head`) is no error
            _drop(1)
            code = 0
        raise typer.Exit(code)

    return run


def _refuse_nan(options: Mapping[str, object]) -> None:
    """Raises UsageError for an option of which no comparison is true, so that no limit stops it."""
    for name, value in options.items():
        if isinstance(value, float) and math.isnan(value):
            raise UsageError(f"--{name.replace('_', '-')} nan: is not a number")


def _check_stdin(tables: Sequence[str]) -> None:
    if tables.count("-") > 1:
        raise UsageError("- is named more than once: stdin can be read for one table only")


@contextlib.contextmanager
def _warnings_noted() -> Iterator[None]:
    """An EngineWarning becomes a line on stderr, the same one no second time; others go where they would."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", EngineWarning)
        show = warnings.showwarning

        def note(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, EngineWarning):
                _note(str(message))
            else:
                show(message, category, *where, **more)

        warnings.showwarning = note
        yield


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"edge-digits {edge_digits.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Reads handwritten digits from pictures, cameras, video and CSV rows, offline."""


@app.command()
@_command
def classify(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Pictures, folders, patterns; - is stdin.")],
    model: Model = "digits",
    engine: Engine = EngineChoice.auto,
    format: Annotated[RecordFormat, typer.Option(help="How to print.")] = RecordFormat.text,
    output: Output = "-",
    top: Annotated[int, typer.Option(min=0, max=10, help="Also list the TOP likeliest answers of each digit.")] = 0,
    count: Annotated[int | None, typer.Option(min=1, help="The picture has so many digits: read it so.")] = None,
    pattern: Annotated[
        str | None, typer.Option(metavar=r"'\d{2}:\d{2}'", help="What the number looks like: read it so.")
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(min=0, max=1, help=f"Reject a digit less sure than this.  [default: {MIN_CONFIDENCE}]"),
    ] = None,
    max_digits: Annotated[int, typer.Option(min=1, help="Read no more digits of a picture.")] = MAX_DIGITS,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse a picture of more, undecoded.")] = MAX_PIXELS,
    save: Annotated[Path | None, typer.Option(metavar="DIR", help="Write each picture with what was read.")] = None,
    explain: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a sheet of each picture's steps; say what made it hard.")
    ] = None,
    crops: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the tiles by digit, to be corrected and trained on.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the tiles as the network sees them.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that read many pictures.  [default: all cores]"),
    ] = None,
    force: Force = False,
) -> int:
    """Read the digits in pictures.

    Example: edge-digits classify img.png
    """
    from edge_digits.images import find_pictures
    from edge_digits.outputs import check_output
    from edge_digits.parallel import cores
    from edge_digits.picture_pool import read_records
    from edge_digits.progress import ProgressLine
    from edge_digits.reader import Reader
    from edge_digits.records import RecordWriter

    if show and format is not RecordFormat.text:
        raise UsageError(f"--show prints for people to look at: it does not go with --format {format.value}")
    check_output(output, force=force, inputs=paths)
    reader = Reader(
        model,
        min_confidence=min_confidence,
        max_pixels=max_pixels,
        max_digits=max_digits,
        count=count,
        pattern=pattern,
        engine=engine.value,
    )
    pictures = find_pictures(paths)
    records: Iterator[tuple[Record, list[str]]]
    if save or explain or crops or show:
        from edge_digits.half_blocks import Colours
        from edge_digits.picture_files import Asked, PictureFiles

        terminal = output == "-" and sys.stdout is not None and sys.stdout.isatty()
        asked = Asked(save, explain, crops, Colours.of(os.environ, terminal) if show else None)
        sources = list(pictures)  # before the first file is written, as it may come to lie among them
        files = PictureFiles(asked, sources, paths, force=force)
        records = (files.read(number, reader, top) for number in range(len(sources)))
    else:
        several = 1 if "-" in paths else jobs or cores()  # standard input is this process's alone
        records = ((record, []) for record in read_records(reader, pictures, top, several))
    failed = 0
    with ProgressLine("pictures", output) as progress, open_output(output, force=force) as out:
        writer = RecordWriter(out, format.value)
        for done, (record, below) in enumerate(records, start=1):
            writer.write(record, below)
            if record["error"] is not None:
                failed += 1
                _note(f"{record['source'] or repr('')}: {record['error']}")
            progress.update(done)
        writer.close()
    if pictures.skipped:
        _note(f"{pictures.skipped:,} passed over, being no pictures")
    return 1 if failed else 0


@app.command()
@_command
def submit(
    tables: Annotated[list[str], typer.Argument(metavar="TEST_CSV...", help=".csv, .csv.gz or .csv.zip; - is stdin.")],
    output: Output = "submission.csv",
    model: Models = ["digits"],  # noqa: B006 – typer copies it
    engine: Engine = EngineChoice.auto,
    tta: Variations = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Also write those of all ten digits.")] = False,
    force: Force = False,
) -> None:
    """Classify the rows of Kaggle's test.csv and write the submission.

    Example: edge-digits submit test.csv -o submission.csv
    """
    from edge_digits.classifier import load_ensemble
    from edge_digits.outputs import check_output
    from edge_digits.progress import ProgressLine
    from edge_digits.tables import submit

    _check_stdin(tables)
    if output.lower().endswith((".gz", ".zip")):
        raise UsageError(f"{output}: a submission is written as plain CSV: name a .csv")
    check_output(output, force=force, inputs=tables)
    classify = load_ensemble(model, engine.value, tta)
    with ProgressLine("bytes", output) as progress, open_output(output, force=force) as out:
        rows = submit(tables, classify, out, probabilities=probabilities, progress=progress.update)
    _note(f"{rows:,} rows written to {'stdout' if output == '-' else output}")


@app.command()
@_command
def evaluate(
    table: Annotated[str, typer.Argument(metavar="LABELLED_CSV", help="With labels, as train.csv; - is stdin.")],
    model: Models = ["digits"],  # noqa: B006 – typer copies it
    engine: Engine = EngineChoice.auto,
    tta: Variations = None,
    at_least: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Exit with 5 when the accuracy is lower: with --trained-on, on unseen rows."),
    ] = None,
    trained_on: Annotated[
        list[str] | None,
        typer.Option(help="A table that the model has seen: also measure the rows whose image does not stand in it."),
    ] = None,
    format: Annotated[ReportFormat, typer.Option(help="How to print.")] = ReportFormat.text,
) -> None:
    """Measure a model on labelled rows. Where they are all those that it was trained on, the figure says so.

    Example: edge-digits evaluate labelled.csv --trained-on train.csv --at-least 0.99
    """
    import json

    from edge_digits.calibration import Calibration
    from edge_digits.classifier import load_ensemble
    from edge_digits.metrics import evaluate
    from edge_digits.model_files import load_model_file
    from edge_digits.onnx_file import metadata
    from edge_digits.overlap import Overlap, TrainingTables
    from edge_digits.progress import ProgressLine
    from edge_digits.tables import TableReader

    _check_stdin([table, *(trained_on or [])])
    classify = load_ensemble(model, engine.value, tta)
    said = {}
    for name in model:
        file = load_model_file(name)
        said[file.name] = metadata(file.message).get("edge_digits.trained_on", "")
    reader, calibration = TableReader(table), Calibration()
    with ProgressLine("bytes") as progress:
        overlap = Overlap(said, TrainingTables(trained_on, progress.update) if trained_on else None)
        found = evaluate(reader, classify, progress.update, (overlap.add, calibration.add))
    if format is ReportFormat.json:
        _print(json.dumps(found.as_dict() | overlap.as_dict() | calibration.as_dict()))
    else:
        _print("\n".join([found.text(overlap.lines()), "", *calibration.text()]))
    for name in overlap.elsewhere:
        _note(f"{name} was trained on other rows than those of --trained-on: what it knows of them counts as unseen")
    if at_least is not None:
        overlap.gate(found, at_least)


@app.command()
@_command
def evaluate_pictures(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Pictures, and a labels.csv: file,text,kind,source.")],
    model: Model = "digits",
    engine: Engine = EngineChoice.auto,
    wrong: Annotated[str | None, typer.Option(metavar="CSV", help="Write what was misread to this file.")] = None,
    only: Annotated[str | None, typer.Option(metavar="KIND,KIND…", help="Read the pictures of these alone.")] = None,
    at_least: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 5 when a smaller share is read exactly.")
    ] = None,
    format: Annotated[ReportFormat, typer.Option(help="How to print.")] = ReportFormat.text,
    force: Force = False,
) -> int:
    """Measure a model on labelled pictures, for each kind of picture. The lines of a text are separated by ';'.

    Example: edge-digits evaluate-pictures pictures --wrong wrong.csv --at-least 0.98
    """
    import json

    from edge_digits.outputs import check_output
    from edge_digits.picture_labels import choose_kinds, load_labels
    from edge_digits.picture_scores import score_pictures
    from edge_digits.progress import ProgressLine
    from edge_digits.reader import Reader

    if wrong == "-":
        raise UsageError("--wrong -: stdout takes the figures; name a file")
    if wrong is not None:
        check_output(wrong, force=force)
    pictures = load_labels(folder)
    if only is not None:
        pictures = choose_kinds(pictures, only)
    reader = Reader(model, engine=engine.value)
    with ProgressLine("pictures") as progress:
        scores = score_pictures(reader, pictures, lambda done: progress.update(done, len(pictures)))
    _print(json.dumps(scores.as_dict()) if format is ReportFormat.json else scores.text())
    for result in scores.failed:
        _note(f"{result.picture.file}: {result.error}")
    if wrong is not None:
        with open_output(wrong, force=force) as out:
            scores.write_wrong(out)
    if at_least is not None:
        scores.gate(at_least)
    return 1 if scores.failed else 0


@app.command()
@_command
def show(
    table: Annotated[str, typer.Argument(metavar="TABLE_CSV", help=".csv, .csv.gz or .csv.zip; - is stdin.")],
    rows: Annotated[str | None, typer.Option(metavar="A:B", help="Rows A to B - 1, from 0; or :B, A:, A.")] = None,
    random: Annotated[int | None, typer.Option(min=1, help="Draw so many rows instead, none twice.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same rows.")] = 0,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Also show its answers; without labels there are those of digits. Several are averaged."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="Write a PNG instead of printing; - is stdout.")
    ] = None,
    force: Force = False,
) -> None:
    """Draw rows of a table as a grid, with their labels or a model's answers.

    Example: edge-digits show train.csv --random 18 --seed 1 -o grid.png
    """
    import shutil

    from edge_digits.any_table import AnyTableReader
    from edge_digits.half_blocks import Colours, draw_lines
    from edge_digits.outputs import check_output
    from edge_digits.progress import ProgressLine
    from edge_digits.show import choose, label_rows

    chosen = choose(rows, random, seed)
    terminal = sys.stdout is not None and sys.stdout.isatty()
    if output is not None:
        from edge_digits.sheet import check_png, draw_sheet, encode_png

        check_png(output, terminal=terminal)
        check_output(output, force=force, inputs=[table])
    with ProgressLine("bytes", output or "-") as progress:
        found = chosen.read(AnyTableReader(table), progress.update)
    models = model or (["digits"] if found.labels is None else [])
    classify = None
    if models:
        from edge_digits.classifier import load_ensemble

        classify = load_ensemble(models)
    shown = label_rows(found, classify)
    if output is None:
        _print(*draw_lines(shown, shutil.get_terminal_size().columns, Colours.of(os.environ, terminal)))
    else:
        with open_output(output, force=force, binary=True) as out:
            out.write(encode_png(draw_sheet(shown)))


@app.command()
@_command
def webcam(
    source: Annotated[
        str | None,
        typer.Argument(help="A camera (0, /dev/video0), a video, a folder, a pattern, a URL, -.  [default: 0]"),
    ] = None,
    source_option: Annotated[str | None, typer.Option("--source", help="The same, as an option.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name the cameras there are, and end.")] = False,
    size: Annotated[str | None, typer.Option(help="Ask the camera for frames of WIDTHxHEIGHT.")] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.5, max=500, help="Frames a second: of a camera, a folder, -.")
    ] = None,
    rotate: Annotated[int, typer.Option(help="Turn frames clockwise by 0, 90, 180 or 270 degrees.")] = 0,
    mirror: Annotated[bool, typer.Option("--mirror", help="Exchange left and right.")] = False,
    roi: Annotated[str | None, typer.Option(help="Read this part alone: X,Y,WIDTH,HEIGHT.")] = None,
    realtime: Annotated[bool, typer.Option("--realtime", help="Play files at their own rate.")] = False,
    retries: Annotated[int, typer.Option(min=0, help="Times to open a lost camera or stream again.")] = 3,
    stable: Annotated[
        float | None, typer.Option(min=0, help="Seconds that a reading must hold.  [default: 0.4]")
    ] = None,
    every_frame: Annotated[
        bool, typer.Option("--every-frame", help="Print a record of each frame, no events.")
    ] = False,
    on_reading: Annotated[str | None, typer.Option(help="Run 'CMD {text}' for each reading.")] = None,
    window: Annotated[bool, typer.Option("--window/--no-window", help="Show what is read.")] = True,
    output: Annotated[str | None, typer.Option("-o", "--output", help="Record the drawn frames: out.mp4.")] = None,
    record: Annotated[Path | None, typer.Option(help="Keep frames and decisions in a folder, to be run again.")] = None,
    collect: Annotated[Path | None, typer.Option(help="Save labelled tiles here: space, then 0 to 9.")] = None,
    format: Annotated[FrameFormat, typer.Option(help="How events or frames are printed.")] = FrameFormat.jsonl,
    max_frames: Annotated[int | None, typer.Option(min=1, help="End after so many frames.")] = None,
    model: Annotated[str | None, typer.Option(help="A bundled model or an .onnx.  [default: digits]")] = None,
    engine: Engine = EngineChoice.auto,
    force: Force = False,
) -> int:
    """Read numbers from a camera, a stream, a video or a folder of frames, and tell each once it is sure.

    One JSON line when a number appears, changes or is gone. In the window, q or Esc ends it.

    Example: edge-digits webcam clip.mp4 --no-window
    """
    from edge_digits.live import LiveSettings, run
    from edge_digits.opencv import use_one_core
    from edge_digits.outputs import check_output
    from edge_digits.reader import Reader
    from edge_digits.replay import recorded_settings
    from edge_digits.stop import Stop
    from edge_digits.video import SourceSettings, open_source
    from edge_digits.view import View, parse_roi, parse_size

    if list_:
        return _list_cameras()
    if source is not None and source_option is not None:
        raise UsageError("SOURCE and --source are the same: give one")
    source = source if source is not None else source_option if source_option is not None else "0"
    if output is not None:
        check_output(output, force=force, inputs=[source])
    opening = SourceSettings(parse_size(size) if size else None, fps, retries)
    view = View(rotate, mirror, parse_roi(roi) if roi else None)
    before = recorded_settings(source)  # of what --record has kept
    model = model or str(before.get("model", "digits"))
    settings = LiveSettings(
        window=window, output=output, format=format.value, every_frame=every_frame or before.get("every_frame", False),
        stable=float(before.get("stable", STABLE)) if stable is None else stable, max_frames=max_frames,
        realtime=realtime, view=view, record=record, about={"model": model}, collect=collect, on_reading=on_reading,
        force=force,
    )  # fmt: skip
    use_one_core()
    reader = Reader(model, engine=engine.value)
    with open_source(source, opening, note=_note) as frames, open_output("-", force=True) as out, Stop() as stop:
        done = run(frames, reader, settings, stdout=out, note=_note, stop=stop)
    _note(done.describe())
    return stop.code or (1 if done.failed or done.cut_short else 0)


def _list_cameras() -> int:
    from edge_digits.cameras import list_cameras

    cameras = list_cameras()
    if not cameras:
        raise SourceError("no camera found; a video file, a folder or a URL can be read, too")
    _print(*(camera.describe() for camera in cameras))
    return 0


@app.command()
@_command
def benchmark(
    quick: Annotated[bool, typer.Option("--quick", help="A rough picture, in less than 20 seconds.")] = False,
    gate: Annotated[bool, typer.Option("--gate", help="Exit with 5 where a budget is not kept.")] = False,
    format: Annotated[ReportFormat, typer.Option(help="How to print.")] = ReportFormat.text,
) -> None:
    """Measure speed and memory on this machine, and say which budgets are kept. Takes two minutes, on a quiet machine.

    Example: edge-digits benchmark --quick
    """
    import json

    from edge_digits.benchmark import benchmark

    found = benchmark(quick=quick, progress=_note)
    _print(json.dumps(found.as_dict()) if format is ReportFormat.json else found.text())
    if gate:
        found.gate()


@app.command()
@_command
def train(
    recipe: Annotated[str | None, typer.Option(help="One of `edge-digits recipes`, or a .py file of your own.")] = None,
    data: Annotated[
        str | None,
        typer.Option(help="train.csv (.gz, .zip), .npz, a folder of idx files or pictures, mnist, mnist-5k."),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The run's folder, a new one.")] = None,
    passes: Annotated[int | None, typer.Option(min=1, help="Times that each row is seen.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same network.  [default: 0]")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Train so many, and give mean and spread.")] = 1,
    validation: Annotated[float | None, typer.Option(help="Share of the rows to hold out.")] = None,
    split_seed: Annotated[int | None, typer.Option(min=0, help="Which rows are held out.")] = None,
    sample: Annotated[float | None, typer.Option(help="Use this share of the rows alone.")] = None,
    sample_seed: Annotated[int | None, typer.Option(min=0, help="Which rows are used.")] = None,
    deskew: Annotated[bool, typer.Option("--deskew", help="Let the network set slanted digits upright.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="One pass over 2,000 rows, to see that it works.")] = False,
    refit: Annotated[bool, typer.Option("--refit", help="Then train on all rows, as long as was best.")] = False,
    folds: Annotated[
        int | None, typer.Option(min=2, max=100, help="Cross-validation: so many parts, each held out once.")
    ] = None,
    teachers: Annotated[
        Path | None, typer.Option(help="Learn from the teachers of this run, or from a .keras, not from new ones.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Begin with this network, a .keras of the recipe's shape, not by chance.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with an interrupted run, instead of a new one.")] = None,
) -> None:
    """Train a network by a recipe.

    Example: edge-digits train --recipe base --data train.csv
    """
    asked = (recipe, data, output, passes, seed, validation, split_seed, sample, sample_seed, folds, teachers, start)
    if resume is not None and (any(value is not None for value in asked) or deskew or fast or seeds > 1):
        raise UsageError("--resume goes on as the run began: leave all other options away but --refit")
    if resume is None and (recipe is None or data is None):
        raise UsageError("name a --recipe and --data, or a run to --resume")
    if folds is not None and (seeds > 1 or validation is not None):
        raise UsageError("--folds says how many rows are held out, with one seed: leave --seeds and --validation away")
    if output is not None and output.exists():
        raise OutputExistsError(f"{output}: is there already; name another with -o")
    _note("loading Keras")
    with _loading("training"):
        from edge_digits_train import series, training
        from edge_digits_train.progress import TrainingProgress

    folder = resume
    try:
        with TrainingProgress() as progress:
            if resume is not None:
                runs = series.resume(resume, progress, refit)
            else:
                assert recipe is not None
                assert data is not None
                settings = training.Settings(
                    recipe, data, passes, seed or 0, validation, split_seed, sample, sample_seed, deskew, fast, refit,
                    teachers=teachers, start=start,
                )  # fmt: skip
                folder = output or training.default_folder(recipe)
                if folds is not None:
                    runs = series.train_folds(settings, folder, folds, progress)
                elif seeds > 1:
                    runs = series.train_seeds(settings, folder, seeds, progress)
                else:
                    runs = [training.train(settings, folder, progress)]
    except OutputError as error:
        if folder is not None and folder.exists():
            go_on = f"edge-digits train --resume {shlex.quote(str(folder))}"
            raise OutputError(f"{error}; with that set right, go on with: {go_on}") from error
        raise
    except (KeyboardInterrupt, SystemExit):
        if folder is not None and folder.exists():
            _note(f"interrupted; go on with: edge-digits train --resume {shlex.quote(str(folder))}")
        raise
    for run in runs:
        _print(run.describe())
    if len(runs) > 1:
        _print(series.describe(runs))


@app.command()
@_command
def synthesize(
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder of the pictures, a new one.")],
    number: Annotated[int, typer.Option("-n", "--number", min=1, max=1_000_000, help="Pictures.")] = 1000,
    data: Annotated[str, typer.Option(help="Whose digits are drawn: as `train` takes it.")] = "mnist-5k",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same pictures.")] = 0,
    media: Annotated[str | None, typer.Option(help="Of drawing,tablet,scan,photo,board.  [default: all]")] = None,
    layouts: Annotated[
        str, typer.Option(help="Of these, and mixed,clutter: with letters, scribbles and blots, or of them alone.")
    ] = "single,pair,number,lines",
) -> None:
    """Draw pictures of handwritten digits, with labels.csv: what is written is known.

    Example: edge-digits synthesize -o made -n 100 --media photo,scan
    """
    from edge_digits.progress import ProgressLine

    if output.exists():
        raise OutputExistsError(f"{output}: is there already; name another with -o")
    with _loading("synthesizing"):
        from edge_digits_train.data import load_data
        from edge_digits_train.synthesis import pictures
        from edge_digits_train.synthesis.layouts import LAYOUTS
    synthesis = pictures.Synthesis(
        load_data(data).rows,
        seed,
        pictures.read_names(media, pictures.MEDIA, "--media"),
        pictures.read_names(layouts, LAYOUTS, "--layouts"),
    )
    with ProgressLine("pictures") as line:
        pictures.write_folder(synthesis, output, number, line.update)
    _note(f"{number:,} pictures and labels.csv in {output}")


@app.command()
@_command
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of `train`, several seeds included.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to draw, a PNG.")] = Path("compare.png"),
    format: Annotated[ReportFormat, typer.Option(help="How to print.")] = ReportFormat.text,
    force: Force = False,
) -> None:
    """Set runs side by side: accuracy with its interval, size, work and time; as a table and as a picture.

    Example: edge-digits compare runs/base runs/cnn-16 -o compare.png
    """
    import json

    from edge_digits.outputs import check_output

    if output.suffix.lower() != ".png":
        raise UsageError(f"{output}: runs are drawn as PNG, to a file that ends in .png")
    check_output(str(output), force=force)
    with _loading("comparing"):
        from edge_digits_train import compare_plot
        from edge_digits_train.compare import compare

    comparison = compare(runs)
    _print(json.dumps(comparison.as_dict()) if format is ReportFormat.json else comparison.text())
    with open_output(str(output), force=force, binary=True) as out:
        out.write(compare_plot.draw_comparison(comparison))
    _note(f"drawn to {output}")


@app.command()
@_command
def robustness(
    data: Annotated[str, typer.Option(help="Labelled rows: as `train` takes them.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder for robustness.csv and robustness.png.")],
    model: Annotated[list[str], typer.Option(help="As often as you like: each is measured.")] = ["digits"],  # noqa: B006
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="Rows at most, drawn.")] = 2000,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Only of rows that `train` holds out by itself.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same tiles.")] = 0,
    format: Annotated[ReportFormat, typer.Option(help="How to print.")] = ReportFormat.text,
    force: Force = False,
) -> None:
    """Measure models on damaged tiles: 15 kinds of damage, from severity 0 to 5, as a table and as a heat map.

    Example: edge-digits robustness --data train.csv --held-out -o card
    """
    import json

    from edge_digits.classifier import Classifier
    from edge_digits.outputs import check_output, make_folder
    from edge_digits.progress import ProgressLine

    with _loading("robustness"):
        from edge_digits_train.data import load_data
        from edge_digits_train.robustness import Choice, measure
        from edge_digits_train.robustness_plot import draw_robustness

    table, picture = str(output / "robustness.csv"), str(output / "robustness.png")
    classifiers = [Classifier(name) for name in model]
    make_folder(output)
    for path in (table, picture):
        check_output(path, force=force)
    with ProgressLine("tiles") as line:
        found = measure(load_data(data).rows, classifiers, Choice(number, held_out, seed), line.update)
    with open_output(table, force=force) as out:
        found.write_csv(out)
    with open_output(picture, force=force, binary=True) as drawing:
        drawing.write(draw_robustness(found))
    _print(json.dumps(found.as_dict()) if format is ReportFormat.json else found.text())
    for card in found.cards:
        if card.learned and not held_out:
            _note(f"{card.model} was trained on rows of {found.data}: --held-out leaves those out")
    _note(f"{table} and {picture}")


@app.command()
@_command
def doctor(format: Annotated[ReportFormat, typer.Option(help="How to print.")] = ReportFormat.text) -> int:
    """Look at what this machine offers, and say what to do about what is wrong.

    Example: edge-digits doctor
    """
    from edge_digits.doctor import as_json, examine
    from edge_digits.errors import LibraryError

    findings = examine()
    _print(as_json(findings) if format is ReportFormat.json else "\n".join(finding.text() for finding in findings))
    return LibraryError.exit_code if any(finding.status == "problem" for finding in findings) else 0


@app.command()
@_command
def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe's file.")] = None,
    format: Annotated[ReportFormat, typer.Option(help="How to print.")] = ReportFormat.text,
) -> None:
    """List the recipes, or print one.

    Example: edge-digits recipes cnn-5x5
    """
    import json

    with _loading("recipes"):
        from edge_digits_train.catalogue import list_recipes
        from edge_digits_train.recipe import find_recipe

    if name is not None:
        _print(find_recipe(name).read_text(encoding="utf-8").rstrip())
        return
    _note("counting parameters with Keras")
    found = list_recipes()
    _print(json.dumps(found.as_list()) if format is ReportFormat.json else found.text())


@app.command()
@_command
def export(
    source: Annotated[Path, typer.Argument(metavar="RUN_OR_KERAS", help="A run's folder, or a .keras file.")],
    data: Annotated[str | None, typer.Option(help="Labelled rows; those of the run where it is one.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write to.")] = Path(),
    name: Annotated[str | None, typer.Option(help="The model's name, if not the recipe's or the file's.")] = None,
    calibration: Annotated[int | None, typer.Option(min=10, help="Tiles that int8 is calibrated on: 1,000.")] = None,
    method: Annotated[
        str | None, typer.Option(metavar="minmax|entropy|percentile", help="How int8 is calibrated: minmax.")
    ] = None,
    search: Annotated[
        bool, typer.Option("--search", help="Try many ways to make int8; keep the fastest that passes the gates.")
    ] = False,
    choice: Annotated[
        Path | None, typer.Option(metavar="NAME.proof.json", help="Make int8 as that export did.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Divide the logits by this, instead of a number fitted on held-out rows.")
    ] = None,
    pixels: Annotated[
        str | None,
        typer.Option(metavar="unit|bytes|signed|MEAN,STD", help="What the network was trained on, if not 0 to 1."),
    ] = None,
    bits: Annotated[
        int, typer.Option(min=12, max=24, help="Significant bits of fp32's largest layer: fewer pack smaller.")
    ] = 24,
    max_difference: Annotated[float, typer.Option(min=0, help="Gate: fp32 from Keras, in a probability.")] = 1e-5,
    max_drop: Annotated[
        float, typer.Option(min=0, max=1, help="Gate: accuracy that int8 loses, past what chance explains.")
    ] = 0.0005,
    min_agreement: Annotated[
        float, typer.Option(min=0, max=1, help="Gate: clear rows on which int8 says what fp32 says.")
    ] = 0.999,
    min_accuracy: Annotated[float, typer.Option(min=0, max=1, help="Gate: rows that Keras is right on.")] = 0.5,
    force: Force = False,
) -> None:
    """Convert a network to ONNX, quantize it, compare all three on held-out rows, and write what passes the gates.

    Example: edge-digits export runs/base -o exported --name mine
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"  # tf2onnx converts no other
    _note("loading TensorFlow")
    with _loading("export"):
        from edge_digits_export import ExportSettings, Limits
        from edge_digits_export import export as run_export
        from edge_digits_export.choice import choose

    chosen = choose(choice, calibration, method, search)
    limits = Limits(max_difference, max_drop, min_agreement, min_accuracy)
    settings = ExportSettings(source, output, data, name, force, limits, chosen, search, temperature, bits, pixels)
    exported = run_export(settings, _note)
    files = (f"{path}  {path.stat().st_size:,} bytes" for path in (exported.fp32, exported.int8))
    _print(exported.text(), *files)


@models_app.command("list")
@_command
def list_models() -> None:
    """List the bundled models."""
    from edge_digits.model_files import load_manifest

    manifest = load_manifest()
    width = max(map(len, manifest["models"])) + len("-fp32")
    for name, entry in manifest["models"].items():
        for precision, file in entry["files"].items():
            found = file["accuracy"]
            standing = "  (the default)" if (name, precision) == (manifest["default"], entry["prefers"]) else ""
            _print(
                f"{f'{name}-{precision}':{width}}{file['bytes']:>10,} bytes  {entry['parameters']:>10,} parameters  "
                f"{100 * found['accuracy']:.2f} % on {found['n']:,} held-out rows{standing}"
            )


@models_app.command("show")
@_command
def show_model(
    model: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A bundled model, or an .onnx.")],
    graph: Annotated[
        bool, typer.Option("--graph", help="List operators, shapes, parameters, multiply-adds and bytes instead.")
    ] = False,
) -> None:
    """Print a model's card, or its graph layer by layer.

    Example: edge-digits models show digits-int8 --graph
    """
    from edge_digits.model_files import card, load_model_file

    if not graph:
        _print(card(model))
        return
    file = load_model_file(model)
    with _loading("models show --graph"):
        from edge_digits_export.graph_table import graph_table
    _print(*graph_table(file))


@models_app.command("verify")
@_command
def verify_models(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|PATH]...", help="Bundled models or .onnx files; without any, all bundled ones."),
    ] = None,
) -> int:
    """Check hashes, the contract and the answers to stored tiles. Exit code 3 where one is not as published.

    Example: edge-digits models verify
    """
    from edge_digits.model_check import verify
    from edge_digits.model_files import bundled_files, is_path

    code = 0
    for model in models or bundled_files():
        try:
            for name in [model] if is_path(model) else bundled_files(model):
                _print(verify(name).text())
        except ModelError as error:  # the others are still checked
            code = _report(error)
    return code


@models_app.command("diff")
@_command
def diff_models(
    first: Annotated[str, typer.Argument(metavar="A", help="A bundled model, or an .onnx.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    data: Annotated[str | None, typer.Option(help="Also compare the answers to these labelled rows.")] = None,
) -> None:
    """Say what differs between two models: operators, weights, figures, answers.

    Example: edge-digits models diff digits-fp32 digits-int8 --data train.csv
    """
    from edge_digits.model_diff import diff

    _print(diff(first, second, data).text())


@models_app.command("publish")
@_command
def publish_model(
    proof: Annotated[Path, typer.Argument(metavar="NAME.proof.json", help="What `edge-digits export` wrote.")],
    output: ModelsPackage = MODELS_PACKAGE,
    measured: Annotated[
        Path | None,
        typer.Option(metavar="NAME.proof.json", help="Of a refit: the training before it, whose figures count."),
    ] = None,
) -> None:
    """Put an export among the bundled models of a checkout: files, manifest, card, network.

    Example: edge-digits models publish exported/mine.proof.json
    """
    _check_models_package(output)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    _note("loading TensorFlow")
    with _loading("publishing"):
        from edge_digits_export import publish
    _print(f"published: {publish(proof, output, measured)}")


@models_app.command("renew")
@_command
def renew_models(
    data: Annotated[str, typer.Option(help="Labelled rows, on which not one digit may change: train.csv.")],
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Bundled models; without any, all of them.")
    ] = None,
    output: ModelsPackage = MODELS_PACKAGE,
) -> None:
    """Make bundled models of a checkout anew from their networks, where the export writes them otherwise now.

    Example: edge-digits models renew --data train.csv
    """
    _check_models_package(output)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    _note("loading TensorFlow")
    with _loading("renewing"):
        from edge_digits_export import renew
    for renewed in renew(output, data, models or [], _note):
        _print(renewed.text())


def _check_models_package(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder; name a checkout's models package with -o")


@contextlib.contextmanager
def _loading(what: str) -> Iterator[None]:
    """Imports the packages of the train extra: silently, as TensorFlow greets every start with a page of notices.

    It keeps its advice on its own functions to itself later, too.

    Raises MissingExtraError where one is not installed.
    """
    import logging

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 – a device
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package.startswith("edge_digits"):
            raise
        raise MissingExtraError(what, "train", package) from error
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


if __name__ == "__main__":
    main()
