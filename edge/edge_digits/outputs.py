"""Output files: complete or not there at all, and never one that was there before damaged."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TextIO, overload

from edge_digits.errors import OutputError, OutputExistsError, UsageError

# Linux names of streams that are open already. Opening these would truncate a file that the shell has redirected to.
_STREAM = r"/dev/(?P<name>stdin|stdout|stderr)|(?:/dev|/proc/self)/fd/(?P<fd>\d{1,9})"
_STREAM_FD = {"stdin": 0, "stdout": 1, "stderr": 2}

# What only a write reports. The body of a `with` may raise other OSErrors of its own, which are not ours to explain.
_WRITE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def check_output(path: str, *, force: bool, inputs: Iterable[str] = ()) -> None:
    """Refuses an output before any work is done for it: the reasons of `open_output`, without leaving a trace.

    Raises OutputExistsError, OutputError for a folder that is missing or closed to us, or UsageError where it is one of
    `inputs`, which --force must not replace.
    """
    if any(are_same_file(path, given) for given in inputs):
        raise UsageError(f"{path}: is read, so it cannot be written to, too: name another output")
    with _explained(path, all_errors=True):
        if not _is_written_through(path):
            temp = _name_beside(_target(path, force), "")
            try:
                _create(temp)
            finally:
                temp.unlink(missing_ok=True)


def are_same_file(one: str, other: str) -> bool:
    """Whether two paths lead to one file or folder that is there; no stream and no device is one."""
    try:
        return "-" not in (one, other) and not _is_written_through(one) and Path(one).samefile(other)
    except (OSError, ValueError):  # one is not there, or no path
        return False


def make_folder(path: Path) -> None:
    """Makes a folder for outputs, and those it stands in, where they are missing. Raises OutputError."""
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path}: is no folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be made ({(error.strerror or str(error)).lower()})") from error


@overload
def open_output(path: str, *, force: bool, binary: Literal[False] = False) -> AbstractContextManager[TextIO]: ...
@overload
def open_output(path: str, *, force: bool, binary: Literal[True]) -> AbstractContextManager[BinaryIO]: ...
def open_output(path: str, *, force: bool, binary: bool = False) -> AbstractContextManager[Any]:
    """Opens `path` for writing, `-` for stdout; text is UTF-8 with "\\n" line ends.

    A file gets its name when the block ends, and is dropped when the block raises, KeyboardInterrupt included. A link
    stays, and what it points to is replaced; a replaced file hands on its mode bits. A pipe or a device is written to
    as it is.

    Raises OutputExistsError where a file stands and `force` is not given, and OutputError for what cannot be written.
    A closed pipe stays a BrokenPipeError.
    """
    return _opened(path, force, binary)


@contextmanager
def _opened(path: str, force: bool, binary: bool) -> Iterator[IO[Any]]:
    if _is_stdout(path):
        with _explained("stdout", all_errors=False):
            stream = _stdout(binary)
            yield stream
            stream.flush()
    elif _is_written_through(path):
        with _explained(path, all_errors=True):
            file = _open(_stream_fd(path), binary)
        with _explained(path, all_errors=False), file:
            yield file
    else:
        with _beside(path, force, "") as temp, _open(os.open(temp, os.O_WRONLY), binary) as file:
            yield file


@contextmanager
def stage_output(path: str, *, force: bool, suffix: str = "") -> Iterator[Path]:
    """As `open_output`, for libraries that write to a path of their own: yields the path of an empty file to write to.

    It ends in `suffix`, or without one as `path` does. It becomes `path` when the block ends, and is removed when the
    block raises. Raises as `open_output` does, and OutputError where nothing was written.
    """
    import shutil
    import tempfile

    suffix = suffix or Path(path).suffix
    if _is_written_through(path):
        with tempfile.TemporaryDirectory(prefix="edge-digits-") as folder:
            temp = Path(folder) / f"output{suffix}"
            temp.touch()
            yield temp
            _check_written(temp, path)
            with temp.open("rb") as source, open_output(path, force=force, binary=True) as out:
                shutil.copyfileobj(source, out)
    else:
        with _beside(path, force, suffix) as temp:
            yield temp
            _check_written(temp, path)


@contextmanager
def _beside(path: str, force: bool, suffix: str) -> Iterator[Path]:
    """A new, empty file beside the target of `path` that replaces it when the block ends."""
    with _explained(path, all_errors=True):
        target = _target(path, force)
    temp = _name_beside(target, suffix)
    try:  # before there is a file: an interrupt may come at once
        with _explained(path, all_errors=True):
            _create(temp)
        with _explained(path, all_errors=False):
            yield temp
        with _explained(path, all_errors=True):
            _target(path, force)  # it may have come into being while the work was done
            if target.exists():
                temp.chmod(stat.S_IMODE(target.stat().st_mode))
            temp.replace(target)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise


@contextmanager
def _explained(path: str, *, all_errors: bool) -> Iterator[None]:
    """Turns the system's errors into ours: all of them, or those alone that only a write can have."""
    try:
        yield
    except OSError as error:
        if not all_errors and error.errno not in _WRITE_ERRORS:
            raise
        raise OutputError(f"{path}: cannot be written ({(error.strerror or str(error)).lower()})") from error
    except ValueError as error:
        if not all_errors:
            raise
        raise OutputError(f"{path!r}: cannot be written ({error})") from error  # a NUL in the name


