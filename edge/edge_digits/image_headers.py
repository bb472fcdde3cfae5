"""What the first bytes of a file say: its format by signature, its size, its rotation, and whether it is whole.

OpenCV hands back half-gray pictures for files that were cut short and allocates whatever a header asks for, so both are
looked at here, before anything is decoded. Nothing in this module needs OpenCV.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

HEAD_BYTES = 4096
"""How much of a file `picture_format` wants to see; only a PNM with long comments needs more than 100."""
_MOST_SCANS = 100
"""A progressive JPEG has about ten. Each may be of two bytes, and costs a pass over all pixels."""


class RefusedError(Exception):
    """A picture that is not worth decoding; its text says why, without the file's name."""


class DamagedError(RefusedError):
    """A picture that is not whole."""

    def __init__(self, what: str) -> None:
        super().__init__(f"is damaged: {what}")


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a picture before it is decoded, and what the decoder will leave to be done."""

    size: tuple[int, int] | None
    """Width and height in pixels as stored; None where the format hides them."""
    orientation: int = 1
    """EXIF orientation, 1 to 8, that is left to apply once OpenCV has decoded the file with IMREAD_UNCHANGED."""
    peak: int | None = None
    """The sample value that means white, where it is not the largest of the decoded type."""
    clear_gray: int | None = None
    """The 8-bit gray that means transparent (PNG)."""
    alpha: bool = True
    """Whether a fourth channel is alpha; False has OpenCV leave it out (filler) or work it in (CMYK)."""
    premultiplied: bool = False
    """Whether the colors come out of the decoder multiplied by alpha."""


# Width, height, bits, photometric, strip offsets, orientation, samples, strip lengths, tile offsets and lengths, extra.
_TIFF_TAGS = frozenset((256, 257, 258, 262, 273, 274, 277, 279, 324, 325, 338))


def _tiff_tags(block: bytes) -> dict[int, list[int]]:
    """The tags needed here, from the first folder of a TIFF or EXIF block. Raises ValueError or struct.error if cut."""
    order = "<" if block[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", block, 2)[0] == 43
    place, entry = ("Q", "HHQ8s") if big else ("I", "HHI4s")
    (start,) = struct.unpack_from(order + place, block, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), block, start)
    start += 8 if big else 2
    step = struct.calcsize(order + entry)
    tags: dict[int, list[int]] = {}
    for index in range(min(count, 65535)):
        tag, kind, length, inline = struct.unpack_from(order + entry, block, start + index * step)
        code = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}.get(kind)
        if tag not in _TIFF_TAGS or code is None or length == 0:
            continue
        dtype = np.dtype(order + code)
        if length * dtype.itemsize <= len(inline):
            tags[tag] = np.frombuffer(inline, dtype, length).tolist()
        else:
            (offset,) = struct.unpack(order + place, inline)
            tags[tag] = np.frombuffer(block, dtype, length, offset).tolist()
    return tags


def _exif_orientation(block: bytes) -> int:
    """1 to 8 of an EXIF block; 1 where it does not say, or is broken: a picture is worth more than its remarks."""
    try:
        value = _tiff_tags(block.removeprefix(b"Exif\0\0")).get(274, [1])[0]
    except (struct.error, ValueError, OverflowError):
        return 1
    return value if 1 <= value <= 8 else 1


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, first and last + 1 index of the content of each chunk up to IEND; what follows it is not looked at."""
    position, kind = 8, b""
    while kind != b"IEND":
        if position + 12 > len(data):
            raise DamagedError("it ends before its end chunk")
        length, kind = struct.unpack_from(">I4s", data, position)
        start, end = position + 8, position + 8 + length
        if end + 4 > len(data):
            raise DamagedError(f"it ends inside its {kind.decode('latin-1')!r} chunk")
        yield kind, start, end
        position = end + 4


