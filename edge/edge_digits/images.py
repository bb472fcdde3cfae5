"""Path, bytes, standard input or array → image, within limits; and what a command line's PATH arguments stand for."""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_digits.errors import ImageError
from edge_digits.image_headers import (
    HEAD_BYTES,
    PICTURE_FORMATS,
    Header,
    PictureFormat,
    RefusedError,
    describe_other,
    picture_format,
)
from edge_digits.limits import MAX_PIXELS
from edge_digits.opencv import cv2, memory_errors, telling_errors

MAX_BYTES = 512 * 1024 * 1024
"""Size that a picture's file may have, in bytes."""
_PHOTO = 1_000_000
"""Pixels from which on a JPEG is decoded where it shall lie."""


def load_image(source: str | os.PathLike[str] | bytes | np.ndarray, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A picture of any format that OpenCV decodes, as it is shown: turned as EXIF says, transparency laid on white.

    source: a file's path, its bytes, or an array (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA of uint8, uint16,
        bool or floats (0 to 1, or 0 to 255, or any other range, which is then stretched; NaN becomes white).
    max_pixels: width × height above which a picture is refused, before it is decoded.

    Returns (H, W) or (H, W, 3) BGR uint8; it may share its memory with an array that was given.
    Raises ImageError for a picture that cannot be read, ValueError for an array that is none.
    """
    if isinstance(source, np.ndarray):
        _check_array(source)
        _check_size("array", source.shape[1], source.shape[0], max_pixels)
        return _to_image(source, Header(None))
    if isinstance(source, bytes):
        return _decode(source, "bytes", max_pixels)
    if not isinstance(source, (str, os.PathLike)):
        raise ValueError(f"a picture is a path, bytes or a NumPy array, not {type(source).__name__}")
    return _decode(_read_file(os.fspath(source)), os.fspath(source), max_pixels)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The whole file, or standard input for "-". Raises ImageError; never waits for a pipe that is named as a file."""
    path = os.fspath(path)
    if path != "-":
        return _read_file(path)
    if sys.stdin is None:
        raise ImageError("-", "standard input is closed")
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ImageError("-", _path_reason(error)) from error
    return _within_limit("-", data)


# ---- files


def _read_file(path: str) -> bytes:
    try:
        status = _stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(path, _kind_reason(status.st_mode))
        if status.st_size > MAX_BYTES:
            raise ImageError(path, _too_long(status.st_size))
        with Path(path).open("rb") as file:
            return _within_limit(path, file.read(MAX_BYTES + 1))
    except MemoryError as error:
        raise ImageError(path, "does not fit in memory") from error
    except (OSError, ValueError) as error:
        raise ImageError(path, _path_reason(error, path)) from error


def _stat(path: str) -> os.stat_result:
    if not path:  # which pathlib takes for the current folder
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return Path(path).stat()


def _within_limit(path: str, data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise ImageError(path, _too_long(len(data)))
    return data


def _too_long(size: int) -> str:
    return f"is too large for a picture: at least {size:,} bytes, and the limit is {MAX_BYTES:,}"


def _kind_reason(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "is a folder, not a picture"
    kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"))
    kind = next((name for test, name in kinds if test(mode)), "a device")
    return f"is not a regular file but {kind} (standard input is read with -)"


def _path_reason(error: OSError | ValueError, path: str = "-") -> str:
    """Why a path cannot be read, in words that follow its name."""
    if not isinstance(error, OSError):
        return "is not a name that a file can have"
    if not path:
        return "names no file"
    if error.errno == errno.ENOENT and Path(path).is_symlink():
        return "is a link to a file that does not exist"
    reasons = {
        errno.ENOENT: "does not exist",
        errno.ENOTDIR: "does not exist: a part of its path is a file, not a folder",
        errno.EACCES: "may not be read: permission denied",
        errno.EPERM: "may not be read: permission denied",
        errno.EISDIR: "is a folder, not a picture",
        errno.ENAMETOOLONG: "is a name too long for a file",
        errno.ELOOP: "is a symbolic link that leads back to itself",
    }
    return reasons.get(error.errno or 0, f"cannot be read: {error.strerror or error}")


# ---- decoding


def _decode(data: bytes, source: str, max_pixels: int) -> np.ndarray:
    known = picture_format(data[:HEAD_BYTES])
    if known is None:
        raise ImageError(source, describe_other(data))
    try:
        header = known.header(data)
        if header.size is not None:
            _check_size(source, *header.size, max_pixels)
        pixels = _run_decoder(data, known, header)
        _check_size(source, pixels.shape[1], pixels.shape[0], max_pixels)
        return _to_image(pixels, header)
    except RefusedError as error:
        raise ImageError(source, str(error)) from error
    except MemoryError as error:
        raise ImageError(source, "does not fit in memory") from error


def _check_size(source: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError(
            source,
            f"has {width:,} × {height:,} = {width * height:,} pixels, and the limit is {max_pixels:,} (--max-pixels)",
        )


def _run_decoder(data: bytes, known: PictureFormat, header: Header) -> np.ndarray:
    """What OpenCV makes of the file: (H, W) or (H, W, 2 to 4) of any type. Raises RefusedError, MemoryError."""
    if known.name == "PNM":
        data += b"\n"  # without it OpenCV refuses a text file that ends with its last number
    flags = cv2.IMREAD_UNCHANGED if header.alpha else cv2.IMREAD_COLOR
    pixels: np.ndarray | None = None
    with _captured_stderr() as heard:
        try:
            with memory_errors():
                pixels = _imread(data, flags) if _is_photo(known, header) else None
                if pixels is None:
                    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error:
            pass  # damaged
    if pixels is None and not _has_decoder(known):
        raise RefusedError(
            f"is in {known.name} format, which this OpenCV ({cv2.__version__}) cannot decode: "
            "convert it to PNG, or pip install --upgrade opencv-python"
        )
    if heard and known.name in _LOST and re.search(_LOST[known.name], heard):
        raise RefusedError("is damaged: a part of its pixels is missing or makes no sense")
    if pixels is None or pixels.size == 0:
        raise RefusedError(f"is damaged, or a kind of {known.name} that OpenCV cannot decode")
    return pixels


def _is_photo(known: PictureFormat, header: Header) -> bool:
    """Whether it is a JPEG that is worth a file for `_imread`."""
    return known.name == "JPEG" and header.size is not None and header.size[0] * header.size[1] >= _PHOTO


def _imread(data: bytes, flags: int) -> np.ndarray | None:
    """As cv2.imdecode, which copies what it has decoded, and with a photo takes nearly twice as long.

    None where that cannot be had: before OpenCV 4.11, and without files in memory that have a name.
    """
    if "dst" not in (cv2.imread.__doc__ or "") or not hasattr(os, "memfd_create"):
        return None
    try:
        with os.fdopen(os.memfd_create("picture"), "wb", buffering=0) as file:
            if file.write(data) < len(data):
                return None
            return cv2.imread(f"/proc/self/fd/{file.fileno()}", None, flags)
    except OSError:
        return None


def _has_decoder(known: PictureFormat) -> bool:
    """Whether this OpenCV was built with the format; it has its decoders and its encoders together."""
    try:
        return bool(cv2.haveImageWriter(known.extension))
    except cv2.error:  # OpenEXR, where it is built in and switched off
        return False


_LOST = {
    "JPEG": rb"Corrupt JPEG data: (premature end|bad Huffman|found marker)|Premature end of JPEG",
    "TIFF": rb"TIFF_Error (?!TIFFAdvanceDirectory|TIFFFetchDirectory|TIFFReadDirectory)",  # further pages
}
"""By format, what its library says where pixels are missing, and says nowhere else."""
_STDERR_LOCK = threading.Lock()
_DECODER_TALK = (
    rb"(?m)^(?:Corrupt JPEG|Premature end|Inconsistent progression|Invalid SOS|Unsupported marker"
    rb"|Application transferred|Warning: unknown JFIF|Unknown Adobe|libpng |imdecode_|imread_|OpenCV|> "
    rb"|\[ ?(?:WARN|ERROR|INFO)|TIFF).*\n*"
)


@contextmanager
def _captured_stderr() -> Iterator[bytearray]:
    """Keeps what the C libraries print on file descriptor 2.

    What other threads print meanwhile is passed on at the end.
    """
    heard = bytearray()
    with _STDERR_LOCK, ExitStack() as opened:
        try:
            kept = os.dup(2)
            opened.callback(os.close, kept)
            memory = os.memfd_create("stderr")
            opened.callback(os.close, memory)
        except (OSError, AttributeError):  # stderr is closed, or the system has no such files
            memory = -1
        if memory < 0:
            yield heard
            return
        os.dup2(memory, 2)
        try:
            with telling_errors():
                yield heard
        finally:
            os.dup2(kept, 2)
            heard += os.pread(memory, os.fstat(memory).st_size, 0)
            if heard and (others := re.sub(_DECODER_TALK, b"", heard).strip(b"\n")):
                with suppress(OSError):
                    os.write(2, others + b"\n")


# ---- pixels


_LARGEST = {("b", 1): 1, ("u", 1): 255, ("u", 2): 65535}
"""The largest value of the types that have a white of their own, by numpy's kind and bytes."""
CAMERA_BITS = 12
"""Of 16 that a file or array has, those that many cameras use, from the lowest on."""


def _check_array(array: np.ndarray) -> None:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ValueError(f"an image is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), not {array.shape}")
    if array.size == 0:
        raise ValueError(f"an image has pixels, and {array.shape} has none")
    if array.dtype.kind != "f" and (array.dtype.kind, array.dtype.itemsize) not in _LARGEST:
        raise ValueError(f"an image is uint8, uint16, bool or floats, not {array.dtype}")


def _to_image(pixels: np.ndarray, header: Header) -> np.ndarray:
    """(H, W) or (H, W, 1 to 4) of any type → (H, W) or (H, W, 3) uint8, upright and opaque."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels > 4:
        raise RefusedError(f"has {channels} channels, which is more than color and transparency")
    if channels in (2, 4):
        color, alpha = pixels[..., : channels - 1], pixels[..., channels - 1]
        color, alpha = _to_8_bits(color, _white(color, header.peak)), _to_8_bits(alpha, header.peak)
        image = _on_white(color, alpha, header.premultiplied)
    else:
        image = _to_8_bits(pixels, _white(pixels, header.peak))
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if header.clear_gray is not None and image.ndim == 2:
        image = np.where(image == header.clear_gray, np.uint8(255), image)
    return np.ascontiguousarray(_upright(image, header.orientation))


def _white(color: np.ndarray, peak: int | None) -> int | None:
    """The value that means white, None for the type's own: what is all but black in 16 bits was taken with fewer."""
    if peak is not None or color.dtype.kind != "u" or color.dtype.itemsize != 2:
        return peak
    bits = max(8, int(color.max()).bit_length())
    return (1 << bits) - 1 if bits <= CAMERA_BITS else None


def _to_8_bits(pixels: np.ndarray, peak: int | None) -> np.ndarray:
    """Any type → uint8 of the same shape. `peak`: the value that means 255, None for the type's own."""
    largest = _LARGEST.get((pixels.dtype.kind, pixels.dtype.itemsize))
    if largest is None:
        return _floats_to_8_bits(pixels)
    peak = peak or largest
    if peak == largest == 255:
        return pixels
    levels = np.minimum(np.rint(np.arange(largest + 1) * (255 / peak)), 255).astype(np.uint8)
    eight: np.ndarray = levels[pixels.view(np.uint8) if largest == 1 else pixels]
    return eight


def _floats_to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """Floats, and whole numbers of 32 bits. NaN becomes 255, which is what lies under a picture."""
    small = pixels.dtype.kind == "f" and pixels.dtype.itemsize <= 4
    values: npt.NDArray[np.float32 | np.float64] = pixels.astype(np.float32 if small else np.float64)
    with np.errstate(all="ignore"):
        values /= 2  # so that high - low stays finite
    finite = np.isfinite(values)
    low = float(values.min(where=finite, initial=np.inf)) * 2
    high = float(values.max(where=finite, initial=-np.inf)) * 2
    if low >= -0.25 and high <= 1.25:  # 0 to 1, and what resizing adds to it
        low, high = 0.0, 1.0
    elif low >= -64 and 16 <= high <= 320:  # 0 to 255; below 16 that would be all but black
        low, high = 0.0, 255.0
    with np.errstate(all="ignore"):
        values -= low / 2
        values /= max(high / 2 - low / 2, 1e-30)
        values *= 255
    eight: np.ndarray = np.rint(np.clip(np.nan_to_num(values, nan=255, posinf=255, neginf=0), 0, 255)).astype(np.uint8)
    return eight


def _on_white(color: np.ndarray, alpha: np.ndarray, premultiplied: bool) -> np.ndarray:
    """color: (H, W, C) uint8; alpha: (H, W) uint8, 255 is opaque → (H, W, C) uint8."""
    if alpha.min() == 255:
        return color
    image = np.empty_like(color)
    for top in range(0, len(color), 256):  # in bands: whole, it would take seven times the picture's memory
        band = slice(top, top + 256)
        shown, cover = color[band].astype(np.uint16), alpha[band, :, np.newaxis].astype(np.uint16)
        if not premultiplied:
            shown = (shown * cover + 127) // 255
        image[band] = np.minimum(shown + 255 - cover, 255)
    return image


def _upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turned and mirrored as EXIF orientation 1 to 8 says."""
    if orientation >= 5:
        image = cv2.transpose(image)
    if orientation in (3, 7):
        return cv2.flip(image, -1)
    if orientation in (2, 6):
        return cv2.flip(image, 1)
    return cv2.flip(image, 0) if orientation in (4, 8) else image


# ---- arguments


@dataclass(frozen=True, slots=True)
class PictureSource:
    """One picture to be read, or the reason why an argument gives none."""

    source: str
    """What it is called: the argument as given, argument/relative path for what a folder holds, "-" for stdin."""
    path: str | None
    """For read_bytes: a file, or "-" for stdin. None where there is an error."""
    error: str | None = None
    """Why there is no picture, without the source's name."""

    def load(self, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
        """The image: (H, W) or (H, W, 3) BGR uint8. Raises ImageError, with `error` where there is one."""
        if self.path is None:
            raise ImageError(self.source, self.error or "cannot be read")
        return _decode(read_bytes(self.path), self.source, max_pixels)


_SUFFIXES = {*(known.extension for known in PICTURE_FORMATS), ".jpeg", ".tif", ".pgm", ".pbm", ".pnm"}


def find_pictures(arguments: Sequence[str]) -> PictureSearch:
    """The pictures that PATH arguments stand for, in order, found while they are asked for.

    A file is itself. A folder is searched with all below it, in natural order (img2 before img10), and a pattern
    (`*`, `?`, `[…]`, `**` for any depth) likewise, unless a file has just this name: hidden files are left out there,
    and files that have neither a picture's signature nor its name are passed over. `-` is standard input. What gives no
    picture gives an item with an error.
    """
    return PictureSearch(arguments)


class PictureSearch(Iterator[PictureSource]):
    """The pictures found so far and to come; see find_pictures."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.skipped = 0
        """Files in folders and patterns that were passed over so far, because they are no pictures."""
        self._stdin_taken = False
        self._items = (item for argument in arguments for item in self._argument(argument))

    def __next__(self) -> PictureSource:
        return next(self._items)

    def _argument(self, argument: str) -> Iterator[PictureSource]:
        if argument == "-":
            error = "standard input can be read only once" if self._stdin_taken else None
            self._stdin_taken = True
            yield PictureSource("-", None if error else "-", error)
            return
        try:
            mode = _stat(argument).st_mode
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and re.search(_MAGIC, argument) and not _exists(argument):
                matches = _expand("/" if argument.startswith("/") else "", argument.strip("/").split("/"))
                yield from self._search(argument, matches, _Seen(matches=True), "is a pattern that nothing matches")
            else:
                yield PictureSource(argument, None, _path_reason(error, argument))
            return
        if stat.S_ISDIR(mode):
            yield from self._search(argument, iter([argument]), _Seen(matches=False), "holds no pictures")
        else:
            yield PictureSource(argument, argument)

    def _search(self, argument: str, paths: Iterator[str], seen: _Seen, empty: str) -> Iterator[PictureSource]:
        """The pictures at and below the paths, each once; an error where there are none."""
        before, found = self.skipped, False
        for path in paths:
            for item in self._walk(path, seen):
                found = True
                yield item
        if not found:
            passed = self.skipped - before
            files = f"{passed} other file{'s' if passed > 1 else ''}"
            yield PictureSource(argument, None, f"holds no pictures, only {files}" if passed else empty)

    def _walk(self, top: str, seen: _Seen) -> Iterator[PictureSource]:
        """The pictures at or below `top`, in natural order."""
        waiting = [top]
        while waiting:
            path = waiting.pop()
            try:
                status = _stat(path)
                if stat.S_ISDIR(status.st_mode):
                    if seen.first_visit(status):
                        waiting += [_join(path, name) for name in reversed(_names(path))]
                elif not seen.first_match(path):
                    continue
                elif stat.S_ISREG(status.st_mode) and (_has_signature(path) or _is_named_picture(path)):
                    yield PictureSource(path, path)
                else:
                    self.skipped += 1
            except OSError as error:
                is_broken_link = error.errno in (errno.ENOENT, errno.ELOOP)
                if is_broken_link and not _is_named_picture(path):
                    self.skipped += 1
                else:
                    yield PictureSource(path, None, _path_reason(error, path))


class _Seen:
    """What a search has met, so that it neither runs in circles nor reads a file twice."""

    def __init__(self, matches: bool) -> None:
        self._folders: set[tuple[int, int]] = set()
        self._matches: set[str] | None = set() if matches else None

    def first_visit(self, folder: os.stat_result) -> bool:
        """Whether the folder was not entered before, under whatever name."""
        before = len(self._folders)
        self._folders.add((folder.st_dev, folder.st_ino))
        return len(self._folders) > before

    def first_match(self, path: str) -> bool:
        """Whether the file was not met before under this name; a single folder holds each name once."""
        if self._matches is None:
            return True
        before = len(self._matches)
        self._matches.add(path)
        return len(self._matches) > before


def _is_named_picture(path: str) -> bool:
    """Whether a person would miss it: an empty .png, say, is told of, not passed over."""
    return Path(path).suffix.lower() in _SUFFIXES


def _has_signature(path: str) -> bool:
    with Path(path).open("rb") as file:
        return picture_format(file.read(HEAD_BYTES)) is not None


def _names(folder: str, hidden: bool = False) -> list[str]:
    """What a folder ("" is the current one) holds, in natural order. Raises OSError."""
    with os.scandir(folder or ".") as entries:
        names = [entry.name for entry in entries if hidden or not entry.name.startswith(".")]
    return sorted(names, key=_natural)


def _natural(name: str) -> tuple[list[str | int], str]:
    """A sort key that takes runs of digits for the number they are; every second part is such a run."""
    parts: list[str | int] = list(re.split(r"([0-9]+)", name.casefold()))
    parts[1::2] = [int(part) for part in parts[1::2]]
    return parts, name


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if folder else name


_MAGIC = r"[*?\[]"


def _expand(folder: str, parts: Sequence[str]) -> Iterator[str]:
    """The paths below `folder` that match the parts of a pattern; hidden ones only where a part starts with a dot."""
    if not parts:
        yield folder
        return
    first, rest = parts[0], parts[1:]
    if first == "**":
        for below in _folders(folder):
            yield from _expand(below, rest or ["*"])
        return
    names = [first]
    if re.search(_MAGIC, first):
        try:
            names = [name for name in _names(folder, first.startswith(".")) if fnmatch.fnmatchcase(name, first)]
        except OSError:  # no folder, or none that may be searched: as in a shell, nothing matches
            return
    for name in names:
        path = _join(folder, name)
        if _exists(path):
            # "-" would be standard input.
            yield from _expand("./-" if path == "-" else path, rest)


def _exists(path: str) -> bool:
    try:
        Path(path).lstat()
    except OSError:
        return False
    return True


def _folders(top: str) -> Iterator[str]:
    """The folder and all below it that are not hidden, each once."""
    waiting, seen = [top], _Seen(matches=False)
    while waiting:
        folder = waiting.pop()
        try:
            status = Path(folder or ".").stat()
            if stat.S_ISDIR(status.st_mode) and seen.first_visit(status):
                yield folder
                waiting += [_join(folder, name) for name in reversed(_names(folder))]
        except OSError:
            continue