def _target(path: str, force: bool) -> Path:
    """The file that `path` means, links followed; refused where it stands already, unless `force`."""
    if not path or path.endswith(os.sep):
        raise OutputError(f"{path or repr(path)}: names no file")
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 – Path would tidy "x/." to "x"
    except FileNotFoundError:
        target = Path(path).resolve()
        if not target.parent.is_dir():
            raise OutputError(f"{path}: the folder {target.parent} does not exist") from None
        return target
    if stat.S_ISDIR(mode):
        raise OutputError(f"{path}: is a folder")
    if not force:
        raise OutputExistsError(f"{path}: exists already; --force replaces it")
    return Path(path).resolve()


def _name_beside(target: Path, suffix: str) -> Path:
    """A name that nothing has, in the folder of `target`."""
    return target.with_name(f".edge-digits-{os.urandom(6).hex()}{suffix}")


def _create(temp: Path) -> None:
    """An empty file, with the mode that the umask gives a new one."""
    os.close(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))


def _check_written(temp: Path, path: str) -> None:
    if not temp.exists() or not temp.stat().st_size:
        raise OutputError(f"{path}: nothing was written")


def _is_stdout(path: str) -> bool:
    return path in {"-", "/dev/stdout"}


def _is_written_through(path: str) -> bool:
    """Whether `path` is a stream, a pipe or a device: something that a rename would destroy."""
    if _is_stdout(path) or re.fullmatch(_STREAM, path):
        return True
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _stream_fd(path: str) -> int:
    """A new file descriptor to write to what `path` names: an open stream, a pipe or a device."""
    if match := re.fullmatch(_STREAM, path):
        return os.dup(_STREAM_FD[match["name"]] if match["name"] else int(match["fd"]))
    return os.open(path, os.O_WRONLY)  # without O_CREAT, which Linux refuses for others' pipes in /tmp


def _open(fd: int, binary: bool) -> IO[Any]:
    if binary:
        return open(fd, "wb")
    return open(fd, "w", encoding="utf-8", errors="backslashreplace", newline="\n")


def _stdout(binary: bool) -> IO[Any]:
    """Python's own stdout, so that what is printed elsewhere keeps its place among what is written here."""
    if sys.stdout is None:
        raise OutputError("stdout: is closed")
    if binary:
        sys.stdout.flush()
        return sys.stdout.buffer
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    return sys.stdout
