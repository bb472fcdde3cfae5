"""The commands: parse, call, print, exit code. What they need is imported when they run."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, ParamSpec

import typer

import edge_digits
from edge_digits.errors import EdgeDigitsError, MissingExtraError, OutputError, UsageError
from edge_digits.limits import MAX_PIXELS, MIN_CONFIDENCE
from edge_digits.outputs import open_output

if TYPE_CHECKING:
    from types import FrameType

P = ParamSpec("P")

app = typer.Typer(
    help="Reads handwritten digits from pictures, cameras, video and CSV rows, offline.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would double the time that --help takes
)
models_app = typer.Typer(help="Lists and publishes models.", no_args_is_help=True)
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


class FrameFormat(StrEnum):
    """How frames are printed."""

    text = "text"
    jsonl = "jsonl"


Model = Annotated[str, typer.Option(help="A bundled model (see `edge-digits models list`) or the path of an .onnx.")]
Models = Annotated[list[str], typer.Option("--model", help="As often as you like: several models are averaged.")]
Output = Annotated[str, typer.Option("-o", "--output", help="Where to write; - is stdout.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


def main() -> NoReturn:
    """The program: runs a command and exits with its code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    code: str | int | None = 0
    try:
        app(prog_name="edge-digits")
    except SystemExit as end:
        code = end.code
    except OSError as error:
        code = _report(OutputError(f"stdout: cannot be written: {error.strerror}"))
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            code = code or _report(OutputError(f"stdout: cannot be written: {error.strerror}"))
        _drop_stdout()
    sys.exit(code)


def _end(number: int, _: FrameType | None) -> NoReturn:
    """130 for Ctrl-C, 143 for a polite kill: what is open is cleaned up on the way out."""
    sys.exit(128 + number)


def _drop_stdout() -> None:
    """What is still to be written to a stdout that takes no more goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _note(text: str) -> None:
    """One line on stderr; where it cannot be had, the work goes on without."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            start = "\r\x1b[K" if sys.stderr.isatty() else ""  # over a line of progress
            sys.stderr.write(start + "edge-digits: " + text.replace("\n", "\\n") + "\n")
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
            code = function(*args, **kwargs) or 0
        except EdgeDigitsError as error:
            code = _report(error)
        except KeyboardInterrupt:
            code = 130
        except BrokenPipeError:  # a reader that has gone (`| head`) is no error
            _drop_stdout()
            code = 0
        raise typer.Exit(code)

    return run


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
    format: Annotated[RecordFormat, typer.Option(help="How to print.")] = RecordFormat.text,
    output: Output = "-",
    top: Annotated[int, typer.Option(min=0, max=10, help="Also list the TOP likeliest answers of each digit.")] = 0,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Reject a digit less sure than this.")
    ] = MIN_CONFIDENCE,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse a picture of more, undecoded.")] = MAX_PIXELS,
    force: Force = False,
) -> int:
    """Read the digits in pictures.

    Example: edge-digits classify img.png
    """
    from edge_digits.images import find_pictures
    from edge_digits.outputs import check_output
    from edge_digits.progress import ProgressLine
    from edge_digits.reader import Reader
    from edge_digits.records import RecordWriter

    check_output(output, force=force)
    reader = Reader(model, min_confidence=min_confidence, max_pixels=max_pixels)
    pictures = find_pictures(paths)
    failed = 0
    with ProgressLine("pictures", output) as progress, open_output(output, force=force) as out:
        writer = RecordWriter(out, format.value)
        for done, picture in enumerate(pictures, start=1):
            record = reader.record(picture, top)
            writer.write(record)
            if record["error"] is not None:
                failed += 1
                _note(f"{picture.source}: {record['error']}")
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

    check_output(output, force=force)
    classify = load_ensemble(model)
    with ProgressLine("bytes", output) as progress, open_output(output, force=force) as out:
        rows = submit(tables, classify, out, probabilities=probabilities, progress=progress.update)
    _note(f"{rows:,} rows written to {'stdout' if output == '-' else output}")


@app.command()
@_command
def evaluate(
    table: Annotated[str, typer.Argument(metavar="LABELLED_CSV", help="With labels, as train.csv; - is stdin.")],
    model: Models = ["digits"],  # noqa: B006 – typer copies it
    at_least: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 5 when the accuracy is lower.")
    ] = None,
    format: Annotated[ReportFormat, typer.Option(help="How to print.")] = ReportFormat.text,
) -> None:
    """Measure a model on labelled rows.

    Example: edge-digits evaluate train.csv --at-least 0.99
    """
    import json

    from edge_digits.classifier import load_ensemble
    from edge_digits.errors import GateError
    from edge_digits.metrics import evaluate
    from edge_digits.progress import ProgressLine
    from edge_digits.tables import TableReader

    classify = load_ensemble(model)
    with ProgressLine("bytes") as progress:
        found = evaluate(TableReader(table), classify, progress.update)
    _print(json.dumps(found.as_dict()) if format is ReportFormat.json else found.text())
    if at_least is not None and found.accuracy < at_least:
        raise GateError(f"the accuracy is {found.accuracy:.5f}, less than {at_least:g}")