def _png(data: bytes) -> Header:
    width, height, depth, color = struct.unpack_from(">IIBB", data, 16)
    orientation, clear_gray, pixels = 1, None, False
    whole = memoryview(data)
    for kind, start, end in _png_chunks(data):
        if zlib.crc32(whole[start - 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise DamagedError(f"the checksum of its {kind.decode('latin-1')!r} chunk is wrong")
        if kind == b"eXIf":
            orientation = _exif_orientation(data[start:end])
        elif kind == b"tRNS" and color == 0:
            clear_gray = struct.unpack_from(">H", data, start)[0] * 255 // (2**depth - 1)
        pixels = pixels or kind == b"IDAT"
    if not pixels:
        raise DamagedError("it holds no pixels")
    return Header((width, height), orientation, clear_gray=clear_gray)


def _jpeg_markers(data: bytes) -> npt.NDArray[np.intp]:
    """Where the code of each marker may stand: behind 0xFF, and neither a stuffed zero, a restart nor a fill byte."""
    pixels = np.frombuffer(data, np.uint8)
    at = np.flatnonzero(pixels[:-1] == 0xFF) + 1
    codes = pixels[at]
    real: npt.NDArray[np.intp] = at[(codes != 0) & (codes != 0xFF) & ((codes < 0xD0) | (codes > 0xD7))]
    return real


def _jpeg(data: bytes) -> Header:
    size, orientation, scans, position = None, 1, 0, 2
    markers = _jpeg_markers(data)
    while True:
        following = int(np.searchsorted(markers, position + 1))
        if following == len(markers):
            raise DamagedError("it ends before its end marker")
        marker, position = data[markers[following]], int(markers[following]) + 1
        if marker == 0xD9:
            break
        if marker in (0x01, 0xD8):  # these stand alone
            continue
        (length,) = struct.unpack_from(">H", data, position)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, position + 3)
            size = size or (width, height)
        elif marker == 0xE1 and data.startswith(b"Exif\0\0", position + 2) and orientation == 1:
            orientation = _exif_orientation(data[position + 2 : position + length])
        scans += marker == 0xDA
        position += max(length, 2)
    if size is None or not scans:
        raise DamagedError("it holds no pixels")
    if scans > _MOST_SCANS:
        raise RefusedError(f"is a JPEG of {scans:,} scans, and the limit is {_MOST_SCANS}: save it anew")
    return Header(size, orientation)


def _gif(data: bytes) -> Header:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _gif_palette(flags)
    frames = 0
    while (block := data[position]) != 0x3B:
        if block == 0x2C:
            frames += 1
            position += 11 + _gif_palette(data[position + 9])
        elif block == 0x21:
            position += 2
        elif block == 0:  # some writers leave empty blocks between the others
            position += 1
            continue
        else:
            raise DamagedError("it holds a block of an unknown kind")
        while length := data[position]:
            position += 1 + length
        position += 1
    if not frames:
        raise DamagedError("it holds no pixels")
    return Header((width, height))


def _gif_palette(flags: int) -> int:
    """Bytes of the palette that the flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _bmp(data: bytes) -> Header:
    start, header = struct.unpack_from("<II", data, 10)
    compression = stored = 0
    if header == 12:  # OS/2
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, _, bits, compression, stored = struct.unpack_from("<iiHHII", data, 18)
    if width < 0:
        raise DamagedError("its width is negative")
    if compression in (0, 3, 6):  # stored row by row, each padded to 4 bytes
        stored = (width * bits + 31) // 32 * 4 * abs(height)
    _check_length(data, start + stored)
    return Header((width, abs(height)))


def _webp(data: bytes) -> Header:
    (length,) = struct.unpack_from("<I", data, 4)
    _check_length(data, length + 8)
    size, orientation, position = None, 1, 12
    while position + 8 <= length + 8:
        kind, chunk = struct.unpack_from("<4sI", data, position)
        start = position + 8
        if kind == b"VP8X":
            low_high = struct.unpack_from("<HBHB", data, start + 4)
            size = (low_high[0] + (low_high[1] << 16) + 1, low_high[2] + (low_high[3] << 16) + 1)
        elif kind == b"VP8 " and size is None:
            width, height = struct.unpack_from("<HH", data, start + 6)
            size = (width & 0x3FFF, height & 0x3FFF)
        elif kind == b"VP8L" and size is None:
            (bits,) = struct.unpack_from("<I", data, start + 1)
            size = ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        elif kind == b"EXIF":
            orientation = _exif_orientation(data[start : start + chunk])
        position = start + chunk + chunk % 2
    if size is None:
        raise DamagedError("it holds no pixels")
    return Header(size, orientation)


def _tiff(data: bytes) -> Header:
    """OpenCV turns a TIFF by itself, whatever it is asked for; it multiplies 8-bit colors by their alpha."""
    tags = _tiff_tags(data)
    if 256 not in tags or 257 not in tags:
        raise DamagedError("it does not say its size")
    for offsets, counts in ((273, 279), (324, 325)):  # strips, tiles
        ends = [start + count for start, count in zip(tags.get(offsets, []), tags.get(counts, []), strict=False)]
        _check_length(data, max(ends, default=0))
    samples, bits, extra = tags.get(277, [1])[0], tags.get(258, [1])[0], tags.get(338, [0])[0]
    if samples == 2 and extra in (1, 2):
        raise RefusedError("is a TIFF of gray with transparency, which OpenCV cannot decode: save it as PNG")
    alpha = samples < 4 or extra in (1, 2)
    return Header((tags[256][0], tags[257][0]), alpha=alpha, premultiplied=bits == 8 or extra == 1)


_SPACE = rb"(?:\s|#[^\n]*\n)+"
# Patterns are compiled when they are first matched: all at once would take 3 ms of each start.
_PNM = rb"P[1-6]" + _SPACE + rb"(\d{1,9})" + _SPACE + rb"(\d{1,9})(?:" + _SPACE + rb"(\d{1,5}))?"
_PAM = rb"(?sm)P7\s.*?^ENDHDR\n"
_PFM = rb"P[Ff]\s+(\d{1,9})\s+(\d{1,9})\s+\S{1,32}\s"
_HDR = rb"(?s).*?\n[-+][XY] (\d{1,9}) [-+][XY] (\d{1,9})\n"


def _match(pattern: bytes, data: bytes) -> re.Match[bytes]:
    found = re.match(pattern, data)
    if found is None:
        raise DamagedError("its header is cut short or makes no sense")
    return found


def _pnm(data: bytes) -> Header:
    found = _match(_PNM, data)
    width, height, kind = int(found[1]), int(found[2]), data[1] - ord("0")
    if kind in (1, 4):
        if kind == 4:
            _check_length(data, found.end(2) + 1 + (width + 7) // 8 * height)
        return Header((width, height))
    peak = int(found[3] or 0)
    if not 0 < peak < 65536:
        raise DamagedError("its header is cut short or makes no sense")
    if kind > 4:
        samples = width * height * (3 if kind == 6 else 1)
        _check_length(data, found.end() + 1 + samples * (1 if peak < 256 else 2))
    # OpenCV scales the samples of P2 and P3 up to 8 bits by itself.
    return Header((width, height), peak=255 if kind < 4 and peak < 256 else peak)


def _pam(data: bytes) -> Header:
    found = _match(_PAM, data)
    fields = dict(re.findall(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d{1,9})", found[0], re.MULTILINE))
    if len(fields) < 4:
        raise DamagedError("its header is cut short or makes no sense")
    width, height, depth, peak = (int(fields[name]) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    _check_length(data, found.end() + width * height * depth * (1 if peak < 256 else 2))
    return Header((width, height), peak=None if peak < 2 else peak)  # OpenCV spreads black and white by itself


def _pfm(data: bytes) -> Header:
    found = _match(_PFM, data)
    width, height = int(found[1]), int(found[2])
    _check_length(data, found.end() + width * height * (12 if data[1] == ord("F") else 4))
    return Header((width, height))


def _hdr(data: bytes) -> Header:
    found = _match(_HDR, data)
    return Header((int(found[2]), int(found[1])))


def _sun(data: bytes) -> Header:
    width, height, _, length = struct.unpack_from(">IIII", data, 4)
    _check_length(data, 32 + length)
    return Header((width, height))


def _jpeg_2000(data: bytes) -> Header:
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0:
        raise DamagedError("it holds no pixels")
    right, bottom, left, top = struct.unpack_from(">IIII", data, start + 8)
    return Header((right - left, bottom - top))


def _avif(data: bytes) -> Header:
    """Turned by properties of its own, which OpenCV does not apply: a turn to the left, then a mirror."""
    sizes = [struct.unpack(">II", found) for found in re.findall(rb"\0\0\0\x14ispe.{4}(.{8})", data, re.DOTALL)]
    if not sizes:
        raise DamagedError("it does not say its size")
    turn, mirror = (re.search(rb"\0\0\0\x09" + name + rb"(.)", data, re.DOTALL) for name in (b"irot", b"imir"))
    turned = ((1, 4, 2), (8, 5, 7), (3, 2, 4), (6, 7, 5))[turn[1][0] & 3 if turn else 0]
    width, height = max(sizes, key=lambda size: int(size[0]) * int(size[1]))
    return Header((width, height), turned[1 + (mirror[1][0] & 1) if mirror else 0])


def _heic(data: bytes) -> Header:
    raise RefusedError(
        "is a HEIC picture, which OpenCV cannot decode: convert it to JPEG, "
        'or set the phone\'s camera to "most compatible"'
    )


def _no_size(data: bytes) -> Header:
    return Header(None)


def _check_length(data: bytes, needed: int) -> None:
    if len(data) < needed:
        raise DamagedError(f"it is {len(data):,} bytes long and should be at least {needed:,}")


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """A format of pictures, known by its signature."""

    name: str
    extension: str
    """What OpenCV calls it, with the dot."""
    signature: bytes
    """A regular expression that matches at the start of each such file."""
    inspect: Callable[[bytes], Header]

    def header(self, data: bytes) -> Header:
        """What the whole file says of itself. Raises RefusedError where it is not whole or cannot be decoded."""
        try:
            header = self.inspect(data)
        except IndexError:
            raise DamagedError("it is cut short") from None
        except (struct.error, ValueError, OverflowError):
            raise DamagedError("its header is cut short or makes no sense") from None
        if header.size is not None and min(header.size) <= 0:
            raise DamagedError("its header says that it has no pixels")
        return header


_BRANDS = rb".{4}ftyp(?:.{4}){0,15}?"
PICTURE_FORMATS = (
    PictureFormat("PNG", ".png", rb"\x89PNG\r\n\x1a\n", _png),
    PictureFormat("JPEG", ".jpg", rb"\xff\xd8\xff", _jpeg),
    PictureFormat("GIF", ".gif", rb"GIF8[79]a", _gif),
    PictureFormat("BMP", ".bmp", rb"BM.{12}(?:\x0c|\x28|\x34|\x38|\x40|\x6c|\x7c)\0\0\0", _bmp),
    PictureFormat("WebP", ".webp", rb"RIFF.{4}WEBP", _webp),
    PictureFormat("TIFF", ".tiff", rb"II[*+]\0|MM\0[*+]", _tiff),
    PictureFormat("PNM", ".ppm", rb"P[1-6]" + _SPACE + rb"\d", _pnm),
    PictureFormat("PAM", ".pam", rb"P7\s+(?:#|[A-Z])", _pam),
    PictureFormat("PFM", ".pfm", rb"P[Ff]\s+\d", _pfm),
    PictureFormat("Radiance HDR", ".hdr", rb"#\?(?:RADIANCE|RGBE)", _hdr),
    PictureFormat("Sun raster", ".ras", rb"\x59\xa6\x6a\x95", _sun),
    PictureFormat("JPEG 2000", ".jp2", rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", _jpeg_2000),
    PictureFormat("AVIF", ".avif", _BRANDS + rb"avi[fs]", _avif),
    PictureFormat("HEIC", ".heic", _BRANDS + rb"(?:hei[cxms]|hev[cxms]|mif1|msf1)", _heic),
    PictureFormat("OpenEXR", ".exr", rb"\x76\x2f\x31\x01", _no_size),
    PictureFormat("JPEG XL", ".jxl", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", _no_size),
)


def picture_format(head: bytes) -> PictureFormat | None:
    """The format of a file that starts with `head` (HEAD_BYTES of it are enough); None where it is no picture."""
    return next((known for known in PICTURE_FORMATS if re.match(known.signature, head, re.DOTALL)), None)


_SUBMIT = "use `edge-digits submit` for digits in CSV rows"
_OTHERS = (
    (rb"%PDF-", "is a PDF, not a picture: save its page as PNG"),
    (rb".{4}ftyp|RIFF.{4}AVI |\x1a\x45\xdf\xa3|\0\0\x01[\xba\xb3]|FLV\x01|OggS", "is a video, not a picture"),
    (rb"\x93NUMPY", "is a NumPy array, not a picture"),
    (rb"\x7fELF|MZ", "is a program, not a picture"),
    (rb"\s*<(?:!doctype )?html", "is a web page, not a picture"),
)


def describe_other(data: bytes) -> str:
    """Says in words what a file is that has no picture's signature: "is a PDF, not a picture"."""
    if not data:
        return "is an empty file"
    head = data[:HEAD_BYTES]
    if head.startswith(b"\x1f\x8b"):
        with_rows = _is_table(_gunzip_head(head))
        return f"is a compressed CSV table, not a picture: {_SUBMIT}" if with_rows else "is a gzip file, not a picture"
    if head.startswith(b"PK\x03\x04"):
        with_rows = ".csv" in data[30 : 30 + struct.unpack_from("<H", data.ljust(30), 26)[0]].decode("latin-1").lower()
        return f"is a zipped CSV table, not a picture: {_SUBMIT}" if with_rows else "is a ZIP archive, not a picture"
    for signature, words in _OTHERS:
        if re.match(signature, head, re.DOTALL | re.IGNORECASE):
            return words
    if _is_table(head):
        return f"is a CSV table, not a picture: {_SUBMIT}"
    if not _is_text(head):
        return "is not a picture of any format known here"
    return "is an SVG drawing, not a picture: save it as PNG" if b"<svg" in head else "is text, not a picture"


def _gunzip_head(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""


def _is_text(head: bytes) -> bool:
    try:
        words = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3 or len(head) < HEAD_BYTES:  # not just a letter cut in two
            return False
        words = head[: error.start].decode()
    return not re.search("[\0-\x08\x0e-\x1a\x1c-\x1f]", words)


def _is_table(head: bytes) -> bool:
    """Whether the first line names pixels, or is numbers with commas between."""
    line = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].strip()
    return bool(re.match(rb"(?i)\"?(?:label|pixel|imageid)\"?\d*,|(?:[\d.\s]+,){2,}[\d.\s]*$", line))
