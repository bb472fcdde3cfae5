from __future__ import annotations

import errno
import io
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_digits.errors import OutputError, OutputExistsError
from edge_digits.outputs import check_output, open_output, stage_output

Then = Callable[[], object]


def nothing() -> None:
    """What happens between writing and the end, as a rule."""


def write(path: Path | str, text: str = "new\n", *, force: bool = False, then: Then = nothing) -> None:
    with open_output(str(path), force=force) as out:
        out.write(text)
        then()


def stage(path: Path | str, text: str = "new\n", *, force: bool = False, then: Then = nothing) -> None:
    with stage_output(str(path), force=force) as temp:
        temp.write_text(text)
        then()


def failing(error: BaseException | type[BaseException]) -> Then:
    def fail() -> None:
        raise error

    return fail


both_ways = pytest.mark.parametrize("put", [write, stage])


@contextmanager
def umask(mask: int) -> Iterator[None]:
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


@both_ways
def test_new_file_has_the_text_and_leaves_no_other_file(put, tmp_path):
    put(tmp_path / "out.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]
    assert (tmp_path / "out.csv").read_bytes() == b"new\n"


@both_ways
def test_target_is_untouched_until_the_end(put, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    with open_output(str(path), force=True) as out:
        out.write("n" * 1_000_000)
        assert path.read_text() == "old"
    with stage_output(str(path), force=True) as temp:
        temp.write_text("staged")
        assert path.read_text() == "n" * 1_000_000
    assert path.read_text() == "staged"


@both_ways
def test_existing_file_is_kept_without_force(put, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(OutputExistsError, match=r"out\.csv.*--force") as caught:
        put(path)
    assert caught.value.exit_code == 2
    with pytest.raises(OutputExistsError):
        check_output(str(path), force=False)
    assert path.read_text() == "old"
    put(path, force=True)
    assert path.read_text() == "new\n"


@both_ways
def test_file_that_appears_meanwhile_is_kept_without_force(put, tmp_path):
    path = tmp_path / "out.csv"
    with pytest.raises(OutputExistsError):
        put(path, then=lambda: path.write_text("theirs"))
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]
    assert path.read_text() == "theirs"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@both_ways
def test_exception_leaves_the_old_file_and_no_other(put, error, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(error):
        put(path, "half", force=True, then=failing(error))
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]
    assert path.read_text() == "old"


@both_ways
def test_link_stays_and_its_target_is_replaced(put, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "real.csv"
    target.write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to("elsewhere/real.csv")
    with pytest.raises(OutputExistsError):
        put(link)
    put(link, force=True)
    assert link.is_symlink()
    assert target.read_text() == "new\n"
    assert [p.name for p in target.parent.iterdir()] == ["real.csv"]


@both_ways
def test_dangling_link_gets_its_target(put, tmp_path):
    link = tmp_path / "link.csv"
    link.symlink_to("real.csv")
    put(link)
    assert link.is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new\n"


@both_ways
def test_replaced_file_hands_on_its_mode(put, tmp_path):
    path = tmp_path / "out.csv"
    path.touch()
    path.chmod(0o640)
    put(path, force=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@both_ways
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_new_file_obeys_the_umask(put, mask, mode, tmp_path):
    with umask(mask):
        put(tmp_path / "out.csv")
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == mode


@pytest.mark.parametrize("put", [write, stage, lambda path: check_output(str(path), force=False)])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/out.csv", "folder .*missing does not exist"),
        (".", "is a folder"),
        ("out/", "names no file"),
        ("a" * 300, "file name too long"),
        ("file/out.csv", "not a directory"),
        ("loop", "symbolic links"),
        ("a\0b", "null"),
    ],
)
def test_unwritable_path_is_refused_in_one_line(put, name, reason, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match=reason) as caught:
        put(f"{tmp_path}/{name}")
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_empty_path_names_no_file():
    with pytest.raises(OutputError, match="names no file"):
        check_output("", force=True)


@both_ways
def test_folder_closed_to_us_is_refused(put, tmp_path, monkeypatch):
    real = os.open

    def refuse(path, flags, mode=0o777):  # root may write anywhere, so that a mode would not stop these tests
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match=r"out\.csv: cannot be written \(permission denied\)"):
        put(tmp_path / "out.csv")
    with pytest.raises(OutputError, match="permission denied"):
        check_output(str(tmp_path / "out.csv"), force=False)


def test_check_leaves_no_trace(tmp_path):
    check_output(str(tmp_path / "out.csv"), force=False)
    check_output("-", force=False)
    check_output("/dev/null", force=False)
    assert list(tmp_path.iterdir()) == []


@both_ways
def test_pipe_is_written_through(put, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    put(path)
    reader.join(10)
    assert got == [b"new\n"]
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


@both_ways
def test_device_is_written_through(put):
    put("/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@both_ways
def test_full_disk_is_an_output_error_with_the_path(put):
    with pytest.raises(OutputError, match=r"/dev/full: cannot be written \(no space left on device\)"):
        put("/dev/full")


@both_ways
def test_full_disk_leaves_the_old_file(put, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    full = failing(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OutputError, match=r"out\.csv: cannot be written \(no space left on device\)"):
        put(path, force=True, then=full)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("path", ["-", "out.csv"])
def test_errors_of_the_block_that_are_no_write_errors_pass(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError), open_output(path, force=False):
        Path("missing").read_text()
    with pytest.raises(BrokenPipeError), open_output(path, force=False):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
    with pytest.raises(ValueError, match="theirs"), open_output(path, force=False):
        raise ValueError("theirs")


def test_text_is_utf8_with_plain_newlines_and_binary_is_bytes(tmp_path):
    write(tmp_path / "text", "é\n\udc80")
    assert (tmp_path / "text").read_bytes() == "é\n\\udc80".encode()
    with open_output(str(tmp_path / "bytes"), force=False, binary=True) as out:
        out.write(b"\r\n\xff")
    assert (tmp_path / "bytes").read_bytes() == b"\r\n\xff"


def test_dash_is_stdout(capsysbinary):
    write("-", "é\n")
    with open_output("-", force=False, binary=True) as out:
        out.write(b"\xff")
    stage("-", "staged")
    write("/dev/stdout", "named")
    assert capsysbinary.readouterr().out == "é\n".encode() + b"\xffstagednamed"


def run_python(code: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    code = f"from edge_digits.outputs import open_output\n{code}"
    return subprocess.run([sys.executable, "-c", code], check=True, **options)


def test_stdout_is_utf8_in_any_locale():
    code = "with open_output('-', force=False) as out: out.write('é\\udc80\\n')"
    done = run_python(code, env={**os.environ, "PYTHONIOENCODING": "ascii"}, stdout=subprocess.PIPE)
    assert done.stdout == "é\\udc80\n".encode()


def test_bytes_come_after_what_was_printed_before():
    code = "print('first')\nwith open_output('-', force=False, binary=True) as out: out.write(b'second')"
    assert run_python(code, stdout=subprocess.PIPE).stdout == b"first\nsecond"


def test_full_disk_behind_stdout_is_an_output_error():
    code = """
import os, sys
from edge_digits.errors import OutputError
try:
    with open_output('-', force=False) as out: out.write('x')
except OutputError as error:
    print(error, file=sys.stderr)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python fails once more at its exit
"""
    with Path("/dev/full").open("wb") as full:
        done = run_python(code, stdout=full, stderr=subprocess.PIPE)
    assert done.stderr == b"stdout: cannot be written (no space left on device)\n"


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/stderr"])
def test_redirected_streams_are_appended_to_and_not_replaced(name, tmp_path):
    """A shell's `>> file` makes /dev/stdout a regular file, which opening it anew would cut to nothing."""
    path = tmp_path / "log"
    path.write_text("before\n")
    code = f"with open_output({name!r}, force=False) as out: out.write('now')"
    inode = path.stat().st_ino
    with path.open("ab") as log:
        run_python(code, stdout=log, stderr=log)
    assert path.read_text() == "before\nnow"
    assert path.stat().st_ino == inode


def test_closed_stdout_is_an_output_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputError, match="stdout: is closed"):
        write("-")


def test_stand_in_stdout_without_bytes_takes_text(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    write("-", "text")
    assert out.getvalue() == "text"


@pytest.mark.parametrize(("suffix", "wanted"), [(".avi", ".avi"), ("", ".mp4")])
def test_staged_file_has_the_suffix_and_stands_beside_the_target(suffix, wanted, tmp_path):
    with stage_output(str(tmp_path / "out.mp4"), force=False, suffix=suffix) as temp:
        assert temp.parent == tmp_path
        assert temp.suffix == wanted
        temp.write_bytes(b"film")
    assert (tmp_path / "out.mp4").read_bytes() == b"film"


@pytest.mark.parametrize("name", ["out.mp4", "/dev/null"])
def test_staged_file_that_stays_empty_or_vanishes_is_an_output_error(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="nothing was written"), stage_output(name, force=False):
        pass
    with pytest.raises(OutputError, match="nothing was written"), stage_output(name, force=False) as temp:
        temp.unlink()
    assert list(tmp_path.iterdir()) == []


def test_empty_file_may_be_written(tmp_path):
    write(tmp_path / "out.jsonl", "")
    assert (tmp_path / "out.jsonl").read_bytes() == b""