@app.command()
@_command
def webcam(
    source: Annotated[str, typer.Option(help="A camera's number or device, a video file, a folder, a URL.")] = "0",
    window: Annotated[bool, typer.Option("--window/--no-window", help="Show what is read.")] = True,
    output: Annotated[str | None, typer.Option("-o", "--output", help="Record the drawn frames: out.mp4.")] = None,
    format: Annotated[FrameFormat, typer.Option(help="text: what changes; jsonl: each frame.")] = FrameFormat.text,
    max_frames: Annotated[int | None, typer.Option(min=1, help="End after so many frames.")] = None,
    model: Model = "digits",
    force: Force = False,
) -> int:
    """Read digits from a camera, a stream, a video or a folder of frames. q or Esc ends it.

    Example: edge-digits webcam --source clip.mp4 --no-window --format jsonl
    """
    from edge_digits.live import LiveSettings, run
    from edge_digits.outputs import check_output
    from edge_digits.reader import Reader
    from edge_digits.video import open_source

    if output is not None:
        check_output(output, force=force)
    reader = Reader(model)
    settings = LiveSettings(window, output, format.value, max_frames, force)
    with open_source(source, note=_note) as frames, open_output("-", force=True) as out:
        done = run(frames, reader, settings, stdout=out, note=_note)
    rate = f", {done.frames / done.seconds:.0f} a second" if done.seconds else ""
    dropped = f", {done.dropped:,} dropped" if done.dropped else ""
    plural = "" if done.frames == 1 else "s"
    recorded = f", recorded to {done.output}" if done.output else ""
    _note(f"{done.frames:,} frame{plural} read{rate}{dropped}{recorded}")
    return 1 if done.failed else 0


@app.command()
@_command
def train(
    recipe: Annotated[str | None, typer.Option(help="cnn-augmented or base.")] = None,
    data: Annotated[Path | None, typer.Option(help="Kaggle's train.csv (.csv, .csv.gz, .csv.zip).")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The run's folder, a new one.")] = None,
    passes: Annotated[int | None, typer.Option(min=1, help="Times that each row is seen.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same network.")] = 0,
    resume: Annotated[Path | None, typer.Option(help="Go on with an interrupted run, instead of all of these.")] = None,
) -> None:
    """Train a network by a recipe.

    Example: edge-digits train --recipe base --data train.csv
    """
    if resume is None and (recipe is None or data is None):
        raise UsageError("name a --recipe and --data, or a run to --resume")
    if resume is not None and (recipe is not None or data is not None or output is not None or passes is not None):
        raise UsageError("--resume goes on as the run began: leave --recipe, --data, -o and --passes away")
    with _loading("training"):
        from edge_digits_train import fit
        from edge_digits_train.progress import TrainingProgress

    with TrainingProgress() as progress:
        if resume is not None:
            run = fit.resume(resume, progress)
        else:
            assert recipe is not None
            assert data is not None
            run = fit.train(fit.Settings(recipe, data, passes, seed), output or fit.default_folder(recipe), progress)
    found = run.metrics()
    accuracy = found["validation"]["accuracy"]
    rows = found["validation"]["n"]
    _print(f"{run.folder}: {100 * accuracy:.2f} % on {rows:,} held-out rows, after pass {found['pass']}")


@app.command()
@_command
def export(
    source: Annotated[Path, typer.Argument(metavar="RUN_OR_KERAS", help="A run's folder, or a .keras file.")],
    data: Annotated[Path | None, typer.Option(help="Labelled rows; those of the run where it is one.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write to.")] = Path(),
    name: Annotated[str | None, typer.Option(help="The model's name, if not the recipe's or the file's.")] = None,
    force: Force = False,
) -> None:
    """Convert a network to ONNX, quantize it, and compare all three on held-out rows.

    Example: edge-digits export runs/base -o exported --name mine
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"  # tf2onnx converts no other
    with _loading("export"):
        from edge_digits_export import ExportSettings
        from edge_digits_export import export as run_export

    exported = run_export(ExportSettings(source, output, data, name, force), _note)
    files = (f"{path}  {path.stat().st_size:,} bytes" for path in (exported.fp32, exported.int8))
    _print(exported.parity.text(), *files)


@models_app.command("list")
@_command
def list_models() -> None:
    """List the bundled models."""
    from edge_digits.model_files import load_manifest

    manifest = load_manifest()
    for name, entry in manifest["models"].items():
        for precision, file in entry["files"].items():
            found = file["accuracy"]
            standing = "  (the default)" if (name, precision) == (manifest["default"], entry["prefers"]) else ""
            _print(
                f"{name}-{precision:8}{file['bytes']:>10,} bytes  {entry['parameters']:>10,} parameters  "
                f"{100 * found['accuracy']:.2f} % on {found['n']:,} held-out rows{standing}"
            )


@models_app.command("publish")
@_command
def publish_model(
    proof: Annotated[Path, typer.Argument(metavar="NAME.proof.json", help="What `edge-digits export` wrote.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The models package of a checkout.")] = Path(
        "models/edge_digits_models"
    ),
) -> None:
    """Put an export among the bundled models of a checkout: files, manifest, card, network."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with _loading("publishing"):
        from edge_digits_export import publish

    if not output.is_dir():
        raise UsageError(f"{output}: there is no such folder; name a checkout's models package with -o")
    _print(f"published: {publish(proof, output)}")


@contextlib.contextmanager
def _loading(what: str) -> Iterator[None]:
    """Imports the packages of the train extra: silently, as TensorFlow greets every start with a page of notices.

    Raises MissingExtraError where one is not installed.
    """
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


if __name__ == "__main__":
    main()
